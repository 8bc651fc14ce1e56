//! The server's record of a session has as many commands as it says.

use std::collections::BTreeMap;

use super::checks::{Checks, Rule};
use super::seen::Seen;
use crate::event::What;

/// The commands read of each session that is not over, by the client's port.
#[derive(Debug, Default)]
pub(super) struct Witnessed {
    read: BTreeMap<u16, u64>,
}

impl Witnessed {
    pub(super) fn see(&mut self, seen: &mut Seen<'_>) {
        match seen.what {
            What::WitnessCommands(it) => *self.read.entry(it.peer_port).or_default() += it.commands.len() as u64,
            What::WitnessSession(it) => {
                let (read, said) = (self.read.remove(&it.peer_port).unwrap_or_default(), it.commands);
                seen.check(Rule::Witness, read == said, || {
                    format!(
                        "the server read {said} commands on port {}, and {read} of them are in the file",
                        it.peer_port
                    )
                });
            }
            _ => {}
        }
    }

    pub(super) fn end(&self, checks: &mut Checks) {
        for port in self.read.keys() {
            checks.check_unless_interrupted(Rule::Witness, None, false, || {
                format!("the server's record of the session on port {port} has no end")
            });
        }
    }
}
