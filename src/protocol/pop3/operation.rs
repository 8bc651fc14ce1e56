//! The units that a workload may ask for.

/// One unit of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pop3Operation {
    /// NOOP.
    Noop,
    /// STAT: how many messages the maildrop holds.
    Stat,
    /// LIST: the size of each message.
    List,
    /// STAT, then TOP of the last message, or RETR where the server knows no TOP.
    Retrieve,
}

impl Pop3Operation {
    /// Every operation.
    pub const ALL: [Self; 4] = [Self::Noop, Self::Stat, Self::List, Self::Retrieve];

    /// The word used in every output and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Noop => "noop",
            Self::Stat => "stat",
            Self::List => "list",
            Self::Retrieve => "retrieve",
        }
    }
}
