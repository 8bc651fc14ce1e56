//! The stream that the `imap` crate reads and writes, and the tap on it that its owner keeps.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::reader::{Due, Greeting, MAX_KEPT, Reader, Status};
use super::written::Written;
use crate::protocol::classify::{Carried, refusal_shown_as, without_tag};
use crate::protocol::command::Command;
use crate::protocol::failure::{Failure, FailureKind, Stage};
use crate::protocol::live::{Live, cancelled};
use crate::protocol::opening::{INJECTED, SPOKE_HALF, SPOKE_UNASKED, WHOLE_WITHIN};
use crate::protocol::secret::Mask;
use crate::protocol::settings::Account;
use crate::protocol::stream::{Stream, Traffic};

/// The most that one unit's reply may bring, in bytes.
const MAX_REPLY: u64 = 64 << 20;
/// A server that was given nothing to do for that long may have spoken all the same: that is looked at before the next
/// command. To look costs a system call, which units that follow each other without a pause are spared.
const IDLE: Duration = Duration::from_millis(1);
/// How long a server that has said BYE may take to close.
const AFTER_BYE: Duration = Duration::from_secs(1);

/// What the stream shares with the connection that owns it, since the crate keeps the stream to itself.
///
/// One thread at a time has the connection, so the lock is never contended; it is not held across I/O.
pub(super) struct Tap(Mutex<Tapped>);

pub(super) struct Tapped {
    /// By when the unit must have ended.
    deadline: Instant,
    /// Where a failure happens now.
    stage: Stage,
    pub(super) reader: Reader,
    written: Written,
    /// The unit's commands as they left on the socket.
    pub(super) commands: Vec<Command>,
    pub(super) traffic: Traffic,
    received_before: u64,
    /// When something was last read.
    heard_at: Instant,
    /// Since when a response has been incomplete.
    partial_since: Option<Instant>,
    /// What was written last has been followed by nothing that was read: what is written now is more of it.
    spoke_last: bool,
    /// Before the unit's first command is written, what is there already is to be read.
    listen_first: bool,
    /// The first thing that went wrong with the stream: nothing is read or written after it.
    trouble: Option<Failure>,
    /// The next command is answered OK here instead of being sent.
    pretend: bool,
    /// The session is being ended: BYE is what is hoped for.
    leaving: bool,
    /// Finds the password in the lines that are shown.
    mask: Arc<Mask>,
    /// What the unit's commands bring along.
    carried: Carried,
}

impl Tap {
    pub(super) fn new(deadline: Instant, account: &Account) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Tapped {
            deadline,
            stage: Stage::Greeting,
            reader: Reader::default(),
            written: Written::default(),
            commands: Vec::new(),
            traffic: Traffic::default(),
            received_before: 0,
            heard_at: Instant::now(),
            partial_since: None,
            spoke_last: false,
            listen_first: false,
            trouble: None,
            pretend: false,
            leaving: false,
            mask: Arc::clone(&account.mask),
            carried: Carried::by(&account.settings.endpoint.user),
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Tapped> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tapped {
    /// A new unit: its commands, its reply and its deadline.
    pub(super) fn begin(&mut self, stage: Stage, deadline: Instant) {
        self.stage = stage;
        self.deadline = deadline;
        self.commands.clear();
        self.carried.begin();
        self.reader.begin();
        self.received_before = self.traffic.received;
        self.listen_first = stage == Stage::Logout || (stage == Stage::Operation && self.heard_at.elapsed() >= IDLE);
    }

    /// The next command of the unit: its tagged reply is still to come.
    pub(super) fn expect_reply(&mut self) {
        self.reader.tagged = None;
    }

    /// The unit's commands bring that along: a server that repeats it says nothing by it.
    pub(super) fn carry(&mut self, name: impl Into<String>) {
        self.carried.add(name);
    }

    pub(super) fn set_stage(&mut self, stage: Stage) {
        self.stage = stage;
    }

    pub(super) const fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(super) fn leave(&mut self, deadline: Instant) {
        self.begin(Stage::Logout, deadline);
        self.leaving = true;
    }

    /// Answers the next command here, unsent.
    pub(super) fn pretend(&mut self) {
        self.pretend = true;
    }

    pub(super) fn received_in_unit(&self) -> u64 {
        self.traffic.received - self.received_before
    }

    /// Whether the stream must not be used again.
    pub(super) fn is_broken(&self) -> bool {
        self.trouble.is_some() || self.reader.bye.is_some()
    }

    /// What a refusal means, fit to be shown: the one way from a server's line to a failure that repeats it.
    pub(super) fn meaning(&self, line: &[u8], stage: Stage) -> Failure {
        let others = self.reader.notices.iter().filter(|notice| notice.as_slice() != line);
        let own = self.mask.own_words(line);
        refusal_shown_as(&own, &self.masked(line, stage), stage, self.carried.names())
            .with_further(others.map(|notice| self.masked(notice, stage)))
    }

    /// The failure with a line of the server that is no refusal.
    pub(super) fn with_line(&self, failure: Failure, line: &[u8]) -> Failure {
        let shown = self.masked(line, failure.stage);
        failure.with_line(&shown)
    }

    /// The line without its tag, and without the password where the server repeated it.
    fn masked(&self, line: &[u8], stage: Stage) -> Vec<u8> {
        let cut = line.len() >= MAX_KEPT || self.reader.has_partial();
        let names = if stage == Stage::Operation { self.carried.names() } else { &[] };
        self.mask.cover_beside(without_tag(line), cut, names)
    }

    /// A NO or BAD to the last command, as what it means.
    pub(super) fn refused(&self) -> Option<Failure> {
        match &self.reader.tagged {
            Some((Status::No | Status::Bad, line)) => Some(self.meaning(line, self.stage)),
            _ => None,
        }
    }

    /// The same where a goodbye follows it, which is the refusal's then, unless it tells more.
    pub(super) fn refused_with_goodbye(&self) -> Option<Failure> {
        use FailureKind::{LimitConnections, LimitRate, ServerBad, ServerNo, ServerUnavailable};
        let bye = self.reader.bye.as_ref().filter(|bye| **bye == self.reader.last_line)?;
        let refused = self.refused().filter(|_| self.trouble.is_none())?;
        let goodbye = self.meaning(bye, self.stage).kind;
        let tells_more = matches!(refused.kind, ServerNo | ServerBad)
            && matches!(goodbye, LimitConnections | LimitRate | ServerUnavailable);
        (!tells_more).then_some(refused)
    }

    /// Why the session broke, the server's own word before what was seen of the socket.
    pub(super) fn broke(&mut self, live: &Live, otherwise: &str) -> Failure {
        let stage = self.stage;
        if live.is_cancelled() {
            return cancelled(stage);
        }
        if let Some(bye) = self.reader.bye.clone() {
            let failure = self.meaning(&bye, stage);
            self.trouble.get_or_insert_with(|| failure.clone());
            return failure;
        }
        if let Some((Status::Bye, line)) = &self.reader.tagged {
            return self.meaning(line, stage);
        }
        let failure = Failure::new(FailureKind::Protocol, stage, otherwise);
        let failure = self.with_line(failure, &self.reader.last_line);
        self.trouble.get_or_insert(failure).clone()
    }

    /// Whether what is there is to be read before more is written: between commands, or where a response has begun.
    fn is_to_listen(&mut self) -> bool {
        if self.spoke_last || self.pretend {
            return false;
        }
        // A dial has pauses of ours: a handshake, a token that is fetched.
        let is_dial = !matches!(self.stage, Stage::Operation | Stage::Logout);
        std::mem::take(&mut self.listen_first) || is_dial || self.partial_since.is_some()
    }

    /// By when a response that has begun must be complete.
    fn whole_by(&self) -> Option<Instant> {
        self.partial_since.map(|since| self.deadline.min(since + WHOLE_WITHIN))
    }

    fn fail(&mut self, failure: Failure) {
        self.trouble.get_or_insert(failure);
    }

    /// A reply that came before its command answers nothing, whatever its tag (rule B1).
    fn spoken_to_unasked(&mut self, line: &[u8]) {
        let message = if self.stage == Stage::Tls { INJECTED } else { SPOKE_UNASKED };
        let failure = Failure::new(FailureKind::Protocol, self.stage, message);
        self.fail(self.with_line(failure, line));
    }

    /// A command, or the rest of one that the server asked for, is about to leave. An error if it must not.
    fn take_the_turn(&mut self) -> io::Result<()> {
        if let Some(line) = self.reader.unasked.take() {
            self.spoken_to_unasked(&line);
        }
        if self.is_broken() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if !self.pretend && !self.written.has_more() {
            self.reader.answers.ask(self.commands.is_empty());
        }
        Ok(())
    }

    fn io_failed(&mut self, error: &io::Error) {
        let mut failure = Failure::from_io(error, self.stage);
        if self.reader.has_partial() {
            failure = self.with_line(failure, self.reader.partial());
        } else if let Some((last, earlier)) = self.reader.notices.split_last() {
            failure =
                self.with_line(failure, last).with_further(earlier.iter().map(|line| self.masked(line, self.stage)));
        }
        self.fail(failure);
    }

    fn received(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            self.io_failed(&io::ErrorKind::UnexpectedEof.into());
            return Ok(());
        }
        self.heard_at = Instant::now();
        self.spoke_last = false;
        let responses = self.reader.responses;
        if let Err(unreadable) = self.reader.push(bytes) {
            let failure = Failure::new(FailureKind::Protocol, self.stage, unreadable);
            self.fail(self.with_line(failure, &self.reader.last_line));
            return Err(io::ErrorKind::InvalidData.into());
        }
        let since = self.partial_since.filter(|_| self.reader.responses == responses).unwrap_or(self.heard_at);
        self.partial_since = self.reader.has_partial().then_some(since);
        if self.received_in_unit() > MAX_REPLY {
            let message = "the reply is longer than 64 MiB; ask for less, or look at what the server sends";
            self.fail(Failure::new(FailureKind::Protocol, self.stage, message));
            return Err(io::ErrorKind::InvalidData.into());
        }
        if self.reader.tagged.is_some() {
            self.written.answered();
        }
        if self.reader.bye.is_some() && !self.leaving {
            self.deadline = self.deadline.min(Instant::now() + AFTER_BYE);
        }
        Ok(())
    }
}

/// A [`Stream`] that speaks IMAP: what it reads is cut into responses, what it writes into commands.
pub(super) struct Wire {
    stream: Stream,
    tap: Arc<Tap>,
}

impl Wire {
    pub(super) fn new(stream: Stream, tap: Arc<Tap>) -> Self {
        Self { stream, tap }
    }

    /// The stream below, for the TLS upgrade.
    pub(super) fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// One read from the socket, cut into responses. 0 when the other side has closed.
    fn pump(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let deadline = {
            let tapped = self.tap.lock();
            if tapped.trouble.is_some() {
                return Err(io::ErrorKind::NotConnected.into());
            }
            tapped.deadline
        };
        self.stream.set_deadline(deadline);
        let done = self.stream.read(buffer);
        let mut tapped = self.tap.lock();
        tapped.traffic = self.stream.traffic();
        match done {
            Ok(count) => tapped.received(&buffer[..count]).map(|()| count),
            Err(error) => {
                tapped.io_failed(&error);
                Err(error)
            }
        }
    }

    /// Reads until `done` finds what it waits for. `Err(())`: the stream is at its end, and the tap knows why.
    fn pump_until(&mut self, done: impl Fn(&Reader) -> bool) -> Result<(), ()> {
        let mut buffer = [0; 4096];
        loop {
            {
                let mut tapped = self.tap.lock();
                // What is read here is not for the crate.
                tapped.reader.for_crate.clear();
                if done(&tapped.reader) {
                    return Ok(());
                }
            }
            match self.pump(&mut buffer) {
                Ok(0) | Err(_) => return Err(()),
                Ok(_) => {}
            }
        }
    }

    /// Reads the greeting. What came with it stays read.
    pub(super) fn greet(&mut self) -> Result<Greeting, ()> {
        self.pump_until(|reader| reader.greeting.is_some())?;
        self.tap.lock().reader.greeting.ok_or(())
    }

    /// Runs one command without the crate. The tag is the caller's, and the reply must carry it.
    pub(super) fn say(&mut self, tag: u32, verb: &str) -> Result<Status, ()> {
        self.tap.lock().expect_reply();
        self.write_all(format!("a{tag} {verb}\r\n").as_bytes()).map_err(|_| ())?;
        self.pump_until(|reader| reader.tagged.is_some())?;
        let tapped = self.tap.lock();
        let (status, line) = tapped.reader.tagged.as_ref().ok_or(())?;
        let ours = line.split(|byte| *byte == b' ').next() == Some(format!("a{tag}").as_bytes());
        if ours { Ok(*status) } else { Err(()) }
    }

    /// Sends one line of a sign-in, and reads on until the server asks for the next (`None`) or answers the command that
    /// has this tag.
    pub(super) fn exchange(&mut self, tag: u32, line: &[u8]) -> Result<Option<Status>, ()> {
        self.tap.lock().reader.continuation = None;
        let line = Zeroizing::new([line, b"\r\n"].concat());
        self.write_all(&line).map_err(|_| ())?;
        self.pump_until(|reader| reader.tagged.is_some() || reader.continuation.is_some())?;
        let tapped = self.tap.lock();
        let Some((status, line)) = tapped.reader.tagged.as_ref() else { return Ok(None) };
        let ours = line.split(|byte| *byte == b' ').next() == Some(format!("a{tag}").as_bytes());
        if ours { Ok(Some(*status)) } else { Err(()) }
    }

    /// Reads what the server said unasked, without waiting for it, and waits a moment for the rest of a response that has
    /// begun; an error if it has ended the session. So a command does not leave after that, and what was there before does not
    /// answer it.
    fn listen(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            let until = self.tap.lock().whole_by();
            let mut heard = self.stream.read_ready(&mut buffer);
            let is_silent = |heard: &io::Result<usize>| {
                heard.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            };
            if let Some(until) = until.filter(|_| is_silent(&heard)) {
                self.stream.set_deadline(until);
                heard = self.stream.read(&mut buffer);
            }
            let mut tapped = self.tap.lock();
            tapped.traffic = self.stream.traffic();
            match heard {
                Ok(count) => {
                    tapped.received(&buffer[..count])?;
                    if tapped.is_broken() {
                        return Err(io::ErrorKind::NotConnected.into());
                    }
                    if tapped.heard_at >= tapped.deadline {
                        tapped.io_failed(&io::ErrorKind::TimedOut.into());
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    let failure = Failure::new(FailureKind::Protocol, tapped.stage, SPOKE_HALF);
                    let failure = tapped.with_line(failure, tapped.reader.partial());
                    tapped.fail(failure);
                    return Err(error);
                }
                Err(error) => {
                    tapped.io_failed(&error);
                    return Err(error);
                }
            }
        }
    }

    /// Whether something is there to be read.
    pub(super) fn hears(&mut self) -> bool {
        matches!(self.stream.read_ready(&mut [0]), Ok(1..))
    }

    /// Reads what a server that closed has left to say, for at most a moment.
    fn hear_out(&mut self) {
        let mut buffer = [0; 4096];
        let until = Instant::now() + Duration::from_millis(100);
        for _ in 0..16 {
            let until = until.min(self.tap.lock().deadline);
            self.stream.set_deadline(until);
            let Ok(count @ 1..) = self.stream.read(&mut buffer) else { return };
            let mut tapped = self.tap.lock();
            tapped.traffic = self.stream.traffic();
            if tapped.received(&buffer[..count]).is_err() || tapped.reader.bye.is_some() {
                return;
            }
        }
    }
}

impl Read for Wire {
    /// Gives the crate the tagged replies; 0 at the end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            {
                let mut tapped = self.tap.lock();
                let ready = &mut tapped.reader.for_crate;
                if !ready.is_empty() {
                    let count = ready.len().min(buffer.len());
                    buffer[..count].copy_from_slice(&ready[..count]);
                    ready.drain(..count);
                    return Ok(count);
                }
            }
            if self.pump(buffer)? == 0 {
                return Ok(0);
            }
        }
    }
}

impl Write for Wire {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.tap.lock().is_to_listen() {
            self.listen()?;
        }
        let deadline = {
            let mut tapped = self.tap.lock();
            if !tapped.spoke_last {
                tapped.take_the_turn()?;
            }
            if tapped.trouble.is_some() {
                return Err(io::ErrorKind::NotConnected.into());
            }
            if tapped.pretend {
                if buffer.contains(&b'\n') {
                    let tag = buffer.split(|byte| *byte == b' ').next().unwrap_or_default();
                    tapped.reader.for_crate.extend_from_slice(tag);
                    tapped.reader.for_crate.extend_from_slice(b" OK\r\n");
                    tapped.pretend = false;
                }
                return Ok(buffer.len());
            }
            tapped.deadline
        };
        self.stream.set_deadline(deadline);
        match self.stream.write(buffer) {
            Ok(count) => {
                let mut tapped = self.tap.lock();
                let tapped = &mut *tapped;
                tapped.traffic = self.stream.traffic();
                tapped.written.push(&buffer[..count], &mut tapped.commands);
                tapped.reader.due = if tapped.written.has_more() { Due::ReplyOrRequest } else { Due::Reply };
                tapped.spoke_last = true;
                Ok(count)
            }
            Err(error) => {
                self.hear_out();
                self.tap.lock().io_failed(&error);
                Err(error)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stream.close();
    }
}
