//! A check as one JSON object.

use schemars::{JsonSchema, Schema};
use serde::Serialize;

use super::{Check, Diagnostic, Feature};
use crate::event::schema;
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

/// A check: what is known of the server, and what follows from it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Check")]
struct Document<'a> {
    /// The version of the documents' form: 1. Under one number fields are added, and none is renamed or taken away.
    schema_version: u32,
    #[serde(flatten)]
    check: &'a Check,
    /// What the server offers, or lacks, that changes how many connections a client needs and what they cost.
    matters: Vec<Feature>,
    /// What is wrong with the server, and the cure.
    findings: Vec<Diagnostic>,
    /// What failed: nothing, one thing, or an operation and then the goodbye.
    failures: Vec<&'a Failure>,
    /// What the process exits with.
    exit_code: u8,
}

/// The schema of that document.
#[must_use]
pub fn check_schema() -> Schema {
    schema::<Document<'_>>()
}
