//! Servers that repeat what they hear: whole, decoded, cut, at every moment at which a server can speak.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailconn::protocol::Protocol;

use crate::protocol::scripted::{Peer, Server};

/// When and how the server repeats the sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It refuses the sign-in, in one line.
    Refusing,
    /// The same in lines of that many bytes.
    Wrapping(usize),
    /// The same behind that many bytes of something else: what is shown of a line has an end.
    Behind(usize),
    /// It asks on instead of deciding.
    Asking,
    /// It says goodbye instead of deciding.
    Leaving,
    /// It says something that is not its protocol.
    Babbling,
    /// It stops within the line and closes.
    Breaking,
    /// It stops within the line and waits.
    Stalling,
    /// It accepts, and says once more what it offers.
    Offering,
    /// It accepts, and refuses every command.
    Grudging,
    /// It accepts, and says goodbye unasked.
    Dismissing,
    /// It accepts, and greets the next session with what it heard in the last.
    Greeting,
    /// The same, and says that it offers it.
    OfferingNext,
    /// The same, with a goodbye.
    Closed,
}

use Manner::*;

pub const MANNERS: [Manner; 18] = [
    Refusing,
    Wrapping(17),
    Wrapping(40),
    Behind(470),
    Behind(2020),
    Behind(2035),
    Behind(4075),
    Asking,
    Leaving,
    Babbling,
    Breaking,
    Stalling,
    Offering,
    Grudging,
    Dismissing,
    Greeting,
    OfferingNext,
    Closed,
];

pub struct Echo {
    pub server: Server,
    heard: Arc<Mutex<Vec<u8>>>,
    repeated: Arc<Mutex<usize>>,
}

impl Echo {
    /// A server that offers that one mechanism, or the protocol's own command under "".
    pub fn start(protocol: Protocol, offered: &'static str, manner: Manner) -> Self {
        Self::of(protocol, offered, manner, false)
    }

    fn of(protocol: Protocol, offered: &'static str, manner: Manner, refuses_first: bool) -> Self {
        let (heard, repeated) = (Arc::new(Mutex::default()), Arc::new(Mutex::default()));
        let (all, count) = (Arc::clone(&heard), Arc::clone(&repeated));
        let server = Server::of(protocol, "127.0.0.1:0", move |peer| {
            let known = Arc::clone(&all);
            let refuses = refuses_first && peer.number == 0;
            let repeated = Arc::clone(&count);
            let mut session =
                Session { peer, protocol, offered, manner, refuses, known, repeated, tag: "*".to_owned() };
            session.serve();
        });
        Self { server, heard, repeated }
    }

    /// The same, whose first session is refused whatever the manner is.
    pub fn refusing_first(protocol: Protocol, offered: &'static str, manner: Manner) -> Self {
        Self::of(protocol, offered, manner, true)
    }

    /// What signed in, as it came and decoded.
    pub fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap().clone()
    }

    /// How often the sign-in was repeated.
    pub fn repeated(&self) -> usize {
        *self.repeated.lock().unwrap()
    }
}

struct Session<'peer> {
    peer: &'peer mut Peer,
    protocol: Protocol,
    offered: &'static str,
    manner: Manner,
    /// It refuses the sign-in without a word more.
    refuses: bool,
    known: Arc<Mutex<Vec<u8>>>,
    repeated: Arc<Mutex<usize>>,
    tag: String,
}

impl Session<'_> {
    /// None: it is over.
    fn serve(&mut self) -> Option<()> {
        self.greet()?;
        let mut signed_in = false;
        loop {
            let line = self.peer.line()?;
            let mut words = line.splitn(3, ' ');
            if self.protocol == Protocol::Imap {
                words.next()?.clone_into(&mut self.tag);
            }
            let verb = words.next()?.to_owned();
            match verb.as_str() {
                "QUIT" | "LOGOUT" => {
                    self.say(true, b"bye");
                    return None;
                }
                "CAPABILITY" | "EHLO" | "CAPA" => self.offer(signed_in)?,
                "LOGIN" | "AUTHENTICATE" | "AUTH" | "USER" => {
                    self.hear_sign_in(&verb, &line)?;
                    signed_in = self.decide()?;
                }
                _ if self.manner == Grudging => self.repeat(false)?,
                _ if self.protocol == Protocol::Smtp && verb != "NOOP" && verb != "RSET" => {
                    self.say(false, b"what?")?
                }
                _ => self.say(true, b"3 120")?,
            }
        }
    }

    fn greet(&mut self) -> Option<()> {
        let known = self.known.lock().unwrap().clone();
        let text = match self.manner {
            Greeting | Closed if !known.is_empty() => {
                *self.repeated.lock().unwrap() += 1;
                known
            }
            _ => b"hi".to_vec(),
        };
        let is_last = self.manner == Closed && text != b"hi";
        let capabilities = format!("[CAPABILITY {}] ", self.imap_offers());
        let beginning: &[u8] = match (self.protocol, is_last) {
            (Protocol::Imap, true) => b"* BYE ",
            (Protocol::Imap, false) if self.manner == OfferingNext => b"* OK ",
            (Protocol::Imap, false) => &[b"* OK ", capabilities.as_bytes()].concat(),
            (Protocol::Smtp, true) => b"421 4.3.2 ",
            (Protocol::Smtp, false) => b"220 ",
            (Protocol::Pop3, true) => b"-ERR [SYS/TEMP] ",
            (Protocol::Pop3, false) => b"+OK ",
        };
        self.line(&[beginning, &text].concat())?;
        (!is_last).then_some(())
    }

    fn imap_offers(&self) -> String {
        match self.offered {
            "" => "IMAP4rev1".to_owned(),
            mechanism => format!("IMAP4rev1 SASL-IR LOGINDISABLED AUTH={mechanism}"),
        }
    }

    fn offer(&mut self, signed_in: bool) -> Option<()> {
        let known = self.known.lock().unwrap().clone();
        let repeats = (self.manner == Offering && signed_in) || (self.manner == OfferingNext && !known.is_empty());
        // Word by word: only what is plain ASCII and short counts as an offer.
        let mut words: Vec<Vec<u8>> = Vec::new();
        if repeats {
            *self.repeated.lock().unwrap() += 1;
            words.extend(known.split(|byte| matches!(byte, b' ' | 0..=31)).map(<[u8]>::to_vec));
            words.retain(|word| !word.is_empty());
        }
        match self.protocol {
            Protocol::Imap => {
                let words = words.iter().flat_map(|word| [b" X-".as_slice(), word].concat()).collect::<Vec<_>>();
                self.line(&[b"* CAPABILITY ", self.imap_offers().as_bytes(), &words].concat())?;
                self.say(true, b"done")
            }
            Protocol::Smtp => {
                self.line(b"250-mx")?;
                for word in words {
                    self.line(&[b"250-SIZE ", word.as_slice()].concat())?;
                }
                self.line(format!("250 AUTH {}", self.offered).as_bytes())
            }
            Protocol::Pop3 => {
                self.line(b"+OK")?;
                for word in words {
                    self.line(&[b"IMPLEMENTATION ", word.as_slice()].concat())?;
                }
                let offers = if self.offered.is_empty() { "USER" } else { &format!("SASL {}", self.offered) };
                self.line(offers.as_bytes())?;
                self.line(b".")
            }
        }
    }

    fn hear_sign_in(&mut self, verb: &str, line: &str) -> Option<()> {
        let mut said = vec![line.to_owned()];
        match (verb, self.offered) {
            ("USER", _) => {
                self.say(true, b"who?")?;
                said.push(self.peer.line()?);
            }
            (_, "LOGIN") => {
                for question in ["User Name\0", "Password\0"] {
                    self.ask(question.as_bytes())?;
                    said.push(self.peer.line()?);
                }
            }
            ("AUTH" | "AUTHENTICATE", mechanism) if line.ends_with(mechanism) => {
                self.ask(b"")?;
                said.push(self.peer.line()?);
            }
            _ => {}
        }
        let mut known = said.join(" ").into_bytes();
        for word in said.iter().flat_map(|line| line.split(' ')).filter(|word| word.len() > 8) {
            if let Ok(decoded) = STANDARD.decode(word) {
                known.push(b' ');
                known.extend(decoded);
            }
        }
        *self.known.lock().unwrap() = known;
        Some(())
    }

    /// Whether it accepts.
    fn decide(&mut self) -> Option<bool> {
        if self.refuses {
            self.say(false, b"no")?;
            return Some(false);
        }
        match self.manner {
            Refusing | Behind(_) => self.repeat(false)?,
            Wrapping(width) => self.repeat_wrapped(width)?,
            Asking => {
                let known = self.count();
                self.ask(&known)?;
                self.peer.line()?;
                self.say(false, b"no")?;
            }
            Leaving => {
                let known = self.count();
                self.dismiss(&known)?;
                return None;
            }
            Babbling => {
                let known = self.count();
                self.line(&known)?;
                return None;
            }
            Breaking | Stalling => {
                let known = self.count();
                let begun = self.verdict(false);
                self.send(&[begun.as_bytes(), &known].concat())?;
                if self.manner == Stalling {
                    while self.peer.line().is_some() {}
                }
                return None;
            }
            Dismissing => {
                self.say(true, b"in")?;
                let known = self.count();
                // Behind the commands of the sign-in: IMAP introduces itself.
                thread::sleep(Duration::from_millis(30));
                self.dismiss(&known)?;
                return None;
            }
            Offering | Grudging | Greeting | OfferingNext | Closed => {
                self.say(true, b"in")?;
                return Some(true);
            }
        }
        Some(false)
    }

    fn dismiss(&mut self, text: &[u8]) -> Option<()> {
        let beginning: &[u8] = match self.protocol {
            Protocol::Imap => b"* BYE ",
            Protocol::Smtp => b"421 4.3.2 ",
            Protocol::Pop3 => b"-ERR [SYS/TEMP] ",
        };
        self.line(&[beginning, text].concat())
    }

    fn count(&self) -> Vec<u8> {
        *self.repeated.lock().unwrap() += 1;
        self.known.lock().unwrap().clone()
    }

    fn repeat(&mut self, good: bool) -> Option<()> {
        let before = if let Behind(length) = self.manner { "x ".repeat(length / 2) } else { String::new() };
        let text = [before.as_bytes(), &self.count()].concat();
        self.say(good, &text)
    }

    fn repeat_wrapped(&mut self, width: usize) -> Option<()> {
        let known = self.count();
        let pieces: Vec<_> = known.chunks(width).collect();
        let (last, pieces) = pieces.split_last()?;
        for piece in pieces {
            let beginning: &[u8] = match self.protocol {
                Protocol::Imap => b"* NO [ALERT] ",
                Protocol::Smtp => b"535-5.7.8 ",
                Protocol::Pop3 => b"-ERR [AUTH] ",
            };
            self.line(&[beginning, piece].concat())?;
        }
        self.say(false, last)
    }

    fn ask(&mut self, challenge: &[u8]) -> Option<()> {
        let sign = if self.protocol == Protocol::Smtp { "334" } else { "+" };
        self.line(format!("{sign} {}", STANDARD.encode(challenge)).as_bytes())
    }

    fn verdict(&self, good: bool) -> String {
        match (self.protocol, good) {
            (Protocol::Imap, true) => format!("{} OK ", self.tag),
            (Protocol::Imap, false) => format!("{} NO [AUTHENTICATIONFAILED] ", self.tag),
            (Protocol::Smtp, true) => "235 ".to_owned(),
            (Protocol::Smtp, false) => "535 5.7.8 ".to_owned(),
            (Protocol::Pop3, true) => "+OK ".to_owned(),
            (Protocol::Pop3, false) => "-ERR [AUTH] ".to_owned(),
        }
    }

    fn say(&mut self, good: bool, text: &[u8]) -> Option<()> {
        let verdict = self.verdict(good);
        self.line(&[verdict.as_bytes(), text].concat())
    }

    fn line(&mut self, line: &[u8]) -> Option<()> {
        self.send(&[line, b"\r\n"].concat())
    }

    fn send(&mut self, bytes: &[u8]) -> Option<()> {
        self.peer.send_bytes(bytes).then_some(())
    }
}
