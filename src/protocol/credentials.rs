//! What an account signs in with, and what one sign-in of it presents.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::failure::{Failure, FailureKind, Stage};
use super::live::Live;
use super::secret::{Mask, Secret};

/// What an account signs in with. It can be shown in no way.
pub enum Credentials {
    /// A password, the same for every sign-in.
    Password(Secret),
    /// An OAuth 2.0 bearer token (RFC 6750), which expires.
    Token(Tokens),
}

impl From<Secret> for Credentials {
    fn from(password: Secret) -> Self {
        Self::Password(password)
    }
}

/// Bearer tokens, shared by all dials of a connector. The first is fetched when the first sign-in needs one; another once
/// the one at hand has run out, or the server has refused it. One fetch at a time is under way, and a fetch that failed is
/// tried again by a later dial.
pub struct Tokens {
    fetch: Arc<Fetch>,
    state: Mutex<State>,
}

type Fetch = dyn Fn(Instant, &dyn Fn() -> bool) -> Result<(Secret, Option<Duration>), String> + Send + Sync;

#[derive(Default)]
struct State {
    /// The last that was fetched.
    current: Option<Token>,
    /// Whether a fetch was ever begun.
    is_begun: bool,
}

struct Token {
    secret: Secret,
    runs_out: Option<Instant>,
}

/// Why there is no token.
pub(super) enum NoToken {
    /// The fetch says why.
    Failed(String),
    /// The fetch gave the one again that the server has refused.
    Refused,
    /// The dial was called off.
    CalledOff,
}

/// What one sign-in presents.
pub(super) struct Presented {
    pub(super) secret: Secret,
    /// Finds it in every line of the account's sessions.
    pub(super) mask: Arc<Mask>,
}

impl Presented {
    /// What that user presents, which the mask learns.
    ///
    /// # Errors
    /// `auth-unsupported` where user or secret cannot be sent.
    pub(super) fn new(user: &str, secret: Secret, mask: &Arc<Mask>) -> Result<Self, Failure> {
        if user.contains('\0') || secret.expose().contains('\0') {
            let message =
                "the user, the password or the token holds a NUL character, which no way to sign in can carry";
            return Err(Failure::new(FailureKind::AuthUnsupported, Stage::Auth, message));
        }
        mask.learn(user, &secret);
        Ok(Self { secret, mask: Arc::clone(mask) })
    }
}

impl Credentials {
    /// The same for another connector: the same password, or tokens got in the same way, each connector its own.
    #[must_use]
    pub fn share(&self) -> Self {
        match self {
            Self::Password(secret) => Self::Password(secret.share()),
            Self::Token(tokens) => Self::Token(Tokens { fetch: Arc::clone(&tokens.fetch), state: Mutex::default() }),
        }
    }

    pub(super) const fn is_token(&self) -> bool {
        matches!(self, Self::Token(_))
    }

    /// What can be presented without a fetch: the password, or the token at hand unless it has run out or is the `refused`
    /// one.
    pub(super) fn at_hand(&self, refused: Option<&Secret>) -> Option<Secret> {
        match self {
            Self::Password(secret) => Some(secret.share()),
            Self::Token(tokens) => {
                let state = tokens.lock();
                let is_good = |token: &&Token| {
                    let lasts = token.runs_out.is_none_or(|end| Instant::now() < end);
                    lasts && refused.is_none_or(|refused| refused.expose() != token.secret.expose())
                };
                state.current.as_ref().filter(is_good).map(|token| token.secret.share())
            }
        }
    }

    /// Whether a fetch was begun before, whatever came of it.
    pub(super) fn was_fetched(&self) -> bool {
        matches!(self, Self::Token(tokens) if tokens.lock().is_begun)
    }

    /// Whether the next sign-in would present this secret, or would if the server had not refused it.
    pub(super) fn is_current(&self, secret: &Secret) -> bool {
        match self {
            Self::Password(password) => password.expose() == secret.expose(),
            Self::Token(tokens) => {
                tokens.lock().current.as_ref().is_some_and(|token| token.secret.expose() == secret.expose())
            }
        }
    }

    /// Fetches a token, to be called by one dial at a time. A password is at hand.
    pub(super) fn fetch(&self, refused: Option<&Secret>, live: &Live, deadline: Instant) -> Result<Secret, NoToken> {
        let tokens = match self {
            Self::Password(secret) => return Ok(secret.share()),
            Self::Token(tokens) => tokens,
        };
        tokens.lock().is_begun = true;
        let begun = Instant::now();
        let fetched = (tokens.fetch)(deadline, &|| live.is_cancelled());
        match fetched {
            // The next dial must not find it at hand.
            Ok((secret, _)) if !is_token(&secret) => Err(NoToken::Failed(
                "what came is none: it is empty, or it holds blanks or more than plain ASCII (RFC 6750)".to_owned(),
            )),
            Ok((secret, lasts)) => {
                let runs_out = lasts.and_then(|lasts| begun.checked_add(lasts));
                let is_refused = refused.is_some_and(|refused| refused.expose() == secret.expose());
                tokens.lock().current = Some(Token { secret: secret.share(), runs_out });
                if is_refused { Err(NoToken::Refused) } else { Ok(secret) }
            }
            Err(_) if live.is_cancelled() => Err(NoToken::CalledOff),
            Err(why) => Err(NoToken::Failed(why)),
        }
    }
}

impl Tokens {
    /// Tokens that expire at a time unknown. `fetch(deadline, is_cancelled)` returns one, or a one-line reason. It must return by
    /// `deadline`, and soon after `is_cancelled` says so. Nothing is fetched yet.
    #[must_use]
    pub fn new(fetch: impl Fn(Instant, &dyn Fn() -> bool) -> Result<Secret, String> + Send + Sync + 'static) -> Self {
        Self::expiring(move |deadline, is_cancelled| fetch(deadline, is_cancelled).map(|token| (token, None)))
    }

    /// The same where `fetch` returns with each token how long it is good for, counted from the fetch's beginning, if that is
    /// known.
    #[must_use]
    pub fn expiring(
        fetch: impl Fn(Instant, &dyn Fn() -> bool) -> Result<(Secret, Option<Duration>), String> + Send + Sync + 'static,
    ) -> Self {
        Self { fetch: Arc::new(fetch), state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it can be sent as a token: the ways that carry one have no way to quote.
fn is_token(secret: &Secret) -> bool {
    let text = secret.expose();
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}
