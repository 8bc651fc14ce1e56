//! A scenario's file read back: its steps, each client's run, and whether what they say of each other can have been so.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::time::SystemTime;

use serde::Serialize;

use super::verification::{
    CheckShape, DoubtShape, LogShape, Verification, came_to, checks, compare, conclusion_of, doubts, joined,
};
use super::{Order, Stream, Trace, at_line, passed_over};
use crate::event::{Event, Line, Reader, RunEnd, ScenarioEnd, ScenarioStart, Unreadable, What};
use crate::protocol::Protocol;
use crate::record::{AgainstLog, Audit, FindingExpected, LINES, Outcome, RUN_END, Run, Scenario, StepDone};
use crate::report::json::SCHEMA_VERSION;
use crate::report::model::ScenarioReport;
use crate::report::table::grid::paragraph;
use crate::report::words::{many, printable};

/// A scenario's file, read.
#[derive(Debug)]
pub struct ScenarioTrace {
    /// The version of mailconn that wrote it.
    pub tool_version: String,
    /// How many lines it has.
    pub lines: u64,
    /// What a later version added and this one passed over, in words; none if there was nothing.
    pub passed_over: Option<String>,
    name: String,
    server: String,
    protocol: Protocol,
    started: SystemTime,
    /// Each with the number of its line.
    steps: Vec<(u64, StepDone)>,
    clients: Vec<(String, Trace)>,
    /// What the file says that it all came to, and in which line.
    claims: Option<(u64, ScenarioEnd)>,
    form: Audit,
    order: Order,
}

impl ScenarioTrace {
    /// Reads all scenarios of a file, whose first line was read.
    pub(super) fn read_all<R: BufRead>(lines: &mut Reader<R>, first: Line) -> Result<Vec<Self>, Unreadable> {
        let mut all = Vec::new();
        let mut next = Some(first);
        while let Some(start) = next.take() {
            let Some(mut scenario) = Self::begin(start) else { break };
            let mut runs: Vec<Stream> = Vec::new();
            while let Some(line) = lines.next_line()? {
                let what = line.event.as_ref().map(|event| &event.what);
                if matches!(what, Some(What::ScenarioStart(_))) {
                    next = Some(line);
                    break;
                }
                scenario.lines += 1;
                let client = line.envelope.as_ref().and_then(|envelope| envelope.client.as_deref());
                let is_start = matches!(what, Some(What::RunStart(_))) && scenario.claims.is_none();
                let known = runs.iter_mut().find(|run| client.is_some() && run.client.as_deref() == client);
                match known {
                    Some(run) if scenario.claims.is_none() => run.take(line),
                    None if is_start => {
                        let mut run = Stream { client: client.map(str::to_owned), ..Stream::default() };
                        run.take(line);
                        runs.push(run);
                    }
                    _ => scenario.line(line),
                }
            }
            runs.into_iter().for_each(|run| scenario.ends(run));
            let ended = scenario.claims.is_some();
            scenario.form.check(LINES, None, ended, || {
                "there is no scenario-end: the file ends before its scenario, or what came after is missing".to_owned()
            });
            all.push(scenario);
        }
        if let Some(first) = all.first_mut() {
            first.passed_over = passed_over(lines);
        }
        Ok(all)
    }

    fn begin(line: Line) -> Option<Self> {
        let Some(What::ScenarioStart(start)) = line.event.map(|event| event.what) else { return None };
        let ScenarioStart { tool_version, started, name, server, protocol, .. } = *start;
        let mut trace = Self {
            tool_version,
            lines: 1,
            passed_over: None,
            name,
            server,
            protocol,
            started,
            steps: Vec::new(),
            clients: Vec::new(),
            claims: None,
            form: Audit::default(),
            order: Order::default(),
        };
        if let Some(envelope) = &line.envelope {
            trace.order.place(&mut trace.form, Some(started), at_line(line.number), envelope);
        }
        trace.form.check(LINES, at_line(line.number), line.fault.is_none(), || line.fault.unwrap_or_default());
        Some(trace)
    }

    /// Whether every line was understood, and the last one says what it all came to.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.form.holds() && self.clients.iter().all(|(_, trace)| trace.is_whole())
    }

    /// The run of a client ends.
    fn ends(&mut self, run: Stream) {
        let name = run.client.clone().unwrap_or_default();
        let form = run.form.clone();
        match Trace::of(run) {
            Some(trace) => self.clients.push((name, trace)),
            None => self.form.add(form),
        }
    }

    /// A line of its own: a step, or the end.
    fn line(&mut self, line: Line) {
        let at = at_line(line.number);
        if let Some(envelope) = line.envelope.as_ref().filter(|envelope| envelope.client.is_none()) {
            self.order.place(&mut self.form, Some(self.started), at, envelope);
        }
        let belongs = line.event.map_or(Ok(()), |event| self.event(line.number, event));
        let understood = line.fault.map_or(belongs, Err);
        self.form.check(LINES, at, understood.is_ok(), || understood.err().unwrap_or_default());
    }

    fn event(&mut self, number: u64, event: Event) -> Result<(), String> {
        if self.claims.is_some() {
            return Err("the scenario had ended".to_owned());
        }
        match event.what {
            What::Step(step) => {
                self.steps.push((number, StepDone::from_step(*step, event.at)?));
                Ok(())
            }
            What::ScenarioEnd(end) => {
                self.claims = Some((number, *end));
                Ok(())
            }
            other => Err(format!("{:?} does not belong here", other.name())),
        }
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
        let ScenarioTrace {
            tool_version,
            lines,
            name,
            server,
            protocol,
            started,
            steps,
            clients,
            claims,
            form,
            passed_over,
            ..
        } = trace;
        let mut audit = form;
        let interrupted = claims.as_ref().and_then(|(_, claims)| claims.interrupted);
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
                    audit.check(LINES, at_line(line), judged.is_empty(), || {
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
            interrupted,
        };
        let of_step = |at: u64| {
            usize::try_from(at).ok().and_then(|at| places.get(at)).and_then(|line| at_line(*line)).unwrap_or_default()
        };
        audit.add(Audit::of_steps(&scenario).renumbered(of_step));
        // All clients are judged by one policy. Where there are none, only the end can say it.
        let by_the_end = claims.as_ref().map(|(_, claims)| claims.judged_by.clone());
        let policy = clients.first().map(|client| client.report().policy.clone()).or(by_the_end).unwrap_or_default();
        for client in clients.iter().filter(|client| client.report().policy != policy) {
            audit.check(RUN_END, None, false, || {
                format!("judged_by: the run {} was judged by another policy than the first", client.run().header.run_id)
            });
        }
        let verdicts = clients.iter().map(|client| client.report().verdict.clone()).collect();
        let outcome = scenario.outcome_of(verdicts, policy);
        for ((line, said), due) in judged.iter().zip(&outcome.findings) {
            let holds = said.expected == due.expected && said.instead == due.instead && said.at == due.at;
            audit.check(RUN_END, at_line(*line), holds, || {
                let due = due.instead.as_deref().unwrap_or("as expected");
                format!("{}: the events come to {due}, it says otherwise", said.text)
            });
        }
        if let Some((line, claims)) = &claims {
            let due = scenario.end(&outcome);
            compare(&mut audit, at_line(*line), &due, claims);
        }
        let said_exit_code = claims.as_ref().map(|(_, claims)| u64::from(claims.exit_code));
        Self {
            audit,
            scenario,
            outcome,
            started,
            clients,
            tool_version,
            lines,
            said_exit_code,
            joined: passed_over.into_iter().collect(),
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

    /// The scenario told again.
    #[must_use]
    pub fn report(&self) -> ScenarioReport {
        let Self { scenario, outcome, started, tool_version, .. } = self;
        let start = ScenarioStart {
            schema_version: SCHEMA_VERSION,
            tool_version: tool_version.clone(),
            started: *started,
            name: scenario.name.clone(),
            server: scenario.server.clone(),
            protocol: scenario.protocol,
        };
        ScenarioReport {
            start,
            steps: scenario.steps.iter().chain(&outcome.findings).map(StepDone::step).collect(),
            proofs: outcome.verdicts.iter().map(|verdict| verdict.proof).collect(),
            end: Some(self.due()),
        }
    }

    /// What its `scenario-end` must say.
    fn due(&self) -> ScenarioEnd {
        self.scenario.end(&self.outcome)
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
        came_to("scenario", verification.said_exit_code, outcome.exit_code, &verification.report().why(),),
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
    recomputed: ScenarioEnd,
    /// What each client's `run-end` must say, by its name.
    runs: BTreeMap<&'a str, RunEnd>,
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
    let ScenarioVerification { audit, scenario, clients, tool_version, lines, said_exit_code, joined, log, .. } =
        verification;
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
        recomputed: verification.due(),
        runs: scenario.clients.iter().zip(clients).map(|((name, _), client)| (&**name, client.due())).collect(),
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

/// What a step that is judged at the end expects of the findings.
fn finding_expected(step: &StepDone) -> Option<FindingExpected> {
    let words: Vec<&str> = step.text.split_whitespace().collect();
    let (id, there) = match words[..] {
        ["expect", "finding", id] => (Some(id.to_owned()), true),
        ["expect", "no", "finding", id] => (Some(id.to_owned()), false),
        ["expect", "no", "findings"] => (None, false),
        _ => return None,
    };
    Some(FindingExpected { line: step.line, text: step.text.clone(), id, there })
}
