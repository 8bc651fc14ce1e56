//! One IMAP session (RFC 3501): what is asked, what may be asked now, and what is answered.

mod fetch;
mod names;
mod reply;
mod search;
mod view;

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use imap_codec::decode::Decoder;
use imap_codec::imap_types::auth::{AuthMechanism, AuthenticateData};
use imap_codec::imap_types::command::{Command, CommandBody};
use imap_codec::imap_types::core::{Atom, Charset, IString, NString, QuotedChar, Tag, Vec1};
use imap_codec::imap_types::datetime::DateTime;
use imap_codec::imap_types::extensions::binary::LiteralOrLiteral8;
use imap_codec::imap_types::extensions::namespace::Namespace;
use imap_codec::imap_types::extensions::uidplus::{UidElement, UidSet};
use imap_codec::imap_types::fetch::{MacroOrMessageDataItemNames, MessageDataItem};
use imap_codec::imap_types::flag::{Flag, FlagNameAttribute, FlagPerm, StoreResponse, StoreType};
use imap_codec::imap_types::mailbox::{ListMailbox, Mailbox as MailboxName};
use imap_codec::imap_types::response::{Capability, Code, Data};
use imap_codec::imap_types::search::SearchKey;
use imap_codec::imap_types::sequence::SequenceSet;
use imap_codec::imap_types::status::{StatusDataItem, StatusDataItemName};
use imap_codec::imap_types::{IntoStatic, ToStatic};
use imap_codec::{AuthenticateDataCodec, CommandCodec};

use self::reply::Verdict;
use self::view::{Target, View};
use super::faults::Outlet;
use super::inlet::{Inlet, Progress};
use super::limits::{Limits, Place};
use super::mailbox::{Account, Accounts, Copied, DELIMITER, Letter, Refusal};
use super::message::Message;
use super::witness::{CloseCause, CommandRecord, CommandStatus, SessionWitness};

/// How long a client may take to sign in.
const SIGN_IN_TIME: Duration = Duration::from_secs(3 * 60);

/// How long a signed-in client may be silent (RFC 3501, 5.4: no less than 30 minutes).
const IDLE_TIME: Duration = Duration::from_secs(30 * 60);

/// This many bad commands in a row are no client's work.
const MAX_BAD: u32 = 20;

/// The most fields a client may send with ID (RFC 2971, 3.3).
const MAX_LABEL: usize = 30;

/// What a session asks of the thing that carries its bytes.
pub(super) trait Wire: Read + Write {
    /// From now on, a read fails if nothing comes for so long.
    fn set_patience(&self, patience: Duration) -> io::Result<()>;
}

/// What a session needs to know of the server it belongs to.
pub(super) struct Surroundings<'a> {
    pub accounts: &'a Accounts,
    pub limits: &'a Arc<Limits>,
    pub peer: IpAddr,
    /// Whether the server is being stopped.
    pub stopping: &'a dyn Fn() -> bool,
}

/// Holds the conversation to its end. The end is on record before this returns.
pub(super) fn converse(
    wire: &mut impl Wire,
    mut outlet: Outlet,
    around: Surroundings<'_>,
    witness: &SessionWitness,
) {
    let mut session = Session {
        around,
        witness,
        account: None,
        place: None,
        view: None,
        credentials_of: None,
        bad_in_a_row: 0,
        out: Vec::new(),
    };
    let mut inlet = Inlet::new();
    let cause = match session.run(wire, &mut inlet, &mut outlet) {
        Ok(cause) => cause,
        Err(_) => CloseCause::Reset,
    };
    witness.closed(cause);
}

/// The state of one session.
struct Session<'a> {
    around: Surroundings<'a>,
    witness: &'a SessionWitness,
    account: Option<Arc<Account>>,
    /// Held from sign-in to the end, so that the limit counts this session.
    place: Option<Place>,
    view: Option<View>,
    /// The AUTHENTICATE command whose credentials the next line is, and when it came.
    credentials_of: Option<(Tag<'static>, Instant)>,
    bad_in_a_row: u32,
    /// The reply being composed.
    out: Vec<u8>,
}

impl Session<'_> {
    fn run(
        &mut self,
        wire: &mut impl Wire,
        inlet: &mut Inlet,
        outlet: &mut Outlet,
    ) -> io::Result<CloseCause> {
        wire.set_patience(SIGN_IN_TIME)?;
        let capabilities = self.capabilities();
        reply::greeting(
            &mut self.out,
            Code::Capability(capabilities),
            "mailconn sandbox ready.",
        );
        outlet.pass(&mut self.out, wire)?;
        let mut deadline = Instant::now() + SIGN_IN_TIME;
        loop {
            if (self.around.stopping)() {
                return self.leave(CloseCause::Server, "Server is stopping.", wire, outlet);
            }
            match inlet.advance(self.credentials_of.is_none()) {
                Progress::Whole(length) => {
                    let signed_in = self.account.is_some();
                    let close = self.answer(inlet.front(length));
                    inlet.consume(length);
                    if let Some(cause) = close {
                        return self.part(cause, wire, outlet);
                    }
                    outlet.pass(&mut self.out, wire)?;
                    if self.bad_in_a_row >= MAX_BAD {
                        return self.leave(
                            CloseCause::Server,
                            "Too many invalid IMAP commands.",
                            wire,
                            outlet,
                        );
                    }
                    if self.account.is_some() {
                        if !signed_in {
                            inlet.trust();
                            wire.set_patience(IDLE_TIME)?;
                        }
                        if inlet.is_empty() {
                            deadline = Instant::now() + IDLE_TIME;
                        }
                    }
                }
                Progress::More => {
                    outlet.flush(wire)?;
                    match read(wire, inlet.room()) {
                        Ok(0) if (self.around.stopping)() => {}
                        Ok(0) => return Ok(CloseCause::EndOfStream),
                        Ok(length) => {
                            inlet.received(length);
                            // The clock is looked at when a client that was slow to finish its line has had its time.
                            if Instant::now() > deadline
                                && inlet.advance(self.credentials_of.is_none()) == Progress::More
                            {
                                return self.leave(
                                    CloseCause::Server,
                                    "Disconnected for inactivity.",
                                    wire,
                                    outlet,
                                );
                            }
                        }
                        Err(error)
                            if matches!(
                                error.kind(),
                                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                            ) =>
                        {
                            return self.leave(
                                CloseCause::Server,
                                "Disconnected for inactivity.",
                                wire,
                                outlet,
                            );
                        }
                        Err(error) => return Err(error),
                    }
                }
                Progress::Consent => {
                    reply::consent(&mut self.out);
                    outlet.pass(&mut self.out, wire)?;
                    outlet.flush(wire)?;
                }
                Progress::TooLong => {
                    self.answer_broken(inlet.fragment(), Verdict::bad("Command line is too long."));
                    outlet.pass(&mut self.out, wire)?;
                    return self.leave(
                        CloseCause::Server,
                        "Command line is too long.",
                        wire,
                        outlet,
                    );
                }
                Progress::TooBig { asked } => {
                    let length = inlet.refused();
                    let verdict = Verdict::no("Literal is too big.").code(Code::TooBig);
                    self.answer_broken(inlet.front(length), verdict);
                    inlet.consume(length);
                    outlet.pass(&mut self.out, wire)?;
                    if !asked {
                        return self.leave(CloseCause::Server, "Literal is too big.", wire, outlet);
                    }
                }
            }
        }
    }

    /// Says goodbye and ends the session.
    fn leave(
        &mut self,
        cause: CloseCause,
        text: &'static str,
        wire: &mut impl Wire,
        outlet: &mut Outlet,
    ) -> io::Result<CloseCause> {
        reply::bye(&mut self.out, text);
        self.part(cause, wire, outlet)
    }

    /// Sends what is left to say. The end is on record and the place is free before the client can know of it.
    fn part(
        &mut self,
        cause: CloseCause,
        wire: &mut impl Wire,
        outlet: &mut Outlet,
    ) -> io::Result<CloseCause> {
        self.witness.closed(cause);
        self.view = None;
        self.place = None;
        outlet.pass(&mut self.out, wire)?;
        outlet.flush(wire)?;
        Ok(cause)
    }

    /// Composes the reply to one whole command. Says why, if the session ends with it.
    fn answer(&mut self, bytes: &[u8]) -> Option<CloseCause> {
        if let Some((tag, at)) = self.credentials_of.take() {
            let verdict = self.authenticate(bytes);
            return self.conclude(tag, "AUTHENTICATE", None, at, verdict);
        }
        let at = Instant::now();
        let Ok((rest, Command { tag, body })) = CommandCodec::default().decode(bytes) else {
            return self.answer_broken(bytes, Verdict::bad("Syntax error or unknown command."));
        };
        if !rest.is_empty() {
            return self.answer_broken(bytes, Verdict::bad("Syntax error."));
        }
        if self.account.is_none()
            && let CommandBody::Authenticate {
                mechanism: AuthMechanism::Plain,
                initial_response: None,
            } = body
        {
            self.credentials_of = Some((tag.into_static(), at));
            reply::challenge(&mut self.out);
            return None;
        }
        let verb = verb(&body);
        let selects = matches!(
            body,
            CommandBody::Select { .. } | CommandBody::Examine { .. }
        );
        let before = self.selected().filter(|_| !selects);
        // Where the client counts on its sequence numbers, they stay as they are (RFC 3501, 7.4.1).
        let expunges = !matches!(
            body,
            CommandBody::Fetch { uid: false, .. }
                | CommandBody::Store { uid: false, .. }
                | CommandBody::Search { uid: false, .. }
        );
        let verdict = self.execute(body);
        if verdict.close.is_none() {
            self.tell(expunges);
        }
        let selected = if selects { self.selected() } else { before };
        self.conclude(tag, verb, selected, at, verdict)
    }

    /// Answers a line that is no command, to the tag it seems to have.
    fn answer_broken(&mut self, bytes: &[u8], verdict: Verdict) -> Option<CloseCause> {
        let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or(bytes);
        let mut words = line.trim_ascii_end().split(|&byte| byte == b' ');
        let tag = words
            .next()
            .and_then(|word| Tag::try_from(word).ok())
            .filter(|tag| tag.as_ref().len() <= 64);
        let verb = known_verb(words.next(), words.next());
        let at = Instant::now();
        // A stray line of a client that has not signed in may be half of a password: it is no one's tag.
        let keep = verb.is_some() || self.account.is_some();
        self.bad_in_a_row += 1;
        self.witness.command(CommandRecord {
            tag: tag
                .as_ref()
                .filter(|_| keep)
                .map_or("", |tag| tag.as_ref())
                .into(),
            verb: verb.unwrap_or("UNKNOWN"),
            selected: self.selected(),
            at,
            status: verdict.status,
        });
        match tag {
            Some(tag) => reply::tagged(&mut self.out, tag, verdict),
            None => reply::untagged(&mut self.out, verdict),
        }
        None
    }

    /// Puts the command on record, then composes its tagged reply.
    fn conclude(
        &mut self,
        tag: Tag<'_>,
        verb: &'static str,
        selected: Option<Arc<str>>,
        at: Instant,
        verdict: Verdict,
    ) -> Option<CloseCause> {
        let (status, close) = (verdict.status, verdict.close);
        self.bad_in_a_row = if status == CommandStatus::Bad {
            self.bad_in_a_row + 1
        } else {
            0
        };
        self.witness.command(CommandRecord {
            tag: tag.as_ref().into(),
            verb,
            selected,
            at,
            status,
        });
        reply::tagged(&mut self.out, tag, verdict);
        close
    }

    fn selected(&self) -> Option<Arc<str>> {
        self.view.as_ref().map(|view| Arc::clone(&view.name))
    }

    /// Tells what others have changed in the selected mailbox.
    fn tell(&mut self, expunges: bool) {
        if let (Some(account), Some(view)) = (&self.account, &mut self.view)
            && view.is_stale(expunges)
        {
            view.tell(&mut account.mail(), expunges, &mut self.out);
        }
    }

    fn capabilities(&self) -> Vec1<Capability<'static>> {
        let mut capabilities = vec![
            Capability::Imap4Rev1,
            Capability::SaslIr,
            Capability::LiteralPlus,
            Capability::Id,
        ];
        if self.account.is_none() {
            capabilities.push(Capability::Auth(AuthMechanism::Plain));
        } else {
            capabilities.extend([
                Capability::Namespace,
                Capability::Unselect,
                Capability::UidPlus,
                Capability::Move,
            ]);
        }
        Vec1::unvalidated(capabilities)
    }

    fn execute(&mut self, body: CommandBody<'_>) -> Verdict {
        match body {
            CommandBody::Capability => {
                let capabilities = self.capabilities();
                reply::data(&mut self.out, Data::Capability(capabilities));
                Verdict::ok("Capability completed.")
            }
            CommandBody::Noop => Verdict::ok("NOOP completed."),
            CommandBody::Id { parameters } => self.id(parameters),
            CommandBody::Logout => {
                reply::bye(&mut self.out, "Logging out");
                Verdict::ok("Logout completed.").and_close(CloseCause::Logout)
            }
            CommandBody::Login { username, password } => {
                if self.account.is_some() {
                    return Verdict::bad("Already signed in.");
                }
                self.sign_in(username.as_ref(), password.declassify().as_ref())
            }
            CommandBody::Authenticate {
                mechanism,
                initial_response,
            } => match initial_response {
                _ if self.account.is_some() => Verdict::bad("Already signed in."),
                Some(response) if mechanism == AuthMechanism::Plain => {
                    self.plain(response.declassify())
                }
                _ => Verdict::no("Unsupported authentication mechanism."),
            },
            body => match self.account.clone() {
                Some(account) => self.execute_signed_in(&account, body),
                None => Verdict::bad("Sign in first."),
            },
        }
    }

    fn id(&mut self, parameters: Option<Vec<(IString<'_>, NString<'_>)>>) -> Verdict {
        let text = |string: &[u8]| String::from_utf8_lossy(string).into_owned();
        let parameters = parameters.unwrap_or_default();
        if parameters.len() > MAX_LABEL {
            return Verdict::bad("Too many ID fields.");
        }
        self.witness.labelled(
            parameters
                .iter()
                .map(|(name, value)| {
                    (
                        text(name.as_ref()),
                        value.0.as_ref().map(|value| text(value.as_ref())),
                    )
                })
                .collect(),
        );
        let known = [
            ("name", "mailconn sandbox"),
            ("version", env!("CARGO_PKG_VERSION")),
        ];
        let parameters = known
            .iter()
            .filter_map(|&(name, value)| {
                Some((
                    IString::try_from(name).ok()?,
                    NString::try_from(value).ok()?,
                ))
            })
            .collect();
        reply::data(
            &mut self.out,
            Data::Id {
                parameters: Some(parameters),
            },
        );
        Verdict::ok("ID completed.")
    }

    /// The second half of AUTHENTICATE PLAIN: a line of base64, or `*`.
    fn authenticate(&mut self, line: &[u8]) -> Verdict {
        match AuthenticateDataCodec::default().decode(line) {
            Ok((_, AuthenticateData::Continue(response))) => self.plain(response.declassify()),
            Ok((_, AuthenticateData::Cancel)) => Verdict::bad("Authentication cancelled."),
            Err(_) => Verdict::bad("Invalid base64 data."),
        }
    }

    /// `authzid NUL authcid NUL password` (RFC 4616).
    fn plain(&mut self, response: &[u8]) -> Verdict {
        let mut parts = response.splitn(3, |&byte| byte == 0);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(on_behalf_of), Some(user), Some(password))
                if on_behalf_of.is_empty() || on_behalf_of == user =>
            {
                self.sign_in(user, password)
            }
            _ => authentication_failed(),
        }
    }

    fn sign_in(&mut self, user: &[u8], password: &[u8]) -> Verdict {
        let Some(account) = self.around.accounts.sign_in(user, password) else {
            return authentication_failed();
        };
        match self.around.limits.admit(account.name(), self.around.peer) {
            // Dovecot says this much and hangs up, without a BYE.
            Err(full) => Verdict::no(full.text())
                .other_code("LIMIT")
                .and_close(CloseCause::Refused),
            Ok(place) => {
                self.witness.signed_in(account.name());
                self.account = Some(Arc::clone(account));
                self.place = Some(place);
                Verdict::ok("Logged in").code(Code::Capability(self.capabilities()))
            }
        }
    }

    fn execute_signed_in(&mut self, account: &Account, body: CommandBody<'_>) -> Verdict {
        match body {
            CommandBody::Select { mailbox } => self.select(account, &mailbox, false),
            CommandBody::Examine { mailbox } => self.select(account, &mailbox, true),
            CommandBody::Create { mailbox } => match names::of_new(&mailbox) {
                Some(name) => done(account.mail().create(name), "Create completed."),
                None => cannot(),
            },
            CommandBody::Delete { mailbox } => match names::of(&mailbox) {
                Some(name) => done(account.mail().delete(name), "Delete completed."),
                None => refused(Refusal::NoSuchMailbox),
            },
            CommandBody::Rename { from, to } => match (names::of(&from), names::of_new(&to)) {
                (Some(from), Some(to)) => {
                    done(account.mail().rename(from, to), "Rename completed.")
                }
                (None, _) => refused(Refusal::NoSuchMailbox),
                (_, None) => cannot(),
            },
            CommandBody::Subscribe { mailbox } => match names::of(&mailbox) {
                Some(name) => done(Ok(account.mail().subscribe(name)), "Subscribe completed."),
                None => cannot(),
            },
            CommandBody::Unsubscribe { mailbox } => match names::of(&mailbox) {
                Some(name) => done(
                    Ok(account.mail().unsubscribe(name)),
                    "Unsubscribe completed.",
                ),
                None => cannot(),
            },
            CommandBody::List {
                reference,
                mailbox_wildcard,
            } => self.list(account, &reference, &mailbox_wildcard),
            CommandBody::Lsub {
                reference,
                mailbox_wildcard,
            } => self.lsub(account, &reference, &mailbox_wildcard),
            CommandBody::Status {
                mailbox,
                item_names,
            } => self.status(account, mailbox, &item_names),
            CommandBody::Append {
                mailbox,
                flags,
                date,
                message,
            } => append(account, &mailbox, &flags, date, &message),
            CommandBody::Namespace => {
                let delimiter = QuotedChar::try_from(DELIMITER).ok();
                let personal = IString::try_from("")
                    .map(|prefix| vec![Namespace::new(prefix, delimiter)])
                    .unwrap_or_default();
                reply::data(
                    &mut self.out,
                    Data::Namespace {
                        personal,
                        other: Vec::new(),
                        shared: Vec::new(),
                    },
                );
                Verdict::ok("Namespace completed.")
            }
            body => match self.view.take() {
                Some(mut view) => {
                    let verdict = self.execute_selected(account, &mut view, &body);
                    if !matches!(body, CommandBody::Close | CommandBody::Unselect) {
                        self.view = Some(view);
                    }
                    verdict
                }
                None if is_for_selected(&body) => Verdict::bad("No mailbox selected."),
                None => Verdict::bad("Unknown command."),
            },
        }
    }

    fn execute_selected(
        &mut self,
        account: &Account,
        view: &mut View,
        body: &CommandBody<'_>,
    ) -> Verdict {
        let writes = matches!(
            body,
            CommandBody::Store { .. }
                | CommandBody::Expunge
                | CommandBody::ExpungeUid { .. }
                | CommandBody::Move { .. }
        );
        if writes && view.read_only {
            return Verdict::no("Mailbox is read-only.");
        }
        match body {
            CommandBody::Check => Verdict::ok("Check completed."),
            CommandBody::Unselect => Verdict::ok("Unselect completed."),
            CommandBody::Close => {
                if !view.read_only {
                    account.mail().expunge(view.validity, is_deleted);
                }
                Verdict::ok("Close completed.")
            }
            CommandBody::Expunge => {
                account.mail().expunge(view.validity, is_deleted);
                Verdict::ok("Expunge completed.")
            }
            CommandBody::ExpungeUid { sequence_set } => {
                let chosen = uids(&view.targets(sequence_set, true).unwrap_or_default());
                account.mail().expunge(view.validity, |letter| {
                    is_deleted(letter) && chosen.binary_search(&letter.uid).is_ok()
                });
                Verdict::ok("Expunge completed.")
            }
            CommandBody::Search {
                charset,
                criteria,
                uid,
            } => self.search(account, view, charset.as_ref(), criteria, *uid),
            CommandBody::Fetch {
                sequence_set,
                macro_or_item_names,
                uid,
            } => self.fetch(account, view, sequence_set, macro_or_item_names, *uid),
            CommandBody::Store {
                sequence_set,
                kind,
                response,
                flags,
                uid,
            } => self.store(account, view, sequence_set, *kind, *response, flags, *uid),
            CommandBody::Copy {
                sequence_set,
                mailbox,
                uid,
            } => {
                let Some(targets) = view.targets(sequence_set, *uid) else {
                    return no_such_message();
                };
                let copied = match names::of(mailbox) {
                    Some(name) => account.mail().copy(view.validity, &uids(&targets), name),
                    None => Err(Refusal::NoSuchMailbox),
                };
                match copied {
                    Ok(copied) => match copy_code(&copied) {
                        Some(code) => Verdict::ok("Copy completed.").code(code),
                        None => Verdict::ok("Copy completed."),
                    },
                    Err(refusal) => try_create(refusal),
                }
            }
            CommandBody::Move {
                sequence_set,
                mailbox,
                uid,
            } => {
                let Some(targets) = view.targets(sequence_set, *uid) else {
                    return no_such_message();
                };
                let Some(name) = names::of(mailbox) else {
                    return try_create(Refusal::NoSuchMailbox);
                };
                let mut mail = account.mail();
                let copied = match mail.copy(view.validity, &uids(&targets), name) {
                    Ok(copied) => copied,
                    Err(refusal) => return try_create(refusal),
                };
                // The copies of a move within one mailbox have UIDs of their own, and stay.
                mail.expunge(view.validity, |letter| {
                    copied.from.binary_search(&letter.uid).is_ok()
                });
                drop(mail);
                if let Some(code) = copy_code(&copied) {
                    reply::untagged_ok(&mut self.out, code, "Moved.");
                }
                Verdict::ok("Move completed.")
            }
            _ => Verdict::bad("Unknown command."),
        }
    }

    fn select(&mut self, account: &Account, mailbox: &MailboxName<'_>, read_only: bool) -> Verdict {
        // A SELECT that fails leaves nothing selected (RFC 3501, 6.3.1).
        self.view = None;
        let mut mail = account.mail();
        let Some((name, mailbox)) = names::of(mailbox).and_then(|name| mail.find(name)) else {
            return refused(Refusal::NoSuchMailbox);
        };
        let view = View::new(name, mailbox, read_only);
        let (validity, next_uid) = (mailbox.validity(), mailbox.next_uid());
        let unseen = mailbox
            .letters()
            .iter()
            .position(|letter| !letter.flags.contains(&Flag::Seen));
        let keywords = keywords(mailbox.letters());
        drop(mail);

        let mut flags = vec![
            Flag::Answered,
            Flag::Flagged,
            Flag::Deleted,
            Flag::Seen,
            Flag::Draft,
        ];
        flags.extend(keywords);
        let permanent = if read_only {
            Vec::new()
        } else {
            flags
                .iter()
                .cloned()
                .map(FlagPerm::Flag)
                .chain([FlagPerm::Asterisk])
                .collect()
        };
        let out = &mut self.out;
        reply::data(out, Data::Flags(flags));
        reply::untagged_ok(
            out,
            Code::PermanentFlags(permanent),
            if read_only {
                "Read-only mailbox."
            } else {
                "Flags permitted."
            },
        );
        reply::data(out, Data::Exists(count(view.len())));
        reply::data(out, Data::Recent(count(view.recent())));
        if let Some(first) = unseen.and_then(|at| NonZeroU32::new(count(at + 1))) {
            reply::untagged_ok(out, Code::Unseen(first), "First unseen.");
        }
        reply::untagged_ok(out, Code::UidValidity(validity), "UIDs valid");
        reply::untagged_ok(out, Code::UidNext(next_uid), "Predicted next UID");
        self.view = Some(view);
        if read_only {
            Verdict::ok("Examine completed.").code(Code::ReadOnly)
        } else {
            Verdict::ok("Select completed.").code(Code::ReadWrite)
        }
    }

    fn list(
        &mut self,
        account: &Account,
        reference: &MailboxName<'_>,
        pattern: &ListMailbox<'_>,
    ) -> Verdict {
        let Some(pattern) = full_pattern(reference, pattern) else {
            return Verdict::ok("List completed.");
        };
        let delimiter = QuotedChar::try_from(DELIMITER).ok();
        if pattern.is_empty() {
            // A question about the delimiter, not about mailboxes (RFC 3501, 6.3.8).
            if let Ok(mailbox) = MailboxName::try_from("") {
                reply::data(
                    &mut self.out,
                    Data::List {
                        items: vec![FlagNameAttribute::Noselect],
                        delimiter,
                        mailbox,
                    },
                );
            }
            return Verdict::ok("List completed.");
        }
        let mail = account.mail();
        for name in mail.names().filter(|name| names::matches(&pattern, name)) {
            let children = if mail.has_children(name) {
                "HasChildren"
            } else {
                "HasNoChildren"
            };
            if let (Ok(mailbox), Ok(children)) =
                (MailboxName::try_from(&**name), Atom::try_from(children))
            {
                let items = vec![FlagNameAttribute::from(children)];
                reply::data(
                    &mut self.out,
                    Data::List {
                        items,
                        delimiter,
                        mailbox,
                    },
                );
            }
        }
        Verdict::ok("List completed.")
    }

    fn lsub(
        &mut self,
        account: &Account,
        reference: &MailboxName<'_>,
        pattern: &ListMailbox<'_>,
    ) -> Verdict {
        let Some(pattern) = full_pattern(reference, pattern) else {
            return Verdict::ok("Lsub completed.");
        };
        let delimiter = QuotedChar::try_from(DELIMITER).ok();
        let mail = account.mail();
        for name in mail
            .subscribed()
            .filter(|name| names::matches(&pattern, name))
        {
            if let Ok(mailbox) = MailboxName::try_from(&**name) {
                reply::data(
                    &mut self.out,
                    Data::Lsub {
                        items: Vec::new(),
                        delimiter,
                        mailbox,
                    },
                );
            }
        }
        Verdict::ok("Lsub completed.")
    }

    fn status(
        &mut self,
        account: &Account,
        mailbox: MailboxName<'_>,
        items: &[StatusDataItemName],
    ) -> Verdict {
        let mut mail = account.mail();
        let Some((_, found)) = names::of(&mailbox).and_then(|name| mail.find(name)) else {
            return refused(Refusal::NoSuchMailbox);
        };
        let letters = found.letters();
        let tally = |which: &dyn Fn(&Letter) -> bool| {
            count(letters.iter().filter(|letter| which(letter)).count())
        };
        let items: Option<Vec<StatusDataItem>> = items
            .iter()
            .map(|item| {
                Some(match item {
                    StatusDataItemName::Messages => StatusDataItem::Messages(count(letters.len())),
                    StatusDataItemName::Recent => StatusDataItem::Recent(count(found.recent())),
                    StatusDataItemName::UidNext => StatusDataItem::UidNext(found.next_uid()),
                    StatusDataItemName::UidValidity => {
                        StatusDataItem::UidValidity(found.validity())
                    }
                    StatusDataItemName::Unseen => {
                        StatusDataItem::Unseen(tally(&|letter| !letter.flags.contains(&Flag::Seen)))
                    }
                    StatusDataItemName::Deleted | StatusDataItemName::DeletedStorage => {
                        return None;
                    }
                })
            })
            .collect();
        drop(mail);
        let Some(items) = items else {
            return Verdict::bad("Unknown status item.");
        };
        reply::data(
            &mut self.out,
            Data::Status {
                mailbox,
                items: items.into(),
            },
        );
        Verdict::ok("Status completed.")
    }

    fn search(
        &mut self,
        account: &Account,
        view: &View,
        charset: Option<&Charset<'_>>,
        criteria: &Vec1<SearchKey<'_>>,
        uid: bool,
    ) -> Verdict {
        if let Some(charset) = charset
            && !["US-ASCII", "UTF-8"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(charset.as_ref()))
        {
            let allowed = ["US-ASCII", "UTF-8"]
                .iter()
                .filter_map(|&name| Charset::try_from(name).ok())
                .collect();
            return Verdict::no("Unknown charset.").code(Code::BadCharset { allowed });
        }
        let Some(last) = view.all().last() else {
            reply::data(&mut self.out, Data::Search(Vec::new()));
            return Verdict::ok("Search completed.");
        };
        let letters = letters(account, view, view.all());
        let found = letters
            .iter()
            .filter(|(target, letter)| {
                let candidate = search::Candidate {
                    target: *target,
                    letter,
                    recent: view.is_recent(target.uid),
                    last,
                };
                criteria.as_ref().iter().all(|key| candidate.answers(key))
            })
            .map(|(target, _)| if uid { target.uid } else { target.sequence })
            .collect();
        reply::data(&mut self.out, Data::Search(found));
        Verdict::ok("Search completed.")
    }

    fn fetch(
        &mut self,
        account: &Account,
        view: &mut View,
        set: &SequenceSet,
        names: &MacroOrMessageDataItemNames<'_>,
        uid: bool,
    ) -> Verdict {
        let Some(targets) = view.targets(set, uid) else {
            return no_such_message();
        };
        let items = fetch::items(names, uid);
        if !items.iter().all(fetch::is_served) {
            return Verdict::bad("Unknown fetch item.");
        }
        let mut newly_seen = Vec::new();
        if !view.read_only && items.iter().any(fetch::sets_seen) {
            newly_seen =
                self.change_flags(account, view, &targets, |flags| add(flags, &Flag::Seen));
        }
        let letters = letters(account, view, targets.iter().copied());
        let with_flags: Vec<_> = if newly_seen.is_empty() || items.contains(&FLAGS) {
            items.clone()
        } else {
            items.iter().cloned().chain([FLAGS]).collect()
        };
        for (target, letter) in &letters {
            // Whoever reads a message is told that it is now seen (RFC 3501, 6.4.5).
            let items = if newly_seen.binary_search(&target.uid).is_ok() {
                &with_flags
            } else {
                &items
            };
            fetch::show(
                &mut self.out,
                *target,
                letter,
                view.is_recent(target.uid),
                items,
            );
        }
        if letters.len() < targets.len() && !uid {
            return Verdict::no("Some of the messages no longer exist.")
                .other_code("EXPUNGEISSUED");
        }
        Verdict::ok("Fetch completed.")
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "they are the parts of a STORE command, as the codec has them"
    )]
    fn store(
        &mut self,
        account: &Account,
        view: &mut View,
        set: &SequenceSet,
        kind: StoreType,
        response: StoreResponse,
        flags: &[Flag<'_>],
        uid: bool,
    ) -> Verdict {
        let Some(targets) = view.targets(set, uid) else {
            return no_such_message();
        };
        let Some(flags) = storable(flags) else {
            return Verdict::bad("Invalid system flag.");
        };
        self.change_flags(account, view, &targets, |present| match kind {
            StoreType::Replace => present.clone_from(&flags),
            StoreType::Add => flags.iter().for_each(|flag| add(present, flag)),
            StoreType::Remove => {
                present.retain(|flag| !flags.iter().any(|removed| same(flag, removed)))
            }
        });
        let letters = letters(account, view, targets.iter().copied());
        if response == StoreResponse::Answer {
            for (target, letter) in &letters {
                let mut items = vec![MessageDataItem::Flags(view::flags(
                    letter,
                    view.is_recent(target.uid),
                ))];
                if uid {
                    items.insert(0, MessageDataItem::Uid(target.uid));
                }
                reply::data(
                    &mut self.out,
                    Data::Fetch {
                        seq: target.sequence,
                        items: Vec1::unvalidated(items),
                    },
                );
            }
        }
        if letters.len() < targets.len() && !uid {
            return Verdict::no("Some of the messages no longer exist.")
                .other_code("EXPUNGEISSUED");
        }
        Verdict::ok("Store completed.")
    }

    /// Changes the flags of the targets and returns the UIDs of those for which it made a difference, in order.
    /// What others have changed is told first, so that this session's own changes can be taken as known.
    fn change_flags(
        &mut self,
        account: &Account,
        view: &mut View,
        targets: &[Target],
        change: impl Fn(&mut Vec<Flag<'static>>),
    ) -> Vec<NonZeroU32> {
        let mut mail = account.mail();
        view.tell(&mut mail, false, &mut self.out);
        let Some(mailbox) = mail.mailbox(view.validity) else {
            return Vec::new();
        };
        let changed = uids(targets)
            .into_iter()
            .filter(|&uid| mailbox.flag(uid, &change))
            .collect();
        view.knows_its_own_changes();
        changed
    }
}

const FLAGS: imap_codec::imap_types::fetch::MessageDataItemName<'static> =
    imap_codec::imap_types::fetch::MessageDataItemName::Flags;

fn read(wire: &mut impl Wire, room: &mut [u8]) -> io::Result<usize> {
    loop {
        match wire.read(room) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The targets that are still there, with what they are now. Messages are shared, not copied.
fn letters(
    account: &Account,
    view: &View,
    targets: impl Iterator<Item = Target>,
) -> Vec<(Target, Letter)> {
    let mut mail = account.mail();
    let Some(mailbox) = mail.mailbox(view.validity) else {
        return Vec::new();
    };
    targets
        .filter_map(|target| Some((target, mailbox.letter(target.uid)?.clone())))
        .collect()
}

fn append(
    account: &Account,
    mailbox: &MailboxName<'_>,
    flags: &[Flag<'_>],
    date: Option<DateTime>,
    message: &LiteralOrLiteral8<'_>,
) -> Verdict {
    let LiteralOrLiteral8::Literal(message) = message else {
        return Verdict::no("Binary messages are not supported.").code(Code::UnknownCte);
    };
    let Some(flags) = storable(flags) else {
        return Verdict::bad("Invalid system flag.");
    };
    let received = date.map_or_else(now, |date| *date.as_ref());
    // Copied before the lock is taken: it may be large.
    let message = Message::new(message.data(), received);
    let appended = match names::of(mailbox) {
        Some(name) => account.mail().append(name, flags, message),
        None => Err(Refusal::NoSuchMailbox),
    };
    match appended {
        Ok((uid_validity, uid)) => {
            Verdict::ok("Append completed.").code(Code::AppendUid { uid_validity, uid })
        }
        Err(refusal) => try_create(refusal),
    }
}

fn now() -> chrono::DateTime<chrono::FixedOffset> {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    chrono::DateTime::from_timestamp(i64::try_from(seconds).unwrap_or_default(), 0)
        .unwrap_or_default()
        .fixed_offset()
}

/// Reference and pattern, put together; `None` if no mailbox here could match.
fn full_pattern(reference: &MailboxName<'_>, pattern: &ListMailbox<'_>) -> Option<String> {
    let pattern = match pattern {
        ListMailbox::Token(token) => token.as_ref(),
        ListMailbox::String(string) => string.as_ref(),
    };
    if pattern.is_empty() {
        return Some(String::new());
    }
    Some(format!(
        "{}{}",
        names::of(reference)?,
        std::str::from_utf8(pattern).ok()?
    ))
}

fn uids(targets: &[Target]) -> Vec<NonZeroU32> {
    targets.iter().map(|target| target.uid).collect()
}

fn copy_code(copied: &Copied) -> Option<Code<'static>> {
    let set = |uids: &[NonZeroU32]| {
        Vec1::try_from(
            uids.iter()
                .map(|&uid| UidElement::Single(uid))
                .collect::<Vec<_>>(),
        )
        .ok()
        .map(UidSet)
    };
    Some(Code::CopyUid {
        uid_validity: copied.validity,
        source: set(&copied.from)?,
        destination: set(&copied.to)?,
    })
}

/// Flags as they are kept; `None` if a client may not set one of them.
fn storable(flags: &[Flag<'_>]) -> Option<Vec<Flag<'static>>> {
    let mut kept = Vec::with_capacity(flags.len());
    for flag in flags {
        if matches!(flag, Flag::Extension(_)) {
            return None;
        }
        add(&mut kept, &flag.to_static());
    }
    Some(kept)
}

fn add(flags: &mut Vec<Flag<'static>>, flag: &Flag<'static>) {
    if !flags.iter().any(|present| same(present, flag)) {
        flags.push(flag.clone());
    }
}

/// Keywords are the same in capitals and small letters.
fn same(one: &Flag<'_>, other: &Flag<'_>) -> bool {
    match (one, other) {
        (Flag::Keyword(one), Flag::Keyword(other)) => {
            one.as_ref().eq_ignore_ascii_case(other.as_ref())
        }
        _ => one == other,
    }
}

fn keywords(letters: &[Letter]) -> Vec<Flag<'static>> {
    let mut keywords = Vec::new();
    for flag in letters
        .iter()
        .flat_map(|letter| &letter.flags)
        .filter(|flag| matches!(flag, Flag::Keyword(_)))
    {
        add(&mut keywords, flag);
    }
    keywords
}

fn is_deleted(letter: &Letter) -> bool {
    letter.flags.contains(&Flag::Deleted)
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn done(result: Result<(), Refusal>, text: &'static str) -> Verdict {
    match result {
        Ok(()) => Verdict::ok(text),
        Err(refusal) => refused(refusal),
    }
}

fn refused(refusal: Refusal) -> Verdict {
    match refusal {
        Refusal::NoSuchMailbox => Verdict::no("Mailbox doesn't exist.").other_code("NONEXISTENT"),
        Refusal::AlreadyExists => {
            Verdict::no("Mailbox already exists.").other_code("ALREADYEXISTS")
        }
        Refusal::IsInbox => Verdict::no("INBOX can't be deleted.").other_code("CANNOT"),
        Refusal::HasChildren => Verdict::no("There are mailboxes below it.").other_code("CANNOT"),
        Refusal::OverQuota => Verdict::no("The account is full.").code(Code::OverQuota),
    }
}

/// For commands that could do with a mailbox that is not there yet.
fn try_create(refusal: Refusal) -> Verdict {
    match refusal {
        Refusal::NoSuchMailbox => Verdict::no("Mailbox doesn't exist.").code(Code::TryCreate),
        other => refused(other),
    }
}

fn cannot() -> Verdict {
    Verdict::no("Invalid mailbox name.").other_code("CANNOT")
}

fn no_such_message() -> Verdict {
    Verdict::bad("No message has this number.")
}

fn authentication_failed() -> Verdict {
    Verdict::no("Authentication failed.").other_code("AUTHENTICATIONFAILED")
}

fn verb(body: &CommandBody<'_>) -> &'static str {
    match body {
        CommandBody::Fetch { uid: true, .. } => "UID FETCH",
        CommandBody::Store { uid: true, .. } => "UID STORE",
        CommandBody::Search { uid: true, .. } => "UID SEARCH",
        CommandBody::Copy { uid: true, .. } => "UID COPY",
        CommandBody::Move { uid: true, .. } => "UID MOVE",
        CommandBody::ExpungeUid { .. } => "UID EXPUNGE",
        other => other.name(),
    }
}

/// The commands this server knows by name, even where the rest of the line is not to be understood.
const VERBS: [&str; 35] = [
    "CAPABILITY",
    "NOOP",
    "LOGOUT",
    "ID",
    "LOGIN",
    "AUTHENTICATE",
    "STARTTLS",
    "SELECT",
    "EXAMINE",
    "CREATE",
    "DELETE",
    "RENAME",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "LIST",
    "LSUB",
    "STATUS",
    "APPEND",
    "NAMESPACE",
    "CHECK",
    "CLOSE",
    "UNSELECT",
    "EXPUNGE",
    "SEARCH",
    "FETCH",
    "STORE",
    "COPY",
    "MOVE",
    "IDLE",
    "UID FETCH",
    "UID STORE",
    "UID SEARCH",
    "UID COPY",
    "UID MOVE",
    "UID EXPUNGE",
];

fn known_verb(first: Option<&[u8]>, second: Option<&[u8]>) -> Option<&'static str> {
    let first = first?.trim_ascii_end();
    VERBS.into_iter().find(|verb| match verb.split_once(' ') {
        None => first.eq_ignore_ascii_case(verb.as_bytes()),
        Some((uid, verb)) => {
            first.eq_ignore_ascii_case(uid.as_bytes())
                && second.is_some_and(|word| word.eq_ignore_ascii_case(verb.as_bytes()))
        }
    })
}

/// Commands that need a selected mailbox.
fn is_for_selected(body: &CommandBody<'_>) -> bool {
    matches!(
        body,
        CommandBody::Check
            | CommandBody::Close
            | CommandBody::Unselect
            | CommandBody::Expunge
            | CommandBody::ExpungeUid { .. }
            | CommandBody::Search { .. }
            | CommandBody::Fetch { .. }
            | CommandBody::Store { .. }
            | CommandBody::Copy { .. }
            | CommandBody::Move { .. }
    )
}
