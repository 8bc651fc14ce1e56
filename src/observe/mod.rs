//! What a server saw, as events of a run.
//!
//! The sandbox keeps its own record and knows nothing of runs; a stream of events knows nothing of servers. Here the one is
//! turned into the other, part by part.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Instant;

use crate::event::{LONGEST, Micros, What, WitnessCommands, WitnessSession, WitnessedCommand};
use crate::sandbox::{CloseCause, CommandRecord, SessionRecord};

/// The most commands of a line.
const COMMANDS_A_LINE: usize = 256;

/// The most bytes of a word of a client's: no line is too long with one, and none of ours is so long.
const LONGEST_WORD: usize = LONGEST / 16;

/// The most bytes that a line's commands may come to.
const ROOM: usize = LONGEST - LONGEST / 8;

/// How the names end that sessions label themselves by.
const LABEL: &str = ".mailconn.invalid";

/// Turns the sandbox's record into events: part by part, or all at once.
///
/// What it remembers grows with the number of open sessions alone.
#[derive(Debug)]
pub struct Testimony {
    /// When the run began: every event's time counts from here.
    clock: Instant,
    /// The sessions that had a part and are not over, by their numbers.
    open: BTreeMap<u64, Heard>,
}

/// What was heard of a session that is not over.
#[derive(Debug)]
struct Heard {
    peer_port: u16,
    claim: Claim,
    commands: u64,
}

/// Whose a session says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// The run.
    pub run_id: Option<String>,
    /// The session, by its label.
    pub label: Option<String>,
}

impl Claim {
    /// What the client has said by now: in IMAP by `ID`, in SMTP by its name. A session of POP3 says nothing.
    #[must_use]
    pub fn of(session: &SessionRecord) -> Self {
        let field = |name: &str| {
            let field = session.label.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            field.and_then(|(_, value)| value.as_deref())
        };
        let name = field("ehlo").filter(|name| name.ends_with(LABEL));
        let run_of = |name: &'_ str| name.split('.').find_map(|part| part.strip_prefix('r')).map(str::to_owned);
        Self {
            run_id: field("x-mailconn-run").map(str::to_owned).or_else(|| name.and_then(run_of)).map(cut),
            label: field("x-mailconn-session").or(name).map(str::to_owned).map(cut),
        }
    }
}

impl Testimony {
    /// `clock` is when the run began.
    #[must_use]
    pub const fn new(clock: Instant) -> Self {
        Self { clock, open: BTreeMap::new() }
    }

    /// The events that a part comes to, in their order: its commands, and the session's end if this is the last part.
    ///
    /// The parts must come as [`Record::take`](crate::sandbox::Record::take) returns them: those of a session in their
    /// order, and those of one port's sessions one session after the other.
    #[must_use]
    pub fn hear(&mut self, part: SessionRecord) -> Vec<What> {
        let claim = Claim::of(&part);
        let SessionRecord { number, peer_port, closed, commands, .. } = part;
        let before = self.open.get(&number).map_or(0, |heard| heard.commands);
        let heard = Heard { peer_port, claim, commands: before + commands.len() as u64 };
        let mut events = self.lines(peer_port, commands);
        match closed {
            Some((_, cause)) => {
                self.open.remove(&number);
                // It outlived the run: the server had to end it.
                let open = cause == CloseCause::Server;
                events.push(heard.over(cause == CloseCause::Logout, open));
            }
            None => drop(self.open.insert(number, heard)),
        }
        events
    }

    /// The record ends here: the events of the sessions that are not over.
    #[must_use]
    pub fn end(&mut self) -> Vec<What> {
        std::mem::take(&mut self.open).into_values().map(|heard| heard.over(false, true)).collect()
    }

    /// How many sessions it remembers.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.open.len()
    }

    fn lines(&self, peer_port: u16, commands: Vec<CommandRecord>) -> Vec<What> {
        let mut lines = Vec::new();
        let mut line = Vec::with_capacity(commands.len().min(COMMANDS_A_LINE));
        let mut length = 0;
        for command in commands {
            let command = self.command(command);
            let more = at_most(&command);
            if line.len() == COMMANDS_A_LINE || length + more > ROOM {
                lines.push(WitnessCommands { peer_port, commands: std::mem::take(&mut line) }.into());
                length = 0;
            }
            length += more;
            line.push(command);
        }
        if !line.is_empty() {
            lines.push(WitnessCommands { peer_port, commands: line }.into());
        }
        lines
    }

    fn command(&self, command: CommandRecord) -> WitnessedCommand {
        let CommandRecord { tag, verb, selected, at, .. } = command;
        WitnessedCommand {
            tag: cut(tag.into()),
            verb: Cow::Borrowed(verb),
            selected: selected
                .map(|name| if name.len() > LONGEST_WORD { cut((*name).to_owned()).into() } else { name }),
            at_us: Some(Micros::from(at.saturating_duration_since(self.clock))),
        }
    }
}

impl Heard {
    fn over(self, logged_out: bool, open: bool) -> What {
        let Self { peer_port, claim: Claim { run_id, label }, commands } = self;
        WitnessSession { peer_port, run_id, label, logged_out, open, commands }.into()
    }
}

/// The most bytes that the command can come to in its line: JSON writes up to six for one.
fn at_most(command: &WitnessedCommand) -> usize {
    const NAMES_AND_TIME: usize = 80;
    let selected = command.selected.as_deref().unwrap_or_default();
    NAMES_AND_TIME + 6 * (command.tag.len() + command.verb.len() + selected.len())
}

/// At most [`LONGEST_WORD`] bytes of it.
fn cut(mut word: String) -> String {
    if word.len() > LONGEST_WORD {
        let boundary = (0..=LONGEST_WORD).rev().find(|&at| word.is_char_boundary(at));
        word.truncate(boundary.unwrap_or_default());
    }
    word
}
