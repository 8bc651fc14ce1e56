//! Which commands left on a socket: read off the bytes as they are written, not taken from whoever wrote them.

use crate::protocol::command::{Command, Tag, Verb};

/// How much of a line's start is looked at: the longest tag, a space and the longest verb fit.
const HEAD: usize = 32;

/// Reads tag and verb of each command off the written bytes, however they are cut.
#[derive(Default)]
pub(super) struct Written {
    head: [u8; HEAD],
    length: usize,
    /// The head is complete; the rest of the line is arguments, passed over.
    in_arguments: bool,
    /// The end of the arguments as far as it announces a literal.
    announced: Announced,
    /// Bytes of a literal still to come: content, whatever they look like (RFC 3501 §4.3).
    literal_left: u64,
    /// AUTHENTICATE has been sent and not answered: what follows are credentials, not commands.
    in_authenticate: bool,
}

impl Written {
    pub(super) fn push(&mut self, mut bytes: &[u8], commands: &mut Vec<Command>) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.literal_left > 0 {
                let content = usize::try_from(self.literal_left).unwrap_or(usize::MAX).min(bytes.len());
                self.literal_left -= content as u64;
                bytes = &bytes[content..];
                continue;
            }
            if self.in_arguments {
                self.announced = self.announced.then(byte);
                if let Announced::Literal(length) = self.announced {
                    // The command goes on behind it.
                    self.literal_left = length;
                    self.announced = Announced::Nothing;
                } else {
                    self.in_arguments = byte != b'\n';
                }
                bytes = rest;
                continue;
            }
            let ends_verb =
                byte == b'\r' || byte == b'\n' || (byte == b' ' && self.head[..self.length].contains(&b' '));
            if ends_verb || self.length == HEAD {
                self.finish(commands);
                self.in_arguments = byte != b'\n';
            } else {
                self.head[self.length] = byte;
                self.length += 1;
            }
            bytes = rest;
        }
    }

    /// Whether the command under way has more to say, once the server asks for it.
    pub(super) const fn has_more(&self) -> bool {
        self.in_authenticate || self.literal_left > 0
    }

    /// A tagged reply came: what is written next is a command again. A literal that the server did not want never comes.
    pub(super) fn answered(&mut self) {
        self.in_authenticate = false;
        if self.literal_left > 0 {
            self.literal_left = 0;
            self.in_arguments = false;
        }
    }

    fn finish(&mut self, commands: &mut Vec<Command>) {
        let head = &self.head[..self.length];
        if !self.in_authenticate
            && let Some(command) = read_head(head)
        {
            self.in_authenticate = command.verb == Verb::AUTHENTICATE;
            commands.push(command);
        }
        self.head = [0; HEAD];
        self.length = 0;
    }
}

/// `{120}` or `{120+}` and a line end.
#[derive(Clone, Copy, Default)]
enum Announced {
    #[default]
    Nothing,
    Length(u64),
    /// The brace is closed; the line end is still to come.
    Closed(u64),
    Literal(u64),
}

impl Announced {
    fn then(self, byte: u8) -> Self {
        match (self, byte) {
            (_, b'{') => Self::Length(0),
            (Self::Length(length), b'0'..=b'9') => {
                Self::Length(length.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
            }
            (Self::Length(length), b'+') => Self::Length(length),
            (Self::Length(length), b'}') => Self::Closed(length),
            (Self::Closed(length), b'\r') => Self::Closed(length),
            (Self::Closed(length), b'\n') => Self::Literal(length),
            _ => Self::Nothing,
        }
    }
}

fn read_head(head: &[u8]) -> Option<Command> {
    let head = std::str::from_utf8(head).ok()?;
    let (tag, verb) = head.split_once(' ')?;
    let tag = Tag(tag.strip_prefix('a')?.parse().ok()?);
    Some(Command { tag, verb: Verb::read(verb.as_bytes()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(written: &[&[u8]]) -> String {
        let (mut reader, mut commands) = (Written::default(), Vec::new());
        written.iter().for_each(|bytes| reader.push(bytes, &mut commands));
        commands.iter().map(|Command { tag, verb }| format!("a{} {verb}", tag.0)).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_content_of_a_literal_is_no_command_however_it_is_cut() {
        let written: &[u8] =
            b"a1 APPEND \"x\" () {18}\r\na7 LOGIN x\r\na8 X\r\n\r\na2 APPEND x {3+}\r\n\na9 y\r\na3 NOOP\r\n";
        for cut in 0..written.len() {
            assert_eq!(read(&[&written[..cut], &written[cut..]]), "a1 APPEND, a2 APPEND, a3 NOOP", "cut at {cut}");
        }
    }

    #[test]
    fn a_literal_that_the_server_refused_never_comes() {
        let (mut reader, mut commands) = (Written::default(), Vec::new());
        reader.push(b"a1 APPEND \"x\" () {18}\r\n", &mut commands);
        reader.answered();
        reader.push(b"a2 DELETE \"x\"\r\n", &mut commands);
        let verbs: Vec<_> = commands.iter().map(|command| command.verb.name()).collect();
        assert_eq!(verbs, ["APPEND", "DELETE"]);
    }

    #[test]
    fn braces_that_end_no_line_announce_nothing() {
        assert_eq!(
            read(&[b"a1 LIST \"{3}\" {4}x\r\na2 NOOP {\r\na3 NOOP }\r\na4 NOOP\r\n"]).matches("NOOP").count(),
            3
        );
    }
}
