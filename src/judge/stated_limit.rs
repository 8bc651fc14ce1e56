//! How many connections a server allows, by its own words.

use crate::protocol::is_unit_of_time;

/// The number of connections that a refusal names as the limit: `(mail_max_userip_connections=10)`, `at most 7 sessions`.
/// Codes, addresses and times are none.
pub(crate) fn stated_limit(line: &str) -> Option<u64> {
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
        if !is_alone(before, after) || is_a_time(after) || is_in_a_url(before) {
            continue;
        }
        if is_a_bound(before, number, after) {
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
    is_unit_of_time(&word)
}

/// What stands around it says that it is the most there may be.
fn is_a_bound(before: &str, number: u64, after: &str) -> bool {
    if let Some(name) = before.strip_suffix('=') {
        let name = name.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
        let counts = ["max", "limit", "connections", "sessions"].iter().any(|part| name.contains(part));
        return counts && !["time", "age", "rate", "size", "second", "id"].iter().any(|part| name.ends_with(part));
    }
    if let Some(count) = before.strip_suffix('/') {
        return is_a_count_of_connections(count, after);
    }
    if let Some(count) = before.strip_suffix(" of ").and_then(last_number) {
        return THINGS.iter().any(|thing| before.contains(thing)) && count >= number;
    }
    if is_of_something_else(after) {
        return false;
    }
    if [" is the max", " is the limit", " is the most"].iter().any(|says| after.starts_with(says)) {
        return true;
    }
    let clause = before.rsplit(['.', ';', ',']).next().unwrap_or_default();
    let bounds = ["max", "limit", "at most", "up to", "more than", "allow", "permit", "only"];
    let last =
        clause.trim_end_matches([' ', ':', '(']).rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let leads =
        ["limit", "max", "maximum", "is", "are", "of", "to", "than", "most", "allowed", "allows", "only", "permits"];
    let leads = bounds.iter().any(|bound| clause.contains(bound)) && leads.contains(&last);
    let follows = after.split(['.', ';', ',']).next().unwrap_or_default();
    let allows = ["allowed", "permitted", "maximum", "max"];
    leads
        || (counts_connections(before, after)
            && follows.split(|c: char| !c.is_alphanumeric()).any(|word| allows.contains(&word)))
}

/// The number that the text ends with.
fn last_number(text: &str) -> Option<u64> {
    text.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Of `10/10 connections` or `connections: 10/10`, and not of a date, a network or an address.
fn is_a_count_of_connections(count: &str, after: &str) -> bool {
    let before = count.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_apart = before.is_empty() || before.ends_with([' ', ':', '(', '[']);
    let said = before.trim_end_matches([' ', ':', '(', '[']);
    let ends = after.is_empty() || after.starts_with([')', ']', '.', ',', ';']);
    let led = THINGS.iter().any(|thing| said.ends_with(thing) || said.ends_with(&format!("{thing}s")));
    is_apart && (counts_connections("", after) || (led && ends))
}

/// `of 20 messages per connection`.
fn is_of_something_else(after: &str) -> bool {
    const OTHERS: [&str; 15] = [
        "message",
        "mail",
        "email",
        "recipient",
        "rcpt",
        "command",
        "attempt",
        "error",
        "failure",
        "byte",
        "kb",
        "mb",
        "gb",
        "time",
        "request",
    ];
    let word: String = after.trim_start().chars().take_while(|c| c.is_alphabetic()).collect();
    OTHERS.iter().any(|other| word == *other || word.strip_suffix('s') == Some(other))
}

const THINGS: [&str; 3] = ["connection", "session", "login"];

fn counts_connections(before: &str, after: &str) -> bool {
    let is_thing = |word: &str| THINGS.iter().any(|thing| word.starts_with(thing));
    let follows = after.split_whitespace().take(4).position(is_thing).is_some_and(|words| {
        after.split_whitespace().take(words).all(|word| {
            ["simultaneous", "concurrent", "open", "parallel", "active", "imap", "pop3", "smtp", "client", "user"]
                .contains(&word)
        })
    });
    let in_brackets =
        before.ends_with('(') && after.starts_with(')') && THINGS.iter().any(|thing| before.contains(thing));
    follows || in_brackets
}

/// `https://example.org/answer/78754`.
fn is_in_a_url(before: &str) -> bool {
    let word = before.rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '<')).next().unwrap_or_default();
    word.contains("://") || word.starts_with("www.") || word.starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::stated_limit;

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
            ("NO [LIMIT] 5 connections are open, 4 is the maximum", Some(4)),
            ("NO [LIMIT] 5 connections are open: 4 is the limit", Some(4)),
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
            ("NO Too many simultaneous connections, see https://support.google.com/mail/answer/78754 (Failure)", None),
            ("NO Connection limit reached, see https://example.org/help?max_connections=12", None),
            ("NO Connection limit reached, see www.example.org/limit/12", None),
            ("NO [LIMIT] Too many connections from your network 192.0.2.0/24", None),
            ("NO [LIMIT] Too many connections from 2001:db8::/32", None),
            ("NO [LIMIT] Too many connections (28/11/2026 10:00)", None),
            ("NO [LIMIT] Too many connections (28/11 10:00)", None),
            ("NO [LIMIT] Too many connections since 2026-11-28", None),
            ("NO [LIMIT] Too many connections from 192.0.2.7:50123", None),
            ("NO [LIMIT] Too many connections from 192.0.2.7 port 50123", None),
            ("NO [LIMIT] Too many connections (code 17)", None),
            ("NO [LIMIT] Too many connections, session=4711", None),
            ("421 Too many connections, error 1040", None),
            ("421 Too many connections, timeout=300", None),
            ("421 4.7.0 Too many connections, limit of 20 messages per connection", None),
            ("NO [LIMIT] 10/10 connections", Some(10)),
            ("NO [LIMIT] Too many connections: 10/10", Some(10)),
            ("NO [LIMIT] Too many connections (10/10)", Some(10)),
            ("NO [LIMIT] Too many connections (limit 10)", Some(10)),
            ("NO [LIMIT] Too many connections (limit: 10)", Some(10)),
            ("NO [LIMIT] Too many connections (max_connections=10)", Some(10)),
            ("NO [LIMIT] Too many connections, a maximum of 10 is allowed", Some(10)),
            ("NO [LIMIT] Too many connections, 10 connections allowed", Some(10)),
            ("NO [LIMIT] You have 3 connections here, 10 connections maximum", Some(10)),
            ("NO [LIMIT] max connections exceeded (id 75-20020a05)", None),
            ("NO Too many open connections (11 of 9 from 192.0.2.1, 11 of 10 for joe)", Some(9)),
            ("NO Too many open connections (3 of 20 from 192.0.2.1, 11 of 10 for joe)", Some(10)),
            ("NO Too many connections, 3 of 20 mails were read", None),
        ] {
            assert_eq!(stated_limit(line), number, "{line}");
        }
    }
}
