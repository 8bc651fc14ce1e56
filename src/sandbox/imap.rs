//! One IMAP session (RFC 3501): what is asked, what may be asked now, and what is answered.

mod fetch;
mod flags;
mod names;
mod reply;
mod search;
mod selected;
mod signed_in;
mod verb;
mod view;

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imap_codec::decode::Decoder;
use imap_codec::imap_types::IntoStatic;
use imap_codec::imap_types::auth::{AuthMechanism, AuthenticateData};
use imap_codec::imap_types::command::{Command, CommandBody};
use imap_codec::imap_types::core::{IString, NString, Tag, Vec1};
use imap_codec::imap_types::response::{Capability, Code, Data};
use imap_codec::{AuthenticateDataCodec, CommandCodec};

use self::reply::Verdict;
use self::view::View;
use super::faults::Outlet;
use super::inlet::{Inlet, Progress};
use super::limits::{Limits, Place};
use super::mailbox::{Account, Accounts};
use super::witness::{CloseCause, CommandRecord, CommandStatus, SessionWitness};

/// How long a client may take to sign in.
const SIGN_IN_TIME: Duration = Duration::from_secs(3 * 60);

/// How long a signed-in client may be silent (RFC 3501, 5.4: no less than 30 minutes).
const IDLE_TIME: Duration = Duration::from_secs(30 * 60);

/// Said to a client that took too long, to sign in or over a command.
const INACTIVE: &str = "Disconnected for inactivity.";

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
pub(super) fn converse(wire: &mut impl Wire, mut outlet: Outlet, around: Surroundings<'_>, witness: &SessionWitness) {
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
    fn run(&mut self, wire: &mut impl Wire, inlet: &mut Inlet, outlet: &mut Outlet) -> io::Result<CloseCause> {
        wire.set_patience(SIGN_IN_TIME)?;
        let capabilities = self.capabilities();
        reply::greeting(&mut self.out, Code::Capability(capabilities), "mailconn sandbox ready.");
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
                        return self.leave(CloseCause::Server, "Too many invalid IMAP commands.", wire, outlet);
                    }
                    if self.account.is_some() {
                        if !signed_in {
                            inlet.trust();
                            wire.set_patience(IDLE_TIME)?;
                        }
                        deadline = Instant::now() + IDLE_TIME;
                    }
                }
                Progress::More => {
                    outlet.flush(wire)?;
                    // Looked at between reads, so that a client that sends a byte now and then has no more time.
                    if Instant::now() > deadline {
                        return self.leave(CloseCause::Server, INACTIVE, wire, outlet);
                    }
                    match read(wire, inlet.room()) {
                        Ok(0) if (self.around.stopping)() => {}
                        Ok(0) => return Ok(CloseCause::EndOfStream),
                        Ok(length) => inlet.received(length),
                        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                            return self.leave(CloseCause::Server, INACTIVE, wire, outlet);
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
                    return self.leave(CloseCause::Server, "Command line is too long.", wire, outlet);
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
    fn part(&mut self, cause: CloseCause, wire: &mut impl Wire, outlet: &mut Outlet) -> io::Result<CloseCause> {
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
            && let CommandBody::Authenticate { mechanism: AuthMechanism::Plain, initial_response: None } = body
        {
            self.credentials_of = Some((tag.into_static(), at));
            reply::challenge(&mut self.out);
            return None;
        }
        let verb = verb::of(&body);
        let selects = matches!(body, CommandBody::Select { .. } | CommandBody::Examine { .. });
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
        let tag = words.next().and_then(|word| Tag::try_from(word).ok()).filter(|tag| tag.as_ref().len() <= 64);
        let verb = verb::known(words.next(), words.next());
        let at = Instant::now();
        // A stray line of a client that has not signed in may be half of a password: it is no one's tag.
        let keep = verb.is_some() || self.account.is_some();
        self.bad_in_a_row += 1;
        self.witness.command(CommandRecord {
            tag: tag.as_ref().filter(|_| keep).map_or("", |tag| tag.as_ref()).into(),
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
        self.bad_in_a_row = if status == CommandStatus::Bad { self.bad_in_a_row + 1 } else { 0 };
        self.witness.command(CommandRecord { tag: tag.as_ref().into(), verb, selected, at, status });
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
        let mut capabilities = vec![Capability::Imap4Rev1, Capability::SaslIr, Capability::LiteralPlus, Capability::Id];
        if self.account.is_none() {
            capabilities.push(Capability::Auth(AuthMechanism::Plain));
        } else {
            capabilities.extend([Capability::Namespace, Capability::Unselect, Capability::UidPlus, Capability::Move]);
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
            CommandBody::Authenticate { mechanism, initial_response } => match initial_response {
                _ if self.account.is_some() => Verdict::bad("Already signed in."),
                Some(response) if mechanism == AuthMechanism::Plain => self.plain(response.declassify()),
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
                .map(|(name, value)| (text(name.as_ref()), value.0.as_ref().map(|value| text(value.as_ref()))))
                .collect(),
        );
        let known = [("name", "mailconn sandbox"), ("version", env!("CARGO_PKG_VERSION"))];
        let parameters = known
            .iter()
            .filter_map(|&(name, value)| Some((IString::try_from(name).ok()?, NString::try_from(value).ok()?)))
            .collect();
        reply::data(&mut self.out, Data::Id { parameters: Some(parameters) });
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
            (Some(on_behalf_of), Some(user), Some(password)) if on_behalf_of.is_empty() || on_behalf_of == user => {
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
            Err(full) => Verdict::no(full.text()).other_code("LIMIT").and_close(CloseCause::Refused),
            Ok(place) => {
                self.witness.signed_in(account.name());
                self.account = Some(Arc::clone(account));
                self.place = Some(place);
                Verdict::ok("Logged in").code(Code::Capability(self.capabilities()))
            }
        }
    }
}

fn read(wire: &mut impl Wire, room: &mut [u8]) -> io::Result<usize> {
    loop {
        match wire.read(room) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn authentication_failed() -> Verdict {
    Verdict::no("Authentication failed.").other_code("AUTHENTICATIONFAILED")
}
