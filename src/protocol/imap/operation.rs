//! The units that a workload may ask for. All of them only read.

use std::fmt;
use std::str::FromStr;

/// One unit of work. Those that need a mailbox select it themselves, read-only, each time (rules A7 and B3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImapOperation {
    /// NOOP.
    Noop,
    /// LIST of all mailboxes.
    List,
    /// STATUS of the mailbox: messages, unseen, next identifier.
    Status,
    /// EXAMINE, then FETCH of the flags and main headers of the last 20 messages.
    Fetch,
    /// EXAMINE, then SEARCH UNSEEN.
    Search,
}

impl ImapOperation {
    /// Every operation.
    pub const ALL: [Self; 5] = [Self::Noop, Self::List, Self::Status, Self::Fetch, Self::Search];

    /// The word used in every output and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Noop => "noop",
            Self::List => "list",
            Self::Status => "status",
            Self::Fetch => "fetch",
            Self::Search => "search",
        }
    }

    /// Whether it works on a mailbox.
    #[must_use]
    pub const fn needs_mailbox(self) -> bool {
        matches!(self, Self::Status | Self::Fetch | Self::Search)
    }
}

impl fmt::Display for ImapOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No operation has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no operation is called {0:?}; write noop, list, status, fetch or search")]
pub struct UnknownOperation(pub String);

impl FromStr for ImapOperation {
    type Err = UnknownOperation;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|operation| operation.name() == word)
            .ok_or_else(|| UnknownOperation(word.to_owned()))
    }
}
