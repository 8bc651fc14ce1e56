//! One SMTP session, signed in where its account signs in.

use std::time::{Duration, Instant};

use lettre::transport::smtp::commands::{Mail, Rcpt};
use lettre::transport::smtp::extension::{MailBodyParameter, MailParameter};

use super::reply::{self, Reply};
use crate::protocol::capabilities::Capabilities;
use crate::protocol::command::{Command, Verb};
use crate::protocol::failure::{Failure, FailureKind, Stage};
use crate::protocol::letter::Letter;
use crate::protocol::lines::Lines;
use crate::protocol::operation::SmtpOperation;
use crate::protocol::session::Established;
use crate::protocol::stream::Traffic;

/// One session, from its sign-in to its close. Dropping it closes the socket without a QUIT.
pub struct SmtpConnection {
    lines: Lines,
    established: Established,
    operation_timeout: Duration,
    /// Whether commands may be sent in groups (RFC 2920).
    pipelining: bool,
    /// Whether addresses may hold more than ASCII (RFC 6531).
    utf8: bool,
    /// The command at which the message failed, where others followed it.
    failed: Option<Verb>,
}

impl SmtpConnection {
    pub(super) fn new(
        lines: Lines,
        established: Established,
        operation_timeout: Duration,
        offered: &Capabilities,
    ) -> Self {
        let (pipelining, utf8) = (offered.has("PIPELINING"), offered.has("SMTPUTF8"));
        Self { lines, established, operation_timeout, pipelining, utf8, failed: None }
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

    /// The command at which the last unit failed, where it was not its last.
    pub(in crate::protocol) const fn failed_command(&self) -> Option<Verb> {
        self.failed
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
        let command = match operation {
            SmtpOperation::Noop => "NOOP",
            SmtpOperation::Verify => "RSET",
            SmtpOperation::Send => {
                let message = "sending needs a letter";
                return Err(Failure::new(FailureKind::Internal, Stage::Operation, message));
            }
        };
        let done = self.begin().and_then(|()| {
            reply::command(&mut self.lines, command).map_err(|failure| self.lines.hear_the_end(failure))
        });
        self.lines.over(done.map(|_| 0))
    }

    /// Sends one message to its recipient; 1 item. Whatever the server refuses of it, the session goes on without it.
    ///
    /// # Errors
    /// [`Failure`] at stage `operation`: the first refusal, in the server's own words.
    pub fn send(&mut self, letter: &Letter) -> Result<u32, Failure> {
        self.lines.known.sender = Some(letter.from.to_string());
        let done = self.deliver(letter);
        self.lines.over(done)
    }

    fn deliver(&mut self, letter: &Letter) -> Result<u32, Failure> {
        self.begin()?;
        let parameters = self.parameters(letter)?;
        self.lines.carry(letter.from.to_string());
        self.lines.carry(letter.to.to_string());
        let commands = [
            command(&Mail::new(Some(letter.from.clone()), parameters)),
            command(&Rcpt::new(letter.to.clone(), Vec::new())),
            "DATA".to_owned(),
        ];
        let sent = if self.pipelining { self.in_one_go(&commands) } else { self.in_turn(&commands) };
        let sent = sent.and_then(|()| {
            self.lines.send_content(&on_the_wire(&letter.message))?;
            reply::expect(&mut self.lines, reply::is_done)
        });
        match sent {
            Ok(_) => Ok(1),
            Err(failure) => {
                self.failed = self.failed.or_else(|| self.lines.commands().last().map(|command| command.verb));
                let failure = self.lines.hear_the_end(failure);
                // The first refusal tells; what was refused after it is its consequence.
                let further = self.forget().err().and_then(|refused| refused.server_line);
                Err(failure.with_further(further))
            }
        }
    }

    /// What the sender's command must say of addresses that are not ASCII.
    fn parameters(&self, letter: &Letter) -> Result<Vec<MailParameter>, Failure> {
        let is_ascii = |address: &lettre::Address| AsRef::<str>::as_ref(address).is_ascii();
        if is_ascii(&letter.from) && is_ascii(&letter.to) {
            return Ok(Vec::new());
        }
        if self.utf8 {
            return Ok(vec![MailParameter::SmtpUtfEight, MailParameter::Body(MailBodyParameter::EightBitMime)]);
        }
        let message = "an address holds more than ASCII, and the server offers no SMTPUTF8; use another address";
        Err(Failure::new(FailureKind::ServerNo, Stage::Operation, message))
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

    fn begin(&mut self) -> Result<(), Failure> {
        self.failed = None;
        self.lines.begin(Stage::Operation, Instant::now() + self.operation_timeout);
        self.lines.expect_silence()
    }

    /// Sender, recipient and DATA, each after the other was accepted.
    fn in_turn(&mut self, [mail, rcpt, data]: &[String; 3]) -> Result<(), Failure> {
        reply::command(&mut self.lines, mail)?;
        reply::command(&mut self.lines, rcpt)?;
        reply::ask(&mut self.lines, data)?;
        reply::expect(&mut self.lines, is_go_ahead).map(|_| ())
    }

    /// All three in one write (RFC 2920 §3.1): their replies are read whatever the first one says.
    fn in_one_go(&mut self, commands: &[String; 3]) -> Result<(), Failure> {
        for command in commands {
            self.lines.say(command);
        }
        self.lines.send()?;
        self.failed = Some(Verb::MAIL);
        let mail = self.answer(reply::is_done)?;
        if mail.is_ok() {
            self.failed = Some(Verb::RCPT);
        }
        let rcpt = match (&mail, self.answer(reply::is_done)) {
            // What closed the session is the refusal before.
            (Err(refused), Err(closed)) if closed.kind == FailureKind::Closed => {
                self.lines.known.closes_with_it = true;
                return Err(refused.clone());
            }
            (_, answered) => answered?,
        };
        if mail.is_ok() && rcpt.is_ok() {
            self.failed = None;
        }
        let data = match (mail.as_ref().and(rcpt.as_ref()), self.answer(is_go_ahead)) {
            (Err(refused), Err(closed)) if closed.kind == FailureKind::Closed => {
                self.lines.known.closes_with_it = true;
                return Err(refused.clone());
            }
            (_, answered) => answered?,
        };
        let Err(refused) = mail.and(rcpt) else { return data.map(|_| ()) };
        if data.is_ok() {
            // The server waits for a message that nobody is to receive: an empty one ends that (RFC 2920 §3.1).
            let ended = self.lines.send_content(b".\r\n").and_then(|()| self.answer(reply::is_done));
            if let Err(failure) = ended.map(drop)
                && failure.kind != FailureKind::Closed
            {
                return Err(failure);
            }
        }
        Err(refused)
    }

    /// One reply of several: `Err` outside when the session broke, inside when the server refused.
    fn answer(&mut self, wanted: fn(u16) -> bool) -> Result<Result<Reply, Failure>, Failure> {
        match reply::expect(&mut self.lines, wanted) {
            Err(failure) if self.lines.is_broken() => Err(failure),
            answered => Ok(answered),
        }
    }

    /// Forgets the message under way, so that the next one starts afresh. A session that cannot is given up.
    fn forget(&mut self) -> Result<(), Failure> {
        if self.lines.is_broken() {
            return Ok(());
        }
        reply::command(&mut self.lines, "RSET").map(|_| ()).map_err(|failure| self.lines.give_up(failure))
    }
}

fn is_go_ahead(code: u16) -> bool {
    code == 354
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
