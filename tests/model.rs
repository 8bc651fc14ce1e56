//! The allocator under a model checker, which runs its threads in thousands of orders that a machine would rarely take.
//!
//! ```sh
//! RUSTFLAGS="--cfg mailconn_model" cargo test --test model --target-dir target/model
//! ```
//!
//! A scenario that can end in a deadlock, or break one of the promises written in [`Server`], fails with the order of
//! steps that leads there. Without the cfg this file is empty.
#![cfg(mailconn_model)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mailconn::allocator::{
    Awaited, Builder, ConnectionId, Connector, Error, Event, Lease, Mode, Reason, Refusal, SessionId,
};
use shuttle::thread;

type Client = mailconn::allocator::Client<Link>;
type Outcome<T> = Result<T, Error<NoDial>>;

/// Runs a scenario in so many random orders, and in as many that a scheduler made for finding rare races picks.
fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    const ORDERS: usize = 2500;
    let scenario = Arc::new(scenario);
    let again = Arc::clone(&scenario);
    shuttle::check_random(move || scenario(), ORDERS);
    shuttle::check_pct(move || again(), ORDERS, 3);
}

/// Lets any other thread run here.
fn breathe() {
    thread::sleep(Duration::ZERO);
}

/// A deadline that never comes.
fn never() -> Instant {
    Instant::now() + Duration::from_secs(24 * 3600)
}

/// What must hold in every order of steps. Its own lock is never held while another thread can run.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    cap: Option<usize>,
    /// Sessions told as opening and not yet as ended: never more than the cap.
    told: BTreeSet<SessionId>,
    /// Sessions that the server has, one for a place.
    open: BTreeMap<ConnectionId, SessionId>,
    /// Sessions that a unit of work is using.
    used: BTreeSet<SessionId>,
    opened: usize,
    closed: usize,
    discarded: usize,
    /// Places told as created and not yet as disposed.
    places: BTreeSet<ConnectionId>,
    /// The client's close has returned, and had waited for all: nothing is dialled any more.
    over: bool,
    /// The first dial fails.
    fails_once: bool,
    /// Promises that were not kept, where a panic would go no further: in the observer and at a connection's end.
    broken_promises: Vec<String>,
}

impl Seen {
    fn must(&mut self, kept: bool, promise: impl FnOnce(&Self) -> String) {
        if !kept {
            let promise = promise(self);
            self.broken_promises.push(promise);
        }
    }

    fn ends(&mut self, session: SessionId) {
        self.must(!self.used.contains(&session), |_| format!("{session} ended while it was used"));
        let was_open = self.open.remove(&session.connection) == Some(session);
        self.must(was_open, |_| format!("{session} ended but was not open"));
    }
}

struct Link(Server);

struct Wire {
    session: SessionId,
    broken: bool,
}

#[derive(Debug)]
struct NoDial;

impl std::fmt::Display for NoDial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("scripted: no dial")
    }
}

impl std::error::Error for NoDial {}

impl Server {
    fn see<R>(&self, look: impl FnOnce(&mut Seen) -> R) -> R {
        look(&mut self.0.lock().unwrap())
    }

    fn builder(&self) -> Builder<Link> {
        let told = self.clone();
        Client::builder(Link(self.clone())).observer(move |event: &Event| told.hear(event)).lease_timeout(Duration::MAX)
    }

    fn client(&self, mode: Mode) -> Client {
        self.builder().mode(mode).build()
    }

    fn capped(&self, mode: Mode, cap: usize) -> Client {
        self.see(|seen| seen.cap = Some(cap));
        self.builder().mode(mode).max_connections(cap).build()
    }

    fn hear(&self, event: &Event) {
        self.see(|seen| match *event {
            Event::Created { connection, .. } => {
                let new = seen.places.insert(connection);
                seen.must(new, |_| format!("{connection} was created twice"));
            }
            Event::Disposed { connection, .. } if connection != ConnectionId::MAIN => {
                let was = seen.places.remove(&connection);
                seen.must(was, |_| format!("{connection} was disposed twice, or before it was created"));
            }
            Event::Opening { session, .. } => {
                let new = seen.told.insert(session);
                seen.must(new, |_| format!("{session} was dialled twice"));
                let in_cap = seen.cap.is_none_or(|cap| seen.told.len() <= cap);
                seen.must(!seen.over, |_| format!("{session} was dialled after the client's close"));
                seen.must(in_cap, |seen| format!("more than the cap: {:?}", seen.told));
            }
            Event::OpenFailed { session } | Event::Closed { session } | Event::Discarded { session } => {
                let was = seen.told.remove(&session);
                seen.must(was, |_| format!("{session} ended twice"));
            }
            _ => {}
        });
        breathe();
    }

    /// One unit of work: nobody else may be at the session from its first step to its last.
    fn work(&self, lease: &mut Lease<Link>) {
        let session = lease.session;
        self.see(|seen| {
            assert_eq!(seen.open.get(&session.connection), Some(&session), "it is used while it is not open");
            assert!(seen.used.insert(session), "two threads use {session} at once");
        });
        breathe();
        self.see(|seen| assert!(seen.used.remove(&session)));
    }

    /// Leases by the mode and works; what it was served by, or why not.
    fn unit(&self, client: &Client) -> Outcome<Reason> {
        client.lease().map(|mut lease| {
            self.work(&mut lease);
            lease.assignment().reason
        })
    }

    /// Closes the client, however long that takes.
    fn close(&self, client: Client) {
        assert_eq!(client.close(never()), 0);
        self.see(|seen| {
            assert!(seen.open.is_empty(), "the close returned before all were closed");
            seen.over = true;
        });
    }

    /// Every scenario's end: what was opened is closed, and told as such, and no place is left.
    fn settled(&self) {
        self.see(|seen| {
            assert_eq!(seen.broken_promises, [""; 0]);
            assert_eq!(seen.opened, seen.closed + seen.discarded, "something stayed open: {:?}", seen.open);
            assert!(seen.open.is_empty() && seen.told.is_empty() && seen.used.is_empty());
            assert!(seen.places.is_empty(), "places were left behind: {:?}", seen.places);
        });
    }
}

impl Connector for Link {
    type Connection = Wire;
    type Error = NoDial;

    fn connect(&self, session: SessionId) -> Result<Wire, NoDial> {
        breathe();
        self.0.see(|seen| {
            if std::mem::take(&mut seen.fails_once) {
                return Err(NoDial);
            }
            seen.opened += 1;
            assert_eq!(seen.open.insert(session.connection, session), None, "the place of {session} has a session");
            Ok(Wire { session, broken: false })
        })
    }

    fn has_broken(&self, wire: &mut Wire) -> bool {
        wire.broken
    }

    fn close(&self, wire: Wire, _: Instant) {
        breathe();
        self.0.see(|seen| {
            seen.ends(wire.session);
            seen.closed += 1;
        });
    }

    fn discard(&self, wire: Wire) {
        breathe();
        self.0.see(|seen| {
            seen.ends(wire.session);
            seen.discarded += 1;
        });
    }
}

/// Runs one thread for each piece of work, to the end of each.
fn side_by_side<const N: usize>(work: [Box<dyn FnOnce() + Send>; N]) {
    for thread in work.map(|work| thread::spawn(work)) {
        thread.join().unwrap();
    }
}

/// That a refusal is one of the two that a race with a close or a disposal may bring.
fn gone<T>(outcome: Outcome<T>) {
    match outcome {
        Ok(_) | Err(Error::Refused(Refusal::ClientClosed | Refusal::Disposed { .. })) => {}
        Err(other) => panic!("failed otherwise: {other}"),
    }
}

macro_rules! at_once {
    ($(|$($held:ident),*| $work:block),+ $(,)?) => {
        side_by_side([$({
            $(let $held = $held.clone();)*
            Box::new(move || $work) as Box<dyn FnOnce() + Send>
        }),+])
    };
}

#[test]
fn w1_every_thread_that_waits_for_main_is_served() {
    explore(|| {
        let server = Server::default();
        let client = server.client(Mode::UseMain);
        let three_units = |server: &Server, client: &Client| {
            for _ in 0..3 {
                assert_eq!(server.unit(client).unwrap(), Reason::Main);
            }
        };
        at_once!(
            |server, client| { three_units(&server, &client) },
            |server, client| { three_units(&server, &client) },
            |server, client| { three_units(&server, &client) },
        );
        assert_eq!(client.open_connections(), 1);
        drop(client);
        server.settled();
        assert_eq!(server.see(|seen| seen.opened), 1);
    });
}

#[test]
fn w1_a_deadline_that_comes_during_a_hand_over_swallows_nothing() {
    explore(|| {
        let server = Server::default();
        // Who finds it taken joins the line and steps out again: in between it may be served.
        let client = server.builder().mode(Mode::UseMain).lease_timeout(Duration::ZERO).build();
        let two_tries = |server: &Server, client: &Client| {
            for _ in 0..2 {
                match server.unit(client) {
                    Ok(_) | Err(Error::WaitTimeout { awaited: Awaited::Connection(ConnectionId::MAIN), .. }) => {}
                    Err(other) => panic!("failed otherwise: {other}"),
                }
            }
        };
        at_once!(
            |server, client| { two_tries(&server, &client) },
            |server, client| { two_tries(&server, &client) },
            |server, client| { two_tries(&server, &client) },
        );
        // Had a hand-over been lost, main would now be nobody's.
        assert_eq!(server.unit(&client).unwrap(), Reason::Main);
        drop(client);
        server.settled();
    });
}

#[test]
fn w2_one_permit_goes_round_among_threads_that_each_need_one() {
    explore(|| {
        let server = Server::default();
        let client = server.capped(Mode::UseDefault, 1);
        // Each thread's end closes its default and so makes room for the next.
        at_once!(
            |server, client| { assert_eq!(server.unit(&client).unwrap(), Reason::DefaultCreated) },
            |server, client| { assert_eq!(server.unit(&client).unwrap(), Reason::DefaultCreated) },
            |client| { client.create_connection().unwrap().dispose() },
        );
        assert_eq!(client.open_connections(), 0);
        server.settled();
        drop(client);
        assert_eq!(server.see(|seen| seen.opened), 3);
    });
}

#[test]
fn w2_a_broken_sessions_room_is_given_on_when_its_end_was_told() {
    explore(|| {
        let server = Server::default();
        let client = server.capped(Mode::UseMain, 1);
        at_once!(
            |server, client| {
                let mut lease = client.lease().unwrap();
                server.work(&mut lease);
                lease.discard();
            },
            |client| { client.create_connection().unwrap().dispose() },
        );
        assert_eq!(client.open_connections(), 0);
        drop(client);
        server.settled();
    });
}

#[test]
fn w2_a_deadline_that_comes_while_room_is_handed_over_leaks_none() {
    explore(|| {
        let server = Server::default();
        server.see(|seen| seen.cap = Some(1));
        let builder = server.builder().mode(Mode::UseMain).max_connections(1);
        let client = builder.lease_timeout(Duration::ZERO).build();
        let create = |client: &Client| match client.create_connection() {
            Ok(connection) => drop(connection),
            Err(Error::WaitTimeout { awaited: Awaited::Capacity { max_connections: 1 }, .. }) => {}
            Err(other) => panic!("failed otherwise: {other}"),
        };
        at_once!(|client| { create(&client) }, |client| { create(&client) }, |client| { create(&client) });
        assert_eq!(client.open_connections(), 0);
        create(&client);
        drop(client);
        server.settled();
    });
}

#[test]
fn d2_an_independent_connection_is_disposed_while_two_threads_use_it() {
    explore(|| {
        let server = Server::default();
        let client = server.client(Mode::UseMain);
        let passed = Arc::new(client.create_connection().unwrap());
        let unit =
            |server: &Server, outcome: Outcome<Lease<Link>>| gone(outcome.map(|mut lease| server.work(&mut lease)));
        at_once!(
            |server, client, passed| { unit(&server, client.lease_on(&passed)) },
            |server, client, passed| { unit(&server, client.lease_on(&passed)) },
            |passed| { passed.dispose() },
        );
        assert_eq!(client.open_connections(), 0);
        let refused = client.lease_on(&passed).map(drop).unwrap_err();
        assert!(matches!(refused, Error::Refused(Refusal::Disposed { .. })));
        drop(client);
        server.settled();
    });
}

#[test]
fn d4_the_client_is_closed_while_others_lease_and_create() {
    explore(|| {
        let server = Server::default();
        let client = server.client(Mode::UseMainOrDefault);
        at_once!(
            |server, client| { gone(server.unit(&client)) },
            |client| { gone(client.create_connection()) },
            |server, client| {
                let default = client.create_default_connection();
                gone(server.unit(&client));
                gone(default);
            },
            |server, client| { server.close(client) },
        );
        assert_eq!(client.open_connections(), 0);
        server.settled();
        let refused = client.lease().map(drop).unwrap_err();
        assert!(matches!(refused, Error::Refused(Refusal::ClientClosed)));
    });
}

#[test]
fn d4_the_client_is_closed_at_once_while_others_stand_in_line() {
    explore(|| {
        let server = Server::default();
        let client = server.capped(Mode::UseMain, 1);
        at_once!(
            |server, client| { gone(server.unit(&client)) },
            |server, client| { gone(server.unit(&client)) },
            |client| { gone(client.create_connection()) },
            |client| {
                client.close(Instant::now());
            },
        );
        assert_eq!(client.open_connections(), 0);
        server.settled();
    });
}

#[test]
fn d3_a_thread_ends_while_its_client_is_dropped() {
    explore(|| {
        let server = Server::default();
        let client = server.client(Mode::UseDefault);
        let last = client.clone();
        let threads = [
            thread::spawn({
                let server = server.clone();
                // This thread's end and the drop of the last handle meet.
                move || assert_eq!(server.unit(&client).unwrap(), Reason::DefaultCreated)
            }),
            thread::spawn({
                let server = server.clone();
                move || {
                    assert_eq!(server.unit(&last).unwrap(), Reason::DefaultCreated);
                    drop(last);
                }
            }),
        ];
        for thread in threads {
            thread.join().unwrap();
        }
        server.settled();
        assert_eq!(Arc::strong_count(&server.0), 1, "nothing keeps the client alive");
    });
}

#[test]
fn d3_a_thread_ends_while_its_client_is_closed() {
    explore(|| {
        let server = Server::default();
        let client = server.client(Mode::UseMainOrDefault);
        at_once!(
            |server, client| {
                if let Ok(default) = client.create_default_connection() {
                    default.leave();
                }
                gone(server.unit(&client));
            },
            |server, client| {
                client.set_mode(Mode::UseDefault);
                gone(server.unit(&client));
            },
            |server, client| { server.close(client) },
        );
        assert_eq!(client.open_connections(), 0);
        server.settled();
    });
}

#[test]
fn b2_a_session_breaks_while_others_wait_for_its_place() {
    explore(|| {
        let server = Server::default();
        let client = server.capped(Mode::UseMain, 1);
        let break_it = |server: &Server, client: &Client| {
            let mut lease = client.lease().unwrap();
            server.work(&mut lease);
            lease.broken = true;
        };
        at_once!(
            |server, client| { break_it(&server, &client) },
            |server, client| { break_it(&server, &client) },
            |server, client| { assert_eq!(server.unit(&client).unwrap(), Reason::Main) },
        );
        drop(client);
        server.settled();
        assert_eq!(server.see(|seen| seen.discarded), 2);
    });
}

#[test]
fn b2_an_independent_connection_breaks_while_others_wait_for_it_and_it_is_disposed() {
    explore(|| {
        let server = Server::default();
        let client = server.client(Mode::UseMain);
        let passed = Arc::new(client.create_connection().unwrap());
        at_once!(
            |client, passed| { gone(client.lease_on(&passed).map(Lease::discard)) },
            |server, client, passed| { gone(client.lease_on(&passed).map(|mut lease| server.work(&mut lease))) },
            |passed| { passed.dispose() },
        );
        assert_eq!(client.open_connections(), 0);
        server.settled();
    });
}

#[test]
fn c4_a_dial_fails_while_others_wait_for_its_place_and_the_client_is_closed() {
    explore(|| {
        let server = Server::default();
        server.see(|seen| seen.fails_once = true);
        let client = server.capped(Mode::UseMain, 1);
        let unit = |server: &Server, client: &Client| match server.unit(client) {
            Err(Error::Connect { error: NoDial, .. }) => {}
            other => gone(other),
        };
        at_once!(|server, client| { unit(&server, &client) }, |server, client| { unit(&server, &client) }, |client| {
            assert_eq!(client.close(never()), 0);
        },);
        assert_eq!(client.open_connections(), 0);
        server.settled();
    });
}

#[test]
fn m1_the_mode_changes_while_threads_lease() {
    explore(|| {
        let server = Server::default();
        let client = server.client(Mode::UseMain);
        let two_units = |server: &Server, client: &Client| {
            let _scope = client.thread_scope();
            for _ in 0..2 {
                let mut lease = client.lease().unwrap();
                let used = *lease.assignment();
                let allowed = match (used.mode, used.had_default) {
                    (Mode::UseMain, _) | (Mode::UseMainOrDefault, false) => Reason::Main,
                    (Mode::UseDefault, false) => Reason::DefaultCreated,
                    (Mode::UseDefault | Mode::UseMainOrDefault, true) => Reason::Default,
                };
                assert_eq!(used.reason, allowed);
                server.work(&mut lease);
            }
        };
        at_once!(
            |server, client| { two_units(&server, &client) },
            |server, client| { two_units(&server, &client) },
            |client| {
                client.set_mode(Mode::UseDefault);
                client.set_mode(Mode::UseMainOrDefault);
            },
        );
        assert!(client.open_connections() <= 1, "only main may be left");
        drop(client);
        server.settled();
    });
}
