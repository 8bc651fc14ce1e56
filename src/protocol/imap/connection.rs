//! One signed-in IMAP session.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use imap::{Error as CrateError, Session};

use super::reply::{Answer, Home, Reply};
use super::scratch::{self, Scratch};
use super::text;
use super::wire::{Tap, Wire};
use crate::allocator::SessionId;
use crate::protocol::capabilities::Capabilities;
use crate::protocol::command::{Command, Verb};
use crate::protocol::cure::Circumstances;
use crate::protocol::failure::{Failure, FailureKind, Stage};
use crate::protocol::letter::Letter;
use crate::protocol::live::{Link, Live};
use crate::protocol::operation::ImapOperation;
use crate::protocol::session::Established;
use crate::protocol::settings::Settings;
use crate::protocol::stream::Traffic;

/// How many messages `fetch` reads, from the end of the mailbox.
const LAST: u32 = 20;

/// One session, from its sign-in to its close. Dropping it closes the socket without a LOGOUT.
pub struct ImapConnection {
    parts: Parts,
    /// Copied from the tap after each unit, so that they can be read without its lock.
    commands: Vec<Command>,
    traffic: Traffic,
    broken: bool,
    /// The server's goodbye came behind a complete reply: no operation has failed for it yet, and the next one will.
    owes_goodbye: bool,
    left_behind: Option<bool>,
    /// What stands before the name of a scratch mailbox.
    scratch_prefix: String,
    /// The command at which the unit failed, where others followed it.
    failed: Option<Verb>,
    /// The mailbox that is selected on the session now, as the reply to EXAMINE described it.
    selected: Option<Selected>,
    answer: Option<Answer>,
}

/// A selected mailbox.
#[derive(Clone, Copy)]
struct Selected {
    messages: u32,
    uid_validity: Option<u32>,
}

/// What a dial hands over.
pub(super) struct Parts {
    pub(super) session: Session<Wire>,
    pub(super) tap: Arc<Tap>,
    pub(super) live: Arc<Live>,
    pub(super) established: Established,
    pub(super) operation_timeout: Duration,
    pub(super) known: Circumstances,
    /// Shows the session's course to others.
    pub(super) link: Option<Arc<Link>>,
}

/// Calls into the `imap` crate. `None` stands for a panic in it: no way to one is known, since it sees only tagged
/// replies of a fixed form, and the session is given up if there is one after all.
pub(super) fn guarded<R>(call: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

impl ImapConnection {
    pub(super) fn new(parts: Parts) -> Self {
        let mut connection = Self {
            parts,
            commands: Vec::new(),
            traffic: Traffic::default(),
            broken: false,
            owes_goodbye: false,
            left_behind: None,
            scratch_prefix: String::new(),
            failed: None,
            selected: None,
            answer: None,
        };
        connection.end();
        connection
    }

    /// Asks what the server offers now, if it did not say, and labels the session in its log (RFC 2971). A server that
    /// refuses the label is no reason to fail.
    pub(super) fn introduce(
        &mut self,
        before: Capabilities,
        settings: &Settings,
        session: SessionId,
    ) -> Result<Capabilities, Failure> {
        let mut after = self.parts.tap.lock().reader.answers.capabilities.take();
        let unsaid = !before.has("ID") || (settings.scratch == Scratch::Personal && !before.has("NAMESPACE"));
        if after.is_none() && (settings.ask_again || unsaid) {
            self.tolerated("CAPABILITY")?;
            after = self.parts.tap.lock().reader.answers.capabilities.take();
        }
        let offered = after.unwrap_or(before);
        if offered.has("ID") {
            let label = session.to_string();
            let command = format!(
                r#"ID ("name" "mailconn" "version" "{}" "x-mailconn-run" {} "x-mailconn-session" {})"#,
                env!("CARGO_PKG_VERSION"),
                text::quoted(&settings.run_id),
                text::quoted(&label)
            );
            if self.tolerated(&command)? {
                self.parts.established.label = Some(label);
            }
        }
        self.scratch_prefix = self.scratch_prefix(&settings.scratch, &offered)?;
        self.end();
        self.parts.established.commands = std::mem::take(&mut self.commands);
        Ok(offered)
    }

    /// What stands before the name of a scratch mailbox. A server that does not say is asked for one at the top.
    fn scratch_prefix(&mut self, scratch: &Scratch, offered: &Capabilities) -> Result<String, Failure> {
        match scratch {
            Scratch::Personal if offered.has("NAMESPACE") || offered.has("IMAP4rev2") => {
                let asked = self.tolerated("NAMESPACE")?;
                let namespace = self.parts.tap.lock().reader.answers.namespace.take();
                Ok(namespace.filter(|_| asked).map(|namespace| namespace.prefix()).unwrap_or_default())
            }
            Scratch::Top | Scratch::Personal => Ok(String::new()),
            Scratch::Under(mailbox) => {
                let asked = self.tolerated(r#"LIST "" ""#)?;
                let delimiter = self.parts.tap.lock().reader.answers.delimiter.take();
                Ok(scratch::under(mailbox, delimiter.filter(|_| asked)))
            }
        }
    }

    /// Whether the server took a command that it may as well refuse.
    fn tolerated(&mut self, command: &str) -> Result<bool, Failure> {
        use FailureKind::{LimitConnections, LimitRate, ServerUnavailable};
        // One that says why it ends the session is heard now: its words would be lost on the next command.
        let done = self.command(command).map_err(|failure| match failure.kind {
            LimitConnections | LimitRate | ServerUnavailable => self.hear_the_end(failure),
            _ => failure,
        });
        match done {
            Ok(()) => Ok(true),
            Err(failure) if self.broken => Err(failure),
            Err(_) => Ok(false),
        }
    }

    /// What the dial came to.
    #[must_use]
    pub fn established(&self) -> &Established {
        &self.parts.established
    }

    /// What went over the socket so far.
    #[must_use]
    pub fn bytes(&self) -> Traffic {
        self.traffic
    }

    /// The commands of the last unit, as they left on the socket.
    #[must_use]
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// The command at which the last unit failed, where it was not its last.
    pub(in crate::protocol) const fn failed_command(&self) -> Option<Verb> {
        self.failed
    }

    /// Whether the session must not be used again (rule B1): anything but OK, NO and BAD breaks it, and so does BYE.
    ///
    /// A BYE that came behind a complete reply breaks it with the next operation, which fails with that: else it would
    /// depend on the network's packets whether a server that ended the session is heard of or not.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken && !self.owes_goodbye
    }

    /// Runs one unit. `mailbox` is a name as people write it; NOOP and LIST have no use for it.
    ///
    /// # Errors
    /// [`Failure`] at stage `operation`. After `server-no`, `server-bad` and the limits the session may still be
    /// usable: [`is_broken`](Self::is_broken) tells.
    pub fn run(&mut self, operation: ImapOperation, mailbox: &str) -> Result<Reply, Failure> {
        self.whole(|connection| connection.unit(operation, mailbox))
    }

    /// Runs the unit that writes: makes the mailbox, puts the letter into it, removes it again; 1 item. Its name must be
    /// one that nobody else would use, for a mailbox that is there already is taken for one that an earlier unit left.
    /// [`left_behind`](Self::left_behind) tells whether this one did.
    ///
    /// # Errors
    /// [`Failure`] at stage `operation`, as for [`run`](Self::run).
    pub fn append(&mut self, scratch: &str, letter: &Letter) -> Result<u32, Failure> {
        self.left_behind = None;
        let scratch = self.scratch_mailbox(scratch);
        self.whole(|connection| connection.scratch_unit(&scratch, letter)).map(|reply| reply.items)
    }

    /// The whole name of a scratch mailbox, as people write it: in the personal namespace, or under the mailbox that the
    /// settings name.
    #[must_use]
    pub fn scratch_mailbox(&self, scratch: &str) -> String {
        format!("{}{scratch}", self.scratch_prefix)
    }

    /// Whether the last [`append`](Self::append) may have left its mailbox on the server; `None` where it came to nothing,
    /// so that what an earlier one left is there still.
    #[must_use]
    pub fn left_behind(&self) -> Option<bool> {
        self.left_behind
    }

    /// EXAMINE alone, the first half of a unit: what is read after it comes from this mailbox only as long as nobody else
    /// selects another one on the session. That is how clients go wrong that lock a connection for each command; it is
    /// here so that it can be seen. [`run`](Self::run) is the safe way.
    ///
    /// # Errors
    /// [`Failure`] at stage `operation`, as for [`run`](Self::run).
    pub fn select(&mut self, mailbox: &str) -> Result<Reply, Failure> {
        self.whole(|connection| connection.examine(mailbox))
    }

    /// FETCH alone, as [`ImapOperation::Fetch`] does it, from whichever mailbox is selected on the session, if any is.
    ///
    /// # Errors
    /// [`Failure`] at stage `operation`, as for [`run`](Self::run); the server's own where none is selected.
    pub fn fetch_selected(&mut self) -> Result<Reply, Failure> {
        self.whole(|connection| {
            let messages = connection.selected.map_or(0, |selected| selected.messages);
            connection.fetch_last(messages)
        })
    }

    /// SEARCH alone, in whichever mailbox is selected on the session, if any is.
    ///
    /// # Errors
    /// [`Failure`] at stage `operation`, as for [`run`](Self::run); the server's own where none is selected.
    pub fn search_selected(&mut self) -> Result<Reply, Failure> {
        self.whole(Self::search_unseen)
    }

    /// The second half of the operation's unit: what it reads once a mailbox is selected.
    ///
    /// # Errors
    /// [`Failure`] at stage `operation`, as for [`run`](Self::run); `internal` if the operation selects no mailbox.
    pub(crate) fn run_selected(&mut self, operation: ImapOperation) -> Result<Reply, Failure> {
        match operation {
            ImapOperation::Fetch => self.fetch_selected(),
            ImapOperation::Search => self.search_selected(),
            other => {
                let message = format!("{} selects no mailbox", other.name());
                Err(Failure::new(FailureKind::Internal, Stage::Operation, message))
            }
        }
    }

    /// What the last reply proves of the mailbox that it came from; none if it read no mailbox's messages.
    #[must_use]
    pub fn answered_by(&self) -> Option<&Answer> {
        self.answer.as_ref()
    }

    fn whole(&mut self, unit: impl FnOnce(&mut Self) -> Result<u32, Failure>) -> Result<Reply, Failure> {
        if let Some(link) = &self.parts.link {
            link.asks();
        }
        let done = self.unjudged(unit).map_err(|failure| self.hear_the_end(failure));
        if let Some(link) = self.parts.link.as_ref().filter(|_| !self.broken) {
            link.goes_on(done.as_ref().err());
        }
        done.map_err(|mut failure| {
            if let Some(link) = self.parts.link.as_ref().filter(|_| self.broken) {
                failure = link.told(failure);
            }
            self.parts.known.is_given_up = self.broken;
            self.parts.known.judge_with(failure, &self.parts.live)
        })
    }

    /// What the server refused: where it closes with that, the session is given up for it.
    fn hear_the_end(&mut self, failure: Failure) -> Failure {
        let deadline = self.parts.tap.lock().deadline();
        if !self.broken && self.parts.link.as_ref().is_some_and(|link| link.closes_with(&failure, deadline)) {
            self.broken = true;
            self.parts.known.closes_with_it = true;
        }
        failure
    }

    /// Whether the server has closed since the last unit.
    pub(in crate::protocol) fn has_hung_up(&self) -> bool {
        self.broken || self.parts.link.as_ref().is_some_and(|link| link.is_closed())
    }

    /// How long the last unit waited, when all was said, to see whether the server closes.
    pub(in crate::protocol) fn lingered(&self) -> Duration {
        self.parts.link.as_ref().map_or(Duration::ZERO, |link| link.lingered())
    }

    fn unjudged(&mut self, unit: impl FnOnce(&mut Self) -> Result<u32, Failure>) -> Result<Reply, Failure> {
        self.answer = None;
        self.failed = None;
        if self.broken {
            self.commands.clear();
            self.owes_goodbye = false;
            let tapped = self.parts.tap.lock();
            if let Some(bye) = &tapped.reader.bye {
                return Err(tapped.meaning(bye, Stage::Operation));
            }
            let message = "this session has broken; open a new one";
            return Err(Failure::new(FailureKind::Closed, Stage::Operation, message));
        }
        let deadline = Instant::now() + self.parts.operation_timeout;
        self.parts.tap.lock().begin(Stage::Operation, deadline);
        let done = unit(self);
        let reply = done.map(|items| self.reply(items));
        self.owes_goodbye = reply.is_ok() && self.parts.tap.lock().reader.bye.is_some();
        self.end();
        reply
    }

    /// Signs out, by `deadline` at the latest. The session is of no use afterwards.
    ///
    /// # Errors
    /// [`Failure`] at stage `logout`, when the session had broken before or the server did not answer in time.
    pub fn logout(&mut self, deadline: Instant) -> Result<(), Failure> {
        self.owes_goodbye = false;
        if self.broken {
            self.commands.clear();
            let tapped = self.parts.tap.lock();
            if let Some(bye) = &tapped.reader.bye {
                return Err(tapped.meaning(bye, Stage::Logout));
            }
            let message = "the session had broken; it was closed without LOGOUT";
            return Err(Failure::new(FailureKind::Closed, Stage::Logout, message));
        }
        self.parts.tap.lock().leave(deadline);
        if let Some(link) = &self.parts.link {
            link.asks();
        }
        let done = self.command("LOGOUT");
        // BYE without a tagged OK is a farewell too: some servers stop there.
        let farewell = self.parts.tap.lock().reader.bye.is_some();
        self.broken = true;
        self.end();
        // One that was there before ours was said answers nothing.
        let done = if farewell && !self.commands.is_empty() { Ok(()) } else { done };
        if let Some(link) = self.parts.link.as_ref().filter(|_| done.is_ok()) {
            link.ends();
        }
        done
    }

    fn unit(&mut self, operation: ImapOperation, mailbox: &str) -> Result<u32, Failure> {
        match operation {
            ImapOperation::Noop => self.command("NOOP").map(|()| 0),
            ImapOperation::List => {
                self.command(r#"LIST "" "*""#)?;
                Ok(self.parts.tap.lock().reader.answers.listed)
            }
            ImapOperation::Status => {
                self.carry(mailbox);
                self.command(&format!("STATUS {} (MESSAGES UNSEEN UIDNEXT)", text::mailbox(mailbox)))?;
                let messages = self.parts.tap.lock().reader.answers.messages;
                messages.ok_or_else(|| self.missing("the reply to STATUS holds no status"))
            }
            ImapOperation::Fetch => {
                let messages = self.examine(mailbox)?;
                // FETCH 1:* in an empty mailbox is BAD.
                if messages == 0 { Ok(0) } else { self.fetch_last(messages) }
            }
            ImapOperation::Search => {
                self.examine(mailbox)?;
                self.search_unseen()
            }
            ImapOperation::Append => {
                let message = "appending needs a letter";
                Err(Failure::new(FailureKind::Internal, Stage::Operation, message))
            }
        }
    }

    /// Makes the scratch mailbox, puts the message into it and removes it again.
    fn scratch_unit(&mut self, mailbox: &str, letter: &Letter) -> Result<u32, Failure> {
        let name = text::mailbox(mailbox);
        self.carry(mailbox);
        let created = self.command(&format!("CREATE {name}"));
        if let Err(failure) = created
            && (self.broken || !is_there(&failure))
        {
            self.left_behind = self.broken.then_some(true);
            return Err(failure);
        }
        self.left_behind = Some(true);
        let appended = self.append_to(&name, letter).map_err(|failure| self.hear_the_end(failure));
        if self.broken && appended.is_err() {
            return appended;
        }
        self.failed = appended.is_err().then_some(Verb::APPEND);
        let deleted = self.command(&format!("DELETE {name}"));
        self.left_behind = Some(deleted.is_err());
        appended.and_then(|items| deleted.map(|()| items))
    }

    /// APPEND. The crate takes a refusal that comes in place of its `+` for a broken stream, though it is in step.
    fn append_to(&mut self, quoted: &str, letter: &Letter) -> Result<u32, Failure> {
        // The crate puts the quotes itself.
        let bare = quoted.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(quoted);
        self.parts.tap.lock().expect_reply();
        let session = &mut self.parts.session;
        let done = guarded(|| session.append(bare, &letter.message).finish());
        let refused = self.parts.tap.lock().refused();
        match (done, refused) {
            (Some(Err(CrateError::Append)), Some(failure)) if !self.parts.tap.lock().is_broken() => Err(failure),
            (done, _) => self.judged(done.map(|done| done.map(|_| ()))).map(|()| 1),
        }
    }

    /// Selects a mailbox read-only. Never through the crate's own call, which panics on an untagged NO or BAD.
    fn examine(&mut self, mailbox: &str) -> Result<u32, Failure> {
        // Whether it succeeds or not, the one before is no longer selected (RFC 3501 §6.3.1).
        self.selected = None;
        self.carry(mailbox);
        self.command(&format!("EXAMINE {}", text::mailbox(mailbox)))?;
        let (exists, uid_validity) = {
            let tapped = self.parts.tap.lock();
            (tapped.reader.answers.exists, tapped.reader.answers.uid_validity)
        };
        let messages =
            exists.ok_or_else(|| self.missing("the reply to EXAMINE does not say how many messages there are"))?;
        self.selected = Some(Selected { messages, uid_validity });
        Ok(messages)
    }

    /// Reads the flags and main headers of the last of so many messages.
    fn fetch_last(&mut self, messages: u32) -> Result<u32, Failure> {
        let first = messages.saturating_sub(LAST) + 1;
        self.command(&format!("FETCH {first}:* (FLAGS BODY.PEEK[HEADER.FIELDS (DATE FROM TO SUBJECT MESSAGE-ID)])"))?;
        let (fetched, home) = {
            let answers = &mut self.parts.tap.lock().reader.answers;
            (answers.fetched, std::mem::take(&mut answers.home))
        };
        self.answered(home);
        Ok(fetched)
    }

    fn search_unseen(&mut self) -> Result<u32, Failure> {
        self.parts.tap.lock().reader.answers.found = None;
        self.command("SEARCH UNSEEN")?;
        self.answered(Home::Unsaid);
        // Some servers say nothing when nothing was found.
        Ok(self.parts.tap.lock().reader.answers.found.unwrap_or(0))
    }

    fn answered(&mut self, home: Home) {
        let mailbox = match home {
            Home::Named(name) => Some(name),
            Home::Unsaid | Home::Unclear => None,
        };
        self.answer = Some(Answer { mailbox, uid_validity: self.selected.and_then(|selected| selected.uid_validity) });
    }

    /// A mailbox's name as people write it, and as it is sent.
    fn carry(&self, mailbox: &str) {
        let mut tapped = self.parts.tap.lock();
        tapped.carry(mailbox);
        tapped.carry(text::mailbox(mailbox).trim_matches('"'));
    }

    fn missing(&mut self, message: &str) -> Failure {
        self.broken = true;
        Failure::new(FailureKind::Protocol, Stage::Operation, message)
    }

    fn command(&mut self, command: &str) -> Result<(), Failure> {
        self.parts.tap.lock().expect_reply();
        let session = &mut self.parts.session;
        let done = guarded(|| session.run_command_and_read_response(command).map(|_| ()));
        self.judged(done)
    }

    /// What the crate's answer to a command means for the session.
    fn judged(&mut self, done: Option<imap::Result<()>>) -> Result<(), Failure> {
        let mut tapped = self.parts.tap.lock();
        match done {
            Some(Ok(())) => {
                self.broken |= tapped.is_broken();
                Ok(())
            }
            Some(Err(CrateError::No(_) | CrateError::Bad(_))) if !tapped.is_broken() => {
                let failure = tapped.refused();
                self.broken |= failure.is_none();
                Err(failure.unwrap_or_else(|| tapped.broke(&self.parts.live, "the server refused without a word")))
            }
            Some(Err(CrateError::No(_) | CrateError::Bad(_))) => {
                self.broken = true;
                self.parts.known.closes_with_it = true;
                let failure = tapped.refused_with_goodbye();
                Err(failure.unwrap_or_else(|| tapped.broke(&self.parts.live, "the reply cannot be read")))
            }
            Some(Err(CrateError::TagMismatch(_))) => {
                self.broken = true;
                Err(tapped.broke(&self.parts.live, "the reply answers no command of ours; it is out of step"))
            }
            Some(Err(_)) => {
                self.broken = true;
                Err(tapped.broke(&self.parts.live, "the reply cannot be read"))
            }
            None => {
                self.broken = true;
                Err(tapped.broke(&self.parts.live, "the IMAP library could not read the reply"))
            }
        }
    }

    fn reply(&self, items: u32) -> Reply {
        let tapped = self.parts.tap.lock();
        let answers = &tapped.reader.answers;
        Reply {
            items,
            messages: answers.messages.or(answers.exists),
            unseen: answers.unseen.or(answers.found),
            uid_next: answers.uid_next,
            uid_validity: answers.uid_validity,
            received: tapped.received_in_unit(),
        }
    }

    fn end(&mut self) {
        let tapped = self.parts.tap.lock();
        self.commands.clone_from(&tapped.commands);
        self.traffic = tapped.traffic;
    }
}

/// Whether CREATE was refused because the mailbox is there. With several sessions at a time Dovecot says so even of the
/// mailbox that this very command has made.
fn is_there(failure: &Failure) -> bool {
    let line = failure.server_line.as_deref().unwrap_or_default().to_ascii_lowercase();
    ["[alreadyexists]", "already exists", "mailbox exists"].iter().any(|words| line.contains(words))
}
