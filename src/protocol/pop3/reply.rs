//! POP3's replies, over lines (RFC 1939 §3).

use crate::protocol::failure::Failure;
use crate::protocol::lines::Lines;

/// One command and the first line of its reply.
pub(super) fn command(lines: &mut Lines, command: &str) -> Result<Vec<u8>, Failure> {
    lines.say(command);
    lines.send()?;
    status(lines)
}

/// `+OK …`, or what `-ERR …` means.
pub(super) fn status(lines: &mut Lines) -> Result<Vec<u8>, Failure> {
    let line = lines.line()?.to_vec();
    judged(lines, &line).map(|()| line)
}

/// What a reply's first line says.
pub(super) fn judged(lines: &mut Lines, line: &[u8]) -> Result<(), Failure> {
    if is_status(line, b"+OK") {
        return Ok(());
    }
    if is_status(line, b"-ERR") {
        return Err(lines.meaning(line));
    }
    Err(lines.unreadable_line("a line of the reply is not POP3", line))
}

/// The lines of a reply that has several, up to its dot; how many.
pub(super) fn rest(lines: &mut Lines, mut each: impl FnMut(&[u8])) -> Result<u32, Failure> {
    let mut count = 0_u32;
    loop {
        let line = lines.line()?;
        if line == b"." {
            return Ok(count);
        }
        each(line.strip_prefix(b".").unwrap_or(line));
        count = count.saturating_add(1);
    }
}

pub(super) fn is_status(line: &[u8], word: &[u8]) -> bool {
    line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
        && line.get(word.len()).is_none_or(|next| *next == b' ')
}
