//! One SMTP session (RFC 5321), as mail is submitted with it (RFC 6409): whoever sends signs in first, and every
//! recipient is a user here.

mod incoming;
mod line;
mod mail;
mod reply;
mod transaction;

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smtp_proto::{AUTH_LOGIN, AUTH_PLAIN, Request};

use self::incoming::{Incoming, MAX_MESSAGE};
use self::reply::Reply;
use self::transaction::Transaction;
use super::channel::{Arrival, Channel};
use super::inlet::{MAX_SASL_LINE, Progress};
use super::listening::Protocol;
use super::mailbox::Account;
use super::sasl::{self, Exchange, Step};
use super::surroundings::{Denied, MAX_BAD, SIGN_IN_TIME, Surroundings};
use super::witness::{CloseCause, CommandRecord, CommandStatus, SessionWitness};
use super::words::{HOST, Words};

/// How long a server waits for the next command (RFC 5321, 4.5.3.2.7).
const COMMAND_TIME: Duration = Duration::from_secs(5 * 60);

/// How long a whole message may take.
const MESSAGE_TIME: Duration = Duration::from_secs(10 * 60);

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
        messages: 0,
        hello: None,
        account: None,
        exchange: None,
        transaction: None,
        incoming: None,
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
    /// STARTTLS was agreed to: what comes next is a handshake.
    shakes_hands: bool,
    /// Whether the client has sent more than the present command.
    followed: bool,
    /// Command lines so far: the present one's number.
    commands: u64,
    /// Messages taken so far.
    messages: u64,
    hello: Option<Hello>,
    account: Option<Arc<Account>>,
    /// The exchange the next line belongs to, the number of the AUTH command that began it, and when that came.
    exchange: Option<(Exchange, u64, Instant)>,
    transaction: Option<Transaction>,
    /// The message, from DATA to its end.
    incoming: Option<Incoming>,
    bad_in_a_row: u32,
    /// The reply being composed.
    out: Vec<u8>,
}

/// How the client introduced itself.
struct Hello {
    name: String,
    /// By EHLO, not HELO.
    extended: bool,
}

impl Session<'_> {
    fn run(&mut self, channel: &mut Channel<'_>) -> io::Result<CloseCause> {
        channel.allow(SIGN_IN_TIME)?;
        if let Err(words) = self.around.greet(self.witness) {
            self.say(&words.line(self.around.protocol));
            return self.part(CloseCause::Refused, channel);
        }
        self.say(&format!("220 {HOST} ESMTP mailconn sandbox"));
        channel.pass(&mut self.out)?;
        loop {
            if channel.is_stopping() {
                return self.leave("4.3.2", "server is stopping", channel);
            }
            if self.incoming.is_some() {
                if self.take_in(channel)? {
                    continue;
                }
                if self.incoming.as_ref().is_some_and(Incoming::is_endless) {
                    return self.leave("4.3.4", "message without end", channel);
                }
            } else {
                match channel.inlet.advance_line(MAX_SASL_LINE) {
                    Progress::Whole(length) => {
                        if let Some(cause) = self.answer_line(length, channel)? {
                            return Ok(cause);
                        }
                        continue;
                    }
                    Progress::TooLong => {
                        self.too_long();
                        return self.leave("4.7.0", "line too long", channel);
                    }
                    Progress::More | Progress::Consent | Progress::TooBig { .. } => {}
                }
            }
            match channel.wait()? {
                Arrival::Bytes | Arrival::Stop => {}
                Arrival::End => return Ok(CloseCause::EndOfStream),
                Arrival::Silence => return self.leave("4.4.2", "timeout exceeded", channel),
            }
        }
    }

    fn answer_line(&mut self, length: usize, channel: &mut Channel<'_>) -> io::Result<Option<CloseCause>> {
        self.followed = channel.inlet.goes_on_behind(length);
        let close = self.answer(channel.inlet.front(length));
        channel.inlet.consume(length);
        if let Some(cause) = close {
            return self.part(cause, channel).map(Some);
        }
        channel.pass(&mut self.out)?;
        if self.bad_in_a_row >= MAX_BAD {
            return self.leave("4.7.0", "too many errors", channel).map(Some);
        }
        if self.shakes_hands {
            self.shake_hands(channel)?;
        }
        if self.incoming.is_some() {
            channel.allow(MESSAGE_TIME)?;
        } else if self.account.is_some() {
            channel.allow(COMMAND_TIME)?;
        }
        Ok(None)
    }

    /// Takes what is here of the message; true when it is whole, and answered.
    fn take_in(&mut self, channel: &mut Channel<'_>) -> io::Result<bool> {
        let Some(incoming) = &mut self.incoming else { return Ok(false) };
        let (taken, whole) = incoming.take(channel.inlet.fragment());
        channel.inlet.consume(taken);
        if whole && let Some(incoming) = self.incoming.take() {
            let reply = self.accept(incoming.text());
            self.say(&reply);
            channel.pass(&mut self.out)?;
            channel.allow(COMMAND_TIME)?;
        }
        Ok(whole)
    }

    fn shake_hands(&mut self, channel: &mut Channel<'_>) -> io::Result<()> {
        self.shakes_hands = false;
        self.around.shake_hands(channel, self.witness)?;
        self.encrypted = channel.is_encrypted();
        // What the client said of itself in the clear does not count (RFC 3207, 4.2).
        self.hello = None;
        self.transaction = None;
        Ok(())
    }

    fn say(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// Says goodbye and ends the session.
    fn leave(&mut self, code: &str, why: &str, channel: &mut Channel<'_>) -> io::Result<CloseCause> {
        self.say(&format!("421 {code} {HOST} Error: {why}"));
        self.part(CloseCause::Server, channel)
    }

    /// Sends what is left to say. The end is on record and the place is free before the client can know of it.
    fn part(&mut self, cause: CloseCause, channel: &mut Channel<'_>) -> io::Result<CloseCause> {
        self.witness.closed(cause);
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
        let bytes = line::qualified(bytes);
        let request = match line::read(&bytes) {
            Ok(request) => request,
            Err(error) => {
                let verb = line::verb(&bytes).unwrap_or("UNKNOWN");
                return self.conclude(self.commands, verb, at, line::complaint(&error).into());
            }
        };
        let verb = request.name();
        let reply = match request {
            Request::Auth { mechanism, initial_response } => match self.begin(mechanism) {
                Ok(mut exchange) => {
                    let step = match initial_response.as_bytes() {
                        b"" => Step::Ask(exchange.challenge()),
                        response => exchange.initial(response),
                    };
                    return self.go_on(exchange, step, self.commands, at);
                }
                Err(reply) => reply,
            },
            request => self.execute(request),
        };
        self.conclude(self.commands, verb, at, reply)
    }

    /// Puts the command on record, then composes its reply.
    fn conclude(&mut self, number: u64, verb: &'static str, at: Instant, reply: Reply) -> Option<CloseCause> {
        let status = reply.status();
        self.bad_in_a_row = if status == CommandStatus::Bad { self.bad_in_a_row + 1 } else { 0 };
        self.witness.command(CommandRecord { tag: number.to_string().into(), verb, selected: None, at, status });
        self.say(&reply.text);
        reply.close
    }

    fn too_long(&mut self) {
        let (verb, number, at) = match self.exchange.take() {
            Some((_, number, at)) => ("AUTH", number, at),
            None => {
                self.commands += 1;
                ("UNKNOWN", self.commands, Instant::now())
            }
        };
        self.conclude(number, verb, at, "500 5.5.2 Error: line too long".into());
    }

    fn execute(&mut self, request: Request<Cow<'_, str>>) -> Reply {
        if self.account.is_some()
            && !matches!(request, Request::Quit)
            && let Err(words) = self.around.go_on(self.witness)
        {
            return turned_away(&words);
        }
        match request {
            Request::Ehlo { host } => self.greet(&host, true),
            Request::Helo { host } => self.greet(&host, false),
            Request::Noop { .. } => "250 2.0.0 Ok".into(),
            Request::Quit => Reply::from("221 2.0.0 Bye").and_close(CloseCause::Logout),
            Request::StartTls => self.start_tls(),
            // Before TLS these are all (RFC 3207, 4).
            _ if self.must_encrypt() => "530 5.7.0 Must issue a STARTTLS command first".into(),
            Request::Rset => {
                self.transaction = None;
                "250 2.0.0 Ok".into()
            }
            Request::Help { .. } => "214 2.0.0 See RFC 5321".into(),
            Request::Vrfy { value } => match self.around.accounts.addressed(&value) {
                Some(account) => format!("252 2.0.0 {}", account.name()).into(),
                None => "550 5.1.1 Recipient address rejected: User unknown".into(),
            },
            Request::Mail { .. } | Request::Rcpt { .. } | Request::Data if self.account.is_none() => {
                "530 5.7.0 Authentication required".into()
            }
            Request::Mail { from } => self.mail(from),
            Request::Rcpt { to } => self.recipient(&to.address, to.flags),
            Request::Data => self.data(),
            _ => "502 5.5.1 Error: command not implemented".into(),
        }
    }

    fn must_encrypt(&self) -> bool {
        self.around.tls_on_offer(self.encrypted).is_some()
    }

    fn greet(&mut self, name: &str, extended: bool) -> Reply {
        if name.contains(|c: char| !c.is_ascii_graphic()) {
            return "501 5.5.4 Error: bad host name".into();
        }
        self.transaction = None;
        self.hello = Some(Hello { name: name.to_owned(), extended });
        self.witness.labelled(vec![("ehlo".to_owned(), Some(name.to_owned()))]);
        if !extended {
            return format!("250 {HOST}").into();
        }
        let mut offers = vec![HOST.to_owned(), "PIPELINING".to_owned(), format!("SIZE {MAX_MESSAGE}")];
        offers.push(if self.must_encrypt() { "STARTTLS" } else { "AUTH PLAIN LOGIN" }.to_owned());
        format!("250-{}\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME", offers.join("\r\n250-")).into()
    }

    fn start_tls(&mut self) -> Reply {
        if !self.must_encrypt() {
            return if self.encrypted { "503 5.5.1 Error: TLS already active" } else { "502 5.5.1 TLS is not offered" }
                .into();
        }
        if self.followed {
            return Reply::from("554 5.5.0 Nothing may follow STARTTLS before the handshake")
                .and_close(CloseCause::Server);
        }
        self.shakes_hands = true;
        "220 2.0.0 Ready to start TLS".into()
    }

    fn begin(&self, mechanism: u64) -> Result<Exchange, Reply> {
        if self.must_encrypt() {
            return Err("530 5.7.0 Must issue a STARTTLS command first".into());
        }
        if !self.hello.as_ref().is_some_and(|hello| hello.extended) {
            return Err("503 5.5.1 Error: send EHLO first".into());
        }
        if self.account.is_some() {
            return Err("503 5.5.1 Error: already authenticated".into());
        }
        match mechanism {
            AUTH_PLAIN => Ok(Exchange::Plain),
            AUTH_LOGIN => Ok(Exchange::LoginName),
            _ => Err("504 5.5.4 Unrecognized authentication type".into()),
        }
    }

    /// The next step of AUTH: another challenge, or its end.
    fn go_on(&mut self, exchange: Exchange, step: Step, number: u64, at: Instant) -> Option<CloseCause> {
        let reply = match step {
            Step::Ask(challenge) => {
                self.say(&format!("334 {}", sasl::encoded(challenge)));
                self.exchange = Some((exchange, number, at));
                return None;
            }
            Step::Credentials(user, password) => match self.around.sign_in(&user, &password, self.witness) {
                Ok(account) => {
                    self.witness.signed_in(account.name());
                    self.account = Some(account);
                    "235 2.7.0 Authentication successful".into()
                }
                Err(Denied::Unknown) => self.authentication_failed(),
                Err(Denied::Limited(words)) => turned_away(&words),
            },
            Step::Cancelled => "501 5.7.0 Authentication aborted".into(),
            Step::NotBase64 => "501 5.5.2 Error: invalid base64".into(),
            Step::NotCredentials => self.authentication_failed(),
        };
        self.conclude(number, "AUTH", at, reply)
    }

    fn authentication_failed(&self) -> Reply {
        let words = "535 5.7.8 Error: authentication failed: authentication failure";
        self.witness.refused(words);
        words.into()
    }
}

fn turned_away(words: &Words) -> Reply {
    Reply::from(words.line(Protocol::Smtp)).and_close(CloseCause::Refused)
}
