//! A limit on connections, and how one is written.

use std::fmt;
use std::mem;
use std::str::FromStr;
use std::time::Duration;

use super::listening::Protocol;

/// How many connections a server takes: `user=7`, `address=5@accept`, `user=10/1m`.
///
/// Connections of different protocols are never counted together.
///
/// ```
/// use mailconn::sandbox::{Excess, Limit, Scope};
///
/// let limit: Limit = "imap:user=7,oldest,release=5s".parse()?;
/// assert_eq!((limit.scope, limit.most, limit.on_excess), (Scope::User, 7, Excess::EndOldest));
/// assert_eq!(limit.to_string(), "imap:user=7@sign-in,oldest,release=5s");
/// assert!("user=7@greeting".parse::<Limit>().is_err(), "nobody knows the user yet");
/// # Ok::<(), mailconn::sandbox::BadLimit>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit {
    /// The protocol it holds for; `None` for each of them.
    pub protocol: Option<Protocol>,
    /// Whose connections are counted together.
    pub scope: Scope,
    /// How many of them there may be.
    pub most: usize,
    /// Makes it a rate: so many may come within any such time. `None` for a count of those that are open.
    pub within: Option<Duration>,
    /// How far a connection must have come to be counted, and where it is refused.
    pub stage: LimitStage,
    /// What becomes of one too many.
    pub on_excess: Excess,
    /// How long after its end a connection is still counted.
    pub release: Duration,
    /// The same, where the client left without a goodbye.
    pub bare_release: Duration,
}

/// Whose connections are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Those of a user.
    User,
    /// Those from an address.
    Address,
    /// Those of a user from one address.
    UserAndAddress,
    /// All.
    Total,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LimitStage {
    /// It was accepted. One too many is closed without a word.
    Accept,
    /// It is about to be greeted.
    Greeting,
    /// Its client has signed in.
    SignIn,
    /// Its client has said something behind the sign-in: in IMAP other than CAPABILITY, ID and LOGOUT, else than QUIT.
    After,
}

/// What becomes of one connection too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Excess {
    /// It is refused.
    RefuseNewest,
    /// It is let in, and the oldest of those that are counted with it is ended.
    EndOldest,
}

/// Why there is no such limit: one line, with the cure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadLimit(String);

impl Scope {
    const ALL: [Self; 4] = [Self::User, Self::Address, Self::UserAndAddress, Self::Total];

    /// `user`, `address`, `user+address`, `total`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Address => "address",
            Self::UserAndAddress => "user+address",
            Self::Total => "total",
        }
    }

    /// Whether it tells users apart.
    #[must_use]
    pub const fn has_user(self) -> bool {
        matches!(self, Self::User | Self::UserAndAddress)
    }

    /// Whether it tells addresses apart.
    #[must_use]
    pub const fn has_address(self) -> bool {
        matches!(self, Self::Address | Self::UserAndAddress)
    }
}

impl LimitStage {
    const ALL: [Self; 4] = [Self::Accept, Self::Greeting, Self::SignIn, Self::After];

    /// `accept`, `greeting`, `sign-in`, `after`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Greeting => "greeting",
            Self::SignIn => "sign-in",
            Self::After => "after",
        }
    }
}

impl Limit {
    /// A count of open connections that refuses the newest, at the first stage where words can be said and the scope is known.
    #[must_use]
    pub const fn new(scope: Scope, most: usize) -> Self {
        Self {
            protocol: None,
            scope,
            most,
            within: None,
            stage: if scope.has_user() { LimitStage::SignIn } else { LimitStage::Greeting },
            on_excess: Excess::RefuseNewest,
            release: Duration::ZERO,
            bare_release: Duration::ZERO,
        }
    }

    /// What Dovecot and Postfix count: how many connections a user may have open from one address; in SMTP, before the
    /// sign-in, how many one address may have.
    #[must_use]
    pub const fn connections(most: usize) -> [Self; 3] {
        let of = Self::new(Scope::UserAndAddress, most);
        [
            Self { protocol: Some(Protocol::Imap), ..of },
            Self { protocol: Some(Protocol::Pop3), ..of },
            Self { protocol: Some(Protocol::Smtp), ..Self::new(Scope::Address, most) },
        ]
    }

    /// Whether both count the same connections.
    pub(super) fn counts_as(&self, other: &Self) -> bool {
        let of = |limit: &Self| (limit.protocol, limit.scope, limit.within, limit.stage);
        of(self) == of(other)
    }

    /// Whether a server can keep it.
    ///
    /// # Errors
    /// It cannot: the user is not known where it counts, its time is too short, or there is no oldest one to end.
    pub fn check(&self) -> Result<(), BadLimit> {
        let bad = |why: &str| Err(BadLimit(format!("{self}: {why}")));
        if self.scope.has_user() && self.stage < LimitStage::SignIn {
            return bad(
                "the user is not known before the sign-in; count by address or total there, or at sign-in or after",
            );
        }
        if [self.release, self.bare_release].iter().any(|time| !time.is_zero() && *time < SHORTEST) {
            return bad("a slot is kept taken for at least 1ms, as in release=5s");
        }
        match (self.within, self.on_excess) {
            (Some(time), _) if time < SHORTEST => bad("a rate needs a time of at least 1ms, as in user=10/60s"),
            (Some(_), Excess::EndOldest) => {
                bad("a rate ends no connection; leave oldest out, or the time behind the number")
            }
            (Some(_), _) if !self.release.is_zero() || !self.bare_release.is_zero() => {
                bad("a rate forgets by its own time; leave release and bare-release out")
            }
            (None, Excess::EndOldest) if self.most == 0 => bad("of 0 connections none is the oldest; give at least 1"),
            _ => Ok(()),
        }
    }
}

/// As it is read: `imap:user=7@sign-in,oldest,release=5s`.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, scope, most, within, stage, on_excess, release, bare_release } = self;
        if let Some(protocol) = protocol {
            write!(f, "{protocol}:")?;
        }
        write!(f, "{}={most}", scope.name())?;
        if let Some(time) = within {
            write!(f, "/{}", shown(*time))?;
        }
        write!(f, "@{}", stage.name())?;
        if *on_excess == Excess::EndOldest {
            f.write_str(",oldest")?;
        }
        if !release.is_zero() {
            write!(f, ",release={}", shown(*release))?;
        }
        if bare_release != release {
            write!(f, ",bare-release={}", shown(*bare_release))?;
        }
        Ok(())
    }
}

fn shown(time: Duration) -> String {
    humantime::format_duration(time).to_string().replace(' ', "")
}

/// `[PROTOCOL:]SCOPE=N[/TIME][@STAGE][,oldest][,release=TIME][,bare-release=TIME]`
impl FromStr for Limit {
    type Err = BadLimit;

    fn from_str(text: &str) -> Result<Self, BadLimit> {
        let bad = |why: &str| {
            BadLimit(format!("{why}; write a limit like user=7, address=5@accept or user=10/60s,release=5s"))
        };
        let mut parts = text.split(',');
        let (counted, number) =
            parts.next().and_then(|first| first.split_once('=')).ok_or_else(|| bad("a limit needs a number"))?;
        let (protocol, scope) = match counted.split_once(':') {
            Some((name, scope)) => {
                let protocol =
                    [Protocol::Imap, Protocol::Smtp, Protocol::Pop3].into_iter().find(|it| it.to_string() == name);
                (Some(protocol.ok_or_else(|| bad("the protocols are imap, smtp and pop3"))?), scope)
            }
            None => (None, counted),
        };
        let scope = Scope::ALL.into_iter().find(|it| it.name() == scope);
        let scope = scope.ok_or_else(|| bad("what is counted is user, address, user+address or total"))?;
        let (number, stage) = number.split_once('@').map_or((number, None), |(number, stage)| (number, Some(stage)));
        let (number, within) = number.split_once('/').map_or((number, None), |(number, time)| (number, Some(time)));
        let most = number.parse().ok().filter(|_| number.bytes().all(|byte| byte.is_ascii_digit()));
        let most = most.ok_or_else(|| bad("the number is a whole one, in digits"))?;
        let time = |text: &str| {
            let time = humantime::parse_duration(text).ok().filter(|time| *time <= LONGEST);
            time.ok_or_else(|| bad("a time is a number and a unit, like 2s or 1m, of at most 366d"))
        };
        let mut limit = Self { protocol, within: within.map(time).transpose()?, ..Self::new(scope, most) };
        if let Some(name) = stage {
            let stage = LimitStage::ALL.into_iter().find(|it| it.name() == name);
            limit.stage = stage.ok_or_else(|| bad("the stages are accept, greeting, sign-in and after"))?;
        }
        let (mut release, mut bare_release) = (None, None);
        for part in parts {
            let is_first = match part.split_once('=') {
                None if part == "oldest" => mem::replace(&mut limit.on_excess, Excess::EndOldest) != Excess::EndOldest,
                Some(("release", text)) => release.replace(time(text)?).is_none(),
                Some(("bare-release", text)) => bare_release.replace(time(text)?).is_none(),
                _ => return Err(bad("behind the comma stands oldest, release=TIME or bare-release=TIME")),
            };
            if !is_first {
                return Err(bad("oldest, release and bare-release stand there once each"));
            }
        }
        limit.release = release.unwrap_or_default();
        limit.bare_release = bare_release.unwrap_or(limit.release);
        // A test may want a server that lets nobody in; who writes it down means a number.
        if limit.most == 0 {
            return Err(BadLimit(format!("{limit}: it lets nobody in; give at least 1")));
        }
        limit.check()?;
        Ok(limit)
    }
}

/// No clock of a server tells less apart.
const SHORTEST: Duration = Duration::from_millis(1);
/// Every clock can name a moment so far away.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
