//! Mail protocols on our own socket layer. It knows the allocator only as the [`Connector`](crate::allocator::Connector)
//! that it implements, and nothing of workloads, records or reports.

mod classify;
mod dial;
pub mod endpoint;
pub mod failure;
pub mod imap;
mod live;
mod secret;
mod signin;
mod stream;
pub mod tls;

pub use classify::refusal;
pub use endpoint::{Endpoint, EndpointError, Security};
pub use failure::{Failure, FailureKind, Stage, printable};
pub use imap::{
    Command, DialFailure, ImapConnection, ImapConnector, ImapOperation, ImapSettings, Phases, Reply, Tag, Verb,
};
pub use secret::Secret;
pub use signin::SignInGate;
pub use stream::{TlsDetails, Traffic};
pub use tls::{TlsSettings, TlsSettingsError};
