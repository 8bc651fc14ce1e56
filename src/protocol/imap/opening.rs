//! From nothing to a signed-in, labelled session: the order of things, each under the one deadline.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imap::{Authenticator, Client, Session};
use rustls::pki_types::ServerName;

use super::connection::{ImapConnection, Parts, guarded};
use super::connector::{DialFailure, ImapConnector, Phases};
use super::reader::{Greeting, Status};
use super::reply::Capabilities;
use super::text;
use super::wire::{Tap, Wire};
use crate::allocator::SessionId;
use crate::protocol::dial;
use crate::protocol::endpoint::Security;
use crate::protocol::failure::{Failure, FailureKind, Stage};
use crate::protocol::live::{Live, cancelled};
use crate::protocol::stream::Stream;
use crate::protocol::tls::handshake_failure;

/// How long a LOGOUT may take on the way out of a dial that failed.
const LEAVING: Duration = Duration::from_secs(1);

pub(super) fn open(connector: &ImapConnector, session: SessionId) -> Result<ImapConnection, DialFailure> {
    let mut opening = Opening {
        connector,
        deadline: Instant::now() + connector.settings.connect_timeout,
        phases: Phases::default(),
        local_port: None,
        sign_in_attempted: false,
    };
    opening.run(session).map_err(|failure| DialFailure {
        failure,
        phases: Box::new(opening.phases),
        local_port: opening.local_port,
        sign_in_attempted: opening.sign_in_attempted,
    })
}

struct Opening<'connector> {
    connector: &'connector ImapConnector,
    deadline: Instant,
    phases: Phases,
    local_port: Option<u16>,
    sign_in_attempted: bool,
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

impl Opening<'_> {
    fn run(&mut self, session: SessionId) -> Result<ImapConnection, Failure> {
        let connector = self.connector;
        let live = &connector.live;
        live.check(Stage::Resolve)?;
        // Before anything is opened: a refused password must cost the server no further connection.
        if let Some(failure) = connector.gate.is_shut() {
            return Err(failure);
        }
        let mut spoken = self.connect()?;
        let greeting = self.greet(&mut spoken)?;
        if connector.settings.endpoint.security == Security::StartTls {
            self.upgrade(&mut spoken, greeting)?;
        }
        let tls = spoken.wire.stream().tls_details();

        let started = Instant::now();
        spoken.tap.lock().set_stage(Stage::Auth);
        let capabilities = self.capabilities(&mut spoken)?;
        let mechanism = match greeting {
            Greeting::PreAuth => Mechanism::None,
            _ => self.mechanism(capabilities).inspect_err(|_| spoken.leave())?,
        };
        let asked = started.elapsed();
        let pass = match connector.gate.enter(self.deadline) {
            Ok(pass) => pass,
            Err(failure) => {
                spoken.leave();
                return Err(if live.is_cancelled() { cancelled(Stage::Auth) } else { failure });
            }
        };
        let started = Instant::now();
        let tap = Arc::clone(&spoken.tap);
        match self.sign_in(spoken, mechanism) {
            Ok(signed_in) => {
                pass.accepted();
                self.phases.sign_in = Some(asked + started.elapsed());
                let parts = Parts {
                    session: signed_in,
                    tap,
                    live: Arc::clone(live),
                    phases: self.phases,
                    local_port: self.local_port.unwrap_or_default(),
                    security: connector.settings.endpoint.security,
                    tls,
                    operation_timeout: connector.settings.operation_timeout,
                };
                let mut connection = ImapConnection::new(parts);
                connection.introduce(capabilities, &connector.settings.run_id, session)?;
                Ok(connection)
            }
            Err(failure) => {
                if ends_sign_ins(failure.kind) {
                    pass.refused(&failure);
                }
                Err(failure)
            }
        }
    }

    fn connect(&mut self) -> Result<Spoken, Failure> {
        let endpoint = &self.connector.settings.endpoint;
        let live = &self.connector.live;
        let started = Instant::now();
        let addresses = dial::resolve(&endpoint.host, endpoint.port, self.deadline, live)?;
        self.phases.resolve = Some(started.elapsed());
        let started = Instant::now();
        let tcp = dial::connect(&addresses, self.deadline, live)?;
        self.phases.connect = Some(started.elapsed());
        let local = tcp.local_addr().map_err(|error| Failure::from_io(&error, Stage::Connect))?;
        self.local_port = Some(local.port());
        let tap = Tap::new(self.deadline, Arc::clone(&self.connector.mask));
        let wire = Wire::new(Stream::new(tcp, self.deadline), Arc::clone(&tap));
        let mut spoken = Spoken { wire, tap, tags: 0 };
        if endpoint.security == Security::Tls {
            self.handshake(&mut spoken, Instant::now())?;
        }
        Ok(spoken)
    }

    fn handshake(&mut self, spoken: &mut Spoken, started: Instant) -> Result<(), Failure> {
        let settings = &self.connector.settings;
        let host = &settings.endpoint.host;
        let unusable = |message: String| Failure::new(FailureKind::TlsHandshake, Stage::Tls, message);
        let config = settings.tls.as_ref().ok_or_else(|| {
            Failure::new(
                FailureKind::Internal,
                Stage::Tls,
                "no TLS settings were given for an endpoint that needs them",
            )
        })?;
        let name = ServerName::try_from(host.clone())
            .map_err(|error| unusable(format!("{host} cannot stand in a certificate: {error}")))?;
        let live = &self.connector.live;
        let done = spoken.wire.stream().start_tls(config, name);
        done.map_err(
            |error: io::Error| {
                if live.is_cancelled() { cancelled(Stage::Tls) } else { handshake_failure(&error, host) }
            },
        )?;
        self.phases.tls = Some(started.elapsed());
        Ok(())
    }

    fn greet(&mut self, spoken: &mut Spoken) -> Result<Greeting, Failure> {
        let live = &self.connector.live;
        let started = Instant::now();
        let greeting = spoken.wire.greet().map_err(|()| {
            let mut tapped = spoken.tap.lock();
            let mut failure = tapped.broke(live, "no greeting");
            if failure.kind == FailureKind::Timeout && self.connector.settings.endpoint.security != Security::Tls {
                failure.message =
                    "no greeting in time; the server hangs, or this port speaks TLS first (imaps://)".into();
            }
            failure
        })?;
        let tapped = spoken.tap.lock();
        let line = &tapped.reader.last_line;
        match greeting {
            Greeting::Ok | Greeting::PreAuth => {}
            Greeting::Bye => {
                let line = tapped.reader.bye.as_ref().unwrap_or(line);
                return Err(tapped.meaning(line, Stage::Greeting));
            }
            Greeting::Foreign => {
                let message = match line.first() {
                    Some(0x15 | 0x16) => "the server speaks TLS on this port; use imaps://",
                    Some(b'2') => "the server greets like SMTP, not IMAP; check the port",
                    Some(b'+') => "the server greets like POP3, not IMAP; check the port",
                    _ => "the server's first line is not a greeting of IMAP; check host and port",
                };
                let failure = Failure::new(FailureKind::Greeting, Stage::Greeting, message);
                return Err(tapped.with_line(failure, line));
            }
        }
        self.phases.greeting = Some(started.elapsed());
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
        if !capabilities.start_tls {
            spoken.leave();
            return Err(refuse(
                "the server offers no STARTTLS, and nothing is sent unprotected; use imaps://, or --plaintext where \
                 the network can be trusted",
            ));
        }
        let started = Instant::now();
        match self.say(spoken, "STARTTLS")? {
            Status::Ok => {}
            _ => {
                let failure = spoken.tap.lock().refused();
                spoken.leave();
                let mut failure = failure.unwrap_or_else(|| refuse(""));
                if failure.kind == FailureKind::ServerNo || failure.kind == FailureKind::ServerBad {
                    failure.kind = FailureKind::TlsHandshake;
                }
                failure.message = "the server refused STARTTLS; use imaps://".to_owned();
                return Err(failure);
            }
        }
        {
            let mut tapped = spoken.tap.lock();
            let reader = &mut tapped.reader;
            let last_is_reply = reader.tagged.as_ref().is_some_and(|(_, line)| *line == reader.last_line);
            if reader.has_partial() || !last_is_reply {
                // CVE-2011-0411 and its kin: what was injected in the clear must not count as said under TLS.
                return Err(Failure::new(
                    FailureKind::Protocol,
                    Stage::Tls,
                    "plaintext followed the reply to STARTTLS; someone on the way may be injecting it",
                ));
            }
            // What the server said it could do was said in the clear (RFC 3501 §6.2.1).
            reader.tally.capabilities = None;
        }
        self.handshake(spoken, started)
    }

    /// What the server can do: as it said already, or as it says when asked.
    fn capabilities(&self, spoken: &mut Spoken) -> Result<Capabilities, Failure> {
        if let Some(known) = spoken.tap.lock().reader.tally.capabilities {
            return Ok(known);
        }
        let status = self.say(spoken, "CAPABILITY")?;
        let tapped = spoken.tap.lock();
        match (status, tapped.reader.tally.capabilities) {
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
            .map_err(|()| spoken.tap.lock().broke(&self.connector.live, "the reply answers no command of ours"))
    }

    fn mechanism(&self, capabilities: Capabilities) -> Result<Mechanism, Failure> {
        let settings = &self.connector.settings;
        let (user, password) = (settings.endpoint.user.as_str(), settings.secret.expose());
        let unsupported = |message: &str| Failure::new(FailureKind::AuthUnsupported, Stage::Auth, message);
        if user.contains('\0') || password.contains('\0') {
            return Err(unsupported("user or password holds a NUL character, which no way to sign in can carry"));
        }
        let fits = text::fits_login(user) && text::fits_login(password);
        match (capabilities.login_disabled, fits, capabilities.plain) {
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
        let settings = &self.connector.settings;
        let live: &Live = &self.connector.live;
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

/// Whether a sign-in that failed like this was refused, so that no other may be tried (rule B6).
///
/// Whatever a server objects to, it answers the next attempt alike, or locks the account for it. Not so a limit on
/// connections, which passes when one closes; and where nothing was said to user and password, nothing was refused.
const fn ends_sign_ins(kind: FailureKind) -> bool {
    use FailureKind::{AuthInvalid, AuthUnsupported, LimitRate, ServerBad, ServerNo};
    matches!(kind, AuthInvalid | AuthUnsupported | LimitRate | ServerNo | ServerBad)
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
