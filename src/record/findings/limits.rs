//! How many connections a server allows: by its own words, or by what it does without any.

use crate::protocol::{FailureKind, Stage};
use crate::record::run::{OpenFailed, Run, What};
use crate::record::summary::{SessionRow, Summary};

/// Dials that were closed before a word was said, while others of ours were open that still answered afterwards.
pub(super) fn closed_without_a_word<'a>(run: &Run, summary: &'a Summary) -> Vec<(&'a SessionRow, &'a OpenFailed)> {
    let answered_last =
        run.operations().filter(|(_, operation)| operation.outcome.is_ok()).map(|(entry, _)| entry.at).max();
    let failed = summary.sessions.iter().filter_map(|row| Some((row, row.dial.as_ref().err()?)));
    let closed = |failed: &OpenFailed| {
        failed.failure.kind == FailureKind::Closed
            && matches!(failed.failure.stage, Stage::Tls | Stage::Greeting)
            && failed.failure.server_line.is_none()
    };
    let mut wordless: Vec<_> = failed
        .filter(|(_, failed)| {
            closed(failed) && failed.open > 0 && answered_last.is_some_and(|last| last > failed.failed)
        })
        .collect();
    // A server that hung up on those as well was not counting: it went away.
    let lost = run.entries.iter().any(|entry| match &entry.what {
        What::Operation(operation) => operation.outcome.as_ref().is_err_and(|failure| {
            matches!(failure.kind, FailureKind::Closed | FailureKind::ServerBye | FailureKind::Timeout)
                && failure.stage == Stage::Operation
        }),
        _ => false,
    });
    if lost {
        wordless.clear();
    }
    wordless
}

/// The number of connections that a refusal names as the limit: `(mail_max_userip_connections=10)`, `at most 7 sessions`.
/// Codes, addresses and times are none.
pub(super) fn stated(line: &str) -> Option<u64> {
    let line = line.to_lowercase();
    let mut counted = None;
    let mut at = 0;
    while let Some(start) = line[at..].find(|c: char| c.is_ascii_digit()).map(|start| at + start) {
        let digits = line[start..].find(|c: char| !c.is_ascii_digit()).map_or(line.len(), |length| start + length);
        at = digits;
        let (before, after) = (&line[..start], &line[digits..]);
        let Some(number) = line[start..digits].parse().ok().filter(|number| (1..=100_000).contains(number)) else {
            continue;
        };
        if !is_alone(before, after) || is_a_time(after) {
            continue;
        }
        if is_a_bound(before) {
            return Some(number);
        }
        if counts_connections(before, after) {
            counted = Some(counted.map_or(number, |least: u64| least.min(number)));
        }
    }
    counted
}

/// It is no part of an address, a version, a code or a name. `8/7` is a count and its bound.
fn is_alone(before: &str, after: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || matches!(c, '_' | '@' | '+' | '<' | '-' | '#');
    let continues =
        |text: &str| text.starts_with(['.', ':', '/']) && text[1..].starts_with(|c: char| c.is_ascii_digit());
    let fraction = before.strip_suffix('/').is_some_and(|count| count.ends_with(|c: char| c.is_ascii_digit()));
    let continued = before.ends_with(['.', ':', '/'])
        && before[..before.len() - 1].ends_with(|c: char| c.is_ascii_digit())
        && !fraction;
    !before.ends_with(joins) && !continued && !after.starts_with(joins) && !continues(after) && !after.starts_with('%')
}

fn is_a_time(after: &str) -> bool {
    let word: String = after.trim_start().chars().take_while(|c| c.is_alphabetic()).collect();
    [
        "s",
        "ms",
        "sec",
        "secs",
        "second",
        "seconds",
        "millisecond",
        "milliseconds",
        "min",
        "mins",
        "minute",
        "minutes",
        "h",
        "hour",
        "hours",
        "day",
        "days",
    ]
    .contains(&&*word)
}

/// What stands before it says that it is the most there may be.
fn is_a_bound(before: &str) -> bool {
    if let Some(name) = before.strip_suffix('=') {
        let name = name.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
        return ["conn", "max", "limit", "sess"].iter().any(|part| name.contains(part));
    }
    if before.ends_with('/') {
        return true;
    }
    let clause = before.rsplit(['.', ';', ',']).next().unwrap_or_default();
    let bounds = ["max", "limit", "at most", "up to", "more than", "allow", "permit", "only"];
    let last =
        clause.trim_end_matches([' ', ':', '(']).rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let leads =
        ["limit", "max", "maximum", "is", "are", "of", "to", "than", "most", "allowed", "allows", "only", "permits"];
    bounds.iter().any(|bound| clause.contains(bound)) && leads.contains(&last)
}

fn counts_connections(before: &str, after: &str) -> bool {
    let things = ["connection", "session", "login"];
    let is_thing = |word: &str| things.iter().any(|thing| word.starts_with(thing));
    let follows = after.split_whitespace().take(4).position(is_thing).is_some_and(|words| {
        after.split_whitespace().take(words).all(|word| {
            ["simultaneous", "concurrent", "open", "parallel", "active", "imap", "pop3", "smtp", "client", "user"]
                .contains(&word)
        })
    });
    let in_brackets =
        before.ends_with('(') && after.starts_with(')') && things.iter().any(|thing| before.contains(thing));
    follows || in_brackets
}

#[cfg(test)]
mod tests {
    use super::stated;

    #[test]
    fn the_number_that_a_refusal_names_is_found_and_no_other() {
        for (line, number) in [
            (
                "NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
                Some(10),
            ),
            ("NO [LIMIT] Too many connections (7)", Some(7)),
            ("NO [LIMIT] You have 8 open connections, at most 7 are allowed", Some(7)),
            ("NO [LIMIT] 8/7 connections in use", Some(7)),
            ("BYE Connection limit of 15 reached", Some(15)),
            ("BYE the limit is 4 sessions per user", Some(4)),
            ("-ERR [IN-USE] maximum 3 simultaneous connections", Some(3)),
            ("421 4.7.0 Too many connections, no more than 20 per client", Some(20)),
            ("421 Only 5 concurrent connections please", Some(5)),
            ("NO [LIMIT] 12 concurrent connections", Some(12)),
            ("NO [ALERT] Too many simultaneous connections. (Failure)", None),
            ("421 4.7.0 mx1.example.org Error: too many connections from 192.0.2.7", None),
            ("432 4.3.2 Concurrent connections limit exceeded. Visit https://example.org/?p=3", None),
            ("421 Too many connections, try again in 15 minutes", None),
            ("421 Too many connections, limit reached for 900 seconds", None),
            ("NO [LIMIT] too many", None),
            ("NO [LIMIT] max connections exceeded (id 75-20020a05)", None),
        ] {
            assert_eq!(stated(line), number, "{line}");
        }
    }
}
