//! Whose connections a limit counts together: by the server's words; where they are silent, a refusal
//! before the sign-in is for no user.

use std::net::IpAddr;

use crate::event::LimitScope;
use crate::judge::refusals::lines;
use crate::protocol::{Failure, Stage};

/// What a refusal says of whose connections it counts. `user` is who signs in.
pub(super) fn of(failure: &Failure, user: &str, stage: Option<Stage>) -> Vec<LimitScope> {
    match lines(failure).find_map(|line| stated_scope(line, user)) {
        Some(scope) => vec![scope],
        // Before the sign-in the server does not know the user.
        None if stage.is_some_and(|stage| stage < Stage::Auth) => vec![LimitScope::Address, LimitScope::Server],
        // From then on it may have looked at the user, or count all that are signed in.
        None => LimitScope::ALL.to_vec(),
    }
}

/// Whose the words say: `from user+IP`, `per user`, `from your IP address`.
fn stated_scope(line: &str, user: &str) -> Option<LimitScope> {
    let line = line.to_lowercase();
    let user = user.to_lowercase();
    // What is below its bound has refused nobody: `(3 of 10 from 192.0.2.1, 11 of 10 for joe)`.
    let parts: Vec<&str> = line
        .split([',', ';', '('])
        .filter(|part| count_and_bound(part).is_none_or(|(count, bound)| count >= bound))
        .collect();
    let of = |part: &str| {
        let words = words(part);
        (names_user(&words, &user), names_address(&words))
    };
    match of(&parts.join(",")) {
        // Each has a bound of its own, and nothing says which of them was met.
        (true, true)
            if [(true, false), (false, true)]
                .iter()
                .all(|one| parts.iter().any(|it| has_number(it) && of(it) == *one)) =>
        {
            None
        }
        (true, true) => Some(LimitScope::UserAndAddress),
        (true, false) => Some(LimitScope::User),
        (false, true) => Some(LimitScope::Address),
        (false, false) => WHOLE.iter().any(|whole| line.contains(whole)).then_some(LimitScope::Server),
    }
}

fn words(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| c.is_whitespace() || "+,;()[]<>\"'=_".contains(c));
    words.map(|word| word.trim_matches(['.', ':'])).filter(|word| !word.is_empty()).collect()
}

fn names_user(words: &[&str], user: &str) -> bool {
    words.iter().any(|word| USERS.contains(word) || (!user.is_empty() && *word == user))
}

fn names_address(words: &[&str]) -> bool {
    words.iter().enumerate().any(|(at, word)| {
        let before = |back: usize| at.checked_sub(back).and_then(|at| words.get(at)).copied().unwrap_or_default();
        // `On this host` is the server's.
        let is_servers = [1, 2].iter().any(|back| {
            ["this", "the", "our"].contains(&before(*back)) && ["on", "to", "at"].contains(&before(back + 1))
        });
        let is_clients = (*word == "client" && ["per", "each", "this"].contains(&before(1)))
            || (*word == "host" && [1, 2].iter().any(|back| FROM.contains(&before(*back))));
        let is_one = ADDRESSES.contains(word) && !MAIL.contains(&before(1));
        (!is_servers && (is_one || is_clients)) || word.parse::<IpAddr>().is_ok()
    })
}

/// `11 of 10`, `4/3`: how many there are, and may be.
pub(super) fn count_and_bound(part: &str) -> Option<(u64, u64)> {
    let words: Vec<&str> =
        part.split([' ', '/']).map(|word| word.trim_matches(|c: char| !c.is_alphanumeric())).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| *word != "of").collect();
    let is_pair = part.contains(" of ") || part.contains('/');
    words.windows(2).filter(|_| is_pair).find_map(|pair| pair[0].parse().ok().zip(pair[1].parse().ok()))
}

fn has_number(part: &str) -> bool {
    part.split([' ', '/', ')']).any(|word| word.parse::<u64>().is_ok())
}

const USERS: [&str; 9] =
    ["user", "users", "userip", "username", "account", "accounts", "mailbox", "maildrop", "benutzer"];
const ADDRESSES: [&str; 7] = ["ip", "ips", "userip", "address", "addresses", "network", "subnet"];
/// Behind these a host is a client's.
const FROM: [&str; 7] = ["per", "each", "from", "your", "same", "single", "remote"];
/// `email address` is a user's.
const MAIL: [&str; 4] = ["email", "e-mail", "mail", "mailbox"];
const WHOLE: [&str; 6] =
    ["server is full", "server limit", "server connections", "in total", "all users", "system-wide"];

#[cfg(test)]
mod tests {
    use super::stated_scope;
    use crate::event::LimitScope;

    #[test]
    fn the_words_of_a_refusal_say_whose_connections_it_counts() {
        for (line, scope) in [
            (
                "NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
                Some(LimitScope::UserAndAddress),
            ),
            ("NO Too many open connections for ann", Some(LimitScope::User)),
            ("NO Too many open connections from 192.0.2.7", Some(LimitScope::Address)),
            ("BYE Too many connections from your IP address", Some(LimitScope::Address)),
            ("421 4.7.0 mx1.example.org Error: too many connections from 192.0.2.7", Some(LimitScope::Address)),
            ("421 4.7.0 Too many connections, no more than 20 per client", Some(LimitScope::Address)),
            (
                "421 Too many concurrent SMTP connections from this IP address; please try again later.",
                Some(LimitScope::Address),
            ),
            ("421 Too many concurrent SMTP connections; please try again later.", None),
            ("NO [LIMIT] at most 7 sessions per user", Some(LimitScope::User)),
            ("-ERR [IN-USE] too many connections for this account", Some(LimitScope::User)),
            ("NO Too many connections for this email address", None),
            ("NO [ALERT] Too many simultaneous connections. (Failure)", None),
            ("432 4.3.2 Concurrent connections limit exceeded", None),
            ("421 the server is full", Some(LimitScope::Server)),
            ("NO Too many open connections (11 of 10 from 192.0.2.1, 3 of 10 for ann)", Some(LimitScope::Address)),
            ("NO Too many open connections (3 of 10 from 192.0.2.1, 11 of 10 for ann)", Some(LimitScope::User)),
            ("-ERR Too many open connections (11 of 10 for ann)", Some(LimitScope::User)),
            ("-ERR Your account is currently accessed by another client", Some(LimitScope::User)),
            ("-ERR [IN-USE] mailbox already in use by pid 12345", Some(LimitScope::User)),
            ("* BYE too many open connections from your ip or network", Some(LimitScope::Address)),
            ("421 mx.example.org Too many connected clients, try again in a moment", None),
            ("NO [LIMIT] Too many connections to this host", None),
            ("NO [LIMIT] Too many connections on this host, the limit is 3", None),
            ("NO [LIMIT] connection count 4, max 3, host imap7", None),
            ("421 4.7.0 Too many concurrent connections from your host, please slow down", Some(LimitScope::Address)),
            ("421 Too many connections from this host", Some(LimitScope::Address)),
            ("NO Too many connections (maxlogins_per_host)", Some(LimitScope::Address)),
            ("NO [LIMIT] Too many connections (ip: 4/10, user: 4/3)", Some(LimitScope::User)),
            ("NO [LIMIT] Too many connections (ip: 11/10, user: 2/3)", Some(LimitScope::Address)),
            ("NO [LIMIT] Too many connections (ip: 11/10, user: 4/3)", None),
            ("NO [LIMIT] Too many connections (user limit 3, ip limit 10)", None),
            ("NO [LIMIT] Too many connections to this IP address", None),
            ("NO [LIMIT] at most 3 connections per user, counted by IP", Some(LimitScope::UserAndAddress)),
        ] {
            assert_eq!(stated_scope(line, "ann"), scope, "{line}");
        }
    }
}
