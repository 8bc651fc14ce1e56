//! What SMTP and POP3 have in common: command lines out, reply lines in, each within one deadline and with a bound.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::{Zeroize, Zeroizing};

use super::classify::{Carried, is_goodbye, refusal_shown_as};
use super::command::{Command, Tag, Verb};
use super::cure::Circumstances;
use super::failure::{Failure, FailureKind, Stage};
use super::live::{Link, Live, cancelled};
use super::opening::{LEAVING, SPOKE_HALF, WHOLE_WITHIN};
use super::secret::Mask;
use super::settings::Account;
use super::stream::{Stream, Traffic};

/// The longest line of a reply, in bytes: one of a message that somebody wrote without a line end.
const MAX_LINE: usize = 4 << 20;
/// The most that one unit's reply may bring, in bytes.
const MAX_REPLY: u64 = 64 << 20;
/// What is shown of a line is cut here, in bytes.
const MAX_SHOWN: usize = 2048;
/// So many lines beside the one that tells are kept of a reply.
const MOST_FURTHER: usize = 8;
/// One read from the socket.
const READ: usize = 16 << 10;
/// The buffer is given back to the system when it has grown past this.
const KEPT: usize = 256 << 10;

/// One session's stream. Dropping it closes the socket without a goodbye.
pub(super) struct Lines {
    stream: Stream,
    live: Arc<Live>,
    /// Finds the password in the lines that are shown.
    mask: Arc<Mask>,
    /// What the unit's commands bring along.
    carried: Carried,
    /// Where a failure happens now.
    stage: Stage,
    /// By when the unit must have ended.
    deadline: Instant,
    /// What was read; what stands before `taken` was handed out.
    buffer: Vec<u8>,
    taken: usize,
    /// Command lines that are still to be written; a password may be among them.
    out: Zeroizing<Vec<u8>>,
    heads: Heads,
    /// The unit's commands as they left on the socket.
    commands: Vec<Command>,
    received_before: u64,
    /// The first thing that went wrong with the stream: nothing is read or written after it.
    trouble: Option<Failure>,
    unasked: Unasked,
    /// What is read now is what nobody asked for.
    is_unasked: bool,
    /// What decides what can be done about a failure.
    pub(super) known: Circumstances,
    /// Shows a session's course to others; a dial has none yet.
    pub(super) link: Option<Arc<Link>>,
}

/// Reads what a server says without being asked, and tells what that means; the lines are given up with it.
pub(super) type Unasked = fn(&mut Lines) -> Failure;

impl Lines {
    pub(super) fn new(stream: Stream, account: &Account, deadline: Instant, unasked: Unasked) -> Self {
        Self {
            stream,
            live: Arc::clone(&account.live),
            mask: Arc::clone(&account.mask),
            carried: Carried::by(&account.settings.endpoint.user),
            stage: Stage::Greeting,
            deadline,
            buffer: Vec::new(),
            taken: 0,
            out: Zeroizing::default(),
            heads: Heads::default(),
            commands: Vec::new(),
            received_before: 0,
            trouble: None,
            unasked,
            is_unasked: false,
            known: account.circumstances(),
            link: None,
        }
    }

    /// A new unit: its commands, its reply and its deadline. What the last one left unread stays.
    pub(super) fn begin(&mut self, stage: Stage, deadline: Instant) {
        self.stage = stage;
        self.deadline = deadline;
        self.commands.clear();
        self.carried.begin();
        self.out.zeroize();
        self.received_before = self.stream.traffic().received;
        if let Some(link) = &self.link {
            link.asks();
        }
    }

    pub(super) fn set_stage(&mut self, stage: Stage) {
        self.stage = stage;
    }

    /// The unit's commands bring that along: a server that repeats it says nothing by it.
    pub(super) fn carry(&mut self, name: impl Into<String>) {
        self.carried.add(name);
    }

    /// The same of a host's name.
    pub(super) fn carry_host(&mut self, name: &str) {
        self.carried.add_host(name);
    }

    /// The unit's commands so far, as they left on the socket.
    pub(super) fn commands(&self) -> &[Command] {
        &self.commands
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.stream.traffic()
    }

    pub(super) fn received_in_unit(&self) -> u64 {
        self.stream.traffic().received - self.received_before
    }

    /// The stream below, for the TLS upgrade.
    pub(super) fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Whether the stream must not be used again.
    pub(super) fn is_broken(&self) -> bool {
        self.trouble.is_some()
    }

    /// Gives the stream up for that reason; the first one counts.
    pub(super) fn give_up(&mut self, failure: Failure) -> Failure {
        let failure = if self.live.is_cancelled() { cancelled(self.stage) } else { failure };
        self.trouble.get_or_insert(failure).clone()
    }

    /// Whether the server sent what nobody took: after the reply to STARTTLS there must be nothing.
    pub(super) fn hears(&mut self) -> bool {
        self.has_unread() || matches!(self.stream.read_ready(&mut [0]), Ok(1..))
    }

    /// Whether the server closes now: a refusal that nobody asked for is its goodbye then.
    pub(super) fn hears_the_end(&mut self) -> bool {
        self.stream.set_deadline(self.deadline.min(Instant::now() + WHOLE_WITHIN));
        let timeout = |error: &io::Error| matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock);
        !self.has_unread() && self.stream.read(&mut [0]).map_or_else(|error| !timeout(&error), |count| count == 0)
    }

    /// Whether the server has said something without being asked, or has closed. Takes nothing.
    pub(super) fn has_news(&self) -> bool {
        self.is_broken() || self.has_unread() || self.link.as_ref().is_some_and(|link| link.has_news())
    }

    fn has_unread(&self) -> bool {
        self.taken < self.buffer.len()
    }

    /// Hears what came without being asked for, if something did; does not wait for it.
    ///
    /// A server that ends an idle session says so unasked: `421 Idle timeout` (lettre/lettre#743). That must not be taken
    /// for the answer to the next command.
    ///
    /// # Errors
    /// The server said something, has closed, or the stream has broken otherwise.
    pub(super) fn expect_silence(&mut self) -> Result<(), Failure> {
        if !self.has_unread() {
            match self.fill(Wait::No) {
                Ok(()) => {}
                Err(Pump::Nothing) => return Ok(()),
                Err(Pump::Failed(failure)) => return Err(failure),
            }
        }
        Err(self.spoken_to_unasked())
    }

    /// What was said unasked, and what that means; all of it must come soon (rule B1).
    fn spoken_to_unasked(&mut self) -> Failure {
        self.deadline = self.deadline.min(Instant::now() + WHOLE_WITHIN);
        self.is_unasked = true;
        (self.unasked)(self)
    }

    /// Adds a command line, which [`send`](Self::send) writes. The caller vouches that it holds no line end.
    pub(super) fn say(&mut self, line: &str) {
        self.out.extend_from_slice(line.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// Writes the command lines, in one go.
    pub(super) fn send(&mut self) -> Result<(), Failure> {
        let mut out = std::mem::take(&mut self.out);
        let done = self.write(&out, true);
        out.zeroize();
        self.out = out;
        done
    }

    /// Writes what is no command: a line of a SASL exchange, a message.
    pub(super) fn send_content(&mut self, content: &[u8]) -> Result<(), Failure> {
        self.write(content, false)
    }

    fn write(&mut self, mut bytes: &[u8], are_commands: bool) -> Result<(), Failure> {
        if let Some(trouble) = &self.trouble {
            return Err(trouble.clone());
        }
        if !matches!(self.stage, Stage::Operation | Stage::Logout) {
            // A dial has pauses of ours: a handshake, a token that is fetched. A unit was looked at when it began.
            self.expect_silence()?;
        } else if self.has_unread() {
            // All replies were read: what is left would be taken for the next one.
            return Err(self.spoken_to_unasked());
        }
        self.stream.set_deadline(self.deadline);
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(count) => {
                    if are_commands {
                        self.heads.push(&bytes[..count], &mut self.commands);
                    }
                    bytes = &bytes[count..];
                }
                Err(error) => {
                    self.hear_out();
                    let has_last_words = self.buffer[self.taken..].contains(&b'\n');
                    return Err(if has_last_words { self.spoken_to_unasked() } else { self.io_failed(&error) });
                }
            }
        }
        Ok(())
    }

    /// QUIT before a session exists. Whether the server still answers is of no interest.
    pub(super) fn leave(&mut self) {
        if !self.is_broken() {
            self.begin(Stage::Logout, Instant::now() + LEAVING);
            self.say("QUIT");
            let _ = self.send().and_then(|()| self.line().map(|_| ()));
        }
    }

    /// The end of a session: `quit` says QUIT and hears the reply, by `deadline`. The stream is of no use afterwards.
    pub(super) fn sign_out(
        &mut self,
        deadline: Instant,
        quit: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let closed = |message| Failure::new(FailureKind::Closed, Stage::Logout, message);
        self.begin(Stage::Logout, deadline);
        if self.is_broken() {
            return Err(closed("the session had broken; it was closed without QUIT"));
        }
        self.expect_silence()?;
        let done = quit(self);
        if let Some(link) = self.link.as_ref().filter(|_| done.is_ok()) {
            link.ends();
        }
        self.give_up(closed("the session was signed out"));
        done
    }

    /// The next line of the reply, without its line end.
    pub(super) fn line(&mut self) -> Result<&[u8], Failure> {
        let mut searched = self.taken;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let (start, end) = (self.taken, searched + end);
                self.taken = end + 1;
                let line = &self.buffer[start..end];
                return Ok(line.strip_suffix(b"\r").unwrap_or(line));
            }
            if self.buffer.len() - self.taken > MAX_LINE {
                let message = "a line of the reply is longer than 4 MiB; this is no mail server, or a hostile one";
                return Err(self.unreadable(message));
            }
            if self.received_in_unit() > MAX_REPLY {
                let message = "the reply is longer than 64 MiB; ask for less, or look at what the server sends";
                return Err(self.unreadable(message));
            }
            // What was taken makes room for what comes.
            self.buffer.drain(..self.taken);
            self.taken = 0;
            if self.buffer.is_empty() {
                self.buffer.shrink_to(KEPT);
            }
            searched = self.buffer.len();
            match self.fill(Wait::ForIt) {
                Ok(()) => {}
                Err(Pump::Failed(failure)) => return Err(failure),
                Err(Pump::Nothing) => return Err(self.io_failed(&io::ErrorKind::TimedOut.into())),
            }
        }
    }

    /// The same, which the next call hands out again.
    pub(super) fn peek_line(&mut self) -> Result<&[u8], Failure> {
        self.line()?;
        let end = self.taken;
        let start = self.buffer[..end - 1].iter().rposition(|byte| *byte == b'\n').map_or(0, |before| before + 1);
        self.taken = start;
        let line = &self.buffer[start..end - 1];
        Ok(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// The reply is not the protocol: the stream is out of step from here on.
    pub(super) fn unreadable(&mut self, message: &str) -> Failure {
        let failure = Failure::new(FailureKind::Protocol, self.stage, message);
        self.give_up(failure)
    }

    /// The same, about a line of the server.
    pub(super) fn unreadable_line(&mut self, message: &str, line: &[u8]) -> Failure {
        let failure = Failure::new(FailureKind::Protocol, self.stage, message);
        let failure = self.with_line(failure, line);
        self.give_up(failure)
    }

    /// What a refusal means, fit to be shown. With a goodbye the stream is given up.
    pub(super) fn refused(&mut self, line: &[u8]) -> Failure {
        let own = self.mask.own_words(line);
        let failure = refusal_shown_as(&own, &self.masked(line), self.stage, self.carried.names());
        if is_goodbye(line) { self.give_up(failure) } else { failure }
    }

    /// What the server refused: where it closes with that, the stream is given up for it.
    pub(super) fn hear_the_end(&mut self, failure: Failure) -> Failure {
        let closes = |link: &Arc<Link>| link.closes_with(&failure, self.deadline);
        if self.is_broken() || !self.link.as_ref().is_some_and(closes) {
            return failure;
        }
        self.known.closes_with_it = true;
        self.give_up(failure)
    }

    /// The end of a unit: its failure says what can be done about it.
    pub(super) fn over<T>(&mut self, done: Result<T, Failure>) -> Result<T, Failure> {
        if let Some(link) = self.link.as_ref().filter(|_| !self.is_broken()) {
            link.goes_on(done.as_ref().err());
        }
        done.map_err(|mut failure| {
            if let Some(link) = self.link.as_ref().filter(|_| self.is_broken()) {
                failure = link.told(failure);
            }
            self.known.is_given_up = self.is_broken();
            self.known.judge_with(failure, &self.live)
        })
    }

    /// How long the unit waited to hear the end, when all was said.
    pub(super) fn lingered(&self) -> Duration {
        self.link.as_ref().map_or(Duration::ZERO, |link| link.lingered())
    }

    /// What a refusal means that answers no command: the server ends the session with it.
    pub(super) fn goodbye(&mut self, line: &[u8]) -> Failure {
        let mut failure = self.refused(line);
        use FailureKind::{LimitConnections, LimitRate, ServerUnavailable};
        let tells_more = matches!(failure.kind, LimitConnections | LimitRate | ServerUnavailable);
        if !tells_more {
            failure.kind = FailureKind::ServerBye;
            "the server ended the session".clone_into(&mut failure.message);
        }
        self.give_up(failure)
    }

    /// The whole lines that came already and nobody took; they are taken.
    pub(super) fn take_read(&mut self) -> Vec<Vec<u8>> {
        let whole = self.buffer.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let read = self.buffer.get(self.taken..whole).unwrap_or_default();
        let lines = read.split_inclusive(|byte| *byte == b'\n').map(|line| line.trim_ascii_end().to_vec()).collect();
        self.taken = self.taken.max(whole);
        lines
    }

    /// The failure with other lines of the same reply, of which so many are kept.
    pub(super) fn with_further(&self, failure: Failure, lines: &[Vec<u8>]) -> Failure {
        failure.with_further(lines.iter().take(MOST_FURTHER).map(|line| self.masked(line)))
    }

    /// The failure with a line of the server.
    pub(super) fn with_line(&self, failure: Failure, line: &[u8]) -> Failure {
        failure.with_line(&self.masked(line))
    }

    /// The line without the password where the server repeated it.
    fn masked(&self, line: &[u8]) -> Vec<u8> {
        let shown = &line[..line.len().min(MAX_SHOWN)];
        self.cover(shown, shown.len() < line.len())
    }

    fn cover(&self, shown: &[u8], cut: bool) -> Vec<u8> {
        let names = if self.stage == Stage::Operation { self.carried.names() } else { &[] };
        self.mask.cover_beside(shown, cut, names)
    }

    fn io_failed(&mut self, error: &io::Error) -> Failure {
        let is_half = self.is_unasked && error.kind() == io::ErrorKind::TimedOut;
        let mut failure = match is_half {
            true => Failure::new(FailureKind::Protocol, self.stage, SPOKE_HALF),
            false => Failure::from_io(error, self.stage),
        };
        let partial = &self.buffer[self.taken..];
        if !partial.is_empty() {
            let shown = &partial[..partial.len().min(MAX_SHOWN)];
            failure = failure.with_line(&self.cover(shown, true));
        }
        self.give_up(failure)
    }

    fn fill(&mut self, wait: Wait) -> Result<(), Pump> {
        if let Some(trouble) = &self.trouble {
            return Err(Pump::Failed(trouble.clone()));
        }
        let length = self.buffer.len();
        self.buffer.resize(length + READ, 0);
        let room = &mut self.buffer[length..];
        self.stream.set_deadline(self.deadline);
        let read = match wait {
            Wait::ForIt => self.stream.read(room),
            Wait::No => self.stream.read_ready(room),
        };
        self.buffer.truncate(length + read.as_ref().copied().unwrap_or(0));
        match read {
            Ok(0) => Err(Pump::Failed(self.io_failed(&io::ErrorKind::UnexpectedEof.into()))),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && matches!(wait, Wait::No) => Err(Pump::Nothing),
            Err(error) => Err(Pump::Failed(self.io_failed(&error))),
        }
    }

    /// Reads what a server that closed has left to say, for at most a moment: it goes into the failure.
    fn hear_out(&mut self) {
        let until = self.deadline.min(Instant::now() + Duration::from_millis(100));
        self.stream.set_deadline(until);
        let mut left = [0; 4096];
        if let Ok(count @ 1..) = self.stream.read(&mut left) {
            self.buffer.extend_from_slice(&left[..count]);
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.stream.close();
    }
}

enum Wait {
    ForIt,
    No,
}

enum Pump {
    Nothing,
    Failed(Failure),
}

/// How much of a line's start is looked at: the longest verb fits.
const HEAD: usize = 16;

/// Reads the verb of each command line off the written bytes, however they are cut, and counts the lines.
#[derive(Default)]
struct Heads {
    head: [u8; HEAD],
    length: usize,
    /// The head is complete; the rest of the line is arguments, passed over.
    in_arguments: bool,
    lines: u32,
}

impl Heads {
    fn push(&mut self, bytes: &[u8], commands: &mut Vec<Command>) {
        for &byte in bytes {
            if !self.in_arguments {
                if !matches!(byte, b' ' | b'\r' | b'\n' | b':') && self.length < HEAD {
                    self.head[self.length] = byte;
                    self.length += 1;
                } else {
                    self.lines += 1;
                    commands.push(Command { tag: Tag(self.lines), verb: Verb::read(&self.head[..self.length]) });
                    self.length = 0;
                    self.in_arguments = true;
                }
            }
            if byte == b'\n' {
                self.in_arguments = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_read_off_the_bytes_however_they_are_cut() {
        let written = b"EHLO [127.0.0.1]\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nXYZZY 1\r\n";
        let verbs = ["EHLO", "MAIL", "RCPT", "DATA", "OTHER"];
        for cut in 0..written.len() {
            let (mut heads, mut commands) = (Heads::default(), Vec::new());
            heads.push(&written[..cut], &mut commands);
            heads.push(&written[cut..], &mut commands);
            let read: Vec<_> = commands.iter().map(|command| (command.tag.0, command.verb.name())).collect();
            assert_eq!(read, (1..).zip(verbs).collect::<Vec<_>>(), "cut at {cut}");
        }
    }
}
