//! Over how long a server counts what it limits, by its words.

use std::time::Duration;

use super::time::{spaced, unit_of, written_number};

/// What stands before a time over which something is counted.
const OVER: [&str; 7] = ["per", "every", "each", "within", "during", "a", "an"];
/// What may stand between that and the time.
const FILLS: [&str; 8] = ["the", "last", "past", "a", "an", "any", "each", "one"];
/// Who is bidden to wait is told no period.
const WAITS: [&str; 5] = ["wait", "again", "retry", "later", "after"];
/// Nor is it one that is a length itself.
const LENGTHS: [&str; 3] = ["for", "than", "least"];
/// Nor is it what it is not: `3 connections, not per minute`.
const DENIALS: [&[&str]; 4] = [&["not"], &["nor"], &["rather", "than"], &["instead", "of"]];
/// Parts of a time, and what stands between one and its unit: `a quarter of an hour`.
const PARTS: [(&str, f64); 2] = [("quarter", 0.25), ("half", 0.5)];
const PART_OF: [&str; 3] = ["of", "a", "an"];
/// What comes, or is open.
const CONNECTIONS: [&str; 14] = [
    "connection",
    "session",
    "login",
    "log",
    "logon",
    "sign",
    "signin",
    "attempt",
    "authentication",
    "auth",
    "request",
    "command",
    "connect",
    "client",
];
/// What else may be counted.
const OTHERS: [&str; 10] = ["message", "mail", "email", "recipient", "rcpt", "byte", "kb", "mb", "gb", "error"];

/// The time over which the server counts connections or sign-ins, if the line says that it counts them so: `no more than 20
/// connections per IP per minute`, `too many logins within 60 seconds`, `5 attempts/min`.
#[must_use]
pub fn stated_period(line: &str) -> Option<Duration> {
    let is_address = |word: &&str| word.contains("://") || word.starts_with("www.");
    let line: Vec<&str> = line.split_whitespace().filter(|word| !is_address(word)).collect();
    let lower = spaced(&line.join(" ").to_lowercase()).replace('/', " per ");
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    (0..words.len()).find_map(|at| period_at(&words, at))
}

/// The period whose first word stands there.
fn period_at(words: &[&str], at: usize) -> Option<Duration> {
    let (word, before) = (words[at], &words[..at]);
    let next = |at: usize| words.get(at).copied().unwrap_or_default();
    // `in 5 minutes` says when, `in the last minute` over how long.
    let is_over = OVER.contains(&word) || (["in", "of"].contains(&word) && FILLS.contains(&next(at + 1)));
    let is_last = ["last", "past"].contains(&word);
    let is_wait = before.iter().rev().take(3).any(|word| WAITS.contains(word));
    // `The login limit for a 15 minute period` has one all the same.
    let is_length = before.last().is_some_and(|word| LENGTHS.contains(word)) && !before.ends_with(&["limit", "for"]);
    let is_denied = DENIALS.iter().any(|words| before.ends_with(words));
    let is_within = before.iter().rev().find(|word| !PART_OF.contains(word)).and_then(part_of_a_time).is_some();
    if !(is_over || is_last) || is_wait || is_length || is_denied || is_within {
        return None;
    }
    let filled = words[at + 1..].iter().take_while(|word| FILLS.contains(*word)).count();
    let from = at + 1 + filled;
    if let Some(part) = words.get(from).and_then(part_of_a_time) {
        let (_, seconds) =
            words[from + 1..].iter().find(|word| !PART_OF.contains(word)).and_then(|unit| unit_of(unit))?;
        return counts_connections(before, &words[from..]).then(|| Duration::from_secs_f64(part * seconds));
    }
    let digits = next(from).find(|c: char| !c.is_ascii_digit()).unwrap_or(next(from).len());
    let (count, rest) = next(from).split_at(digits);
    let counted = count.parse::<u32>().ok().map(f64::from).or_else(|| written_number(next(from)));
    // `60s` is a number and its unit in one word.
    let unit = if !rest.is_empty() && digits > 0 { rest } else { next(from + usize::from(counted.is_some())) };
    let (_, seconds) = unit_of(unit)?;
    counts_connections(before, &words[from..]).then(|| Duration::from_secs_f64(counted.unwrap_or(1.0) * seconds))
}

fn part_of_a_time(word: &&str) -> Option<f64> {
    PARTS.iter().find(|(name, _)| name == word).map(|(_, part)| *part)
}

/// Whether what is counted is connections: by the last thing before the time, else by the first one behind it. A mere number in a
/// time is of what was refused.
fn counts_connections(before: &[&str], behind: &[&str]) -> bool {
    let is = |things: &[&str], word: &str| {
        things.iter().any(|thing| word == *thing || word.strip_suffix('s') == Some(thing))
    };
    let thing = |word: &&&str| is(&CONNECTIONS, word) || is(&OTHERS, word);
    let counted = before.iter().rev().find(thing).or_else(|| behind.iter().find(thing));
    let is_number = || before.last().is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    counted.map_or_else(is_number, |word| is(&CONNECTIONS, word))
}

#[cfg(test)]
mod tests {
    use super::stated_period;

    #[test]
    fn the_time_over_which_connections_are_counted_is_read_and_no_other() {
        for (line, seconds) in [
            ("too many connections: 20 connections per IP per minute", Some(60)),
            ("421 4.7.0 Too many connections within 60 seconds", Some(60)),
            ("NO Too many logins in the last minute", Some(60)),
            ("NO Too many connections from you in the last 5 minutes", Some(300)),
            ("NO at most 10 logins every 10 minutes", Some(600)),
            ("NO no more than 100 connections per hour", Some(3600)),
            ("421 at most 20 connections/min", Some(60)),
            ("421 at most 20 connections/hour", Some(3600)),
            ("421 at most 20 connections/h", Some(3600)),
            ("421 more than 30 authentications in a minute", Some(60)),
            ("NO at most 20 sign-ins an hour and 5 attempts/min", Some(3600)),
            ("NO [LIMIT] no more than 5 logins per minute, please wait 60s", Some(60)),
            ("NO 5 connections per 30s", Some(30)),
            ("NO 5 connections per 24 hours", Some(86_400)),
            ("NO 5 connections in any ten minutes", Some(600)),
            ("421 Too many sessions during the past hour", Some(3600)),
            ("NO in the last minute you made 20 connections", Some(60)),
            ("* BYE no more than 5 connections per minute from your address", Some(60)),
            ("NO [LIMIT] 3 per minute and 100 per hour", Some(60)),
            ("NO [LIMIT] Too many logins: 3 per minute and 100 per hour", Some(60)),
            (
                "-ERR Exceeded the login limit for a 15 minute period. Reduce the frequency of requests to the POP3 server.",
                Some(900),
            ),
            ("NO [LIMIT] only 3 logins are allowed every quarter of an hour", Some(900)),
            ("NO [LIMIT] at most 3 logins per half hour", Some(1800)),
            ("NO [LIMIT] at most 3 logins a half hour", Some(1800)),
            ("NO [LIMIT] At most 3 logins during 15 minutes", Some(900)),
            ("NO [LIMIT] Too many logins in a 15-minute window", Some(900)),
            ("NO Too many connections, wait a quarter of an hour", None),
            ("NO Too many connections, blocked for a 15 minute period", None),
            ("NO [LIMIT] max 3 connections per account (not per minute)", None),
            ("NO [LIMIT] max 3 connections, rather than per minute", None),
            ("NO [LIMIT] no more than 30 messages: 30 per minute", None),
            ("NO [LIMIT] at most 7 sessions per user", None),
            ("NO 10 logins per user", None),
            ("NO Too many connections, try again in 15 minutes", None),
            ("NO Too many connections, please wait a minute", None),
            ("NO Too many connections, wait at least a minute", None),
            ("NO Too many connections, retry every minute", None),
            ("421 Too many connections, at most 30 messages per minute", None),
            ("421 4.7.0 Too many concurrent connections", None),
            ("NO Too many connections, see https://example.org/connections/d", None),
            ("NO Too many connections from 192.0.2.0/24 (28/11 10:00)", None),
            ("NO the server cannot operate within its limits", None),
        ] {
            assert_eq!(stated_period(line).map(|period| period.as_secs()), seconds, "{line}");
        }
    }
}
