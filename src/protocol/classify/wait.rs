//! How long a server says that one should wait.

use std::time::Duration;

use super::time::{number, spaced, unit_of};

/// A wait as a server states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedWait {
    /// How long it is.
    pub duration: Duration,
    /// The same in the server's own unit: `15 min`, `900 s`, `43000 ms`.
    pub shown: String,
}

/// Who bids one wait says so shortly before.
const BIDS: &[&str] = &[
    "again",
    "retry",
    "retrying",
    "wait",
    "waiting",
    "back",
    "backoff",
    "after",
    "delay",
    "delayed",
    "blocked",
    "locked",
    "banned",
    "suspended",
    "disabled",
    "reconnect",
    "reconnecting",
    "unlocked",
    "unblocked",
    "lifted",
    "least",
    "nach",
    "warten",
    "warte",
    "gesperrt",
    "versuchen",
    "réessayez",
    "réessayer",
    "attendez",
    "espere",
    "intente",
    "через",
    "подождите",
    "请",
];
/// Or behind it.
const BIDS_BEHIND: &[&str] = &["later", "apart", "before", "between", "erneut", "warten", "后", "後"];
/// What is measured by such words is no wait but a rate.
const RATES: [&str; 10] = ["per", "every", "last", "each", "past", "within", "period", "window", "interval", "than"];
/// How many words lie between the bidding and the time.
const NEAR: usize = 8;
/// Longer waits than a year are no waits.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The wait that the line states, if it does: "try again in 15 minutes", "Suggested Backoff Time: 43000 milliseconds".
#[must_use]
pub fn stated_wait(line: &str) -> Option<StatedWait> {
    let lower = spaced(&line.to_lowercase());
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_alphanumeric() && !matches!(c, ':' | '.'))
        .map(|word| word.trim_matches([':', '.']))
        .filter(|word| !word.is_empty())
        .collect();
    (0..words.len()).find_map(|at| {
        let before = &words[at.saturating_sub(NEAR)..at];
        let (wait, length) = duration(&words[at..], before)?;
        let behind = words.get(at + length).copied().unwrap_or_default();
        let only = ["only", "once"].iter().any(|word| before.ends_with(&[word, "every"]));
        let bids = only || before.iter().any(|word| BIDS.contains(word)) || BIDS_BEHIND.contains(&behind);
        let is_rate = RATES.contains(&behind) || before.last().is_some_and(|word| RATES.contains(word));
        (bids && (only || !is_rate) && !wait.duration.is_zero() && wait.duration <= LONGEST).then_some(wait)
    })
}

/// A time at the beginning of those words, and how many of them it takes: `15 minutes`, `1 hour and 30 minutes`.
fn duration(words: &[&str], before: &[&str]) -> Option<(StatedWait, usize)> {
    let first = words.first()?;
    if first.contains(':') {
        return Some((clock(first, before, words.get(1).copied().unwrap_or_default())?, 1));
    }
    // Behind `Retry-After` a number alone means seconds (RFC 9110 §10.2.3).
    let retry_after = before.ends_with(&["retry", "after"]);
    let (mut parts, mut length) = parts(words, retry_after)?;
    loop {
        let and = usize::from(words.get(length).is_some_and(|word| ["and", "und", "и"].contains(word)));
        let smaller = self::parts(&words[(length + and).min(words.len())..], false)
            .filter(|(more, _)| parts.last().zip(more.first()).is_some_and(|(last, next)| next.seconds < last.seconds));
        let Some((more, taken)) = smaller else { break };
        parts.extend(more);
        length += and + taken;
    }
    let seconds: f64 = parts.iter().map(|part| part.number * part.seconds).sum();
    let duration = Duration::try_from_secs_f64(seconds).ok()?;
    let shown: Vec<String> = parts.iter().map(Part::shown).collect();
    Some((StatedWait { duration, shown: shown.join(" ") }, length))
}

/// A number with its unit.
struct Part {
    number: f64,
    unit: &'static str,
    seconds: f64,
}

impl Part {
    fn of(number: f64, (unit, seconds): (&'static str, f64)) -> Self {
        Self { number, unit, seconds }
    }

    fn shown(&self) -> String {
        let plural = if self.unit == "week" && self.number > 1.0 { "s" } else { "" };
        format!("{} {}{plural}", self.number, self.unit)
    }
}

/// What one number with its unit says, or one word of several: `15min`, `15 minutes`, `an hour`, `5m30s`, `PT15M`.
fn parts(words: &[&str], retry_after: bool) -> Option<(Vec<Part>, usize)> {
    let first = *words.first()?;
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    if first == "half" {
        let article = usize::from(matches!(word(1), "a" | "an"));
        let (_, seconds) = unit_of(word(1 + article))?;
        let half = if seconds > 3600.0 {
            Part::of(seconds / 7200.0, ("h", 3600.0))
        } else {
            Part::of(seconds / 120.0, ("min", 60.0))
        };
        return Some((vec![half], 2 + article));
    }
    if let Some(tens) = number(first) {
        let ones = number(word(1)).filter(|ones| tens >= 20.0 && (1.0..10.0).contains(ones));
        let length = 1 + usize::from(ones.is_some());
        let unit = unit_of(word(length))?;
        return Some((vec![Part::of(tens + ones.unwrap_or_default(), unit)], length + 1));
    }
    if let Ok(number) = first.parse::<f64>()
        && first.starts_with(|c: char| c.is_ascii_digit())
    {
        if let Some(unit) = unit_of(word(1)) {
            return Some((vec![Part::of(number, unit)], 2));
        }
        return retry_after.then(|| (vec![Part::of(number, ("s", 1.0))], 1));
    }
    // ISO 8601's `P1DT2H`.
    let mut rest = first.strip_prefix('p').unwrap_or(first);
    let mut parts = Vec::new();
    while !rest.is_empty() {
        rest = rest.strip_prefix('t').filter(|_| first.starts_with('p')).unwrap_or(rest);
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        let end = behind.find(|c: char| c.is_ascii_digit() || (c == 't' && first.starts_with('p')));
        let (unit, behind) = behind.split_at(end.unwrap_or(behind.len()));
        parts.push(Part::of(number.parse().ok()?, unit_of(unit)?));
        rest = behind;
    }
    Some((parts, 1))
}

/// `00:04:59`, `04:59`, where it is how long and no time of the day.
fn clock(word: &str, before: &[&str], behind: &str) -> Option<StatedWait> {
    const HOW_LONG: [&str; 11] =
        ["in", "for", "wait", "waiting", "another", "time", "delay", "remaining", "least", "about", "after"];
    const ZONES: [&str; 10] = ["utc", "gmt", "am", "pm", "cet", "cest", "est", "edt", "pst", "pdt"];
    const UNTIL: [&str; 4] = ["until", "till", "at", "bis"];
    let how_long =
        before.last().is_some_and(|last| HOW_LONG.contains(last) && (*last != "after" || word.starts_with("00:")));
    if !how_long || ZONES.contains(&behind) || before.iter().rev().take(5).any(|word| UNTIL.contains(word)) {
        return None;
    }
    let parts = word.split(':').map(|part| part.parse::<u64>().ok().filter(|part| *part < 100));
    let parts: Vec<u64> = parts.collect::<Option<_>>()?;
    let (hours, minutes, seconds) = match parts[..] {
        [hours, minutes, seconds] => (hours, minutes, seconds),
        [minutes, seconds] => (0, minutes, seconds),
        _ => return None,
    };
    let shown = [(hours, "h"), (minutes, "min"), (seconds, "s")];
    let shown = shown.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count} {unit}"));
    Some(StatedWait {
        duration: Duration::from_secs(hours * 3600 + minutes * 60 + seconds),
        shown: shown.collect::<Vec<_>>().join(" "),
    })
}
