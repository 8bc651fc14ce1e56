//! What a limit counts, by the server's words.

use crate::event::LimitKind;
use crate::judge::refusals::{is_lock, lines};
use crate::protocol::{Failure, FailureKind, Protocol};

/// What the refusal says that it counts; none where its words go for both: `too many connections from 192.0.2.7` is what Postfix
/// says of either.
pub(crate) fn stated(failure: &Failure, protocol: Option<Protocol>) -> Option<LimitKind> {
    if failure.kind == FailureKind::LimitRate {
        return Some(LimitKind::Rate);
    }
    // A lock has room for one.
    let of_lock = || (protocol == Some(Protocol::Pop3) && is_lock(failure)).then_some(LimitKind::Count);
    lines(failure).find_map(stated_in).or_else(of_lock)
}

fn stated_in(line: &str) -> Option<LimitKind> {
    let line = line.to_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| line.contains(part));
    if says(&RATE) || per(&line).any(|what| TIMES.iter().any(|time| what.starts_with(time))) {
        Some(LimitKind::Rate)
    } else if says(&COUNT) || per(&line).any(|what| WHOSE.iter().any(|whose| what.starts_with(whose))) {
        Some(LimitKind::Count)
    } else {
        None
    }
}

/// What follows each `connections per`, `sessions per`, `sessions for each`.
fn per(line: &str) -> impl Iterator<Item = &str> {
    ["per ", "for each ", "a "].into_iter().flat_map(move |each| {
        ["connections ", "sessions ", "connections/", "sessions/"].into_iter().flat_map(move |things| {
            line.match_indices(things).filter_map(move |(at, _)| {
                let rest = &line[at + things.len()..];
                if things.ends_with('/') { Some(rest) } else { rest.strip_prefix(each) }
            })
        })
    })
}

/// `connection rate` and `rate limit`, and not `operate` or `certificate`.
const RATE: [&str; 7] =
    ["connection rate", "login rate", "rate limit", "ratelimit", "too fast", "too frequent", "too quickly"];
const TIMES: [&str; 6] = ["second", "minute", "hour", "day", "sec", "min"];
/// `simultan` in several languages.
const COUNT: [&str; 12] = [
    "simultan",
    "concurrent",
    "gleichzeitig",
    "parallel",
    "at once",
    "at the same time",
    "number of connections",
    "number of sessions",
    "open connections",
    "open sessions",
    "active connections",
    "max_userip_connections",
];
const WHOSE: [&str; 7] = ["user", "account", "ip", "address", "client", "host", "mailbox"];

#[cfg(test)]
mod tests {
    use super::stated_in;
    use crate::event::LimitKind::{Count, Rate};

    #[test]
    fn the_words_of_a_refusal_say_whether_it_counts_what_is_open_or_what_comes() {
        for (line, kind) in [
            (
                "NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
                Some(Count),
            ),
            ("NO [ALERT] Too many simultaneous connections. (Failure)", Some(Count)),
            ("432 4.3.2 Concurrent connections limit exceeded", Some(Count)),
            ("421 Too many concurrent SMTP connections from this IP address; please try again later.", Some(Count)),
            ("NO Too many open connections (3 of 3 for u1)", Some(Count)),
            ("NO [LIMIT] at most 7 sessions per user", Some(Count)),
            ("NO at most 7 connections for each user", Some(Count)),
            ("421 4.7.0 localhost Error: too many connections from 127.0.0.1", None),
            ("-ERR [IN-USE] too many connections for this account", None),
            ("NO Too many connections", None),
            ("BAD User is authenticated but not connected.", None),
            ("421 4.7.0 Connection rate limit exceeded", Some(Rate)),
            ("421 no more than 20 connections per minute", Some(Rate)),
            ("421 at most 20 connections/hour", Some(Rate)),
            ("421 you connect too fast", Some(Rate)),
            ("NO the server cannot operate", None),
        ] {
            assert_eq!(stated_in(line), kind, "{line}");
        }
    }
}
