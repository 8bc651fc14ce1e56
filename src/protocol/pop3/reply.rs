//! POP3's replies, over lines (RFC 1939 §3).

use crate::protocol::failure::Failure;
use crate::protocol::lines::Lines;
use crate::protocol::opening::SPOKE_UNASKED;

/// One command and the first line of its reply, if that is `+OK`.
pub(super) fn command(lines: &mut Lines, command: &str) -> Result<Vec<u8>, Failure> {
    lines.say(command);
    lines.send()?;
    let line = lines.line()?.to_vec();
    judged(lines, &line).map(|()| line)
}

/// What a reply's first line says.
pub(super) fn judged(lines: &mut Lines, line: &[u8]) -> Result<(), Failure> {
    if is_status(line, b"+OK") {
        return Ok(());
    }
    if is_status(line, b"-ERR") {
        return Err(lines.refused(line));
    }
    Err(lines.unreadable_line("a line of the reply is not POP3", line))
}

/// What it means that the server speaks without being asked.
pub(super) fn unasked(lines: &mut Lines) -> Failure {
    match lines.line().map(<[u8]>::to_vec) {
        Ok(line) if is_status(&line, b"-ERR") => lines.goodbye(&line),
        Ok(line) => lines.unreadable_line(SPOKE_UNASKED, &line),
        Err(failure) => failure,
    }
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
