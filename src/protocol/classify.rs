//! What a server's refusal means: a table over the texts that real servers send.
//!
//! One mistake matters more than all others: a connection limit shown as a wrong password (thunderbird-android#1694),
//! because people then change passwords and providers lock accounts. So limits are looked for first, everywhere.

use super::failure::{Failure, FailureKind, Stage};

use FailureKind::{AuthInvalid, AuthUnsupported, LimitConnections, LimitRate, ServerBad, ServerBye, ServerNo};

/// A text that decides, in lower case, and where it does. The first row that matches wins.
struct Row {
    text: &'static str,
    only_signing_in: bool,
    kind: FailureKind,
}

const fn anywhere(text: &'static str, kind: FailureKind) -> Row {
    Row { text, only_signing_in: false, kind }
}

const fn signing_in(text: &'static str, kind: FailureKind) -> Row {
    Row { text, only_signing_in: true, kind }
}

const TABLE: &[Row] = &[
    // Throttling: how fast, not how many.
    anywhere("throttled", LimitRate),
    anywhere("backoff time", LimitRate),
    anywhere("bandwidth limit", LimitRate),
    anywhere("rate limit", LimitRate),
    anywhere("ratelimit", LimitRate),
    anywhere("too many login", LimitRate),
    anywhere("too many auth", LimitRate),
    anywhere("too many failed", LimitRate),
    anywhere("too many invalid", LimitRate),
    anywhere("too many requests", LimitRate),
    anywhere("too many commands", LimitRate),
    anywhere("too many messages", LimitRate),
    anywhere("submission rate", LimitRate),
    anywhere("4.7.28", LimitRate),
    // Too many connections: Gmail, Dovecot, Exchange Online, Stalwart, Courier, Postfix and others.
    anywhere("too many simultaneous", LimitConnections),
    anywhere("too many concurrent", LimitConnections),
    anywhere("too many connections", LimitConnections),
    anywhere("too many open connections", LimitConnections),
    anywhere("too many sessions", LimitConnections),
    anywhere("maximum number of connections", LimitConnections),
    anywhere("maximum connections", LimitConnections),
    anywhere("maximum number of concurrent", LimitConnections),
    anywhere("concurrent connections limit", LimitConnections),
    anywhere("concurrent connection limit", LimitConnections),
    anywhere("connection limit", LimitConnections),
    anywhere("connections exceeded", LimitConnections),
    anywhere("connections per ip", LimitConnections),
    anywhere("connections from your ip", LimitConnections),
    anywhere("connection queue full", LimitConnections),
    anywhere("mail_max_userip_connections", LimitConnections),
    anywhere("user is authenticated but not connected", LimitConnections),
    anywhere("[in-use]", LimitConnections),
    signing_in("[limit]", LimitConnections),
    // Not the user's fault, and not for ever (RFC 5530).
    signing_in("[unavailable]", ServerNo),
    signing_in("[serverbug]", ServerNo),
    signing_in("[inuse]", ServerNo),
    signing_in("[sys/temp]", ServerNo),
    signing_in("temporary authentication failure", ServerNo),
    signing_in("temporary failure", ServerNo),
    signing_in("internal error", ServerNo),
    signing_in("internal server error", ServerNo),
    signing_in("try again later", ServerNo),
    // A wrong password even when the server hangs up with it, or calls it BAD.
    signing_in("[authenticationfailed]", AuthInvalid),
    signing_in("[authorizationfailed]", AuthInvalid),
    signing_in("[expired]", AuthInvalid),
    signing_in("authentication failed", AuthInvalid),
    signing_in("invalid credentials", AuthInvalid),
    // There is no way to sign in like this.
    signing_in("[privacyrequired]", AuthUnsupported),
    signing_in("plaintext authentication disallowed", AuthUnsupported),
    signing_in("plaintext authentication not allowed", AuthUnsupported),
    signing_in("cleartext authentication disallowed", AuthUnsupported),
    signing_in("cleartext authentication not allowed", AuthUnsupported),
    signing_in("unsupported authentication mechanism", AuthUnsupported),
    signing_in("unrecognized authentication type", AuthUnsupported),
];

/// The failure that a server's refusal stands for: a tagged NO or BAD, an untagged BYE, a `-ERR`, a 4xx or 5xx reply.
///
/// `line` is the server's line without its line end; a tag is recognised and left out of what is shown.
#[must_use]
pub fn refusal(line: &[u8], stage: Stage) -> Failure {
    let shown = without_tag(line);
    let kind = kind_of(shown, stage);
    Failure::new(kind, stage, advice(kind, stage, shown)).with_line(shown)
}

/// The line without the tag of the command that it answers. `* BYE` keeps its star.
pub(super) fn without_tag(line: &[u8]) -> &[u8] {
    let Some(space) = line.iter().position(|byte| *byte == b' ') else { return line };
    let rest = &line[space + 1..];
    let tagged = line[0].is_ascii_alphabetic() && line[..space].iter().any(u8::is_ascii_digit);
    if tagged && ["OK", "NO", "BAD", "BYE"].iter().any(|word| starts_with_word(rest, word)) { rest } else { line }
}

fn starts_with_word(text: &[u8], word: &str) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
        && text.get(word.len()).is_none_or(|next| *next == b' ')
}

fn kind_of(line: &[u8], stage: Stage) -> FailureKind {
    let text = String::from_utf8_lossy(line).to_lowercase();
    let signing_in = matches!(stage, Stage::Greeting | Stage::Auth);
    let row = TABLE.iter().find(|row| (signing_in || !row.only_signing_in) && text.contains(row.text));
    if let Some(row) = row {
        return row.kind;
    }
    let words = text.strip_prefix("* ").unwrap_or(&text);
    if starts_with_word(words.as_bytes(), "bye") || words.starts_with("421") {
        return ServerBye;
    }
    if starts_with_word(words.as_bytes(), "bad") {
        return ServerBad;
    }
    if words.starts_with("432") {
        return LimitConnections;
    }
    if stage == Stage::Auth {
        return match words.as_bytes() {
            [b'4', ..] => ServerNo,
            [b'5', b'0', ..] => ServerBad,
            _ if words.starts_with("534") || words.starts_with("538") => AuthUnsupported,
            _ => AuthInvalid,
        };
    }
    ServerNo
}

fn advice(kind: FailureKind, stage: Stage, line: &[u8]) -> String {
    match kind {
        LimitConnections => {
            "the server allows no more connections; use fewer, or dispose those that idle (the password is not the \
             matter)"
                .to_owned()
        }
        LimitRate => match back_off(line) {
            Some(milliseconds) => format!("the server throttles; wait {milliseconds} ms and ask for less at a time"),
            None => "the server throttles; wait, and ask for less at a time".to_owned(),
        },
        AuthInvalid => {
            "the server refused the user or the password; check both (some providers want an app password)".to_owned()
        }
        AuthUnsupported => "the server does not allow this way to sign in; use TLS, or another account".to_owned(),
        ServerBye => "the server ended the session".to_owned(),
        ServerBad => "the server did not accept the command".to_owned(),
        _ if stage == Stage::Auth => "the server cannot sign anyone in just now; try again later".to_owned(),
        _ => "the server refused the command; the connection goes on".to_owned(),
    }
}

/// Exchange Online's "Suggested Backoff Time: N milliseconds".
fn back_off(line: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(line).to_lowercase();
    let (_, after) = text.split_once("backoff time:")?;
    after.trim_start().split(' ').next()?.parse().ok()
}
