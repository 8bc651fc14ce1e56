//! A dial under way, as far as it is the same for every protocol: one deadline, what each phase took, how far it came.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::capabilities::Capabilities;
use super::classify::refused_greeting;
use super::credentials::{Credentials, NoToken};
use super::cure::{Circumstances, Renewal};
use super::dial;
use super::endpoint::Protocol;
use super::failure::{Failure, FailureKind, Stage, printable};
use super::lines::Lines;
use super::live::{Link, Others, cancelled};
use super::secret::Secret;
use super::session::{DialEvent, Established, Phases};
use super::settings::Account;
use super::signin::{Pass, told};
use super::stream::{Stream, TlsDetails};
use super::tls::handshake_failure;
use super::transcript::Transcript;
use crate::allocator::SessionId;

/// How long a goodbye may take on the way out of a dial that failed.
pub(super) const LEAVING: Duration = Duration::from_secs(1);

/// Said where something came between the reply to STARTTLS and the handshake.
pub(super) const INJECTED: &str = "plaintext followed the reply to STARTTLS; someone on the way may be injecting it";

/// Said where a reply was there before its command.
pub(super) const SPOKE_UNASKED: &str = "the server spoke without being asked; its replies are out of step";

/// Said where no more than a part of a line, or of a reply, came without a command.
pub(super) const SPOKE_HALF: &str =
    "the server spoke without being asked, and did not end its line; its replies are out of step";

/// How long a line that nobody asked for may take to become whole (rule B1).
pub(super) const WHOLE_WITHIN: Duration = Duration::from_millis(100);

/// What was refused before anyone signed in was no password, however it reads.
pub(super) fn before_sign_in(mut failure: Failure) -> Failure {
    // What was refused here is a command, though the stage may be the greeting's.
    use FailureKind::{AuthInvalid, AuthPolicy, AuthRefused, Greeting};
    if matches!(failure.kind, AuthInvalid | AuthPolicy | AuthRefused | Greeting) {
        failure.kind = FailureKind::ServerNo;
        "the server refused us before anyone signed in; see what it says".clone_into(&mut failure.message);
    }
    failure
}

/// Why a connection could not be opened, and how far it came.
#[derive(Clone, Debug)]
pub struct DialFailure {
    /// What went wrong.
    pub failure: Box<Failure>,
    /// How long the phases took that were completed.
    pub phases: Box<Phases>,
    /// Our port, once there was a TCP connection: servers log it.
    pub local_port: Option<u16>,
    /// Whether user and password were sent.
    pub sign_in_attempted: bool,
    /// When that was known, before any goodbye.
    pub failed_at: Instant,
}

impl fmt::Display for DialFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl std::error::Error for DialFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.failure)
    }
}

/// One dial.
pub(super) struct Opening<'account> {
    pub(super) account: &'account Account,
    session: SessionId,
    pub(super) deadline: Instant,
    pub(super) phases: Phases,
    pub(super) local_port: Option<u16>,
    pub(super) sign_in_attempted: bool,
    /// The token that the server refused: with another the dial is worth another try.
    pub(super) token_refused: Option<Secret>,
    /// The server's part of the sign-in was not what it must be: it may be anybody.
    pub(super) distrusts: bool,
    failed_at: Option<Instant>,
    pub(super) signed_in_at: Option<Instant>,
    tls: Option<TlsDetails>,
    /// What decides what can be done about a failure.
    pub(super) known: Circumstances,
    /// The failure says already what it means: nothing was refused to this dial.
    pub(super) is_told: bool,
    /// Its turn to sign in, until that is decided.
    pass: Option<Pass<'account>>,
    /// What signs in: the last that was asked for.
    credentials: Option<Arc<Credentials>>,
    /// How long it waited for its turn once the server was dialled.
    pub(super) waited: Duration,
    /// Shows the connection to others, once there is one.
    pub(super) link: Option<Arc<Link>>,
    /// When the connection was begun.
    dialled_at: Option<Instant>,
    /// The server closed in the TLS handshake, and had not said why.
    cut_off: bool,
}

impl<'account> Opening<'account> {
    fn of(account: &'account Account, session: SessionId) -> Self {
        Self {
            account,
            session,
            deadline: Instant::now() + account.settings.connect_timeout,
            phases: Phases::default(),
            local_port: None,
            sign_in_attempted: false,
            token_refused: None,
            distrusts: false,
            failed_at: None,
            signed_in_at: None,
            tls: None,
            known: account.circumstances(),
            is_told: false,
            pass: None,
            credentials: None,
            waited: Duration::ZERO,
            link: None,
            dialled_at: None,
            cut_off: false,
        }
    }

    /// Opens a session; once more where the server refused the token and another can be had, all by the one deadline.
    pub(super) fn open<C>(
        account: &'account Account,
        session: SessionId,
        open: impl Fn(&mut Self) -> Result<C, Failure>,
    ) -> Result<C, DialFailure> {
        let open = |opening: &mut Self| {
            opening.may_dial()?;
            open(opening)
        };
        let mut opening = Self::of(account, session);
        let mut opened = open(&mut opening);
        if opened.is_err() && opening.renews() {
            // What is told of a failure is the second dial's alone.
            opening.phases = Phases::default();
            opening.local_port = None;
            opening.failed_at = None;
            opening.waited = Duration::ZERO;
            opening.cut_off = false;
            opening.tell(DialEvent::TokenRefused);
            opened = open(&mut opening);
        }
        match opened {
            Ok(connection) => {
                if let Some(link) = &opening.link {
                    link.goes_on(None);
                }
                account.greeted.store(true, Ordering::Release);
                Ok(connection)
            }
            Err(failure) => {
                opening.fails_now();
                opening.tell_the_gate(&failure);
                Err(opening.failed(failure))
            }
        }
    }

    /// Nobody minds one more dial.
    fn may_dial(&mut self) -> Result<(), Failure> {
        if self.account.settings.may_dial.as_ref().is_none_or(|may| may()) {
            return Ok(());
        }
        self.is_told = true;
        Err(Failure::new(FailureKind::Disposed, Stage::Auth, "called off: all sign-ins that there may be were made"))
    }

    /// What becomes of the sign-ins that wait.
    pub(super) fn tell_the_gate(&mut self, failure: &Failure) {
        let Some(pass) = self.pass.take() else { return };
        if self.is_told {
            return;
        }
        let credentials = self.account.credentials();
        let is_replaced = match (&self.credentials, &credentials) {
            (Some(ours), Some(now)) => !Arc::ptr_eq(ours, now),
            _ => false,
        };
        use FailureKind::{AuthInvalid, AuthPolicy, AuthRefused, LimitRate, ServerUnavailable};
        if is_replaced && matches!(failure.kind, AuthInvalid | AuthPolicy | AuthRefused) {
            // Whatever was refused, it is not what signs in now.
        } else if !self.account.settings.holds_back && matches!(failure.kind, LimitRate | ServerUnavailable) {
            // Whoever dials next has decided when.
        } else if self.distrusts {
            pass.distrusted(failure);
        } else {
            pass.failed(failure, credentials.is_some_and(|credentials| credentials.is_token()));
        }
    }

    fn failed(&mut self, mut failure: Failure) -> DialFailure {
        self.known.worked_before = self.account.worked.load(Ordering::Acquire);
        // Others may have come and gone since the refusal: those before it count too.
        self.known.others_open = self.known.others_open.max(Some(self.account.live.open()));
        let starved = self.local_port.zip(self.account.settings.starved.as_ref());
        if let Some(why) = starved.and_then(|(port, starved)| starved(port)) {
            let message = format!("{why}; use fewer connections, or raise the limit");
            failure = Failure::new(FailureKind::LocalResources, failure.stage, message);
        } else if self.was_closed(&failure) {
            failure = self.judged_by_the_others(failure);
        }
        DialFailure {
            failure: Box::new(if self.is_told { failure } else { self.known.judge(failure) }),
            phases: Box::new(self.phases),
            local_port: self.local_port,
            sign_in_attempted: self.sign_in_attempted,
            failed_at: self.failed_at.unwrap_or_else(Instant::now),
        }
    }

    /// Whether the server closed, or something on the way reset the connection, before the greeting was complete or in the
    /// TLS handshake, and said nothing of why.
    fn was_closed(&self, failure: &Failure) -> bool {
        use FailureKind::{Closed, ConnectReset, TlsHandshake};
        let is_close = match (failure.kind, failure.stage) {
            // Reset when it was just connected, the socket has lost its peer.
            (ConnectReset | Closed, Stage::Connect) | (Closed, Stage::Tls) => true,
            (Closed, Stage::Greeting) => self.phases.greeting.is_none(),
            (TlsHandshake, Stage::Tls) => self.cut_off,
            _ => false,
        };
        is_close && failure.gives_no_reason()
    }

    /// A server that goes on with other connections of ours, and closes one more at once, probably counts them: it allows so
    /// many of an address (Courier's MAXPERIP, tcpserver, a firewall), and has no words for that.
    fn judged_by_the_others(&mut self, mut failure: Failure) -> Failure {
        let since = self.failed_at.unwrap_or_else(Instant::now);
        let began = self.dialled_at.unwrap_or(since);
        let Some(Others { count, answer }) = self.account.live.others_go_on(began, since, self.deadline) else {
            if self.cut_off && self.account.greeted.load(Ordering::Acquire) {
                failure.message = "the server closed during the TLS handshake, which it completed with others of this \
                                   client; it did not say why, its log may"
                    .to_owned();
            }
            return failure;
        };
        let how = match (failure.kind, failure.stage, &failure.server_line) {
            (FailureKind::ConnectReset, ..) => "was reset as it opened",
            (_, _, Some(_)) => "was closed before its greeting was complete",
            (FailureKind::Closed, Stage::Tls, _) => "was closed before the TLS handshake",
            (FailureKind::TlsHandshake, ..) => "was closed in the TLS handshake",
            (..) if failure.message.contains("was reset") => "was reset without a word",
            _ => "was closed without a word",
        };
        let others = match count {
            0 => "others of this client were just ending".to_owned(),
            1 => "1 other of this client was open".to_owned(),
            _ => format!("{count} others of this client were open"),
        };
        let went_on = match (count, answer) {
            (0, _) => "and the server answered what came afterwards",
            (_, true) => "which the server went on answering",
            (_, false) => "which the server left open",
        };
        failure.kind = FailureKind::LimitConnections;
        failure.message = format!(
            "the connection {how} while {others}, {went_on}: probably a limit on \
             connections, of the address or of the whole server; use fewer, or dispose those that idle"
        );
        // No line of the server's says more.
        self.is_told = true;
        failure
    }

    /// The dial has failed; what follows is its goodbye.
    pub(super) fn fails_now(&mut self) {
        self.failed_at.get_or_insert_with(Instant::now);
    }

    /// Before anything is opened: a refused password must cost the server no further connection, and a server that asks for
    /// patience must not be asked for a greeting either (rule B6). Nor does a token cost one that cannot be had, or was refused
    /// before; only the first is fetched later, once the server has said that it takes tokens. A second dial, with a newer
    /// token, has its turn already.
    fn wait_for_the_turn(&mut self) -> Result<(), Failure> {
        let account = self.account;
        let Some(credentials) = account.credentials() else { return Ok(()) };
        if self.pass.is_some() {
            return Ok(());
        }
        self.take_turn()?;
        if credentials.was_fetched() { self.what_to_present().map(|_| ()) } else { Ok(()) }
    }

    /// Waits until it may sign in: alone, unless one has succeeded before and what it presented is still good.
    fn take_turn(&mut self) -> Result<(), Failure> {
        let account = self.account;
        let since = Instant::now();
        if account.at_hand().is_none() {
            account.gate.close();
        }
        self.pass = None;
        let entered = account.gate.enter(self.deadline);
        if self.local_port.is_some() {
            self.waited += since.elapsed();
        }
        match entered {
            Ok(pass) => {
                self.pass = Some(pass);
                Ok(())
            }
            Err(failure) => {
                self.is_told = true;
                Err(if account.live.is_cancelled() { cancelled(Stage::Auth) } else { failure })
            }
        }
    }

    /// Whether this dial alone may sign in.
    fn has_turn(&self) -> bool {
        self.pass.as_ref().is_some_and(Pass::is_turn)
    }

    /// What signs in, and the secret that it presents: fetched where none is at hand. The gate may have shut since this dial
    /// began; then it waits for its turn now.
    pub(super) fn what_to_present(&mut self) -> Result<(Arc<Credentials>, Secret), Failure> {
        let account = self.account;
        loop {
            let credentials = account
                .credentials()
                .ok_or_else(|| Failure::new(FailureKind::Internal, Stage::Auth, "nothing was given to sign in with"))?;
            self.credentials = Some(Arc::clone(&credentials));
            let may = self.has_turn() || account.gate.is_open();
            if let Some(secret) = account.at_hand().filter(|_| may) {
                return Ok((credentials, secret));
            }
            if self.has_turn() {
                let secret = self.fetch(&credentials)?;
                return Ok((credentials, secret));
            }
            account.live.check(Stage::Auth)?;
            self.take_turn()?;
        }
    }

    /// A new token; only the dial that has the turn asks for one.
    fn fetch(&mut self, credentials: &Credentials) -> Result<Secret, Failure> {
        let refused = self.account.refused();
        self.fetched(credentials).map_err(|why| {
            self.is_told = true;
            let pass = self.pass.take();
            match (why, refused) {
                (NoToken::CalledOff, _) => cancelled(Stage::Auth),
                (NoToken::Refused, Some((_, refusal))) => {
                    let message = "not tried: the server refused this token before, and another fetch gave the same one again; \
                                   have a fresh one fetched";
                    let failure = told(&refusal, Stage::Auth, message.to_owned());
                    pass.into_iter().for_each(|pass| pass.failed(&failure, true));
                    failure
                }
                (NoToken::Failed(why), _) => {
                    let failure = no_token(&why);
                    pass.into_iter().for_each(|pass| pass.had_no_token(&failure));
                    failure
                }
                (NoToken::Refused, None) => no_token("it is one that was refused"),
            }
        })
    }

    fn fetched(&self, credentials: &Credentials) -> Result<Secret, NoToken> {
        let account = self.account;
        let refused = account.refused().map(|(secret, _)| secret);
        let _fetching = Fetching::of(account);
        credentials.fetch(refused.as_ref(), &account.live, self.deadline)
    }

    /// The server refused that.
    pub(super) fn refused(&mut self, failure: &Failure, credentials: &Credentials, secret: &Secret) {
        use FailureKind::{AuthInvalid, AuthPolicy, AuthRefused};
        if matches!(failure.kind, AuthInvalid | AuthPolicy | AuthRefused) {
            self.account.refuse(secret, failure);
        }
        // Of a token that has expired many servers say no more than that they refuse it.
        let is_expired = credentials.is_token() && matches!(failure.kind, AuthInvalid | AuthRefused);
        self.token_refused = is_expired.then(|| secret.share());
    }

    /// Whether another token is there in the place of the refused one: fetched by this dial, or meanwhile by another. If not,
    /// why is known then.
    fn renews(&mut self) -> bool {
        let Some(refused) = self.token_refused.take() else { return false };
        let is_other = |secret: &Secret| secret.expose() != refused.expose();
        let renewal = loop {
            if !self.has_turn() {
                if !self.account.at_hand().as_ref().is_some_and(is_other) {
                    self.account.gate.close();
                }
                if self.take_turn().is_err() {
                    // This dial was refused itself: that is what it tells.
                    self.is_told = false;
                    return false;
                }
            }
            if self.account.at_hand().as_ref().is_some_and(is_other) {
                break Renewal::Newer;
            }
            let Some(credentials) = self.account.credentials() else { return false };
            if self.has_turn() {
                break match self.fetched(&credentials) {
                    Ok(secret) if is_other(&secret) => Renewal::Newer,
                    Ok(_) | Err(NoToken::Refused) => Renewal::Same,
                    Err(NoToken::Failed(why)) => Renewal::Failed(why),
                    Err(NoToken::CalledOff) => return false,
                };
            }
        };
        let renews = renewal == Renewal::Newer;
        self.known.renewal = Some(renewal);
        renews
    }

    /// Nobody need wait for a turn any more.
    pub(super) fn accepted(&mut self) {
        if let Some(pass) = self.pass.take() {
            pass.accepted();
        }
    }

    /// A TCP connection, nothing read and nothing written.
    pub(super) fn connect(&mut self) -> Result<Stream, Failure> {
        let live = &self.account.live;
        live.check(Stage::Resolve)?;
        self.wait_for_the_turn()?;
        self.known.others_open = Some(live.open());
        let endpoint = &self.account.settings.endpoint;
        let started = Instant::now();
        let addresses =
            dial::resolve(&endpoint.host, endpoint.port, self.account.settings.family, self.deadline, live)?;
        self.phases.resolve = Some(started.elapsed());
        self.tell(DialEvent::Resolved(&addresses));
        let started = Instant::now();
        self.dialled_at = Some(started);
        let (tcp, link) = dial::connect(&addresses, self.deadline, live)?;
        self.link = Some(link);
        self.phases.connect = Some(started.elapsed());
        let lost = |error: io::Error| Failure::from_io(&error, Stage::Connect);
        let local_port = tcp.local_addr().map_err(lost)?.port();
        self.local_port = Some(local_port);
        let address = tcp.peer_addr().map_err(lost)?;
        self.tell(DialEvent::Connected { address, local_port });
        let mut stream = Stream::new(tcp, self.deadline);
        stream.set_transcript(self.transcript(address, local_port));
        Ok(stream)
    }

    fn transcript(&self, address: SocketAddr, local_port: u16) -> Option<Transcript> {
        let settings = &self.account.settings;
        let transcripts = settings.transcripts.as_ref()?;
        let name = format!("c{}-{}", self.session.connection.0, self.session.number);
        let mut transcript =
            Transcript::begin(transcripts, &name, settings.endpoint.protocol, Arc::clone(&self.account.mask))?;
        transcript.connected(address, local_port);
        Some(transcript)
    }

    /// The whole TLS handshake. `started` is when its phase began: with STARTTLS, before that command.
    pub(super) fn handshake(&mut self, stream: &mut Stream, started: Instant) -> Result<(), Failure> {
        let settings = &self.account.settings;
        let unusable = |message: String| Failure::new(FailureKind::TlsHandshake, Stage::Tls, message);
        let tls = settings.tls.as_ref().ok_or_else(|| {
            Failure::new(
                FailureKind::Internal,
                Stage::Tls,
                "no TLS settings were given for an endpoint that needs them",
            )
        })?;
        let name = tls.name_for(&settings.endpoint.host).map_err(unusable)?;
        stream.set_deadline(self.deadline);
        stream.start_tls(tls, name.clone()).map_err(|error| {
            self.cut_off = Failure::from_io(&error, Stage::Tls).kind == FailureKind::Closed;
            let failure = handshake_failure(&error, tls, &name, settings.endpoint.protocol);
            if let Some(transcript) = stream.transcript() {
                transcript.broke("the TLS handshake", &failure.message);
            }
            if self.account.live.is_cancelled() { cancelled(Stage::Tls) } else { failure }
        })?;
        self.phases.tls = Some(started.elapsed());
        self.tls = stream.tls_details(settings.watch.is_some());
        if let Some(tls) = &self.tls {
            self.tell(DialEvent::Secured(tls));
            if let Some(transcript) = stream.transcript() {
                transcript.secured(tls);
            }
        }
        Ok(())
    }

    /// What the dial came to, once it is signed in.
    pub(super) fn established(&self, signed_in_by: Option<&'static str>) -> Established {
        Established {
            local_port: self.local_port.unwrap_or_default(),
            phases: self.phases,
            security: self.account.settings.endpoint.security,
            tls: self.tls.clone(),
            label: None,
            signed_in_by,
            signed_in_at: self.signed_in_at.unwrap_or_else(Instant::now),
            commands: Vec::new(),
        }
    }

    /// The upgrade of a session in plain lines, after the server agreed to it.
    pub(super) fn upgrade_stream(&mut self, lines: &mut Lines, started: Instant) -> Result<(), Failure> {
        if lines.hears() {
            // CVE-2011-0411 and its kin: what was injected in the clear must not count as said under TLS.
            return Err(lines.unreadable(INJECTED));
        }
        // After half a handshake nobody can tell what a further byte would mean.
        self.handshake(lines.stream(), started).map_err(|failure| lines.give_up(failure))
    }

    /// The server offers no upgrade to TLS, and it is required.
    pub(super) fn no_start_tls(&self) -> Failure {
        let endpoint = &self.account.settings.endpoint;
        let protocol = endpoint.protocol;
        // On this machine it is a flag that asks for TLS.
        let without = if endpoint.is_loopback() { "leave --starttls out" } else { "--plaintext" };
        let message = format!(
            "the server offers no {}, and nothing is sent unprotected; use {}s://, or {without} where the network can be \
             trusted",
            protocol.start_tls(),
            protocol.name()
        );
        Failure::new(FailureKind::TlsHandshake, Stage::Tls, message)
    }

    /// What it means that the server refused the upgrade that it offered.
    pub(super) fn start_tls_refused(&self, mut failure: Failure) -> Failure {
        let protocol = self.account.settings.endpoint.protocol;
        use FailureKind::{AuthInvalid, AuthPolicy, AuthRefused, AuthUnsupported, ServerNo};
        if matches!(failure.kind, ServerNo | AuthInvalid | AuthPolicy | AuthRefused | AuthUnsupported) {
            failure.kind = FailureKind::TlsHandshake;
            failure.message = format!("the server refused {}; use {}s://", protocol.start_tls(), protocol.name());
        }
        failure
    }

    /// What greets like that is no server of the protocol.
    pub(super) fn foreign(&self, line: &[u8]) -> Failure {
        let protocol = self.account.settings.endpoint.protocol;
        let like = |other: Protocol| format!("the server greets like {other}, not {protocol}; check the port");
        let message = match line {
            [0x15 | 0x16, ..] => format!("the server speaks TLS on this port; use {}s://", protocol.name()),
            [b'2', ..] => like(Protocol::Smtp),
            [b'+', ..] => like(Protocol::Pop3),
            [b'*', b' ', ..] => like(Protocol::Imap),
            [b'4', b'0'..=b'9', b'0'..=b'9', ..] => {
                "the server does not serve anybody now, and says so in the words of SMTP; try again later".to_owned()
            }
            [b'5', b'0'..=b'9', b'0'..=b'9', ..] => {
                "the server serves nobody here, and says so in the words of SMTP; see what it says".to_owned()
            }
            _ => format!("the server's first line is not a greeting of {protocol}; check host and port"),
        };
        Failure::new(FailureKind::Greeting, Stage::Greeting, message)
    }

    pub(super) fn foreign_greeting(&self, lines: &mut Lines, line: &[u8]) -> Failure {
        if refused_greeting(line).is_some() {
            let failure = lines.refused(line);
            return lines.give_up(failure);
        }
        let failure = lines.with_line(self.foreign(line), line);
        lines.give_up(failure)
    }

    /// The server's first line.
    pub(super) fn tell_greeting(&self, line: &[u8]) {
        if self.account.settings.watch.is_some() {
            self.tell(DialEvent::Greeted(&printable(&self.account.mask.cover(line, false))));
        }
    }

    pub(super) fn tell_offered(&mut self, offered: &Capabilities) {
        self.known.offered = Some(offered.clone());
        if self.account.settings.watch.is_some() {
            self.tell(DialEvent::Offered(&offered.covered(&self.account.mask)));
        }
    }

    pub(super) fn tell(&self, event: DialEvent<'_>) {
        if let Some(watch) = &self.account.settings.watch {
            watch(event);
        }
    }
}

fn no_token(why: &str) -> Failure {
    Failure::new(FailureKind::AuthUnsupported, Stage::Auth, format!("no token to sign in with: {why}"))
}

/// A fetch under way, also until it panics.
struct Fetching<'account>(&'account Account);

impl<'account> Fetching<'account> {
    fn of(account: &'account Account) -> Self {
        account.gate.set_fetching(true);
        Self(account)
    }
}

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        self.0.gate.set_fetching(false);
    }
}
