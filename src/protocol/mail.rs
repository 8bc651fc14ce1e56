//! The three protocols as one connector: what a workload drives without knowing which of them it is.

use std::time::{Duration, Instant};

use super::command::{Command, Verb};
use super::credentials::Credentials;
use super::endpoint::Protocol;
use super::failure::{Failure, FailureKind, Stage};
use super::imap::{Answer, ImapConnection, ImapConnector};
use super::letter::Letter;
use super::opening::DialFailure;
use super::operation::{ImapOperation, Operation, SmtpOperation};
use super::pop3::{Pop3Connection, Pop3Connector};
use super::session::Established;
use super::settings::Settings;
use super::smtp::{SmtpConnection, SmtpConnector};
use super::stream::Traffic;
use crate::allocator::{Connector, SessionId};

/// What a unit works on, beside its connection. What it has no use for is passed over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Job<'a> {
    /// IMAP: the mailbox, as people write it.
    pub mailbox: &'a str,
    /// What `append` and `send` need.
    pub letter: Option<&'a Letter>,
}

/// Opens connections of one account, of whichever protocol its endpoint names. Sharing it shares the careful sign-in
/// (rule B6) and the cancellation.
pub enum MailConnector {
    /// To an IMAP server.
    Imap(ImapConnector),
    /// To an SMTP server.
    Smtp(SmtpConnector),
    /// To a POP3 server.
    Pop3(Pop3Connector),
}

/// One session. Dropping it closes the socket without a goodbye.
pub enum MailConnection {
    /// Of IMAP.
    Imap(ImapConnection),
    /// Of SMTP.
    Smtp(SmtpConnection),
    /// Of POP3.
    Pop3(Pop3Connection),
}

impl MailConnector {
    /// A connector for that account. Touches no network.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        match settings.endpoint.protocol {
            Protocol::Imap => Self::Imap(ImapConnector::new(settings)),
            Protocol::Smtp => Self::Smtp(SmtpConnector::new(settings)),
            Protocol::Pop3 => Self::Pop3(Pop3Connector::new(settings)),
        }
    }

    /// Ends everything, from any thread: dials fail at once, and every open socket is shut down so that what blocks
    /// on it returns. All of them fail as `disposed`. There is no way back.
    pub fn cancel(&self) {
        match self {
            Self::Imap(connector) => connector.cancel(),
            Self::Smtp(connector) => connector.cancel(),
            Self::Pop3(connector) => connector.cancel(),
        }
    }

    /// From now on signs in with these, from any thread. Sessions that are open stay open.
    ///
    /// A new password, or another source of tokens, opens the gate again that a refused sign-in has shut: one dial at a time
    /// signs in until one has succeeded (rule B6). A secret that was refused is not presented again, and what a server stated
    /// to wait is waited for.
    ///
    /// ```
    /// # use std::net::TcpListener;
    /// # use mailconn::allocator::Client;
    /// # use mailconn::protocol::{Endpoint, MailConnector, Secret, Settings};
    /// # use mailconn::sandbox::{Options, Sandbox, User};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let users = vec![User::new("ann", "secret")];
    /// # let server = Sandbox::start(TcpListener::bind("127.0.0.1:0")?, Options { users, ..Options::default() })?;
    /// let endpoint = Endpoint::parse(&format!("imap://ann@{}", server.address()), None)?;
    /// let settings = Settings::new(endpoint, Secret::new("mistyped".to_owned()).into());
    /// let client = Client::builder(MailConnector::new(settings)).build();
    /// assert!(client.lease().is_err()); // refused by the server
    /// assert!(client.lease().is_err()); // not tried: it would be refused again
    ///
    /// client.connector().set_credentials(Secret::new("secret".to_owned()).into());
    /// client.lease()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_credentials(&self, credentials: Credentials) {
        match self {
            Self::Imap(connector) => connector.set_credentials(credentials),
            Self::Smtp(connector) => connector.set_credentials(credentials),
            Self::Pop3(connector) => connector.set_credentials(credentials),
        }
    }

    /// Opens a session: connects, secures, signs in and labels it, all within the connect timeout.
    ///
    /// # Errors
    /// [`DialFailure`], also when an earlier sign-in of this connector was refused: then no TCP connection is opened.
    pub fn dial(&self, session: SessionId) -> Result<MailConnection, DialFailure> {
        match self {
            Self::Imap(connector) => connector.dial(session).map(MailConnection::Imap),
            Self::Smtp(connector) => connector.dial(session).map(MailConnection::Smtp),
            Self::Pop3(connector) => connector.dial(session).map(MailConnection::Pop3),
        }
    }
}

impl MailConnection {
    /// What the dial came to.
    #[must_use]
    pub fn established(&self) -> &Established {
        match self {
            Self::Imap(connection) => connection.established(),
            Self::Smtp(connection) => connection.established(),
            Self::Pop3(connection) => connection.established(),
        }
    }

    /// The commands of the last unit, as they left on the socket.
    #[must_use]
    pub fn commands(&self) -> &[Command] {
        match self {
            Self::Imap(connection) => connection.commands(),
            Self::Smtp(connection) => connection.commands(),
            Self::Pop3(connection) => connection.commands(),
        }
    }

    /// The command at which the last unit failed, if it did: commands may follow it that tidy up. None if none had left.
    #[must_use]
    pub fn failed_command(&self) -> Option<Verb> {
        let failed = match self {
            Self::Imap(connection) => connection.failed_command(),
            Self::Smtp(connection) => connection.failed_command(),
            Self::Pop3(_) => None,
        };
        failed.or_else(|| self.commands().last().map(|command| command.verb))
    }

    /// How long the last unit waited, when the server had refused it, to see whether it closes with that: nobody was served
    /// then.
    #[must_use]
    pub fn lingered(&self) -> Duration {
        match self {
            Self::Imap(connection) => connection.lingered(),
            Self::Smtp(connection) => connection.lingered(),
            Self::Pop3(connection) => connection.lingered(),
        }
    }

    /// What went over the socket so far.
    #[must_use]
    pub fn bytes(&self) -> Traffic {
        match self {
            Self::Imap(connection) => connection.bytes(),
            Self::Smtp(connection) => connection.bytes(),
            Self::Pop3(connection) => connection.bytes(),
        }
    }

    /// What the last reply proves of the mailbox that it came from; none if it read no mailbox's messages.
    #[must_use]
    pub fn answered_by(&self) -> Option<&Answer> {
        match self {
            Self::Imap(connection) => connection.answered_by(),
            Self::Smtp(_) | Self::Pop3(_) => None,
        }
    }

    /// Whether the session must not be used again (rule B1).
    #[must_use]
    pub fn is_broken(&self) -> bool {
        match self {
            Self::Imap(connection) => connection.is_broken(),
            Self::Smtp(connection) => connection.is_broken(),
            Self::Pop3(connection) => connection.is_broken(),
        }
    }

    /// Whether the server has ended the session while nobody used it. Sends nothing and takes nothing: what the server said
    /// with it is told by the next unit, or by the goodbye.
    #[must_use]
    pub fn has_hung_up(&self) -> bool {
        match self {
            Self::Imap(connection) => connection.has_hung_up(),
            Self::Smtp(connection) => connection.has_hung_up(),
            Self::Pop3(connection) => connection.has_hung_up(),
        }
    }

    /// Runs one unit; how many items the server named, as each protocol's operation counts them.
    ///
    /// # Errors
    /// [`Failure`] at stage `operation`; `internal` if the operation is another protocol's.
    pub fn run(&mut self, operation: Operation, job: &Job<'_>) -> Result<u32, Failure> {
        match (self, operation) {
            (Self::Imap(connection), Operation::Imap(ImapOperation::Append)) => {
                connection.append(job.mailbox, job.letter.ok_or_else(no_letter)?)
            }
            (Self::Imap(connection), Operation::Imap(operation)) => {
                connection.run(operation, job.mailbox).map(|reply| reply.items)
            }
            (Self::Smtp(connection), Operation::Smtp(SmtpOperation::Send)) => {
                connection.send(job.letter.ok_or_else(no_letter)?)
            }
            (Self::Smtp(connection), Operation::Smtp(operation)) => connection.run(operation),
            (Self::Pop3(connection), Operation::Pop3(operation)) => connection.run(operation),
            (_, operation) => {
                let message = format!("{operation} is no operation of this connection's protocol");
                Err(Failure::new(FailureKind::Internal, Stage::Operation, message))
            }
        }
    }

    /// Signs out, by `deadline` at the latest. The session is of no use afterwards.
    ///
    /// # Errors
    /// [`Failure`] at stage `logout`, when the session had broken before or the server did not answer in time.
    pub fn logout(&mut self, deadline: Instant) -> Result<(), Failure> {
        match self {
            Self::Imap(connection) => connection.logout(deadline),
            Self::Smtp(connection) => connection.logout(deadline),
            Self::Pop3(connection) => connection.logout(deadline),
        }
    }
}

fn no_letter() -> Failure {
    Failure::new(FailureKind::Internal, Stage::Operation, "no letter was given to an operation that sends one")
}

impl Connector for MailConnector {
    type Connection = MailConnection;
    type Error = DialFailure;

    fn connect(&self, session: SessionId) -> Result<MailConnection, DialFailure> {
        self.dial(session)
    }

    fn has_broken(&self, connection: &mut MailConnection) -> bool {
        connection.is_broken()
    }

    fn close(&self, mut connection: MailConnection, deadline: Instant) {
        // The connection goes either way, and nobody is left to tell.
        let _ = connection.logout(deadline);
    }
}
