//! A server that says what a test tells it to, and remembers what it heard.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use mailconn::allocator::{ConnectionId, SessionId};
use mailconn::protocol::{DialFailure, Endpoint, ImapConnection, ImapConnector, Protocol, Secret, Security, Settings};

pub const GREETING: &str = "* OK [CAPABILITY IMAP4rev1 ID] ready\r\n";

pub struct Server {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    accepted: Arc<Mutex<usize>>,
}

/// One client, seen from the server.
pub struct Peer {
    reader: BufReader<TcpStream>,
    heard: Arc<Mutex<Vec<String>>>,
    /// 0 for the first connection.
    pub number: usize,
}

impl Server {
    pub fn start(script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
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
                let mut peer = Peer { reader: BufReader::new(stream), heard: Arc::clone(&all_heard), number };
                let script = Arc::clone(&script);
                thread::spawn(move || script(&mut peer));
            }
        });
        Self { address, heard, accepted }
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

    pub fn accepted(&self) -> usize {
        *self.accepted.lock().unwrap()
    }

    pub fn settings(&self) -> Settings {
        settings(self.address)
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
