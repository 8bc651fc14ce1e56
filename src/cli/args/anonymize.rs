//! Whether what is told is for others.

use clap::Args;

/// The flag on names, the same for every command that reports.
#[derive(Clone, Copy, Debug, Args)]
pub struct AnonymizeArgs {
    /// Replace users, hosts, mailboxes and addresses by other names, in every form of the report, before it is judged
    ///
    /// A name has one other name everywhere: user-1, host-1.example, mailbox-1, 192.0.2.1. In what the server said those names
    /// are looked for, and what has the shape of a name: e-mail addresses, hosts, addresses, paths, ids of sessions. What stays: ports,
    /// times, figures, software and its version, the providers whose limits are known (imap.gmail.com), INBOX, and names that
    /// are made of usual words alone (Sent, test). A name that stands nowhere but in a server's free words, and looks like a
    /// word, stays too: read the report before you pass it on. A file that is written as ndjson is verified as any other.
    ///
    /// Messages on standard error keep their names. With --transcript it is refused: a transcript is what went over the wire.
    #[arg(long, help_heading = "Report")]
    pub anonymize: bool,
}
