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
    let line = without_what_has_room(&line.to_lowercase());
    let user = user.to_lowercase();
    let words: Vec<&str> = line.split(|c: char| c.is_whitespace() || "+,;()[]<>\"'=_".contains(c)).collect();
    let words: Vec<&str> = words.into_iter().map(|word| word.trim_matches(['.', ':'])).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let is_user = words.iter().any(|word| USERS.contains(word)) || (!user.is_empty() && words.contains(&&*user));
    let is_address = words.iter().enumerate().any(|(at, word)| {
        let before = at.checked_sub(1).and_then(|at| words.get(at)).copied().unwrap_or_default();
        let is_one = (ADDRESSES.contains(word) && !MAIL.contains(&before))
            || (*word == "client" && ["per", "each", "this"].contains(&before));
        is_one || word.parse::<IpAddr>().is_ok()
    });
    match (is_user, is_address) {
        (true, true) => Some(LimitScope::UserAndAddress),
        (true, false) => Some(LimitScope::User),
        (false, true) => Some(LimitScope::Address),
        (false, false) => WHOLE.iter().any(|whole| line.contains(whole)).then_some(LimitScope::Server),
    }
}

/// Cyrus tells all it counts: `(3 of 10 from 192.0.2.1, 11 of 10 for joe)`. What is below its bound has refused nobody.
fn without_what_has_room(line: &str) -> String {
    let has_room = |part: &str| {
        let part = part.rsplit('(').next().unwrap_or(part).trim();
        let mut numbers = part.split(' ').filter(|word| *word != "of").map_while(|word| word.parse::<u64>().ok());
        part.contains(" of ") && numbers.next().zip(numbers.next()).is_some_and(|(count, bound)| count < bound)
    };
    line.split(',').filter(|part| !has_room(part)).collect::<Vec<_>>().join(",")
}

const USERS: [&str; 9] =
    ["user", "users", "userip", "username", "account", "accounts", "mailbox", "maildrop", "benutzer"];
const ADDRESSES: [&str; 8] = ["ip", "ips", "userip", "address", "addresses", "host", "network", "subnet"];
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
        ] {
            assert_eq!(stated_scope(line, "ann"), scope, "{line}");
        }
    }
}
