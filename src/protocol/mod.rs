//! Mail protocols on our own socket layer. It knows the allocator only as the [`Connector`](crate::allocator::Connector)
//! that it implements, and nothing of workloads, records or reports.

mod capabilities;
mod carry;
mod classify;
mod command;
mod credentials;
mod cure;
mod dial;
pub mod endpoint;
pub mod failure;
pub mod imap;
mod letter;
mod lines;
mod live;
mod mail;
mod opening;
mod operation;
pub mod pop3;
mod sasl;
mod secret;
mod session;
mod settings;
mod signin;
pub mod smtp;
mod stream;
pub mod tls;
pub mod transcript;

pub use capabilities::Capabilities;
pub use classify::{
    StatedWait, comes_about_at, is_unit_of_time, refusal, refusal_of, stated_period, stated_wait, written_number,
};
pub(crate) use classify::{is_about_a_lock, spaced};
pub use command::{Command, Tag, Verb};
pub use credentials::{Credentials, Tokens};
pub(crate) use cure::is_about_a_session;
pub use dial::Family;
pub use endpoint::{Endpoint, EndpointError, Protocol, Security};
pub use failure::{Failure, FailureKind, Stage, printable};
pub(crate) use imap::mailbox_as_sent;
pub use imap::{Answer, ImapConnection, ImapConnector, Reply, Scratch};
pub use letter::{Letter, LetterError, Stationery};
pub use mail::{Job, MailConnection, MailConnector};
pub use opening::DialFailure;
pub use operation::{
    Argument, FETCH_SELECTED, ImapOperation, Operation, OperationSpec, Pop3Operation, SELECT, SmtpOperation,
    UnknownOperation,
};
pub use pop3::{Pop3Connection, Pop3Connector};
pub use sasl::{Mechanism, UnknownMechanism, UnknownWay, Way};
pub use secret::Secret;
pub(crate) use secret::are_usual;
pub use session::{DialEvent, DialWatch, Established, Phases};
pub use settings::{MayDial, Settings, Starved};
pub use signin::SignInGate;
pub use smtp::{EhloName, SmtpConnection, SmtpConnector};
pub use stream::{TlsDetails, Traffic};
pub use tls::{Certificate, PemFile, Tls, TlsSettings, TlsSettingsError, TlsVersion, UnknownTlsVersion};
pub use transcript::{Transcripts, TranscriptsError};
