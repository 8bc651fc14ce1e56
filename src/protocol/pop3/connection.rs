//! One signed-in POP3 session.

use std::time::{Duration, Instant};

use super::reply;
use crate::protocol::command::Command;
use crate::protocol::failure::{Failure, Stage};
use crate::protocol::lines::Lines;
use crate::protocol::operation::Pop3Operation;
use crate::protocol::session::Established;
use crate::protocol::stream::Traffic;

/// One session, from its sign-in to its close. Dropping it closes the socket without a QUIT.
pub struct Pop3Connection {
    lines: Lines,
    established: Established,
    operation_timeout: Duration,
    /// Whether the server can show a message's beginning (RFC 2449 §6.3).
    top: bool,
}

impl Pop3Connection {
    pub(super) fn new(lines: Lines, established: Established, operation_timeout: Duration, top: bool) -> Self {
        Self { lines, established, operation_timeout, top }
    }

    /// What the dial came to.
    #[must_use]
    pub fn established(&self) -> &Established {
        &self.established
    }

    /// The commands of the last unit, as they left on the socket.
    #[must_use]
    pub fn commands(&self) -> &[Command] {
        self.lines.commands()
    }

    /// What went over the socket so far.
    #[must_use]
    pub fn bytes(&self) -> Traffic {
        self.lines.traffic()
    }

    /// Whether the session must not be used again (rule B1): anything but `+OK` and `-ERR` breaks it.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.lines.is_broken()
    }

    /// Runs one unit; how many items it brought: messages in the maildrop (stat), listed (list), read (retrieve).
    ///
    /// # Errors
    /// [`Failure`] at stage `operation`. After `server-no` the session is usable: [`is_broken`](Self::is_broken) tells.
    pub fn run(&mut self, operation: Pop3Operation) -> Result<u32, Failure> {
        let done = self.unit(operation).map_err(|failure| self.lines.hear_the_end(failure));
        self.lines.over(done)
    }

    fn unit(&mut self, operation: Pop3Operation) -> Result<u32, Failure> {
        self.lines.begin(Stage::Operation, Instant::now() + self.operation_timeout);
        self.lines.expect_silence()?;
        match operation {
            Pop3Operation::Noop => reply::command(&mut self.lines, "NOOP").map(|_| 0),
            Pop3Operation::Stat => self.stat(),
            Pop3Operation::List => self.list(),
            Pop3Operation::Retrieve => self.retrieve(),
        }
    }

    /// Signs out, by `deadline` at the latest. The session is of no use afterwards.
    ///
    /// # Errors
    /// [`Failure`] at stage `logout`, when the session had broken before or the server did not answer in time.
    pub fn logout(&mut self, deadline: Instant) -> Result<(), Failure> {
        self.lines.sign_out(deadline, |lines| reply::command(lines, "QUIT").map(|_| ()))
    }

    /// Whether the server has ended the session since the last unit, or says so now: it speaks only when asked.
    pub(in crate::protocol) fn has_hung_up(&self) -> bool {
        self.lines.has_news()
    }

    /// How long the last unit waited, when all was said, to see whether the server closes.
    pub(in crate::protocol) fn lingered(&self) -> Duration {
        self.lines.lingered()
    }

    fn stat(&mut self) -> Result<u32, Failure> {
        let line = reply::command(&mut self.lines, "STAT")?;
        let count = line.split(|byte| *byte == b' ').nth(1).and_then(number);
        count.ok_or_else(|| self.lines.unreadable_line("the reply to STAT holds no count", &line))
    }

    fn list(&mut self) -> Result<u32, Failure> {
        reply::command(&mut self.lines, "LIST")?;
        let mut strange = None;
        let listed = reply::rest(&mut self.lines, |line| {
            // The number of the message and its size, and whatever else the server adds (RFC 1939 §5).
            let is_listing = line.split(|byte| *byte == b' ').take(2).filter_map(number).count() == 2;
            if !is_listing {
                strange.get_or_insert_with(|| line.to_vec());
            }
        })?;
        match strange {
            None => Ok(listed),
            Some(line) => Err(self.lines.unreadable_line("a line of the reply to LIST is no listing", &line)),
        }
    }

    fn retrieve(&mut self) -> Result<u32, Failure> {
        let count = self.stat()?;
        if count == 0 {
            return Ok(0);
        }
        let show = if self.top { format!("TOP {count} 0") } else { format!("RETR {count}") };
        reply::command(&mut self.lines, &show)?;
        reply::rest(&mut self.lines, |_| {}).map(|_| 1)
    }
}

fn number(word: &[u8]) -> Option<u32> {
    if !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok()
}
