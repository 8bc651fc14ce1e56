//! From nothing to a signed-in session: the order of things, each under the one deadline.

use std::time::Instant;

use super::connection::Pop3Connection;
use super::reply;
use crate::allocator::SessionId;
use crate::protocol::capabilities::Capabilities;
use crate::protocol::endpoint::Security;
use crate::protocol::failure::{Failure, FailureKind, Stage, printable};
use crate::protocol::lines::Lines;
use crate::protocol::live::cancelled;
use crate::protocol::opening::{DialFailure, LEAVING, Opening};
use crate::protocol::session::DialEvent;
use crate::protocol::settings::Account;

pub(super) fn open(account: &Account, _session: SessionId) -> Result<Pop3Connection, DialFailure> {
    let mut opening = Opening::of(account);
    opening.pop3().map_err(|failure| opening.failed(failure))
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
        let asked = started.elapsed();
        let pass = match self.account.gate.enter(self.deadline) {
            Ok(pass) => pass,
            Err(failure) => {
                leave(&mut lines);
                return Err(if self.account.live.is_cancelled() { cancelled(Stage::Auth) } else { failure });
            }
        };
        let started = Instant::now();
        match self.pop3_sign_in(&mut lines, &offered) {
            Ok(by) => {
                pass.accepted();
                self.phases.sign_in = Some(asked + started.elapsed());
                self.tell(DialEvent::SignedIn);
                let mut established = self.established(Some(by));
                established.commands = lines.commands().to_vec();
                Ok(Pop3Connection::new(lines, established, settings.operation_timeout, offered.has("TOP")))
            }
            Err(failure) => {
                pass.failed(&failure);
                leave(&mut lines);
                Err(failure)
            }
        }
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

    fn pop3_sign_in(&mut self, lines: &mut Lines, _offered: &Capabilities) -> Result<&'static str, Failure> {
        self.account.live.check(Stage::Auth)?;
        let settings = &self.account.settings;
        self.tell(DialEvent::SigningIn("USER"));
        self.sign_in_attempted = true;
        reply::command(lines, &format!("USER {}", settings.endpoint.user))?;
        reply::command(lines, &format!("PASS {}", settings.secret.expose()))?;
        Ok("USER")
    }
}

/// QUIT before a session exists. Whether the server still answers is of no interest.
fn leave(lines: &mut Lines) {
    if !lines.is_broken() {
        lines.begin(Stage::Logout, Instant::now() + LEAVING);
        let _ = reply::command(lines, "QUIT");
    }
}
