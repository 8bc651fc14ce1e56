//! What checking a run's file came to, for people and for scripts.

use serde::Serialize;
use serde_json::Value;

use super::Trace;
use crate::record::{Audit, Doubt, RUN_END, Rule, Run, Summary, Tested, Verdict, WITNESS};
use crate::report::shapes::{SCHEMA_VERSION, TotalsShape};
use crate::report::table::grid::{labelled, paragraph};
use crate::report::words::{conclusion, count, many, printable};

/// A run's file against every rule, and against itself.
#[derive(Debug)]
pub struct Verification {
    /// What was checked, and what does not hold.
    pub audit: Audit,
    run: Run,
    summary: Summary,
    verdict: Verdict,
    tool_version: String,
    lines: u64,
    /// What the server's own log was joined to, and what it was not, in words.
    joined: Vec<String>,
}

impl Verification {
    /// Checks a file.
    #[must_use]
    pub fn of(trace: Trace) -> Self {
        let Trace { tool_version, run, first, lines, claims, form } = trace;
        let mut audit = form;
        audit.add(Audit::of(&run).renumbered(|entry| entry + first));
        let summary = Summary::of(&run);
        let verdict = Verdict::on(&run, &summary);
        if let Some(claims) = &claims {
            // What is as it was recomputed is as it must be; what stands beside it a later version may have added.
            match serde_json::to_value(TotalsShape::new(&run, &summary, &verdict)) {
                Ok(due) => compare(&mut audit, (first + lines).checked_sub(2), "", &due, claims),
                Err(error) => audit.check(RUN_END, None, false, || error.to_string()),
            }
            let by_sandbox = run.header.server.starts_with("sandbox");
            audit.check(WITNESS, None, by_sandbox == run.witness.is_some(), || {
                let server = printable(&run.header.server);
                format!("the server was {server}: its own record must be there if and only if it is the sandbox")
            });
        }
        Self { audit, run, summary, verdict, tool_version, lines, joined: Vec::new() }
    }

    /// The run that the file is of.
    #[must_use]
    pub const fn run(&self) -> &Run {
        &self.run
    }

    /// What its `run-end` must say.
    pub(super) fn totals(&self) -> TotalsShape<'_> {
        TotalsShape::new(&self.run, &self.summary, &self.verdict)
    }

    /// Adds what a comparison with a real server's log came to: what it checked, and in words what was joined and what not.
    pub fn join(&mut self, audit: Audit, joined: Vec<String>) {
        self.audit.add(audit);
        self.joined.extend(joined);
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

/// Every figure that is due must be claimed.
pub(super) fn compare(audit: &mut Audit, entry: Option<u64>, at: &str, due: &Value, claimed: &Value) {
    match due {
        Value::Object(fields) => {
            for (name, due) in fields {
                let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                compare(audit, entry, &path, due, &claimed[name]);
            }
        }
        Value::Array(items) => {
            let found = claimed.as_array().map_or(0, Vec::len);
            audit.check(RUN_END, entry, claimed.is_array() && found == items.len(), || {
                format!("{at}: the events come to {} of them, it has {found}", items.len())
            });
            for (number, due) in items.iter().enumerate() {
                compare(audit, entry, &format!("{at}[{number}]"), due, &claimed[number]);
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
    let Verification { audit, run, summary, verdict, tool_version, lines, joined } = verification;
    let header = &run.header;
    let mut text = paragraph(&format!(
        "verify run {} of mailconn {}: {}, {}, {}, {}",
        printable(&header.run_id),
        printable(tool_version),
        printable(&header.server),
        header.mode,
        many(header.workers.len() as u64, "worker"),
        many(*lines, "line"),
    ));
    text += &paragraph(&format!(
        "{} ran on {} sessions; as recorded the run came to exit {}: {}",
        many(summary.operations.issued, "operation"),
        count(summary.opened as u64),
        verdict.conclusion.exit_code(),
        conclusion(verdict.conclusion),
    ));
    text.push('\n');
    text += &checks(audit);
    if run.witness.is_none() && joined.is_empty() {
        text += &paragraph("The file holds no record of the server's own: what it cannot contradict is not checked.");
    }
    for line in joined {
        text += &paragraph(&printable(line));
    }
    text += &doubts(audit);
    text + &conclusion_of(verification.holds(), verification.exit_code())
}

/// How often each rule was checked, and held.
pub(super) fn checks(audit: &Audit) -> String {
    let rows = audit.tested().map(|(rule, tested)| {
        let held = format!("{} of {}", count(tested.held), count(tested.checked));
        let mark = if tested.held == tested.checked { "" } else { "NOT HELD: " };
        (format!("  {:<11} {held:>15}  ", rule.name), format!("{mark}{}", rule.says))
    });
    labelled(rows)
}

/// What does not hold, if anything does not.
pub(super) fn doubts(audit: &Audit) -> String {
    if audit.doubts.is_empty() {
        return String::new();
    }
    let rows = audit.doubts.iter().map(|doubt| {
        let at = line(doubt).map_or_else(|| "file".to_owned(), |line| format!("line {}", count(line)));
        (format!("  {at:<11} {:<12} ", doubt.rule), printable(&doubt.sentence))
    });
    format!("\n{}{}", paragraph("What does not hold:"), labelled(rows))
}

pub(super) fn conclusion_of(holds: bool, exit_code: u8) -> String {
    let outcome =
        if holds { "the trace is sound: it says what happened" } else { "something in the trace does not hold" };
    format!("\n{}", paragraph(&format!("exit {exit_code}: {outcome}")))
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
    recomputed: TotalsShape<'a>,
    exit_code: u8,
}

#[derive(Serialize)]
struct TraceShape<'a> {
    run_id: &'a str,
    tool_version: &'a str,
    server: &'a str,
    lines: u64,
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
    let Verification { audit, run, summary, verdict, tool_version, lines, joined } = verification;
    let shape = VerificationShape {
        schema_version: SCHEMA_VERSION,
        tool_version: env!("CARGO_PKG_VERSION"),
        trace: TraceShape { run_id: &run.header.run_id, tool_version, server: &run.header.server, lines: *lines },
        holds: verification.holds(),
        checks: audit.tested().map(Into::into).collect(),
        doubts: audit.doubts.iter().map(Into::into).collect(),
        joined,
        recomputed: TotalsShape::new(run, summary, verdict),
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
