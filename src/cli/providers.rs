//! Providers that block accounts for unusual use: it needs `--yes`.

use anyhow::{Result, bail};

use super::settings::Server;
use mailconn::report::known::{self, Known};

/// The provider, if its host is known.
pub fn provider(server: &Server) -> Option<&'static Known> {
    match server {
        Server::Sandbox { .. } => None,
        Server::Real { endpoint, .. } => known::by_host(&endpoint.host),
    }
}

/// Nothing unusual is done to one that is known to block accounts for it, unless that was agreed to. `what` is what would be
/// done: `a probe`.
///
/// # Errors
/// It was not: one line, and the cure.
pub fn ensure_agreed(server: &Server, agreed: bool, what: &str) -> Result<()> {
    match provider(server).filter(|known| known.needs_yes() && !agreed) {
        None => Ok(()),
        Some(known) => bail!(
            "{} is known to block accounts for what looks unusual, as {what} may; add --yes if the account is one that can be \
             without mail for a while",
            known.name
        ),
    }
}
