//! The units that a workload may ask for.

/// One unit of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SmtpOperation {
    /// NOOP.
    Noop,
    /// RSET: the connection works, and no message is under way.
    Verify,
    /// MAIL, RCPT and DATA: one message.
    Send,
}

impl SmtpOperation {
    /// Every operation.
    pub const ALL: [Self; 3] = [Self::Noop, Self::Verify, Self::Send];

    /// The word used in every output and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Noop => "noop",
            Self::Verify => "verify",
            Self::Send => "send",
        }
    }
}
