//! What the clients are played on: connections that exist only in memory, and the sandbox over IMAP.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use mailconn::allocator::{Builder, Client, Connector, SessionId};
use mailconn::protocol::{Endpoint, ImapConnection, ImapConnector, ImapOperation, Secret, Settings};
use mailconn::sandbox::{CloseCause, Cut, Options, Sandbox, SessionRecord};

use super::player::{STANDING, World};
use super::scenario::{CLIENTS, Session, Terms};
use crate::semantics::fake::{Deed, Fake, Server, Trouble, Wire, lock};

/// A door through which dials go, and where they stand while it is shut.
#[derive(Clone, Default)]
struct Door(Arc<(Mutex<bool>, Condvar)>);

impl Door {
    fn shut(&self, shut: bool) {
        *lock(&self.0.0) = shut;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let late = self.0.1.wait_timeout_while(lock(&self.0.0), STANDING, |shut| *shut).unwrap().1;
        assert!(!late.timed_out(), "nobody opened the door");
    }
}

/// As its terms say; without patience even the shortest wait is too long.
fn built<C: Connector>(builder: Builder<C>, Terms { mode, cap, patient }: Terms) -> Client<C> {
    let builder = builder.mode(mode).lease_timeout(if patient { STANDING } else { Duration::ZERO });
    match cap {
        Some(cap) => builder.max_connections(cap).build(),
        None => builder.build(),
    }
}

#[derive(Clone)]
pub struct InMemory {
    servers: [Server; CLIENTS],
    door: Door,
    cut: Arc<Mutex<BTreeSet<(usize, Session)>>>,
}

impl InMemory {
    pub fn new() -> Self {
        let world =
            Self { servers: std::array::from_fn(|_| Server::new()), door: Door::default(), cut: Arc::default() };
        world.refuse_connections(false);
        world
    }

    fn is_cut(&self, client: usize, session: Session) -> bool {
        lock(&self.cut).contains(&(client, session))
    }
}

impl World for InMemory {
    type Connector = Fake;

    const PATIENCE: Duration = Duration::from_secs(2);
    const CLOSING: Duration = Duration::ZERO;

    fn client(&self, client: usize, terms: Terms) -> Client<Fake> {
        built(self.servers[client].builder(), terms)
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
            let door = self.door.clone();
            server.on_connect(move |_| {
                door.pass();
                if refuse { Err(Trouble("refused")) } else { Ok(()) }
            });
        }
    }

    fn hang(&self, hang: bool) {
        self.door.shut(hang);
    }

    fn open(&self, client: usize) -> Vec<Session> {
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
pub struct OnSandbox {
    server: Arc<Sandbox>,
    door: Door,
}

/// Dials when the door is open.
pub struct Behind {
    door: Door,
    connector: ImapConnector,
}

impl Connector for Behind {
    type Connection = ImapConnection;
    type Error = <ImapConnector as Connector>::Error;

    fn connect(&self, session: SessionId) -> Result<ImapConnection, Self::Error> {
        self.door.pass();
        self.connector.connect(session)
    }

    fn has_broken(&self, connection: &mut ImapConnection) -> bool {
        self.connector.has_broken(connection)
    }

    fn close(&self, connection: ImapConnection, deadline: Instant) {
        self.connector.close(connection, deadline);
    }
}

impl OnSandbox {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Arc::new(Sandbox::start(listener, Options::default()).unwrap());
        Self { server, door: Door::default() }
    }

    /// The sessions that the client has open, by the server's own record.
    fn sessions(&self, client: usize) -> Vec<(Session, u16)> {
        let field = |session: &SessionRecord, name: &str| {
            session.label.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.clone())
        };
        let open = self.server.witness().into_iter().filter(|session| session.closed.is_none());
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
    type Connector = Behind;

    const PATIENCE: Duration = Duration::from_secs(10);
    const CLOSING: Duration = Duration::from_millis(500);

    fn client(&self, client: usize, terms: Terms) -> Client<Behind> {
        let endpoint = Endpoint::parse(&format!("imap://user@{}", self.server.address()), None).unwrap();
        let connector = ImapConnector::new(Settings {
            connect_timeout: Self::PATIENCE,
            operation_timeout: Self::PATIENCE,
            run_id: run_id(client),
            ..Settings::new(endpoint, Secret::new("secret".into()).into())
        });
        let behind = Behind { door: self.door.clone(), connector };
        built(Client::builder(behind).close_timeout(Self::PATIENCE), terms)
    }

    fn operate(&self, _: usize, connection: &mut ImapConnection) -> Result<(), &'static str> {
        connection.run(ImapOperation::Noop, "").map(|_| ()).map_err(|failure| failure.kind.name())
    }

    fn cut(&self, client: usize, session: Session, how: Cut) {
        let (_, port) = self.sessions(client).into_iter().find(|(open, _)| *open == session).unwrap();
        assert!(self.server.faults().cut(port, how));
    }

    fn refuse_connections(&self, refuse: bool) {
        self.server.faults().refuse_connections(refuse);
    }

    fn hang(&self, hang: bool) {
        self.door.shut(hang);
    }

    fn open(&self, client: usize) -> Vec<Session> {
        self.sessions(client).into_iter().map(|(session, _)| session).collect()
    }

    fn lost(&self) -> Vec<String> {
        let of_a_session = |session: &SessionRecord| session.user.is_some();
        let ended_badly = |session: &SessionRecord| {
            session.closed.is_some_and(|(_, cause)| !matches!(cause, CloseCause::Logout | CloseCause::Fault))
        };
        let lost = self.server.witness().into_iter().filter(|session| of_a_session(session) && ended_badly(session));
        lost.map(|session| format!("{:?}", session.label)).collect()
    }
}
