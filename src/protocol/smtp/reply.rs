//! SMTP's replies, over lines (RFC 5321 §4.2).

use lettre::transport::smtp::response::{Response, Severity};

use crate::protocol::failure::Failure;
use crate::protocol::lines::Lines;

/// The most lines of one reply: EHLO's is the longest there is.
const MOST_LINES: usize = 512;

/// One command and its reply, if that is positive.
pub(super) fn command(lines: &mut Lines, command: &str) -> Result<Response, Failure> {
    lines.say(command);
    lines.send()?;
    accepted(lines)
}

/// The next reply if it is positive, final (2xx) or not (3xx); else what it means.
pub(super) fn accepted(lines: &mut Lines) -> Result<Response, Failure> {
    let (response, line) = reply(lines)?;
    match response.code().severity {
        Severity::PositiveCompletion | Severity::PositiveIntermediate => Ok(response),
        Severity::TransientNegativeCompletion | Severity::PermanentNegativeCompletion => {
            Err(refused(lines, &response, &line))
        }
    }
}

/// What a negative reply means. With 421 the server ends the session (RFC 5321 §3.8).
pub(super) fn refused(lines: &mut Lines, response: &Response, line: &[u8]) -> Failure {
    let failure = lines.meaning(line);
    if response.has_code(421) { lines.give_up(failure) } else { failure }
}

/// The next reply, and its text in one line, as it is shown.
pub(super) fn reply(lines: &mut Lines) -> Result<(Response, Vec<u8>), Failure> {
    let mut text = Vec::new();
    let mut shown: Vec<u8> = Vec::new();
    for _ in 0..MOST_LINES {
        let line = lines.line()?.to_vec();
        let Some((code, last, said)) = cut(&line) else {
            return Err(lines.unreadable_line("a line of the reply is not SMTP", &line));
        };
        // The code stands once in what is shown, and so does the enhanced one that repeats it (RFC 2034 §4).
        if shown.is_empty() {
            shown.extend_from_slice(code);
            shown.push(b' ');
            shown.extend_from_slice(said);
        } else {
            shown.push(b' ');
            shown.extend_from_slice(without_enhanced_code(said));
        }
        text.extend_from_slice(&line);
        text.extend_from_slice(b"\r\n");
        if last {
            return match String::from_utf8_lossy(&text).parse() {
                Ok(response) => Ok((response, shown)),
                Err(_) => Err(lines.unreadable_line("a reply is not SMTP", &line)),
            };
        }
    }
    Err(lines.unreadable("a reply has more than 512 lines; this is no mail server, or a hostile one"))
}

/// `250-PIPELINING`: the code, whether this is the reply's last line, and its text.
fn cut(line: &[u8]) -> Option<(&[u8], bool, &[u8])> {
    let (code, rest) = line.split_at_checked(3)?;
    let is_code = matches!(code[0], b'2'..=b'5') && code.iter().all(u8::is_ascii_digit);
    match rest {
        _ if !is_code => None,
        [] => Some((code, true, rest)),
        [b' ', said @ ..] => Some((code, true, said)),
        [b'-', said @ ..] => Some((code, false, said)),
        _ => None,
    }
}

/// `5.7.8 Username and Password not accepted`, without its first word if that is such a code.
fn without_enhanced_code(said: &[u8]) -> &[u8] {
    let Some(space) = said.iter().position(|byte| *byte == b' ') else { return said };
    let word = &said[..space];
    let is_code = word.split(|byte| *byte == b'.').filter(|part| part.iter().all(u8::is_ascii_digit)).count() == 3;
    if is_code { &said[space + 1..] } else { said }
}
