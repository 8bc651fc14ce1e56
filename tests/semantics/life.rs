//! D1, D2, D4, D5, D6: disposing connections, by hand and with their client.

use std::thread;
use std::time::{Duration, Instant};

use mailconn::allocator::{ConnectionId, Mode, Reason, Refusal};

use super::fake::{Client, Deed, Gate, LONG, Server, Trouble, in_line, on_a_thread, refusal, served, served_on};

#[test]
fn d1_after_its_default_is_disposed_main_serves_the_thread_in_use_main_or_default() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    let ways: [fn(&Client); 4] = [
        |client| client.create_default_connection().unwrap().dispose(),
        |client| drop(client.create_default_connection().unwrap()),
        |client| {
            client.create_default_connection().unwrap().leave();
            assert!(client.dispose_default_connection().is_some());
        },
        |client| {
            std::mem::forget(client.create_default_connection().unwrap());
            assert!(client.dispose_default_connection().is_some());
        },
    ];
    for (way, dispose) in (1..).zip(ways) {
        dispose(&client);
        assert_eq!(server.act(Deed::Closed, &format!("#{way}")).thread, thread::current().id());
        assert_eq!(served(&client), "#0 main");
        assert_eq!(client.dispose_default_connection(), None, "there is nothing left to dispose");
    }
    assert_eq!(server.open(), ["#0"]);
}

#[test]
fn d1_after_its_default_is_disposed_use_default_creates_a_new_one() {
    let server = Server::new();
    let client = server.client(Mode::UseDefault);
    assert_eq!(served(&client), "#1 default-created");
    assert_eq!(client.dispose_default_connection(), Some(ConnectionId(1)));
    assert_eq!(server.open(), [""; 0]);
    assert_eq!(served(&client), "#2 default-created");
    assert_eq!(served(&client), "#2 default");
}

#[test]
fn d1_after_its_default_is_disposed_the_thread_may_create_one_again() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    for name in ["#1 default", "#2 default", "#3 default"] {
        let default = client.create_default_connection().unwrap();
        assert_eq!(served(&client), name);
        default.dispose();
    }
    assert_eq!(server.all(Deed::Closed), ["#1", "#2", "#3"]);
}

#[test]
fn d1_a_default_left_to_its_thread_goes_on_serving_it() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    client.create_default_connection().unwrap().leave();
    assert_eq!(served(&client), "#1 default");
    assert_eq!(server.open(), ["#1"]);
}

#[test]
fn d1_a_stale_handle_never_disposes_its_successor() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    let stale = client.create_default_connection().unwrap();
    assert_eq!(client.dispose_default_connection(), Some(stale.id()));
    let successor = client.create_default_connection().unwrap();
    stale.dispose();
    assert_eq!(served(&client), "#2 default");
    assert_eq!(server.open(), ["#2"]);
    drop(successor);

    client.set_mode(Mode::UseMainOrDefault);
    let stale = client.create_default_connection().unwrap();
    client.dispose_default_connection();
    client.set_mode(Mode::UseDefault);
    assert_eq!(served(&client), "#4 default-created");
    drop(stale);
    assert_eq!(served(&client), "#4 default");
}

#[test]
fn d1_disposing_another_threads_default_is_not_possible() {
    let server = Server::new();
    let client = server.client(Mode::UseDefault);
    assert_eq!(served(&client), "#1 default-created");
    let other = client.clone();
    assert_eq!(on_a_thread(move || other.dispose_default_connection()), None);
    assert_eq!(served(&client), "#1 default");
}

#[test]
fn d2_an_independent_connection_that_was_disposed_is_refused_by_its_name() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let independent = client.create_connection().unwrap();
    independent.dispose();
    independent.dispose();
    assert_eq!(server.all(Deed::Closed), ["#1"]);
    let refused = refusal(client.lease_on(&independent));
    assert_eq!(refused, Refusal::Disposed { connection: ConnectionId(1) });
    assert!(refused.to_string().contains("#1"), "{refused}");
    drop(independent);
    assert_eq!(server.all(Deed::Closed), ["#1"], "once is enough");
}

#[test]
fn d2_those_who_wait_for_an_independent_connection_are_refused_when_it_is_disposed() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let independent = std::sync::Arc::new(client.create_connection().unwrap());
    let lease = client.lease_on(&independent).unwrap();
    let waiters = [(); 3].map(|()| {
        let (client, independent) = (client.clone(), std::sync::Arc::clone(&independent));
        in_line(move || refusal(client.lease_on(&independent)))
    });
    independent.dispose();
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), Refusal::Disposed { connection: ConnectionId(1) });
    }
    assert_eq!(lease.session.to_string(), "#1", "the operation under way goes on");
}

#[test]
fn d4_closing_the_client_disposes_main_every_default_and_every_independent_connection() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    assert_eq!(served(&client), "#0 main");
    client.create_default_connection().unwrap().leave();
    let _independent = client.create_connection().unwrap();
    let (gate, there) = (Gate::new(), client.clone());
    let stop = gate.clone();
    let other = thread::spawn(move || {
        there.create_default_connection().unwrap().leave();
        stop.pass();
        refusal(there.lease())
    });
    gate.reached_by(1);
    assert_eq!(client.close(Instant::now() + LONG), 0);
    let mut closed = server.all(Deed::Closed);
    closed.sort();
    assert_eq!(closed, ["#0", "#1", "#2", "#3"]);
    gate.open();
    assert_eq!(other.join().unwrap(), Refusal::ClientClosed);
}

#[test]
fn d4_every_use_after_the_close_is_refused() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    let independent = client.create_connection().unwrap();
    assert_eq!(client.clone().close(Instant::now() + LONG), 0);
    for mode in Mode::ALL {
        client.set_mode(mode);
        assert_eq!(refusal(client.lease()), Refusal::ClientClosed, "{mode}");
        assert_eq!(refusal(client.lease_on(&independent)), Refusal::ClientClosed, "{mode}");
        assert_eq!(refusal(client.create_connection()), Refusal::ClientClosed, "{mode}");
    }
    client.set_mode(Mode::UseMainOrDefault);
    assert_eq!(refusal(client.create_default_connection()), Refusal::ClientClosed);
    assert_eq!(client.dispose_default_connection(), None);
    assert_eq!(client.clone().close(Instant::now()), 0, "a second close finds nothing to do");
    assert_eq!(server.all(Deed::Connected), ["#1"]);
}

/// Whatever else would forbid the use.
#[test]
fn d4_comes_before_any_other_rule() {
    let (server, others) = (Server::new(), Server::new());
    let client = server.client(Mode::UseMainOrDefault);
    let foreign = others.client(Mode::UseMain);
    let (kept, gone) = (client.create_connection().unwrap(), client.create_connection().unwrap());
    let theirs = foreign.create_connection().unwrap();
    gone.dispose();
    client.create_default_connection().unwrap().leave();
    client.set_mode(Mode::UseMain);
    let main = client.lease().unwrap();
    let on_kept = client.lease_on(&kept).unwrap();
    assert_eq!(client.clone().close(Instant::now()), 2, "both are in use");
    for mode in Mode::ALL {
        client.set_mode(mode);
        // C2 and C3, W3, D2, D6: each would have a word to say.
        assert_eq!(refusal(client.create_default_connection()), Refusal::ClientClosed, "{mode}");
        assert_eq!(refusal(client.lease()), Refusal::ClientClosed, "{mode}");
        for passed in [&kept, &gone, &theirs] {
            assert_eq!(refusal(client.lease_on(passed)), Refusal::ClientClosed, "{mode}: {passed:?}");
            assert_eq!(refusal(client.decide_on(passed)), Refusal::ClientClosed, "{mode}: {passed:?}");
        }
        assert_eq!(refusal(client.decide(false)), Refusal::ClientClosed, "{mode}");
        assert_eq!(refusal(client.decide(true)), Refusal::ClientClosed, "{mode}");
    }
    drop((main, on_kept));
    assert_eq!(server.open(), [""; 0]);
    assert_eq!(served_on(&foreign, &theirs), "#1 explicit");
}

#[test]
fn a6_what_would_be_used_is_said_and_nothing_is_opened() {
    let (server, others) = (Server::new(), Server::new());
    let client = server.client(Mode::UseMainOrDefault);
    let foreign = others.client(Mode::UseMain).create_connection().unwrap();
    let would = || client.decide(false).unwrap().reason;
    assert_eq!(would(), Reason::Main);
    client.set_mode(Mode::UseDefault);
    assert_eq!(would(), Reason::DefaultCreated);
    assert_eq!(server.all(Deed::Connected), [""; 0]);
    let passed = client.create_connection().unwrap();
    assert_eq!(client.decide_on(&passed).unwrap().reason, Reason::Explicit);
    passed.dispose();
    assert_eq!(refusal(client.decide_on(&passed)), Refusal::Disposed { connection: ConnectionId(1) });
    assert_eq!(refusal(client.decide_on(&foreign)), Refusal::ForeignConnection { connection: ConnectionId(1) });
    assert_eq!(server.all(Deed::Connected), ["#1"]);
}

#[test]
fn d4_dropping_the_last_handle_of_the_client_closes_it() {
    let server = Server::new();
    let client = server.client(Mode::UseDefault);
    assert_eq!(served(&client), "#1 default-created");
    let clone = client.clone();
    drop(client);
    assert_eq!(server.open(), ["#1"]);
    drop(clone);
    assert_eq!(server.all(Deed::Closed), ["#1"]);
    assert!(server.connector_is_gone());
}

#[test]
fn d4_a_session_that_stalls_does_not_starve_the_others_of_their_goodbye() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let independent: Vec<_> = (0..40).map(|_| client.create_connection().unwrap()).collect();
    server.on_close(|session, deadline| {
        if session.connection.0 % 10 == 1 {
            thread::sleep(deadline.saturating_duration_since(Instant::now()));
        }
    });
    let allowed = Duration::from_millis(600);
    let deadline = Instant::now() + allowed;
    assert_eq!(client.close(deadline), 0);
    for session in (1..=40).map(|id| format!("#{id}")) {
        let closed = server.act(Deed::Closed, &session);
        assert!(closed.deadline.unwrap() <= deadline + Duration::from_millis(5), "{session}");
        if closed.session.connection.0 % 10 != 1 {
            let unused = closed.deadline.unwrap().saturating_duration_since(closed.at);
            assert!(unused > Duration::from_millis(5), "{session} had no time of its own: {unused:?} were left");
        }
    }
    drop(independent);
}

#[test]
fn d4_the_close_returns_by_its_deadline_and_says_how_many_are_still_in_use() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let gate = Gate::new();
    let (there, stop) = (client.clone(), gate.clone());
    let user = thread::spawn(move || there.with(|_| stop.pass()).unwrap());
    gate.reached_by(1);
    assert_eq!(client.close(Instant::now() + Duration::from_millis(50)), 1);
    assert_eq!(server.open(), ["#0"], "the operation under way goes on");
    gate.open();
    user.join().unwrap();
    assert_eq!(server.all(Deed::Closed), ["#0"]);
}

#[test]
fn d4_the_close_waits_for_operations_under_way() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let gate = Gate::new();
    let (there, stop) = (client.clone(), gate.clone());
    let user = thread::spawn(move || there.with(|_| stop.pass()).unwrap());
    gate.reached_by(1);
    let closer = in_line(move || client.close(Instant::now() + LONG));
    gate.open();
    user.join().unwrap();
    assert_eq!(closer.join().unwrap(), 0);
    assert_eq!(server.all(Deed::Closed), ["#0"]);
}

#[test]
fn d4_one_panicking_close_keeps_no_other_connection_from_being_closed() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let independent: Vec<_> = (0..20).map(|_| client.create_connection().unwrap()).collect();
    server.on_close(|session, _| assert!(session.connection.0 > 16, "scripted: the close of {session}"));
    assert_eq!(client.close(Instant::now() + LONG), 0);
    let mut closed = server.all(Deed::Closed);
    closed.sort();
    assert_eq!(closed, ["#17", "#18", "#19", "#20"]);
    assert_eq!(server.open(), [""; 0]);
    drop(independent);
}

#[test]
fn d5_a_default_disposed_while_its_operation_is_under_way_is_closed_when_that_ends() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    let default = client.create_default_connection().unwrap();
    let lease = client.lease().unwrap();
    default.dispose();
    assert_eq!(served(&client), "#0 main", "the thread is as if it never had one");
    assert_eq!(server.open(), ["#0", "#1"]);
    drop(lease);
    assert_eq!(server.all(Deed::Closed), ["#1"]);
}

#[test]
fn d5_an_independent_connection_disposed_while_another_thread_uses_it_is_closed_when_that_ends() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let independent = std::sync::Arc::new(client.create_connection().unwrap());
    let gate = Gate::new();
    let (there, passed, stop) = (client.clone(), std::sync::Arc::clone(&independent), gate.clone());
    let user = thread::spawn(move || there.with_connection(&passed, |_| stop.pass()).unwrap());
    gate.reached_by(1);
    independent.dispose();
    assert_eq!(server.open(), ["#1"]);
    assert_eq!(refusal(client.lease_on(&independent)), Refusal::Disposed { connection: ConnectionId(1) });
    gate.open();
    user.join().unwrap();
    assert_eq!(server.all(Deed::Closed), ["#1"]);
}

#[test]
fn d5_a_client_dropped_while_a_lease_is_alive_closes_that_connection_when_the_lease_ends() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let lease = client.lease().unwrap();
    drop(client);
    assert_eq!(lease.session.to_string(), "#0");
    assert_eq!(server.open(), ["#0"]);
    assert!(!server.connector_is_gone());
    drop(lease);
    assert_eq!(server.all(Deed::Closed), ["#0"]);
    assert!(server.connector_is_gone());
}

#[test]
fn d5_a_connection_that_breaks_after_its_disposal_is_discarded_once() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let independent = client.create_connection().unwrap();
    let mut lease = client.lease_on(&independent).unwrap();
    independent.dispose();
    lease.broken = true;
    drop(lease);
    assert_eq!(server.all(Deed::Discarded), ["#1"]);
    assert_eq!(client.open_connections(), 0);
}

#[test]
fn d5_a_dial_under_way_when_the_client_is_closed_serves_its_operation_and_is_closed_then() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let gate = Gate::new();
    let stop = gate.clone();
    server.on_connect(move |_| {
        stop.pass();
        Ok(())
    });
    let there = client.clone();
    let user = thread::spawn(move || served(&there));
    gate.reached_by(1);
    assert_eq!(client.close(Instant::now()), 1);
    gate.open();
    assert_eq!(user.join().unwrap(), "#0 main");
    assert_eq!(server.all(Deed::Closed), ["#0"]);
}

#[test]
fn d5_a_dial_that_fails_or_panics_brings_no_closed_place_back_to_life() {
    for panics in [false, true] {
        let server = Server::new();
        let client = server.client(Mode::UseMain);
        let gate = Gate::new();
        let stop = gate.clone();
        server.on_connect(move |session| {
            stop.pass();
            assert!(!panics, "scripted: the dial of {session}");
            Err(Trouble("no"))
        });
        let there = client.clone();
        let user = thread::spawn(move || there.lease().map(drop).is_err());
        gate.reached_by(1);
        assert_eq!(client.clone().close(Instant::now()), 1);
        gate.open();
        assert_eq!(user.join().is_err(), panics);
        assert_eq!(refusal(client.lease()), Refusal::ClientClosed);
        assert_eq!(client.open_connections(), 0);
    }
}

#[test]
fn d6_a_connection_of_another_client_is_refused() {
    let (mine, theirs) = (Server::new(), Server::new());
    let (client, foreign) = (mine.client(Mode::UseMain), theirs.client(Mode::UseMain));
    let own = client.create_connection().unwrap();
    let other = foreign.create_connection().unwrap();
    assert_eq!(own.id(), other.id(), "the names alone do not tell them apart");
    assert_eq!(refusal(client.lease_on(&other)), Refusal::ForeignConnection { connection: ConnectionId(1) });
    assert_eq!(served_on(&client, &own), "#1 explicit");
    assert_eq!(served_on(&foreign, &other), "#1 explicit");
    assert_eq!(served_on(&client.clone(), &own), "#1 explicit", "a clone is the same client");
}

#[test]
fn d6_it_is_refused_as_foreign_also_after_its_own_client_is_gone() {
    let theirs = Server::new();
    let foreign = theirs.client(Mode::UseMain);
    let other = foreign.create_connection().unwrap();
    drop(foreign);
    assert!(theirs.connector_is_gone());
    // Were the dead client's place in memory used again, one of these would take the connection for its own.
    for _ in 0..50 {
        let client = Server::new().client(Mode::UseMain);
        assert_eq!(refusal(client.lease_on(&other)), Refusal::ForeignConnection { connection: ConnectionId(1) });
    }
}

#[test]
fn d4_forgotten_handles_keep_no_client_alive() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    std::mem::forget(client.create_connection().unwrap());
    std::mem::forget(client.create_default_connection().unwrap());
    std::mem::forget(client.thread_scope());
    drop(client);
    assert_eq!(server.open(), [""; 0]);
    assert!(server.connector_is_gone());
}

#[test]
fn d4_handles_that_outlive_their_client_do_nothing() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    let independent = client.create_connection().unwrap();
    let default = client.create_default_connection().unwrap();
    drop(client);
    let before = server.acts().len();
    independent.dispose();
    default.dispose();
    drop(independent);
    assert_eq!(server.acts().len(), before);
}
