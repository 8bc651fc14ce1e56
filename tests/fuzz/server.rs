//! Commands and messages into a sandbox of their own, and what it must answer to them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use mailconn::sandbox::{Listening, Options, Protocol, Sandbox, Security};

use super::imap::{self, Response, Value};
use super::inputs::Case;
use super::{PATIENCE, Wrong, note};

/// No literal longer than this is sent where a command announces one: the session is left instead.
const LONGEST_LITERAL: usize = 128 * 1024;

fn serving(protocols: &[Protocol]) -> Sandbox {
    let listening = protocols.iter().map(|&protocol| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Listening { listener, protocol, security: Security::Plain }
    });
    Sandbox::serve(listening.collect(), Options::default()).unwrap()
}

/// One client.
struct Talk {
    to: TcpStream,
    from: BufReader<TcpStream>,
}

/// What came of an input.
#[derive(PartialEq, Eq)]
enum Session {
    GoesOn,
    /// The server said goodbye and closed.
    IsOver,
    /// The input asks for more than it pays to send.
    IsLeft,
}

impl Talk {
    fn open(address: SocketAddr) -> Self {
        let to = TcpStream::connect(address).unwrap();
        to.set_nodelay(true).unwrap();
        to.set_read_timeout(Some(PATIENCE)).unwrap();
        to.set_write_timeout(Some(PATIENCE)).unwrap();
        let from = BufReader::new(to.try_clone().unwrap());
        Self { to, from }
    }

    /// The server may have closed: what it says, or does not, tells.
    fn send(&mut self, bytes: &[u8]) {
        let _ = self.to.write_all(bytes);
    }

    /// One line, with its end; empty at the end of the stream.
    fn line(&mut self) -> Result<Vec<u8>, String> {
        let mut line = Vec::new();
        self.from.read_until(b'\n', &mut line).map_err(|error| format!("no answer: {error}"))?;
        Ok(line)
    }

    /// After a goodbye nothing follows but the end of the stream.
    fn ends(&mut self) -> Result<Session, String> {
        let mut rest = Vec::new();
        // A reset says as much as an end, where the server has not read all that was sent.
        let _ = self.from.read_to_end(&mut rest);
        if rest.is_empty() {
            Ok(Session::IsOver)
        } else {
            Err(format!("after its goodbye the server says {}", rest.escape_ascii()))
        }
    }
}

/// The first line, with its end, which is taken; a line end where there is none.
fn take_line(rest: &mut &[u8]) -> Vec<u8> {
    let end = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |end| end + 1);
    let mut line = rest[..end].to_vec();
    *rest = &rest[end..];
    if !line.ends_with(b"\n") {
        line.extend_from_slice(b"\r\n");
    }
    line
}

/// Sends input after input over one session, and over a new one where a session ended. `last` is what every server answers.
fn converse(
    case: &Case,
    protocol: Protocol,
    input: fn(&mut Talk, &[u8]) -> Result<Session, String>,
    open: impl Fn(&mut Talk, usize) -> Result<(), String>,
    last: &str,
) -> Result<(), Wrong> {
    let server = serving(&[protocol]);
    let mut talk: Option<Talk> = None;
    for (at, bytes) in case.inputs.iter().map(Vec::as_slice).chain([last.as_bytes()]).enumerate() {
        let at = at.min(case.inputs.len() - 1);
        note(case, at);
        let wrong = |what: String| Wrong { at, what };
        if talk.is_none() {
            let mut new = Talk::open(server.address());
            open(&mut new, case.state).map_err(wrong)?;
            talk = Some(new);
        }
        let on = talk.as_mut().expect("it was opened");
        if input(on, bytes).map_err(wrong)? != Session::GoesOn {
            talk = None;
        }
    }
    Ok(())
}

// IMAP

enum Answer {
    Continue,
    Done(&'static str),
    Over,
}

impl Talk {
    /// Reads up to the end of the command with that tag.
    fn answer(&mut self, tag: &[u8], mut each: impl FnMut(Response)) -> Result<Answer, String> {
        loop {
            match imap::response(&mut self.from)?.ok_or("the server closed without BYE")? {
                Response::Continue => return Ok(Answer::Continue),
                Response::Bye => {
                    // LOGOUT has its tagged reply behind the goodbye.
                    let last = imap::response(&mut self.from).unwrap_or_default();
                    return match last {
                        None => Ok(Answer::Over),
                        Some(Response::Done(..)) => self.ends().map(|_| Answer::Over),
                        Some(other) => Err(format!("behind BYE comes {other:?}")),
                    };
                }
                Response::Done(Some(of), status) if of == tag && is_tag(tag) => return Ok(Answer::Done(status)),
                // Of a tag that is longer than anyone's nothing may be left.
                Response::Done(None, status @ ("BAD" | "NO")) if !is_tag(tag) || tag.len() > 64 => {
                    return Ok(Answer::Done(status));
                }
                Response::Done(of, status) => {
                    let of = of.unwrap_or_else(|| b"*".to_vec());
                    return Err(format!(
                        "{} {status} answers a command with the tag {}",
                        of.escape_ascii(),
                        tag.escape_ascii()
                    ));
                }
                other => each(other),
            }
        }
    }

    fn command(&mut self, text: &str, each: impl FnMut(Response)) -> Result<(), String> {
        self.send(format!("zz {text}\r\n").as_bytes());
        match self.answer(b"zz", each)? {
            Answer::Done("OK") => Ok(()),
            _ => Err(format!("{text} is not answered with OK")),
        }
    }

    /// The commands of an input, each after the last has its answer, with literals and responses as the server asks.
    fn imap(&mut self, mut rest: &[u8]) -> Result<Session, String> {
        while !rest.is_empty() {
            match self.imap_command(&mut rest)? {
                Session::GoesOn => {}
                ended => return Ok(ended),
            }
        }
        Ok(Session::GoesOn)
    }

    fn imap_command(&mut self, rest: &mut &[u8]) -> Result<Session, String> {
        let mut line = take_line(rest);
        let tag = line.trim_ascii_end().split(|&byte| byte == b' ').next().unwrap().to_vec();
        self.send(&line);
        while let Some((length, asks)) = announced(&line) {
            if asks {
                match self.answer(&tag, |_| {})? {
                    Answer::Continue => {}
                    Answer::Done(_) => return Ok(Session::GoesOn),
                    Answer::Over => return Ok(Session::IsOver),
                }
            }
            if length > LONGEST_LITERAL {
                return Ok(Session::IsLeft);
            }
            let here = length.min(rest.len());
            let mut literal = rest[..here].to_vec();
            *rest = &rest[here..];
            literal.resize(length, b'x');
            line = take_line(rest);
            self.send(&[literal, line.clone()].concat());
        }
        loop {
            match self.answer(&tag, |_| {})? {
                Answer::Continue => self.send(&if rest.is_empty() { b"*\r\n".to_vec() } else { take_line(rest) }),
                Answer::Done(_) => return Ok(Session::GoesOn),
                Answer::Over => return Ok(Session::IsOver),
            }
        }
    }
}

/// RFC 3501's `tag`.
fn is_tag(word: &[u8]) -> bool {
    let fits = |byte: &u8| matches!(byte, b'!'..=b'~') && !b"(){%*\"\\+".contains(byte);
    !word.is_empty() && word.iter().all(fits)
}

/// `{5}` at the end of a line, and whether that waits for consent.
fn announced(line: &[u8]) -> Option<(usize, bool)> {
    let line = line.strip_suffix(b"\n").unwrap();
    let line = line.strip_suffix(b"\r").unwrap_or(line).strip_suffix(b"}")?;
    let asks = !line.ends_with(b"+");
    let line = line.strip_suffix(b"+").unwrap_or(line);
    let open = line.iter().rposition(|&byte| byte == b'{')?;
    let digits = std::str::from_utf8(&line[open + 1..]).ok()?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| (digits.parse().unwrap_or(usize::MAX), asks))
}

pub fn imap_commands(case: &Case) -> Result<(), Wrong> {
    let open = |talk: &mut Talk, state: usize| {
        imap::response(&mut talk.from)?.ok_or("no greeting")?;
        let commands = ["LOGIN user secret", ["SELECT INBOX", "EXAMINE Archive"][state % 2]];
        commands.iter().take(state % 4).try_for_each(|command| talk.command(command, |_| {}))
    };
    converse(case, Protocol::Imap, Talk::imap, open, "zz NOOP\r\n")
}

// SMTP

impl Talk {
    /// One reply's code.
    fn smtp_reply(&mut self) -> Result<u16, String> {
        loop {
            let line = self.line()?;
            let text = line.strip_suffix(b"\r\n").unwrap_or_default();
            let sound = matches!(text, [b'2'..=b'5', b'0'..=b'5', b'0'..=b'9', b' ' | b'-', ..])
                && text.iter().all(|byte| matches!(byte, b' '..=b'~'));
            if !sound || text.len() > 510 {
                return Err(format!("no line of a reply: {}", line.escape_ascii()));
            }
            if text[3] == b' ' {
                return Ok(std::str::from_utf8(&text[..3]).unwrap().parse().unwrap());
            }
        }
    }

    fn smtp(&mut self, mut rest: &[u8]) -> Result<Session, String> {
        while !rest.is_empty() {
            let line = take_line(&mut rest);
            self.send(&line);
            let mut code = self.smtp_reply()?;
            while code == 334 {
                self.send(&if rest.is_empty() { b"*\r\n".to_vec() } else { take_line(&mut rest) });
                code = self.smtp_reply()?;
            }
            if code == 354 {
                self.send(&stuffed(rest));
                rest = b"";
                code = self.smtp_reply()?;
            }
            if matches!(code, 221 | 421) {
                return self.ends();
            }
        }
        Ok(Session::GoesOn)
    }

    fn smtp_command(&mut self, line: &str) -> Result<(), String> {
        self.send(line.as_bytes());
        let code = self.smtp_reply()?;
        if (200..400).contains(&code) { Ok(()) } else { Err(format!("{code} to {line:?}")) }
    }
}

/// A message as it follows DATA.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in message {
        if *byte == b'.' && (out.is_empty() || out.ends_with(b"\r\n")) {
            out.push(b'.');
        }
        out.push(*byte);
    }
    let ended = out.is_empty() || out.ends_with(b"\r\n");
    out.extend_from_slice(if ended { b".\r\n" } else { b"\r\n.\r\n" });
    out
}

const SMTP_START: [&str; 5] =
    ["EHLO x\r\n", "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<user>\r\n", "NOOP\r\n"];

pub fn smtp_commands(case: &Case) -> Result<(), Wrong> {
    let open = |talk: &mut Talk, state: usize| {
        talk.smtp_reply()?;
        SMTP_START.iter().take(state % 5).try_for_each(|line| talk.smtp_command(line))
    };
    converse(case, Protocol::Smtp, Talk::smtp, open, "NOOP\r\n")
}

// POP3

impl Talk {
    /// The first line of a reply: whether it is `+OK`, and `None` if it asks for more.
    fn pop3_reply(&mut self) -> Result<(Option<bool>, Vec<u8>), String> {
        let line = self.line()?;
        let text = line.strip_suffix(b"\r\n").unwrap_or_default().to_vec();
        let said = match text.split(|&byte| byte == b' ').next().unwrap_or_default() {
            b"+OK" => Some(true),
            b"-ERR" => Some(false),
            b"+" => None,
            _ => return Err(format!("no reply: {}", line.escape_ascii())),
        };
        if text.len() > 510 || !text.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(format!("no line of a reply: {}", line.escape_ascii()));
        }
        Ok((said, text))
    }

    /// The lines up to the dot, unstuffed, their ends included.
    fn pop3_lines(&mut self) -> Result<Vec<u8>, String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            if !line.ends_with(b"\r\n") {
                return Err(format!("a line that does not end with CR LF: {}", line.escape_ascii()));
            }
            match line.as_slice() {
                b".\r\n" => return Ok(lines),
                [b'.', rest @ ..] => lines.extend_from_slice(rest),
                line => lines.extend_from_slice(line),
            }
        }
    }

    fn pop3(&mut self, mut rest: &[u8]) -> Result<Session, String> {
        while !rest.is_empty() {
            let line = take_line(&mut rest);
            self.send(&line);
            let (mut said, mut text) = self.pop3_reply()?;
            while said.is_none() {
                self.send(&if rest.is_empty() { b"*\r\n".to_vec() } else { take_line(&mut rest) });
                (said, text) = self.pop3_reply()?;
            }
            let line = line.strip_suffix(b"\n").unwrap();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let (verb, arguments) =
                line.iter().position(|&byte| byte == b' ').map_or((line, &b""[..]), |space| line.split_at(space));
            let verb = String::from_utf8_lossy(verb).to_uppercase();
            let is_long = match verb.as_str() {
                "CAPA" | "RETR" | "TOP" => true,
                "LIST" | "UIDL" => arguments.trim_ascii().is_empty(),
                _ => false,
            };
            if said == Some(true) && is_long {
                self.pop3_lines()?;
            }
            let over =
                [&b"-ERR Too many bad commands."[..], b"-ERR Command line is too long."].contains(&text.as_slice());
            if over || (verb == "QUIT" && said == Some(true)) {
                return self.ends();
            }
        }
        Ok(Session::GoesOn)
    }

    fn pop3_command(&mut self, line: &str) -> Result<(), String> {
        self.send(line.as_bytes());
        let (said, text) = self.pop3_reply()?;
        if said == Some(true) { Ok(()) } else { Err(format!("{} to {line:?}", text.escape_ascii())) }
    }
}

pub fn pop3_commands(case: &Case) -> Result<(), Wrong> {
    let open = |talk: &mut Talk, state: usize| {
        talk.pop3_reply()?;
        ["USER user\r\n", "PASS secret\r\n"].iter().take(state % 3).try_for_each(|line| talk.pop3_command(line))
    };
    converse(case, Protocol::Pop3, Talk::pop3, open, "CAPA\r\n")
}

// Messages

/// Delivers each message, lets everything read it that can, and removes it.
pub fn messages(case: &Case) -> Result<(), Wrong> {
    let server = serving(&[Protocol::Imap, Protocol::Smtp, Protocol::Pop3]);
    let begin = || {
        let mut talk = Talk::open(server.addresses()[0]);
        imap::response(&mut talk.from)?;
        ["LOGIN user secret", "SELECT INBOX", "STORE 1:* +FLAGS.SILENT (\\Deleted)", "EXPUNGE"]
            .iter()
            .try_for_each(|command| talk.command(command, |_| {}))?;
        Ok(talk)
    };
    let mut talk = begin().map_err(|what| Wrong { at: 0, what })?;
    for (at, message) in case.inputs.iter().enumerate() {
        note(case, at);
        let wrong = |what: String| Wrong { at, what };
        // IMAP bears no NUL, whichever way it came.
        if message.contains(&0) {
            match send(&server, message) {
                Err(why) if why.contains("554") => {}
                sent => return Err(wrong(format!("a message with NUL is taken: {sent:?}"))),
            }
        } else {
            let appended =
                [format!("zz APPEND INBOX {{{}+}}\r\n", message.len()).as_bytes(), message, b"\r\n"].concat();
            talk.send(&appended);
            match talk.answer(b"zz", |_| {}).map_err(wrong)? {
                Answer::Done("OK") => {}
                _ => return Err(wrong("APPEND is refused".to_owned())),
            }
            talk.read_message(&server, message, false)
                .map_err(|what| Wrong { at, what: format!("appended: {what}") })?;
        }
        if !message.contains(&0) && message.len() % 4 == 0 {
            send(&server, message).map_err(wrong)?;
            talk.read_message(&server, message, true).map_err(|what| Wrong { at, what: format!("sent: {what}") })?;
        }
    }
    Ok(())
}

fn send(server: &Sandbox, message: &[u8]) -> Result<(), String> {
    let mut talk = Talk::open(server.addresses()[1]);
    talk.smtp_reply()?;
    SMTP_START[..4].iter().chain(&["DATA\r\n"]).try_for_each(|line| talk.smtp_command(line))?;
    talk.send(&stuffed(message));
    match talk.smtp_reply()? {
        250 => talk.smtp_command("QUIT\r\n"),
        code => Err(format!("DATA is refused with {code}")),
    }
}

const PARTS: [&str; 12] = [
    "BODY.PEEK[]",
    "BODY.PEEK[HEADER]",
    "BODY.PEEK[TEXT]",
    "BODY.PEEK[]<3.7>",
    "RFC822.HEADER",
    "BODY.PEEK[HEADER.FIELDS (Subject From)]",
    "BODY.PEEK[HEADER.FIELDS.NOT (Subject From)]",
    "BODY.PEEK[1]",
    "BODY.PEEK[1.MIME]",
    "BODY.PEEK[1.HEADER]",
    "BODY.PEEK[2.1.TEXT]",
    "BODY.PEEK[4294967295]<4294967295.4294967295>",
];

/// None is found, so each is looked for.
const SEARCHES: &str = "NOT FROM \"zzqq\" NOT TO \"zzqq\" NOT CC \"zzqq\" NOT BCC \"zzqq\" NOT SUBJECT \"zzqq\" NOT HEADER X-a \"zzqq\" NOT BODY \"zzqq\" NOT TEXT \"zzqq\" NOT SENTON 1-Jan-1999 NOT LARGER 99999999";

impl Talk {
    /// The items of message 1.
    fn fetch(&mut self, items: &str) -> Result<Vec<Value>, String> {
        let mut found = Vec::new();
        self.command(&format!("FETCH 1 ({items})"), |response| {
            if let Response::Fetch(items) = response {
                found.extend(items.into_iter().map(|(_, value)| value));
            }
        })?;
        Ok(found)
    }

    /// Reads the only message there is. One that was sent has a header of the server's before its own.
    fn read_message(&mut self, server: &Sandbox, message: &[u8], sent: bool) -> Result<(), String> {
        self.command("NOOP", |_| {})?;
        let about = self.fetch("RFC822.SIZE BODYSTRUCTURE ENVELOPE BODY UID FLAGS INTERNALDATE")?;
        let parts = self.fetch(&PARTS.join(" "))?;
        let text = |at: usize| match &parts[at] {
            Value::Text(text) => Ok(text.as_slice()),
            other => Err(format!("{} is {other:?}", PARTS[at])),
        };
        let whole = text(0)?;
        let same = if sent {
            whole.ends_with(message) || whole.ends_with(&[message, b"\r\n"].concat())
        } else {
            whole == message
        };
        if !same {
            return Err(format!("BODY[] is another message: {}", whole.escape_ascii()));
        }
        if about[0] != Value::Atom(whole.len().to_string().into_bytes()) {
            return Err(format!("RFC822.SIZE is {:?} of {} bytes", about[0], whole.len()));
        }
        if [text(1)?, text(2)?].concat() != whole || text(4)? != text(1)? {
            return Err("header and text are not the message".to_owned());
        }
        if text(3)? != &whole[3.min(whole.len())..10.min(whole.len())] {
            return Err("BODY[]<3.7> is another part".to_owned());
        }
        let leaves = imap::leaves(&about[1]);
        // Each costs the server a walk through the whole message.
        let (first, last) = leaves.split_at(leaves.len().min(6));
        for some in [first, &last[last.len().saturating_sub(2)..]].into_iter().filter(|some| !some.is_empty()) {
            let items: Vec<_> = some.iter().map(|(number, _)| format!("BODY.PEEK[{number}]")).collect();
            let found = self.fetch(&items.join(" "))?;
            for ((number, size), value) in some.iter().zip(&found) {
                match value {
                    Value::Text(part) if part.len() == *size => {}
                    other => return Err(format!("BODY[{number}] is no {size} bytes: {other:?}")),
                }
            }
        }
        let mut found = None;
        self.command(&format!("SEARCH {SEARCHES}"), |response| {
            if let Response::Search(count) = response {
                found = Some(count);
            }
        })?;
        if found.is_none() {
            return Err("SEARCH says nothing".to_owned());
        }
        let whole = whole.to_vec();
        retrieve(server, &whole)?;
        self.command("STORE 1 +FLAGS.SILENT (\\Deleted)", |_| {})?;
        self.command("EXPUNGE", |_| {})
    }
}

/// The same message by POP3.
fn retrieve(server: &Sandbox, whole: &[u8]) -> Result<(), String> {
    let mut talk = Talk::open(server.addresses()[2]);
    talk.send(b"USER user\r\nPASS secret\r\nTOP 1 2\r\nRETR 1\r\nQUIT\r\n");
    for _ in 0..4 {
        talk.pop3_reply()?;
    }
    let top = talk.pop3_lines()?;
    talk.pop3_reply()?;
    let retrieved = talk.pop3_lines()?;
    talk.pop3_reply()?;
    let mut lines = Vec::new();
    for line in whole.split_inclusive(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        lines.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        lines.extend_from_slice(b"\r\n");
    }
    if retrieved != lines {
        return Err(format!("RETR gives another message: {}", retrieved.escape_ascii()));
    }
    if !lines.starts_with(&top) {
        return Err(format!("TOP is not how the message begins: {}", top.escape_ascii()));
    }
    Ok(())
}
