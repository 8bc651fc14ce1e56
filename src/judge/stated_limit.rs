//! How many connections a server allows, by its own words.

use super::refusals::lines;
use crate::protocol::{Failure, is_unit_of_time, spaced, stated_period, written_number};

/// The number of connections that a refusal names as the limit: `(mail_max_userip_connections=10)`, `at most 7 sessions`.
/// Codes, addresses and times are none.
pub(crate) fn stated_limit(line: &str) -> Option<u64> {
    let line = in_digits(line);
    let is_rate = stated_period(&line).is_some();
    let mut counted = None;
    for (before, number, after) in numbers(&line) {
        if is_a_bound(before, number, after) {
            return Some(number);
        }
        if counts_connections(before, number, after) || (is_rate && is_in_a_time(after)) {
            counted = Some(counted.map_or(number, |least: u64| least.min(number)));
        }
    }
    counted
}

/// Whether the refusal's words name a number that could be the limit, for all that is known of such words.
pub(crate) fn names_a_number(failure: &Failure) -> bool {
    lines(failure).any(has_a_number)
}

fn has_a_number(line: &str) -> bool {
    numbers(&in_digits(line)).next().is_some()
}

/// The numbers of the line that stand for themselves, each with what stands around it.
fn numbers(line: &str) -> impl Iterator<Item = (&str, u64, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + line[at..].find(|c: char| c.is_ascii_digit())?;
        let end = line[start..].find(|c: char| !c.is_ascii_digit()).map_or(line.len(), |length| start + length);
        at = end;
        Some((&line[..start], &line[start..end], &line[end..]))
    })
    .filter_map(|(before, number, after)| {
        let number = number.parse().ok().filter(|number| (1..=100_000).contains(number))?;
        let is_one = is_alone(before, after) && !is_a_time(after) && !is_in_a_url(before) && !is_a_name(before);
        is_one.then_some((before, number, after))
    })
}

/// The line in small letters, without a reply's code, and with its numbers in digits: `at most three`.
fn in_digits(line: &str) -> String {
    let line = spaced(&line.to_lowercase().replace("max. ", "max "));
    let is_code = line.len() > 3 && line.as_bytes()[..3].iter().all(u8::is_ascii_digit);
    let said = if is_code && line[3..].starts_with([' ', '-']) { &line[4..] } else { &line };
    // `wait for one of them` names no number.
    const BOUNDS_ONE: [&str; 8] = ["only", "most", "than", "to", "of", "maximum", "max", "is"];
    let words: Vec<&str> = said.split(' ').collect();
    let written = words.iter().enumerate().map(|(at, word)| {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let (last, next) = (at.checked_sub(1).map_or("", |last| words[last]), words.get(at + 1).unwrap_or(&""));
        let is_number = match bare {
            "a" | "an" => false,
            "one" => BOUNDS_ONE.contains(&last) && (is_thing(next) || QUALIFIERS.contains(next)),
            _ => true,
        };
        match written_number(bare).filter(|_| is_number) {
            Some(number) => word.replace(bare, &number.to_string()),
            None => (*word).to_owned(),
        }
    });
    written.collect::<Vec<_>>().join(" ")
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
    let of_a_name = before.strip_suffix('.').is_some_and(|name| name.ends_with(char::is_alphanumeric));
    !before.ends_with(joins)
        && !continued
        && !of_a_name
        && !after.starts_with(joins)
        && !continues(after)
        && !after.starts_with('%')
}

fn is_a_time(after: &str) -> bool {
    let word: String = after.trim_start().chars().take_while(|c| c.is_alphabetic()).collect();
    is_unit_of_time(&word)
}

/// It is called so: `port 993`, `error 1040`.
fn is_a_name(before: &str) -> bool {
    const NAMED: [&str; 14] = [
        "port",
        "code",
        "error",
        "errno",
        "id",
        "pid",
        "uid",
        "ref",
        "reference",
        "ticket",
        "incident",
        "status",
        "as",
        "version",
    ];
    let before = before.trim_end_matches([' ', ':', '(', '[', '=']);
    NAMED.contains(&last_word(before))
}

fn last_word(text: &str) -> &str {
    text.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default()
}

fn first_word(text: &str) -> &str {
    let text = text.trim_start_matches(' ');
    &text[..text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len())]
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
    if is_of_something_else(after) || [" > ", " exceeds "].iter().any(|exceeds| after.starts_with(exceeds)) {
        return false;
    }
    if let Some(count) = before.strip_suffix(" > ").or_else(|| before.strip_suffix(" exceeds ")) {
        return has_thing(count) && last_number(count).is_some();
    }
    if let Some(count) = before.strip_suffix(" out of ").or_else(|| before.strip_suffix(" of ")).and_then(last_number) {
        return (has_thing(before) || precedes_thing(after)) && count >= number;
    }
    if [" is the max", " is the limit", " is the most"].iter().any(|says| after.starts_with(says)) {
        return true;
    }
    let clause = before.rsplit(['.', ';', ',']).next().unwrap_or_default();
    let bounds = [
        "max",
        "maks",
        "massim",
        "limit",
        "at most",
        "up to",
        "more than",
        "allow",
        "permit",
        "only",
        "höchstens",
        "máxim",
        "максим",
        "最多",
        "最大",
        "上限",
        "限制",
        "允许",
    ];
    let is_bounded = bounds.iter().any(|bound| clause.contains(bound));
    let led = clause.trim_end_matches([' ', ':', '(', '[']);
    let led = [" the", " a"].iter().find_map(|article| led.strip_suffix(article)).unwrap_or(led);
    let leads = [
        "limit",
        "max",
        "maximum",
        "maximal",
        "is",
        "are",
        "of",
        "to",
        "than",
        "most",
        "allowed",
        "allows",
        "only",
        "permits",
        "höchstens",
        "máximo",
        "maximaal",
        "maksymalnie",
        "massimo",
        "максимум",
        "de",
    ];
    let leads_in_chinese =
        ["最多", "允许", "最大", "最大で", "最大值", "上限", "上限为", "上限は", "限制", "限制为", "为"];
    let is_led = leads.contains(&last_word(led)) || leads_in_chinese.iter().any(|lead| led.ends_with(lead));
    (is_bounded && is_led)
        || (["exceeded", "exceeds", "exceed"].contains(&last_word(led)) && precedes_thing(after))
        || (["exceeded", "reached"].contains(&last_word(led)) && has_thing(led) && is_put_apart(before, number, after))
        || ((has_thing(before) || has_thing(after)) && ALLOWS.contains(&after_verb(after)))
        || (precedes_thing(after) && is_said_to_be_allowed(after))
}

const ALLOWS: [&str; 9] =
    ["allowed", "permitted", "max", "maximum", "maximal", "erlaubt", "zulässig", "autorisées", "permitidas"];

/// The first word, or the one behind `is` or `are`.
fn after_verb(after: &str) -> &str {
    let verb = ["is", "are", "sind", "ist"].into_iter().find(|verb| first_word(after) == *verb);
    first_word(verb.map_or(after, |verb| &after.trim_start_matches(' ')[verb.len()..]))
}

/// `10 connections maximum`, and not `10 connections open, maximum 7`.
fn is_said_to_be_allowed(after: &str) -> bool {
    let clause = after.split(['.', ';', ',', '(']).next().unwrap_or_default();
    let to_number = clause.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default();
    let is_of_another = to_number.len() < clause.len();
    let words = to_number.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let mut words = words.skip_while(|word| !ALLOWS.contains(word)).skip(1);
    let says = to_number.split(|c: char| !c.is_alphanumeric()).any(|word| ALLOWS.contains(&word));
    says && !(is_of_another && words.all(|word| ["of", "is", "are", "the", "to"].contains(&word)))
}

/// `reached: 3`, `exceeded (3)`. A large number there is an id.
fn is_put_apart(before: &str, number: u64, after: &str) -> bool {
    let ends = after.is_empty() || after.starts_with([')', ']', '.', ',', ';', ' ']);
    let apart = before.trim_end_matches(' ').ends_with([':', '(', '[']);
    apart && ends && is_no_code(number)
}

/// What stands alone may be a reply's code, a year or somebody's id.
fn is_no_code(number: u64) -> bool {
    number <= 2000 && !matches!(number, 421 | 432 | 450..=455 | 530 | 534 | 535 | 538 | 550..=556)
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
    is_apart && (precedes_thing(after) || (is_thing(last_word(said)) && ends))
}

/// `of 20 messages per connection`.
fn is_of_something_else(after: &str) -> bool {
    const OTHERS: [&str; 24] = [
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
        "failed",
        "invalid",
        "wrong",
        "bad",
        "unsuccessful",
        "nachricht",
        "nachrichten",
        "versuch",
        "versuche",
    ];
    let word: String = after.trim_start().chars().take_while(|c| c.is_alphabetic()).collect();
    OTHERS.iter().any(|other| word == *other || word.strip_suffix('s') == Some(other))
}

const THINGS: [&str; 20] = [
    "clients",
    "devices",
    "connection",
    "session",
    "login",
    "verbindung",
    "sitzung",
    "anmeldung",
    "connexion",
    "conexi",
    "conexõ",
    "sesion",
    "connession",
    "verbinding",
    "połącze",
    "подключени",
    "соединени",
    "接続",
    "连接",
    "連線",
];
/// What may stand between a number and what it counts.
const QUALIFIERS: [&str; 23] = [
    "simultaneous",
    "concurrent",
    "open",
    "parallel",
    "active",
    "imap",
    "pop3",
    "smtp",
    "client",
    "user",
    "other",
    "existing",
    "established",
    "gleichzeitige",
    "gleichzeitigen",
    "offene",
    "offenen",
    "parallele",
    "parallelen",
    "aktive",
    "gelijktijdige",
    "одновременных",
    "并发",
];

fn is_thing(word: &str) -> bool {
    THINGS.iter().any(|thing| word.starts_with(thing))
}

fn has_thing(text: &str) -> bool {
    THINGS.iter().any(|thing| text.contains(thing))
}

/// `simultaneous connections` follow.
fn precedes_thing(after: &str) -> bool {
    let mut words = after.split_whitespace().take(4);
    words.by_ref().find(|word| !QUALIFIERS.contains(word)).is_some_and(is_thing)
}

fn counts_connections(before: &str, number: u64, after: &str) -> bool {
    let led = before.trim_end_matches([' ', ':', '(', '[']);
    let is_to_be_closed = ["close", "closing", "end"].contains(&last_word(led));
    let in_brackets = before.ends_with('(') && after.starts_with(')') && has_thing(before);
    let behind = (before.ends_with('[') && after.starts_with(']')) || (before.ends_with(": ") && after.is_empty());
    (precedes_thing(after) && !is_to_be_closed)
        || ((in_brackets || (behind && is_thing(last_word(led)))) && is_no_code(number))
}

/// `3 per minute`, `3/min`.
fn is_in_a_time(after: &str) -> bool {
    let unit = ["/", " per ", " a ", " an ", " every ", " each "].iter().find_map(|each| after.strip_prefix(each));
    unit.is_some_and(|unit| is_unit_of_time(first_word(unit)))
}

/// `https://example.org/answer/78754`.
fn is_in_a_url(before: &str) -> bool {
    let word = before.rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '<')).next().unwrap_or_default();
    word.contains("://") || word.starts_with("www.") || word.starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::{has_a_number, stated_limit};

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
            ("NO Die maximale Anzahl gleichzeitiger Verbindungen (3) ist erreicht", Some(3)),
            ("NO Sie haben bereits 3 Verbindungen geöffnet", Some(3)),
            ("NO Numero massimo di connessioni raggiunto (3)", Some(3)),
            ("NO Troppe connessioni simultanee", None),
            ("NO Te veel gelijktijdige verbindingen (maximaal 3)", Some(3)),
            ("NO Zbyt wiele połączeń (maksymalnie 3)", Some(3)),
            ("NO Número máximo de conexões simultâneas excedido (3)", Some(3)),
            ("NO Превышено максимальное количество одновременных подключений (3)", Some(3)),
            ("NO 同時接続数が上限に達しました（3）", Some(3)),
            ("NO 同时连接数超过限制", None),
            ("NO 同时连接数超过限制：3", Some(3)),
            ("NO 连接数过多，最多允许3个连接", Some(3)),
            ("NO 最多三个并发连接", Some(3)),
            ("NO 连接数过多，请15分钟后再试", None),
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
            ("NO Too many connections, 20 of 20 mails were read", None),
            ("NO Too many concurrent sessions (3 allowed)", Some(3)),
            ("NO Too many sessions, 3 are allowed", Some(3)),
            ("NO Too many sessions (3 max)", Some(3)),
            ("NO Too many sessions (max. 3)", Some(3)),
            ("NO Too many sessions [limit 3]", Some(3)),
            ("NO Maximum simultaneous connections reached: 3", Some(3)),
            ("NO Maximum number of connections exceeded (3)", Some(3)),
            ("* BYE Connection limit reached [3]", Some(3)),
            ("NO Too many simultaneous connections [3]", Some(3)),
            ("NO Too many simultaneous connections: 3", Some(3)),
            ("NO Zu viele gleichzeitige Verbindungen (maximal 3)", Some(3)),
            ("NO Zu viele Verbindungen, höchstens 3 gleichzeitige Verbindungen", Some(3)),
            ("NO Zu viele Verbindungen, 3 Verbindungen sind erlaubt", Some(3)),
            ("NO Zu viele Verbindungen (3 erlaubt)", Some(3)),
            ("NO Trop de connexions (maximum 3)", Some(3)),
            ("NO you already have 3 simultaneous connections; 2 more than the 1 allowed", Some(1)),
            ("NO you already have 3 simultaneous connections - 2 more than the 1 allowed", Some(1)),
            ("NO you have 4 connections open (maximum 3)", Some(3)),
            ("NO you have 4 connections with a maximum of 3", Some(3)),
            ("NO 3 connections allowed for 192.0.2.7, and you have 4", Some(3)),
            ("NO Account has exceeded 3 sessions; wait for one of your sessions to close", Some(3)),
            ("NO You have 6 of 6 connections", Some(6)),
            ("NO You have 7 out of 6 connections", Some(6)),
            ("NO Mailbox session limit exceeded: 4 > 3", Some(3)),
            ("NO session count 4 exceeds 3", Some(3)),
            ("NO Too many clients (3)", Some(3)),
            ("NO Too many devices connected (3 allowed)", Some(3)),
            ("NO Demasiadas conexiones simultáneas (máximo 3)", Some(3)),
            ("NO Слишком много соединений (максимум 3)", Some(3)),
            ("NO Too many connections, at most three are allowed", Some(3)),
            ("NO only one connection is allowed", Some(1)),
            ("NO no more than one session per user", Some(1)),
            ("NO [LIMIT] 3 per minute and 100 per hour", Some(3)),
            ("NO [LIMIT] Too many logins: 3 per minute and 100 per hour", Some(3)),
            ("NO [LIMIT] Too many logins: 3/min", Some(3)),
            ("NO [LIMIT] max 3 connections per account (not per minute)", Some(3)),
            ("421 Connection limit exceeded", None),
            ("421-Connections exceed what is allowed", None),
            ("NO Too many connections (421)", None),
            ("NO Too many connections: 421", None),
            ("NO Maximum number of connections reached (2026)", None),
            ("NO Too many connections [84712]", None),
            ("NO Too many connections for imapd[84]", None),
            ("NO Too many connections, error (17)", None),
            ("NO Connection limit, id: 17", None),
            ("NO Too many connections, only port 993 allowed", None),
            ("NO Too many connections, wait for one of your sessions to close", None),
            ("NO Too many connections, close one connection", None),
            ("NO Too many connections, close 2 connections", None),
            ("NO Maximum number of logins: only 3 failed logins", None),
            ("NO Too many connections, at most 30 messages per minute and 5 per second", None),
        ] {
            assert_eq!(stated_limit(line), number, "{line}");
        }
    }

    #[test]
    fn a_number_that_cannot_be_told_is_one_and_codes_addresses_and_times_are_none() {
        for (line, names) in [
            ("NO Too many connections, this makes 4 of you", true),
            ("NO Too many connections, you may have three at home", true),
            ("421 4.7.0 mx1.example.org Error: too many connections from 192.0.2.7", false),
            ("NO Too many connections, try again in 15 minutes", false),
            ("421 4.7.0 Too many logins. l204sm333464qhl.34 - gsmtp", false),
            ("NO Too many connections (error 17), see https://example.org/answer/78754", false),
            ("NO Too many connections, wait for one of your sessions to close", false),
        ] {
            assert_eq!(has_a_number(line), names, "{line}");
        }
    }
}
