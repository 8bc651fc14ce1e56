//! `mailconn schema`: the JSON Schema of what a command writes.

use std::str::FromStr;

use anyhow::{Context, Result};
use schemars::Schema;

use super::sandbox::Line;
use mailconn::event::{self, What};
use mailconn::probe::check_schema;
use mailconn::report::{self, Output};

/// Something that has a schema.
#[derive(Clone, Copy, Debug)]
pub struct SchemaOf {
    /// The command that writes it, or its format.
    pub name: &'static str,
    /// What it is, for people.
    pub means: &'static str,
    schema: fn() -> Schema,
}

const fn of(name: &'static str, means: &'static str, schema: fn() -> Schema) -> SchemaOf {
    SchemaOf { name, means, schema }
}

impl SchemaOf {
    /// All of them.
    pub const ALL: &[Self] = &[
        of("run", "A run's document", report::run_schema),
        of("check", "A check's document", check_schema),
        of("limits", "A probe's document: a run's, with what it found of limits", report::limits_schema),
        of("compare", "A comparison's document", report::comparison_schema),
        of("scenario", "The document of scenarios", report::scenario_schema),
        of("verify", "A verification's document", report::verification_schema),
        of(
            "report",
            "The document of stored files: any of run, limits, compare and scenario, or a list",
            report::report_schema,
        ),
        of("diff", "The document of two runs side by side", report::diff_schema),
        of("sandbox", "A line of mailconn sandbox --format json", event::schema::<Line<'_>>),
        of("ndjson", "A line of --format ndjson: an event", event::schema::<What>),
    ];
}

/// Nothing of that name has a schema.
#[derive(Debug, thiserror::Error)]
#[error("nothing of that name has a schema")]
pub struct Unknown;

impl FromStr for SchemaOf {
    type Err = Unknown;

    fn from_str(name: &str) -> Result<Self, Unknown> {
        Self::ALL.iter().copied().find(|of| of.name == name).ok_or(Unknown)
    }
}

/// Prints the schema, indented.
///
/// # Errors
/// It could not be written.
pub fn schema(of: SchemaOf) -> Result<u8> {
    let mut schema = (of.schema)();
    schema.insert("title".to_owned(), of.means.into());
    let mut text = serde_json::to_vec_pretty(&schema).context("making the schema")?;
    text.push(b'\n');
    Output::Stdout.write_whole(&text).context("writing the schema")?;
    Ok(0)
}
