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
    /// AUTHENTICATE has been sent and not answered: what follows are credentials, not commands.
    in_authenticate: bool,
}

impl Written {
    pub(super) fn push(&mut self, mut bytes: &[u8], commands: &mut Vec<Command>) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.in_arguments {
                let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
                bytes = &bytes[end + 1..];
                self.in_arguments = false;
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

    /// A tagged reply came: what is written next is a command again.
    pub(super) fn answered(&mut self) {
        self.in_authenticate = false;
    }

    fn finish(&mut self, commands: &mut Vec<Command>) {
        let head = &self.head[..self.length];
        if !self.in_authenticate
            && let Some(command) = read_head(head)
        {
            self.in_authenticate = command.verb == Verb::Authenticate;
            commands.push(command);
        }
        self.head = [0; HEAD];
        self.length = 0;
    }
}

fn read_head(head: &[u8]) -> Option<Command> {
    let head = std::str::from_utf8(head).ok()?;
    let (tag, verb) = head.split_once(' ')?;
    let tag = Tag(tag.strip_prefix('a')?.parse().ok()?);
    Some(Command { tag, verb: Verb::read(verb.as_bytes()) })
}
