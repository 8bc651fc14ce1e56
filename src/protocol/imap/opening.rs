//! From nothing to a signed-in, labelled session: the order of things, each under the one deadline.

use std::sync::Arc;
use std::time::Instant;

use imap::{Authenticator, Client, Session};

use super::connection::{ImapConnection, Parts, guarded};
use super::reader::{Greeting, Status};
use super::text;
use super::wire::{Tap, Wire};
use crate::allocator::SessionId;
use crate::protocol::capabilities::Capabilities;
use crate::protocol::endpoint::{Protocol, Security};
use crate::protocol::failure::{Failure, FailureKind, Stage, printable};
use crate::protocol::live::{Live, cancelled};
use crate::protocol::opening::{DialFailure, INJECTED, LEAVING, Opening};
use crate::protocol::session::DialEvent;
use crate::protocol::settings::Account;

pub(super) fn open(account: &Account, session: SessionId) -> Result<ImapConnection, DialFailure> {
    let mut opening = Opening::of(account);
    opening.run(session).map_err(|failure| opening.failed(failure))
}

/// A stream that speaks, before the crate has it.
struct Spoken {
    wire: Wire,
    tap: Arc<Tap>,
    tags: u32,
}

/// How user and password are sent.
#[derive(Clone, Copy)]
enum Mechanism {
    Login,
    Plain,
    /// The server has signed us in by itself (PREAUTH).
    None,
}

impl Mechanism {
    const fn name(self) -> Option<&'static str> {
        match self {
            Self::Login => Some("LOGIN"),
            Self::Plain => Some("PLAIN"),
            Self::None => None,
        }
    }
}

impl Opening<'_> {
    fn run(&mut self, session: SessionId) -> Result<ImapConnection, Failure> {
        let account = self.account;
        let live = &account.live;
        let mut spoken = self.speak()?;
        let greeting = self.greet(&mut spoken)?;
        if account.settings.endpoint.security == Security::StartTls {
            self.upgrade(&mut spoken, greeting)?;
        }
        let started = Instant::now();
        spoken.tap.lock().set_stage(Stage::Auth);
        let capabilities = self.capabilities(&mut spoken)?;
        let mechanism = match greeting {
            Greeting::PreAuth => Mechanism::None,
            _ => self.mechanism(&capabilities).inspect_err(|_| spoken.leave())?,
        };
        let asked = started.elapsed();
        let pass = match account.gate.enter(self.deadline) {
            Ok(pass) => pass,
            Err(failure) => {
                spoken.leave();
                return Err(if live.is_cancelled() { cancelled(Stage::Auth) } else { failure });
            }
        };
        let started = Instant::now();
        let tap = Arc::clone(&spoken.tap);
        if let Some(name) = mechanism.name() {
            self.tell(DialEvent::SigningIn(name));
        }
        match self.sign_in(spoken, mechanism) {
            Ok(signed_in) => {
                pass.accepted();
                self.phases.sign_in = Some(asked + started.elapsed());
                let parts = Parts {
                    session: signed_in,
                    tap,
                    live: Arc::clone(live),
                    established: self.established(mechanism.name()),
                    operation_timeout: account.settings.operation_timeout,
                };
                self.tell(DialEvent::SignedIn);
                let mut connection = ImapConnection::new(parts);
                let offered = connection.introduce(capabilities, &account.settings.run_id, session)?;
                self.tell(DialEvent::Offered(&offered));
                Ok(connection)
            }
            Err(failure) => {
                pass.failed(&failure);
                Err(failure)
            }
        }
    }

    fn speak(&mut self) -> Result<Spoken, Failure> {
        let stream = self.connect()?;
        let tap = Tap::new(self.deadline, Arc::clone(&self.account.mask));
        let mut wire = Wire::new(stream, Arc::clone(&tap));
        if self.account.settings.endpoint.security == Security::Tls {
            self.handshake(wire.stream(), Instant::now())?;
        }
        Ok(Spoken { wire, tap, tags: 0 })
    }

    fn greet(&mut self, spoken: &mut Spoken) -> Result<Greeting, Failure> {
        let live = &self.account.live;
        let started = Instant::now();
        let greeting =
            spoken.wire.greet().map_err(|()| self.hint_at_tls(spoken.tap.lock().broke(live, "no greeting")))?;
        let tapped = spoken.tap.lock();
        let line = &tapped.reader.last_line;
        match greeting {
            Greeting::Ok | Greeting::PreAuth => {}
            Greeting::Bye => {
                let line = tapped.reader.bye.as_ref().unwrap_or(line);
                return Err(tapped.meaning(line, Stage::Greeting));
            }
            Greeting::Foreign => return Err(tapped.with_line(self.foreign(line), line)),
        }
        self.phases.greeting = Some(started.elapsed());
        self.tell(DialEvent::Greeted(&printable(line)));
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
            let mut tapped = spoken.tap.lock();
            let reader = &mut tapped.reader;
            let last_is_reply = reader.tagged.as_ref().is_some_and(|(_, line)| *line == reader.last_line);
            if reader.has_partial() || !last_is_reply {
                // CVE-2011-0411 and its kin: what was injected in the clear must not count as said under TLS.
                return Err(Failure::new(FailureKind::Protocol, Stage::Tls, INJECTED));
            }
            // What the server said it could do was said in the clear (RFC 3501 §6.2.1).
            reader.tally.capabilities = None;
        }
        self.handshake(spoken.wire.stream(), started)
    }

    /// What the server can do: as it said already, or as it says when asked.
    fn capabilities(&self, spoken: &mut Spoken) -> Result<Capabilities, Failure> {
        let offered = self.offered(spoken)?;
        self.tell(DialEvent::Offered(&offered));
        Ok(offered)
    }

    fn offered(&self, spoken: &mut Spoken) -> Result<Capabilities, Failure> {
        if let Some(known) = spoken.tap.lock().reader.tally.capabilities.clone() {
            return Ok(known);
        }
        let status = self.say(spoken, "CAPABILITY")?;
        let tapped = spoken.tap.lock();
        match (status, tapped.reader.tally.capabilities.clone()) {
            (Status::Ok, Some(capabilities)) => Ok(capabilities),
            (Status::Ok, None) => Ok(Capabilities::default()),
            _ => {
                drop(tapped);
                let failure = spoken.tap.lock().refused();
                spoken.leave();
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

    fn mechanism(&self, capabilities: &Capabilities) -> Result<Mechanism, Failure> {
        let settings = &self.account.settings;
        let (user, password) = (settings.endpoint.user.as_str(), settings.secret.expose());
        let unsupported = |message: &str| Failure::new(FailureKind::AuthUnsupported, Stage::Auth, message);
        if user.contains('\0') || password.contains('\0') {
            return Err(unsupported("user or password holds a NUL character, which no way to sign in can carry"));
        }
        let fits = text::fits_login(user) && text::fits_login(password);
        let plain = capabilities.mechanisms(Protocol::Imap).any(|offered| offered.eq_ignore_ascii_case("PLAIN"));
        match (capabilities.has("LOGINDISABLED"), fits, plain) {
            (false, true, _) => Ok(Mechanism::Login),
            (_, _, true) => Ok(Mechanism::Plain),
            (true, _, false) => Err(unsupported(
                "the server offers neither LOGIN nor AUTHENTICATE PLAIN here; use TLS, or an account that may sign in \
                 with a password",
            )),
            (false, false, false) => Err(unsupported(
                "user or password is not plain ASCII text, which LOGIN cannot carry, and the server offers no \
                 AUTHENTICATE PLAIN",
            )),
        }
    }

    #[expect(clippy::result_large_err, reason = "the crate's own error type, met once a dial")]
    fn sign_in(&mut self, spoken: Spoken, mechanism: Mechanism) -> Result<Session<Wire>, Failure> {
        let settings = &self.account.settings;
        let live: &Live = &self.account.live;
        live.check(Stage::Auth)?;
        let Spoken { wire, tap, tags } = spoken;
        let mut client = Client::new(wire);
        client.greeting_read = true;
        for _ in 0..tags {
            client.skip_tag();
        }
        {
            let mut tapped = tap.lock();
            tapped.expect_reply();
            // Servers offer more once they know who asks; some say so in their reply.
            tapped.reader.tally.capabilities = None;
        }
        self.sign_in_attempted = !matches!(mechanism, Mechanism::None);
        let (user, password) = (settings.endpoint.user.as_str(), settings.secret.expose());
        let signed_in = guarded(|| match mechanism {
            Mechanism::Login => client.login(user, password),
            Mechanism::Plain => client.authenticate("PLAIN", &Plain { user, password }),
            Mechanism::None => {
                // The crate makes a session only of a sign-in: this one never leaves.
                tap.lock().pretend();
                client.login("", "")
            }
        });
        match signed_in {
            Some(Ok(session)) => Ok(session),
            Some(Err((_, client))) => {
                // The tagged refusal counts even if the server hangs up with it: a wrong password must shut the gate.
                let (refused, broken) = {
                    let tapped = tap.lock();
                    (tapped.refused(), tapped.is_broken())
                };
                let Some(failure) = refused else {
                    return Err(tap.lock().broke(live, "the reply answers no command of ours"));
                };
                if !broken && let Ok(wire) = client.into_inner() {
                    Spoken { wire, tap, tags: tags + 1 }.leave();
                }
                Err(failure)
            }
            None => Err(tap.lock().broke(live, "the IMAP library could not read the reply")),
        }
    }
}

impl Spoken {
    /// LOGOUT before a session exists. Whether the server still answers is of no interest.
    fn leave(&mut self) {
        self.tap.lock().leave(Instant::now() + LEAVING);
        self.tags += 1;
        let _ = self.wire.say(self.tags, "LOGOUT");
    }
}

/// SASL PLAIN (RFC 4616).
struct Plain<'secret> {
    user: &'secret str,
    password: &'secret str,
}

impl Authenticator for Plain<'_> {
    type Response = zeroize::Zeroizing<String>;

    fn process(&self, _challenge: &[u8]) -> Self::Response {
        zeroize::Zeroizing::new(format!("\0{}\0{}", self.user, self.password))
    }
}
