//! SMTP's replies, over lines (RFC 5321 §4.2).
//!
//! Not by lettre's parser, which takes a code without a text for none, though clients ought to bear it, and so the codes
//! past the RFC's that servers send, such as Exchange's 571.

use crate::protocol::classify::is_goodbye;
use crate::protocol::failure::Failure;
use crate::protocol::lines::Lines;
use crate::protocol::opening::SPOKE_UNASKED;

/// The most lines of one reply: EHLO's is the longest there is.
const MOST_LINES: usize = 512;

/// One reply.
pub(super) struct Reply {
    pub(super) code: u16,
    /// Its text, line by line.
    pub(super) texts: Vec<Vec<u8>>,
    /// All of it in one line, as it is shown.
    pub(super) shown: Vec<u8>,
}

impl Reply {
    /// 4yz and 5yz.
    pub(super) fn is_negative(&self) -> bool {
        self.code >= 400
    }
}

/// One command and its reply, if that is 2yz.
pub(super) fn command(lines: &mut Lines, command: &str) -> Result<Reply, Failure> {
    ask(lines, command)?;
    expect(lines, is_done)
}

/// One command, whose reply is still to be read.
pub(super) fn ask(lines: &mut Lines, command: &str) -> Result<(), Failure> {
    lines.say(command);
    lines.send()
}

pub(super) fn is_done(code: u16) -> bool {
    (200..300).contains(&code)
}

/// The next reply if its code is wanted, or what it means that the server refused. Any other answers no command of ours.
pub(super) fn expect(lines: &mut Lines, wanted: impl FnOnce(u16) -> bool) -> Result<Reply, Failure> {
    let reply = read(lines)?;
    if !reply.is_negative() && wanted(reply.code) { Ok(reply) } else { Err(not_done(lines, &reply)) }
}

/// What a reply means that is not the one that is wanted.
pub(super) fn not_done(lines: &mut Lines, reply: &Reply) -> Failure {
    if reply.is_negative() {
        lines.refused(&reply.shown)
    } else {
        lines.unreadable_line("the reply does not answer the command; it is out of step", &reply.shown)
    }
}

/// What it means that the server speaks without being asked.
pub(super) fn unasked(lines: &mut Lines) -> Failure {
    match read(lines) {
        Ok(reply) if reply.is_negative() && (is_goodbye(&reply.shown) || lines.hears_the_end()) => {
            lines.goodbye(&reply.shown)
        }
        Ok(reply) => lines.unreadable_line(SPOKE_UNASKED, &reply.shown),
        Err(failure) => failure,
    }
}

/// The next reply, whatever it says.
pub(super) fn read(lines: &mut Lines) -> Result<Reply, Failure> {
    let mut reply = Reply { code: 0, texts: Vec::new(), shown: Vec::new() };
    for _ in 0..MOST_LINES {
        let line = match lines.line() {
            Ok(line) => line.to_vec(),
            Err(failure) => return Err(with_half(lines, failure, &reply)),
        };
        let Some((code, last, text)) = cut(&line).filter(|(code, ..)| reply.code == 0 || reply.code == *code) else {
            return Err(lines.unreadable_line("a line of the reply is not SMTP", &line));
        };
        // The code stands once in what is shown, and so does the enhanced one that repeats it (RFC 2034 §4).
        if reply.code == 0 {
            reply.shown.extend_from_slice(&line[..3]);
            reply.code = code;
        }
        let said = if reply.texts.is_empty() { text } else { without_enhanced_code(text) };
        if !said.is_empty() {
            reply.shown.push(b' ');
            reply.shown.extend_from_slice(said);
        }
        reply.texts.push(text.to_vec());
        if last {
            return Ok(reply);
        }
    }
    Err(lines.unreadable("a reply has more than 512 lines; this is no mail server, or a hostile one"))
}

/// The failure with the lines of the reply that came before it: they are the server's word too, such as the half of a
/// greeting whose end is held back (Postfix's postscreen).
fn with_half(lines: &Lines, failure: Failure, came: &Reply) -> Failure {
    let mut came: Vec<Vec<u8>> =
        came.texts.iter().map(|text| [format!("{}-", came.code).as_bytes(), text].concat()).collect();
    match came.pop() {
        Some(last) if failure.server_line.is_none() => lines.with_further(lines.with_line(failure, &last), &came),
        last => {
            came.extend(last);
            lines.with_further(failure, &came)
        }
    }
}

/// `250-PIPELINING`: the code, whether this is the reply's last line, and its text.
fn cut(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_first_chunk::<3>()?;
    if !matches!(digits[0], b'2'..=b'5') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest {
        [] => Some((code, true, rest)),
        [b' ', text @ ..] => Some((code, true, text)),
        [b'-', text @ ..] => Some((code, false, text)),
        _ => None,
    }
}

/// `5.7.8 Username and Password not accepted`, without its first word if that is such a code.
fn without_enhanced_code(text: &[u8]) -> &[u8] {
    let Some(space) = text.iter().position(|byte| *byte == b' ') else { return text };
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let mut parts = text[..space].split(|byte| *byte == b'.');
    let is_code = parts.clone().count() == 3 && parts.all(is_number);
    if is_code { &text[space + 1..] } else { text }
}
