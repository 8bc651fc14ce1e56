//! The units that a workload may ask for. All but one only read.

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
    /// CREATE of a scratch mailbox, APPEND of one message to it, DELETE of the mailbox.
    Append,
}

impl ImapOperation {
    /// Every operation.
    pub const ALL: [Self; 6] = [Self::Noop, Self::List, Self::Status, Self::Fetch, Self::Search, Self::Append];

    /// The word used in every output and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Noop => "noop",
            Self::List => "list",
            Self::Status => "status",
            Self::Fetch => "fetch",
            Self::Search => "search",
            Self::Append => "append",
        }
    }

    /// Whether it works on a mailbox that is there already.
    #[must_use]
    pub const fn needs_mailbox(self) -> bool {
        matches!(self, Self::Status | Self::Fetch | Self::Search)
    }
}
