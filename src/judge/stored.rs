//! A stored file, read as a stream: each event is seen once, by the judge of its client, and is then forgotten.
//!
//! A line that is wrong is no error: [`Checks`] tell of it, and what is known of the others counts.

mod arguments;
mod comparison;

use std::io::{BufReader, Read};

pub use arguments::is_flag_of_a_variant;
pub use comparison::StoredComparison;

use super::claims;
use super::expectations::{Client, evaluate};
use super::integrity::{Checks, Integrity, Lines, Rule, Told, Whose, of_findings};
use super::{Judge, Steps, Verdict, client_end, run_end};
use crate::event::{
    Ahead, ClientEnd, Event, Line, NewPolicy, PassedOver, Policy, Reader, RunEnd, SCHEMA_VERSION, ScenarioEnd,
    ScenarioStart, Step, Unreadable, What, Within,
};
use crate::figures::Summary;
use crate::ledger::Analysis;

/// So many bytes are read at once.
const BUFFER: usize = 64 * 1024;

/// What a file holds.
#[derive(Debug)]
pub struct Stored {
    /// A run, or scenarios.
    pub content: Content,
    /// How many lines it has.
    pub lines: u64,
    /// What of a later version was passed over.
    pub passed_over: PassedOver,
}

/// An event that passes.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// The line that it stands in.
    pub line: u64,
    /// Whose it is, where a stream is of several.
    pub within: Within<'a>,
    /// What happened.
    pub event: &'a Event,
}

/// What a file is of.
#[derive(Debug)]
pub enum Content {
    /// A run.
    Run(Box<StoredRun>),
    /// Scenarios that were performed one after the other, at least one.
    Scenarios(Vec<StoredScenario>),
    /// A comparison.
    Comparison(Box<StoredComparison>),
}

/// A run, seen to its end.
#[derive(Debug)]
pub struct StoredRun {
    /// Who has seen it all.
    pub judge: Judge,
    /// Whether what its events say can have been so.
    pub integrity: Integrity,
    /// What its `run-end` says, if it has one.
    pub end: Option<Box<RunEnd>>,
    /// The line of that.
    pub end_line: Option<u64>,
    /// How many lines it has.
    pub lines: u64,
    /// Events of it are in words of a later version: what the others come to is not all.
    pub is_partial: bool,
    /// Its `run-end` says more of what it was judged by than is known.
    pub is_policy_partial: bool,
    form: Lines,
    checks: Checks,
}

/// A scenario, with the runs of its clients.
#[derive(Debug)]
pub struct StoredScenario {
    /// How it began.
    pub start: Box<ScenarioStart>,
    /// Events of its own are in words of a later version, or its `scenario-end` says more of what it was judged by.
    is_partial: bool,
    is_policy_partial: bool,
    /// Its steps, each with its line; those that speak of findings among them.
    pub steps: Vec<(u64, Step)>,
    /// Its clients' runs, by their names.
    pub clients: Vec<(String, StoredRun)>,
    /// What its `scenario-end` says, if it has one.
    pub end: Option<Box<ScenarioEnd>>,
    /// The line of that.
    pub end_line: Option<u64>,
    /// How many lines it has, with its clients'.
    pub lines: u64,
    form: Lines,
    checks: Checks,
    told: Told,
}

impl Stored {
    /// Reads a file to its end. `passing` is shown each event that belongs where it stands.
    ///
    /// # Errors
    /// It holds no stream, or cannot be read.
    pub fn read(from: impl Read + Send, passing: impl FnMut(Passing<'_>)) -> Result<Self, Unreadable> {
        Self::read_for(from, &NewPolicy::default(), passing)
    }

    /// The same, to be judged by `new` too. The runs of a comparison are let go of before it ends, so they are judged as they
    /// pass.
    ///
    /// # Errors
    /// It holds no stream, or cannot be read.
    pub fn read_for(
        from: impl Read + Send,
        new: &NewPolicy,
        mut passing: impl FnMut(Passing<'_>),
    ) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(BufReader::with_capacity(BUFFER, from));
        let (content, lines) = Ahead::of(&mut reader, |lines| {
            let first = lines.next_line()?.ok_or(Unreadable::Empty)?;
            if begins_a_scenario(&first) {
                let (all, read) = scenarios(lines, first, &mut passing)?;
                Ok((Content::Scenarios(all), read))
            } else if StoredComparison::begins(&first) {
                let comparison = StoredComparison::read(lines, first, new, &mut passing)?;
                let read = comparison.lines;
                Ok((Content::Comparison(Box::new(comparison)), read))
            } else {
                let run = run(lines, first, &mut passing)?;
                let read = run.lines;
                Ok((Content::Run(Box::new(run)), read))
            }
        })?;
        let mut passed_over = reader.passed_over().clone();
        let believed = content.runs().flat_map(|run| run.judge.believed());
        believed.for_each(|finding| passed_over.add(&format!("finding {}", finding.id)));
        if let Content::Comparison(comparison) = &content {
            comparison.believed().for_each(|id| passed_over.add(&format!("finding {id}")));
        }
        Ok(Self { content, lines, passed_over })
    }

    /// Whether every line was understood and numbered, and the last one says what it all came to.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        match &self.content {
            Content::Run(run) => run.is_whole(),
            Content::Scenarios(all) => all.iter().all(StoredScenario::is_whole),
            Content::Comparison(comparison) => comparison.is_whole(),
        }
    }
}

impl Content {
    /// Whether events of it are in words of a later version.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        match self {
            Self::Run(run) => run.is_partial,
            Self::Scenarios(all) => all.iter().any(StoredScenario::is_partial),
            Self::Comparison(comparison) => comparison.is_partial(),
        }
    }

    /// Its runs, of every client. Those of a comparison are gone.
    fn runs(&self) -> impl Iterator<Item = &StoredRun> {
        let (run, scenarios) = match self {
            Self::Run(run) => (Some(&**run), [].as_slice()),
            Self::Scenarios(all) => (None, all.as_slice()),
            Self::Comparison(_) => (None, [].as_slice()),
        };
        run.into_iter().chain(scenarios.iter().flat_map(|it| it.clients.iter().map(|(_, run)| run)))
    }
}

impl StoredRun {
    fn new(whose: Whose) -> Self {
        Self {
            judge: Judge::default(),
            integrity: Integrity::default(),
            end: None,
            end_line: None,
            lines: 0,
            is_partial: false,
            is_policy_partial: false,
            form: Lines::new(whose),
            checks: Checks::default(),
        }
    }

    /// Whether every line was understood and numbered, and the last one says what it all came to.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.checks.holds()
    }

    fn is_newer(&self) -> bool {
        self.judge.known().start().is_some_and(|start| start.schema_version > SCHEMA_VERSION)
    }

    /// What it was judged by, by its own word.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.end.as_ref().map_or_else(Policy::default, |end| end.judged_by.clone())
    }

    /// What it comes to by that policy, and the `run-end` that says so.
    #[must_use]
    pub fn comes_to(&self, policy: &Policy) -> (Verdict, RunEnd) {
        self.judged(&self.judge.summary(), policy)
    }

    /// The same, from the figures that its judge has.
    pub(super) fn judged(&self, summary: &Summary, policy: &Policy) -> (Verdict, RunEnd) {
        let verdict = self.judge.verdict(summary, policy);
        let ending = self.judge.known().ending().unwrap_or_default();
        let end = run_end(ending, summary, &verdict, policy.clone());
        (verdict, end)
    }

    /// Its end says what its events come to. What a later version judged by, beyond what is known, may have made another exit
    /// code.
    pub(super) fn agrees(&self, due: &RunEnd, checks: &mut Checks) {
        if let Some(end) = self.end.as_ref().filter(|_| !self.is_partial) {
            let exit_code = if self.is_policy_partial { end.exit_code } else { due.exit_code };
            claims::compare(checks, self.end_line, &RunEnd { exit_code, ..due.clone() }, &**end);
        }
    }

    /// What of it does not hold: its form, its events, and what the judge says of the two rules that any report rests on.
    #[must_use]
    pub fn checks(&self) -> Checks {
        let mut checks = self.checks.clone();
        if self.is_partial {
            // Behind an event that was passed over, others may well look impossible.
            return checks;
        }
        let (rules, witness) = (self.judge.rules(), self.judge.witness());
        let mut judged = self.integrity.checks().clone();
        let (checked, held) = (rules.agreement.checked, rules.agreement.held);
        judged.told(Rule::Table, checked, checked - held, &rules.wrong);
        if witness.available {
            judged.told(Rule::Witness, witness.agreement.checked, witness.disagreements, &witness.wrong);
        }
        checks.add(judged.placed(|seq| self.form.line_of(seq)));
        checks
    }

    /// Takes the line in. Returns its event, which is of no use any more.
    fn take(&mut self, line: Line, steps: Option<&mut Told>, passing: &mut impl FnMut(Passing<'_>)) -> Option<Event> {
        self.lines += 1;
        let number = line.number;
        self.is_partial |= line.is_lost;
        self.is_policy_partial |= line.adds_to("judged_by");
        let event = self.form.take(line, &mut self.checks)?;
        if let What::RunEnd(end) = &event.what {
            let (said, took) = (event.at, end.elapsed_us);
            self.checks.check(Rule::Clock, number, took == said, || format!("it is of {said}, the run took {took}"));
            self.judge.end(end.ending());
            if self.is_newer() {
                self.judge.believe(&end.findings, &end.gates);
            }
            self.integrity.end(self.judge.known());
            self.end = Some(end.clone());
            self.end_line = Some(number);
        } else {
            self.judge.see(&event);
            self.integrity.see(&event, self.judge.known());
        }
        if let Some(steps) = steps {
            steps.see(self.form.client().unwrap_or_default(), &self.judge, number, &event);
        }
        passing(Passing { line: number, within: self.form.within(), event: &event });
        Some(event)
    }
}

fn run(lines: &mut Ahead, first: Line, passing: &mut impl FnMut(Passing<'_>)) -> Result<StoredRun, Unreadable> {
    let mut run = StoredRun::new(Whose::Run);
    run.take(first, None, passing);
    while let Some(line) = lines.next_line()? {
        run.take(line, None, passing).into_iter().for_each(|event| lines.spend(event));
    }
    run.form.end(&mut run.checks);
    match run.judge.known().start() {
        Some(_) => Ok(run),
        None => Err(Unreadable::NoStart("there is no run in it".to_owned())),
    }
}

/// Whether a scenario begins there. (In a client's name none does.)
fn begins_a_scenario(line: &Line) -> bool {
    let start = matches!(line.event.as_ref().map(|event| &event.what), Some(What::ScenarioStart(_)));
    start && line.envelope.as_ref().is_some_and(|envelope| envelope.client.is_none())
}

/// All scenarios of a file, and how many lines they have.
fn scenarios(
    lines: &mut Ahead,
    first: Line,
    passing: &mut impl FnMut(Passing<'_>),
) -> Result<(Vec<StoredScenario>, u64), Unreadable> {
    let mut all = Vec::new();
    let mut read = 0;
    let mut next = Some(first);
    while let Some(mut scenario) = next.take().and_then(|first| StoredScenario::begin(first, passing)) {
        while let Some(line) = lines.next_line()? {
            if begins_a_scenario(&line) {
                next = Some(line);
                break;
            }
            scenario.lines += 1;
            scenario.take(line, passing);
        }
        for (_, run) in &mut scenario.clients {
            run.form.end(&mut run.checks);
        }
        scenario.form.end(&mut scenario.checks);
        read += scenario.lines;
        all.push(scenario);
    }
    Ok((all, read))
}

impl StoredScenario {
    fn begin(line: Line, passing: &mut impl FnMut(Passing<'_>)) -> Option<Self> {
        let What::ScenarioStart(start) = &line.event.as_ref()?.what else { return None };
        let (start, number) = (start.clone(), line.number);
        let (mut form, mut checks) = (Lines::new(Whose::Scenario), Checks::default());
        if let Some(event) = form.take(line, &mut checks) {
            passing(Passing { line: number, within: Within::default(), event: &event });
        }
        Some(Self {
            start,
            is_partial: false,
            is_policy_partial: false,
            steps: Vec::new(),
            clients: Vec::new(),
            end: None,
            end_line: None,
            lines: 1,
            form,
            checks,
            told: Told::default(),
        })
    }

    /// Whether events of it, or of its clients, are in words of a later version.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.is_partial || self.clients.iter().any(|(_, run)| run.is_partial)
    }

    /// Whether its `scenario-end` says more of what it was judged by than is known.
    #[must_use]
    pub const fn is_policy_partial(&self) -> bool {
        self.is_policy_partial
    }

    /// Whether every line was understood and numbered, and the last one says what it all came to.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.checks.holds() && self.clients.iter().all(|(_, run)| run.is_whole())
    }

    /// The policy that all of it was judged by, by its own word.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let first = self.clients.first().and_then(|(_, run)| run.end.as_ref()).map(|end| end.judged_by.clone());
        first.or_else(|| self.end.as_ref().map(|end| end.judged_by.clone())).unwrap_or_default()
    }

    /// The figures of each of its clients.
    #[must_use]
    pub fn summaries(&self) -> Vec<Summary> {
        self.clients.iter().map(|(_, run)| run.judge.summary()).collect()
    }

    /// The `scenario-end` that says what it comes to by that policy, and what each of its clients does. The summaries are
    /// theirs.
    #[must_use]
    pub fn comes_to(&self, summaries: &[Summary], policy: &Policy) -> (ScenarioEnd, Vec<(Verdict, RunEnd)>) {
        let runs = self.clients.iter().zip(summaries).map(|((_, run), summary)| run.judged(summary, policy));
        let runs: Vec<(Verdict, RunEnd)> = runs.collect();
        let client = |((name, run), (verdict, end)): (&(String, StoredRun), &(Verdict, RunEnd))| {
            let run_id = run.judge.known().start().map_or("", |start| &*start.run_id);
            client_end(name, run_id, verdict, end.connections.still_open)
        };
        let interrupted = self.end.as_ref().and_then(|end| end.interrupted);
        let clients: Vec<ClientEnd> = self.clients.iter().zip(&runs).map(client).collect();
        (self.steps_counted(&clients).end(clients, interrupted, policy.clone()), runs)
    }

    /// Its steps; whether those that speak of findings held is evaluated again.
    pub(super) fn steps_counted(&self, clients: &[ClientEnd]) -> Steps {
        let clients: Vec<Client<'_>> = self.at_the_end(clients);
        let mut counted = Steps::default();
        for (_, step) in &self.steps {
            match of_findings(step).and_then(|step| Some((evaluate(&step, &clients)?.held(), step))) {
                Some((held, step)) => counted.see(&Step { held, ..step }),
                None => counted.see(step),
            }
        }
        counted
    }

    /// Its clients when all is over, with what was found of them.
    fn at_the_end<'a>(&'a self, ends: &'a [ClientEnd]) -> Vec<Client<'a>> {
        let clients = self.clients.iter().zip(ends);
        clients.map(|((name, run), end)| Client { name, judge: &run.judge, findings: &end.findings }).collect()
    }

    /// What of it does not hold, but for its clients' runs; `end` is what it comes to.
    pub(super) fn checks(&mut self, end: &ScenarioEnd) -> Checks {
        let mut checks = std::mem::take(&mut self.checks);
        let mut behind = self.steps.iter().skip_while(|(_, step)| step.of_findings().is_none());
        let misplaced = behind.find(|(_, step)| step.of_findings().is_none()).map(|(line, _)| *line);
        checks.check(Rule::Lines, misplaced, misplaced.is_none(), || {
            "what is judged at the end stands behind all other steps".to_owned()
        });
        let told = std::mem::take(&mut self.told);
        if self.is_partial() {
            return checks;
        }
        checks.add(told.end(&self.steps, &self.at_the_end(&end.clients), end.interrupted.is_some()));
        checks
    }

    /// A line of a client's, or of its own.
    fn take(&mut self, line: Line, passing: &mut impl FnMut(Passing<'_>)) {
        let number = line.number;
        let what = line.event.as_ref().map(|event| &event.what);
        let client = line.envelope.as_ref().and_then(|envelope| envelope.client.as_deref());
        if let (Some(What::RunStart(_)), Some(name), None) = (what, client, &self.end)
            && self.clients.iter().all(|(other, _)| other != name)
        {
            self.clients.push((name.to_owned(), StoredRun::new(Whose::Client(name.to_owned()))));
        }
        let its_own = matches!(what, Some(What::Step(_) | What::ScenarioEnd(_)));
        let last = self.clients.last().map(|(name, _)| name.clone());
        let run = self.clients.iter_mut().find(|(name, _)| !its_own && client == Some(name));
        if let Some((name, run)) = run {
            // In files of version 2 one client's lines come after the other's.
            let over = self.end.is_some() || (self.start.schema_version == 2 && last.as_ref() != Some(name));
            if over {
                self.checks.check(Rule::Lines, number, false, || {
                    "the scenario, or that client's part of it, had ended".to_owned()
                });
            }
            run.take(line, Some(&mut self.told), passing);
            return;
        }
        self.is_partial |= line.is_lost;
        self.is_policy_partial |= line.adds_to("judged_by");
        let Some(event) = self.form.take(line, &mut self.checks) else { return };
        passing(Passing { line: number, within: Within::default(), event: &event });
        match event.what {
            What::Step(step) => {
                let in_time = self.start.schema_version > 2 || self.clients.is_empty();
                self.checks.check(Rule::Lines, number, in_time, || "the steps had ended".to_owned());
                let unjudged =
                    self.start.schema_version > 2 && step.expectation.is_none() && step.held && step.is_judged();
                self.checks.check(Rule::Steps, number, !unjudged, || {
                    format!("{}: what was expected of it, as it is evaluated, is missing", step.text)
                });
                let (before, said) = (self.clients.iter().map(|(_, run)| run.lines).sum::<u64>(), step.events_before);
                self.checks.check(Rule::Lines, number, said.is_none_or(|said| said == before), || {
                    let said = said.unwrap_or_default();
                    format!("it was judged behind {said} events of its clients, and stands behind {before}")
                });
                let clients = self.clients.iter();
                let clients: Vec<Client<'_>> =
                    clients.map(|(name, run)| Client { name, judge: &run.judge, findings: &[] }).collect();
                self.told.step(number, event.at, &step, &clients);
                self.steps.push((number, *step));
            }
            What::ScenarioEnd(end) => {
                self.told.took(event.at);
                self.end = Some(end);
                self.end_line = Some(number);
            }
            _ => {}
        }
    }
}
