//! `mailconn explain`: what a word of the reports means, or a server's line. Touches no network.

use std::path::Path;

use anyhow::{Context, Result};

use super::args::ExplainArgs;
use super::config::told;
use mailconn::protocol::{Protocol, Stage};
use mailconn::report::{self, Output};

/// The word whose explanation shows what is configured, too.
const SETTINGS: &str = "settings";

/// Prints the explanation, or the words there are. `config` is the file of settings that was named.
///
/// # Errors
/// There is no such word, the line refuses nothing, or nobody can be told: one line.
pub fn explain(args: &ExplainArgs, config: Option<&Path>) -> Result<u8> {
    let protocol = args.protocol.as_ref().and_then(|name| Protocol::ALL.into_iter().find(|it| it.name() == name));
    let stage = args.stage.as_ref().and_then(|name| Stage::ALL.into_iter().find(|it| it.name() == name));
    let words = args.word.iter().cloned().chain(args.rest.iter().map(|word| word.to_string_lossy().into_owned()));
    let words = words.collect::<Vec<_>>().join(" ");
    let of_a_command =
        args.word.as_ref().is_some_and(|word| word.eq_ignore_ascii_case(SETTINGS)) && !args.rest.is_empty();
    let (mut text, mut code) = match &args.word {
        Some(_) if of_a_command => (String::new(), 0),
        Some(_) => (report::explain_text(&words, protocol, stage)?, 0),
        None => (report::explained_words(), 0),
    };
    // By whatever name it was asked for.
    let is_article = text.split_whitespace().next() == Some(SETTINGS);
    if of_a_command || is_article {
        let settings;
        (settings, code) = told::settings(config, &args.rest)?;
        text += if is_article { "\n" } else { "" };
        text += &settings;
    }
    Output::Stdout.write_whole(text.as_bytes()).context("writing the explanation")?;
    Ok(code)
}
