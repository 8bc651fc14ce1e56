//! How long a server says that one should wait.

use std::time::Duration;

use super::time::{spaced, unit_of, without_dates, written_number};

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
    "delay",
    "delayed",
    "reconnect",
    "reconnecting",
    "unlocked",
    "unblocked",
    "lifted",
    "warten",
    "warte",
    "versuchen",
    "réessayez",
    "réessayer",
    "attendez",
    "espere",
    "intente",
    "повторите",
    "попробуйте",
    "подождите",
    "等待",
];
/// Or behind it.
const BIDS_BEHIND: &[&str] = &["later", "apart", "before", "between", "erneut", "warten", "gesperrt"];
/// Who is kept out must wait for as long as that lasts: `blocked for 10 minutes`, and not `5 failures in 10 minutes`.
const KEPT_OUT: &[&str] = &[
    "blocked",
    "locked",
    "lockout",
    "banned",
    "ban",
    "blacklisted",
    "suspended",
    "disabled",
    "throttled",
    "greylisted",
    "refused",
    "rejected",
    "denied",
    "gesperrt",
    // `Hold off for 5 minutes`.
    "off",
];
const FOR: [&str; 2] = ["for", "für"];
/// Who may come after a time must wait for it.
const LET_IN: &[&str] = &["allowed", "permitted", "possible", "available"];
/// What may stand between such words and a time.
const FILLS: &[&str] = &[
    "the",
    "next",
    "another",
    "at",
    "least",
    "about",
    "approximately",
    "approx",
    "up",
    "to",
    "out",
    "die",
    "nächsten",
    "ca",
];
/// A time that something lasts, or may lie idle, is no wait: `idle sessions end after 10 minutes`.
const LASTS: &[&str] = &[
    "idle",
    "idling",
    "inactive",
    "inactivity",
    "unused",
    "end",
    "ends",
    "ended",
    "close",
    "closes",
    "closed",
    "expire",
    "expires",
    "terminated",
    "disconnect",
    "disconnected",
    "dropped",
    "freed",
    "timeout",
    "timeouts",
    "timed",
    "lifetime",
    "lasts",
    "enden",
    "beendet",
    "getrennt",
    "закрываются",
];
/// What is measured by such words is no wait but a rate.
const RATES: [&str; 10] = ["per", "every", "last", "each", "past", "within", "period", "window", "interval", "than"];
/// How many words lie between the bidding and the time.
const NEAR: usize = 8;
/// Longer waits than a year are no waits.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The wait that the line states, if it does: "try again in 15 minutes", "Suggested Backoff Time: 43000 milliseconds".
#[must_use]
pub fn stated_wait(line: &str) -> Option<StatedWait> {
    let lower = spaced(&without_dates(&line.to_lowercase()));
    let (words, clauses) = words(&lower);
    (0..words.len()).find_map(|at| {
        let clause = clauses[..at].partition_point(|clause| *clause < clauses[at]);
        let before = &words[clause.max(at.saturating_sub(NEAR))..at];
        let (wait, length) = duration(&words[at..], before)?;
        let last = (at + length).min(words.len());
        let behind = &words[last..clauses.partition_point(|clause| *clause <= clauses[last - 1])];
        let next = behind.first().copied().unwrap_or_default();
        let only = ["only", "once"].iter().any(|word| before.ends_with(&[word, "every"]));
        let is_rate = RATES.contains(&next) || before.last().is_some_and(|word| RATES.contains(word));
        let bids = only || (!is_rate && (bids(before) || bids_behind(behind)));
        (bids && !lasts(behind) && !wait.duration.is_zero() && wait.duration <= LONGEST).then_some(wait)
    })
}

/// The words, and of which clause of the line each is one.
fn words(line: &str) -> (Vec<&str>, Vec<usize>) {
    const ENDS: [char; 8] = [',', ';', '!', '?', '，', '；', '。', '、'];
    const SHORTENED: [&str; 5] = ["approx.", "ca.", "min.", "max.", "no."];
    let (mut words, mut clauses, mut clause) = (Vec::new(), Vec::new(), 0);
    for part in line.split_inclusive(|c: char| !c.is_alphanumeric() && !matches!(c, ':' | '.')) {
        let word = part.trim_end_matches(|c: char| !c.is_alphanumeric() && !matches!(c, ':' | '.'));
        let bare = word.trim_matches([':', '.']);
        if !bare.is_empty() {
            words.push(bare);
            clauses.push(clause);
        }
        clause += usize::from(part.ends_with(ENDS) || (word.ends_with('.') && !SHORTENED.contains(&word)));
    }
    (words, clauses)
}

/// Whether the words before a time bid one wait for so long.
fn bids(before: &[&str]) -> bool {
    let since = |bids: &[&str]| before.iter().rposition(|word| bids.contains(word)).map(|at| &before[at + 1..]);
    let direct = || {
        let fills = before.iter().rev().take_while(|word| FILLS.contains(word)).count();
        &before[..before.len() - fills]
    };
    let lasts = |between: &[&str]| {
        between.iter().any(|word| LASTS.contains(word)) || between.windows(2).any(|words| words == ["time", "out"])
    };
    since(BIDS).is_some_and(|between| !lasts(between))
        || since(KEPT_OUT).is_some_and(|between| {
            !lasts(between) && (direct().last().is_some_and(|word| FOR.contains(word) || KEPT_OUT.contains(word)))
        })
        || before
            .split_last_chunk()
            .is_some_and(|(_, [next, _, within])| *next == "next" && ["in", "after"].contains(within))
        || direct().split_last_chunk().is_some_and(|(_, [let_in, after])| LET_IN.contains(let_in) && *after == "after")
}

/// Whether those behind it do.
fn bids_behind(behind: &[&str]) -> bool {
    let next = behind.first().copied().unwrap_or_default();
    // `后` is `after`: `15分钟后再试` is `try again after 15 minutes`.
    let again = || behind.get(1).is_some_and(|word| word.starts_with(['再', '重']));
    BIDS_BEHIND.contains(&next) || (["后", "後"].contains(&next) && again())
}

/// `30 minutes of inactivity`.
fn lasts(behind: &[&str]) -> bool {
    let of = usize::from(behind.first() == Some(&"of"));
    behind.get(of).is_some_and(|word| LASTS.contains(word))
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
    if let Some(tens) = written_number(first) {
        let ones = written_number(word(1)).filter(|ones| tens >= 20.0 && (1.0..10.0).contains(ones));
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
        let is_whole = first.bytes().all(|byte| byte.is_ascii_digit());
        return (retry_after && is_whole).then(|| (vec![Part::of(number, ("s", 1.0))], 1));
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
