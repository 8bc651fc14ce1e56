//! What a server's refusal means: a table over the texts that real servers send.
//!
//! One mistake matters more than all others: a connection limit shown as a wrong password (thunderbird-android#1694),
//! because people then change passwords and providers lock accounts. So limits are looked for before all else that
//! has to be guessed from a wording; only a response code that names the reason itself comes first.

use super::failure::{Failure, FailureKind, Stage};

use FailureKind::{AuthInvalid, AuthUnsupported, LimitConnections, LimitRate, ServerBad, ServerBye, ServerNo};

/// What decides, in lower case, and for which kind. The first row that matches wins.
type Rows = &'static [(&'static str, FailureKind)];

/// Response codes that leave nothing open: no text says more than they do. Counted at any stage.
const CODES: Rows = &[("in-use", LimitConnections), ("throttled", LimitRate)];

/// The same, for the answer to a sign-in.
const SIGN_IN_CODES: Rows = &[
    ("authenticationfailed", AuthInvalid),
    ("authorizationfailed", AuthInvalid),
    ("expired", AuthInvalid),
    ("privacyrequired", AuthUnsupported),
];

/// What providers say in these very words, at the start of the text and at any stage.
const SENTENCES: Rows = &[
    ("user is authenticated but not connected", LimitConnections),
    ("request is throttled", LimitRate),
    ("[overquota] account exceeded command or bandwidth limits", LimitRate),
];

/// Limits by their wording, found anywhere in a line: so only where no text of the user's, such as the name of a
/// mailbox, comes back in it. That is up to the sign-in, and in a goodbye.
const LIMITS: Rows = &[
    // Throttling: how fast, not how many.
    ("throttled", LimitRate),
    ("backoff time", LimitRate),
    ("bandwidth limit", LimitRate),
    ("rate limit", LimitRate),
    ("ratelimit", LimitRate),
    ("too many login", LimitRate),
    ("too many auth", LimitRate),
    ("too many failed", LimitRate),
    ("too many invalid", LimitRate),
    ("too many requests", LimitRate),
    ("too many commands", LimitRate),
    ("too many messages", LimitRate),
    ("submission rate", LimitRate),
    ("4.7.28", LimitRate),
    // Too many connections: Gmail, Dovecot, Exchange Online, Stalwart, Courier, Postfix and others.
    ("too many simultaneous", LimitConnections),
    ("too many concurrent", LimitConnections),
    ("too many connections", LimitConnections),
    ("too many open connections", LimitConnections),
    ("too many sessions", LimitConnections),
    ("maximum number of connections", LimitConnections),
    ("maximum connections", LimitConnections),
    ("maximum number of concurrent", LimitConnections),
    ("concurrent connections limit", LimitConnections),
    ("concurrent connection limit", LimitConnections),
    ("connection limit", LimitConnections),
    ("connections exceeded", LimitConnections),
    ("connections per ip", LimitConnections),
    ("connections from your ip", LimitConnections),
    ("connection queue full", LimitConnections),
    ("mail_max_userip_connections", LimitConnections),
];

/// Response codes that leave the reason to the text, for the answer to a sign-in.
const VAGUE_CODES: Rows = &[
    ("limit", LimitConnections),
    // Not the user's fault, and not for ever (RFC 5530).
    ("unavailable", ServerNo),
    ("serverbug", ServerNo),
    ("inuse", ServerNo),
    ("sys/temp", ServerNo),
];

/// The wordings of everything else that can be said to a sign-in.
const SIGN_IN_TEXTS: Rows = &[
    ("temporary authentication failure", ServerNo),
    ("temporary failure", ServerNo),
    ("internal error", ServerNo),
    ("internal server error", ServerNo),
    ("try again later", ServerNo),
    // A wrong password even when the server hangs up with it, or calls it BAD.
    ("authentication failed", AuthInvalid),
    ("invalid credentials", AuthInvalid),
    // There is no way to sign in like this.
    ("plaintext authentication disallowed", AuthUnsupported),
    ("plaintext authentication not allowed", AuthUnsupported),
    ("cleartext authentication disallowed", AuthUnsupported),
    ("cleartext authentication not allowed", AuthUnsupported),
    ("unsupported authentication mechanism", AuthUnsupported),
    ("unrecognized authentication type", AuthUnsupported),
];

/// The failure that a server's refusal stands for: a tagged NO or BAD, an untagged BYE, a `-ERR`, a 4xx or 5xx reply.
///
/// `line` is the server's line without its line end; a tag is recognised and left out of what is shown.
#[must_use]
pub fn refusal(line: &[u8], stage: Stage) -> Failure {
    refusal_shown_as(line, without_tag(line), stage)
}

/// The same, where another line is to be shown for it: one without its tag, in which the password is masked.
pub(super) fn refusal_shown_as(line: &[u8], shown: &[u8], stage: Stage) -> Failure {
    let kind = kind_of(without_tag(line), stage);
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
    let words = text.strip_prefix("* ").unwrap_or(&text);
    let (_, said) = words.split_once(' ').unwrap_or_default();
    let code = said.strip_prefix('[').and_then(|code| code.split([']', ' ']).next()).unwrap_or_default();
    let goodbye = starts_with_word(words.as_bytes(), "bye") || words.starts_with("421");
    let signing_in = matches!(stage, Stage::Greeting | Stage::Auth);
    let is_code = |rows: Rows| rows.iter().find(|(name, _)| *name == code);
    let starts = |rows: Rows| rows.iter().find(|(sentence, _)| said.starts_with(sentence));
    let contains = |rows: Rows| rows.iter().find(|(piece, _)| text.contains(piece));
    let row = is_code(CODES)
        .or_else(|| is_code(SIGN_IN_CODES).filter(|_| signing_in))
        .or_else(|| starts(SENTENCES))
        .or_else(|| contains(LIMITS).filter(|_| stage <= Stage::Auth || goodbye))
        .or_else(|| is_code(VAGUE_CODES).filter(|_| signing_in))
        .or_else(|| contains(SIGN_IN_TEXTS).filter(|_| signing_in));
    if let Some((_, kind)) = row {
        return *kind;
    }
    if goodbye {
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
