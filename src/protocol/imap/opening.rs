//! From nothing to a signed-in, labelled session: the order of things, each under the one deadline.

use std::sync::Arc;
use std::time::Instant;

use imap::{Client, Session};
use zeroize::Zeroizing;

use super::connection::{ImapConnection, Parts, guarded};
use super::reader::{Greeting, Status};
use super::text;
use super::wire::{Tap, Wire};
use crate::allocator::SessionId;
use crate::protocol::capabilities::Capabilities;
use crate::protocol::carry::{Carrier, Turn};
use crate::protocol::classify::refused_greeting;
use crate::protocol::endpoint::Security;
use crate::protocol::failure::{Failure, FailureKind, Stage};
use crate::protocol::live::Live;
use crate::protocol::opening::{DialFailure, INJECTED, LEAVING, Opening, before_sign_in};
use crate::protocol::sasl::{Mechanism, Native};
use crate::protocol::secret::Secret;
use crate::protocol::session::DialEvent;
use crate::protocol::settings::Account;

pub(super) fn open(account: &Account, session: SessionId) -> Result<ImapConnection, DialFailure> {
    Opening::open(account, session, |opening| opening.imap(session))
}

/// A stream that speaks, before the crate has it.
struct Spoken {
    wire: Wire,
    tap: Arc<Tap>,
    tags: u32,
}

impl Opening<'_> {
    fn imap(&mut self, session: SessionId) -> Result<ImapConnection, Failure> {
        let account = self.account;
        let live = &account.live;
        let mut spoken = self.speak()?;
        let greeting = self.greet(&mut spoken)?;
        if account.settings.endpoint.security == Security::StartTls {
            self.upgrade(&mut spoken, greeting)?;
        }
        let started = Instant::now();
        spoken.tap.lock().set_stage(Stage::Auth);
        let offered = self.capabilities(&mut spoken)?;
        let by = match greeting {
            // The server has signed us in by itself.
            Greeting::PreAuth => {
                self.accepted();
                self.phases.sign_in = Some(started.elapsed());
                self.tell(DialEvent::SignedIn);
                None
            }
            _ => {
                let initial_response = offered.has("SASL-IR");
                let literals = Literals::of(&offered);
                let mut carrier = ImapCarrier { spoken: &mut spoken, live, initial_response, literals };
                let signed_in = self.sign_in(&mut carrier, &offered, started);
                if signed_in.is_err() {
                    spoken.leave();
                }
                Some(signed_in?)
            }
        };
        let tap = Arc::clone(&spoken.tap);
        let parts = Parts {
            session: spoken.into_session(live)?,
            tap,
            live: Arc::clone(live),
            established: self.established(by),
            operation_timeout: account.settings.operation_timeout,
            known: self.known.of_session(),
            link: self.link.clone(),
        };
        let mut connection = ImapConnection::new(parts);
        let offered = connection.introduce(offered, &account.settings, session)?;
        self.tell_offered(&offered);
        Ok(connection)
    }

    fn speak(&mut self) -> Result<Spoken, Failure> {
        let stream = self.connect()?;
        let tap = Tap::new(self.deadline, self.account);
        let mut wire = Wire::new(stream, Arc::clone(&tap));
        if self.account.settings.endpoint.security == Security::Tls {
            self.handshake(wire.stream(), Instant::now())?;
        }
        Ok(Spoken { wire, tap, tags: 0 })
    }

    fn greet(&mut self, spoken: &mut Spoken) -> Result<Greeting, Failure> {
        let live = &self.account.live;
        let started = Instant::now();
        let greeting = spoken.wire.greet().map_err(|()| spoken.tap.lock().broke(live, "no greeting"))?;
        let tapped = spoken.tap.lock();
        let line = &tapped.reader.last_line;
        match greeting {
            Greeting::Ok | Greeting::PreAuth => {}
            Greeting::Bye => {
                let line = tapped.reader.bye.as_ref().unwrap_or(line);
                return Err(tapped.meaning(line, Stage::Greeting));
            }
            Greeting::Foreign => {
                return Err(match refused_greeting(line) {
                    Some(_) => tapped.meaning(line, Stage::Greeting),
                    None => tapped.with_line(self.foreign(line), line),
                });
            }
        }
        self.phases.greeting = Some(started.elapsed());
        self.tell_greeting(line);
        Ok(greeting)
    }

    /// STARTTLS, required: without it nothing more is said in the clear.
    fn upgrade(&mut self, spoken: &mut Spoken, greeting: Greeting) -> Result<(), Failure> {
        spoken.tap.lock().set_stage(Stage::Tls);
        let refuse = |message: &str| Failure::new(FailureKind::TlsHandshake, Stage::Tls, message);
        if greeting == Greeting::PreAuth {
            spoken.leave();
            // RFC 9051 §11.1: an attacker who injects PREAUTH would keep the session in plaintext.
            return Err(refuse("the server signs in before TLS (PREAUTH), so STARTTLS is impossible; use imaps://"));
        }
        let capabilities = self.capabilities(spoken)?;
        if !capabilities.has("STARTTLS") {
            spoken.leave();
            return Err(self.no_start_tls());
        }
        let started = Instant::now();
        match self.say(spoken, "STARTTLS")? {
            Status::Ok => {}
            _ => {
                let failure = spoken.tap.lock().refused();
                spoken.leave();
                return Err(self.start_tls_refused(failure.unwrap_or_else(|| refuse("the server refused STARTTLS"))));
            }
        }
        {
            let hears = spoken.wire.hears();
            let mut tapped = spoken.tap.lock();
            let reader = &mut tapped.reader;
            let last_is_reply = reader.tagged.as_ref().is_some_and(|(_, line)| *line == reader.last_line);
            if hears || reader.has_partial() || reader.unasked.is_some() || !last_is_reply {
                // CVE-2011-0411 and its kin: what was injected in the clear must not count as said under TLS.
                return Err(Failure::new(FailureKind::Protocol, Stage::Tls, INJECTED));
            }
            // What the server said it could do was said in the clear (RFC 3501 §6.2.1).
            reader.answers.capabilities = None;
        }
        self.handshake(spoken.wire.stream(), started)
    }

    /// What the server can do: as it said already, or as it says when asked.
    fn capabilities(&mut self, spoken: &mut Spoken) -> Result<Capabilities, Failure> {
        let offered = self.offered(spoken)?;
        self.tell_offered(&offered);
        Ok(offered)
    }

    fn offered(&self, spoken: &mut Spoken) -> Result<Capabilities, Failure> {
        if let Some(known) = spoken.tap.lock().reader.answers.capabilities.clone() {
            return Ok(known);
        }
        let status = self.say(spoken, "CAPABILITY")?;
        let tapped = spoken.tap.lock();
        match (status, tapped.reader.answers.capabilities.clone()) {
            (Status::Ok, Some(capabilities)) => Ok(capabilities),
            (Status::Ok, None) => Ok(Capabilities::unsaid()),
            _ => {
                drop(tapped);
                let failure = spoken.tap.lock().refused();
                spoken.leave();
                let failure = failure.map(before_sign_in);
                Err(failure.unwrap_or_else(|| Failure::new(FailureKind::Protocol, Stage::Auth, "CAPABILITY failed")))
            }
        }
    }

    fn say(&self, spoken: &mut Spoken, verb: &str) -> Result<Status, Failure> {
        spoken.tags += 1;
        spoken
            .wire
            .say(spoken.tags, verb)
            .map_err(|()| spoken.tap.lock().broke(&self.account.live, "the reply answers no command of ours"))
    }
}

/// IMAP's way to carry a sign-in: LOGIN and AUTHENTICATE (RFC 3501 §6.2).
struct ImapCarrier<'dial> {
    spoken: &'dial mut Spoken,
    live: &'dial Live,
    /// Whether the first answer may come with the command (RFC 4959).
    initial_response: bool,
    literals: Literals,
}

/// Which literals may come without the server's go-ahead (RFC 7888).
#[derive(Clone, Copy)]
enum Literals {
    Asked,
    /// These are not longer than 4096 bytes.
    Minus,
    Plus,
}

impl Literals {
    fn of(offered: &Capabilities) -> Self {
        if offered.has("LITERAL+") {
            Self::Plus
        } else if offered.has("LITERAL-") || offered.has("IMAP4rev2") {
            Self::Minus
        } else {
            Self::Asked
        }
    }

    const fn takes_at_once(self, length: usize) -> bool {
        matches!((self, length), (Self::Plus, _) | (Self::Minus, ..=4096))
    }
}

impl ImapCarrier<'_> {
    /// Sends a line, and reads on until the server asks for another or the command is done.
    fn turn(&mut self, line: &[u8]) -> Result<Turn, Failure> {
        let Spoken { wire, tap, tags } = &mut *self.spoken;
        let answered = wire.exchange(*tags, line);
        let mut tapped = tap.lock();
        match answered {
            Ok(None) => Ok(Turn::Asks(tapped.reader.continuation.take().unwrap_or_default())),
            Ok(Some(Status::Ok)) if !tapped.is_broken() => Ok(Turn::Accepts),
            // The tagged refusal counts even if the server hangs up with it: a wrong password must shut the gate.
            Ok(Some(Status::No | Status::Bad)) => match tapped.refused() {
                Some(failure) => Err(failure),
                None => Err(tapped.broke(self.live, "the server refused without a word")),
            },
            _ => Err(tapped.broke(self.live, "the reply answers no command of ours")),
        }
    }

    fn command(&mut self, command: &str) -> Result<Turn, Failure> {
        {
            let mut tapped = self.spoken.tap.lock();
            tapped.expect_reply();
            // Servers offer more once they know who asks; some say so in their reply.
            tapped.reader.answers.capabilities = None;
        }
        self.spoken.tags += 1;
        let line = Zeroizing::new(format!("a{} {command}", self.spoken.tags));
        self.turn(line.as_bytes())
    }
}

impl Carrier for ImapCarrier<'_> {
    fn native(&self, offered: &Capabilities, user: &str, secret: &Secret) -> Option<Native> {
        let fits = text::fits_login(user) && text::fits_login(secret.expose());
        (fits && !offered.has("LOGINDISABLED")).then_some(Native::Login)
    }

    fn sign_in_natively(&mut self, user: &str, secret: &Secret) -> Result<(), Failure> {
        let mut pieces = login(user, secret.expose(), self.literals).into_iter();
        let mut turn = self.command(&pieces.next().unwrap_or_default())?;
        for piece in pieces {
            turn = match turn {
                Turn::Asks(_) => self.turn(piece.as_bytes())?,
                Turn::Accepts => {
                    let mut tapped = self.spoken.tap.lock();
                    return Err(tapped.broke(self.live, "the server accepts LOGIN before it has the password"));
                }
            };
        }
        match turn {
            Turn::Accepts => Ok(()),
            Turn::Asks(_) => {
                let mut tapped = self.spoken.tap.lock();
                Err(tapped.broke(self.live, "the server asks for more after LOGIN, which has no more"))
            }
        }
    }

    fn takes(&self, _: &[u8]) -> bool {
        self.initial_response
    }

    fn start(&mut self, mechanism: Mechanism, first: Option<&[u8]>) -> Result<Turn, Failure> {
        match first {
            // An empty one is written as "=".
            Some(b"") => self.command(&format!("AUTHENTICATE {mechanism} =")),
            Some(first) => {
                let first = Zeroizing::new(String::from_utf8_lossy(first).into_owned());
                self.command(&Zeroizing::new(format!("AUTHENTICATE {mechanism} {}", first.as_str())))
            }
            None => self.command(&format!("AUTHENTICATE {mechanism}")),
        }
    }

    fn answer(&mut self, line: &[u8]) -> Result<Turn, Failure> {
        self.turn(line)
    }
}

/// LOGIN's line, cut where the server's go-ahead for a literal is waited for.
fn login(user: &str, password: &str, literals: Literals) -> Vec<Zeroizing<String>> {
    // Room for all of it: a string that grows leaves a copy behind.
    let blank = || Zeroizing::new(String::with_capacity(2 * (user.len() + password.len()) + 64));
    let (mut pieces, mut piece) = (Vec::new(), blank());
    piece.push_str("LOGIN");
    for text in [user, password] {
        let length = text.len();
        if text::fits_quotes(text) {
            piece.push(' ');
            piece.push_str(&Zeroizing::new(text::quoted_whole(text)));
        } else if literals.takes_at_once(length) {
            piece.push_str(&format!(" {{{length}+}}\r\n"));
            piece.push_str(text);
        } else {
            piece.push_str(&format!(" {{{length}}}"));
            pieces.push(std::mem::replace(&mut piece, blank()));
            piece.push_str(text);
        }
    }
    pieces.push(piece);
    pieces
}

impl Spoken {
    /// Hands the stream to the crate. That makes a session only of a sign-in: this one never leaves.
    fn into_session(self, live: &Live) -> Result<Session<Wire>, Failure> {
        let Self { wire, tap, tags } = self;
        let mut client = Client::new(wire);
        client.greeting_read = true;
        // The last tag is the pretended command's.
        for _ in 1..tags {
            client.skip_tag();
        }
        tap.lock().pretend();
        match guarded(|| client.login("", "").ok()) {
            Some(Some(session)) => Ok(session),
            _ => Err(tap.lock().broke(live, "the IMAP library could not take the session over")),
        }
    }

    /// LOGOUT before a session exists. Whether the server still answers is of no interest.
    fn leave(&mut self) {
        if self.tap.lock().is_broken() {
            return;
        }
        self.tap.lock().leave(Instant::now() + LEAVING);
        self.tags += 1;
        let _ = self.wire.say(self.tags, "LOGOUT");
    }
}
