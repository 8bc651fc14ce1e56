//! What a session needs to know of the server it belongs to.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use super::channel::Channel;
use super::faults::Faults;
use super::limit::LimitStage;
use super::limits::Admission;
use super::listening::{Protocol, Security};
use super::mailbox::{Account, Accounts};
use super::witness::SessionWitness;
use super::words::Words;

/// How long a client may take to sign in, whatever it speaks.
pub(super) const SIGN_IN_TIME: Duration = Duration::from_secs(3 * 60);

/// This many bad commands in a row are no client's work.
pub(super) const MAX_BAD: u32 = 20;

/// The server, as one session sees it.
pub(super) struct Surroundings<'a> {
    pub accounts: &'a Accounts,
    /// Ended before the client can know that the session is.
    pub admission: Admission,
    /// Whether the first command behind the sign-in has come.
    pub went_on: Cell<bool>,
    pub faults: &'a Faults,
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
    Limited(Words),
}

impl Surroundings<'_> {
    /// Lets a client in to be greeted, if there is room.
    pub fn greet(&self, witness: &SessionWitness) -> Result<(), Words> {
        self.admission.reach(LimitStage::Greeting, None).map_err(|words| self.turn_away(words, witness))
    }

    /// Lets a user in, if there is room.
    pub fn sign_in(&self, user: &[u8], password: &[u8], witness: &SessionWitness) -> Result<Arc<Account>, Denied> {
        let account = self.accounts.sign_in(user, password).ok_or(Denied::Unknown)?;
        let reached = self.admission.reach(LimitStage::SignIn, Some(account.name()));
        reached.map_err(|words| Denied::Limited(self.turn_away(words, witness)))?;
        Ok(Arc::clone(account))
    }

    /// Lets a user go on to the first command, if there is room.
    pub fn go_on(&self, witness: &SessionWitness) -> Result<(), Words> {
        if self.went_on.replace(true) {
            return Ok(());
        }
        self.admission.reach(LimitStage::After, None).map_err(|words| self.turn_away(words, witness))
    }

    fn turn_away(&self, words: Words, witness: &SessionWitness) -> Words {
        witness.refused(&words.line(self.protocol));
        words
    }

    /// What the client asked for in the clear, and was promised. It has time to sign in anew.
    pub fn shake_hands(&self, channel: &mut Channel<'_>, witness: &SessionWitness) -> io::Result<()> {
        if let Some(tls) = self.tls {
            channel.encrypt(tls).inspect_err(|error| witness.not_encrypted(error))?;
            channel.allow(SIGN_IN_TIME)?;
            witness.encrypted();
        }
        Ok(())
    }

    /// The TLS that is on offer to a client that still speaks in the clear.
    pub fn tls_on_offer(&self, encrypted: bool) -> Option<&Arc<ServerConfig>> {
        self.tls.filter(|_| self.security == Security::StartTls && !encrypted)
    }
}
