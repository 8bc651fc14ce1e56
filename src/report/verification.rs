//! What checking a stored file came to, for people and for scripts; of runs and scenarios alike.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::comparison;
use super::json::{SCHEMA_VERSION, indented};
use super::layout::{Layout, Tone};
use super::scenario::reason_of;
use super::table::gates;
use super::words::{concluded, count, many, printable};
use crate::event::{ComparisonEnd, Gated, PassedOver, RunEnd, ScenarioEnd};
use crate::judge::{AgainstLog, Doubt, Rule, Subject, Verification, Verified};

/// The most doubts that are told; the others are counted.
const TOLD: usize = 12;

/// For people, at most 80 columns wide.
#[must_use]
pub fn verification_text(layout: Layout, verification: &Verification) -> String {
    let Verification { checks, verified, .. } = verification;
    let mut text: String = verified.iter().map(|it| beginning(layout, it)).collect();
    text += "\n";
    text += &layout.paragraph(
        "How often each rule was asked, about a line, an operation, a session or a figure, and how often it held:",
    );
    let witnessed = verified.iter().any(|it| it.witnessed);
    let rows = Rule::ALL.into_iter().filter_map(|rule| {
        let tested = checks.of(rule);
        if tested.checked == 0 {
            return (rule == Rule::Witness && !witnessed).then(|| row(rule, "not available", true));
        }
        let held = format!("{} of {}", count(tested.held), count(tested.checked));
        Some(row(rule, &held, tested.held == tested.checked))
    });
    text += &layout.marked(rows);
    let joined = joined(verification);
    if !witnessed && verification.log.is_none() {
        text += &layout
            .paragraph("The file holds no record of the server's own: what it cannot contradict is not checked.");
    }
    for line in joined {
        text += &layout.paragraph(&printable(&line));
    }
    for (client, gated) in verified.iter().flat_map(|it| &it.gates) {
        let whose = if client.is_empty() { String::new() } else { format!("{}: ", printable(client)) };
        text += &gates::section(layout, &whose, std::slice::from_ref(gated));
    }
    text + &doubts(layout, verification)
        + &layout.toned(Tone::of(verification.exit_code() == 0), &conclusion(layout, verification))
}

fn beginning(layout: Layout, verified: &Verified) -> String {
    let lines = many(verified.lines, "line");
    let what = match &verified.subject {
        Subject::Run { start, .. } => format!(
            "verify run {} of mailconn {}: {}, {}, {}, {lines}",
            printable(&start.run_id),
            printable(&start.tool_version),
            printable(&start.server),
            start.mode,
            many(start.workers.len() as u64, "worker"),
        ),
        Subject::Scenario { start, due, runs, .. } => format!(
            "verify scenario {} of mailconn {}: {}, {}, {}, {lines}",
            printable(&start.name),
            printable(&start.tool_version),
            printable(&start.server),
            many(runs.len() as u64, "client"),
            many(due.steps as u64, "step"),
        ),
        Subject::Comparison { comparison, .. } => format!(
            "verify comparison of mailconn {}: {}, {}, {}, {lines}",
            printable(&comparison.start().tool_version),
            printable(&comparison.start().server),
            many(comparison.start().variants.len() as u64, "variant"),
            many(comparison.runs().len() as u64, "run"),
        ),
    };
    let (subject, why) = match &verified.subject {
        Subject::Run { verdict, .. } => ("run", concluded(verdict)),
        Subject::Scenario { steps, due, .. } => ("scenario", reason_of(steps, due)),
        Subject::Comparison { comparison, due, rounds, .. } => {
            ("comparison", comparison::reason(comparison, rounds, due))
        }
    };
    let due = verified.exit_code;
    let came = match verified.said {
        Some(said) if said == due => format!("as recorded the {subject} came to exit {due}: {why}"),
        Some(said) => {
            format!("the file says that the {subject} came to exit {said}, its events come to {due}: {why}")
        }
        None => format!("the file does not say what the {subject} came to, its events come to exit {due}: {why}"),
    };
    let (operations, sessions) = (many(verified.operations, "operation"), many(verified.sessions as u64, "session"));
    layout.paragraph(&what) + &layout.paragraph(&format!("{operations} ran on {sessions}; {came}"))
}

fn row(rule: Rule, held: &str, holds: bool) -> (Tone, String, String) {
    let mark = if holds { "" } else { "NOT HELD: " };
    let tone = if holds { Tone::Plain } else { Tone::Bad };
    (tone, format!("  {:<11} {held:>15}  ", rule.name()), format!("{mark}{}", rule.says()))
}

/// What does not hold, if anything does not: of a file that is not whole that alone, since the rest may follow from it.
fn doubts(layout: Layout, verification: &Verification) -> String {
    let checks = &verification.checks;
    let of = |rules: &[Rule]| checks.doubts.iter().filter(|doubt| rules.contains(&doubt.rule)).collect::<Vec<_>>();
    let gaps = of(&[Rule::Lines, Rule::Sequence]);
    let whole = gaps.is_empty();
    let mut told = match whole {
        true => checks.doubts.iter().filter(|doubt| doubt.rule != Rule::RunEnd).collect(),
        false => gaps,
    };
    if told.is_empty() {
        told = of(&[Rule::RunEnd]);
    }
    if told.is_empty() {
        return String::new();
    }
    told.truncate(TOLD);
    let rows = told.iter().map(|doubt| {
        let at = doubt.line.map_or_else(|| "file".to_owned(), |line| format!("line {}", count(line)));
        (format!("  {at:<11} {:<12} ", doubt.rule.name()), printable(&doubt.sentence))
    });
    let mut text = format!("\n{}{}", layout.paragraph("What does not hold:"), layout.labelled(rows));
    let broken: u64 = Rule::ALL.into_iter().map(|rule| checks.of(rule)).map(|it| it.checked - it.held).sum();
    let more = broken.saturating_sub(told.len() as u64);
    if more > 0 {
        let cause = if whole { "those" } else { "the file not being whole" };
        text += &layout
            .paragraph(&format!("and {} more that may follow from {cause} (more of them: --format json)", count(more)));
    }
    text
}

fn conclusion(layout: Layout, verification: &Verification) -> String {
    let outcome = match (verification.holds(), verification.new_exit_code()) {
        (true, None) => "the trace is sound: it says what happened".to_owned(),
        (true, Some(code)) => {
            format!("the trace is sound, and by these flags {}", judged(&verification.verified, code))
        }
        (false, _) => "something in the trace does not hold".to_owned(),
    };
    format!("\n{}", layout.whole(&format!("exit {}: {outcome}", verification.exit_code())))
}

/// Why all of it came to that code, judged anew: the reason of the first one that did.
fn judged(verified: &[Verified], code: u8) -> String {
    let reason = |it: &Verified| match &it.subject {
        Subject::Run { anew: Some(anew), .. } => (anew.conclusion.exit_code() == code).then(|| concluded(anew)),
        Subject::Scenario { steps, anew: Some(anew), .. } => (anew.exit_code == code).then(|| reason_of(steps, anew)),
        Subject::Comparison { rounds, anew: Some(anew), .. } => {
            (anew.1.exit_code == code).then(|| comparison::reason(&anew.0, rounds, &anew.1))
        }
        _ => None,
    };
    verified.iter().find_map(reason).unwrap_or_default()
}

/// In words: what of a later version was passed over, what was joined with a server's log, and what could not be.
fn joined(verification: &Verification) -> Vec<String> {
    let mut said = Vec::new();
    let PassedOver { count: number, names } = &verification.passed_over;
    let number = *number;
    if number > 0 {
        let were = if number == 1 { "was" } else { "were" };
        let additions = many(number, "addition");
        said.push(format!("{additions} of a later version {were} passed over: {}", names.join(", ")));
    }
    if verification.is_partial {
        said.push(
            "events are in words of a later version: order, figures and exit code were not compared; verify the file with \
             that version"
                .to_owned(),
        );
    }
    let Some(log) = &verification.log else { return said };
    said.extend(log.said.iter().cloned());
    if log.with_transcripts {
        said.push(format!(
            "of the {} that were joined, {} compared with their transcripts: {}",
            count(log.sessions),
            if log.transcripts == 1 { "1 was".to_owned() } else { format!("{} were", count(log.transcripts)) },
            many(log.commands, "command"),
        ));
    }
    said
}

/// What checking a stored file came to.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Verification")]
pub(super) struct VerificationShape<'a> {
    /// The version of the documents' form: 1. Under one number fields are added, and none is renamed or taken away.
    schema_version: u32,
    /// The version of mailconn that checked it.
    tool_version: &'static str,
    /// The file's lines.
    lines: u64,
    /// The runs, scenarios and comparisons of the file.
    traces: Vec<TraceShape<'a>>,
    /// Whether all holds that was checked.
    holds: bool,
    /// Each rule that was asked.
    checks: Vec<CheckShape>,
    /// What does not hold.
    doubts: Vec<DoubtShape<'a>>,
    /// In words: what was passed over, what was joined with a server's log, and what could not be.
    joined: Vec<String>,
    /// Null if there was no log to compare with.
    server_log: Option<LogShape>,
    /// What the process exits with.
    exit_code: u8,
}

/// A run, a scenario or a comparison of the file.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Trace")]
struct TraceShape<'a> {
    /// Null of a scenario, whose clients have one each, and of a comparison.
    run_id: Option<&'a str>,
    /// Null of all else.
    scenario: Option<&'a str>,
    /// The version of mailconn that wrote it.
    tool_version: &'a str,
    /// The server, without secrets.
    server: &'a str,
    /// Its lines.
    lines: u64,
    /// The exit code that it says; null if it says none.
    exit_code: Option<u8>,
    /// What the gates come to that it is judged by.
    gates: Vec<GateShape<'a>>,
    /// Whether it holds the server's own record.
    witness: bool,
    /// What its last line must say.
    recomputed: Recomputed<'a>,
    /// What each client's `run-end` must say, by its name.
    runs: BTreeMap<&'a str, &'a RunEnd>,
}

/// The end of a run, a scenario or a comparison.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Recomputed<'a> {
    Run(&'a RunEnd),
    Scenario(&'a ScenarioEnd),
    Comparison(&'a ComparisonEnd),
}

/// A gate of a trace.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TracesGate")]
struct GateShape<'a> {
    /// Of which client of a scenario; null of a run.
    client: Option<&'a str>,
    #[serde(flatten)]
    gated: &'a Gated,
}

/// How often a rule was asked, and how often it held.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RuleChecked")]
struct CheckShape {
    /// Its name.
    rule: &'static str,
    /// What it says.
    says: &'static str,
    /// About a line, an operation, a session or a figure.
    checked: u64,
    /// How often it held.
    held: u64,
}

/// What does not hold.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Doubt")]
struct DoubtShape<'a> {
    /// By which rule.
    rule: &'static str,
    /// In which line, from 1; null of the file as a whole.
    line: Option<u64>,
    /// In words, with both sides.
    sentence: &'a str,
}

/// How much of a run a server's log bears out.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ServerLog")]
struct LogShape {
    /// Sessions of the file that signed in.
    signed_in: u64,
    /// Those of them that were found in the log.
    sessions: u64,
    /// Those of them that have a transcript.
    transcripts: u64,
    /// The commands that were compared with transcripts.
    commands: u64,
}

impl<'a> From<&'a Doubt> for DoubtShape<'a> {
    fn from(Doubt { rule, line, sentence }: &'a Doubt) -> Self {
        Self { rule: rule.name(), line: *line, sentence }
    }
}

/// One JSON object, indented, with a newline at its end.
#[must_use]
pub fn verification_json(verification: &Verification) -> Vec<u8> {
    let Verification { checks, verified, lines, .. } = verification;
    let check = |rule: Rule| {
        let tested = checks.of(rule);
        let shape = CheckShape { rule: rule.name(), says: rule.says(), checked: tested.checked, held: tested.held };
        (tested.checked > 0).then_some(shape)
    };
    let log = |log: &AgainstLog| {
        let AgainstLog { signed_in, sessions, transcripts, commands, .. } = *log;
        LogShape { signed_in, sessions, transcripts, commands }
    };
    indented(&VerificationShape {
        schema_version: SCHEMA_VERSION,
        tool_version: env!("CARGO_PKG_VERSION"),
        lines: *lines,
        traces: verified.iter().map(trace).collect(),
        holds: verification.holds(),
        checks: Rule::ALL.into_iter().filter_map(check).collect(),
        doubts: checks.doubts.iter().map(Into::into).collect(),
        joined: joined(verification),
        server_log: verification.log.as_ref().map(log),
        exit_code: verification.exit_code(),
    })
}

fn gate((client, gated): &(String, Gated)) -> GateShape<'_> {
    GateShape { client: Some(&**client).filter(|client| !client.is_empty()), gated }
}

fn trace(verified: &Verified) -> TraceShape<'_> {
    let (tool_version, server, recomputed) = match &verified.subject {
        Subject::Run { start, due, .. } => (&start.tool_version, &start.server, Recomputed::Run(due)),
        Subject::Scenario { start, due, .. } => (&start.tool_version, &start.server, Recomputed::Scenario(due)),
        Subject::Comparison { comparison, due, .. } => {
            let start = comparison.start();
            (&start.tool_version, &start.server, Recomputed::Comparison(due))
        }
    };
    let (run_id, scenario, runs) = match &verified.subject {
        Subject::Run { start, .. } => (Some(&*start.run_id), None, BTreeMap::new()),
        Subject::Scenario { start, runs, .. } => {
            (None, Some(&*start.name), runs.iter().map(|(name, end)| (&**name, end)).collect())
        }
        Subject::Comparison { .. } => (None, None, BTreeMap::new()),
    };
    TraceShape {
        run_id,
        scenario,
        tool_version,
        server,
        lines: verified.lines,
        exit_code: verified.said,
        gates: verified.gates.iter().map(gate).collect(),
        witness: verified.witnessed,
        recomputed,
        runs,
    }
}
