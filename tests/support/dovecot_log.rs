//! Dovecot's own record, parsed: its log, and the transcript (raw log) it keeps of each session.
//!
//! A line of the log names the process and the session; a raw log is named after the process:
//! `20261122-202134.9021.1.in` is what process 9021 read. Each session has a process of its own, whatever its protocol.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

#[derive(Debug, Default)]
pub struct Log {
    /// In the order in which they signed in.
    pub sessions: Vec<Session>,
    /// Each attempt with a wrong password or an unknown user. Several may come from one connection.
    pub refused_sign_ins: Vec<RefusedSignIn>,
    /// Connections that ended without having signed in.
    pub turned_away: Vec<TurnedAway>,
    /// IDs sent before signing in: (session, fields).
    early_ids: Vec<(String, Fields)>,
    /// What sessions' processes wrote that names no session which has signed in.
    pub unclaimed: Vec<String>,
}

/// The fields of an ID command, as the client sent them, in its order.
pub type Fields = Vec<(String, String)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Imap,
    Pop3,
}

#[derive(Debug)]
pub struct Session {
    pub protocol: Protocol,
    pub session_id: String,
    pub user: String,
    pub client_port: u16,
    pub pid: u32,
    pub tls: bool,
    pub method: String,
    pub ids: Vec<Fields>,
    pub end: Option<End>,
    /// What the client sent after it had signed in.
    pub commands: Vec<ClientCommand>,
    /// The tagged lines the server sent, from that which answers the sign-in. Of POP3 the first line of each reply,
    /// without a tag.
    pub replies: Vec<TaggedReply>,
    /// Bytes of the transcript, from and to the client.
    pub transcribed: (u64, u64),
}

#[derive(Debug)]
pub struct RefusedSignIn {
    pub user: String,
    pub session_id: String,
    /// `Password mismatch`, `unknown user`, `oauth2 failed: Local validation failed: Token has expired`.
    pub reason: String,
}

#[derive(Debug)]
pub struct TurnedAway {
    pub protocol: Protocol,
    /// Empty if none was named.
    pub user: String,
    pub client_port: u16,
    pub session_id: String,
    pub reason: String,
}

#[derive(Debug, PartialEq)]
pub struct End {
    /// `Logged out`, `Connection closed (..)`, `Server shutting down.` (a kick, too), `killed with signal 9`; of POP3 also
    /// `Couldn't lock POP3 session`, whose client has been refused though the log has its sign-in.
    pub reason: String,
    /// Bytes from and to the client after it had signed in; unknown when the process was killed.
    pub bytes: Option<(u64, u64)>,
}

#[derive(Debug)]
pub struct ClientCommand {
    /// Since the Unix epoch, when its first byte was read.
    pub at: Duration,
    /// Empty in POP3.
    pub tag: String,
    pub verb: String,
    /// As sent, literals in their place.
    pub args: String,
}

#[derive(Debug)]
pub struct TaggedReply {
    pub at: Duration,
    /// Empty in POP3.
    pub tag: String,
    /// `OK`, `NO`, `BAD`; `+OK`, `-ERR`.
    pub status: String,
    pub text: String,
}

impl Log {
    pub fn read(log: &Path, rawlog: &Path) -> Self {
        let text = String::from_utf8_lossy(&std::fs::read(log).expect("the server's log")).into_owned();
        let mut parsed = Self::default();
        // A line without its end is still being written.
        let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).filter_map(Line::read);
        // Two processes write in no order: what a session's own says may stand before its log-in.
        let (of_sessions, of_others): (Vec<_>, Vec<_>) = lines.partition(|line| line.source.contains('('));
        for line in of_others.into_iter().chain(of_sessions) {
            parsed.add_line(line);
        }
        let mut transcripts = HashMap::new();
        for entry in std::fs::read_dir(rawlog).expect("the server's raw logs").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let [_, pid, _, direction] = name.split('.').collect::<Vec<_>>()[..] {
                let transcript = Transcript::new(&std::fs::read(entry.path()).expect("a raw log"));
                transcripts.insert((pid.to_owned(), direction.to_owned()), transcript);
            }
        }
        for session in &mut parsed.sessions {
            let mut transcript = |direction: &str| {
                transcripts.remove(&(session.pid.to_string(), direction.to_owned())).unwrap_or_default()
            };
            let (read, written) = (transcript("in"), transcript("out"));
            session.transcribed = (read.bytes.len() as u64, written.bytes.len() as u64);
            (session.commands, session.replies) = match session.protocol {
                Protocol::Imap => (read.commands(), written.replies()),
                Protocol::Pop3 => {
                    let commands = read.pop3_commands();
                    let replies = written.pop3_replies(&commands);
                    (commands, replies)
                }
            };
        }
        parsed
    }

    /// Dovecot's log now and then loses the last line of a session whose process ended together with others: some one in
    /// a thousand, under load. Its transcript shows the goodbye even so, and that stands here for the line.
    pub fn with_lost_goodbyes(mut self) -> Self {
        for session in &mut self.sessions {
            let (last, goodbye) = (session.commands.last(), session.replies.last());
            let said = last.is_some_and(|last| ["LOGOUT", "QUIT"].contains(&last.verb.as_str()));
            let answered = goodbye.is_some_and(|reply| reply.status.ends_with("OK"));
            let is_gone = !Path::new("/proc").join(session.pid.to_string()).exists();
            if session.end.is_none() && is_gone && said && answered {
                let (read, written) = session.transcribed;
                session.end = Some(End { reason: "Logged out".to_owned(), bytes: Some((read - 2, written)) });
                eprintln!("not in Dovecot's log: the end of {}; unclaimed: {:?}", session.session_id, self.unclaimed);
            }
        }
        self
    }

    /// The session of the connection whose client end has this port.
    pub fn on_port(&self, client_port: u16) -> Option<&Session> {
        self.sessions.iter().rfind(|session| session.client_port == client_port)
    }

    /// The session whose client called itself this in an ID command.
    pub fn labelled(&self, field: &str, value: &str) -> Option<&Session> {
        self.sessions.iter().find(|session| session.label(field) == Some(value))
    }

    /// The connections refused because the user had too many.
    pub fn limit_refusals(&self) -> impl Iterator<Item = &TurnedAway> {
        self.turned_away.iter().filter(|turned_away| turned_away.reason.starts_with("Maximum number of connections"))
    }

    fn add_line(&mut self, Line { source, message }: Line<'_>) {
        match source.split('(').next() {
            Some("imap-login") => self.add_login_line(Protocol::Imap, message),
            Some("pop3-login") => self.add_login_line(Protocol::Pop3, message),
            Some("auth") => self.add_auth_line(message),
            Some("imap" | "pop3") => {
                let session_id = in_last_angles(source).unwrap_or_default();
                match self.sessions.iter_mut().find(|session| session.session_id == session_id) {
                    Some(session) => session.add_line(message),
                    None => self.unclaimed.push(format!("{source}: {message}")),
                }
            }
            _ => {}
        }
    }

    fn add_login_line(&mut self, protocol: Protocol, message: &str) {
        let element = |name: &str| -> Option<&str> {
            let (_, rest) = message.rsplit_once(&format!("{name}="))?;
            let value = rest.split(", ").next()?;
            Some(value.strip_prefix('<').and_then(|value| value.strip_suffix('>')).unwrap_or(value))
        };
        let Some(session_id) = element("session").map(str::to_owned) else {
            return;
        };
        let client_port = || element("rport").and_then(|port| port.parse().ok()).expect("rport");
        let user = element("user").unwrap_or_default().to_owned();
        if let Some(fields) = message.strip_prefix("ID sent: ") {
            let fields = fields.rsplit_once(": user=").map_or(fields, |(fields, _)| fields);
            self.early_ids.push((session_id, parse_fields(fields)));
        } else if message.starts_with("Login: ") {
            let ids = self.early_ids.iter().filter(|(of, _)| *of == session_id);
            self.sessions.push(Session {
                protocol,
                ids: ids.map(|(_, fields)| fields.clone()).collect(),
                user,
                client_port: client_port(),
                pid: element("mpid").and_then(|pid| pid.parse().ok()).expect("mpid"),
                tls: message.contains(", TLS, "),
                method: element("method").expect("method").to_owned(),
                session_id,
                end: None,
                commands: Vec::new(),
                replies: Vec::new(),
                transcribed: (0, 0),
            });
        } else if let Some(reason) = message.strip_prefix("Disconnected: ") {
            self.turned_away.push(TurnedAway {
                protocol,
                reason: reason.split(": user=<").next().unwrap_or(reason).to_owned(),
                user,
                client_port: client_port(),
                session_id,
            });
        }
    }

    fn add_auth_line(&mut self, message: &str) {
        // passwd-file(u1,127.0.0.1,<5h47OeNg5Kd/AAAB>): Password mismatch
        if let Some((about, reason)) = message.split_once("): ")
            && let Some((_, about)) = about.split_once('(')
            && let Some(session_id) = in_last_angles(about)
        {
            self.refused_sign_ins.push(RefusedSignIn {
                user: about.split(',').next().unwrap_or_default().to_owned(),
                session_id: session_id.to_owned(),
                reason: reason.to_owned(),
            });
        }
    }
}

impl Session {
    fn add_line(&mut self, message: &str) {
        if let Some(fields) = message.strip_prefix("ID sent: ") {
            self.ids.push(parse_fields(fields));
        } else if let Some(reason) = message.strip_prefix("Disconnected: ") {
            let bytes = reason.rsplit_once(" in=").and_then(|(reason, bytes)| {
                let (read, written) = bytes.split_once(" out=")?;
                Some((reason, (read.parse().ok()?, written.parse().ok()?)))
            });
            self.end = Some(End {
                reason: bytes.map_or(reason, |(reason, _)| reason).to_owned(),
                bytes: bytes.map(|(_, bytes)| bytes),
            });
        } else if let Some(at) = message.find("killed with signal") {
            self.end = Some(End { reason: message[at..].to_owned(), bytes: None });
        }
    }
}

/// `2026-11-22 20:21:34.787686 imap-login: Info: Login: user=<u1>, ..`
struct Line<'a> {
    source: &'a str,
    message: &'a str,
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (source, rest) = line.splitn(3, ' ').nth(2)?.split_once(": ")?;
        let (_level, message) = rest.split_once(": ")?;
        Some(Self { source, message })
    }
}

impl Session {
    /// The last value the client gave a field of its ID commands.
    pub fn label(&self, field: &str) -> Option<&str> {
        let fields = self.ids.iter().flatten();
        fields.rev().find(|(name, _)| name == field).map(|(_, value)| value.as_str())
    }

    /// The commands as `VERB args`, for comparing.
    pub fn command_lines(&self) -> Vec<String> {
        let lines = self.commands.iter().map(|command| format!("{} {}", command.verb, command.args));
        lines.map(|line| line.trim_end().to_owned()).collect()
    }
}

fn in_last_angles(text: &str) -> Option<&str> {
    text.strip_suffix('>')?.rsplit_once('<').map(|(_, inside)| inside)
}

fn parse_fields(text: &str) -> Fields {
    let pairs = text.split(", ").filter_map(|field| field.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// One direction of a session. In the file every line, also one within a literal, begins with the time at which its
/// first byte passed; a line that came in pieces has only the one.
#[derive(Default)]
struct Transcript {
    bytes: Vec<u8>,
    /// (offset into `bytes`, time), of each line.
    times: Vec<(usize, Duration)>,
}

impl Transcript {
    fn new(file: &[u8]) -> Self {
        let (mut bytes, mut times) = (Vec::new(), Vec::new());
        for line in file.split_inclusive(|&byte| byte == b'\n') {
            let Some(space) = line.iter().position(|&byte| byte == b' ') else {
                break; // its time is being written
            };
            let time = std::str::from_utf8(&line[..space]).ok().and_then(|time| time.parse().ok());
            let time = time.unwrap_or_else(|| panic!("raw log: {}", line.escape_ascii()));
            times.push((bytes.len(), Duration::from_secs_f64(time)));
            bytes.extend_from_slice(&line[space + 1..]);
        }
        Self { bytes, times }
    }

    /// Whole commands or replies, with their literals: what ends in a line end outside of a literal.
    fn entries(&self) -> Vec<(Duration, String)> {
        let mut entries = Vec::new();
        let (mut start, mut from) = (0, 0);
        while let Some(length) = self.bytes[from..].windows(2).position(|end| end == b"\r\n") {
            let end = from + length;
            if let Some(literal) = literal_length(&self.bytes[from..end]) {
                from = (end + 2 + literal).min(self.bytes.len());
                continue;
            }
            entries.push(self.entry(start, end));
            (start, from) = (end + 2, end + 2);
        }
        entries
    }

    /// Whole lines: POP3 has no literals.
    fn lines(&self) -> impl Iterator<Item = (Duration, String)> {
        let mut start = 0;
        std::iter::from_fn(move || {
            let length = self.bytes[start..].windows(2).position(|end| end == b"\r\n")?;
            let line = self.entry(start, start + length);
            start += length + 2;
            Some(line)
        })
    }

    fn entry(&self, start: usize, end: usize) -> (Duration, String) {
        let known = self.times.partition_point(|&(offset, _)| offset <= start);
        (self.times[known - 1].1, String::from_utf8_lossy(&self.bytes[start..end]).into_owned())
    }

    fn pop3_commands(&self) -> Vec<ClientCommand> {
        let commands = self.lines().map(|(at, line)| {
            let (verb, args) = line.split_once(' ').unwrap_or((&line, ""));
            ClientCommand { at, tag: String::new(), verb: verb.to_ascii_uppercase(), args: args.to_owned() }
        });
        commands.collect()
    }

    /// The first line of the reply to the sign-in, of that to each of the commands, and what came unasked.
    fn pop3_replies(&self, commands: &[ClientCommand]) -> Vec<TaggedReply> {
        let mut lines = self.lines();
        // The sign-in is in no raw log of what the client sent.
        let mut commands = std::iter::once(None).chain(commands.iter().map(Some));
        let mut replies = Vec::new();
        while let Some((at, line)) = lines.next() {
            let (status, text) = line.split_once(' ').unwrap_or((&line, ""));
            let reply = TaggedReply { at, tag: String::new(), status: status.to_owned(), text: text.to_owned() };
            let has_lines = commands.next().flatten().is_some_and(|command| match command.verb.as_str() {
                "CAPA" | "RETR" | "TOP" => true,
                "LIST" | "UIDL" => command.args.is_empty(),
                _ => false,
            });
            if has_lines && reply.status == "+OK" {
                lines.by_ref().find(|(_, line)| line == ".");
            }
            replies.push(reply);
        }
        replies
    }

    fn commands(&self) -> Vec<ClientCommand> {
        let entries = self.entries().into_iter();
        // DONE ends an IDLE, and has no tag.
        let entries = entries.filter(|(_, line)| !line.eq_ignore_ascii_case("DONE"));
        let commands = entries.map(|(at, line)| {
            let [tag, verb, args] = three_words(&line);
            ClientCommand { at, tag, verb: verb.to_ascii_uppercase(), args }
        });
        commands.collect()
    }

    fn replies(&self) -> Vec<TaggedReply> {
        let entries = self.entries().into_iter();
        let entries = entries.filter(|(_, line)| !line.starts_with(['*', '+']));
        let replies = entries.map(|(at, line)| {
            let [tag, status, text] = three_words(&line);
            TaggedReply { at, tag, status, text }
        });
        replies.collect()
    }
}

fn three_words(line: &str) -> [String; 3] {
    let mut words = line.splitn(3, ' ').map(str::to_owned);
    std::array::from_fn(|_| words.next().unwrap_or_default())
}

/// Of a line that announces a literal: `.. {16}`, `.. {16+}`.
fn literal_length(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"}")?;
    let open = line.iter().rposition(|&byte| byte == b'{')?;
    let digits = line[open + 1..].strip_suffix(b"+").unwrap_or(&line[open + 1..]);
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_belongs_to_its_command_even_if_it_looks_like_another() {
        let file = b"1.000001 a1 APPEND Sent {15}\r\n1.500000 a2 NOOP\r\n1.500000 Hello.\r\n2.000000 a3 noop\r\n2.500000 a4 NO";
        let transcript = Transcript::new(file);
        let commands = transcript.commands();
        assert_eq!(commands.len(), 2, "{commands:?}");
        assert_eq!(commands[0].args, "Sent {15}\r\na2 NOOP\r\nHello.");
        assert_eq!((commands[1].tag.as_str(), commands[1].verb.as_str()), ("a3", "NOOP"));
        assert_eq!(commands[1].at, Duration::from_secs(2));
    }

    #[test]
    fn a_retrieved_message_is_no_reply_of_its_own() {
        let sent = Transcript::new(b"1.0 retr 1\r\n2.0 LIST 1\r\n3.0 LIST\r\n4.0 QUIT\r\n");
        let commands = sent.pop3_commands();
        let replies = b"0.5 +OK Logged in.\r\n1.5 +OK 16 octets\r\n1.5 -ERR {7}\r\n1.5 \r\n1.5 ..\r\n1.5 .\r\n\
            2.5 +OK 1 16\r\n3.5 +OK 1 messages:\r\n3.5 1 16\r\n3.5 .\r\n4.5 +OK Logging out.\r\n";
        let replies = Transcript::new(replies).pop3_replies(&commands);
        let lines: Vec<_> = replies.iter().map(|reply| format!("{} {}", reply.status, reply.text)).collect();
        assert_eq!(
            lines,
            ["+OK Logged in.", "+OK 16 octets", "+OK 1 16", "+OK 1 messages:", "+OK Logging out."],
            "{commands:?}"
        );
        assert_eq!((commands[0].verb.as_str(), commands[0].args.as_str()), ("RETR", "1"));
        assert_eq!(replies[3].at, Duration::from_millis(3500));
    }
}
