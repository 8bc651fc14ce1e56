//! The table of operations. What a new one needs is its row here, and its run in its protocol's connection: the command line,
//! a run's plan, a scenario's grammar and the events read this table.
//!
//! The judge has the verbs of each unit a second time, on its own (`judge/units.rs`).

use std::fmt;

use super::endpoint::Protocol;

/// What is to be known of an operation, beside how it is run.
#[derive(Clone, Copy, Debug)]
pub struct OperationSpec {
    /// Whose operation it is.
    pub protocol: Protocol,
    /// The word used in every output, on the command line and in scenarios.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// The commands of its unit, in order. A refusal, or that there is nothing to read, ends a unit early.
    pub verbs: &'static [&'static str],
    /// What may follow its name in a scenario.
    pub args: &'static [Argument],
    /// Whether it reads the messages of a mailbox that is selected on its session. Its unit begins with EXAMINE; but that of
    /// a second half, which reads what is selected already.
    pub selects: bool,
    /// Whether it leaves something on the server, or does for a while: it needs leave to. One of IMAP does it in a scratch
    /// mailbox of its own.
    pub writes: bool,
    /// Whether it neither depends on a session's state nor changes it, so that those of several threads could go out
    /// together on one connection (rule A8).
    pub shares: bool,
    /// Its weight in a run that was given no mix: little for what costs much, 0 for what writes.
    pub usual_weight: u32,
}

/// What an operation can be told beside its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A mailbox that is there already; a scenario that names none means INBOX.
    Mailbox,
}

impl Argument {
    /// How the grammar writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mailbox => "[MAILBOX]",
        }
    }
}

impl OperationSpec {
    /// An operation that reads no mailbox, writes nothing and is picked only by its name.
    const PLAIN: Self = Self {
        protocol: Protocol::Imap,
        name: "",
        about: "",
        verbs: &[],
        args: &[],
        selects: false,
        writes: false,
        shares: false,
        usual_weight: 0,
    };

    /// The spec of the protocol's operation of that name, or of half a one.
    #[must_use]
    pub fn named(protocol: Protocol, name: &str) -> Option<&'static Self> {
        let all = Operation::ALL.iter().map(|operation| operation.spec()).chain(&HALVES);
        all.into_iter().find(|spec| spec.protocol == protocol && spec.name == name)
    }

    /// What the protocol's scenarios have as steps: operations, and halves of them.
    pub fn steps(protocol: Protocol) -> impl Iterator<Item = &'static Self> {
        let operations = Operation::ALL.iter().map(|operation| operation.spec()).filter(|spec| spec.is_step());
        operations.chain(&HALVES).filter(move |spec| spec.protocol == protocol)
    }

    /// Whether it works on a mailbox that is there already.
    #[must_use]
    pub fn needs_mailbox(&self) -> bool {
        self.args.contains(&Argument::Mailbox)
    }

    /// Whether a scenario can have it: there nobody would remove the mailbox that it left behind.
    #[must_use]
    pub const fn is_step(&self) -> bool {
        !self.needs_scratch()
    }

    /// Whether it makes a mailbox of its own to write to.
    #[must_use]
    pub const fn needs_scratch(&self) -> bool {
        matches!(self.protocol, Protocol::Imap) && self.writes
    }
}

/// A scenario's halves of an IMAP unit: to select, and to read what is selected.
static HALVES: [OperationSpec; 2] = [SELECT, FETCH_SELECTED];

/// The first half, whoever reads afterwards.
pub const SELECT: OperationSpec = OperationSpec {
    protocol: Protocol::Imap,
    name: "select",
    about: "EXAMINE",
    verbs: &["EXAMINE"],
    args: &[Argument::Mailbox],
    selects: true,
    ..OperationSpec::PLAIN
};

/// The second half of `fetch`.
pub const FETCH_SELECTED: OperationSpec = OperationSpec {
    protocol: Protocol::Imap,
    name: "fetch-selected",
    about: "FETCH from whatever is selected",
    verbs: &["FETCH"],
    selects: true,
    ..OperationSpec::PLAIN
};

/// Makes each protocol's enum and the table out of the rows: a row's comment is also what `--help` says of the operation.
macro_rules! operations {
    ($($(#[$doc:meta])* $protocol:ident: $enum:ident {
        $(#[doc = $about:literal] $variant:ident: $name:literal, [$($verb:literal)+] $(, $field:ident: $value:expr)*;)+
    })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
            pub enum $enum {
                $(#[doc = $about] $variant,)+
            }

            impl $enum {
                /// Its row of the table.
                #[must_use]
                pub const fn spec(self) -> &'static OperationSpec {
                    match self {
                        $(Self::$variant => const {
                            &OperationSpec {
                                protocol: Protocol::$protocol,
                                name: $name,
                                about: $about.trim_ascii(),
                                verbs: &[$($verb),+],
                                $($field: $value,)*
                                ..OperationSpec::PLAIN
                            }
                        },)+
                    }
                }

                /// The word used in every output and on the command line.
                #[must_use]
                pub const fn name(self) -> &'static str {
                    self.spec().name
                }
            }
        )+

        impl Operation {
            /// Every operation of every protocol.
            pub const ALL: &[Self] = &[$($(Self::$protocol($enum::$variant),)+)+];

            /// Its row of the table.
            #[must_use]
            pub const fn spec(self) -> &'static OperationSpec {
                match self {
                    $(Self::$protocol(operation) => operation.spec(),)+
                }
            }
        }
    };
}

operations! {
    /// One unit of work. Those that need a mailbox select it themselves, read-only, each time (rules A7 and B3).
    Imap: ImapOperation {
        /// NOOP
        Noop: "noop", ["NOOP"], shares: true, usual_weight: 3;
        /// LIST of all mailboxes
        List: "list", ["LIST"];
        /// STATUS of the mailbox: messages, unseen, next identifier
        Status: "status", ["STATUS"], args: &[Argument::Mailbox], shares: true, usual_weight: 1;
        /// EXAMINE, FETCH of the flags and main headers of the last 20 messages
        Fetch: "fetch", ["EXAMINE" "FETCH"], args: &[Argument::Mailbox], selects: true, usual_weight: 1;
        /// EXAMINE, SEARCH of the unseen messages
        Search: "search", ["EXAMINE" "SEARCH"], args: &[Argument::Mailbox], selects: true;
        /// CREATE of a mailbox of its own, APPEND of one message, DELETE of the mailbox
        Append: "append", ["CREATE" "APPEND" "DELETE"], writes: true;
    }

    /// One unit of work.
    Smtp: SmtpOperation {
        /// NOOP
        Noop: "noop", ["NOOP"], usual_weight: 3;
        /// RSET: the connection works, and no message is under way
        Verify: "verify", ["RSET"], usual_weight: 1;
        /// MAIL, RCPT and DATA: one message
        Send: "send", ["MAIL" "RCPT" "DATA"], writes: true;
    }

    /// One unit of work.
    Pop3: Pop3Operation {
        /// NOOP
        Noop: "noop", ["NOOP"], usual_weight: 3;
        /// STAT: how many messages the maildrop holds
        Stat: "stat", ["STAT"], usual_weight: 1;
        /// LIST: the size of each message
        List: "list", ["LIST"], usual_weight: 1;
        /// STAT, TOP of the last message, or RETR where the server knows no TOP
        Retrieve: "retrieve", ["STAT" "TOP"];
    }
}

/// One unit of work, of any protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Of IMAP.
    Imap(ImapOperation),
    /// Of SMTP.
    Smtp(SmtpOperation),
    /// Of POP3.
    Pop3(Pop3Operation),
}

/// No operation of the protocol has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no operation of {protocol} is called {name:?}; there are {}", names(*.protocol))]
pub struct UnknownOperation {
    /// Of which protocol.
    pub protocol: Protocol,
    /// The name that was given.
    pub name: String,
}

fn names(protocol: Protocol) -> String {
    Operation::all(protocol).map(Operation::name).collect::<Vec<_>>().join(", ")
}

impl Operation {
    /// Every operation of the protocol.
    pub fn all(protocol: Protocol) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |operation| operation.spec().protocol == protocol)
    }

    /// The protocol's operation of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn parse(protocol: Protocol, name: &str) -> Result<Self, UnknownOperation> {
        let unknown = || UnknownOperation { protocol, name: name.to_owned() };
        Self::all(protocol).find(|operation| operation.name() == name).ok_or_else(unknown)
    }

    /// The word used in every output and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// Whether it works on a mailbox that is there already.
    #[must_use]
    pub fn needs_mailbox(self) -> bool {
        self.spec().needs_mailbox()
    }

    /// Whether it reads the messages of a mailbox that it has to select first.
    #[must_use]
    pub const fn selects(self) -> bool {
        self.spec().selects
    }

    /// Whether it leaves something on the server, or does for a while: it needs leave to.
    #[must_use]
    pub const fn writes(self) -> bool {
        self.spec().writes
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
