//! Signing in: which way, and the SASL exchange itself (RFC 4422), without the protocol that carries it.
//!
//! The mechanisms are rsasl's. What is ours is what it leaves to its callers: bounds on what a server may ask for, and
//! the answer to a refused token.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::mechanisms::{login, oauthbearer, plain, scram, xoauth2};
use rsasl::prelude::{Mechname, Registry, SASLClient, SASLConfig, Session, SessionError, State};
use rsasl::property::{AuthId, AuthzId, OAuthBearerKV, OAuthBearerToken, Password};
use zeroize::Zeroizing;

use super::credentials::{Credentials, Presented};
use super::failure::{Failure, FailureKind, Stage, printable};
use super::secret::{Mask, Secret};

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mechanism {
    /// Proves that client and server know the password, which stays unsaid (RFC 7677).
    ScramSha256,
    /// User and password (RFC 4616).
    Plain,
    /// User and password, each when asked for; never standardised.
    Login,
    /// A bearer token (RFC 7628).
    OAuthBearer,
    /// A bearer token, the way Google began it.
    XOAuth2,
}

impl Mechanism {
    pub(super) const ALL: [Self; 5] = [Self::ScramSha256, Self::Plain, Self::Login, Self::OAuthBearer, Self::XOAuth2];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::XOAuth2 => "XOAUTH2",
        }
    }

    pub(super) const fn takes_token(self) -> bool {
        matches!(self, Self::OAuthBearer | Self::XOAuth2)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name of a mechanism that is not known here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown sign-in mechanism; there are SCRAM-SHA-256, PLAIN, LOGIN, OAUTHBEARER and XOAUTH2")]
pub struct UnknownMechanism;

impl FromStr for Mechanism {
    type Err = UnknownMechanism;

    fn from_str(name: &str) -> Result<Self, UnknownMechanism> {
        Self::ALL.into_iter().find(|it| it.name().eq_ignore_ascii_case(name)).ok_or(UnknownMechanism)
    }
}

/// How to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a SASL mechanism.
    Sasl(Mechanism),
    /// By the protocol's own command: IMAP's LOGIN, POP3's USER and PASS.
    Native,
}

/// No way to sign in has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{UnknownMechanism}; or user-pass")]
pub struct UnknownWay;

impl FromStr for Way {
    type Err = UnknownWay;

    /// A mechanism by its name, or `user-pass`. Upper and lower case are the same.
    fn from_str(name: &str) -> Result<Self, UnknownWay> {
        if name.eq_ignore_ascii_case("user-pass") {
            return Ok(Self::Native);
        }
        name.parse().map(Self::Sasl).map_err(|_| UnknownWay)
    }
}

/// The protocol's own command to sign in, where the server takes it and it can carry user and password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Native {
    /// IMAP (RFC 9051 §6.2.3). Whoever says "login" may mean it as well as the mechanism of that name.
    Login,
    /// POP3 (RFC 1939 §7).
    UserPass,
}

impl Native {
    /// The command's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Login => "LOGIN",
            Self::UserPass => "USER",
        }
    }
}

/// The mechanisms that a server names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Offered {
    known: Vec<Mechanism>,
    /// All of them, to be shown.
    names: Vec<String>,
}

/// So many of a server's mechanisms are taken note of: more than any server has.
const MOST_OFFERED: usize = 32;

impl Offered {
    /// The names as they stand in the server's list. What can be no mechanism's name is passed over (RFC 4422 §3.1).
    pub(super) fn read<'line>(names: impl IntoIterator<Item = &'line str>) -> Self {
        let is_name = |name: &&str| {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            (1..=20).contains(&name.len()) && name.bytes().all(legal)
        };
        let names: Vec<String> =
            names.into_iter().filter(is_name).take(MOST_OFFERED).map(str::to_ascii_uppercase).collect();
        Self { known: names.iter().filter_map(|name| name.parse().ok()).collect(), names }
    }

    /// The same, to be shown without a secret that the server repeats among them.
    pub(super) fn shown_by(mut self, mask: &Mask) -> Self {
        for name in &mut self.names {
            *name = mask.cover_offer(name);
        }
        self
    }

    pub(super) fn has(&self, mechanism: Mechanism) -> bool {
        self.known.contains(&mechanism)
    }
}

/// The strongest way that server and credentials share: SCRAM-SHA-256, PLAIN, the protocol's own command and LOGIN for
/// a password, OAUTHBEARER and XOAUTH2 for a token.
///
/// Where one is `forced`, that one, whatever the credentials are (a password may be a token that somebody fetched), if
/// the server offers it. `without_a_way` says what to do where it offers none at all.
///
/// # Errors
/// `auth-unsupported`: what the server offers, and what to do.
pub(super) fn choose(
    credentials: &Credentials,
    offered: &Offered,
    native: Option<Native>,
    forced: Option<Way>,
    encrypted: bool,
    without_a_way: &str,
) -> Result<Way, Failure> {
    let has = |mechanism| offered.has(mechanism).then_some(Way::Sasl(mechanism));
    let command = native.map(|_| Way::Native);
    let is_password = matches!(credentials, Credentials::Password(_));
    let way = match forced {
        Some(Way::Native) => command,
        Some(Way::Sasl(Mechanism::Login)) => {
            has(Mechanism::Login).or(command.filter(|_| native == Some(Native::Login)))
        }
        Some(Way::Sasl(mechanism)) => has(mechanism),
        None if is_password => {
            has(Mechanism::ScramSha256).or_else(|| has(Mechanism::Plain)).or(command).or_else(|| has(Mechanism::Login))
        }
        None => has(Mechanism::OAuthBearer).or_else(|| has(Mechanism::XOAuth2)),
    };
    way.ok_or_else(|| {
        const NONE: &str = "no way to sign in";
        let command = match native {
            Some(Native::Login) => Some("the LOGIN command"),
            Some(Native::UserPass) => Some("USER and PASS"),
            None => None,
        };
        let offers: Vec<&str> = offered.names.iter().map(String::as_str).chain(command).collect();
        let offers = if offers.is_empty() { NONE.to_owned() } else { offers.join(", ") };
        let takes_token = offered.known.iter().any(|mechanism| mechanism.takes_token());
        let takes_password = command.is_some() || offered.known.iter().any(|mechanism| !mechanism.takes_token());
        // A token that --auth was given for must not go out as a password.
        let token = matches!(forced, Some(Way::Sasl(mechanism)) if mechanism.takes_token());
        let unforced =
            !token && forced.is_some() && choose(credentials, offered, native, None, encrypted, without_a_way).is_ok();
        let cure = if unforced {
            "not what --auth asks for; leave it out"
        } else if is_password && takes_token {
            "no password; use --token-command"
        } else if !is_password && takes_password {
            "no token; give a password instead (--password-command, --password-file)"
        } else if forced.is_some() {
            "not what --auth asks for"
        } else if !encrypted {
            "nothing that fits; most servers offer more under TLS"
        } else {
            "nothing that fits; see what the provider asks of the account"
        };
        let message = match (offers.as_str(), encrypted) {
            (NONE, false) => format!("the server offers no way to sign in without TLS; {without_a_way}"),
            (NONE, true) => format!("the server offers no way to sign in; {without_a_way}"),
            _ => format!("the server offers {offers}, {cure}"),
        };
        Failure::new(FailureKind::AuthUnsupported, Stage::Auth, message)
    })
}

/// A challenge is no longer than this, decoded: a SCRAM salt, or the reason why a token was refused.
const LONGEST_CHALLENGE: usize = 8 * 1024;
/// So many rounds of hashing a server has to ask for (RFC 7677 §4): with fewer, a proof gives the password away to whoever
/// is there instead of it.
const FEWEST_ROUNDS: u64 = 4096;
/// So many rounds of hashing a server may ask for (recommended are 600,000): about a second, in which no deadline is
/// looked at.
const MOST_ROUNDS: u64 = 2_000_000;

/// Said where the yes comes before what it would answer.
pub(super) const ACCEPTS_UNREAD: &str =
    "the server accepts the sign-in before it has read it; its replies are out of step";

/// One sign-in by a SASL mechanism, from the client's side. What goes in and out is not base64 yet.
pub(super) struct Exchange {
    mechanism: Mechanism,
    session: Session,
    progress: Progress,
    /// No answer is longer, so that none leaves copies of the secret behind while it grows.
    room: usize,
    mask: Arc<Mask>,
    server_error: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Untouched,
    /// The server's turn.
    Running,
    /// No more is to be said.
    Finished,
    /// The server proved that it knows the password.
    Proven,
    /// The server said in the exchange itself that it refuses; the protocol's own refusal is to follow.
    Refused,
}

impl Exchange {
    /// A sign-in of that user with what is presented, at the server of that name and port.
    ///
    /// # Errors
    /// `auth-unsupported`: the mechanism cannot carry the user or the secret.
    pub(super) fn new(
        mechanism: Mechanism,
        user: &str,
        presented: &Presented,
        host: &str,
        port: u16,
    ) -> Result<Self, Failure> {
        if user.is_empty() || presented.secret.expose().is_empty() {
            return Err(unsupported("there is no user to sign in as, or nothing to sign in with"));
        }
        if mechanism.takes_token() {
            // Both stand between control characters there.
            if user.contains(|character: char| character.is_control()) {
                return Err(unsupported(format!("the user holds a control character, which {mechanism} cannot carry")));
            }
            if !presented.secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(unsupported("the token is none: it holds blanks, or more than plain ASCII (RFC 6750)"));
            }
        }
        let answers = Answers::new(mechanism, user, &presented.secret, host, port);
        // GS2 spells some characters of a user with three.
        let room = 3 * user.len() + presented.secret.expose().len() + host.len() + LONGEST_CHALLENGE;
        let session = SASLConfig::builder()
            .with_registry(Registry::with_mechanisms(registry(mechanism)))
            .with_callback(answers)
            .ok()
            .and_then(|config| {
                let offered = names(mechanism).iter().filter_map(|name| Mechname::parse(name.as_bytes()).ok());
                SASLClient::new(config).start_suggested_iter(offered).ok()
            })
            .ok_or_else(|| internal("the mechanism could not be started"))?;
        let mask = Arc::clone(&presented.mask);
        Ok(Self { mechanism, session, progress: Progress::Untouched, room, mask, server_error: None })
    }

    /// What the client says first, with the command or, where that takes no more, in answer to an empty challenge.
    /// `None` where the server speaks first. To be asked for once, before all else.
    ///
    /// # Errors
    /// `internal`.
    pub(super) fn initial(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        if self.progress != Progress::Untouched {
            return Err(internal("the first answer was given already"));
        }
        self.progress = Progress::Running;
        if !self.session.are_we_first() {
            return Ok(None);
        }
        let mut answer = self.blank();
        let state = self.session.step(None, &mut *answer);
        self.progress_to(state)?;
        Ok(Some(answer))
    }

    /// The answer to a challenge.
    ///
    /// # Errors
    /// `protocol`: the challenge makes no sense, asks too much, or shows that the server does not know the password.
    pub(super) fn step(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let answer = self.answer(challenge);
        if answer.is_err() {
            // There is no second chance, and rsasl must not be asked again.
            self.progress = Progress::Finished;
        }
        answer
    }

    fn answer(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        if challenge.len() > LONGEST_CHALLENGE {
            return Err(protocol("the server's challenge is longer than any mechanism's"));
        }
        match self.progress {
            Progress::Running => {}
            Progress::Untouched => return Err(internal("the first answer was not given yet")),
            Progress::Finished | Progress::Proven | Progress::Refused => {
                return Err(protocol(format!("the server asks on, but {} has no more to say", self.mechanism)));
            }
        }
        let mut answer = self.blank();
        match self.mechanism {
            Mechanism::OAuthBearer | Mechanism::XOAuth2 => {
                // Not through rsasl: it wants a status in the form of RFC 7628 and no other, and does not send the
                // byte that this RFC asks for.
                self.refused(challenge);
                if self.mechanism == Mechanism::OAuthBearer {
                    answer.push(1);
                }
            }
            Mechanism::ScramSha256 if challenge.starts_with(b"e=") => self.refused(challenge),
            Mechanism::ScramSha256 | Mechanism::Plain | Mechanism::Login => {
                if self.mechanism == Mechanism::ScramSha256 {
                    within_scram(challenge)?;
                }
                let state = self.session.step(Some(challenge), &mut *answer);
                self.progress_to(state)?;
            }
        }
        Ok(answer)
    }

    /// The server says that the sign-in succeeded.
    ///
    /// # Errors
    /// `protocol`: SCRAM was not brought to its end, so that the server may be anybody; or LOGIN was not, so that the server
    /// does not answer what we said.
    pub(super) fn finish(&self) -> Result<(), Failure> {
        match (self.mechanism, self.progress) {
            (Mechanism::ScramSha256, Progress::Proven) => Ok(()),
            (Mechanism::ScramSha256, _) => Err(unproven()),
            (Mechanism::Login, Progress::Untouched | Progress::Running) => Err(protocol(ACCEPTS_UNREAD)),
            _ => Ok(()),
        }
    }

    /// Why the server refuses, as it said within the exchange: for a token a JSON text with a status, for SCRAM
    /// `e=` and a word. Fit to be shown.
    pub(super) fn server_error(&self) -> Option<&str> {
        self.server_error.as_deref()
    }

    fn refused(&mut self, why: &[u8]) {
        self.progress = Progress::Refused;
        self.server_error = Some(printable(&self.masked(why)));
    }

    /// What the server says, without the secret where it repeats it.
    pub(super) fn masked(&self, said: &[u8]) -> Vec<u8> {
        self.mask.cover(said, false)
    }

    fn blank(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(Vec::with_capacity(self.room))
    }

    fn progress_to(&mut self, state: Result<State, SessionError>) -> Result<(), Failure> {
        match state {
            Ok(State::Running) => Ok(()),
            Ok(State::Finished(_)) => {
                let scram = self.mechanism == Mechanism::ScramSha256;
                self.progress = if scram { Progress::Proven } else { Progress::Finished };
                Ok(())
            }
            Err(SessionError::MutualAuthenticationFailed) => Err(unproven()),
            Err(_) => Err(protocol(format!("the server's challenge is none of {}", self.mechanism))),
        }
    }
}

/// What rsasl takes for granted in a challenge of SCRAM: it panics over attributes that are none, and hashes for hours
/// where it is told to.
fn within_scram(challenge: &[u8]) -> Result<(), Failure> {
    let mut attributes = challenge.split(|byte| *byte == b',');
    if !attributes.clone().all(|attribute| attribute.get(1) == Some(&b'=')) {
        return Err(protocol("the server's challenge is none of SCRAM-SHA-256"));
    }
    let rounds = attributes.find_map(|attribute| attribute.strip_prefix(b"i="));
    let rounds = rounds.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
    if rounds.is_some_and(|rounds| rounds < FEWEST_ROUNDS) {
        return Err(protocol(format!(
            "the server asks for fewer than {FEWEST_ROUNDS} rounds of hashing, so that whoever hears it can guess at the \
             password; use --auth plain if it can be trusted with it"
        )));
    }
    if rounds.is_some_and(|rounds| rounds > MOST_ROUNDS) {
        return Err(protocol(format!(
            "the server asks for more than {MOST_ROUNDS} rounds of hashing; use --auth plain if it can be trusted with \
             the password"
        )));
    }
    Ok(())
}

fn registry(mechanism: Mechanism) -> &'static [rsasl::prelude::Mechanism] {
    static SCRAM_SHA_256: [rsasl::prelude::Mechanism; 1] = [scram::SCRAM_SHA256];
    static PLAIN: [rsasl::prelude::Mechanism; 1] = [plain::PLAIN];
    static LOGIN: [rsasl::prelude::Mechanism; 1] = [login::LOGIN];
    static OAUTHBEARER: [rsasl::prelude::Mechanism; 1] = [oauthbearer::OAUTHBEARER];
    static XOAUTH2: [rsasl::prelude::Mechanism; 1] = [xoauth2::XOAUTH2];
    match mechanism {
        Mechanism::ScramSha256 => &SCRAM_SHA_256,
        Mechanism::Plain => &PLAIN,
        Mechanism::Login => &LOGIN,
        Mechanism::OAuthBearer => &OAUTHBEARER,
        Mechanism::XOAuth2 => &XOAUTH2,
    }
}

/// What rsasl is told that the server offers.
fn names(mechanism: Mechanism) -> &'static [&'static str] {
    match mechanism {
        // With the bare name alone it claims to have looked for channel binding and found none (`y`), and a server
        // that has it must take that for an attack (RFC 5802 §6). We look for none, which is `n`.
        Mechanism::ScramSha256 => &["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"],
        Mechanism::Plain => &["PLAIN"],
        Mechanism::Login => &["LOGIN"],
        Mechanism::OAuthBearer => &["OAUTHBEARER"],
        Mechanism::XOAuth2 => &["XOAUTH2"],
    }
}

/// What rsasl asks for.
struct Answers {
    user: String,
    /// The user as a GS2 header spells it (RFC 5801 §4): OAUTHBEARER names nobody else.
    authorized: Option<String>,
    secret: Secret,
    host: String,
    port: String,
}

impl Answers {
    fn new(mechanism: Mechanism, user: &str, secret: &Secret, host: &str, port: u16) -> Self {
        let bearer = mechanism == Mechanism::OAuthBearer;
        let authorized = bearer.then(|| user.replace('=', "=3D").replace(',', "=2C"));
        let (user, secret) = match mechanism {
            // Both sides hash them in the one form (RFC 5802 §5.1); what has none is taken as it is.
            Mechanism::ScramSha256 => (prepared(user), Secret::new(prepared(secret.expose()))),
            _ => (user.to_owned(), secret.share()),
        };
        Self { user, authorized, secret, host: host.to_owned(), port: port.to_string() }
    }
}

impl SessionCallback for Answers {
    fn callback(&self, _: &SessionData, _: &Context<'_>, request: &mut Request<'_>) -> Result<(), SessionError> {
        request
            .satisfy::<AuthId>(&self.user)?
            .satisfy::<Password>(self.secret.expose().as_bytes())?
            .satisfy::<OAuthBearerToken>(self.secret.expose())?
            .satisfy::<OAuthBearerKV>(&[("host", &self.host), ("port", &self.port)])?;
        if let Some(authorized) = &self.authorized {
            request.satisfy::<AuthzId>(authorized)?;
        }
        Ok(())
    }
}

fn prepared(text: &str) -> String {
    stringprep::saslprep(text).map_or_else(|_| text.to_owned(), Cow::into_owned)
}

fn unproven() -> Failure {
    protocol("the server did not prove that it knows the password; it may be another one than it claims to be")
}

fn protocol(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Protocol, Stage::Auth, message)
}

fn unsupported(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::AuthUnsupported, Stage::Auth, message)
}

fn internal(message: &str) -> Failure {
    Failure::new(FailureKind::Internal, Stage::Auth, message)
}

#[cfg(test)]
mod tests;
