//! `mailconn explain`: what a word of the reports means, or a server's line. Touches no network.

use anyhow::{Context, Result};

use super::args::ExplainArgs;
use mailconn::protocol::{Protocol, Stage};
use mailconn::report::{self, Output};

/// Prints the explanation, or the words there are.
///
/// # Errors
/// There is no such word, the line refuses nothing, or nobody can be told: one line.
pub fn explain(args: &ExplainArgs) -> Result<u8> {
    let protocol = args.protocol.as_ref().and_then(|name| Protocol::ALL.into_iter().find(|it| it.name() == name));
    let stage = args.stage.as_ref().and_then(|name| Stage::ALL.into_iter().find(|it| it.name() == name));
    let word = args.word.as_ref().map(|word| match &args.part {
        Some(part) => format!("{word} {part}"),
        None => word.clone(),
    });
    let text = match &word {
        Some(text) => report::explain_text(text, protocol, stage)?,
        None => report::explained_words(),
    };
    Output::Stdout.write_whole(text.as_bytes()).context("writing the explanation")?;
    Ok(0)
}
