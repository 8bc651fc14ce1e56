//! Opens, judges and closes SMTP connections for a client.

use std::time::Instant;

use super::connection::SmtpConnection;
use super::opening;
use crate::allocator::{Connector, SessionId};
use crate::protocol::credentials::Credentials;
use crate::protocol::opening::DialFailure;
use crate::protocol::settings::{Account, Settings};

/// Opens SMTP connections to one account. Sharing it shares the careful sign-in (rule B6) and the cancellation.
pub struct SmtpConnector(Account);

impl SmtpConnector {
    /// A connector for that account. Touches no network.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self(Account::new(settings))
    }

    /// Ends everything, from any thread: dials fail at once, and every open socket is shut down so that what blocks
    /// on it returns. All of them fail as `disposed`. There is no way back.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// From now on signs in with these, as [`MailConnector::set_credentials`](crate::protocol::MailConnector::set_credentials)
    /// says.
    pub fn set_credentials(&self, credentials: Credentials) {
        self.0.set_credentials(credentials);
    }

    /// Opens a session: connects, secures and signs in, where the endpoint names a user, all within the connect timeout.
    /// Its label, if asked for, is the name it gives itself.
    ///
    /// # Errors
    /// [`DialFailure`], also when an earlier sign-in of this connector was refused: then no TCP connection is opened.
    pub fn dial(&self, session: SessionId) -> Result<SmtpConnection, DialFailure> {
        opening::open(&self.0, session)
    }
}

impl Connector for SmtpConnector {
    type Connection = SmtpConnection;
    type Error = DialFailure;

    fn connect(&self, session: SessionId) -> Result<SmtpConnection, DialFailure> {
        self.dial(session)
    }

    fn has_broken(&self, connection: &mut SmtpConnection) -> bool {
        connection.is_broken()
    }

    fn close(&self, mut connection: SmtpConnection, deadline: Instant) {
        // The connection goes either way, and nobody is left to tell.
        let _ = connection.logout(deadline);
    }
}
