//! Opens, judges and closes POP3 connections for a client.

use std::time::Instant;

use super::connection::Pop3Connection;
use super::opening;
use crate::allocator::{Connector, SessionId};
use crate::protocol::credentials::Credentials;
use crate::protocol::opening::DialFailure;
use crate::protocol::settings::{Account, Settings};

/// Opens POP3 connections to one account. Sharing it shares the careful sign-in (rule B6) and the cancellation.
///
/// A maildrop has one owner at a time (RFC 1939 §3): on a server that keeps to it, a second connection is refused as
/// `limit-connections` for as long as the first one is open.
pub struct Pop3Connector(Account);

impl Pop3Connector {
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

    /// Opens a session: connects, secures and signs in, all within the connect timeout. POP3 has no way to label it.
    ///
    /// # Errors
    /// [`DialFailure`], also when an earlier sign-in of this connector was refused: then no TCP connection is opened.
    pub fn dial(&self, session: SessionId) -> Result<Pop3Connection, DialFailure> {
        opening::open(&self.0, session)
    }
}

impl Connector for Pop3Connector {
    type Connection = Pop3Connection;
    type Error = DialFailure;

    fn connect(&self, session: SessionId) -> Result<Pop3Connection, DialFailure> {
        self.dial(session)
    }

    fn has_broken(&self, connection: &mut Pop3Connection) -> bool {
        connection.is_broken()
    }

    fn close(&self, mut connection: Pop3Connection, deadline: Instant) {
        // The connection goes either way, and nobody is left to tell.
        let _ = connection.logout(deadline);
    }
}
