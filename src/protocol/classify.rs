//! What a server's refusal means: a table over the texts that real servers send.
//!
//! One mistake matters more than all others: a connection limit shown as a wrong password (thunderbird-android#1694),
//! because people then change passwords and providers lock accounts. So limits are looked for before all else that
//! has to be guessed from a wording; only a response code that names the reason itself comes first.

use super::cure::{Circumstances, advice};
use super::failure::{Failure, FailureKind, Stage};

use FailureKind::{AuthInvalid, AuthUnsupported, LimitConnections, LimitRate, ServerBad, ServerBye, ServerNo};

/// What decides, in lower case, and for which kind. The first row that matches wins.
type Rows = &'static [(&'static str, FailureKind)];

/// Response codes that leave nothing open: no text says more than they do. Counted at any stage.
const CODES: Rows = &[("in-use", LimitConnections), ("throttled", LimitRate), ("login-delay", LimitRate)];

/// What Dovecot puts behind `[IN-USE]` though nothing is in use: its sign-in service has failed.
const MISCODED: Rows = &[
    ("temporary authentication failure", ServerNo),
    ("internal login failure", ServerNo),
    ("internal error", ServerNo),
];

/// There is no way to sign in like this, whatever code stands before it.
const NO_WAY: Rows = &[
    ("plaintext authentication disallowed", AuthUnsupported),
    ("plaintext authentication not allowed", AuthUnsupported),
    ("cleartext authentication disallowed", AuthUnsupported),
    ("cleartext authentication not allowed", AuthUnsupported),
    ("unsupported authentication mechanism", AuthUnsupported),
    ("unrecognized authentication type", AuthUnsupported),
    ("unrecognized authentication mechanism", AuthUnsupported),
    ("smtpclientauthentication is disabled", AuthUnsupported),
    ("basic authentication is disabled", AuthUnsupported),
    ("authentication not enabled", AuthUnsupported),
    ("auth command used when not advertised", AuthUnsupported),
    ("must issue a starttls", AuthUnsupported),
    ("use starttls", AuthUnsupported),
];

/// The same, for the answer to a sign-in.
const SIGN_IN_CODES: Rows = &[
    ("authenticationfailed", AuthInvalid),
    ("authorizationfailed", AuthInvalid),
    ("expired", AuthInvalid),
    ("privacyrequired", AuthUnsupported),
    // POP3 (RFC 3206).
    ("auth", AuthInvalid),
];

/// What providers say in these very words, at the start of the text (behind an enhanced code) and at any stage.
const SENTENCES: Rows = &[
    ("user is authenticated but not connected", LimitConnections),
    ("request is throttled", LimitRate),
    ("[overquota] account exceeded command or bandwidth limits", LimitRate),
    // Exchange Online, of one that sends.
    ("concurrent connections limit exceeded", LimitConnections),
    ("storedrv.submission.exception:submissionquotaexceeded", LimitRate),
    // Postfix.
    ("error: too many connections", LimitConnections),
    ("error: too much mail", LimitRate),
    ("error: too many recipients from", LimitRate),
    ("error: too many new tls sessions", LimitRate),
    ("error: too many auth commands", LimitRate),
    // Stalwart.
    ("rate limit exceeded", LimitRate),
    // Gmail.
    ("daily user sending", LimitRate),
    ("daily smtp relay", LimitRate),
    ("peak smtp relay limit exceeded", LimitRate),
    ("the user you are trying to contact is receiving mail", LimitRate),
];

/// A maildrop has one owner at a time (RFC 1939 §3), and each server says in its own words that somebody else is it:
/// without RFC 2449's `[IN-USE]`, after the right password. Like [`LIMITS`], but with a cure of its own.
const LOCKS: Rows = &[
    ("[in-use]", LimitConnections),
    ("lock maildrop", LimitConnections),
    ("lock mailbox", LimitConnections),
    ("maildrop lock", LimitConnections),
    ("maildrop already locked", LimitConnections),
    ("maildrop is already locked", LimitConnections),
    ("maildrop is locked", LimitConnections),
    ("maildrop in use", LimitConnections),
    ("mailbox lock", LimitConnections),
    ("mailbox already locked", LimitConnections),
    ("mailbox is already locked", LimitConnections),
    ("mailbox is locked", LimitConnections),
    ("mailbox in use", LimitConnections),
    ("mailbox is in use", LimitConnections),
    ("mailbox already in use", LimitConnections),
    ("mailbox is being used", LimitConnections),
    ("lock busy", LimitConnections),
    ("is another session active", LimitConnections),
    ("another pop3 session", LimitConnections),
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
    ("too many errors", LimitRate),
    ("submission rate", LimitRate),
    ("unusual rate", LimitRate),
    ("unexpected volume", LimitRate),
    ("exceeded the login limit", LimitRate),
    ("minimum time between", LimitRate),
    ("too frequent", LimitRate),
    ("4.7.28", LimitRate),
    // Too many connections: Gmail, Dovecot, Exchange Online, Stalwart, Courier, Postfix and others.
    ("too many simultaneous", LimitConnections),
    ("too many concurrent", LimitConnections),
    ("too many connections", LimitConnections),
    ("too many open connections", LimitConnections),
    ("too many sessions", LimitConnections),
    ("too many smtp", LimitConnections),
    ("too many pop3", LimitConnections),
    ("too many users", LimitConnections),
    ("sender thread limit exceeded", LimitConnections),
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
    ("sys/perm", ServerNo),
];

/// The wordings of everything else that can be said to a sign-in.
const SIGN_IN_TEXTS: Rows = &[
    ("temporary authentication failure", ServerNo),
    ("temporary failure", ServerNo),
    ("internal error", ServerNo),
    ("internal server error", ServerNo),
    ("try again later", ServerNo),
    // qmail.
    ("child crashed", ServerNo),
    ("out of memory", ServerNo),
    // A wrong password even when the server hangs up with it, or calls it BAD.
    ("authentication failed", AuthInvalid),
    ("invalid credentials", AuthInvalid),
    // Gmail, which says with it which password it wants.
    ("application-specific password required", AuthInvalid),
    ("log in via your web browser", AuthInvalid),
];

/// How `-ERR`, which may mean anything, begins where it ends the session.
const FAREWELLS: [&str; 6] =
    ["disconnected", "idle timeout", "autologout", "timeout", "connection is closed", "closing connection"];

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
    Failure::new(kind, stage, advice(kind, stage, shown, &Circumstances::default())).with_line(shown)
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

/// Whether the server ends the session with that line.
pub(super) fn is_goodbye(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line).to_lowercase();
    let (first, said) = words(&text);
    match first {
        "bye" | "421" => true,
        // Gmail and qmail say so of an idle session; the enhanced code is RFC 3463's "bad connection".
        "451" => text.contains("4.4.2"),
        "-err" => FAREWELLS.iter().any(|farewell| said.starts_with(farewell)),
        _ => false,
    }
}

/// The first word of a lower-case line, which says how it is meant, and the text behind it.
fn words(text: &str) -> (&str, &str) {
    let words = text.strip_prefix("* ").unwrap_or(text);
    words.split_once(' ').unwrap_or((words, ""))
}

/// The text of a reply of SMTP without its enhanced status code (RFC 2034).
fn without_enhanced_code(said: &str) -> &str {
    let Some((word, rest)) = said.split_once(' ') else { return said };
    let is_code = word.starts_with(['4', '5'])
        && word.contains('.')
        && word.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit());
    if is_code { rest } else { said }
}

fn find(rows: Rows, matches: impl Fn(&str) -> bool) -> Option<FailureKind> {
    rows.iter().find(|(piece, _)| matches(piece)).map(|(_, kind)| *kind)
}

fn kind_of(line: &[u8], stage: Stage) -> FailureKind {
    let text = String::from_utf8_lossy(line).to_lowercase();
    let (first, said) = words(&text);
    let code = said.strip_prefix('[').and_then(|code| code.split([']', ' ']).next()).unwrap_or_default();
    let said = without_enhanced_code(said);
    let goodbye = is_goodbye(line);
    let signing_in = matches!(stage, Stage::Greeting | Stage::Auth);
    let is_code = |rows| find(rows, |name| name == code);
    let starts = |rows| find(rows, |sentence| said.starts_with(sentence));
    let contains = |rows| find(rows, |piece| holds(&text, piece));
    let known = contains(MISCODED)
        .filter(|_| code == "in-use")
        .or_else(|| is_code(CODES))
        .or_else(|| contains(NO_WAY).filter(|_| signing_in))
        .or_else(|| is_code(SIGN_IN_CODES).filter(|_| signing_in))
        .or_else(|| starts(SENTENCES))
        .or_else(|| contains(LIMITS).filter(|_| stage <= Stage::Auth || goodbye))
        .or_else(|| contains(LOCKS).filter(|_| stage <= Stage::Auth))
        .or_else(|| is_code(VAGUE_CODES).filter(|_| signing_in))
        .or_else(|| contains(SIGN_IN_TEXTS).filter(|_| signing_in));
    known.unwrap_or_else(|| match first {
        _ if goodbye => ServerBye,
        "bad" => ServerBad,
        "432" => LimitConnections,
        // RFC 4954 §6: a sign-in is missing, or TLS, or this way to sign in will not do.
        "530" | "538" => AuthUnsupported,
        "500" | "502" => ServerBad,
        _ if stage != Stage::Auth => ServerNo,
        "534" => AuthUnsupported,
        code if code.starts_with("50") => ServerBad,
        code if code.starts_with('4') => ServerNo,
        _ => AuthInvalid,
    })
}

/// Whether the text holds those words: not as a part of an address or of a host's name, which anybody may have chosen.
fn holds(text: &str, words: &str) -> bool {
    text.match_indices(words).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let apart = !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '@'));
        let rest = text[at + words.len()..].split(|c: char| c.is_whitespace()).next().unwrap_or_default();
        let goes_on = rest.split_once('.').is_some_and(|(_, after)| after.starts_with(|c: char| c.is_alphanumeric()));
        apart && !goes_on
    })
}
