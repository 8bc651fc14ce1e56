//! What is known in, bytes out.
//!
//! A renderer knows a [`Report`], and the events if its form asks for them: no client, socket or argument. A format is one
//! file, and one line of the registry below; [`Telling`] tells in it, of runs and scenarios, stored ones too. [`Output`]
//! decides what is written where, and [`Progress`] what is shown while a run lasts.

mod anonymize;
mod attempt;
mod cases;
mod comparison;
mod diff;
mod explain;
mod format;
pub mod known;
mod layout;
mod model;
mod outline;
mod output;
mod progress;
mod scenario;
mod schema;
mod verification;
mod words;

use std::str::FromStr;

pub use anonymize::Anonymizer;
pub use attempt::attempt_line;
pub use diff::{diff_json, diff_text};
pub use explain::{Unexplained, counted_as, explain, explain_line, explain_text, explained_words};
pub use format::{Gather, Live, Render, Telling};
pub use json::SCHEMA_VERSION;
pub(crate) use json::indented;
pub use layout::Layout;
pub(crate) use layout::Tone;
pub use model::{ComparisonReport, Report, RunReport, ScenarioReport, Told};
pub use output::{Output, Unwritable};
pub use progress::{Progress, ProgressKind};
pub use schema::{
    comparison_schema, diff_schema, limits_schema, report_schema, run_schema, scenario_schema, verification_schema,
};
pub use table::table;
pub use verification::{verification_json, verification_text};
pub use words::push_visible;
pub(crate) use words::{conclusion, day, many, origin, printable, span};

macro_rules! formats {
    ($($file:ident $name:ident)+) => {
        $(mod $file;)+

        /// The form that a report takes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each says what it is for: purpose()")]
        pub enum Format { $($name,)+ }

        impl Format {
            /// Every format.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            const fn spec(self) -> &'static format::Spec {
                match self { $(Self::$name => &$file::SPEC,)+ }
            }
        }
    };
}

formats! {
    table Table
    json Json
    ndjson Ndjson
    html Html
    markdown Markdown
    csv Csv
    junit Junit
    github Github
    trace_events TraceEvents
}

impl Format {
    /// Another name of [`Table`](Self::Table), for commands that print text rather than a table.
    pub const TEXT: &str = "text";

    /// The format's name, as in flags: `table`, `json`, `html`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// Its purpose, in a few words.
    #[must_use]
    pub const fn purpose(self) -> &'static str {
        self.spec().purpose
    }

    /// The format of files with that ending, if it stands for one.
    #[must_use]
    pub fn of_ending(ending: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.spec().ending == Some(ending))
    }

    /// Every ending that stands for a format.
    pub fn endings() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().filter_map(|format| format.spec().ending)
    }

    /// Tells of runs and scenarios in this format, as they go on if `live` asks for it and the format can. A stream always
    /// does. `layout` is of text for people.
    #[must_use]
    pub fn telling(self, live: bool, layout: Layout) -> Telling {
        Telling::new(self.spec().form, live, layout)
    }
}

/// No format has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such format")]
pub struct UnknownFormat;

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let name = if name == Self::TEXT { Self::Table.name() } else { name };
        Self::ALL.iter().copied().find(|format| format.name() == name).ok_or(UnknownFormat)
    }
}
