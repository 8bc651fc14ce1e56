//! What every connection of one account has in common, whatever its protocol.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use super::credentials::Credentials;
use super::cure::{Circumstances, SignsIn};
use super::dial::Family;
use super::endpoint::Endpoint;
use super::failure::{Failure, Stage};
use super::imap::Scratch;
use super::live::{Live, cancelled};
use super::sasl::Way;
use super::secret::{Mask, Secret};
use super::session::DialWatch;
use super::signin::SignInGate;
use super::smtp::EhloName;
use super::tls::Tls;
use super::transcript::Transcripts;

/// Where, as whom, and how long anything may take.
pub struct Settings {
    /// Where, as whom, and how protected.
    pub endpoint: Endpoint,
    /// What to sign in with; none where nobody signs in.
    pub credentials: Option<Credentials>,
    /// How to sign in; none: the strongest way that both sides know.
    pub auth: Option<Way>,
    /// Which of the host's addresses are dialled; none: all of them, in the resolver's order.
    pub family: Option<Family>,
    /// Whom to trust and as whom ([`TlsSettings::client`](super::TlsSettings::client)); not needed for plaintext.
    pub tls: Option<Tls>,
    /// The whole of a dial, from the name's resolution to the end of the sign-in.
    pub connect_timeout: Duration,
    /// The whole of a unit, however many commands it has.
    pub operation_timeout: Duration,
    /// Names the run in the label that each session gives itself, so that a server's log can be searched for it.
    pub run_id: String,
    /// SMTP: what each session calls itself.
    pub ehlo: EhloName,
    /// IMAP: where `append` makes its mailboxes.
    pub scratch: Scratch,
    /// Asks once more after the sign-in what the server offers, where it did not say: many offer more then. A command
    /// more for each dial; SMTP's extensions do not depend on it (RFC 4954 §4), and are not asked for.
    pub ask_again: bool,
    /// Whether a server in trouble, or one that throttles, holds the next sign-ins back (rule B6). Not for a client that asks
    /// after the server's limits, and keeps a pace of its own.
    pub holds_back: bool,
    /// Asked before each dial, and before a second one with a newer token: whether there may be one more. Of several clients
    /// that have a number of sign-ins together it takes one.
    pub may_dial: Option<MayDial>,
    /// Hears of each dial while it is under way.
    pub watch: Option<DialWatch>,
    /// Where the server is in this process: why it dropped the connection from that port, if for want of something that
    /// this machine did not give.
    pub starved: Option<Starved>,
    /// Where each session's lines go, to be read later.
    pub transcripts: Option<Arc<Transcripts>>,
}

/// Says whether there may be one more dial.
pub type MayDial = Arc<dyn Fn() -> bool + Send + Sync>;

/// Says why a server in this process dropped the connection from that port, if for want of a resource.
pub type Starved = Arc<dyn Fn(u16) -> Option<String> + Send + Sync>;

impl Settings {
    /// For that account: 10 s for a dial, 30 s for an operation, and a run without a name.
    #[must_use]
    pub fn new(endpoint: Endpoint, credentials: Credentials) -> Self {
        Self { credentials: Some(credentials), ..Self::without_sign_in(endpoint) }
    }

    /// The same for an SMTP server that lets everybody send.
    #[must_use]
    pub fn without_sign_in(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            credentials: None,
            auth: None,
            family: None,
            tls: None,
            connect_timeout: Duration::from_secs(10),
            operation_timeout: Duration::from_secs(30),
            run_id: String::new(),
            ehlo: EhloName::default(),
            scratch: Scratch::default(),
            ask_again: false,
            holds_back: true,
            may_dial: None,
            watch: None,
            starved: None,
            transcripts: None,
        }
    }
}

/// What the connections of one account share: the careful sign-in (rule B6), and the way to end them all.
pub(super) struct Account {
    /// Without the credentials, which can be replaced.
    pub(super) settings: Settings,
    credentials: RwLock<Option<Arc<Credentials>>>,
    /// What the server refused last of what is current, and how. It is never presented again.
    refused: Mutex<Option<(Secret, Failure)>>,
    pub(super) gate: SignInGate,
    pub(super) live: Arc<Live>,
    /// Finds the account's secrets in what servers say.
    pub(super) mask: Arc<Mask>,
    /// Whether a sign-in of ours succeeded: then a password that is refused later is not wrong.
    pub(super) worked: AtomicBool,
    /// Whether a session of ours was opened.
    pub(super) greeted: AtomicBool,
}

impl Account {
    pub(super) fn new(mut settings: Settings) -> Self {
        let mask = Arc::new(Mask::for_server(&settings.endpoint.host));
        let credentials = settings.credentials.take();
        if let Some(Credentials::Password(password)) = &credentials {
            mask.expect(&settings.endpoint.user, password);
        }
        Self {
            settings,
            credentials: RwLock::new(credentials.map(Arc::new)),
            refused: Mutex::default(),
            gate: SignInGate::new(),
            live: Arc::default(),
            mask,
            worked: AtomicBool::new(false),
            greeted: AtomicBool::new(false),
        }
    }

    /// What signs in now.
    pub(super) fn credentials(&self) -> Option<Arc<Credentials>> {
        self.credentials.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces what signs in. A secret that is new opens the gate again (rule B6).
    pub(super) fn set_credentials(&self, credentials: Credentials) {
        if !self.settings.endpoint.signs_in() {
            return;
        }
        let mut current = self.credentials.write().unwrap_or_else(PoisonError::into_inner);
        let mut refusal = None;
        if let Credentials::Password(password) = &credentials {
            if matches!(current.as_deref(), Some(Credentials::Password(old)) if old.expose() == password.expose()) {
                return;
            }
            self.mask.expect(&self.settings.endpoint.user, password);
            let refused = self.refused().filter(|(secret, _)| secret.expose() == password.expose());
            refusal = refused.map(|(_, failure)| failure);
        }
        *current = Some(Arc::new(credentials));
        self.worked.store(false, Ordering::Release);
        self.gate.reopen();
        if let Some(failure) = refusal {
            self.gate.shut_after(&failure, true);
        }
    }

    /// The secret that must not be presented again, and the refusal of it.
    pub(super) fn refused(&self) -> Option<(Secret, Failure)> {
        self.lock_refused().as_ref().map(|(secret, failure)| (secret.share(), failure.clone()))
    }

    /// The server has refused that. One that was replaced meanwhile says nothing of what took its place.
    pub(super) fn refuse(&self, secret: &Secret, failure: &Failure) {
        if self.credentials().is_some_and(|credentials| credentials.is_current(secret)) {
            *self.lock_refused() = Some((secret.share(), failure.clone()));
        }
    }

    /// The server has taken that: what it refused before is news again.
    pub(super) fn took(&self, secret: &Secret) {
        self.lock_refused().take_if(|(refused, _)| refused.expose() != secret.expose());
    }

    /// What can be presented without a fetch.
    pub(super) fn at_hand(&self) -> Option<Secret> {
        let refused = self.refused().map(|(secret, _)| secret);
        self.credentials()?.at_hand(refused.as_ref())
    }

    fn lock_refused(&self) -> MutexGuard<'_, Option<(Secret, Failure)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known before a dial begins of what may come of it.
    pub(super) fn circumstances(&self) -> Circumstances {
        let Settings { endpoint, connect_timeout, .. } = &self.settings;
        Circumstances {
            protocol: Some(endpoint.protocol),
            security: Some(endpoint.security),
            is_loopback: endpoint.is_loopback(),
            signs_in: match self.credentials().as_deref() {
                None => SignsIn::Nobody,
                Some(Credentials::Password(_)) => SignsIn::WithPassword,
                Some(Credentials::Token(_)) => SignsIn::WithToken,
            },
            connect_timeout: Some(*connect_timeout),
            ..Circumstances::default()
        }
    }

    /// Ends everything, from any thread.
    pub(super) fn cancel(&self) {
        self.live.cancel();
        self.gate.shut(cancelled(Stage::Auth));
    }
}
