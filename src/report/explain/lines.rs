//! A server's line, pasted: what a run would call it, and why.

use super::articles::{Article, FAILURES, chapter};
use super::{Unexplained, row};
use crate::judge::{Conclusion, is_lock_of_one};
use crate::protocol::{Failure, FailureKind, Protocol, Stage, printable, refusal, stated_wait};
use crate::report::known;
use crate::report::layout::Layout;

/// What counts them.
pub(super) const COUNTED: &str = "mailconn limits URL finds out how many there are, and what to set for them.";

/// Whether one of its lines is a server's by its form.
pub(super) fn has_the_form_of_a_line(text: &str) -> bool {
    text.lines().any(|line| as_sent(line.trim()).is_some())
}

/// The line from where it begins as servers' lines do: another program may have put its own words and a colon or a quote
/// before it.
fn as_sent(line: &str) -> Option<&str> {
    let quoted = line.match_indices([':', '\'', '"']).map(|(at, _)| line[at + 1..].trim_start());
    [line].into_iter().chain(quoted).find(|line| begins_like_a_line(line))
}

/// In small letters, `no` and `bad` are words like others.
fn begins_like_a_line(line: &str) -> bool {
    let word = without_tag(line).split(' ').next().unwrap_or_default();
    let is_upper = word.bytes().all(|byte| !byte.is_ascii_lowercase());
    line.starts_with("* ") || is_upper && is_status(word) || reply_code(line).is_some() || code(line).is_some()
}

/// Whether its words are those of a refusal, as in a log or in another program's message.
pub(super) fn speaks_of_a_failure(text: &str) -> bool {
    use FailureKind::{AuthRefused, Greeting, ServerNo};
    let as_reply = format!("NO {text}");
    let kinds = [Stage::Greeting, Stage::Auth, Stage::Operation].map(|stage| refusal(as_reply.as_bytes(), stage).kind);
    let lower = text.to_lowercase();
    let failed =
        lower.contains("fail") && ["auth", "login", "logon", "sign-in"].iter().any(|word| lower.contains(word));
    failed || kinds.iter().any(|kind| !matches!(kind, AuthRefused | Greeting | ServerNo))
}

/// The code of a line that lost its status: `[AUTHENTICATIONFAILED] …`.
fn code(line: &str) -> Option<&str> {
    let (code, _) = line.strip_prefix('[')?.split_once(']')?;
    let is_code = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
    code.split(' ').next().filter(|code| !code.is_empty() && code.bytes().all(is_code))
}

/// What the line means, at that stage, or at each where it means something else. Plain text, no line wider than 80 columns.
///
/// # Errors
/// The line refuses nothing, or no server speaks at that stage.
pub fn explain_line(text: &str, protocol: Option<Protocol>, stage: Option<Stage>) -> Result<String, Unexplained> {
    let line = one_line(text, protocol);
    if begins_with(line.trim_start_matches("* "), &["OK", "+OK", "PREAUTH", "+"])
        || reply_code(&line).is_some_and(|code| code.starts_with(['2', '3']))
    {
        return Err(Unexplained::Accepts(printable(line.as_bytes())));
    }
    let stages = match stage {
        Some(stage @ (Stage::Resolve | Stage::Connect)) => return Err(Unexplained::Unsaid(stage)),
        Some(stage) => vec![stage],
        // A tagged reply answers a command.
        None if begins_with(&line, &["NO", "BAD"]) => vec![Stage::Auth, Stage::Operation],
        None => vec![Stage::Greeting, Stage::Auth, Stage::Operation],
    };
    let mut meanings: Vec<(Vec<&str>, Failure)> = Vec::new();
    for stage in stages {
        let failure = as_a_run_says(&line, stage);
        let is_same = |other: &Failure| other.kind == failure.kind && exit_code(other) == exit_code(&failure);
        match meanings.iter_mut().find(|(_, other)| is_same(other)) {
            Some((stages, _)) => stages.push(stage.name()),
            None => meanings.push((vec![stage.name()], failure)),
        }
    }
    // What says nothing but that it is no greeting comes last.
    meanings.sort_by_key(|(_, failure)| failure.kind == FailureKind::Greeting);
    let parts: Vec<String> = meanings.iter().map(|(stages, failure)| meaning(&line, stages, failure)).collect();
    Ok(Layout::PLAIN.paragraph(&printable(line.as_bytes())) + "\n" + &parts.join("\n"))
}

fn as_a_run_says(line: &str, stage: Stage) -> Failure {
    use FailureKind::{LimitConnections, LimitRate, ServerBad, ServerUnavailable, TlsHandshake};
    let mut failure = refusal(line.as_bytes(), stage);
    let tells_more = matches!(failure.kind, LimitConnections | LimitRate | ServerUnavailable | ServerBad);
    if stage == Stage::Tls && !tells_more {
        failure.kind = TlsHandshake;
        "the server refused STARTTLS; use TLS from the first byte (imaps://, smtps://, pop3s://)"
            .clone_into(&mut failure.message);
    }
    failure
}

fn exit_code(failure: &Failure) -> u8 {
    Conclusion::of_failure(failure).exit_code()
}

fn meaning(line: &str, stages: &[&str], failure: &Failure) -> String {
    use FailureKind::{Greeting, ServerBad, ServerBye, ServerNo, TlsHandshake};
    let article = chapter(FAILURES).find(|article| article.name == failure.kind.name());
    let item = |label| article.map_or("", |article| article.item(label));
    let mut rows = vec![
        row("at", &stages.join(", ")),
        row("exit code", &exit_code(failure).to_string()),
        row("it means", item("It means")),
    ];
    rows.extend(stated_wait(line).map(|wait| row("it says", &format!("wait {}", wait.shown))));
    rows.push(row("what to do", &failure.message));
    rows.extend(of_a_limit(line, failure).iter().map(|text| row("", text)));
    // The cures of the other kinds know the line.
    if matches!(failure.kind, Greeting | ServerBad | ServerBye | ServerNo | TlsHandshake) {
        rows.push(row("", item("What to do")));
    }
    if failure.kind == Greeting && reply_code(line).is_some() {
        rows.push(row("but", "an answer to EHLO that says so is server-no"));
    }
    Layout::PLAIN.paragraph(&format!("{}  {}", failure.kind, article.map_or("", Article::title)))
        + "\n"
        + &Layout::PLAIN.labelled(rows)
}

/// What raises a limit on connections, where the server is known by its words, and what counts them.
fn of_a_limit(line: &str, failure: &Failure) -> Vec<String> {
    let protocol = protocol_of(line);
    // Of a maildrop with one owner there is nothing to count; a line that lost its status may be of one, too.
    let is_lock = is_lock_of_one(failure, protocol.or(Some(Protocol::Pop3)), 1);
    if failure.kind != FailureKind::LimitConnections || is_lock {
        return Vec::new();
    }
    let protocols = protocol.map_or(Protocol::ALL.to_vec(), |protocol| vec![protocol]);
    let raised = protocols.into_iter().find_map(|protocol| known::advice_on_line(line, protocol));
    raised.into_iter().chain([COUNTED.to_owned()]).collect()
}

/// The protocol that the line has the form of.
fn protocol_of(line: &str) -> Option<Protocol> {
    if reply_code(line).is_some() {
        return Some(Protocol::Smtp);
    }
    is_status(line).then(|| if line.starts_with('-') { Protocol::Pop3 } else { Protocol::Imap })
}

/// A reply as a run reads it: of several lines one, without the tag of the command that it answers.
fn one_line(text: &str, protocol: Option<Protocol>) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<&str> = lines.map(|line| without_tag(as_sent(line).unwrap_or(line))).collect();
    let first = lines.first().copied().unwrap_or_default();
    if let Some(code) = reply_code(first) {
        return reply(code, &lines);
    }
    // Of several lines of IMAP the tagged one answers.
    let answer = lines.iter().rev().find(|line| is_status(line)).copied();
    match (answer, protocol) {
        (Some(line), _) => line.to_owned(),
        (None, Some(Protocol::Pop3)) => format!("-ERR {first}"),
        (None, protocol) if protocol == Some(Protocol::Imap) || code(first).is_some() => format!("NO {first}"),
        (None, _) => lines.join(" "),
    }
}

/// `550-5.7.1 one`, `550 5.7.1 two`: `550 5.7.1 one two`.
fn reply(code: &str, lines: &[&str]) -> String {
    let mut words = vec![code];
    for line in lines {
        let text = line.strip_prefix(code).unwrap_or(line).trim_start_matches(['-', ' ']);
        // Each line has the enhanced code.
        let enhanced = words.get(1).filter(|word| word.split('.').count() == 3);
        let behind = enhanced.and_then(|enhanced| text.strip_prefix(enhanced));
        words.extend(behind.unwrap_or(text).split_whitespace());
    }
    words.join(" ")
}

/// The code of a reply of SMTP, if the line begins with one.
fn reply_code(line: &str) -> Option<&str> {
    let (code, rest) = line.split_at_checked(3)?;
    let is_code = code.bytes().all(|byte| byte.is_ascii_digit()) && code.starts_with(['2', '3', '4', '5']);
    (is_code && (rest.is_empty() || rest.starts_with([' ', '-']))).then_some(code)
}

/// `a1 NO …`, `12 NO …`: what stands behind the tag.
fn without_tag(line: &str) -> &str {
    let Some((tag, rest)) = line.split_once(' ') else { return line };
    let is_tag = tag.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !is_status(tag) && reply_code(tag).is_none();
    let is_answer = ["OK", "NO", "BAD"].iter().any(|word| rest.split(' ').next() == Some(word));
    if is_tag && is_answer { rest } else { line }
}

fn is_status(line: &str) -> bool {
    begins_with(line.trim_start_matches("* "), &["NO", "BAD", "BYE", "-ERR", "OK", "+OK", "PREAUTH"])
}

fn begins_with(line: &str, words: &[&str]) -> bool {
    line.split(' ').next().is_some_and(|first| words.iter().any(|word| first.eq_ignore_ascii_case(word)))
}
