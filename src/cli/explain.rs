//! `mailconn explain`: what a word of the reports means. Touches no network.

use anyhow::{Context, Result};

use super::args::ExplainArgs;
use mailconn::report::{self, Output};

/// Prints the explanation, or the words there are.
///
/// # Errors
/// There is no such word, or nobody can be told: one line.
pub fn explain(args: &ExplainArgs) -> Result<u8> {
    let text = match &args.word {
        Some(word) => report::explain(word)?,
        None => report::explained_words(),
    };
    Output::Stdout.write_whole(text.as_bytes()).context("writing the explanation")?;
    Ok(0)
}
