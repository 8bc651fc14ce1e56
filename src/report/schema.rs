//! The JSON Schemas of the documents.

use schemars::Schema;
use serde_json::Value;

use super::diff::DiffShape;
use super::json::{self, AnyDocument, Scenarios, comparison};
use super::verification::VerificationShape;
use crate::event::schema;

/// The document of a run.
#[must_use]
pub fn run_schema() -> Schema {
    schema::<json::Document<'_>>()
}

/// The document of a probe: that of a run, with what a probe has besides.
#[must_use]
pub fn limits_schema() -> Schema {
    let mut schema = run_schema();
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.extend(["probe", "attempts", "to_set", "limits"].map(Value::from));
    }
    schema
}

/// The document of scenarios.
#[must_use]
pub fn scenario_schema() -> Schema {
    schema::<Scenarios<'_>>()
}

/// The document of a comparison.
#[must_use]
pub fn comparison_schema() -> Schema {
    schema::<comparison::Document<'_>>()
}

/// The document of stored files, whatever they hold.
#[must_use]
pub fn report_schema() -> Schema {
    schema::<AnyDocument<'_>>()
}

/// The document of two runs side by side.
#[must_use]
pub fn diff_schema() -> Schema {
    schema::<DiffShape<'_>>()
}

/// The document of a verification.
#[must_use]
pub fn verification_schema() -> Schema {
    schema::<VerificationShape<'_>>()
}
