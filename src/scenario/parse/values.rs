//! Modes, numbers and times.

use std::time::Duration;

use super::LONGEST;
use crate::allocator::Mode;
use crate::scenario::error::ParseError;
use crate::scenario::words::{Word, Words};

pub(super) fn mode(words: &mut Words<'_>) -> Result<Mode, ParseError> {
    const WHAT: &str = "a mode (use-main, use-default or use-main-or-default)";
    let word = words.take(WHAT)?;
    word.text.parse().map_err(|_| word.is_no(WHAT))
}

pub(super) fn number(words: &mut Words<'_>, what: &str) -> Result<usize, ParseError> {
    let word = words.take(what)?;
    word.text.parse().map_err(|_| word.is_no(what))
}

pub(super) fn time(words: &mut Words<'_>) -> Result<Duration, ParseError> {
    let word = words.take("a time, like 20ms")?;
    time_of(&word, word.text)
}

pub(super) fn time_of(word: &Word<'_>, text: &str) -> Result<Duration, ParseError> {
    let time = humantime::parse_duration(text).ok().filter(|time| !time.is_zero() && *time <= LONGEST);
    time.ok_or_else(|| word.is_no("a time from 1ns to 10m, like 20ms,"))
}
