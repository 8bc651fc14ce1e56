//! The form of a stored stream: each line understood, numbered and timed, and at its place between start and end.

use std::time::SystemTime;

use super::{Checks, Rule};
use crate::event::{Envelope, Event, Line, Micros, ProbeStep, RunStart, What, Within, started};

/// So many gaps in the numbers are remembered, to say in which line an event stands: where streams share a file, each change
/// from one to the other is a gap. Behind the last of them it is not said.
const GAPS: usize = 4096;

/// Whose stream it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::judge) enum Whose {
    /// The only run's of a file.
    Run,
    /// The run's of a scenario's client.
    Client(String),
    /// The scenario's own: its start, its steps, its end.
    Scenario,
    /// The run's of that variant in that round of a comparison.
    Compared(String, u32),
    /// The comparison's own: its start and its end.
    Comparison,
}

/// One stream of a file, as far as it was read.
#[derive(Debug)]
pub(in crate::judge) struct Lines {
    whose: Whose,
    started: Option<SystemTime>,
    /// The number that is due next, and the time of the last line.
    due: u64,
    last: Micros,
    begun: bool,
    witnessed: bool,
    ended: bool,
    /// The shard that the first line names, or that it names none.
    shard: Option<Option<u32>>,
    /// The step of a probe that is under way.
    step: Option<ProbeStep>,
    /// From which number on the numbers stand how many lines further down.
    places: Vec<(u64, u64)>,
}

impl Lines {
    pub(in crate::judge) const fn new(whose: Whose) -> Self {
        Self {
            whose,
            started: None,
            due: 0,
            last: Micros::ZERO,
            begun: false,
            witnessed: false,
            ended: false,
            shard: None,
            step: None,
            places: Vec::new(),
        }
    }

    /// Checks the next line; its event, if it belongs here. What is not known of an event is a fault, and what is known of it
    /// counts all the same.
    pub(in crate::judge) fn take(&mut self, line: Line, checks: &mut Checks) -> Option<Event> {
        let at = Some(line.number);
        self.started = self.started.or_else(|| started(&line.event.as_ref()?.what));
        match &line.envelope {
            Some(envelope) => {
                self.place(line.number, envelope, checks);
                if let Some(What::ProbeStep(step)) = line.event.as_ref().map(|event| &event.what) {
                    self.step = Some(*step);
                }
                self.in_its_step(line.number, envelope, checks);
            }
            None => self.due += 1,
        }
        self.ended |= line.is_lost && line.envelope.as_ref().is_some_and(|envelope| envelope.event.ends_with("-end"));
        let misplaced = self.misplaced(line.envelope.as_ref(), line.event.as_ref());
        let event = line.event.filter(|_| misplaced.is_none());
        let fault = line.fault.or(misplaced);
        checks.check(Rule::Lines, at, fault.is_none(), || fault.unwrap_or_default());
        self.begun |= event.is_some();
        match &event.as_ref()?.what {
            What::RunStart(start) => self.witnessed = start.witnessed,
            What::RunEnd(_) | What::ScenarioEnd(_) | What::ComparisonEnd(_) => self.ended = true,
            _ => {}
        }
        event
    }

    /// The file ends, or another stream begins.
    pub(in crate::judge) fn end(&self, checks: &mut Checks) {
        if !self.ended {
            let what = match self.whose {
                Whose::Scenario => "scenario",
                Whose::Comparison => "comparison",
                _ => "run",
            };
            checks.check(Rule::Lines, None, false, || {
                format!("there is no {what}-end: the file ends before its {what}, or what came after is missing")
            });
        }
    }

    /// The client whose it is, if it is a client's.
    pub(in crate::judge) fn client(&self) -> Option<&str> {
        if let Whose::Client(name) = &self.whose { Some(name) } else { None }
    }

    /// Whose the lines are, where a stream is of several.
    pub(in crate::judge) fn within(&self) -> Within<'_> {
        match &self.whose {
            Whose::Client(name) => Within::client(name),
            Whose::Compared(variant, round) => Within::run(variant, *round),
            _ => Within::default(),
        }
    }

    /// The line of the event with that number.
    pub(in crate::judge) fn line_of(&self, seq: u64) -> Option<u64> {
        let last = self.places.iter().rposition(|(from, _)| *from <= seq).filter(|last| last + 1 < GAPS)?;
        let (from, line) = self.places[last];
        Some(line + (seq - from))
    }

    /// The number and the time of a line.
    fn place(&mut self, line: u64, envelope: &Envelope<'_>, checks: &mut Checks) {
        let (at, due, said) = (Some(line), self.due, envelope.seq);
        let shard = *self.shard.get_or_insert(envelope.shard);
        if envelope.shard != shard {
            checks.check(Rule::Lines, at, false, || {
                let named = |shard: Option<u32>| shard.map_or_else(|| "none".to_owned(), |shard| shard.to_string());
                format!("its shard is {}, that of the lines before it {}", named(envelope.shard), named(shard))
            });
        }
        self.due = said.max(due.saturating_sub(1)).saturating_add(1);
        if self.line_of(said) != Some(line) && self.places.len() < GAPS {
            self.places.push((said, line));
        }
        checks.check(Rule::Sequence, at, said == due, || match said {
            said if said == due + 1 => format!("number {due} is missing before it, it says {said}"),
            said if said > due => format!("numbers {due} to {} are missing before it, it says {said}", said - 1),
            said => format!("number {due} is due, it says {said}"),
        });
        let (time, last) = (envelope.at_us, self.last);
        self.last = time.max(last);
        checks.check(Rule::Clock, at, time >= last, || format!("it is of {time}, a line before it of {last}"));
        let wall = self.started.map(|started| time.after(started));
        checks.check(Rule::Clock, at, wall.as_deref() == Some(&*envelope.time), || {
            format!("at_us makes it {}, it says {}", wall.unwrap_or_default(), envelope.time)
        });
    }

    /// Each line of a probe names the step that began last.
    fn in_its_step(&self, line: u64, envelope: &Envelope<'_>, checks: &mut Checks) {
        let due = self.step.map(|step| step.to_string());
        if envelope.step.as_deref() != due.as_deref() {
            checks.check(Rule::Lines, Some(line), false, || {
                let named = |step: Option<&str>| step.map_or_else(|| "no step".to_owned(), |step| format!("{step:?}"));
                let (due, said) = (named(due.as_deref()), named(envelope.step.as_deref()));
                format!("it belongs to {due}, it names {said}")
            });
        }
    }

    /// Why the event does not belong here.
    fn misplaced(&self, envelope: Option<&Envelope<'_>>, event: Option<&Event>) -> Option<String> {
        use What::{
            ComparisonEnd, ComparisonStart, RunEnd, RunStart, ScenarioEnd, ScenarioStart, Step, WitnessCommands,
            WitnessSession,
        };
        let client = envelope.and_then(|envelope| envelope.client.as_deref());
        let due = self.client();
        if client != due {
            let name = |client: Option<&str>| client.map_or_else(|| "nobody".to_owned(), |name| format!("{name:?}"));
            return Some(format!("it is of {}, in the stream of {}", name(client), name(due)));
        }
        let said = envelope.map(|envelope| (envelope.variant.as_deref(), envelope.round));
        let due = if let Whose::Compared(variant, round) = &self.whose { Some((&**variant, *round)) } else { None };
        let due = (due.map(|(variant, _)| variant), due.map(|(_, round)| round));
        if said.is_some_and(|said| said != due) {
            let run = |(variant, round): (Option<&str>, Option<u32>)| match (variant, round) {
                (None, None) => "no run of a comparison".to_owned(),
                (variant, round) => {
                    let round = round.map_or_else(|| "none".to_owned(), |round| round.to_string());
                    format!("variant {:?}, round {round}", variant.unwrap_or_default())
                }
            };
            return Some(format!("it is of {}, in the stream of {}", run(said.unwrap_or_default()), run(due)));
        }
        let what = &event?.what;
        let here = matches!(what, ScenarioStart(_) | ScenarioEnd(_) | Step(_)) == (self.whose == Whose::Scenario)
            && matches!(what, ComparisonStart(_) | ComparisonEnd(_)) == (self.whose == Whose::Comparison);
        match what {
            _ if !here => Some(format!("{:?} does not belong here", what.name())),
            RunStart(_) | ScenarioStart(_) | ComparisonStart(_) if self.begun => {
                Some("the run begins a second time".to_owned())
            }
            RunStart(start) => self.no_start(start),
            RunEnd(_) if self.ended => Some("the run ends a second time".to_owned()),
            WitnessCommands(_) | WitnessSession(_) if !self.witnessed => {
                Some("the stream has no record of the server's own".to_owned())
            }
            _ if self.ended => Some(format!("{} does not belong here: the record had ended", what.name())),
            _ => None,
        }
    }

    fn no_start(&self, start: &RunStart) -> Option<String> {
        let distinct = |names: Vec<Option<&str>>| {
            let all: std::collections::BTreeSet<_> = names.iter().collect();
            all.len() == names.len() && names.iter().all(|name| name.is_some_and(|name| !name.is_empty()))
        };
        let is_scenarios = matches!(self.whose, Whose::Client(_) | Whose::Scenario);
        if start.probe.is_some() && self.whose != Whose::Run {
            Some("run-start: no client of a scenario is a probe, nor a run of a comparison".to_owned())
        } else if start.scripted != (is_scenarios || start.probe.is_some()) {
            Some("run-start: it is scripted if and only if it is a scenario's or a probe's".to_owned())
        } else if is_scenarios
            && !(distinct(start.workers.entries().map(|it| it.name.as_deref()).collect())
                && distinct(start.tasks.entries().map(|it| it.name.as_deref()).collect()))
        {
            Some("each worker and each task of a scenario has a name of its own".to_owned())
        } else {
            None
        }
    }
}
