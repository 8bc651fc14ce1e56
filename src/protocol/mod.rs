//! Mail protocols on our own socket layer. It knows the allocator only as the [`Connector`](crate::allocator::Connector)
//! that it implements, and nothing of workloads, records or reports.

mod capabilities;
mod carry;
mod classify;
mod command;
mod credentials;
mod dial;
pub mod endpoint;
pub mod failure;
pub mod imap;
mod letter;
mod lines;
mod live;
mod mail;
mod opening;
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
pub use classify::refusal;
pub use command::{Command, Tag, Verb};
pub use credentials::{Credentials, Tokens};
pub use dial::Family;
pub use endpoint::{Endpoint, EndpointError, Protocol, Security};
pub use failure::{Failure, FailureKind, Stage, printable};
pub use imap::{Answer, ImapConnection, ImapConnector, ImapOperation, Reply, Scratch};
pub use letter::{Letter, LetterError, Stationery};
pub use mail::{Job, MailConnection, MailConnector, Operation, UnknownOperation};
pub use opening::{DialFailure, Phases};
pub use pop3::{Pop3Connection, Pop3Connector, Pop3Operation};
pub use sasl::{Mechanism, UnknownMechanism, Way};
pub use secret::Secret;
pub use session::{DialEvent, DialWatch, Established};
pub use settings::Settings;
pub use signin::SignInGate;
pub use smtp::{EhloName, SmtpConnection, SmtpConnector, SmtpOperation};
pub use stream::{TlsDetails, Traffic};
pub use tls::{Certificate, PemFile, Tls, TlsSettings, TlsSettingsError, TlsVersion};
pub use transcript::{Transcripts, TranscriptsError};
