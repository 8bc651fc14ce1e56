//! Opens, judges and closes IMAP connections for a client.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use super::connection::ImapConnection;
use super::opening;
use crate::allocator::{Connector, SessionId};
use crate::protocol::endpoint::Endpoint;
use crate::protocol::failure::{Failure, Stage};
use crate::protocol::live::{Live, cancelled};
use crate::protocol::secret::{Mask, Secret};
use crate::protocol::signin::SignInGate;

/// What every connection of one account has in common.
pub struct ImapSettings {
    /// Where, as whom, and how protected.
    pub endpoint: Endpoint,
    /// The password.
    pub secret: Secret,
    /// Whom to trust ([`TlsSettings::client_config`](crate::protocol::TlsSettings::client_config)); not needed for
    /// plaintext.
    pub tls: Option<Arc<ClientConfig>>,
    /// The whole of a dial, from the name's resolution to the end of the sign-in.
    pub connect_timeout: Duration,
    /// The whole of a unit, however many commands it has.
    pub operation_timeout: Duration,
    /// Names the run in the label that each session gives itself, so that a server's log can be searched for it.
    pub run_id: String,
}

/// How long each phase of a dial took; `None` for those that were not reached, or not needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Turning the name into addresses.
    pub resolve: Option<Duration>,
    /// Opening the TCP connection.
    pub connect: Option<Duration>,
    /// The TLS handshake; with STARTTLS from the command on.
    pub tls: Option<Duration>,
    /// Waiting for the server's first line.
    pub greeting: Option<Duration>,
    /// From asking what the server can do to being signed in, without the wait for earlier sign-ins (rule B6).
    pub sign_in: Option<Duration>,
}

/// Why a connection could not be opened, and how far it came.
#[derive(Clone, Debug)]
pub struct DialFailure {
    /// What went wrong.
    pub failure: Failure,
    /// How long the phases took that were completed.
    pub phases: Box<Phases>,
    /// Our port, once there was a TCP connection: servers log it.
    pub local_port: Option<u16>,
    /// Whether user and password were sent.
    pub sign_in_attempted: bool,
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

/// Opens IMAP connections to one account. Sharing it shares the careful sign-in (rule B6) and the cancellation.
pub struct ImapConnector {
    pub(super) settings: ImapSettings,
    pub(super) gate: SignInGate,
    pub(super) mask: Arc<Mask>,
    pub(super) live: Arc<Live>,
}

impl ImapConnector {
    /// A connector for that account. Touches no network.
    #[must_use]
    pub fn new(settings: ImapSettings) -> Self {
        let mask = Arc::new(Mask::new(&settings.endpoint.user, &settings.secret));
        Self { settings, gate: SignInGate::new(), mask, live: Arc::default() }
    }

    /// Ends everything, from any thread: dials fail at once, and every open socket is shut down so that what blocks
    /// on it returns. All of them fail as `disposed`. There is no way back.
    pub fn cancel(&self) {
        self.live.cancel();
        self.gate.shut(cancelled(Stage::Auth));
    }

    /// Opens a session: connects, secures, signs in and labels it, all within the connect timeout.
    ///
    /// # Errors
    /// [`DialFailure`], also when an earlier sign-in of this connector was refused: then no TCP connection is opened.
    pub fn dial(&self, session: SessionId) -> Result<ImapConnection, DialFailure> {
        opening::open(self, session)
    }
}

impl Connector for ImapConnector {
    type Connection = ImapConnection;
    type Error = DialFailure;

    fn connect(&self, session: SessionId) -> Result<ImapConnection, DialFailure> {
        self.dial(session)
    }

    fn has_broken(&self, connection: &mut ImapConnection) -> bool {
        connection.is_broken()
    }

    fn close(&self, mut connection: ImapConnection, deadline: Instant) {
        // The connection goes either way, and nobody is left to tell.
        let _ = connection.logout(deadline);
    }
}
