//! GitHub's Markdown, for the comment of a pull request or the summary of a step: the verdict, then tables.
//!
//! A comment has a longest length. What says most comes first into it, and what found no room is named at the end.

mod blocks;
mod comparison;
mod inert;
mod parts;
mod run;
mod scenario;

use std::io::{self, Write};

use super::format::{Form, Render, Spec};
use super::model::{Report, Told};

pub(super) const SPEC: Spec = Spec {
    name: "markdown",
    purpose: "GitHub's Markdown for a comment or a step's summary, at the end",
    ending: Some("md"),
    form: Form::Whole(&Markdown),
};

struct Markdown;

impl Render for Markdown {
    fn render(&self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        let parts = report.told.iter().flat_map(|told| {
            let parts = match told {
                Told::Run(run) => run::parts(run),
                Told::Scenario(scenario) => scenario::parts(scenario),
                Told::Comparison(comparison) => comparison::parts(comparison),
            };
            if told.exit_code() == Some(0) { parts } else { parts::failed(parts) }
        });
        out.write_all(parts::bounded(parts.collect()).as_bytes())
    }
}
