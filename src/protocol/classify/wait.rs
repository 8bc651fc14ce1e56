//! How long a server says that one should wait.

use std::time::Duration;

/// A wait as a server states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedWait {
    /// How long it is.
    pub duration: Duration,
    /// The same in the server's own unit: `15 min`, `900 s`, `43000 ms`.
    pub shown: String,
}

/// Who bids one wait says so shortly before.
const BIDS: [&str; 20] = [
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
    "reconnect",
    "reconnecting",
    "unlocked",
    "unblocked",
    "lifted",
    "least",
];
/// Or behind it.
const BIDS_BEHIND: [&str; 4] = ["later", "apart", "before", "between"];
/// What is measured by such words is no wait but a rate.
const RATES: [&str; 10] = ["per", "every", "last", "each", "past", "within", "period", "window", "interval", "than"];
/// How many words lie between the bidding and the time.
const NEAR: usize = 8;
/// Longer waits than a year are no waits.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The wait that the line states, if it does: "try again in 15 minutes", "Suggested Backoff Time: 43000 milliseconds".
#[must_use]
pub fn stated_wait(line: &str) -> Option<StatedWait> {
    let lower = line.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_alphanumeric() && !matches!(c, ':' | '.'))
        .map(|word| word.trim_matches([':', '.']))
        .filter(|word| !word.is_empty())
        .collect();
    (0..words.len()).find_map(|at| {
        let after = at >= 2 && words[at - 2..at] == ["retry", "after"];
        let (wait, length) = duration(&words[at..], after)?;
        let before = &words[at.saturating_sub(NEAR)..at];
        let behind = words.get(at + length).copied().unwrap_or_default();
        let only = ["only", "once"].iter().any(|word| before.ends_with(&[word, "every"]));
        let bids = only || before.iter().any(|word| BIDS.contains(word)) || BIDS_BEHIND.contains(&behind);
        let is_rate = RATES.contains(&behind) || before.last().is_some_and(|word| RATES.contains(word));
        (bids && (only || !is_rate) && !wait.duration.is_zero() && wait.duration <= LONGEST).then_some(wait)
    })
}

/// A time at the beginning of those words, and how many of them it takes. Behind `Retry-After` a number alone means
/// seconds (RFC 9110 §10.2.3).
fn duration(words: &[&str], retry_after: bool) -> Option<(StatedWait, usize)> {
    let first = words.first()?;
    if first.contains(':') {
        return Some((clock(first)?, 1));
    }
    // `15min`, `15 minutes`, `an hour`.
    let digits = first.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(first.len());
    let (number, unit, length) = match (&first[..digits], &first[digits..]) {
        ("", word) => (number(word)?, words.get(1).copied()?, 2),
        (number, "") => (number.parse().ok()?, words.get(1).copied().unwrap_or_default(), 2),
        (number, unit) => (number.parse().ok()?, unit, 1),
    };
    let (unit, seconds) = unit_of(unit).or(retry_after.then_some(("s", 1.0)))?;
    let duration = Duration::try_from_secs_f64(number * seconds).ok()?;
    Some((StatedWait { duration, shown: format!("{number} {unit}") }, length))
}

/// `00:04:59`, `04:59`.
fn clock(word: &str) -> Option<StatedWait> {
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

fn number(word: &str) -> Option<f64> {
    Some(match word {
        "a" | "an" | "one" => 1.0,
        "two" => 2.0,
        "three" => 3.0,
        "four" => 4.0,
        "five" => 5.0,
        "ten" => 10.0,
        "fifteen" => 15.0,
        "twenty" => 20.0,
        "thirty" => 30.0,
        "sixty" => 60.0,
        _ => return None,
    })
}

fn unit_of(word: &str) -> Option<(&'static str, f64)> {
    Some(match word {
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" | "millis" => ("ms", 0.001),
        "s" | "sec" | "secs" | "second" | "seconds" => ("s", 1.0),
        "m" | "min" | "mins" | "minute" | "minutes" => ("min", 60.0),
        "h" | "hr" | "hrs" | "hour" | "hours" => ("h", 3600.0),
        "d" | "day" | "days" => ("d", 86400.0),
        _ => return None,
    })
}
