//! The name that a client gives itself (RFC 5321 §4.1.1.1).

use std::net::IpAddr;

use lettre::transport::smtp::extension::ClientId;

use crate::allocator::SessionId;

/// Names that end like this are labels of ours. Nobody can have such a domain (RFC 2606).
const LABELS: &str = "mailconn.invalid";

/// What a session calls itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EhloName {
    /// The address of its own end, as an address literal: always valid (RFC 5321 §4.1.3), and always true.
    #[default]
    Address,
    /// This name.
    Name(String),
    /// A name made of session and run, `c3-2.r9f2c41d07a6b.mailconn.invalid`: servers log it.
    Label,
}

impl EhloName {
    /// The name of that session, and whether it is its label.
    pub(super) fn of(&self, session: SessionId, run_id: &str, local: IpAddr) -> (ClientId, bool) {
        match self {
            Self::Address => match local {
                IpAddr::V4(address) => (ClientId::Ipv4(address), false),
                IpAddr::V6(address) => (ClientId::Ipv6(address), false),
            },
            Self::Name(name) => (ClientId::Domain(name.clone()), false),
            Self::Label => {
                let SessionId { connection, number } = session;
                let name = format!("c{}-{number}.r{run_id}.{LABELS}", connection.0);
                (ClientId::Domain(name), true)
            }
        }
    }
}
