//! What a session needs to know of the server it belongs to.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;

use super::limits::{Full, Limits, Place};
use super::listening::{Protocol, Security};
use super::mailbox::{Account, Accounts};

/// The server, as one session sees it.
pub(super) struct Surroundings<'a> {
    pub accounts: &'a Accounts,
    pub limits: &'a Arc<Limits>,
    pub protocol: Protocol,
    pub security: Security,
    /// Set if any listener speaks TLS.
    pub tls: Option<&'a Arc<ServerConfig>>,
    pub peer: SocketAddr,
}

/// Why someone is not let in.
pub(super) enum Denied {
    /// No such user, or another password: which of the two is nobody's business.
    Unknown,
    Full(Full),
}

impl Surroundings<'_> {
    /// Lets a user in, if there is room.
    pub fn sign_in(&self, user: &[u8], password: &[u8]) -> Result<(Arc<Account>, Place), Denied> {
        let account = self.accounts.sign_in(user, password).ok_or(Denied::Unknown)?;
        let user = Some(Arc::clone(account.name()));
        let place = self.limits.admit(self.protocol, user, self.peer.ip()).map_err(Denied::Full)?;
        Ok((Arc::clone(account), place))
    }

    /// The TLS that is on offer to a client that still speaks in the clear.
    pub fn tls_on_offer(&self, encrypted: bool) -> Option<&Arc<ServerConfig>> {
        self.tls.filter(|_| self.security == Security::StartTls && !encrypted)
    }
}
