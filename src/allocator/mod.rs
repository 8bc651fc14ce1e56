//! Which connection does an operation use? The heart: std only, no sockets, no printing.
//!
//! Read `mode.rs` beside the rules; the rest is plumbing around it.

mod capacity;
mod client;
mod closing;
mod connector;
mod error;
mod event;
mod handle;
mod id;
mod lease;
mod line;
mod mode;
mod shared;
mod slot;
mod sync;
mod thread;

pub use client::{Builder, Client};
pub use connector::Connector;
pub use error::{Awaited, Error, Refusal};
pub use event::{Disposal, Event, Observer};
pub use handle::{Connection, DefaultConnection, ThreadScope};
pub use id::{ConnectionId, SessionId};
pub use lease::{Assignment, Decision, Lease};
pub use mode::{Kind, Mode, Reason, UnknownMode, may_create_default, route};
