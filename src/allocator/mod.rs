//! Which connection does an operation use? The heart: std only, no sockets, no printing.
//!
//! Read `mode.rs` beside the rules; the rest is plumbing around it.

mod connector;
mod error;
mod id;
mod mode;

pub use connector::Connector;
pub use error::{Awaited, Error, Refusal};
pub use id::{ConnectionId, SessionId};
pub use mode::{Kind, Mode, Reason, may_create_default, route};
