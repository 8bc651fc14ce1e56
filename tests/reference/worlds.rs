//! What the clients are played on: connections that exist only in memory, and the sandbox over IMAP.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mailconn::allocator::{Client, Mode};
use mailconn::protocol::{Endpoint, ImapConnection, ImapConnector, ImapOperation, Secret, Settings};
use mailconn::sandbox::{CloseCause, Cut, Options, Sandbox, SessionRecord};

use super::player::{PATIENCE, World};
use super::scenario::{CLIENTS, Session};
use crate::semantics::fake::{Deed, Fake, Server, Trouble, Wire, lock};

#[derive(Clone)]
pub struct InMemory {
    servers: [Server; CLIENTS],
    cut: Arc<Mutex<BTreeSet<(usize, Session)>>>,
}

impl InMemory {
    pub fn new() -> Self {
        Self { servers: std::array::from_fn(|_| Server::new()), cut: Arc::default() }
    }

    fn is_cut(&self, client: usize, session: Session) -> bool {
        lock(&self.cut).contains(&(client, session))
    }
}

impl World for InMemory {
    type Connector = Fake;

    fn client(&self, client: usize, mode: Mode) -> Client<Fake> {
        self.servers[client].builder().mode(mode).lease_timeout(PATIENCE).build()
    }

    fn operate(&self, client: usize, wire: &mut Wire) -> Result<(), &'static str> {
        wire.broken = self.is_cut(client, Session::parse(&wire.session.to_string()));
        if wire.broken { Err("closed") } else { Ok(()) }
    }

    fn cut(&self, client: usize, session: Session, _: Cut) {
        lock(&self.cut).insert((client, session));
    }

    fn refuse_connections(&self, refuse: bool) {
        for server in &self.servers {
            server.on_connect(move |_| if refuse { Err(Trouble("refused")) } else { Ok(()) });
        }
    }

    fn open(&self, client: usize, _: &[Session]) -> Vec<Session> {
        let open = self.servers[client].open();
        open.iter().map(|name| Session::parse(name)).filter(|session| !self.is_cut(client, *session)).collect()
    }

    fn lost(&self) -> Vec<String> {
        let of = |client: usize| {
            let server = &self.servers[client];
            let discarded = server.all(Deed::Discarded).into_iter();
            let unasked = discarded.filter(move |name| !self.is_cut(client, Session::parse(name)));
            server.all(Deed::Lost).into_iter().chain(unasked)
        };
        (0..CLIENTS).flat_map(of).collect()
    }
}

#[derive(Clone)]
pub struct OnSandbox(Arc<Sandbox>);

impl OnSandbox {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self(Arc::new(Sandbox::start(listener, Options::default()).unwrap()))
    }

    /// The sessions that the client has open, by the server's own record.
    fn sessions(&self, client: usize) -> Vec<(Session, u16)> {
        let field = |session: &SessionRecord, name: &str| {
            session.label.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.clone())
        };
        let open = self.0.witness().into_iter().filter(|session| session.closed.is_none());
        let its = open.filter(|session| field(session, "x-mailconn-run") == Some(run_id(client)));
        let named = its
            .filter_map(|session| Some((Session::parse(&field(&session, "x-mailconn-session")?), session.peer_port)));
        let mut sessions: Vec<_> = named.collect();
        sessions.sort_unstable();
        sessions
    }
}

fn run_id(client: usize) -> String {
    format!("{client:012x}")
}

impl World for OnSandbox {
    type Connector = ImapConnector;

    fn client(&self, client: usize, mode: Mode) -> Client<ImapConnector> {
        let endpoint = Endpoint::parse(&format!("imap://user@{}", self.0.address()), None).unwrap();
        let connector = ImapConnector::new(Settings {
            connect_timeout: PATIENCE,
            operation_timeout: PATIENCE,
            run_id: run_id(client),
            ..Settings::new(endpoint, Secret::new("secret".into()).into())
        });
        Client::builder(connector).mode(mode).lease_timeout(PATIENCE).close_timeout(PATIENCE).build()
    }

    fn operate(&self, _: usize, connection: &mut ImapConnection) -> Result<(), &'static str> {
        connection.run(ImapOperation::Noop, "").map(|_| ()).map_err(|failure| failure.kind.name())
    }

    fn cut(&self, client: usize, session: Session, how: Cut) {
        let (_, port) = self.sessions(client).into_iter().find(|(open, _)| *open == session).unwrap();
        assert!(self.0.faults().cut(port, how));
    }

    fn refuse_connections(&self, refuse: bool) {
        self.0.faults().refuse_connections(refuse);
    }

    fn open(&self, client: usize, expected: &[Session]) -> Vec<Session> {
        let late = Instant::now() + PATIENCE;
        loop {
            let open: Vec<_> = self.sessions(client).into_iter().map(|(session, _)| session).collect();
            if open == expected || Instant::now() > late {
                return open;
            }
            thread::sleep(Duration::from_micros(200));
        }
    }

    fn lost(&self) -> Vec<String> {
        let of_a_session = |session: &SessionRecord| session.user.is_some();
        let ended_badly = |session: &SessionRecord| {
            session.closed.is_some_and(|(_, cause)| !matches!(cause, CloseCause::Logout | CloseCause::Fault))
        };
        let lost = self.0.witness().into_iter().filter(|session| of_a_session(session) && ended_badly(session));
        lost.map(|session| format!("{:?}", session.label)).collect()
    }
}
