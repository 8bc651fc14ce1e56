//! From nothing to a signed-in session: the order of things, each under the one deadline.

use std::time::Instant;

use zeroize::Zeroizing;

use super::connection::Pop3Connection;
use super::reply;
use crate::allocator::SessionId;
use crate::protocol::capabilities::Capabilities;
use crate::protocol::carry::{LineCarrier, Turn};
use crate::protocol::endpoint::Security;
use crate::protocol::failure::{Failure, FailureKind, Stage};
use crate::protocol::lines::Lines;
use crate::protocol::opening::{DialFailure, Opening};
use crate::protocol::secret::Secret;
use crate::protocol::settings::Account;

/// With its command, a first answer must fit into a line of 255 bytes (RFC 5034 §4).
const LONGEST_FIRST: usize = 200;

pub(super) fn open(account: &Account, session: SessionId) -> Result<Pop3Connection, DialFailure> {
    Opening::open(account, session, Opening::pop3)
}

impl Opening<'_> {
    fn pop3(&mut self) -> Result<Pop3Connection, Failure> {
        let settings = &self.account.settings;
        let mut stream = self.connect()?;
        if settings.endpoint.security == Security::Tls {
            self.handshake(&mut stream, Instant::now())?;
        }
        let mut lines = Lines::new(stream, self.account, self.deadline, reply::unasked);
        let begun = self.begin_pop3(&mut lines);
        let (offered, by) = begun.inspect_err(|_| {
            self.fails_now();
            lines.leave();
        })?;
        lines.known = self.known.of_session();
        lines.link.clone_from(&self.link);
        let mut established = self.established(Some(by));
        established.commands = lines.commands().to_vec();
        Ok(Pop3Connection::new(lines, established, settings.operation_timeout, offered.has("TOP")))
    }

    /// From the greeting to the sign-in.
    fn begin_pop3(&mut self, lines: &mut Lines) -> Result<(Capabilities, &'static str), Failure> {
        self.greeted(lines)?;
        if self.account.settings.endpoint.security == Security::StartTls {
            self.stls(lines)?;
        }
        let started = Instant::now();
        lines.set_stage(Stage::Auth);
        let offered = self.capa(lines)?;
        let mut carrier =
            LineCarrier { lines, longest_first: LONGEST_FIRST, turn, user_pass: Some(sign_in_by_user_and_pass) };
        let by = match self.sign_in(&mut carrier, &offered, started) {
            Ok(by) => by,
            // One line is all that a refusal has (RFC 1939 §3); what servers write behind it is their word too.
            Err(failure) if failure.server_line.is_some() => {
                let further = lines.take_read();
                return Err(lines.with_further(failure, &further));
            }
            Err(failure) => return Err(failure),
        };
        if self.account.settings.ask_again {
            // Its limits may be this user's own now (RFC 2449 §6.5).
            // Asked out of curiosity: whatever comes of it, the session is signed in, and its next operation tells.
            let _ = self.capa(lines);
        }
        Ok((offered, by))
    }

    fn greeted(&mut self, lines: &mut Lines) -> Result<(), Failure> {
        let started = Instant::now();
        let line = lines.line().map(<[u8]>::to_vec)?;
        if !reply::is_status(&line, b"+OK") && !reply::is_status(&line, b"-ERR") {
            return Err(self.foreign_greeting(lines, &line));
        }
        reply::judged(lines, &line)?;
        self.phases.greeting = Some(started.elapsed());
        self.tell_greeting(&line);
        Ok(())
    }

    /// STLS, required: without it nothing more is said in the clear.
    fn stls(&mut self, lines: &mut Lines) -> Result<(), Failure> {
        lines.set_stage(Stage::Tls);
        let offered = self.capa(lines)?;
        // Servers without CAPA may know STLS all the same: they are asked.
        if !offered.has("STLS") && offered.iter().next().is_some() {
            return Err(self.no_start_tls());
        }
        let started = Instant::now();
        reply::command(lines, "STLS").map_err(|failure| self.start_tls_refused(failure))?;
        self.upgrade_stream(lines, started)
    }

    /// What the server can do (RFC 2449). To ask is an extension too: a server may not know it.
    fn capa(&mut self, lines: &mut Lines) -> Result<Capabilities, Failure> {
        let mut offered = Capabilities::default();
        match reply::command(lines, "CAPA") {
            Ok(_) => reply::rest(lines, |line| offered.add(line)).map(|_| ())?,
            Err(failure) => {
                let limit = matches!(failure.kind, FailureKind::LimitConnections | FailureKind::LimitRate);
                if limit || lines.is_broken() {
                    return Err(failure);
                }
                offered = Capabilities::unsaid();
            }
        }
        // What it said once holds, though it does not say it again.
        if !offered.is_unsaid() || self.known.offered.is_none() {
            self.tell_offered(&offered);
        }
        Ok(offered)
    }
}

/// What the server answers to AUTH and its lines (RFC 5034 §4).
fn turn(lines: &mut Lines) -> Result<Turn, Failure> {
    let line = lines.line()?.to_vec();
    if line == b"+" {
        return Ok(Turn::Asks(Vec::new()));
    }
    if let Some(asked) = line.strip_prefix(b"+ ") {
        return Ok(Turn::Asks(asked.to_vec()));
    }
    reply::judged(lines, &line).map(|()| Turn::Accepts)
}

/// RFC 1939 §7. The caller makes sure that neither breaks its line.
fn sign_in_by_user_and_pass(lines: &mut Lines, user: &str, secret: &Secret) -> Result<(), Failure> {
    reply::command(lines, &format!("USER {user}"))?;
    reply::command(lines, &Zeroizing::new(format!("PASS {}", secret.expose()))).map(|_| ())
}
