//! One SMTP session, signed in where its account signs in.

use std::time::{Duration, Instant};

use lettre::transport::smtp::commands::{Data, Mail, Noop, Quit, Rcpt, Rset};
use lettre::transport::smtp::response::Response;

use super::operation::SmtpOperation;
use super::reply;
use crate::protocol::command::Command;
use crate::protocol::failure::{Failure, FailureKind, Stage};
use crate::protocol::letter::Letter;
use crate::protocol::lines::Lines;
use crate::protocol::session::Established;
use crate::protocol::stream::Traffic;

/// One session, from its sign-in to its close. Dropping it closes the socket without a QUIT.
pub struct SmtpConnection {
    lines: Lines,
    established: Established,
    operation_timeout: Duration,
    /// Whether commands may be sent in groups (RFC 2920).
    pipelining: bool,
}

impl SmtpConnection {
    pub(super) fn new(lines: Lines, established: Established, operation_timeout: Duration, pipelining: bool) -> Self {
        Self { lines, established, operation_timeout, pipelining }
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

    /// Whether the session must not be used again (rule B1): a reply that is none, a 421 and whatever breaks the socket
    /// does it; a refused sender, recipient or message does not.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.lines.is_broken()
    }

    /// Runs one unit that sends nothing; 0 items.
    ///
    /// # Errors
    /// [`Failure`] at stage `operation`: [`is_broken`](Self::is_broken) tells whether the session can still be used.
    pub fn run(&mut self, operation: SmtpOperation) -> Result<u32, Failure> {
        match operation {
            SmtpOperation::Noop => {
                self.begin()?;
                self.one(&Noop)
            }
            SmtpOperation::Verify => {
                self.begin()?;
                self.one(&Rset)
            }
            SmtpOperation::Send => {
                let message = "sending needs a letter";
                Err(Failure::new(FailureKind::Internal, Stage::Operation, message))
            }
        }
    }

    /// Sends one message to its recipient; 1 item. Whatever the server refuses of it, the session goes on without it.
    ///
    /// # Errors
    /// [`Failure`] at stage `operation`: the first refusal, in the server's own words.
    pub fn send(&mut self, letter: &Letter) -> Result<u32, Failure> {
        self.begin()?;
        let mail = command(&Mail::new(Some(letter.from.clone()), Vec::new()));
        let rcpt = command(&Rcpt::new(letter.to.clone(), Vec::new()));
        let data = command(&Data);
        let go_ahead =
            if self.pipelining { self.in_one_go([mail, rcpt, data]) } else { self.in_turn([mail, rcpt, data]) };
        match go_ahead {
            Ok(()) => {
                self.lines.send_content(&on_the_wire(&letter.message))?;
                reply::accepted(&mut self.lines).map(|_| 1)
            }
            Err(failure) => {
                self.forget();
                Err(failure)
            }
        }
    }

    /// Signs out, by `deadline` at the latest. The session is of no use afterwards.
    ///
    /// # Errors
    /// [`Failure`] at stage `logout`, when the session had broken before or the server did not answer in time.
    pub fn logout(&mut self, deadline: Instant) -> Result<(), Failure> {
        self.lines.begin(Stage::Logout, deadline);
        if self.lines.is_broken() {
            let message = "the session had broken; it was closed without QUIT";
            return Err(Failure::new(FailureKind::Closed, Stage::Logout, message));
        }
        self.expect_silence()?;
        let done = self.one(&Quit).map(|_| ());
        let message = "the session was signed out";
        self.lines.give_up(Failure::new(FailureKind::Closed, Stage::Logout, message));
        done
    }

    fn begin(&mut self) -> Result<(), Failure> {
        self.lines.begin(Stage::Operation, Instant::now() + self.operation_timeout);
        self.expect_silence()
    }

    /// A server that ends an idle session says so unasked: `421 Idle timeout` (lettre/lettre#743). That must not be taken
    /// for the answer to the next command.
    fn expect_silence(&mut self) -> Result<(), Failure> {
        let Some(line) = self.lines.unasked()? else { return Ok(()) };
        let failure = if line.starts_with(b"421") {
            self.lines.meaning(&line)
        } else {
            let message = "the server spoke without being asked; its replies are out of step";
            let failure = Failure::new(FailureKind::Protocol, self.lines.stage(), message);
            self.lines.with_line(failure, &line)
        };
        Err(self.lines.give_up(failure))
    }

    fn one(&mut self, verb: &impl std::fmt::Display) -> Result<u32, Failure> {
        reply::command(&mut self.lines, &command(verb)).map(|_| 0)
    }

    /// Sender, recipient and DATA, each after the other was accepted.
    fn in_turn(&mut self, [mail, rcpt, data]: [String; 3]) -> Result<(), Failure> {
        reply::command(&mut self.lines, &mail)?;
        reply::command(&mut self.lines, &rcpt)?;
        let response = reply::command(&mut self.lines, &data)?;
        self.expect_go_ahead(&response)
    }

    /// All three in one write (RFC 2920 §3.1): their replies are read whatever the first one says.
    fn in_one_go(&mut self, commands: [String; 3]) -> Result<(), Failure> {
        for command in &commands {
            self.lines.say(command);
        }
        self.lines.send()?;
        let mail = self.answer()?;
        let rcpt = self.answer()?;
        let data = self.answer()?;
        match (mail.and(rcpt), data) {
            (Ok(_), Ok(response)) => self.expect_go_ahead(&response),
            (Ok(_), Err(failure)) => Err(failure),
            (Err(failure), Ok(response)) => {
                // The server waits for a message that nobody is to receive: an empty one ends that (RFC 2920 §3.1).
                self.expect_go_ahead(&response)?;
                self.lines.send_content(b".\r\n")?;
                let _ = self.answer()?;
                Err(failure)
            }
            (Err(failure), Err(_)) => Err(failure),
        }
    }

    /// One reply of several: `Err` outside when the session broke, inside when the server refused.
    fn answer(&mut self) -> Result<Result<Response, Failure>, Failure> {
        match reply::accepted(&mut self.lines) {
            Err(failure) if self.lines.is_broken() => Err(failure),
            answered => Ok(answered),
        }
    }

    fn expect_go_ahead(&mut self, response: &Response) -> Result<(), Failure> {
        if response.has_code(354) {
            return Ok(());
        }
        Err(self.lines.unreadable("the server answers DATA with neither 354 nor a refusal"))
    }

    /// Forgets the message under way, so that the next one starts afresh. A session that cannot is given up.
    fn forget(&mut self) {
        if !self.lines.is_broken()
            && let Err(failure) = self.one(&Rset)
        {
            self.lines.give_up(failure);
        }
    }
}

/// The crate's commands bring their line end along.
fn command(verb: &impl std::fmt::Display) -> String {
    let mut line = verb.to_string();
    line.truncate(line.trim_end().len());
    line
}

/// A message as it follows DATA: lines that begin with a dot have it doubled, and a dot of its own ends it (RFC 5321
/// §4.5.2).
fn on_the_wire(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(message.len() + 64);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    if !wire.is_empty() && !wire.ends_with(b"\r\n") {
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

#[cfg(test)]
mod tests {
    use super::on_the_wire;

    #[test]
    fn a_message_ends_with_its_dot_and_holds_no_other() {
        for (message, wire) in [
            ("a\r\n.b\r\n", "a\r\n..b\r\n.\r\n"),
            (".", "..\r\n.\r\n"),
            ("a\r\n.\r\nb", "a\r\n..\r\nb\r\n.\r\n"),
            ("", ".\r\n"),
        ] {
            assert_eq!(String::from_utf8(on_the_wire(message.as_bytes())).unwrap(), wire, "{message:?}");
        }
    }
}
