//! The server's record of a session has as many commands as it says, in the order in which it read them.

use std::collections::BTreeMap;

use super::checks::{Checks, Rule};
use super::seen::Seen;
use crate::event::{Micros, Tag, What, WitnessCommands};

/// The commands read of each session that is not over, by the client's port.
#[derive(Debug, Default)]
pub(super) struct Witnessed {
    read: BTreeMap<u16, Read>,
    /// The first line that has a command which was read later, and when that line was.
    early: Option<(u64, Micros)>,
}

/// What the server read on a session so far.
#[derive(Debug, Default)]
struct Read {
    commands: u64,
    said_goodbye: bool,
    last: (u32, Micros),
    /// The first line with commands that cannot have come in that order from one client of ours.
    disorder: Option<u64>,
}

impl Witnessed {
    pub(super) fn see(&mut self, seen: &mut Seen<'_>) {
        match seen.what {
            What::WitnessCommands(it) => {
                let read = self.read.entry(it.peer_port).or_default();
                read.see(seen.seq, seen.start.protocol.goodbye(), it);
                if read.last.1 > seen.at {
                    self.early.get_or_insert((seen.seq, seen.at));
                }
            }
            What::WitnessSession(it) => {
                let Read { commands: read, said_goodbye, disorder, .. } =
                    self.read.remove(&it.peer_port).unwrap_or_default();
                let said = it.commands;
                seen.check(Rule::Witness, read == said, || {
                    format!(
                        "the server read {said} commands on port {}, and {read} of them are in the file",
                        it.peer_port
                    )
                });
                seen.check(Rule::Witness, !it.logged_out || (said_goodbye && !it.open), || {
                    format!("the session on port {} logged out, and said no goodbye or was open still", it.peer_port)
                });
                // Of another's session the tags are unknown.
                let is_foreign = it.run_id.as_ref().is_some_and(|run| *run != seen.start.run_id);
                if let Some(line) = disorder.filter(|_| !is_foreign) {
                    seen.checks.check(Rule::Witness, line, false, || {
                        format!("the server read commands on port {} in another order, or at no time", it.peer_port)
                    });
                }
                seen.check(Rule::Witness, it.run_id.is_some() == it.label.is_some(), || {
                    format!(
                        "the session on port {} has a label without its run, or a run without its label",
                        it.peer_port
                    )
                });
            }
            _ => {}
        }
    }

    pub(super) fn end(&self, ended: Option<Micros>, checks: &mut Checks) {
        for port in self.read.keys() {
            checks.check_unless_interrupted(Rule::Witness, None, false, || {
                format!("the server's record of the session on port {port} has no end")
            });
        }
        // What the server read while the run ended is told of as of its end.
        if let Some((line, at)) = self.early.filter(|(_, at)| ended.is_some_and(|ended| *at < ended)) {
            checks
                .check(Rule::Witness, line, false, || format!("it is of {at}, and has a command that was read later"));
        }
    }
}

impl Read {
    fn see(&mut self, line: u64, goodbye: &str, it: &WitnessCommands) {
        self.commands += it.commands.len() as u64;
        for command in &it.commands {
            self.said_goodbye |= command.verb == goodbye;
            let (tag, at) = (command.tag.parse::<Tag>().map_or(0, |tag| tag.number), command.at_us);
            let holds = tag > self.last.0 && at.is_some_and(|at| at >= self.last.1);
            if !holds {
                self.disorder.get_or_insert(line);
            }
            self.last = (tag.max(self.last.0), at.unwrap_or_default().max(self.last.1));
        }
    }
}
