//! Whether what is told is for others.

use clap::Args;

/// The flag on names, the same for every command that reports.
#[derive(Clone, Copy, Debug, Args)]
pub struct AnonymizeArgs {
    /// Replace users, hosts, mailboxes and addresses by other names in every form of the report, for a colleague or an issue
    ///
    /// A name has the same other name everywhere: user-1, host-1.example, mailbox-1, 192.0.2.1. In the lines of servers these
    /// names are looked for, and what has the shape of one: e-mail addresses, hosts, addresses, paths, names of sessions. It is
    /// judged so: a file that is written as ndjson can be verified and told again.
    ///
    /// What stays: ports, times, figures, software and its version, providers whose limits are known (imap.gmail.com), INBOX, this
    /// machine (localhost, 127.0.0.1), hosts of documentation (example.org),
    /// names that are made of usual words alone (Sent, test), and what a scenario or a comparison calls its threads and variants,
    /// and the scenario's own name.
    /// A word in a server's line that is a name and does not look like one stays too: read the report before you pass it on.
    ///
    /// Messages on standard error keep their names. It does not go with --transcript, which keeps what went over the wire.
    #[arg(long, help_heading = "Report")]
    pub anonymize: bool,
}
