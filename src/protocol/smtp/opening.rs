//! From nothing to a session that can send: the order of things, each under the one deadline.

use std::sync::Arc;
use std::time::Instant;

use lettre::transport::smtp::commands::{Ehlo, Starttls};
use lettre::transport::smtp::extension::ClientId;
use zeroize::Zeroizing;

use super::connection::SmtpConnection;
use super::reply;
use crate::allocator::SessionId;
use crate::protocol::capabilities::Capabilities;
use crate::protocol::carry::{Carrier, Turn};
use crate::protocol::endpoint::Security;
use crate::protocol::failure::{Failure, FailureKind, Stage, printable};
use crate::protocol::lines::Lines;
use crate::protocol::opening::{DialFailure, LEAVING, Opening};
use crate::protocol::sasl::{Mechanism, Native};
use crate::protocol::secret::{Mask, Secret};
use crate::protocol::session::DialEvent;
use crate::protocol::settings::Account;

pub(super) fn open(account: &Account, session: SessionId) -> Result<SmtpConnection, DialFailure> {
    Opening::open(account, session, |opening| opening.smtp(session))
}

impl Opening<'_> {
    fn smtp(&mut self, session: SessionId) -> Result<SmtpConnection, Failure> {
        let settings = &self.account.settings;
        let security = settings.endpoint.security;
        let mut stream = self.connect()?;
        let local = stream.local_address().map_err(|error| Failure::from_io(&error, Stage::Connect))?;
        let (name, is_label) = settings.ehlo.of(session, &settings.run_id, local.ip());
        if security == Security::Tls {
            self.handshake(&mut stream, Instant::now())?;
        }
        let mut lines = Lines::new(stream, self.account, self.deadline);
        self.welcomed(&mut lines)?;
        if security == Security::StartTls {
            self.upgrade_smtp(&mut lines, &name)?;
        }
        let started = Instant::now();
        lines.set_stage(Stage::Auth);
        let offered = self.ehlo(&mut lines, &name)?;
        let by = if settings.endpoint.signs_in() {
            Some(self.sign_in(&mut SmtpCarrier(&mut lines), &offered, started)?)
        } else {
            None
        };
        let mut established = self.established(by);
        established.label = is_label.then(|| name.to_string());
        established.commands = lines.commands().to_vec();
        Ok(SmtpConnection::new(lines, established, settings.operation_timeout, offered.has("PIPELINING")))
    }

    fn welcomed(&mut self, lines: &mut Lines) -> Result<(), Failure> {
        let started = Instant::now();
        let line = lines.peek_line().map(<[u8]>::to_vec).map_err(|failure| self.hint_at_tls(failure))?;
        if !line.first_chunk::<3>().is_some_and(|code| code.iter().all(u8::is_ascii_digit)) {
            return Err(self.foreign_greeting(lines, &line));
        }
        let (response, line) = reply::reply(lines)?;
        if !response.is_positive() {
            return Err(reply::refused(lines, &response, &line));
        }
        self.phases.greeting = Some(started.elapsed());
        self.tell(DialEvent::Greeted(&printable(&line)));
        Ok(())
    }

    /// STARTTLS, required: without it nothing more is said in the clear.
    fn upgrade_smtp(&mut self, lines: &mut Lines, name: &ClientId) -> Result<(), Failure> {
        lines.set_stage(Stage::Tls);
        if !self.ehlo(lines, name)?.has("STARTTLS") {
            leave(lines);
            return Err(self.no_start_tls());
        }
        let started = Instant::now();
        if let Err(failure) = reply::command(lines, Starttls.to_string().trim_end()) {
            leave(lines);
            return Err(self.start_tls_refused(failure));
        }
        self.upgrade_stream(lines, started)
    }

    /// Says who we are, and learns what the server can do. One that knows no EHLO offers nothing (RFC 5321 §3.2).
    fn ehlo(&mut self, lines: &mut Lines, name: &ClientId) -> Result<Capabilities, Failure> {
        let mut offered = Capabilities::default();
        match reply::command(lines, Ehlo::new(name.clone()).to_string().trim_end()) {
            // The first line is the server's name.
            Ok(response) => response.message().skip(1).for_each(|line| offered.add(line.as_bytes())),
            Err(failure) if failure.kind == FailureKind::ServerBad => {
                reply::command(lines, &format!("HELO {name}"))?;
            }
            Err(failure) => return Err(failure),
        }
        self.tell(DialEvent::Offered(&offered));
        Ok(offered)
    }
}

/// SMTP's way to carry a sign-in (RFC 4954).
struct SmtpCarrier<'lines>(&'lines mut Lines);

/// With its command, a first answer must fit into a line of 512 bytes, though servers take more (RFC 4954 §4).
const LONGEST_FIRST: usize = 480;

impl SmtpCarrier<'_> {
    fn turn(&mut self) -> Result<Turn, Failure> {
        let response = reply::accepted(self.0)?;
        Ok(if response.has_code(334) {
            Turn::Asks(response.message().next().unwrap_or_default().as_bytes().to_vec())
        } else {
            Turn::Accepts(None)
        })
    }
}

impl Carrier for SmtpCarrier<'_> {
    fn native(&self, _: &Capabilities, _: &str, _: &Secret) -> Option<Native> {
        None
    }

    fn native_name(&self) -> &'static str {
        "AUTH"
    }

    fn sign_in_natively(&mut self, _: &str, _: &Secret) -> Result<(), Failure> {
        let message = "SMTP has no command of its own to sign in by";
        Err(Failure::new(FailureKind::Internal, Stage::Auth, message))
    }

    fn start(&mut self, mechanism: Mechanism, initial: Option<&[u8]>) -> Result<Turn, Failure> {
        let first = initial.filter(|initial| initial.len() <= LONGEST_FIRST);
        match first {
            // An empty one is written as "=".
            Some(b"") => self.0.say(&format!("AUTH {mechanism} =")),
            Some(first) => self.0.say(&Zeroizing::new(format!("AUTH {mechanism} {}", String::from_utf8_lossy(first)))),
            None => self.0.say(&format!("AUTH {mechanism}")),
        }
        self.0.send()?;
        match (self.turn()?, initial) {
            (Turn::Asks(_), Some(initial)) if first.is_none() => self.answer(initial),
            (turn, _) => Ok(turn),
        }
    }

    fn answer(&mut self, line: &[u8]) -> Result<Turn, Failure> {
        self.0.send_content(&Zeroizing::new([line, b"\r\n"].concat()))?;
        self.turn()
    }

    fn mask(&mut self, mask: Arc<Mask>) {
        self.0.set_mask(mask);
    }

    fn leave(&mut self) {
        leave(self.0);
    }
}

/// QUIT before a session exists. Whether the server still answers is of no interest.
fn leave(lines: &mut Lines) {
    if !lines.is_broken() {
        lines.begin(Stage::Logout, Instant::now() + LEAVING);
        let _ = reply::command(lines, "QUIT");
    }
}
