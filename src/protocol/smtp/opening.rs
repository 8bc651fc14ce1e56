//! From nothing to a session that can send: the order of things, each under the one deadline.

use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::transport::smtp::commands::{Ehlo, Starttls};
use lettre::transport::smtp::extension::ClientId;

use super::connection::SmtpConnection;
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

pub(super) fn open(account: &Account, session: SessionId) -> Result<SmtpConnection, DialFailure> {
    let mut opening = Opening::of(account);
    opening.smtp(session).map_err(|failure| opening.failed(failure))
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
        let mut by = None;
        if settings.endpoint.signs_in() {
            let asked = started.elapsed();
            let pass = match self.account.gate.enter(self.deadline) {
                Ok(pass) => pass,
                Err(failure) => {
                    leave(&mut lines);
                    return Err(if self.account.live.is_cancelled() { cancelled(Stage::Auth) } else { failure });
                }
            };
            let started = Instant::now();
            match self.smtp_sign_in(&mut lines, &offered) {
                Ok(mechanism) => {
                    pass.accepted();
                    by = Some(mechanism);
                    self.phases.sign_in = Some(asked + started.elapsed());
                    self.tell(DialEvent::SignedIn);
                }
                Err(failure) => {
                    pass.failed(&failure);
                    leave(&mut lines);
                    return Err(failure);
                }
            }
        }
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

    fn smtp_sign_in(&mut self, lines: &mut Lines, _offered: &Capabilities) -> Result<&'static str, Failure> {
        self.account.live.check(Stage::Auth)?;
        let settings = &self.account.settings;
        self.tell(DialEvent::SigningIn("PLAIN"));
        self.sign_in_attempted = true;
        let response = STANDARD.encode(format!("\0{}\0{}", settings.endpoint.user, settings.secret.expose()));
        reply::command(lines, &format!("AUTH PLAIN {response}"))?;
        Ok("PLAIN")
    }
}

/// QUIT before a session exists. Whether the server still answers is of no interest.
fn leave(lines: &mut Lines) {
    if !lines.is_broken() {
        lines.begin(Stage::Logout, Instant::now() + LEAVING);
        let _ = reply::command(lines, "QUIT");
    }
}
