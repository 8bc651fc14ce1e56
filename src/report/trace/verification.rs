//! What checking a run's file came to, for people and for scripts.

use serde::Serialize;
use serde_json::Value;

use super::{Trace, at_line};
use crate::event::RunEnd;
use crate::record::{AgainstLog, Audit, Doubt, LINES, RULES, RUN_END, Rule, Run, SEQUENCE, Tested, WITNESS};
use crate::report::json::SCHEMA_VERSION;
use crate::report::model::RunReport;
use crate::report::table::grid::{labelled, paragraph};
use crate::report::words::{concluded, count, many, printable};

/// A run's file against every rule, and against itself.
#[derive(Debug)]
pub struct Verification {
    /// What was checked, and what does not hold.
    pub audit: Audit,
    run: Run,
    report: RunReport,
    lines: u64,
    /// What the file says that the run came to.
    said_exit_code: Option<u64>,
    /// What the server's own log was joined to, and what it was not, in words.
    joined: Vec<String>,
    log: Option<LogShape>,
}

impl Verification {
    /// Checks a file.
    #[must_use]
    pub fn of(trace: Trace) -> Self {
        let Trace { run, report, lines, places, claims, form, passed_over, judged } = trace;
        let mut audit = form;
        audit.add(judged);
        audit.add(Audit::of(&run).renumbered(|entry| Trace::place(&places, entry)));
        if let Some((line, claims)) = &claims {
            compare(&mut audit, at_line(*line), &report.run_end(), claims);
            let by_sandbox = run.header.server.starts_with("sandbox");
            if by_sandbox != run.witness.is_some() {
                let server = printable(&run.header.server);
                audit.check(WITNESS, None, false, || {
                    format!("the server was {server}: its own record must be there if and only if it is the sandbox")
                });
            }
        }
        let said_exit_code = claims.as_ref().map(|(_, claims)| u64::from(claims.exit_code));
        let joined = passed_over.into_iter().collect();
        Self { audit, run, report, lines, said_exit_code, joined, log: None }
    }

    /// The run that the file is of.
    #[must_use]
    pub const fn run(&self) -> &Run {
        &self.run
    }

    /// What its `run-end` must say.
    pub(super) fn due(&self) -> RunEnd {
        self.report.run_end()
    }

    /// What the run comes to.
    pub(super) const fn report(&self) -> &RunReport {
        &self.report
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

    /// The process's exit code for it: 0 or 7, whatever the run itself came to.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.holds() { 0 } else { 7 }
    }
}

/// Every figure that is due must be claimed; words may be others.
pub(super) fn compare<T: Serialize>(audit: &mut Audit, entry: Option<u64>, due: &T, claimed: &T) {
    match (serde_json::to_value(due), serde_json::to_value(claimed)) {
        (Ok(due), Ok(claimed)) => compare_at(audit, entry, "", &due, &claimed),
        (Err(error), _) | (_, Err(error)) => audit.check(RUN_END, None, false, || error.to_string()),
    }
}

fn compare_at(audit: &mut Audit, entry: Option<u64>, at: &str, due: &Value, claimed: &Value) {
    match due {
        Value::Object(fields) => {
            for (name, due) in fields.iter().filter(|(name, _)| !["sentence", "evidence"].contains(&name.as_str())) {
                let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                compare_at(audit, entry, &path, due, &claimed[name]);
            }
        }
        Value::Array(items) => {
            let found = claimed.as_array().map_or(0, Vec::len);
            audit.check(RUN_END, entry, claimed.is_array() && found == items.len(), || {
                format!("{at}: the events come to {} of them, it has {found}", items.len())
            });
            for (number, due) in items.iter().enumerate() {
                compare_at(audit, entry, &format!("{at}[{number}]"), due, &claimed[number]);
            }
        }
        due => audit.check(RUN_END, entry, due == claimed, || {
            format!("{at}: the events come to {due}, it says {}", printable(&claimed.to_string()))
        }),
    }
}

/// The line of the file that an entry is: the first is `run-start`, and lines are counted from 1.
const fn line(doubt: &Doubt) -> Option<u64> {
    match doubt.entry {
        Some(seq) => Some(seq + 2),
        None => None,
    }
}

/// For people, at most 80 columns wide.
#[must_use]
pub fn verification_text(verification: &Verification) -> String {
    let Verification { audit, run, report, lines, joined, .. } = verification;
    let RunReport { summary, verdict, .. } = report;
    let header = &run.header;
    let mut text = paragraph(&format!(
        "verify run {} of mailconn {}: {}, {}, {}, {}",
        printable(&header.run_id),
        printable(&header.tool_version),
        printable(&header.server),
        header.mode,
        many(header.workers.len() as u64, "worker"),
        many(*lines, "line"),
    ));
    text += &paragraph(&format!(
        "{} ran on {}; {}",
        many(summary.operations.issued, "operation"),
        many(summary.connections.opened as u64, "session"),
        came_to("run", verification.said_exit_code, verdict.conclusion.exit_code(), &concluded(verdict)),
    ));
    text.push('\n');
    text += &checks(audit, run.witness.is_some());
    if run.witness.is_none() && joined.is_empty() {
        text += &paragraph("The file holds no record of the server's own: what it cannot contradict is not checked.");
    }
    for line in joined {
        text += &paragraph(&printable(line));
    }
    text += &doubts(audit);
    text + &conclusion_of(verification.holds(), verification.exit_code())
}

/// How often each rule was checked, and held; of a run without a server's record that there is none.
pub(super) fn checks(audit: &Audit, witnessed: bool) -> String {
    let mut text = paragraph(
        "How often each rule was asked, about a line, an operation, a session or a figure, and how often it held:",
    );
    let rows = RULES.into_iter().filter_map(|rule| {
        let tested = audit.of_rule(rule.name);
        if tested.checked == 0 {
            return (rule.name == WITNESS && !witnessed).then(|| row(rule, "not available", ""));
        }
        let held = format!("{} of {}", count(tested.held), count(tested.checked));
        Some(row(rule, &held, if tested.held == tested.checked { "" } else { "NOT HELD: " }))
    });
    text += &labelled(rows);
    text
}

pub(super) fn conclusion_of(holds: bool, exit_code: u8) -> String {
    let outcome =
        if holds { "the trace is sound: it says what happened" } else { "something in the trace does not hold" };
    format!("\n{}", paragraph(&format!("exit {exit_code}: {outcome}")))
}

fn row(rule: Rule, held: &str, mark: &str) -> (String, String) {
    (format!("  {:<11} {held:>15}  ", rule.name), format!("{mark}{}", rule.says))
}

/// What the file says that it came to, and what its events come to if that is something else.
pub(super) fn came_to(what: &str, said: Option<u64>, due: u8, sentence: &str) -> String {
    match said {
        Some(said) if said == u64::from(due) => format!("as recorded the {what} came to exit {due}: {sentence}"),
        Some(said) => {
            format!("the file says that the {what} came to exit {said}, its events come to {due}: {sentence}")
        }
        None => format!("the file does not say what the {what} came to, its events come to exit {due}: {sentence}"),
    }
}

/// So many are told of; the others are counted.
const TOLD: usize = 12;

/// What does not hold, if anything does not: of a file that is not whole that alone, since the rest may follow from it.
pub(super) fn doubts(audit: &Audit) -> String {
    if audit.doubts.is_empty() {
        return String::new();
    }
    let broken: u64 = audit.tested().map(|(_, tested)| tested.checked - tested.held).sum();
    let of = |rules: &[&str]| audit.doubts.iter().filter(|doubt| rules.contains(&doubt.rule)).collect::<Vec<_>>();
    let gaps = of(&[LINES, SEQUENCE]);
    let whole = gaps.is_empty();
    let figures = of(&[RUN_END]);
    let mut told = match whole {
        true => audit.doubts.iter().filter(|doubt| doubt.rule != RUN_END).collect(),
        false => gaps,
    };
    if told.is_empty() {
        told = figures;
    }
    told.truncate(TOLD);
    let rows = told.iter().map(|doubt| {
        let at = line(doubt).map_or_else(|| "file".to_owned(), |line| format!("line {}", count(line)));
        (format!("  {at:<11} {:<12} ", doubt.rule), printable(&doubt.sentence))
    });
    let mut text = format!("\n{}{}", paragraph("What does not hold:"), labelled(rows));
    let more = broken.saturating_sub(told.len() as u64);
    if more > 0 {
        let cause = if whole { "those" } else { "the file not being whole" };
        text +=
            &paragraph(&format!("and {} more that may follow from {cause} (more of them: --format json)", count(more)));
    }
    text
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
    recomputed: RunEnd,
    exit_code: u8,
}

#[derive(Serialize)]
struct TraceShape<'a> {
    run_id: &'a str,
    tool_version: &'a str,
    server: &'a str,
    lines: u64,
    exit_code: Option<u64>,
    /// Whether it holds the server's own record.
    witness: bool,
}

/// How much of the run a server's log bears out.
#[derive(Debug, Serialize)]
pub(super) struct LogShape {
    signed_in: u64,
    sessions: u64,
    transcripts: u64,
    commands: u64,
}

impl LogShape {
    pub(super) fn of(against: &AgainstLog) -> Self {
        let AgainstLog { signed_in, sessions, transcripts, commands, .. } = *against;
        Self { signed_in, sessions, transcripts, commands }
    }
}

/// What was joined with a server's log, in words, and how much of it with its transcripts if there were to be any.
pub(super) fn joined(against: &AgainstLog, transcripts: bool) -> Vec<String> {
    let mut said = against.said.clone();
    if transcripts {
        said.push(format!(
            "of the {} that were joined, {} compared with their transcripts: {}",
            count(against.sessions),
            if against.transcripts == 1 { "1 was".to_owned() } else { format!("{} were", count(against.transcripts)) },
            many(against.commands, "command"),
        ));
    }
    said
}

#[derive(Serialize)]
pub(super) struct CheckShape {
    rule: &'static str,
    says: &'static str,
    checked: u64,
    held: u64,
}

#[derive(Serialize)]
pub(super) struct DoubtShape<'a> {
    rule: &'static str,
    line: Option<u64>,
    sentence: &'a str,
}

impl From<(Rule, Tested)> for CheckShape {
    fn from((rule, tested): (Rule, Tested)) -> Self {
        Self { rule: rule.name, says: rule.says, checked: tested.checked, held: tested.held }
    }
}

impl<'a> From<&'a Doubt> for DoubtShape<'a> {
    fn from(doubt: &'a Doubt) -> Self {
        Self { rule: doubt.rule, line: line(doubt), sentence: &doubt.sentence }
    }
}

/// One JSON object, indented, with a newline at its end. `recomputed` is what `run-end` must say.
#[must_use]
pub fn verification_json(verification: &Verification) -> Vec<u8> {
    let Verification { audit, run, lines, said_exit_code, joined, log, .. } = verification;
    let shape = VerificationShape {
        schema_version: SCHEMA_VERSION,
        tool_version: env!("CARGO_PKG_VERSION"),
        trace: TraceShape {
            run_id: &run.header.run_id,
            tool_version: &run.header.tool_version,
            server: &run.header.server,
            lines: *lines,
            exit_code: *said_exit_code,
            witness: run.witness.is_some(),
        },
        holds: verification.holds(),
        checks: audit.tested().map(Into::into).collect(),
        doubts: audit.doubts.iter().map(Into::into).collect(),
        joined,
        server_log: log.as_ref(),
        recomputed: verification.due(),
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
