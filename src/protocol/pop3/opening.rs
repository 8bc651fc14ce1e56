//! From nothing to a signed-in session: the order of things, each under the one deadline.

use std::sync::Arc;
use std::time::Instant;

use zeroize::Zeroizing;

use super::connection::Pop3Connection;
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

pub(super) fn open(account: &Account, session: SessionId) -> Result<Pop3Connection, DialFailure> {
    Opening::open(account, session, Opening::pop3)
}

impl Opening<'_> {
    fn pop3(&mut self) -> Result<Pop3Connection, Failure> {
        let settings = &self.account.settings;
        let security = settings.endpoint.security;
        let mut stream = self.connect()?;
        if security == Security::Tls {
            self.handshake(&mut stream, Instant::now())?;
        }
        let mut lines = Lines::new(stream, self.account, self.deadline);
        self.greeted(&mut lines)?;
        if security == Security::StartTls {
            self.stls(&mut lines)?;
        }
        let started = Instant::now();
        lines.set_stage(Stage::Auth);
        let offered = self.capa(&mut lines)?;
        let by = self.sign_in(&mut Pop3Carrier(&mut lines), &offered, started)?;
        if settings.ask_again {
            // Its limits may be this user's own now (RFC 2449 §6.5).
            self.capa(&mut lines)?;
        }
        let mut established = self.established(Some(by));
        established.commands = lines.commands().to_vec();
        Ok(Pop3Connection::new(lines, established, settings.operation_timeout, offered.has("TOP")))
    }

    fn greeted(&mut self, lines: &mut Lines) -> Result<(), Failure> {
        let started = Instant::now();
        let line = lines.line().map(<[u8]>::to_vec).map_err(|failure| self.hint_at_tls(failure))?;
        if reply::is_status(&line, b"-ERR") {
            return Err(lines.meaning(&line));
        }
        if !reply::is_status(&line, b"+OK") {
            return Err(self.foreign_greeting(lines, &line));
        }
        self.phases.greeting = Some(started.elapsed());
        self.tell(DialEvent::Greeted(&printable(&line)));
        Ok(())
    }

    /// STLS, required: without it nothing more is said in the clear.
    fn stls(&mut self, lines: &mut Lines) -> Result<(), Failure> {
        lines.set_stage(Stage::Tls);
        let offered = self.capa(lines)?;
        // Servers without CAPA may know STLS all the same: they are asked.
        if !offered.has("STLS") && offered.iter().next().is_some() {
            leave(lines);
            return Err(self.no_start_tls());
        }
        let started = Instant::now();
        if let Err(failure) = reply::command(lines, "STLS") {
            leave(lines);
            return Err(self.start_tls_refused(failure));
        }
        self.upgrade_stream(lines, started)
    }

    fn capa(&mut self, lines: &mut Lines) -> Result<Capabilities, Failure> {
        let mut offered = Capabilities::default();
        match reply::command(lines, "CAPA") {
            Ok(_) => reply::rest(lines, |line| offered.add(line)).map(|_| ())?,
            // It is an extension: a server may not know it.
            Err(failure) if matches!(failure.kind, FailureKind::ServerNo | FailureKind::AuthInvalid) => {}
            Err(failure) => return Err(failure),
        }
        self.tell(DialEvent::Offered(&offered));
        Ok(offered)
    }
}

/// POP3's way to carry a sign-in: USER and PASS (RFC 1939 §7), AUTH (RFC 5034).
struct Pop3Carrier<'lines>(&'lines mut Lines);

/// With its command, a first answer must fit into a line of 255 bytes (RFC 5034 §4).
const LONGEST_FIRST: usize = 200;

impl Pop3Carrier<'_> {
    fn turn(&mut self) -> Result<Turn, Failure> {
        let line = self.0.line()?.to_vec();
        if line == b"+" {
            return Ok(Turn::Asks(Vec::new()));
        }
        if let Some(asked) = line.strip_prefix(b"+ ") {
            return Ok(Turn::Asks(asked.to_vec()));
        }
        reply::judged(self.0, &line).map(|()| Turn::Accepts(None))
    }
}

impl Carrier for Pop3Carrier<'_> {
    fn native(&self, offered: &Capabilities, user: &str, secret: &Secret) -> Option<Native> {
        let fits = |text: &str| !text.contains(['\r', '\n', '\0']) && text.len() <= 4096;
        // A server without CAPA knows USER and PASS.
        let knows = offered.has("USER") || offered.iter().next().is_none();
        (knows && fits(user) && fits(secret.expose())).then_some(Native::UserPass)
    }

    fn native_name(&self) -> &'static str {
        "USER"
    }

    fn sign_in_natively(&mut self, user: &str, secret: &Secret) -> Result<(), Failure> {
        reply::command(self.0, &format!("USER {user}"))?;
        reply::command(self.0, &Zeroizing::new(format!("PASS {}", secret.expose()))).map(|_| ())
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
