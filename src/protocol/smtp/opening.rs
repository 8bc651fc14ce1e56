//! From nothing to a session that can send: the order of things, each under the one deadline.

use std::time::Instant;

use lettre::transport::smtp::extension::ClientId;

use super::connection::SmtpConnection;
use super::ehlo::EhloName;
use super::reply;
use crate::allocator::SessionId;
use crate::protocol::capabilities::Capabilities;
use crate::protocol::carry::{LineCarrier, Turn};
use crate::protocol::cure::Named;
use crate::protocol::endpoint::Security;
use crate::protocol::failure::{Failure, Stage};
use crate::protocol::lines::Lines;
use crate::protocol::opening::{DialFailure, Opening, before_sign_in};
use crate::protocol::settings::Account;

/// With its command, a first answer must fit into a line of 512 bytes, though servers take more (RFC 4954 §4).
const LONGEST_FIRST: usize = 480;

pub(super) fn open(account: &Account, session: SessionId) -> Result<SmtpConnection, DialFailure> {
    Opening::open(account, session, |opening| opening.smtp(session))
}

impl Opening<'_> {
    fn smtp(&mut self, session: SessionId) -> Result<SmtpConnection, Failure> {
        let settings = &self.account.settings;
        let mut stream = self.connect()?;
        let local = stream.local_address().map_err(|error| Failure::from_io(&error, Stage::Connect))?;
        let (name, is_label) = settings.ehlo.of(session, &settings.run_id, local.ip());
        if settings.endpoint.security == Security::Tls {
            self.handshake(&mut stream, Instant::now())?;
        }
        let mut lines = Lines::new(stream, self.account, self.deadline, reply::unasked);
        let begun = self.begin_smtp(&mut lines, &name);
        let (offered, by) = begun.inspect_err(|_| {
            self.fails_now();
            lines.leave();
        })?;
        lines.known = self.known.of_session();
        lines.link.clone_from(&self.link);
        let mut established = self.established(by);
        established.label = is_label.then(|| name.to_string());
        established.commands = lines.commands().to_vec();
        Ok(SmtpConnection::new(lines, established, settings.operation_timeout, &offered))
    }

    /// From the greeting to the sign-in, where somebody signs in.
    fn begin_smtp(
        &mut self,
        lines: &mut Lines,
        name: &ClientId,
    ) -> Result<(Capabilities, Option<&'static str>), Failure> {
        let endpoint = &self.account.settings.endpoint;
        self.welcomed(lines)?;
        if endpoint.security == Security::StartTls {
            self.upgrade_smtp(lines, name)?;
        }
        let started = Instant::now();
        // Where nobody signs in, it is the greeting's end.
        lines.set_stage(if endpoint.signs_in() { Stage::Auth } else { Stage::Greeting });
        let offered = self.ehlo(lines, name)?;
        if !endpoint.signs_in() {
            return Ok((offered, None));
        }
        let mut carrier = LineCarrier { lines, longest_first: LONGEST_FIRST, turn, user_pass: None };
        let by = self.sign_in(&mut carrier, &offered, started)?;
        Ok((offered, Some(by)))
    }

    fn welcomed(&mut self, lines: &mut Lines) -> Result<(), Failure> {
        let started = Instant::now();
        let line = lines.peek_line().map(<[u8]>::to_vec)?;
        if !line.first_chunk::<3>().is_some_and(|code| code.iter().all(u8::is_ascii_digit)) {
            return Err(self.foreign_greeting(lines, &line));
        }
        let greeting = reply::expect(lines, |code| code == 220)?;
        self.phases.greeting = Some(started.elapsed());
        self.tell_greeting(&greeting.shown);
        Ok(())
    }

    /// STARTTLS, required: without it nothing more is said in the clear.
    fn upgrade_smtp(&mut self, lines: &mut Lines, name: &ClientId) -> Result<(), Failure> {
        lines.set_stage(Stage::Tls);
        if !self.ehlo(lines, name)?.has("STARTTLS") {
            return Err(self.no_start_tls());
        }
        let started = Instant::now();
        reply::ask(lines, "STARTTLS")?;
        reply::expect(lines, |code| code == 220).map_err(|failure| self.start_tls_refused(failure))?;
        self.upgrade_stream(lines, started)
    }

    /// Says who we are, and learns what the server can do. One that knows no EHLO offers nothing (RFC 5321 §3.2).
    fn ehlo(&mut self, lines: &mut Lines, name: &ClientId) -> Result<Capabilities, Failure> {
        let mut offered = Capabilities::default();
        let by_flag = self.account.settings.ehlo != EhloName::Address;
        self.known.named = Some(Named { name: name.to_string(), by_flag });
        self.known.is_naming = true;
        lines.carry_host(&name.to_string());
        reply::ask(lines, &format!("EHLO {name}"))?;
        let mut answered = reply::read(lines)?;
        if matches!(answered.code, 500 | 502) {
            reply::ask(lines, &format!("HELO {name}"))?;
            answered = reply::read(lines)?;
        } else {
            // The first line is the server's name.
            answered.texts.iter().skip(1).for_each(|text| offered.add(text));
        }
        // Any other yes answers something else: a second greeting is a 220.
        if answered.code != 250 {
            // Whom the server will not greet, it refuses whoever would sign in: that is the greeting's stage.
            lines.set_stage(Stage::Greeting);
            return Err(before_sign_in(reply::not_done(lines, &answered)));
        }
        self.known.is_naming = false;
        self.tell_offered(&offered);
        Ok(offered)
    }
}

/// What the server answers to AUTH and its lines (RFC 4954 §4).
fn turn(lines: &mut Lines) -> Result<Turn, Failure> {
    let reply = reply::expect(lines, |code| matches!(code, 235 | 334))?;
    Ok(match reply.code {
        334 => Turn::Asks(reply.texts.into_iter().next().unwrap_or_default()),
        _ => Turn::Accepts,
    })
}
