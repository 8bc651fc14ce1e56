//! B1 to B4: connections that break, dials that are refused, and panics wherever the client calls out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use mailconn::allocator::{ConnectionId, Error, Event, Mode, Refusal};

use super::fake::{Client, Deed, Gate, Server, Trouble, in_line, refusal, served, served_on};

/// Every way a session can end up unfit for another use.
const BREAKS: [fn(&Client); 4] = [
    |client| client.with(|wire| wire.broken = true).unwrap(),
    |client| client.lease().unwrap().discard(),
    |client| {
        let unit = || client.with(|_| panic!("scripted: the unit"));
        assert!(catch_unwind(AssertUnwindSafe(unit)).is_err());
    },
    |client| client.with(|wire| wire.panics_when_judged = true).unwrap(),
];

#[test]
fn b1_a_connection_that_broke_is_discarded_without_a_word_and_never_used_again() {
    for break_it in BREAKS {
        let server = Server::new();
        let client = server.client(Mode::UseMain);
        break_it(&client);
        assert_eq!(server.all(Deed::Discarded), ["#0"]);
        assert_eq!(server.open(), [""; 0]);
        assert_eq!(client.open_connections(), 0);
        assert_eq!(served(&client), "#0.2 main");
        assert_eq!(server.all(Deed::Closed), [""; 0], "no LOGOUT in the middle of a reply");
    }
}

#[test]
fn b2_mains_and_a_defaults_place_survive_and_the_next_operation_there_opens_a_new_session() {
    for break_it in BREAKS {
        let server = Server::new();
        let client = server.client(Mode::UseDefault);
        break_it(&client);
        assert_eq!(served(&client), "#1.2 default", "the thread still has its default");
        break_it(&client);
        assert_eq!(served(&client), "#1.3 default");
        client.set_mode(Mode::UseMain);
        break_it(&client);
        assert_eq!(served(&client), "#0.2 main");
        assert_eq!(server.open(), ["#0.2", "#1.3"]);
    }
}

#[test]
fn b2_a_broken_independent_connection_counts_as_disposed() {
    let breaks: [fn(&mut super::fake::Wire); 3] =
        [|wire| wire.broken = true, |_| panic!("scripted: the unit"), |wire| wire.panics_when_judged = true];
    for break_it in breaks {
        let server = Server::new();
        let client = server.client(Mode::UseMain);
        let independent = client.create_connection().unwrap();
        let _ = catch_unwind(AssertUnwindSafe(|| client.with_connection(&independent, break_it).unwrap()));
        assert_eq!(refusal(client.lease_on(&independent)), Refusal::Disposed { connection: ConnectionId(1) });
        drop(independent);
        assert_eq!(server.all(Deed::Discarded), ["#1"]);
        assert_eq!(server.acts().len(), 2, "{:?}", server.acts());
    }
}

#[test]
fn b2_those_who_wait_for_an_independent_connection_that_breaks_are_refused() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let independent = Arc::new(client.create_connection().unwrap());
    let lease = client.lease_on(&independent).unwrap();
    let (there, passed) = (client.clone(), Arc::clone(&independent));
    let waiter = in_line(move || refusal(there.lease_on(&passed)));
    lease.discard();
    assert_eq!(waiter.join().unwrap(), Refusal::Disposed { connection: ConnectionId(1) });
}

#[test]
fn b2_whoever_waits_for_a_place_whose_session_breaks_opens_the_next_one() {
    let server = Server::new();
    let client = server.builder().mode(Mode::UseMain).max_connections(1).build();
    let lease = client.lease().unwrap();
    let there = client.clone();
    let waiter = in_line(move || {
        let lease = there.lease().unwrap();
        (lease.assignment().session.to_string(), lease.assignment().opened)
    });
    lease.discard();
    assert_eq!(waiter.join().unwrap(), ("#0.2".to_owned(), true));
    assert_eq!(server.all(Deed::Discarded), ["#0"]);
}

#[test]
fn b3_nothing_is_retried_and_a_new_session_never_pretends_to_be_the_old_one() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    client.with(|wire| wire.selected = 7).unwrap();
    let runs = AtomicUsize::new(0);
    client
        .with(|wire| {
            runs.fetch_add(1, Ordering::SeqCst);
            wire.broken = true;
        })
        .unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let next = client.lease().unwrap();
    let session = next.assignment().session;
    assert_eq!((session.connection, session.number, session.to_string().as_str()), (ConnectionId::MAIN, 2, "#0.2"));
    assert!(next.assignment().opened, "the operation knows that nothing is selected");
    assert_eq!(next.selected, 0);
    assert_eq!(server.all(Deed::Connected), ["#0", "#0.2"]);
}

#[test]
fn b3_a_dial_that_failed_is_not_tried_again_behind_the_users_back() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let dials = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&dials);
    server.on_connect(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Err(Trouble("no"))
    });
    assert!(matches!(client.lease().unwrap_err(), Error::Connect { .. }));
    assert_eq!(dials.load(Ordering::SeqCst), 1);
}

#[test]
fn b4_a_server_that_refuses_one_more_connection_fails_that_operation_with_no_fall_back_to_main() {
    const LIMIT: &str = "NO [LIMIT] Maximum number of connections from user+IP exceeded";
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    assert_eq!(served(&client), "#0 main");
    server.on_connect(|_| Err(Trouble(LIMIT)));
    let refused = client.create_default_connection().unwrap_err();
    assert!(matches!(refused, Error::Connect { error: Trouble(LIMIT), .. }), "{refused}");
    assert!(refused.to_string().ends_with(LIMIT), "{refused}");

    client.set_mode(Mode::UseDefault);
    assert!(matches!(client.lease().unwrap_err(), Error::Connect { error: Trouble(LIMIT), .. }));

    client.set_mode(Mode::UseMainOrDefault);
    server.on_connect(|_| Ok(()));
    client.create_default_connection().unwrap().leave();
    client.lease().unwrap().discard();
    server.on_connect(|_| Err(Trouble(LIMIT)));
    assert!(matches!(client.lease().unwrap_err(), Error::Connect { error: Trouble(LIMIT), .. }));
    server.on_connect(|_| Ok(()));
    assert_eq!(served(&client), "#3.3 default", "its place survives the failed dial");
}

#[test]
fn b1_a_lease_dropped_while_its_thread_panics_serves_the_next_in_line_with_a_new_session() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let gate = Gate::new();
    let (there, stop) = (client.clone(), gate.clone());
    let user = thread::spawn(move || {
        there.with(|_| {
            stop.pass();
            panic!("scripted: the unit");
        })
    });
    gate.reached_by(1);
    let there = client.clone();
    let waiter = in_line(move || served(&there));
    gate.open();
    assert!(user.join().is_err());
    assert_eq!(waiter.join().unwrap(), "#0.2 main");
}

#[test]
fn b1_a_connector_that_panics_while_a_panicking_unit_is_cleaned_up_aborts_nothing() {
    let server = Server::new();
    server.on_discard(|session| panic!("scripted: the discard of {session}"));
    let client = server.client(Mode::UseMain);
    let unit = || client.with(|_| panic!("scripted: the unit"));
    assert!(catch_unwind(AssertUnwindSafe(unit)).is_err());
    assert_eq!(client.open_connections(), 0);
    assert_eq!(served(&client), "#0.2 main");
}

#[test]
fn b1_a_panicking_close_gives_its_room_back_and_goes_no_further() {
    let server = Server::new();
    server.on_close(|session, _| panic!("scripted: the close of {session}"));
    let client = server.builder().mode(Mode::UseMainOrDefault).max_connections(1).build();
    drop(client.create_connection().unwrap());
    client.create_default_connection().unwrap().dispose();
    assert_eq!(client.open_connections(), 0);
    assert_eq!(served(&client), "#0 main");
}

/// An observer that panics at every event of every kind, one kind at a time: nothing of the client's may break.
#[test]
fn b1_an_observer_that_panics_breaks_nothing() {
    let kinds: [fn(&Event) -> bool; 9] = [
        |event| matches!(event, Event::Created { .. }),
        |event| matches!(event, Event::Opening { .. }),
        |event| matches!(event, Event::Opened { .. }),
        |event| matches!(event, Event::OpenFailed { .. }),
        |event| matches!(event, Event::Discarded { .. }),
        |event| matches!(event, Event::Closed { .. }),
        |event| matches!(event, Event::Disposed { .. }),
        |event| matches!(event, Event::ModeChanged { .. }),
        |event| matches!(event, Event::Refused { .. }),
    ];
    for kind in kinds {
        let server = Server::new();
        let told = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&told);
        let observer = move |event: &Event| {
            if kind(event) {
                seen.store(true, Ordering::SeqCst);
                panic!("scripted: the observer of {event:?}");
            }
        };
        let client = server.builder().observer(observer).build();
        assert_eq!(served(&client), "#0 main");
        client.lease().unwrap().discard();
        assert_eq!(served(&client), "#0.2 main");
        let independent = client.create_connection().unwrap();
        client.with_connection(&independent, |wire| wire.broken = true).unwrap();
        assert_eq!(refusal(client.lease_on(&independent)), Refusal::Disposed { connection: ConnectionId(1) });
        server.on_connect(|_| Err(Trouble("no")));
        assert!(client.create_connection().is_err());
        server.on_connect(|_| Ok(()));
        client.set_mode(Mode::UseDefault);
        assert_eq!(served(&client), "#3 default-created");
        let lease = client.lease().unwrap();
        let passed = client.create_connection().unwrap();
        assert_eq!(served_on(&client, &passed), "#4 explicit");
        drop((passed, lease));
        drop(client);
        assert!(told.load(Ordering::SeqCst), "the observer heard of it");
        assert_eq!(server.open(), [""; 0]);
        assert_eq!(server.all(Deed::Lost), [""; 0], "each was closed or discarded");
        assert!(server.connector_is_gone());
    }
}
