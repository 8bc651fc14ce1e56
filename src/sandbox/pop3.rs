//! One POP3 session (RFC 1939, with 2449, 2595 and 5034): a maildrop, locked by whoever has it open, unless they are shared.

mod command;
mod maildrop;
mod reply;

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::command::Command;
use self::maildrop::{Item, Maildrop};
use self::reply::Reply;
use super::channel::{Arrival, Channel};
use super::inlet::{MAX_SASL_LINE, Progress};
use super::listening::Protocol;
use super::sasl::{self, Exchange, Step};
use super::surroundings::{Denied, MAX_BAD, SIGN_IN_TIME, Surroundings};
use super::witness::{CloseCause, CommandRecord, CommandStatus, SessionWitness};
use super::words::Words;

/// How long a signed-in client may be silent (RFC 1939, 3: no less than 10 minutes).
const IDLE_TIME: Duration = Duration::from_secs(10 * 60);

/// Said to whom TLS is on offer, and who would do without.
const ENCRYPT_FIRST: &str = "Plaintext authentication disallowed on non-secure (SSL/TLS) connections.";

/// Said where no message has the number, or one that is marked as deleted.
const NO_SUCH_MESSAGE: &str = "There's no such message.";

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
        commands: 0,
        name: None,
        maildrop: None,
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
    /// STLS was agreed to: what comes next is a handshake.
    shakes_hands: bool,
    /// Whether the client has sent more than the present command.
    followed: bool,
    /// Command lines so far: the present one's number.
    commands: u64,
    /// What USER said, for PASS.
    name: Option<Vec<u8>>,
    /// From sign-in to the end: this is the TRANSACTION state.
    maildrop: Option<Maildrop>,
    /// The exchange the next line belongs to, the number of the AUTH command that began it, and when that came.
    exchange: Option<(Exchange, u64, Instant)>,
    bad_in_a_row: u32,
    /// The reply being composed.
    out: Vec<u8>,
}

impl Session<'_> {
    fn run(&mut self, channel: &mut Channel<'_>) -> io::Result<CloseCause> {
        channel.allow(SIGN_IN_TIME)?;
        if let Err(words) = self.around.greet(self.witness) {
            return self.end(&words.line(Protocol::Pop3), CloseCause::Refused, channel);
        }
        self.say(true, "mailconn sandbox ready.");
        channel.pass(&mut self.out)?;
        loop {
            if channel.is_stopping() {
                return self.leave("[SYS/TEMP] Server is stopping.", channel);
            }
            match channel.inlet.advance_line(MAX_SASL_LINE) {
                Progress::Whole(length) => {
                    self.followed = channel.inlet.goes_on_behind(length);
                    let close = self.answer(channel.inlet.front(length));
                    channel.inlet.consume(length);
                    if let Some(cause) = close {
                        return self.part(cause, channel);
                    }
                    channel.pass(&mut self.out)?;
                    if self.bad_in_a_row >= MAX_BAD {
                        return self.leave("Too many bad commands.", channel);
                    }
                    if self.shakes_hands {
                        self.shake_hands(channel)?;
                    }
                    if self.maildrop.is_some() {
                        channel.allow(IDLE_TIME)?;
                    }
                }
                Progress::TooLong => {
                    self.too_long();
                    return self.part(CloseCause::Server, channel);
                }
                Progress::More | Progress::Consent | Progress::TooBig { .. } => match channel.wait()? {
                    Arrival::Bytes | Arrival::Stop => {}
                    Arrival::End => return Ok(CloseCause::EndOfStream),
                    Arrival::Silence => return self.leave("Disconnected for inactivity.", channel),
                },
            }
        }
    }

    fn shake_hands(&mut self, channel: &mut Channel<'_>) -> io::Result<()> {
        self.shakes_hands = false;
        self.around.shake_hands(channel, self.witness)?;
        self.encrypted = channel.is_encrypted();
        // What was said in the clear does not count (RFC 2595, 4).
        self.name = None;
        Ok(())
    }

    fn say(&mut self, ok: bool, text: &str) {
        self.out.extend_from_slice(if ok { b"+OK" } else { b"-ERR" });
        if !text.is_empty() {
            self.out.push(b' ');
            self.out.extend_from_slice(text.as_bytes());
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// Says why, and ends the session.
    fn leave(&mut self, why: &str, channel: &mut Channel<'_>) -> io::Result<CloseCause> {
        self.end(why, CloseCause::Server, channel)
    }

    fn end(&mut self, why: &str, cause: CloseCause, channel: &mut Channel<'_>) -> io::Result<CloseCause> {
        self.say(false, why);
        self.part(cause, channel)
    }

    /// Sends what is left to say. The end is on record, and place and maildrop are free, before the client can know of
    /// it.
    fn part(&mut self, cause: CloseCause, channel: &mut Channel<'_>) -> io::Result<CloseCause> {
        self.witness.closed(cause);
        self.maildrop = None;
        self.around.admission.leave();
        channel.pass(&mut self.out)?;
        channel.flush()?;
        Ok(cause)
    }

    /// Composes the reply to one line. Says why, if the session ends with it.
    fn answer(&mut self, bytes: &[u8]) -> Option<CloseCause> {
        if let Some((mut exchange, number, at)) = self.exchange.take() {
            let step = exchange.line(bytes);
            return self.go_on(exchange, step, number, at);
        }
        self.commands += 1;
        let at = Instant::now();
        let command = Command::read(bytes);
        let verb = command.verb();
        let reply = match command {
            Command::Auth(mechanism, response) => match self.begin(mechanism) {
                Ok(mut exchange) => {
                    let step = match response {
                        Some(response) => exchange.initial(response),
                        None => Step::Ask(exchange.challenge()),
                    };
                    return self.go_on(exchange, step, self.commands, at);
                }
                Err(reply) => reply,
            },
            Command::Capa => self.capabilities(),
            Command::Quit => self.quit(),
            Command::Broken(_) => Reply::bad("Invalid arguments."),
            Command::Unknown => Reply::bad("Unknown command."),
            command => match self.maildrop.take() {
                Some(mut maildrop) => {
                    let reply = match self.around.go_on(self.witness) {
                        Ok(()) => transact(&mut maildrop, command),
                        Err(words) => turned_away(&words),
                    };
                    self.maildrop = Some(maildrop);
                    reply
                }
                None => self.authorize(command),
            },
        };
        self.conclude(self.commands, verb, at, reply)
    }

    /// Puts the command on record, then composes its reply.
    fn conclude(&mut self, number: u64, verb: &'static str, at: Instant, reply: Reply) -> Option<CloseCause> {
        let Reply { status, text, mut body, close } = reply;
        self.bad_in_a_row = if status == CommandStatus::Bad { self.bad_in_a_row + 1 } else { 0 };
        self.witness.command(CommandRecord { tag: number.to_string().into(), verb, selected: None, at, status });
        self.say(status == CommandStatus::Ok, &text);
        self.out.append(&mut body);
        close
    }

    fn too_long(&mut self) {
        let (verb, number, at) = match self.exchange.take() {
            Some((_, number, at)) => ("AUTH", number, at),
            None => {
                self.commands += 1;
                ("UNKNOWN", self.commands, Instant::now())
            }
        };
        self.conclude(number, verb, at, Reply::bad("Command line is too long."));
    }

    fn capabilities(&self) -> Reply {
        let always = ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "IMPLEMENTATION mailconn-sandbox"];
        let here: &[&str] = if self.must_encrypt() { &["STLS"] } else { &["USER", "SASL PLAIN LOGIN"] };
        let lines = always.iter().chain(here).map(|&line| line.to_owned());
        Reply::listing("Capability list follows.", lines)
    }

    fn must_encrypt(&self) -> bool {
        self.around.tls_on_offer(self.encrypted).is_some()
    }

    /// What may be said before sign-in.
    fn authorize(&mut self, command: Command<'_>) -> Reply {
        match command {
            Command::Stls => self.start_tls(),
            Command::User(_) | Command::Pass(_) if self.must_encrypt() => Reply::no(ENCRYPT_FIRST),
            Command::User(name) => {
                self.name = Some(name.to_vec());
                Reply::ok("")
            }
            Command::Pass(password) => match self.name.take() {
                Some(name) => self.sign_in(&name, password),
                None => Reply::bad("No username given."),
            },
            _ => Reply::bad("Sign in first."),
        }
    }

    fn start_tls(&mut self) -> Reply {
        if !self.must_encrypt() {
            return Reply::bad(if self.encrypted { "TLS is already active." } else { "TLS is not offered here." });
        }
        if self.followed {
            return Reply::bad("Nothing may follow STLS before the handshake.").and_close(CloseCause::Server);
        }
        self.shakes_hands = true;
        Reply::ok("Begin TLS negotiation now.")
    }

    fn begin(&self, mechanism: &[u8]) -> Result<Exchange, Reply> {
        if self.maildrop.is_some() {
            return Err(Reply::bad("Already signed in."));
        }
        if self.must_encrypt() {
            return Err(Reply::no(ENCRYPT_FIRST));
        }
        Exchange::of(mechanism).ok_or_else(|| Reply::no("Unsupported authentication mechanism."))
    }

    /// The next step of AUTH: another challenge, or its end.
    fn go_on(&mut self, exchange: Exchange, step: Step, number: u64, at: Instant) -> Option<CloseCause> {
        let reply = match step {
            Step::Ask(challenge) => {
                self.out.extend_from_slice(format!("+ {}\r\n", sasl::encoded(challenge)).as_bytes());
                self.exchange = Some((exchange, number, at));
                return None;
            }
            Step::Credentials(user, password) => self.sign_in(&user, &password),
            Step::Cancelled => Reply::bad("Authentication cancelled."),
            Step::NotBase64 => Reply::bad("Invalid base64."),
            Step::NotCredentials => self.refused("[AUTH] Authentication failed."),
        };
        self.conclude(number, "AUTH", at, reply)
    }

    fn sign_in(&mut self, user: &[u8], password: &[u8]) -> Reply {
        match self.around.sign_in(user, password, self.witness) {
            Ok(account) => match Maildrop::open(Arc::clone(&account), self.around.faults.locks_maildrops()) {
                Some(maildrop) => {
                    self.witness.signed_in(account.name());
                    self.maildrop = Some(maildrop);
                    Reply::ok("Logged in.")
                }
                // The session stays where it was: its user may try again (RFC 2449, 8.1.1).
                None => {
                    self.around.admission.retreat();
                    self.refused("[IN-USE] Mailbox is locked by another POP3 session.")
                }
            },
            Err(Denied::Unknown) => self.refused("[AUTH] Authentication failed."),
            Err(Denied::Limited(words)) => turned_away(&words),
        }
    }

    fn refused(&self, words: impl Into<Cow<'static, str>>) -> Reply {
        let words = words.into();
        self.witness.refused(&words);
        Reply::no(words)
    }

    /// What is marked as deleted is removed now, and at no other end.
    fn quit(&self) -> Reply {
        if let Some(maildrop) = &self.maildrop {
            maildrop.update();
        }
        Reply::ok("Logging out.").and_close(CloseCause::Logout)
    }
}

fn turned_away(words: &Words) -> Reply {
    Reply::no(words.line(Protocol::Pop3)).and_close(CloseCause::Refused)
}

/// What may be said once signed in.
fn transact(maildrop: &mut Maildrop, command: Command<'_>) -> Reply {
    match command {
        Command::Stat => {
            let (count, size) = maildrop.count();
            Reply::ok(format!("{count} {size}"))
        }
        Command::List(number) => list(maildrop, number, |item| format!("{} {}", item.number, item.size)),
        Command::Uidl(number) => list(maildrop, number, |item| format!("{} {}", item.number, maildrop.unique_id(item))),
        Command::Retr(number) => retrieve(maildrop, number, None),
        Command::Top(number, lines) => retrieve(maildrop, number, Some(lines)),
        Command::Dele(number) if maildrop.delete(number) => Reply::ok("Marked to be deleted."),
        Command::Dele(_) => Reply::no(NO_SUCH_MESSAGE),
        Command::Noop => Reply::ok(""),
        Command::Rset => {
            maildrop.reset();
            Reply::ok("")
        }
        _ => Reply::bad("Already signed in."),
    }
}

fn list(maildrop: &Maildrop, number: Option<usize>, line: impl Fn(&Item) -> String) -> Reply {
    match number {
        Some(number) => maildrop.item(number).map_or_else(|| Reply::no(NO_SUCH_MESSAGE), |item| Reply::ok(line(item))),
        None => Reply::listing(format!("{} messages:", maildrop.count().0), maildrop.items().map(line)),
    }
}

fn retrieve(maildrop: &Maildrop, number: usize, lines: Option<usize>) -> Reply {
    let Some(item) = maildrop.item(number) else {
        return Reply::no(NO_SUCH_MESSAGE);
    };
    let mut reply = Reply::ok(if lines.is_none() { format!("{} octets", item.size) } else { String::new() });
    item.send(lines, &mut reply.body);
    reply
}
