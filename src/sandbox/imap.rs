//! One IMAP session (RFC 3501): what is asked, what may be asked now, and what is answered.

mod dates;
mod fetch;
mod flags;
mod names;
mod reply;
mod search;
mod selected;
mod signed_in;
mod verb;
mod view;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imap_codec::CommandCodec;
use imap_codec::decode::Decoder;
use imap_codec::imap_types::IntoStatic;
use imap_codec::imap_types::auth::AuthMechanism;
use imap_codec::imap_types::command::{Command, CommandBody};
use imap_codec::imap_types::core::{Atom, IString, NString, Tag, Vec1};
use imap_codec::imap_types::response::{Capability, Code, Data};

use self::reply::Verdict;
use self::view::View;
use super::channel::{Arrival, Channel};
use super::inlet::Progress;
use super::listening::Security;
use super::mailbox::Account;
use super::sasl::{Exchange, Step};
use super::surroundings::{Denied, MAX_BAD, SIGN_IN_TIME, Surroundings};
use super::witness::{CloseCause, CommandRecord, CommandStatus, SessionWitness};
use super::words::Words;

/// How long a signed-in client may be silent (RFC 3501, 5.4: no less than 30 minutes).
const IDLE_TIME: Duration = Duration::from_secs(30 * 60);

/// Said to a client that took too long, to sign in or over a command.
const INACTIVE: &str = "Disconnected for inactivity.";

/// The most fields a client may send with ID (RFC 2971, 3.3).
const MAX_LABEL: usize = 30;

/// Holds the conversation to its end, and says why it ended.
pub(super) fn converse(
    channel: &mut Channel<'_>,
    around: Surroundings<'_>,
    witness: &SessionWitness,
) -> io::Result<CloseCause> {
    let mut session = Session {
        around,
        witness,
        encrypted: channel.is_encrypted(),
        shakes_hands: false,
        followed: false,
        account: None,
        view: None,
        lingers: None,
        exchange: None,
        bad_in_a_row: 0,
        out: Vec::new(),
    };
    session.run(channel)
}

/// The state of one session.
struct Session<'a> {
    around: Surroundings<'a>,
    witness: &'a SessionWitness,
    encrypted: bool,
    /// STARTTLS was answered with OK: what comes next is a handshake.
    shakes_hands: bool,
    /// Whether the client has sent more than the present command.
    followed: bool,
    account: Option<Arc<Account>>,
    view: Option<View>,
    /// What a client that is one too many hears once more.
    lingers: Option<Words>,
    /// The exchange the next line belongs to, the AUTHENTICATE command that began it, and when that came.
    exchange: Option<(Exchange, Tag<'static>, Instant)>,
    bad_in_a_row: u32,
    /// The reply being composed.
    out: Vec<u8>,
}

impl Session<'_> {
    fn run(&mut self, channel: &mut Channel<'_>) -> io::Result<CloseCause> {
        channel.allow(SIGN_IN_TIME)?;
        if let Err(words) = self.around.greet(self.witness) {
            reply::bye_of(&mut self.out, &words);
            return self.part(CloseCause::Refused, channel);
        }
        let capabilities = self.capabilities();
        reply::greeting(&mut self.out, Code::Capability(capabilities), "mailconn sandbox ready.");
        channel.pass(&mut self.out)?;
        loop {
            if channel.is_stopping() {
                return self.leave("Server is stopping.", channel);
            }
            match channel.inlet.advance(self.exchange.is_none()) {
                Progress::Whole(length) => {
                    let signed_in = self.account.is_some();
                    self.followed = channel.inlet.goes_on_behind(length);
                    let close = self.answer(channel.inlet.front(length));
                    channel.inlet.consume(length);
                    if let Some(cause) = close {
                        return self.part(cause, channel);
                    }
                    channel.pass(&mut self.out)?;
                    if self.bad_in_a_row >= MAX_BAD {
                        return self.leave("Too many invalid IMAP commands.", channel);
                    }
                    if self.shakes_hands {
                        self.shake_hands(channel)?;
                    }
                    if self.account.is_some() {
                        if !signed_in {
                            channel.inlet.trust();
                        }
                        channel.allow(IDLE_TIME)?;
                    }
                }
                Progress::More => match channel.wait()? {
                    Arrival::Bytes | Arrival::Stop => {}
                    Arrival::End => return Ok(CloseCause::EndOfStream),
                    Arrival::Silence => return self.leave(INACTIVE, channel),
                },
                Progress::Consent => {
                    reply::consent(&mut self.out);
                    channel.pass(&mut self.out)?;
                    channel.flush()?;
                }
                Progress::TooLong => {
                    self.answer_broken(channel.inlet.fragment(), Some(Verdict::bad("Command line is too long.")));
                    channel.pass(&mut self.out)?;
                    return self.leave("Command line is too long.", channel);
                }
                Progress::TooBig { asked } => {
                    let length = channel.inlet.refused();
                    let verdict = Verdict::no("Literal is too big.").code(Code::TooBig);
                    self.answer_broken(channel.inlet.front(length), Some(verdict));
                    channel.inlet.consume(length);
                    channel.pass(&mut self.out)?;
                    if !asked {
                        return self.leave("Literal is too big.", channel);
                    }
                }
            }
        }
    }

    fn shake_hands(&mut self, channel: &mut Channel<'_>) -> io::Result<()> {
        self.shakes_hands = false;
        self.around.shake_hands(channel, self.witness)?;
        self.encrypted = channel.is_encrypted();
        Ok(())
    }

    /// Says goodbye and ends the session.
    fn leave(&mut self, text: &'static str, channel: &mut Channel<'_>) -> io::Result<CloseCause> {
        reply::bye(&mut self.out, text);
        self.part(CloseCause::Server, channel)
    }

    /// Sends what is left to say. The end is on record and the place is free before the client can know of it.
    fn part(&mut self, cause: CloseCause, channel: &mut Channel<'_>) -> io::Result<CloseCause> {
        self.witness.closed(cause);
        self.view = None;
        self.around.admission.leave();
        channel.pass(&mut self.out)?;
        channel.flush()?;
        Ok(cause)
    }

    /// Composes the reply to one whole command. Says why, if the session ends with it.
    fn answer(&mut self, bytes: &[u8]) -> Option<CloseCause> {
        if let Some((mut exchange, tag, at)) = self.exchange.take() {
            let step = exchange.line(bytes);
            return self.go_on(exchange, step, tag, at);
        }
        let at = Instant::now();
        let borne;
        let decoded = match CommandCodec::default().decode(bytes) {
            Ok(decoded) => Some(decoded),
            Err(_) => {
                borne = dates::as_the_grammar_has_them(bytes);
                borne.as_deref().and_then(|bytes| CommandCodec::default().decode(bytes).ok())
            }
        };
        let Some((b"", Command { tag, body })) = decoded else {
            return self.answer_broken(bytes, None);
        };
        let body = match body {
            CommandBody::Authenticate { mechanism, initial_response } if self.may_sign_in() => {
                let name = mechanism.to_string();
                let Some(mut exchange) = Exchange::of(name.as_bytes()) else {
                    let verdict = Verdict::no("Unsupported authentication mechanism.");
                    return self.conclude(tag, "AUTHENTICATE", None, at, verdict);
                };
                let step = match initial_response {
                    Some(response) => exchange.response(response.declassify()),
                    None => Step::Ask(exchange.challenge()),
                };
                return self.go_on(exchange, step, tag.into_static(), at);
            }
            body => body,
        };
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

    /// The next step of AUTHENTICATE: another challenge, or its end.
    fn go_on(&mut self, exchange: Exchange, step: Step, tag: Tag<'static>, at: Instant) -> Option<CloseCause> {
        let verdict = match step {
            Step::Ask(challenge) => {
                reply::challenge(&mut self.out, challenge);
                self.exchange = Some((exchange, tag, at));
                return None;
            }
            Step::Credentials(user, password) => self.sign_in(&user, &password),
            Step::Cancelled => Verdict::bad("Authentication cancelled."),
            Step::NotBase64 => Verdict::bad("Invalid base64 data."),
            Step::NotCredentials => self.authentication_failed(),
        };
        self.conclude(tag, "AUTHENTICATE", None, at, verdict)
    }

    /// Answers a line that is no command, to the tag it seems to have. Without a verdict, says what is not understood.
    fn answer_broken(&mut self, bytes: &[u8], verdict: Option<Verdict>) -> Option<CloseCause> {
        let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or(bytes);
        let mut words = line.trim_ascii_end().splitn(3, |&byte| byte == b' ');
        let tag = words.next().and_then(|word| Tag::try_from(word).ok()).filter(|tag| tag.as_ref().len() <= 64);
        let (command, arguments) = (words.next(), words.next());
        let verb = verb::known(command, arguments.and_then(|rest| rest.split(|&byte| byte == b' ').next()));
        let verdict = verdict.unwrap_or_else(|| match (verb, command) {
            // What a client says before it has signed in, or to sign in, may be a password.
            _ if self.account.is_none() => Verdict::bad("Syntax error or unknown command."),
            (Some("LOGIN" | "AUTHENTICATE"), _) => Verdict::bad("Already signed in."),
            (Some(verb), _) => {
                Verdict::bad(format!("Syntax error in the arguments of {verb}.")).about(arguments.unwrap_or_default())
            }
            (None, Some(command)) if tag.is_some() => Verdict::bad("Unknown command.").about(command),
            (None, _) => Verdict::bad("A command begins with a tag and a name."),
        });
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
        let (status, close, farewell) = (verdict.status, verdict.close, verdict.farewell);
        self.bad_in_a_row = if status == CommandStatus::Bad { self.bad_in_a_row + 1 } else { 0 };
        self.witness.command(CommandRecord { tag: tag.as_ref().into(), verb, selected, at, status });
        reply::tagged(&mut self.out, tag, verdict.naming(verb));
        if let Some(text) = farewell {
            reply::bye(&mut self.out, text);
        }
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
        if self.account.is_some() {
            capabilities.extend([Capability::Namespace, Capability::Unselect, Capability::UidPlus, Capability::Move]);
            // LIST says which mailboxes have others below them (RFC 3348).
            capabilities.extend(Atom::try_from("CHILDREN").map(Capability::from));
        } else if self.may_sign_in() {
            capabilities.extend([AuthMechanism::Plain, AuthMechanism::Login].map(Capability::Auth));
        } else {
            capabilities.extend([Capability::StartTls, Capability::LoginDisabled]);
        }
        Vec1::unvalidated(capabilities)
    }

    /// Not twice, and not in the clear where TLS is on offer.
    fn may_sign_in(&self) -> bool {
        self.account.is_none() && self.around.tls_on_offer(self.encrypted).is_none()
    }

    fn start_tls(&mut self) -> Verdict {
        if self.around.security != Security::StartTls {
            return Verdict::bad("TLS is not offered here.");
        }
        if self.encrypted {
            return Verdict::bad("TLS is already active.");
        }
        if self.followed {
            let text = "Nothing may follow STARTTLS before the handshake.";
            reply::bye(&mut self.out, text);
            return Verdict::bad(text).and_close(CloseCause::Server);
        }
        self.shakes_hands = true;
        Verdict::ok("Begin TLS negotiation now.")
    }

    fn execute(&mut self, body: CommandBody<'_>) -> Verdict {
        // These are the server's to answer, whoever has signed in.
        if self.account.is_some()
            && !matches!(body, CommandBody::Capability | CommandBody::Id { .. } | CommandBody::Logout)
            && let Some(verdict) = self.turned_away()
        {
            return verdict;
        }
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
            CommandBody::StartTLS => self.start_tls(),
            CommandBody::Login { .. } | CommandBody::Authenticate { .. } if self.account.is_some() => {
                Verdict::bad("Already signed in.")
            }
            CommandBody::Login { .. } | CommandBody::Authenticate { .. } if !self.may_sign_in() => {
                Verdict::no("Plaintext authentication disallowed on non-secure (SSL/TLS) connections.")
                    .other_code("PRIVACYREQUIRED")
            }
            CommandBody::Login { username, password } => {
                self.sign_in(username.as_ref(), password.declassify().as_ref())
            }
            body => match self.account.clone() {
                Some(account) => self.execute_signed_in(&account, body),
                None => Verdict::bad("Sign in first."),
            },
        }
    }

    /// The answer to one who has signed in and is one too many.
    fn turned_away(&mut self) -> Option<Verdict> {
        if let Some(words) = self.lingers.take() {
            return Some(Verdict::turned_away(words));
        }
        let words = self.around.go_on(self.witness).err()?;
        if words.farewell.is_none() {
            return Some(Verdict::turned_away(words));
        }
        let verdict = Verdict { close: None, farewell: None, ..Verdict::turned_away(words.clone()) };
        self.lingers = Some(words);
        Some(verdict)
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

    fn sign_in(&mut self, user: &[u8], password: &[u8]) -> Verdict {
        match self.around.sign_in(user, password, self.witness) {
            Ok(account) => {
                self.witness.signed_in(account.name());
                self.account = Some(account);
                Verdict::ok("Logged in").code(Code::Capability(self.capabilities()))
            }
            Err(Denied::Unknown) => self.authentication_failed(),
            Err(Denied::Limited(words)) => Verdict::turned_away(words),
        }
    }

    fn authentication_failed(&self) -> Verdict {
        let text = "Authentication failed.";
        self.witness.refused(text);
        Verdict::no(text).other_code("AUTHENTICATIONFAILED")
    }
}
