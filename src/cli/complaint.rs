//! What a complaint about the command line says: one line, which repeats no secret.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue};

use super::stderr::escaped;

/// That of the parser, about these words.
pub fn of_the_parser(mut error: clap::Error, words: &[String]) -> String {
    escape_values(&mut error);
    without_tips_on_values(&mut error);
    let text = without_passwords(without_values_of_secrets(error.to_string(), words), words);
    let said = text.split("\n\nUsage:").next().unwrap_or(&text);
    let said = said.split("\n\nFor more information").next().unwrap_or(said);
    one_line(said.strip_prefix("error: ").unwrap_or(said)).replace(" tip: ", "; ")
}

/// Takes out the advice to write `-- --flag`: no value of ours begins with a dash, and the flag is one of another command.
fn without_tips_on_values(error: &mut clap::Error) {
    if let Some(ContextValue::StyledStrs(tips)) = error.get(ContextKind::Suggested)
        && tips.iter().any(|tip| tip.to_string().starts_with("to pass "))
    {
        error.remove(ContextKind::Suggested);
    }
}

/// Whether one of the words is or holds a URL with a user in it, and with a password, perhaps.
pub fn name_a_user(words: impl Iterator<Item = OsString>) -> bool {
    // Nobody stands before the @ of a server's name.
    words.skip(1).any(|word| userinfo(&word.to_string_lossy()).is_some_and(|user| !user.is_empty()))
}

/// Escapes the values that a message of clap's repeats: clap would leave some out, and has lines of its own.
fn escape_values(error: &mut clap::Error) {
    let strings = error.context().filter_map(|(kind, value)| match value {
        ContextValue::String(value) => Some((kind, ContextValue::String(escaped(value)))),
        _ => None,
    });
    for (kind, value) in strings.collect::<Vec<_>>() {
        error.insert(kind, value);
    }
}

/// What stands before the host in an argument that is or holds a URL, or was to be one: a password, perhaps.
fn userinfo(argument: &str) -> Option<&str> {
    let rest = match argument.split_once("://") {
        Some((_, rest)) => rest,
        None if argument.starts_with('-') => argument.split_once('=')?.1,
        None => argument,
    };
    rest.rsplit_once('@').map(|(userinfo, _)| userinfo)
}

/// No complaint repeats a password out of a URL, wherever it was given.
pub fn without_passwords(mut text: String, words: &[String]) -> String {
    for argument in words {
        if let Some(userinfo) = userinfo(argument).filter(|userinfo| userinfo.contains(':')) {
            for written in [userinfo, &userinfo.escape_debug().to_string(), &escaped(userinfo)] {
                text = text.replace(written, "…");
            }
        }
    }
    text
}

/// Nor a value where none belongs, if its flag sounds like a secret's: `--password-stdin=…`, `--password-stdin …`.
fn without_values_of_secrets(mut text: String, words: &[String]) -> String {
    let mut behind_secret = false;
    for argument in words {
        let value = match argument.split_once('=') {
            Some((name, value)) if sounds_secret(name) => Some(value),
            _ => behind_secret.then_some(argument.as_str()),
        };
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            for value in [value, &escaped(value)] {
                text = text.replace(&format!("'{value}'"), "'…'").replace(&format!("={value}'"), "=…'");
            }
        }
        behind_secret = argument.starts_with('-') && sounds_secret(argument);
    }
    text
}

/// Whether a flag or a setting of that name would hold a secret.
pub fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "pasw", "token", "secret"].iter().any(|word| name.contains(word))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
