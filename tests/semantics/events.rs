//! What an observer hears, and in which order.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use mailconn::allocator::{Event, Mode};

use super::fake::{Deed, Events, Gate, LONG, Server, Trouble, lock, on_a_thread, refusal, served, served_on};

#[test]
fn a6_every_change_in_a_connections_life_is_told_in_its_order() {
    let server = Server::new();
    let events = Events::default();
    let client = server.builder().observer(events.observer()).build();
    assert_eq!(events.take(), [""; 0], "nothing happens before the first use");

    served(&client);
    assert_eq!(events.take(), ["opening #0", "opened #0"]);
    served(&client);
    assert_eq!(events.take(), [""; 0], "a use is no event");

    let independent = client.create_connection().unwrap();
    assert_eq!(events.take(), ["created #1 independent by hand", "opening #1", "opened #1"]);
    served_on(&client, &independent);
    client.with_connection(&independent, |wire| wire.broken = true).unwrap();
    assert_eq!(events.take(), ["disposed #1 broken", "discarded #1"]);
    refusal(client.lease_on(&independent));
    assert_eq!(events.take(), ["refused D2"]);

    let default = client.create_default_connection().unwrap();
    assert_eq!(events.take(), ["created #2 default by hand", "opening #2", "opened #2"]);
    default.dispose();
    assert_eq!(events.take(), ["disposed #2 by-hand", "closed #2"]);

    client.set_mode(Mode::UseDefault);
    served(&client);
    client.dispose_default_connection();
    let expected = [
        "mode use-main-or-default -> use-default",
        "created #3 default",
        "opening #3",
        "opened #3",
        "disposed #3 by-hand",
        "closed #3",
    ];
    assert_eq!(events.take(), expected);

    client.close(Instant::now() + LONG);
    assert_eq!(events.take(), ["disposed #0 client-closed", "closed #0"]);
}

#[test]
fn c4_a_dial_that_fails_or_panics_is_told_with_all_that_it_leaves_behind_nothing() {
    for panics in [false, true] {
        let server = Server::new();
        let events = Events::default();
        let client = server.builder().observer(events.observer()).build();
        server.on_connect(move |session| {
            assert!(!panics, "scripted: the dial of {session}");
            Err(Trouble("no"))
        });
        let there = client.clone();
        let created = thread::spawn(move || there.create_connection().map(drop).is_err()).join();
        assert_eq!(created.is_err(), panics);
        let expected = ["created #1 independent by hand", "opening #1", "failed #1", "disposed #1 never-opened"];
        assert_eq!(events.take(), expected);
    }
}

#[test]
fn d3_the_end_of_a_thread_is_told() {
    let server = Server::new();
    let events = Events::default();
    let client = server.builder().mode(Mode::UseDefault).observer(events.observer()).build();
    let there = client.clone();
    on_a_thread(move || served(&there));
    let expected = ["created #1 default", "opening #1", "opened #1", "disposed #1 thread-exit", "closed #1"];
    assert_eq!(events.take(), expected);
}

#[test]
fn d4_a_close_tells_of_its_connections_in_the_order_of_their_names_main_last() {
    let server = Server::new();
    let events = Events::default();
    let client = server.builder().observer(events.observer()).build();
    served(&client);
    let independent: Vec<_> = (0..20).map(|_| client.create_connection().unwrap()).collect();
    events.take();
    client.close(Instant::now() + LONG);
    let mut expected: Vec<_> = (1..=20).map(|id| format!("disposed #{id} client-closed")).collect();
    expected.push("disposed #0 client-closed".to_owned());
    assert_eq!(events.take()[..21], expected);
    drop(independent);
}

#[test]
fn d4_a_place_that_the_close_overtakes_is_told_as_created_before_it_is_told_as_disposed() {
    let server = Server::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let gate = Gate::new();
    let (seen, stop) = (Arc::clone(&told), gate.clone());
    let observer = move |event: &Event| {
        if matches!(event, Event::Created { .. }) {
            stop.pass();
        }
        if matches!(event, Event::Created { .. } | Event::Disposed { .. }) {
            lock(&seen).push(format!("{event:?}").split(' ').next().unwrap_or_default().to_owned());
        }
    };
    let client = server.builder().observer(observer).build();
    let there = client.clone();
    let creator = thread::spawn(move || refusal(there.create_connection()));
    gate.reached_by(1);
    client.close(Instant::now());
    lock(&told).clear();
    gate.open();
    creator.join().unwrap();
    assert_eq!(*lock(&told), ["Created", "Disposed"]);
    assert_eq!(server.all(Deed::Connected), [""; 0]);
}
