//! A server that says what a test tells it to, and remembers what it heard.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use mailconn::allocator::{ConnectionId, SessionId};
use mailconn::protocol::{
    DialFailure, Endpoint, ImapConnection, ImapConnector, MailConnection, MailConnector, Pop3Connection, Protocol,
    Secret, Security, Settings, SmtpConnection,
};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub const GREETING: &str = "* OK [CAPABILITY IMAP4rev1 ID] ready\r\n";

/// What a server of lines says to a line that begins like that; the first that fits is taken. An empty reply closes.
pub type Rules = &'static [(&'static str, &'static str)];

/// A server that takes everything. What a test's own rules say comes first; so does its greeting, under `""`.
pub const SMTP: Rules = &[
    ("", "220 mx.example.org ESMTP\r\n"),
    ("EHLO", "250-mx.example.org\r\n250-PIPELINING\r\n250 AUTH PLAIN LOGIN\r\n"),
    ("AUTH", "235 2.7.0 in\r\n"),
    ("NOOP", "250 2.0.0 ok\r\n"),
    ("RSET", "250 2.0.0 forgotten\r\n"),
    ("MAIL", "250 2.1.0 ok\r\n"),
    ("RCPT", "250 2.1.5 ok\r\n"),
    ("DATA", "354 go ahead\r\n"),
    (".", "250 2.0.0 queued\r\n"),
    ("QUIT", "221 2.0.0 bye\r\n"),
];

/// The same, with two messages.
pub const POP3: Rules = &[
    ("", "+OK ready\r\n"),
    ("CAPA", "+OK\r\nTOP\r\nUSER\r\nSASL PLAIN\r\n.\r\n"),
    ("AUTH", "+OK in\r\n"),
    ("USER", "+OK\r\n"),
    ("PASS", "+OK in\r\n"),
    ("NOOP", "+OK\r\n"),
    ("STAT", "+OK 2 320\r\n"),
    ("LIST", "+OK 2 messages\r\n1 120\r\n2 200\r\n.\r\n"),
    ("TOP", "+OK\r\nSubject: hi\r\n\r\n.\r\n"),
    ("RETR", "+OK 200 octets\r\nSubject: hi\r\n\r\n..\r\n...\r\nbye\r\n.\r\n"),
    ("QUIT", "+OK bye\r\n"),
];

trait Transport: Read + Write + Send {}

impl<T: Read + Write + Send> Transport for T {}

pub struct Server {
    pub address: SocketAddr,
    protocol: Protocol,
    heard: Arc<Mutex<Vec<String>>>,
    accepted: Arc<Mutex<usize>>,
}

/// One client, seen from the server.
pub struct Peer {
    reader: BufReader<Box<dyn Transport>>,
    tcp: TcpStream,
    heard: Arc<Mutex<Vec<String>>>,
    /// 0 for the first connection.
    pub number: usize,
}

impl Server {
    pub fn start(script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        Self::of(Protocol::Imap, "127.0.0.1:0", script)
    }

    /// A server of that protocol.
    pub fn of(protocol: Protocol, at: &str, script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(at).expect("loopback has a free port");
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let accepted = Arc::new(Mutex::new(0));
        let (all_heard, all_accepted, script) = (Arc::clone(&heard), Arc::clone(&accepted), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                let number = {
                    let mut accepted = all_accepted.lock().unwrap();
                    *accepted += 1;
                    *accepted - 1
                };
                let tcp = stream.try_clone().unwrap();
                let reader = BufReader::new(Box::new(stream) as Box<dyn Transport>);
                let mut peer = Peer { reader, tcp, heard: Arc::clone(&all_heard), number };
                let script = Arc::clone(&script);
                thread::spawn(move || script(&mut peer));
            }
        });
        Self { address, protocol, heard, accepted }
    }

    /// An SMTP server that takes everything, but for these rules.
    pub fn smtp(rules: Rules) -> Self {
        Self::of(Protocol::Smtp, "127.0.0.1:0", move |peer| peer.obey(rules, SMTP))
    }

    /// The same of POP3.
    pub fn pop3(rules: Rules) -> Self {
        Self::of(Protocol::Pop3, "127.0.0.1:0", move |peer| peer.obey(rules, POP3))
    }

    /// Signs everyone in, then answers command after command with these replies; `{t}` stands for the tag. An empty
    /// reply closes.
    pub fn replying(replies: &'static [&'static str]) -> Self {
        Self::start(move |peer| {
            peer.sign_in();
            for reply in replies {
                if reply.is_empty() || !peer.answer(reply) {
                    return;
                }
            }
            peer.wait_for_close();
        })
    }

    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    pub fn heard_verb(&self, verb: &str) -> usize {
        self.heard().iter().filter(|line| line.split(' ').nth(1) == Some(verb)).count()
    }

    /// The first word of each line that SMTP and POP3 servers heard.
    pub fn verbs(&self) -> String {
        let heard = self.heard();
        heard.iter().map(|line| line.split(' ').next().unwrap()).collect::<Vec<_>>().join(" ")
    }

    pub fn accepted(&self) -> usize {
        *self.accepted.lock().unwrap()
    }

    pub fn settings(&self) -> Settings {
        let mut settings = settings(self.address);
        settings.endpoint.protocol = self.protocol;
        settings
    }

    /// The session, or why it could not be opened.
    pub fn dial_with(&self, settings: Settings) -> Result<MailConnection, DialFailure> {
        MailConnector::new(settings).dial(session(3))
    }

    pub fn dial_smtp(&self) -> SmtpConnection {
        let Ok(MailConnection::Smtp(connection)) = self.dial_with(self.settings()) else { panic!("no SMTP session") };
        connection
    }

    pub fn dial_pop3(&self) -> Pop3Connection {
        let Ok(MailConnection::Pop3(connection)) = self.dial_with(self.settings()) else { panic!("no POP3 session") };
        connection
    }

    pub fn connector(&self) -> ImapConnector {
        ImapConnector::new(self.settings())
    }

    pub fn dial(&self) -> Result<ImapConnection, DialFailure> {
        self.connector().dial(session(3))
    }
}

impl Peer {
    pub fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.reader.read_until(b'\n', &mut line) {
            Ok(1..) => {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                self.heard.lock().unwrap().push(line.clone());
                Some(line)
            }
            _ => None,
        }
    }

    /// So many bytes of a literal.
    pub fn bytes(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    pub fn send(&mut self, text: &str) -> bool {
        self.send_bytes(text.as_bytes())
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) -> bool {
        self.reader.get_mut().write_all(bytes).is_ok()
    }

    pub fn answer(&mut self, reply: &str) -> bool {
        let Some(line) = self.line() else { return false };
        let tag = line.split(' ').next().unwrap().to_owned();
        self.send(&reply.replace("{t}", &tag))
    }

    /// Greets, then answers line after line by the rules until the client or a rule closes.
    pub fn obey(&mut self, own: Rules, otherwise: Rules) {
        let greeting = own.iter().chain(otherwise).find(|(start, _)| start.is_empty());
        self.send(greeting.unwrap().1);
        self.go_on(&[own, otherwise].concat());
    }

    /// The same without the greeting.
    pub fn go_on(&mut self, rules: &[(&'static str, &'static str)]) {
        let reply_to = |line: &str| {
            let fits = |(start, _): &&(&str, &str)| !start.is_empty() && line.starts_with(start);
            rules.iter().find(fits).map(|(_, reply)| *reply)
        };
        let mut said = "";
        loop {
            let Some(mut line) = self.line() else { return };
            if said.starts_with("354") {
                while line != "." {
                    let Some(next) = self.line() else { return };
                    line = next;
                }
            }
            said = reply_to(&line).unwrap_or("500 -ERR what?\r\n");
            if said.is_empty() || !self.send(said) {
                return;
            }
        }
    }

    /// Its socket, to end the session from elsewhere.
    pub fn socket(&self) -> TcpStream {
        self.tcp.try_clone().unwrap()
    }

    /// What is dropped from now on is reset, and not closed.
    pub fn reset(&mut self) {
        socket2::SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Goes on under TLS.
    pub fn start_tls(&mut self, config: Arc<ServerConfig>) {
        let tcp = self.tcp.try_clone().unwrap();
        self.reader = BufReader::new(Box::new(StreamOwned::new(ServerConnection::new(config).unwrap(), tcp)));
    }

    pub fn sign_in(&mut self) {
        self.send(GREETING);
        self.answer("{t} OK [CAPABILITY IMAP4rev1 ID] in\r\n");
        self.answer("* ID NIL\r\n{t} OK\r\n");
    }

    pub fn wait_for_close(&mut self) {
        while let Some(line) = self.line() {
            if line.ends_with("LOGOUT") {
                let tag = line.split(' ').next().unwrap().to_owned();
                self.send(&format!("* BYE bye\r\n{tag} OK\r\n"));
                return;
            }
        }
    }
}

pub fn settings(address: SocketAddr) -> Settings {
    let endpoint = Endpoint {
        protocol: Protocol::Imap,
        security: Security::Plain,
        host: address.ip().to_string(),
        port: address.port(),
        user: "joe".into(),
    };
    Settings {
        connect_timeout: Duration::from_secs(5),
        operation_timeout: Duration::from_secs(5),
        run_id: "run-1".into(),
        ..Settings::new(endpoint, Secret::new("s3cret".into()).into())
    }
}

pub fn session(connection: u32) -> SessionId {
    SessionId { connection: ConnectionId(connection), number: 1 }
}
