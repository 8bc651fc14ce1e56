//! A check as one JSON object.

use serde::Serialize;

use super::{Check, Diagnostic, Feature};
use crate::protocol::Failure;
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
