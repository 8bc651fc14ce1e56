//! The truth table of the specification: which connection does an operation use?
//!
//! Three modes × (does this thread have a default connection?) × (was a connection passed?), written once, as two pure
//! functions. Nothing else in the crate decides.

use std::fmt;
use std::str::FromStr;

use super::error::Refusal;
use super::id::ConnectionId;

/// How a [`Client`](super::Client) assigns its connections to operations (rules A1–A3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// A1: every thread shares the main connection.
    UseMain,
    /// A2: each thread uses its own default connection, created at its first use.
    UseDefault,
    /// A3: a thread that has a default connection uses it, every other one the main connection.
    #[default]
    UseMainOrDefault,
}

/// What a connection is to its client (rules K1–K3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// K1: one per client; its place exists as long as the client does.
    Main,
    /// K2: belongs to one thread of one client.
    Default,
    /// K3: belongs to no thread, used only when passed.
    Independent,
}

/// Which connection an operation uses, and why: the answer and its reason are one (rule A6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The connection that was passed with the operation.
    Explicit,
    /// The main connection.
    Main,
    /// The default connection that this thread already has.
    Default,
    /// A default connection, created for this thread first.
    DefaultCreated,
}

/// The connection an operation uses, from the three things the rule looks at.
///
/// ```
/// use mailconn::allocator::{Mode, Reason, route};
///
/// assert_eq!(route(Mode::UseMainOrDefault, false, false), Reason::Main);
/// assert_eq!(route(Mode::UseDefault, false, false), Reason::DefaultCreated);
/// ```
#[must_use]
pub const fn route(mode: Mode, has_default: bool, passed: bool) -> Reason {
    match (mode, has_default, passed) {
        (_, _, true) => Reason::Explicit,
        (Mode::UseMain, _, false) => Reason::Main,
        (Mode::UseDefault, true, false) => Reason::Default,
        (Mode::UseDefault, false, false) => Reason::DefaultCreated,
        (Mode::UseMainOrDefault, true, false) => Reason::Default,
        (Mode::UseMainOrDefault, false, false) => Reason::Main,
    }
}

/// Whether a thread may create a default connection by hand (rules C2 and C3); `existing` is the one it has.
///
/// # Errors
/// The [`Refusal`] that says which rule forbids it, and the cure.
pub const fn may_create_default(mode: Mode, existing: Option<ConnectionId>) -> Result<(), Refusal> {
    match (mode, existing) {
        (Mode::UseMain, _) => Err(Refusal::DefaultUnderUseMain),
        (Mode::UseDefault, _) => Err(Refusal::DefaultUnderUseDefault),
        (Mode::UseMainOrDefault, Some(existing)) => Err(Refusal::DefaultExists { existing }),
        (Mode::UseMainOrDefault, None) => Ok(()),
    }
}

impl Mode {
    /// Every mode, in the order of the rules.
    pub const ALL: [Self; 3] = [Self::UseMain, Self::UseDefault, Self::UseMainOrDefault];

    /// The mode's name, as in flags and reports: `use-main`, `use-default`, `use-main-or-default`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UseMain => "use-main",
            Self::UseDefault => "use-default",
            Self::UseMainOrDefault => "use-main-or-default",
        }
    }

    /// The name in the reference.
    const fn reference(self) -> &'static str {
        match self {
            Self::UseMain => "UseMain",
            Self::UseDefault => "UseDefault",
            Self::UseMainOrDefault => "UseMainOrDefault",
        }
    }
}

/// No mode has that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownMode;

impl fmt::Display for UnknownMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the modes are use-main, use-default, use-main-or-default")
    }
}

impl std::error::Error for UnknownMode {}

impl FromStr for Mode {
    type Err = UnknownMode;

    /// By its [`name`](Self::name), or as the reference spells it: `UseMain`, `ConnectionAsgmtType.UseMain`. Upper and lower
    /// case are the same.
    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        const TYPE: &str = "ConnectionAsgmtType.";
        let bare = match text.split_at_checked(TYPE.len()) {
            Some((start, name)) if start.eq_ignore_ascii_case(TYPE) => name,
            _ => text,
        };
        let spelt = |mode: &Self| mode.name().eq_ignore_ascii_case(bare) || mode.reference().eq_ignore_ascii_case(bare);
        Self::ALL.into_iter().find(spelt).ok_or(UnknownMode)
    }
}

impl Kind {
    /// The kind's name: `main`, `default`, `independent`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Default => "default",
            Self::Independent => "independent",
        }
    }
}

impl Reason {
    /// The reason's name, as rule A6 gives it: `explicit`, `main`, `default`, `default-created`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Explicit => "explicit",
            Self::Main => "main",
            Self::Default => "default",
            Self::DefaultCreated => "default-created",
        }
    }
}

macro_rules! display_by_name {
    ($($type:ty),+) => {$(
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    )+};
}
display_by_name!(Mode, Kind, Reason);
