//! What an account signs in with, and what one sign-in of it presents.

use std::fmt::Display;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::failure::{Failure, FailureKind, Stage};
use super::live::{Live, cancelled};
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

/// Bearer tokens: fetched when the first sign-in needs one, shared by all dials of a connector, and fetched once more
/// when the server refuses the first as expired.
pub struct Tokens {
    fetch: Arc<Fetch>,
    state: Mutex<State>,
    /// Woken when a fetch has ended.
    changed: Condvar,
}

type Fetch = dyn Fn(Instant, &dyn Fn() -> bool) -> Result<Secret, String> + Send + Sync;

/// How soon a wait for another dial's fetch notices that it was called off.
const SLICE: Duration = Duration::from_millis(50);

/// A server that refuses a fresh token refuses the next one too.
const REFETCHES: u64 = 1;

#[derive(Default)]
struct State {
    current: Option<Secret>,
    /// How many tokens were dropped as expired; the number of the current one, or of the next if there is none.
    generation: u64,
    fetching: bool,
    /// Why no token will come any more.
    failed: Option<Failure>,
}

/// What one sign-in presents.
pub(super) struct Presented {
    pub(super) secret: Secret,
    /// Finds it in every line of the account's sessions.
    pub(super) mask: Arc<Mask>,
    /// Which of the tokens it is.
    generation: u64,
}

impl Credentials {
    /// The same for another connector: the same password, or tokens got in the same way, each connector its own.
    #[must_use]
    pub fn share(&self) -> Self {
        match self {
            Self::Password(secret) => Self::Password(secret.share()),
            Self::Token(tokens) => Self::Token(Tokens {
                fetch: Arc::clone(&tokens.fetch),
                state: Mutex::default(),
                changed: Condvar::new(),
            }),
        }
    }

    /// What to sign in with now, which the mask learns. A token may have to be fetched first, or waited for until another
    /// dial has fetched it.
    ///
    /// # Errors
    /// `auth-unsupported` where user or secret cannot be sent, or no token could be had: that ends it for every dial
    /// of the connector, now and later. `timeout` where another dial's fetch took all the time until the deadline.
    pub(super) fn present(
        &self,
        user: Option<&str>,
        mask: &Arc<Mask>,
        live: &Live,
        deadline: Instant,
    ) -> Result<Presented, Failure> {
        let (secret, generation) = match self {
            Self::Password(secret) => (secret.share(), 0),
            Self::Token(tokens) => tokens.current(live, deadline)?,
        };
        let user = user.unwrap_or_default();
        if user.contains('\0') || secret.expose().contains('\0') {
            return Err(unsupported(
                "the user, the password or the token holds a NUL character, which no way to sign in can carry",
            ));
        }
        mask.learn(user, &secret);
        Ok(Presented { secret, mask: Arc::clone(mask), generation })
    }

    /// The server refused what was presented: whether another attempt may be made, with a newer token.
    ///
    /// So it is for the first token only, and for each dial that held it, which shares the second with the others.
    /// Never for a password: that does not get better with time.
    pub(super) fn expired(&self, presented: &Presented) -> bool {
        match self {
            Self::Password(_) => false,
            Self::Token(tokens) => tokens.expired(presented.generation),
        }
    }
}

impl Tokens {
    /// Tokens that `fetch` gets: it may take until the moment that it is given, or until what it is given besides says that
    /// it was called off, and says in one line why there is none. Nothing is fetched yet.
    #[must_use]
    pub fn new(fetch: impl Fn(Instant, &dyn Fn() -> bool) -> Result<Secret, String> + Send + Sync + 'static) -> Self {
        Self { fetch: Arc::new(fetch), state: Mutex::default(), changed: Condvar::new() }
    }

    fn current(&self, live: &Live, deadline: Instant) -> Result<(Secret, u64), Failure> {
        let mut state = self.lock();
        loop {
            if let Some(failure) = &state.failed {
                return Err(failure.clone());
            }
            if let Some(secret) = &state.current {
                return Ok((secret.share(), state.generation));
            }
            if !state.fetching {
                break;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let message =
                    "not tried: an earlier sign-in to this account fetches the token, and took all the time there was";
                return Err(Failure::new(FailureKind::Timeout, Stage::Auth, message));
            }
            live.check(Stage::Auth)?;
            state = self.changed.wait_timeout(state, left.min(SLICE)).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.fetching = true;
        drop(state);
        // Also by a panic: or the others would wait for it in vain.
        let ended = Ended(self);
        let fetched = (self.fetch)(deadline, &|| live.is_cancelled());
        let mut state = self.lock();
        let current = match fetched {
            Ok(secret) => {
                state.current = Some(secret.share());
                Ok((secret, state.generation))
            }
            Err(_) if live.is_cancelled() => Err(cancelled(Stage::Auth)),
            Err(why) => {
                let failure = unsupported(format!("no token to sign in with: {why}"));
                state.failed = Some(failure.clone());
                Err(failure)
            }
        };
        drop(state);
        drop(ended);
        current
    }

    fn expired(&self, generation: u64) -> bool {
        let mut state = self.lock();
        if state.failed.is_some() || generation > state.generation {
            return false;
        }
        if generation == state.generation {
            if generation == REFETCHES {
                return false;
            }
            state.generation += 1;
            state.current = None;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a fetch.
struct Ended<'tokens>(&'tokens Tokens);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.lock().fetching = false;
        self.0.changed.notify_all();
    }
}

fn unsupported(message: impl Display) -> Failure {
    Failure::new(FailureKind::AuthUnsupported, Stage::Auth, message.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    /// Tokens called `token-0`, `token-1` …, and how many were fetched.
    fn counted(then: impl Fn(usize) -> Result<(), String> + Send + Sync + 'static) -> (Credentials, Arc<AtomicUsize>) {
        let fetched = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&fetched);
        let tokens = Tokens::new(move |_, _| {
            let number = count.fetch_add(1, Ordering::SeqCst);
            then(number).map(|()| Secret::new(format!("token-{number}")))
        });
        (Credentials::Token(tokens), fetched)
    }

    fn present(credentials: &Credentials) -> Result<Presented, Failure> {
        credentials.present(Some("joe"), &Arc::default(), &Live::default(), soon())
    }

    fn failure(presented: Result<Presented, Failure>) -> Failure {
        presented.err().expect("it must fail")
    }

    #[test]
    fn sixteen_dials_share_one_fetch_and_nothing_is_fetched_before() {
        let (credentials, fetched) = counted(|_| {
            thread::sleep(Duration::from_millis(50));
            Ok(())
        });
        assert_eq!(fetched.load(Ordering::SeqCst), 0);
        let together = Barrier::new(16);
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    together.wait();
                    assert_eq!(
                        present(&credentials).ok().map(|it| it.secret.expose().to_owned()).as_deref(),
                        Some("token-0")
                    );
                });
            }
        });
        assert_eq!(fetched.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_refused_token_is_fetched_once_more_and_all_who_held_it_share_the_next() {
        let (credentials, fetched) = counted(|_| Ok(()));
        let (one, other) = (present(&credentials).ok().unwrap(), present(&credentials).ok().unwrap());
        assert!(credentials.expired(&one));
        assert!(credentials.expired(&other), "before the new one is there");
        let newer = present(&credentials).ok().unwrap();
        assert_eq!(newer.secret.expose(), "token-1");
        assert!(credentials.expired(&other), "after it too");
        assert_eq!(present(&credentials).ok().unwrap().secret.expose(), "token-1", "which does not cost the new one");
        assert!(!credentials.expired(&newer), "once is enough");
        assert_eq!(present(&credentials).ok().unwrap().secret.expose(), "token-1");
        assert_eq!(fetched.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_fetch_that_failed_ends_it_for_all_dials() {
        let (credentials, fetched) = counted(|_| Err("it is not to be had".to_owned()));
        let together = Barrier::new(8);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    together.wait();
                    let failure = failure(present(&credentials));
                    assert_eq!((failure.kind, failure.stage), (FailureKind::AuthUnsupported, Stage::Auth));
                    assert_eq!(failure.message, "no token to sign in with: it is not to be had");
                });
            }
        });
        assert_eq!(fetched.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_second_fetch_that_failed_ends_it_too() {
        let (credentials, fetched) = counted(|number| if number == 0 { Ok(()) } else { Err("gone".to_owned()) });
        let first = present(&credentials).ok().unwrap();
        assert!(credentials.expired(&first));
        assert!(failure(present(&credentials)).message.contains("gone"));
        assert!(!credentials.expired(&first), "there is none to try again with");
        assert!(present(&credentials).is_err());
        assert_eq!(fetched.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn whoever_waits_for_anothers_fetch_gives_up_at_its_own_deadline() {
        let (let_go, gone) = std::sync::mpsc::channel::<()>();
        let gone = Mutex::new(gone);
        let started = Arc::new(Barrier::new(2));
        let fetching = Arc::clone(&started);
        let (credentials, _) = counted(move |_| {
            fetching.wait();
            gone.lock().unwrap().recv_timeout(Duration::from_secs(20)).map_err(|error| error.to_string())
        });
        thread::scope(|scope| {
            let fetch = scope.spawn(|| present(&credentials).is_ok());
            started.wait();
            let waited = failure(credentials.present(
                Some("joe"),
                &Arc::default(),
                &Live::default(),
                Instant::now() + Duration::from_millis(20),
            ));
            assert_eq!((waited.kind, waited.stage), (FailureKind::Timeout, Stage::Auth));
            let_go.send(()).unwrap();
            assert!(fetch.join().unwrap(), "which does not disturb the fetch");
        });
        assert!(present(&credentials).is_ok());
    }

    #[test]
    fn a_fetch_that_panics_leaves_the_others_their_turn() {
        let (credentials, fetched) = counted(|number| {
            assert!(number > 0, "the first one panics");
            Ok(())
        });
        thread::scope(|scope| {
            assert!(scope.spawn(|| present(&credentials).is_ok()).join().is_err());
        });
        assert!(present(&credentials).is_ok());
        assert_eq!(fetched.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_password_never_expires_and_a_nul_is_refused() {
        let credentials = Credentials::Password(Secret::new("s3cret".to_owned()));
        let presented = present(&credentials).ok().unwrap();
        assert!(!credentials.expired(&presented));
        assert_eq!(presented.mask.cover(b"NO s3cret", true, false), b"NO ***");
        let nul = Credentials::Password(Secret::new("a\0b".to_owned()));
        assert_eq!(failure(present(&nul)).kind, FailureKind::AuthUnsupported);
        assert_eq!(
            failure(credentials.present(Some("j\0e"), &Arc::default(), &Live::default(), soon())).kind,
            FailureKind::AuthUnsupported
        );
    }
}
