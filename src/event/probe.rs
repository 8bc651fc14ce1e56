//! What a probe of a server's limits says of itself: how it was set up, where each of its steps begins, what it found out.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::micros::Micros;
use crate::allocator::SessionId;
use crate::protocol::{Failure, Stage};

/// How a probe of a server's limits was set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Probe {
    /// The most connections that it opens.
    pub max: usize,
    /// Its rest between two of them.
    pub pace_us: Micros,
    /// How long it holds what it has, after a refusal, before it tries once more.
    pub hold_us: Micros,
    /// Whether it also finds out how soon the server misses a client that left without a goodbye.
    pub bare_close: bool,
}

impl Probe {
    /// No server counts a rate over less.
    pub const SHORTEST_HOLD: Micros = Micros(1_000_000);
    /// More than that is no question of a client's any more.
    pub const MOST: usize = 1000;
}

/// A step of a probe begins. All that follows belongs to it, up to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeStep {
    /// What is done in it.
    pub phase: ProbePhase,
    /// Which attempt of its phase it is, from 1.
    pub attempt: usize,
}

/// What a step of a probe does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProbePhase {
    /// Opens one more connection, and looks at those that are open.
    Count,
    /// Holds what is open, then tries once more.
    Hold,
    /// The first one signs out of one connection; each waits and tries once more.
    Release,
    /// Tries once more at once, after the hold or the release let one in, with nothing given back: let in then, time has
    /// passed.
    Confirm,
    /// Signs out of one more, and tries once more after as long as the first sign-out took to make room: let in again sooner
    /// than a rate could give a second place, and refused with nothing given back, the limit is a count.
    Repeat,
    /// The first one closes one connection without a goodbye; each waits and tries once more.
    BareClose,
    /// Signs out of all that is open.
    End,
}

impl ProbePhase {
    /// Every phase, in order.
    pub const ALL: [Self; 7] =
        [Self::Count, Self::Hold, Self::Release, Self::Confirm, Self::Repeat, Self::BareClose, Self::End];

    /// `count`, `hold`, `release`, `confirm`, `repeat`, `bare-close`, `end`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Confirm => "confirm",
            Self::Repeat => "repeat",
            Self::BareClose => "bare-close",
            Self::End => "end",
        }
    }
}

impl ProbeStep {
    /// Whether the probe closed its newest connection in it, or in one of its phase before it.
    #[must_use]
    pub const fn gave_one_back(self) -> bool {
        matches!(self.phase, ProbePhase::Release | ProbePhase::Repeat | ProbePhase::BareClose)
    }

    /// Whether it closes it in this one.
    #[must_use]
    pub const fn closes_one(self) -> bool {
        self.gave_one_back() && self.attempt == 1
    }

    /// Whether it does so without a goodbye.
    #[must_use]
    pub const fn leaves_without_a_word(self) -> bool {
        matches!(self.phase, ProbePhase::BareClose) && self.attempt == 1
    }
}

/// As each line of the step says it: `count#5`, `release#1`.
impl fmt::Display for ProbeStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.phase.name(), self.attempt)
    }
}

/// The server's first line on the first connection of a probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerGreeted {
    /// Without its end.
    pub line: String,
}

/// What a probe found out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitsFound {
    /// Whether the question was answered: a limit was met and looked into, or none was met up to `max`. False where the server
    /// ended others, and it was not seen how many it leaves: as many as `given`, or fewer.
    pub answered: bool,
    /// The most connections that were open at once while it counted: the limit, if one was met. Of a rate, as many as came
    /// before the first refusal, and none that came later. Where the server ended others for the newest, those that it had left
    /// open before the newest came; where it let the newest in and ended that one a moment later, those that it left open.
    pub given: usize,
    /// Dials that were tried.
    pub attempts: usize,
    /// Those of them that were refused: a limit can be why. None that failed for the password, a name, TLS or this machine, and
    /// none that was called off.
    pub refused: usize,
    /// The limit that was met first; null if none was.
    pub met: Option<LimitMet>,
    /// What became of the dials after the first goodbye; null if that was not tried. Where the limit is a count, that is how soon
    /// a slot comes free.
    pub release: Option<Release>,
    /// The same after a close without a goodbye.
    pub bare_close: Option<Release>,
    /// Sessions that the server ended while the probe held them; none that it closed itself, and none that the server let in
    /// beyond the limit and ended a moment later.
    pub ended: usize,
    /// The session that did not answer in time, not in its protocol, or not before the probe was interrupted, when it was looked
    /// at, or whose command was refused:
    /// nobody knows whether the server still serves it, so that the probe ended there. Null if all were served.
    pub silent: Option<SessionId>,
    /// Why the probe ended before its question was answered.
    pub stopped: Option<Failure>,
}

/// The limit that a probe met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitMet {
    /// What it counts.
    pub kind: LimitKind,
    /// How the server keeps it.
    pub kept_by: KeptBy,
    /// What it can be counted for, as far as it can be known.
    pub scopes: Vec<LimitScope>,
    /// At which stage of the dial; null where the server ended an open session.
    pub stage: Option<Stage>,
    /// The refusal; null where there was none.
    pub failure: Option<Failure>,
    /// The limit as the server's words state it.
    pub stated: Option<u64>,
    /// How long the server says to wait: the longest that its refusals say.
    pub stated_wait_us: Option<Micros>,
    /// From the beginning of the first dial to the end of the dial that met it.
    pub within_us: Micros,
    /// From the same moment to the end of the dial that time may have let in: after the hold, or after a sign-out where one more
    /// was let in at once; null if there was none.
    pub again_within_us: Option<Micros>,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitKind {
    /// Connections that are open at the same time.
    Count,
    /// Connections or sign-ins in a time.
    Rate,
    /// Which of the two cannot be told.
    Unclear,
}

impl LimitKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Count, Self::Rate, Self::Unclear];

    /// `count`, `rate`, `unclear`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Rate => "rate",
            Self::Unclear => "unclear",
        }
    }
}

/// How a server keeps its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeptBy {
    /// It refuses the newest connection.
    RefusingNewest,
    /// It ends the oldest.
    EndingOldest,
    /// It ends another one that is open.
    EndingAnother,
    /// It answers ever later.
    Slowing,
}

impl KeptBy {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::RefusingNewest, Self::EndingOldest, Self::EndingAnother, Self::Slowing];

    /// `refusing-newest`, `ending-oldest`, `ending-another`, `slowing`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RefusingNewest => "refusing-newest",
            Self::EndingOldest => "ending-oldest",
            Self::EndingAnother => "ending-another",
            Self::Slowing => "slowing",
        }
    }
}

/// Whose connections a limit counts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LimitScope {
    /// Those of the user, from anywhere.
    User,
    /// Those of the user from one address.
    UserAndAddress,
    /// Those from one address, whoever signs in.
    Address,
    /// All that the server has.
    Server,
}

impl LimitScope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::User, Self::UserAndAddress, Self::Address, Self::Server];

    /// `user`, `user-and-address`, `address`, `server`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::UserAndAddress => "user-and-address",
            Self::Address => "address",
            Self::Server => "server",
        }
    }
}

/// What became of the dials after a close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Release {
    /// From the close to the dial that was let in; null if none was.
    pub free_after_us: Option<Micros>,
    /// From the close to the last dial that was refused; null if none was.
    pub taken_after_us: Option<Micros>,
}
