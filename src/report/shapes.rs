//! Serialised shapes that the JSON formats share.
//!
//! They stand here and not on the record's types, so that a field renamed there renames nothing in a script. Durations are
//! whole microseconds with the unit in the name; connections, sessions and workers go by their printed names. What a run's
//! file has of them is read back by the same shape that wrote it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::names::{Named, Us};
use super::words::{us, wall};
use crate::protocol::{FailureKind, Protocol, Stage, TlsDetails};
use crate::record::{Agreement, Asked, Counts, Failure, Finding, Latency, Phases, Run, SectionRow, Summary, Verdict};

/// The version of the JSON formats' shape. Fields may be added under one number; none is renamed or taken away.
pub const SCHEMA_VERSION: u32 = 1;

/// A report as one JSON object, with a newline at its end.
pub(super) fn indented(report: &impl Serialize) -> Vec<u8> {
    #[expect(
        clippy::expect_used,
        reason = "string keys and plain numbers: nothing in these shapes can fail to serialise"
    )]
    let mut bytes = serde_json::to_vec_pretty(report).expect("the report serialises");
    bytes.push(b'\n');
    bytes
}

/// How a report that stands alone begins, whatever it reports.
#[derive(Serialize)]
pub(super) struct Head<'a> {
    schema_version: u32,
    tool_version: &'a str,
    run_id: &'a str,
    started: String,
    server: &'a str,
    protocol: &'static str,
}

impl<'a> Head<'a> {
    pub(super) fn new(
        tool_version: &'a str,
        run_id: &'a str,
        started: SystemTime,
        server: &'a str,
        protocol: Protocol,
    ) -> Self {
        let (started, protocol) = (wall(started), protocol.name());
        Self { schema_version: SCHEMA_VERSION, tool_version, run_id, started, server, protocol }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct FailureShape<'a> {
    kind: Named<FailureKind>,
    stage: Named<Stage>,
    message: Cow<'a, str>,
    server_line: Option<Cow<'a, str>>,
    /// What else the server said in the same reply. Files of before do not have it.
    #[serde(default)]
    further_lines: Cow<'a, [String]>,
}

impl<'a> From<&'a Failure> for FailureShape<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            kind: Named(failure.kind),
            stage: Named(failure.stage),
            message: Cow::Borrowed(&failure.message),
            server_line: failure.server_line.as_deref().map(Cow::Borrowed),
            further_lines: Cow::Borrowed(&failure.further_lines),
        }
    }
}

impl From<FailureShape<'_>> for Failure {
    fn from(shape: FailureShape<'_>) -> Self {
        Self {
            kind: shape.kind.0,
            stage: shape.stage.0,
            message: shape.message.into_owned(),
            server_line: shape.server_line.map(Cow::into_owned),
            further_lines: shape.further_lines.into_owned(),
        }
    }
}

/// What each phase of a dial took; null for a phase that it did not come to, or does not have.
#[derive(Serialize, Deserialize)]
pub(super) struct DialShape {
    resolve: Option<Us>,
    connect: Option<Us>,
    tls: Option<Us>,
    greeting: Option<Us>,
    sign_in: Option<Us>,
}

impl From<&Phases> for DialShape {
    fn from(phases: &Phases) -> Self {
        Self {
            resolve: phases.resolve.map(Us),
            connect: phases.connect.map(Us),
            tls: phases.tls.map(Us),
            greeting: phases.greeting.map(Us),
            sign_in: phases.sign_in.map(Us),
        }
    }
}

impl From<DialShape> for Phases {
    fn from(shape: DialShape) -> Self {
        let time = |phase: Option<Us>| phase.map(|us| us.0);
        Self {
            resolve: time(shape.resolve),
            connect: time(shape.connect),
            tls: time(shape.tls),
            greeting: time(shape.greeting),
            sign_in: time(shape.sign_in),
        }
    }
}

/// What TLS agreed on.
#[derive(Serialize, Deserialize)]
pub(super) struct TlsShape<'a> {
    version: Cow<'a, str>,
    cipher: Cow<'a, str>,
    resumed: bool,
}

impl<'a> From<&'a TlsDetails> for TlsShape<'a> {
    fn from(tls: &'a TlsDetails) -> Self {
        Self { version: Cow::Borrowed(&tls.version), cipher: Cow::Borrowed(&tls.cipher), resumed: tls.resumed }
    }
}

impl From<TlsShape<'_>> for TlsDetails {
    fn from(shape: TlsShape<'_>) -> Self {
        // The shape says no more of it.
        Self {
            version: shape.version.into_owned(),
            cipher: shape.cipher.into_owned(),
            resumed: shape.resumed,
            server_name: String::new(),
            verified: false,
            certificate: None,
        }
    }
}

/// The same in one line: `TLSv1_3, TLS13_AES_256_GCM_SHA384`.
pub(super) fn tls(tls: &TlsDetails) -> String {
    format!("{}, {}", tls.version, tls.cipher)
}

/// How much was asked for: one of the three.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct AskedShape {
    operations_per_worker: Option<u64>,
    duration_us: Option<Us>,
    /// Where nothing is said of it, each worker was asked for a number of its own, or for a duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operations_in_all: Option<u64>,
}

impl From<Asked> for AskedShape {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Operations(each) => Self { operations_per_worker: Some(each), ..Self::default() },
            Asked::InAll(all) => Self { operations_in_all: Some(all), ..Self::default() },
            Asked::Duration(duration) => Self { duration_us: Some(Us(duration)), ..Self::default() },
        }
    }
}

impl TryFrom<AskedShape> for Asked {
    type Error = String;

    fn try_from(shape: AskedShape) -> Result<Self, String> {
        match (shape.operations_per_worker, shape.operations_in_all, shape.duration_us) {
            (Some(each), None, None) => Ok(Self::Operations(each)),
            (None, Some(all), None) => Ok(Self::InAll(all)),
            (None, None, Some(Us(duration))) => Ok(Self::Duration(duration)),
            _ => Err("asked: operations of each, operations in all or a duration, one of the three".to_owned()),
        }
    }
}

#[derive(Serialize)]
pub(super) struct CountsShape {
    asked: u64,
    issued: u64,
    ok: u64,
    failed: u64,
    not_issued: u64,
}

impl From<&Counts> for CountsShape {
    fn from(counts: &Counts) -> Self {
        Self {
            asked: counts.asked,
            issued: counts.issued,
            ok: counts.ok,
            failed: counts.failed,
            not_issued: counts.not_issued,
        }
    }
}

#[derive(Serialize)]
pub(super) struct LatencyShape {
    p50: u64,
    p99: u64,
    max: u64,
}

impl From<&Latency> for LatencyShape {
    fn from(latency: &Latency) -> Self {
        Self { p50: us(latency.p50), p99: us(latency.p99), max: us(latency.max) }
    }
}

#[derive(Serialize)]
pub(super) struct FindingShape<'a> {
    id: &'static str,
    severity: &'static str,
    count: u64,
    sentence: &'a str,
    evidence: &'a [String],
}

#[derive(Serialize)]
pub(super) struct AgreementShape {
    checked: u64,
    held: u64,
}

impl From<Agreement> for AgreementShape {
    fn from(agreement: Agreement) -> Self {
        Self { checked: agreement.checked, held: agreement.held }
    }
}

#[derive(Serialize)]
struct WitnessShape {
    available: bool,
    checked: u64,
    agreed: u64,
}

#[derive(Serialize)]
struct VerdictShape {
    rules: AgreementShape,
    witness: WitnessShape,
}

#[derive(Serialize)]
struct ConnectionsShape {
    opened: usize,
    peak: usize,
    main_opened: bool,
    still_open: usize,
}

/// What a run comes to: the same in both formats.
#[derive(Serialize)]
pub(super) struct TotalsShape<'a> {
    elapsed_us: u64,
    /// The number of the signal that ended the run early; else null.
    interrupted: Option<i32>,
    operations: CountsShape,
    connections: ConnectionsShape,
    wait_us: LatencyShape,
    service_us: LatencyShape,
    total_wait_us: u64,
    total_service_us: u64,
    /// From the beginning of the first operation to the end of the last: what a rate is over.
    worked_us: u64,
    /// Operations that were waiting when the time ran out: their waits are in `wait_us`, they are in no count.
    cut_off: CutOffShape,
    /// One for each mode that was in force, in order.
    sections: Vec<SectionShape<'a>>,
    findings: Vec<FindingShape<'a>>,
    verdict: VerdictShape,
    exit_code: u8,
}

#[derive(Serialize)]
struct CutOffShape {
    operations: u64,
    longest_wait_us: u64,
}

#[derive(Serialize)]
struct SectionShape<'a> {
    mode: &'static str,
    /// When the mode came into force.
    began_us: u64,
    operations: SectionCounts,
    /// How many operations each connection was given to.
    connections: BTreeMap<String, u64>,
    /// How many operations had each reason.
    reasons: &'a BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct SectionCounts {
    issued: u64,
    ok: u64,
    failed: u64,
}

impl<'a> From<&'a SectionRow> for SectionShape<'a> {
    fn from(row: &'a SectionRow) -> Self {
        Self {
            mode: row.mode.name(),
            began_us: us(row.began),
            operations: SectionCounts { issued: row.issued(), ok: row.ok, failed: row.failed },
            connections: row
                .connections
                .iter()
                .map(|(connection, (_, given))| (connection.to_string(), *given))
                .collect(),
            reasons: &row.reasons,
        }
    }
}

impl<'a> TotalsShape<'a> {
    pub(super) fn new(run: &Run, summary: &'a Summary, verdict: &'a Verdict) -> Self {
        Self {
            elapsed_us: us(run.end.elapsed),
            interrupted: run.end.interrupted,
            operations: (&summary.operations).into(),
            connections: ConnectionsShape {
                opened: summary.opened,
                peak: summary.peak,
                main_opened: summary.main_opened,
                still_open: run.end.still_open,
            },
            wait_us: (&summary.wait).into(),
            service_us: (&summary.service).into(),
            total_wait_us: us(summary.total_wait),
            total_service_us: us(summary.total_service),
            worked_us: us(summary.worked),
            cut_off: CutOffShape {
                operations: summary.cut_off.operations,
                longest_wait_us: us(summary.cut_off.longest),
            },
            sections: summary.sections.iter().map(Into::into).collect(),
            findings: verdict.findings.iter().map(finding).collect(),
            verdict: VerdictShape { rules: verdict.rules.into(), witness: witness(verdict.witness) },
            exit_code: verdict.conclusion.exit_code(),
        }
    }
}

pub(super) fn finding(finding: &Finding) -> FindingShape<'_> {
    FindingShape {
        id: finding.id,
        severity: finding.severity.name(),
        count: finding.count,
        sentence: &finding.sentence,
        evidence: &finding.evidence,
    }
}

/// Nothing compared is nothing agreed: a record that cannot be had counts 0 of 0.
fn witness(agreement: Option<Agreement>) -> WitnessShape {
    let Agreement { checked, held } = agreement.unwrap_or_default();
    WitnessShape { available: agreement.is_some(), checked, agreed: held }
}
