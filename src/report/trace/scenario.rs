//! A scenario's file read back: its steps, each client's run, and whether what they say of each other can have been so.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::Value;

use super::verification::{
    CheckShape, DoubtShape, LogShape, Verification, came_to, checks, compare, conclusion_of, doubts, joined,
};
use super::{FIRST, LONGEST, Lines, NoTrace, Reading, Trace};
use crate::protocol::Protocol;
use crate::record::{
    AgainstLog, Audit, CLOCK, FindingExpected, LINES, Outcome, RUN_END, Run, SEQUENCE, Scenario, StepDone,
};
use crate::report::events::{self, Envelope, Event, RunStart};
use crate::report::scenario::shapes::{EndShape, Start, StepShape, finding_expected};
use crate::report::scenario::{scenario_begins, scenario_ends, scenario_step, why_so};
use crate::report::shapes::{SCHEMA_VERSION, TotalsShape, indented};
use crate::report::table::grid::paragraph;
use crate::report::words::{many, printable, wall};

/// How a scenario's file begins.
pub(super) const START: &str = Start::NAME;

/// A scenario's file, read.
#[derive(Debug)]
pub struct ScenarioTrace {
    /// The version of mailconn that wrote it.
    pub tool_version: String,
    /// How many lines it has.
    pub lines: u64,
    /// The number of its first one in the file, from 0; all others are counted from there.
    first: u64,
    name: String,
    server: String,
    protocol: Protocol,
    started: SystemTime,
    /// Each with the number of its line.
    steps: Vec<(u64, StepDone)>,
    clients: Vec<(String, Trace)>,
    /// What the file says that it all came to, and in which line.
    claims: Option<(u64, Value)>,
    form: Audit,
}

/// The doubt's entry that is told of as that line: entries are counted from the second line of a file.
const fn entry(line: u64) -> Option<u64> {
    line.checked_sub(1)
}

impl ScenarioTrace {
    /// Reads one, whose first line was read; and whether another one's first line was read at its end.
    pub(super) fn read<R: BufRead>(lines: &mut Lines<R>) -> Result<(Self, bool), NoTrace> {
        let first = lines.number - 1;
        let start: Start<'_> = events::read(&lines.line).map_err(NoTrace::NoStart)?;
        if start.schema_version != SCHEMA_VERSION {
            return Err(NoTrace::Version { found: u64::from(start.schema_version) });
        }
        let started = humantime::parse_rfc3339(&start.started);
        let started = started.map_err(|error| NoTrace::NoStart(format!("started: {error}")))?;
        let mut trace = Self {
            tool_version: start.tool_version.to_string(),
            first,
            lines: 1,
            name: start.name.to_string(),
            server: start.server.to_string(),
            protocol: start.protocol.0,
            started,
            steps: Vec::new(),
            clients: Vec::new(),
            claims: None,
            form: Audit::default(),
        };
        let envelope: Envelope<'_> = events::read(&lines.line).map_err(NoTrace::NoStart)?;
        trace.place(started, 0, Duration::ZERO, &envelope);
        let mut run: Option<(Trace, Reading)> = None;
        let mut last = Duration::ZERO;
        let mut another = false;
        while let Some(line) = lines.next(LONGEST.max(FIRST))? {
            let number = trace.lines;
            let event = events::read::<Envelope<'_>>(line);
            let event = event.as_ref().map(|envelope| &*envelope.event).unwrap_or_default();
            if event == START {
                another = true;
                break;
            }
            trace.lines += 1;
            if let Some((mut part, mut reading)) = run.take() {
                let goes_on = ![RunStart::NAME, StepShape::NAME, EndShape::NAME].contains(&event);
                if goes_on {
                    reading.line(&mut part, line);
                    run = Some((part, reading));
                    continue;
                }
                trace.add(part, &reading);
            }
            if event == RunStart::NAME && trace.claims.is_none() {
                let begun = Trace::begin(line, number, true);
                trace.form.check(LINES, entry(number), begun.is_ok(), || {
                    begun.as_ref().err().map(ToString::to_string).unwrap_or_default()
                });
                run = begun.ok();
                continue;
            }
            let understood = trace.line(started, number, &mut last, line);
            trace.form.check(LINES, entry(number), understood.is_ok(), || understood.err().unwrap_or_default());
        }
        if let Some((part, reading)) = run {
            trace.add(part, &reading);
        }
        let ended = trace.claims.is_some();
        trace.form.check(LINES, None, ended, || {
            "there is no scenario-end: the file ends before its scenario, or what came after is missing".to_owned()
        });
        Ok((trace, another))
    }

    /// Whether every line was understood, and the last one says what it all came to.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.form.holds() && self.clients.iter().all(|(_, trace)| trace.is_whole())
    }

    fn add(&mut self, mut part: Trace, reading: &Reading) {
        part.ends(reading.next - reading.first);
        let name = reading.client.as_ref().and_then(|client| client.name.as_str()).unwrap_or_default();
        self.clients.push((name.to_owned(), part));
    }

    /// A line of its own: a step, or the end.
    fn line(&mut self, started: SystemTime, number: u64, last: &mut Duration, line: &[u8]) -> Result<(), String> {
        let envelope: Envelope<'_> = events::read(line).map_err(|error| format!("no event: {error}"))?;
        self.place(started, number, *last, &envelope);
        *last = envelope.at_us.0.max(*last);
        if self.claims.is_some() {
            return Err("the scenario had ended".to_owned());
        }
        match &*envelope.event {
            StepShape::NAME if !self.clients.is_empty() => Err("the steps had ended".to_owned()),
            StepShape::NAME => {
                let step = events::read::<StepShape<'_>>(line)?.step(self.protocol, envelope.at_us.0)?;
                self.steps.push((number, step));
                Ok(())
            }
            EndShape::NAME => {
                self.claims = Some((number, events::read(line)?));
                Ok(())
            }
            other => Err(format!("{other:?} does not belong here")),
        }
    }

    /// Its number and its time.
    fn place(&mut self, started: SystemTime, due: u64, last: Duration, envelope: &Envelope<'_>) {
        let seq = entry(due);
        let at = envelope.at_us.0;
        self.form
            .check(SEQUENCE, seq, envelope.seq == due, || format!("number {due} is due, it says {}", envelope.seq));
        self.form.check(CLOCK, seq, at >= last, || format!("it is of {at:?}, a step before it of {last:?}"));
        let time = started.checked_add(at).map(wall);
        self.form.check(CLOCK, seq, time.as_deref() == Some(&*envelope.time), || {
            format!("at_us makes it {}, it says {}", time.unwrap_or_default(), envelope.time)
        });
    }
}

/// A scenario's file against every rule, and against itself.
#[derive(Debug)]
pub struct ScenarioVerification {
    /// What was checked, and what does not hold: of all clients' runs and of the steps.
    pub audit: Audit,
    scenario: Scenario,
    outcome: Outcome,
    started: SystemTime,
    clients: Vec<Verification>,
    tool_version: String,
    lines: u64,
    /// What the file says that the scenario came to.
    said_exit_code: Option<u64>,
    /// What the server's own log was joined to, and what it was not, in words.
    joined: Vec<String>,
    log: Option<LogShape>,
}

impl ScenarioVerification {
    /// Checks a file.
    #[must_use]
    pub fn of(trace: ScenarioTrace) -> Self {
        let ScenarioTrace { tool_version, first, lines, name, server, protocol, started, steps, clients, claims, form } =
            trace;
        let mut audit = form;
        let interrupted = claims.as_ref().and_then(|(_, claims)| claims["interrupted"].as_i64());
        let mut findings: Vec<FindingExpected> = Vec::new();
        let mut judged: Vec<(u64, StepDone)> = Vec::new();
        let mut done: Vec<(u64, StepDone)> = Vec::new();
        for (line, step) in steps {
            match finding_expected(&step) {
                Some(expected) => {
                    findings.push(expected);
                    judged.push((line, step));
                }
                None => {
                    audit.check(LINES, entry(line), judged.is_empty(), || {
                        "what is judged at the end stands behind all other steps".to_owned()
                    });
                    done.push((line, step));
                }
            }
        }
        let (names, clients): (Vec<String>, Vec<Verification>) =
            clients.into_iter().map(|(name, trace)| (name, Verification::of(trace))).unzip();
        for (name, client) in names.iter().zip(&clients) {
            let header = &client.run().header;
            audit.check(LINES, None, header.server == server && header.protocol == protocol, || {
                format!("the run of {name:?} was on another server than the scenario")
            });
            audit.add(client.audit.clone());
        }
        let (places, steps): (Vec<u64>, Vec<StepDone>) = done.into_iter().unzip();
        let scenario = Scenario {
            name,
            server,
            protocol,
            steps,
            findings,
            clients: names.into_iter().zip(clients.iter().map(|client| client.run().clone())).collect(),
            interrupted: interrupted.and_then(|signal| i32::try_from(signal).ok()),
        };
        let of_step = |at: u64| usize::try_from(at).ok().and_then(|at| places.get(at)).map_or(0, |line| line - 1);
        audit.add(Audit::of_steps(&scenario).renumbered(of_step));
        let outcome = scenario.outcome();
        for ((line, said), due) in judged.iter().zip(&outcome.findings) {
            let holds = said.expected == due.expected && said.instead == due.instead && said.at == due.at;
            audit.check(RUN_END, entry(*line), holds, || {
                let due = due.instead.as_deref().unwrap_or("as expected");
                format!("{}: the events come to {due}, it says otherwise", said.text)
            });
        }
        if let Some((line, claims)) = &claims {
            match serde_json::to_value(EndShape::new(&scenario, &outcome)) {
                Ok(due) => compare(&mut audit, entry(*line), "", &due, claims),
                Err(error) => audit.check(RUN_END, None, false, || error.to_string()),
            }
        }
        let audit = audit.renumbered(|entry| entry + first);
        let said_exit_code = claims.as_ref().and_then(|(_, claims)| claims["exit_code"].as_u64());
        Self {
            audit,
            scenario,
            outcome,
            started,
            clients,
            tool_version,
            lines,
            said_exit_code,
            joined: Vec::new(),
            log: None,
        }
    }

    /// What was done.
    #[must_use]
    pub const fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// What it comes to.
    #[must_use]
    pub const fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The runs of its clients.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.scenario.clients.iter().map(|(_, run)| run)
    }

    /// Adds what a comparison with a real server's log came to, with its transcripts if there were to be any.
    pub fn join(&mut self, against: AgainstLog, transcripts: bool) {
        self.log = Some(LogShape::of(&against));
        self.joined.extend(joined(&against, transcripts));
        self.audit.add(against.audit);
    }

    /// Whether everything holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.audit.holds()
    }

    /// The process's exit code for it: 0 or 7, whatever the scenario itself came to.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.holds() { 0 } else { 7 }
    }
}

/// For people, at most 80 columns wide.
#[must_use]
pub fn scenario_verification_text(verification: &ScenarioVerification) -> String {
    let ScenarioVerification { audit, scenario, outcome, tool_version, lines, joined, .. } = verification;
    let steps = scenario.steps.len() + outcome.findings.len();
    let mut text = paragraph(&format!(
        "verify scenario {} of mailconn {}: {}, {}, {}, {}",
        printable(&scenario.name),
        printable(tool_version),
        printable(&scenario.server),
        many(scenario.clients.len() as u64, "client"),
        many(steps as u64, "step"),
        many(*lines, "line"),
    ));
    let operations: u64 = scenario.clients.iter().map(|(_, run)| run.operations().count() as u64).sum();
    text += &paragraph(&format!(
        "{} ran; {}",
        many(operations, "operation"),
        came_to("scenario", verification.said_exit_code, outcome.exit_code, &why_so(scenario, outcome),),
    ));
    text.push('\n');
    let witnessed = scenario.clients.iter().any(|(_, run)| run.witness.is_some());
    text += &checks(audit, witnessed);
    if !witnessed && joined.is_empty() {
        text += &paragraph("The file holds no record of the server's own: what it cannot contradict is not checked.");
    }
    for line in joined {
        text += &paragraph(&printable(line));
    }
    text += &doubts(audit);
    text + &conclusion_of(verification.holds(), verification.exit_code())
}

#[derive(Serialize)]
struct VerificationShape<'a> {
    schema_version: u32,
    tool_version: &'static str,
    trace: TraceShape<'a>,
    holds: bool,
    checks: Vec<CheckShape>,
    doubts: Vec<DoubtShape<'a>>,
    joined: &'a [String],
    /// Null if there was no log to compare with.
    server_log: Option<&'a LogShape>,
    recomputed: EndShape<'a>,
    /// What each client's `run-end` must say, by its name.
    runs: BTreeMap<&'a str, TotalsShape<'a>>,
    exit_code: u8,
}

#[derive(Serialize)]
struct TraceShape<'a> {
    scenario: &'a str,
    tool_version: &'a str,
    server: &'a str,
    lines: u64,
    exit_code: Option<u64>,
}

/// One JSON object, indented, with a newline at its end. `recomputed` is what `scenario-end` must say.
#[must_use]
pub fn scenario_verification_json(verification: &ScenarioVerification) -> Vec<u8> {
    let ScenarioVerification {
        audit,
        scenario,
        outcome,
        clients,
        tool_version,
        lines,
        said_exit_code,
        joined,
        log,
        ..
    } = verification;
    let shape = VerificationShape {
        schema_version: SCHEMA_VERSION,
        tool_version: env!("CARGO_PKG_VERSION"),
        trace: TraceShape {
            scenario: &scenario.name,
            tool_version,
            server: &scenario.server,
            lines: *lines,
            exit_code: *said_exit_code,
        },
        holds: verification.holds(),
        checks: audit.tested().map(Into::into).collect(),
        doubts: audit.doubts.iter().map(Into::into).collect(),
        joined,
        server_log: log.as_ref(),
        recomputed: EndShape::new(scenario, outcome),
        runs: scenario.clients.iter().zip(clients).map(|((name, _), client)| (&**name, client.totals())).collect(),
        exit_code: verification.exit_code(),
    };
    #[expect(
        clippy::expect_used,
        reason = "string keys and plain numbers: nothing in these shapes can fail to serialise"
    )]
    let mut bytes = serde_json::to_vec_pretty(&shape).expect("the verification serialises");
    bytes.push(b'\n');
    bytes
}

/// For people, as it was told when it was performed; with an empty line at its end.
#[must_use]
pub fn scenario_text(verification: &ScenarioVerification) -> String {
    let ScenarioVerification { scenario, outcome, .. } = verification;
    let steps: String = scenario.steps.iter().map(scenario_step).collect();
    scenario_begins(&scenario.name, &scenario.server) + &steps + &scenario_ends(scenario, outcome) + "\n"
}

#[derive(Serialize)]
struct Stored<'a> {
    scenarios: Vec<ScenarioReport<'a>>,
}

#[derive(Serialize)]
struct ScenarioReport<'a> {
    #[serde(flatten)]
    start: Start<'a>,
    done: Vec<StepShape<'a>>,
    #[serde(flatten)]
    end: EndShape<'a>,
}

/// One JSON object, indented, with a newline at its end: `scenarios`, each with what its `scenario-start` and `scenario-end`
/// say, and its steps in `done`.
#[must_use]
pub fn scenarios_json(all: &[ScenarioVerification]) -> Vec<u8> {
    let scenarios = all.iter().map(|ScenarioVerification { scenario, outcome, started, tool_version, .. }| {
        let start = Start::new(wall(*started), &scenario.name, &scenario.server, scenario.protocol);
        ScenarioReport {
            start: Start { tool_version: tool_version.into(), ..start },
            done: scenario.steps.iter().chain(&outcome.findings).map(StepShape::from).collect(),
            end: EndShape::new(scenario, outcome),
        }
    });
    indented(&Stored { scenarios: scenarios.collect() })
}
