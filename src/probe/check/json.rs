//! A check as one JSON object.

use serde::{Serialize, Serializer};

use super::{Check, Diagnostic, Feature, Phase};
use crate::protocol::{Capabilities, Failure};
use crate::report::{SCHEMA_VERSION, indented};

/// The check as one JSON object, indented, with a newline at its end.
///
/// Scripts depend on its names: under one `schema_version` names are added, never renamed.
#[must_use]
pub fn check_json(check: &Check) -> Vec<u8> {
    indented(&Document {
        schema_version: SCHEMA_VERSION,
        check,
        matters: check.features(),
        findings: check.diagnostics(),
        failures: check.failures().collect(),
        exit_code: check.conclusion().exit_code(),
    })
}

/// What is known, and what follows from it.
#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    #[serde(flatten)]
    check: &'a Check,
    matters: Vec<Feature>,
    findings: Vec<Diagnostic>,
    failures: Vec<&'a Failure>,
    exit_code: u8,
}

/// The latest list of each phase; null if there was none, or if the server does not say what it can do.
pub(super) fn by_phase<S: Serializer>(offers: &[(Phase, Capabilities)], serializer: S) -> Result<S::Ok, S::Error> {
    let latest = |phase| offers.iter().rev().find(|(then, _)| *then == phase).map(|(_, offers)| offers);
    let said =
        |phase| latest(phase).filter(|offers| !offers.is_unsaid()).map(|offers| offers.iter().collect::<Vec<_>>());
    serializer.collect_map(Phase::ALL.map(|phase| (phase.name(), said(phase))))
}
