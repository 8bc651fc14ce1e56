//! A run in, bytes out.
//!
//! Every report is a function of plain data, a [`Report`] or a [`Check`](crate::record::Check), and knows of no client,
//! socket or argument. What is written where is [`Output`]'s; what is shown while a run lasts is [`Progress`]'s. A [`Trace`]
//! goes the other way: the bytes of a run's file in, the run out, and what in it does not hold.

mod check;
mod explain;
mod json;
mod model;
mod output;
mod progress;
mod scenario;
mod shapes;
mod table;
mod trace;
mod words;

pub use check::{check_begins, check_ends, check_json, check_step};
pub use explain::{Unexplained, explain, explain_line, explain_text, explained_words};
pub use json::json;
pub use model::{Report, each};
pub use output::{Output, Unwritable};
pub use progress::{Progress, ProgressKind, Tally};
pub use scenario::{ScenarioLines, scenario_begins, scenario_ends, scenario_step};
pub use shapes::SCHEMA_VERSION;
pub use table::{OperationRows, table};
pub use trace::{
    Recorded, ScenarioTrace, ScenarioVerification, Trace, Verification, scenario_text, scenario_verification_json,
    scenario_verification_text, scenarios_json, verification_json, verification_text,
};

/// The form that a report takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// For a person, at most 80 columns wide.
    #[default]
    Table,
    /// One JSON object, when the run is over.
    Json,
    /// A JSON object on each line, as things happen.
    Ndjson,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Table, Self::Json, Self::Ndjson];

    /// The format's name, as in flags: `table`, `json`, `ndjson`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
        }
    }
}
