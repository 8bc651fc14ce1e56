//! W1, W2 and the allocator's part of B5: who waits, for how long, and who is served next.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mailconn::allocator::{Awaited, ConnectionId, Error, Mode, Refusal};

use super::fake::{Deed, Gate, LONG, Server, Trouble, in_line, lock, refusal, served, until};

/// Long enough to be waited for, short enough for a test.
const SHORT: Duration = Duration::from_millis(60);

#[test]
fn w1_whoever_waits_is_served_first_come_first_served() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let order = Arc::new(Mutex::new(Vec::new()));
    let first = client.lease().unwrap();
    let waiters: Vec<_> = (0..8)
        .map(|arrival| {
            let (client, order) = (client.clone(), Arc::clone(&order));
            in_line(move || {
                let lease = client.lease().unwrap();
                lock(&order).push(arrival);
                lease.assignment().waited
            })
        })
        .collect();
    drop(first);
    for waiter in waiters {
        assert!(!waiter.join().unwrap().is_zero(), "how long it stood in line is part of the answer");
    }
    assert_eq!(*lock(&order), [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn w1_those_in_line_are_counted_for_a_connection_and_for_room() {
    let server = Server::new();
    let client = server.builder().max_connections(2).build();
    let independent = Arc::new(client.create_connection().unwrap());
    let (main, passed) = (client.lease().unwrap(), client.lease_on(&independent).unwrap());
    assert_eq!(client.waiting(), 0);
    let others = [(); 3].map(|()| client.clone());
    let [for_main, for_passed, for_room] = others;
    let via = Arc::clone(&independent);
    let waiters = [
        thread::spawn(move || for_main.lease().map(drop).unwrap()),
        thread::spawn(move || for_passed.lease_on(&via).map(drop).unwrap()),
        thread::spawn(move || drop(for_room.create_connection().unwrap())),
    ];
    until(|| client.waiting() == 3);
    drop(main);
    until(|| client.waiting() == 2);
    drop(passed);
    until(|| client.waiting() == 1);
    drop(independent);
    for waiter in waiters {
        waiter.join().unwrap();
    }
    assert_eq!(client.waiting(), 0);
}

#[test]
fn w1_a_newcomer_cannot_overtake_those_in_line() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    for _ in 0..20 {
        let order = Arc::new(Mutex::new(Vec::new()));
        let lease = client.lease().unwrap();
        let (there, seen) = (client.clone(), Arc::clone(&order));
        let waiter = in_line(move || there.with(|_| lock(&seen).push("waiter")).unwrap());
        // This thread is wide awake, the waiter asleep: whoever gave a free connection to the fastest would give it here.
        drop(lease);
        client.with(|_| lock(&order).push("newcomer")).unwrap();
        waiter.join().unwrap();
        assert_eq!(*lock(&order), ["waiter", "newcomer"]);
    }
}

#[test]
fn w1_a_waiter_whose_deadline_comes_leaves_the_line_and_swallows_no_hand_over() {
    let server = Server::new();
    let client = server.builder().mode(Mode::UseMain).lease_timeout(SHORT).build();
    let lease = client.lease().unwrap();
    for _ in 0..3 {
        let other = client.clone();
        let gave_up = thread::spawn(move || other.lease().map(drop)).join().unwrap().unwrap_err();
        let Error::WaitTimeout { awaited: Awaited::Connection(ConnectionId::MAIN), waited } = gave_up else {
            panic!("failed otherwise: {gave_up}")
        };
        assert!(waited >= SHORT);
    }
    drop(lease);
    // Were one of the three still in line, the connection would now be in nobody's hands.
    let lease = client.lease().unwrap();
    assert!(lease.assignment().waited.is_zero());
}

#[test]
fn w1_those_behind_a_waiter_that_gave_up_move_up() {
    const PATIENCE: Duration = Duration::from_secs(1);
    let server = Server::new();
    let client = server.builder().mode(Mode::UseMain).lease_timeout(PATIENCE).build();
    let lease = client.lease().unwrap();
    let [first, second] = [client.clone(), client.clone()];
    let first = in_line(move || first.lease().map(drop));
    thread::sleep(PATIENCE / 2);
    let second = in_line(move || second.lease().map(drop));
    assert!(matches!(first.join().unwrap(), Err(Error::WaitTimeout { .. })));
    drop(lease);
    second.join().unwrap().unwrap();
}

#[test]
fn w1_two_lines_count_against_one_deadline() {
    let server = Server::new();
    let client = server.builder().mode(Mode::UseMain).lease_timeout(SHORT).max_connections(1).build();
    let _independent = client.create_connection().unwrap();
    let began = Instant::now();
    let error = client.lease().unwrap_err();
    assert!(matches!(error, Error::WaitTimeout { awaited: Awaited::Capacity { max_connections: 1 }, .. }), "{error}");
    assert!(began.elapsed() >= SHORT);
}

#[test]
fn w1_the_waiters_of_a_dial_that_fails_each_dial_in_turn() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let gate = Gate::new();
    let stop = gate.clone();
    server.on_connect(move |session| {
        if session.number == 1 {
            stop.pass();
            return Err(Trouble("refused once"));
        }
        Ok(())
    });
    let other = client.clone();
    let dialler = thread::spawn(move || other.lease().map(drop).unwrap_err());
    gate.reached_by(1);
    let other = client.clone();
    let waiter = in_line(move || served(&other));
    gate.open();
    assert!(matches!(dialler.join().unwrap(), Error::Connect { error: Trouble("refused once"), .. }));
    assert_eq!(waiter.join().unwrap(), "#0.2 main");
}

#[test]
fn w1_the_waiters_of_a_dial_that_panics_are_served() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let gate = Gate::new();
    let stop = gate.clone();
    server.on_connect(move |session| {
        if session.number == 1 {
            stop.pass();
            panic!("scripted: the dial of {session}");
        }
        Ok(())
    });
    let other = client.clone();
    let dialler = thread::spawn(move || drop(other.lease()));
    gate.reached_by(1);
    let other = client.clone();
    let waiter = in_line(move || served(&other));
    gate.open();
    assert!(dialler.join().is_err());
    assert_eq!(waiter.join().unwrap(), "#0.2 main");
    assert_eq!(client.open_connections(), 1);
}

#[test]
fn w2_at_the_cap_a_dial_waits_then_fails_as_wait_timeout_and_the_server_never_hears_of_it() {
    let server = Server::new();
    let client = server.builder().mode(Mode::UseMain).lease_timeout(SHORT).max_connections(2).build();
    let _one = client.create_connection().unwrap();
    let _two = client.create_connection().unwrap();
    let errors = [client.lease().map(drop).unwrap_err(), client.create_connection().map(drop).unwrap_err()];
    for error in errors {
        let Error::WaitTimeout { awaited: Awaited::Capacity { max_connections: 2 }, waited } = error else {
            panic!("failed otherwise: {error}")
        };
        assert!(waited >= SHORT);
    }
    assert_eq!(server.all(Deed::Connected), ["#1", "#2"]);
    assert_eq!(client.open_connections(), 2);
}

#[test]
fn w2_a_connection_being_dialled_counts_under_the_cap() {
    let server = Server::new();
    let client = server.builder().lease_timeout(SHORT).max_connections(1).build();
    let gate = Gate::new();
    let stop = gate.clone();
    server.on_connect(move |_| {
        stop.pass();
        Ok(())
    });
    let other = client.clone();
    let dialler = thread::spawn(move || served(&other));
    gate.reached_by(1);
    assert_eq!(client.open_connections(), 1);
    assert!(matches!(client.create_connection().unwrap_err(), Error::WaitTimeout { .. }));
    gate.open();
    assert_eq!(dialler.join().unwrap(), "#0 main");
}

#[test]
fn w2_a_connection_being_closed_counts_under_the_cap() {
    let server = Server::new();
    let client = server.builder().max_connections(1).build();
    let gate = Gate::new();
    let stop = gate.clone();
    server.on_close(move |_, _| stop.pass());
    let independent = client.create_connection().unwrap();
    let closer = thread::spawn(move || drop(independent));
    gate.reached_by(1);
    assert_eq!(client.open_connections(), 1);
    let other = client.clone();
    let waiter = in_line(move || served(&other));
    assert_eq!(server.all(Deed::Connected), ["#1"]);
    gate.open();
    closer.join().unwrap();
    assert_eq!(waiter.join().unwrap(), "#0 main");
    assert!(server.act(Deed::Closed, "#1").at <= server.act(Deed::Connected, "#0").at);
}

#[test]
fn w2_room_that_comes_free_goes_to_the_first_in_line() {
    let server = Server::new();
    let client = server.builder().mode(Mode::UseDefault).max_connections(1).build();
    let independent = client.create_connection().unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let waiters: Vec<_> = (0..5)
        .map(|arrival| {
            let (client, order) = (client.clone(), Arc::clone(&order));
            // Each thread ends after its use, and its default with it: that makes room for the next.
            in_line(move || client.with(|_| lock(&order).push(arrival)).unwrap())
        })
        .collect();
    drop(independent);
    for waiter in waiters {
        waiter.join().unwrap();
    }
    assert_eq!(*lock(&order), [0, 1, 2, 3, 4]);
    assert_eq!(client.open_connections(), 0);
}

#[test]
fn w2_a_failed_or_panicking_dial_gives_its_room_back() {
    let server = Server::new();
    let client = server.builder().lease_timeout(SHORT).max_connections(1).build();
    server.on_connect(|session| match session.connection.0 {
        0 => Err(Trouble("no")),
        1 => panic!("scripted: the dial of {session}"),
        _ => Ok(()),
    });
    assert!(matches!(client.lease().unwrap_err(), Error::Connect { .. }));
    let other = client.clone();
    assert!(thread::spawn(move || drop(other.create_connection())).join().is_err());
    assert_eq!(client.open_connections(), 0);
    let _third = client.create_connection().unwrap();
}

#[test]
fn w2_the_peak_never_exceeds_the_cap() {
    const CAP: usize = 3;
    let server = Server::new();
    let client = server.builder().mode(Mode::UseDefault).max_connections(CAP).build();
    let threads = (0..24).map(|_| {
        let client = client.clone();
        thread::spawn(move || client.with(|_| thread::yield_now()).unwrap())
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
    let (mut open, mut peak) = (0, 0);
    for act in server.acts() {
        if act.deed == Deed::Connected {
            open += 1
        } else {
            open -= 1
        }
        peak = peak.max(open);
    }
    assert_eq!(open, 0);
    assert!(peak <= CAP, "{peak} were open at once");
    assert_eq!(server.all(Deed::Connected).len(), 24);
}

#[test]
fn b5_waiters_are_sent_away_when_the_client_is_closed() {
    let server = Server::new();
    let client = server.builder().mode(Mode::UseMain).max_connections(1).build();
    let lease = client.lease().unwrap();
    let (for_main, for_room) = (client.clone(), client.clone());
    let for_main = in_line(move || refusal(for_main.lease()));
    let for_room = in_line(move || refusal(for_room.create_connection()));
    assert_eq!(client.close(Instant::now()), 1, "this thread's own operation goes on");
    assert_eq!(for_main.join().unwrap(), Refusal::ClientClosed);
    assert_eq!(for_room.join().unwrap(), Refusal::ClientClosed);
    drop(lease);
    assert_eq!(server.open(), [""; 0]);
}

#[test]
fn b5_limits_beyond_the_clock_mean_no_limit() {
    let server = Server::new();
    let client = server.builder().lease_timeout(Duration::MAX).close_timeout(Duration::MAX).build();
    let lease = client.lease().unwrap();
    let other = client.clone();
    let waiter = in_line(move || served(&other));
    drop(lease);
    assert_eq!(waiter.join().unwrap(), "#0 main");
    drop(client.create_connection().unwrap());
    drop(client);
    assert_eq!(server.all(Deed::Closed), ["#1", "#0"]);
}

#[test]
fn b5_no_patience_means_no_wait() {
    let server = Server::new();
    let client = server.builder().lease_timeout(Duration::ZERO).build();
    let lease = client.lease().unwrap();
    let other = client.clone();
    let began = Instant::now();
    let error = thread::spawn(move || other.lease().map(drop)).join().unwrap().unwrap_err();
    assert!(matches!(error, Error::WaitTimeout { .. }), "{error}");
    assert!(began.elapsed() < LONG);
    drop(lease);
}
