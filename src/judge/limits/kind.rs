//! What a limit counts, by the server's words.

use super::scope::count_and_bound;
use crate::event::{LimitKind, Micros};
use crate::judge::refusals::{is_lock, lines};
use crate::protocol::{self, Failure, FailureKind, Protocol};

/// Whether the refusal is for a maildrop's one owner, while this client held so many. A lock has room for one.
pub(crate) fn is_lock_of_one(failure: &Failure, protocol: Option<Protocol>, held: usize) -> bool {
    protocol == Some(Protocol::Pop3) && held <= 1 && is_lock(failure)
}

/// What the refusal says that it counts; none where its words go for both: `too many connections from 192.0.2.7` is what Postfix
/// says of either. `held` is how many this client had then.
pub(crate) fn stated(failure: &Failure, protocol: Option<Protocol>, held: usize) -> Option<LimitKind> {
    let of_lock = || is_lock_of_one(failure, protocol, held).then_some(LimitKind::Count);
    stated_in_words(failure).or_else(of_lock)
}

/// The same, by its words alone.
pub(super) fn stated_in_words(failure: &Failure) -> Option<LimitKind> {
    if failure.kind == FailureKind::LimitRate {
        return Some(LimitKind::Rate);
    }
    lines(failure).find_map(stated_in)
}

/// Over how long the server counts, by its words.
pub(crate) fn stated_period(failure: &Failure) -> Option<Micros> {
    lines(failure).find_map(protocol::stated_period).map(Micros::from)
}

fn stated_in(line: &str) -> Option<LimitKind> {
    let line = line.to_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| line.contains(part));
    if says(&RATE) || protocol::stated_period(&line).is_some() {
        Some(LimitKind::Rate)
    } else if says(COUNT) || is_per_holder(&line) || is_of_held(&line) || is_one_of_all(&line) {
        Some(LimitKind::Count)
    } else {
        None
    }
}

/// `connections per user`, `sessions for each account`.
fn is_per_holder(line: &str) -> bool {
    ["connections", "sessions"].iter().any(|things| {
        line.match_indices(things).any(|(at, _)| {
            let rest = &line[at + things.len()..];
            let whose = [" per ", " for each ", " each ", "/"].iter().find_map(|each| rest.strip_prefix(each));
            whose.is_some_and(|whose| WHOSE.iter().any(|holder| whose.starts_with(holder)))
        })
    })
}

/// `8/7 connections`, `you have 3 connections`.
fn is_of_held(line: &str) -> bool {
    let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    let holds = |words: &[&str]| match *words {
        [.., one, other] if is_number(one) && is_number(other) => line.contains(&format!("{one}/{other}")),
        [.., "have" | "has" | "already" | "hold" | "holds", count] => is_number(count),
        _ => false,
    };
    let is_thing = |word: &str| ["connections", "sessions"].contains(&word);
    words.iter().enumerate().any(|(at, word)| is_thing(word) && holds(&words[..at]))
}

/// `You have 6 of 6 connections`: what is open, of what may be. Attempts and sign-ins come, and are not open.
fn is_one_of_all(line: &str) -> bool {
    let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
    let mut parts = line.split([',', ';', '(']);
    has(&["connections", "sessions"])
        && !has(&["attempt", "login", "logon", "sign-in", "auth"])
        && parts.any(|part| part.contains(" of ") && count_and_bound(part).is_some())
}

/// `connection rate` and `rate limit`, and not `operate` or `certificate`.
const RATE: [&str; 4] = ["connection rate", "login rate", "rate limit", "ratelimit"];
/// `simultaneous` in several languages, and the English for what is open.
const COUNT: &[&str] = &[
    "simultan",
    "simultán",
    "simultân",
    "concurrent",
    "gleichzeitig",
    "gelijktijdig",
    "jednoczesn",
    "równoczesn",
    "одновременн",
    "同時",
    "同时",
    "并发",
    "parallel",
    "at once",
    "at the same time",
    "number of connections",
    "number of sessions",
    "open connections",
    "open sessions",
    "active connections",
    "active sessions",
    "connections are open",
    "sessions are open",
    "connections open",
    "sessions open",
    "connections already open",
    "sessions already open",
    "connections are already open",
    "sessions are already open",
    "connections in use",
    "sessions in use",
    "connections are in use",
    "sessions are in use",
    "sessions to close",
    "connections to close",
    "close other",
    "close some",
    "close one",
    "offene verbindungen",
    "offenen verbindungen",
    "verbindungen geöffnet",
    "verbindungen offen",
    "numero massimo di conn",
    "número máximo de con",
    "nombre maximal de conn",
    "nombre maximum de conn",
    "maksymalna liczba połączeń",
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
            ("NO [LIMIT] max 3 connections per account (not per minute)", Some(Count)),
            ("NO [LIMIT] You have 6 of 6 connections", Some(Count)),
            ("NO [LIMIT] 8/7 connections", Some(Count)),
            ("NO [LIMIT] You already have 3 connections", Some(Count)),
            ("NO [LIMIT] 3 connections are open, 3 is the maximum", Some(Count)),
            ("NO [LIMIT] 3 sessions are already open", Some(Count)),
            ("NO Account has exceeded 3 sessions; wait for one of your sessions to close", Some(Count)),
            ("NO Too many connections: close some of them", Some(Count)),
            ("NO You have made 6 of 6 connections in the last minute", Some(Rate)),
            ("NO [LIMIT] 3 per minute and 100 per hour", Some(Rate)),
            ("NO Too many connections (28/11 10:00)", None),
            ("NO The limit is 3 connections", None),
            ("* BYE too many sessions (11 of 10 for ann)", Some(Count)),
            ("421 connections: 5 of 5, try again later", Some(Count)),
            ("421 6 of 6 connections per minute", Some(Rate)),
            ("421 connections: login attempt 5 of 5", None),
            ("421 line 3 of 5", None),
            ("421 4.7.0 localhost Error: too many connections from 127.0.0.1", None),
            ("-ERR [IN-USE] too many connections for this account", None),
            ("NO Too many connections", None),
            ("BAD User is authenticated but not connected.", None),
            ("421 4.7.0 Connection rate limit exceeded", Some(Rate)),
            ("421 no more than 20 connections per minute", Some(Rate)),
            ("421 at most 20 connections/hour", Some(Rate)),
            ("421 4.7.0 Too many concurrent connections from your host, please slow down", Some(Count)),
            ("421 smtp.orange.fr Too many connections, slow down. OFR004_104 [104]", None),
            ("NO Too many connections, too fast", None),
            ("NO the server cannot operate", None),
            ("NO [LIMIT] no more than 5 logins per minute", Some(Rate)),
            ("NO [LIMIT] no more than 5 logins per minute, please wait 60s", Some(Rate)),
            ("NO at most 20 sign-ins an hour and 5 attempts/min", Some(Rate)),
            ("421 more than 30 authentications in a minute", Some(Rate)),
            ("NO 10 logins per user", None),
            ("too many connections: 20 connections per IP per minute", Some(Rate)),
            ("NO Too many connections from 192.0.2.7 within 60 seconds", Some(Rate)),
            ("NO Too many connections in the last minute", Some(Rate)),
            ("NO 10 sessions per account every 10 minutes", Some(Rate)),
            ("421 at most 20 connections per hour", Some(Rate)),
            ("421 at most 20 connections/min", Some(Rate)),
            ("421 Too many connections, at most 30 messages per minute", None),
            ("NO Too many simultaneous connections, try again in 5 minutes", Some(Count)),
            ("* BYE no more than 5 connections per minute from your address", Some(Rate)),
            ("NO Die maximale Anzahl gleichzeitiger Verbindungen (3) ist erreicht", Some(Count)),
            ("NO Sie haben bereits 3 Verbindungen geöffnet", Some(Count)),
            ("NO Zu viele Verbindungen", None),
            ("NO Numero massimo di connessioni raggiunto (3)", Some(Count)),
            ("NO Troppe connessioni simultanee", Some(Count)),
            ("NO Te veel gelijktijdige verbindingen (maximaal 3)", Some(Count)),
            ("NO Zbyt wiele połączeń (maksymalnie 3)", None),
            ("NO Zbyt wiele jednoczesnych połączeń", Some(Count)),
            ("NO Número máximo de conexões simultâneas excedido (3)", Some(Count)),
            ("NO Demasiadas conexiones simultáneas", Some(Count)),
            ("NO Nombre maximal de connexions atteint", Some(Count)),
            ("NO Превышено максимальное количество одновременных подключений (3)", Some(Count)),
            ("NO 同時接続数が上限に達しました", Some(Count)),
            ("NO 同时连接数超过限制", Some(Count)),
            ("NO 连接数过多", None),
        ] {
            assert_eq!(stated_in(line), kind, "{line}");
        }
    }
}
