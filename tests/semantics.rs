//! The rules of connection assignment, one by one: each test is a sentence that begins with its rule's number.

mod events;
pub mod fake;
mod life;
mod pools;
mod sign_in;
mod table;
mod trouble;
mod waiting;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

use mailconn::allocator::{
    Connection, ConnectionId, DefaultConnection, Error, Kind, Lease, Mode, Reason, Refusal, SessionId,
};

use fake::{Client, Deed, Fake, LONG, Server, Trouble, on_a_thread, refusal, served, served_on};

#[test]
fn k1_main_is_one_connection_for_every_thread_and_every_clone() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    assert_eq!(served(&client), "#0 main");
    for _ in 0..3 {
        let clone = client.clone();
        assert_eq!(on_a_thread(move || served(&clone)), "#0 main");
    }
    assert_eq!(server.open(), ["#0"]);
}

#[test]
fn k1_main_stays_when_every_thread_and_every_other_connection_goes() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    assert_eq!(served(&client), "#0 main");
    drop(client.create_default_connection().unwrap());
    drop(client.create_connection().unwrap());
    assert_eq!(client.dispose_default_connection(), None);
    assert_eq!(server.open(), ["#0"]);
    assert_eq!(served(&client), "#0 main");
}

#[test]
fn k2_a_default_belongs_to_one_thread_and_there_is_one_per_thread() {
    let server = Server::new();
    let client = server.client(Mode::UseDefault);
    assert_eq!(served(&client), "#1 default-created");
    let other = client.clone();
    on_a_thread(move || {
        assert_eq!(served(&other), "#2 default-created");
        assert_eq!(served(&other), "#2 default");
    });
    assert_eq!(served(&client), "#1 default");
}

#[test]
fn k3_an_independent_connection_is_used_only_when_passed_and_by_any_thread() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let independent = Arc::new(client.create_connection().unwrap());
    assert_eq!(served(&client), "#0 main");
    assert_eq!(served_on(&client, &independent), "#1 explicit");
    let (there, passed) = (client.clone(), Arc::clone(&independent));
    on_a_thread(move || {
        assert_eq!(served(&there), "#0 main");
        assert_eq!(served_on(&there, &passed), "#1 explicit");
    });
    client.set_mode(Mode::UseDefault);
    assert_eq!(served(&client), "#2 default-created");
    assert_eq!(client.lease_on(&independent).unwrap().assignment().kind, Kind::Independent);
}

#[test]
fn a1_use_main_uses_main_whether_or_not_this_thread_has_a_default_unless_one_is_passed() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    let independent = client.create_connection().unwrap();
    client.set_mode(Mode::UseMain);
    assert_eq!(served(&client), "#0 main");
    client.set_mode(Mode::UseMainOrDefault);
    let _default = client.create_default_connection().unwrap();
    client.set_mode(Mode::UseMain);
    assert_eq!(served(&client), "#0 main");
    assert_eq!(served_on(&client, &independent), "#1 explicit");
}

#[test]
fn a2_use_default_creates_a_default_for_this_thread_first_then_uses_it() {
    let server = Server::new();
    let client = server.client(Mode::UseDefault);
    assert_eq!(served(&client), "#1 default-created");
    assert_eq!(served(&client), "#1 default");
    let independent = client.create_connection().unwrap();
    assert_eq!(served_on(&client, &independent), "#2 explicit");
    assert_eq!(server.all(Deed::Connected), ["#1", "#2"]);
}

#[test]
fn a3_use_main_or_default_uses_the_default_of_a_thread_that_has_one_and_main_for_the_others() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    assert_eq!(served(&client), "#0 main");
    let default = client.create_default_connection().unwrap();
    assert_eq!(served(&client), "#1 default");
    let other = client.clone();
    assert_eq!(on_a_thread(move || served(&other)), "#0 main");
    let independent = client.create_connection().unwrap();
    assert_eq!(served_on(&client, &independent), "#2 explicit");
    assert_eq!(default.id(), ConnectionId(1));
}

#[test]
fn a4_use_default_never_opens_main_and_an_explicit_operation_creates_no_default() {
    let server = Server::new();
    let client = server.client(Mode::UseDefault);
    let independent = client.create_connection().unwrap();
    assert_eq!(served_on(&client, &independent), "#1 explicit");
    assert!(!client.lease_on(&independent).unwrap().assignment().had_default);
    assert_eq!(server.all(Deed::Connected), ["#1"]);
    for _ in 0..3 {
        let client = client.clone();
        on_a_thread(move || client.with(|wire| assert_ne!(wire.session.connection, ConnectionId::MAIN)).unwrap());
    }
    assert_eq!(server.all(Deed::Connected), ["#1", "#2", "#3", "#4"]);
}

/// Compiles only while the type is not `Send`: otherwise both implementations fit, and the compiler cannot choose.
macro_rules! assert_stays_on_its_thread {
    ($type:ty) => {{
        trait Fits<A> {
            fn once() {}
        }
        struct Sendable;
        impl<T: ?Sized> Fits<()> for T {}
        impl<T: ?Sized + Send> Fits<Sendable> for T {}
        <$type as Fits<_>>::once();
    }};
}

#[test]
fn a5_main_and_another_threads_default_have_no_handle_that_could_be_passed() {
    // An explicit operation takes the handle of an independent connection and nothing else…
    type Explicit = fn(&Client, &Connection<Fake>) -> Result<Lease<Fake>, Error<Trouble>>;
    let _: Explicit = Client::lease_on;
    // …and a default's handle does not leave its thread.
    assert_stays_on_its_thread!(DefaultConnection<Fake>);
}

#[test]
fn a6_the_answer_says_its_reason_and_all_that_the_rule_looked_at() {
    let server = Server::new();
    let client = server.client(Mode::UseDefault);
    let created = *client.lease().unwrap().assignment();
    assert_eq!(created.mode, Mode::UseDefault);
    assert_eq!((created.had_default, created.passed), (false, None));
    assert_eq!((created.reason, created.kind), (Reason::DefaultCreated, Kind::Default));
    assert_eq!(created.session, SessionId { connection: ConnectionId(1), number: 1 });
    assert!(created.opened);
    assert!(created.waited.is_zero());

    client.set_mode(Mode::UseMainOrDefault);
    let default = *client.lease().unwrap().assignment();
    assert_eq!((default.mode, default.had_default, default.passed), (Mode::UseMainOrDefault, true, None));
    assert_eq!((default.reason, default.kind, default.opened), (Reason::Default, Kind::Default, false));

    let independent = client.create_connection().unwrap();
    let explicit = *client.lease_on(&independent).unwrap().assignment();
    assert_eq!((explicit.had_default, explicit.passed), (true, Some(ConnectionId(2))));
    assert_eq!((explicit.reason, explicit.kind, explicit.opened), (Reason::Explicit, Kind::Independent, false));

    client.set_mode(Mode::UseMain);
    let main = *client.lease().unwrap().assignment();
    assert_eq!((main.mode, main.had_default, main.reason), (Mode::UseMain, true, Reason::Main));
    assert_eq!((main.kind, main.opened), (Kind::Main, true));

    let names = [Reason::Explicit, Reason::Main, Reason::Default, Reason::DefaultCreated].map(Reason::name);
    assert_eq!(names, ["explicit", "main", "default", "default-created"]);
}

#[test]
fn a7_a_unit_has_its_connection_to_itself_from_its_first_command_to_its_last_reply() {
    const THREADS: u64 = 8;
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let start = Arc::new(Barrier::new(8));
    let threads = (0..THREADS).map(|mailbox| {
        let (client, start) = (client.clone(), Arc::clone(&start));
        thread::spawn(move || {
            start.wait();
            for unit in 0..200 {
                let selected = mailbox * 1000 + unit;
                let read = client.with(|wire| {
                    wire.selected = selected;
                    thread::yield_now();
                    wire.selected
                });
                assert_eq!(read.unwrap(), selected, "the reply came from another unit's mailbox");
            }
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
    assert_eq!(server.all(Deed::Connected), ["#0"]);
}

#[test]
fn c1_independent_connections_are_created_in_every_mode_any_number_of_them() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let mut all = Vec::new();
    for mode in Mode::ALL {
        client.set_mode(mode);
        all.extend((0..3).map(|_| client.create_connection().unwrap()));
    }
    assert_eq!(server.open(), ["#1", "#2", "#3", "#4", "#5", "#6", "#7", "#8", "#9"]);
}

#[test]
fn c2_use_main_and_use_default_refuse_to_create_a_default_by_hand_even_when_the_thread_has_none() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    assert_eq!(refusal(client.create_default_connection()), Refusal::DefaultUnderUseMain);
    client.set_mode(Mode::UseDefault);
    assert_eq!(refusal(client.create_default_connection()), Refusal::DefaultUnderUseDefault);
    assert!(server.acts().is_empty(), "no server may hear of it");
    assert_eq!(served(&client), "#1 default-created");
    assert_eq!(refusal(client.create_default_connection()), Refusal::DefaultUnderUseDefault);
    client.set_mode(Mode::UseMain);
    assert_eq!(refusal(client.create_default_connection()), Refusal::DefaultUnderUseMain);
}

#[test]
fn c3_a_second_default_for_the_same_thread_is_refused_and_the_first_goes_on_working() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    let first = client.create_default_connection().unwrap();
    let refused = refusal(client.create_default_connection());
    assert_eq!(refused, Refusal::DefaultExists { existing: first.id() });
    assert_eq!(served(&client), "#1 default");
    assert_eq!(server.open(), ["#1"]);
}

#[test]
fn c4_a_connection_created_by_hand_is_open_when_the_call_returns() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    let _default = client.create_default_connection().unwrap();
    assert_eq!(server.open(), ["#1"]);
    let independent = client.create_connection().unwrap();
    assert_eq!(server.open(), ["#1", "#2"]);
    assert!(!client.lease_on(&independent).unwrap().assignment().opened);
}

#[test]
fn c4_main_and_the_implicit_default_open_at_their_first_use() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    assert!(server.acts().is_empty());
    assert!(client.lease().unwrap().assignment().opened);
    client.set_mode(Mode::UseDefault);
    assert_eq!(server.open(), ["#0"]);
    assert!(client.lease().unwrap().assignment().opened);
    assert_eq!(server.open(), ["#0", "#1"]);
}

#[test]
fn c4_a_creation_that_fails_leaves_nothing_behind() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    let healthy = Arc::new(AtomicUsize::new(0));
    let switch = Arc::clone(&healthy);
    server.on_connect(move |_| match switch.load(Ordering::SeqCst) {
        0 => Err(Trouble("no route to host")),
        _ => Ok(()),
    });
    for _ in 0..2 {
        let error = client.create_default_connection().unwrap_err();
        assert!(matches!(error, Error::Connect { error: Trouble("no route to host"), .. }), "{error}");
        let error = client.create_connection().unwrap_err();
        assert!(matches!(error, Error::Connect { .. }), "{error}");
    }
    assert_eq!(client.open_connections(), 0);
    assert_eq!(client.dispose_default_connection(), None);
    healthy.store(1, Ordering::SeqCst);
    assert_eq!(served(&client), "#0 main", "as if the thread had never asked");
    let default = client.create_default_connection().unwrap();
    assert_eq!(served(&client), format!("{} default", default.id()));
}

#[test]
fn c4_an_implicit_default_that_cannot_be_opened_leaves_nothing_behind() {
    let server = Server::new();
    let client = server.client(Mode::UseDefault);
    server.on_connect(|_| Err(Trouble("no")));
    assert!(matches!(client.lease().unwrap_err(), Error::Connect { .. }));
    client.set_mode(Mode::UseMainOrDefault);
    server.on_connect(|_| Ok(()));
    assert_eq!(served(&client), "#0 main", "the thread has no default");
    client.set_mode(Mode::UseDefault);
    assert_eq!(served(&client), "#2 default-created");
}

#[test]
fn c4_a_creation_that_panics_leaves_nothing_behind_either() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    server.on_connect(|session| panic!("scripted: no dial of {session}"));
    let attempts: [fn(&Client); 3] = [
        |client| drop(client.create_default_connection()),
        |client| drop(client.create_connection()),
        |client| drop(client.lease()),
    ];
    for attempt in attempts {
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| attempt(&client)));
        assert!(panicked.is_err(), "a panicking dial reaches whoever asked");
    }
    assert_eq!(client.open_connections(), 0);
    server.on_connect(|_| Ok(()));
    assert_eq!(served(&client), "#0.2 main");
    let default = client.create_default_connection().unwrap();
    assert_eq!(served(&client), format!("{} default", default.id()));
}

#[test]
fn c4_a_creation_that_the_clients_close_overtakes_is_refused_and_closed() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    let gate = fake::Gate::new();
    let stop = gate.clone();
    server.on_connect(move |_| {
        stop.pass();
        Ok(())
    });
    let creator = thread::spawn({
        let client = client.clone();
        move || refusal(client.create_connection())
    });
    gate.reached_by(1);
    assert_eq!(client.close(Instant::now()), 1, "it is still being dialled");
    gate.open();
    assert_eq!(creator.join().unwrap(), Refusal::ClientClosed);
    assert_eq!(server.all(Deed::Closed), ["#1"]);
}

#[test]
fn c5_two_clients_on_one_thread_each_have_their_own_default() {
    let (here, there) = (Server::new(), Server::new());
    let (first, second) = (here.client(Mode::UseMainOrDefault), there.client(Mode::UseMainOrDefault));
    let default = first.create_default_connection().unwrap();
    assert_eq!(served(&first), "#1 default");
    assert_eq!(served(&second), "#0 main");
    second.create_default_connection().unwrap().leave();
    assert_eq!(served(&second), "#1 default");
    default.dispose();
    assert_eq!(served(&first), "#0 main");
    assert_eq!(served(&second), "#1 default");
    assert_eq!(there.open(), ["#0", "#1"]);
}

#[test]
fn c5_many_clients_that_come_and_go_on_one_thread_never_find_each_others_default() {
    let survivor_server = Server::new();
    let survivor = survivor_server.client(Mode::UseDefault);
    assert_eq!(served(&survivor), "#1 default-created");
    for _ in 0..200 {
        let server = Server::new();
        let client = server.client(Mode::UseDefault);
        assert_eq!(served(&client), "#1 default-created", "a new client may stand where a dead one stood");
        drop(client);
        assert_eq!(server.all(Deed::Closed), ["#1"]);
        assert!(server.connector_is_gone());
    }
    assert_eq!(served(&survivor), "#1 default");
}

#[test]
fn m1_the_mode_is_set_from_any_thread_and_decides_the_next_operation_never_one_under_way() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let lease = client.lease().unwrap();
    let other = client.clone();
    on_a_thread(move || other.set_mode(Mode::UseDefault));
    assert_eq!(client.mode(), Mode::UseDefault);
    assert_eq!(lease.assignment().mode, Mode::UseMain);
    assert_eq!(lease.session.to_string(), "#0");
    assert_eq!(served(&client), "#1 default-created");
    drop(lease);
    assert_eq!(client.lease().unwrap().assignment().mode, Mode::UseDefault);
}

#[test]
fn m1_an_operation_that_stands_in_line_when_the_mode_changes_is_under_way() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let lease = client.lease().unwrap();
    let other = client.clone();
    let waiter = fake::in_line(move || served(&other));
    client.set_mode(Mode::UseDefault);
    drop(lease);
    assert_eq!(waiter.join().unwrap(), "#0 main");
}

#[test]
fn m1_an_operation_that_was_decided_before_the_mode_was_set_is_leased_by_what_was_decided() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let decided = client.decide(false).unwrap();
    client.set_mode(Mode::UseDefault);
    let lease = client.lease_under(decided.mode).unwrap();
    assert_eq!((lease.assignment().mode, lease.assignment().reason), (decided.mode, decided.reason));
    assert_eq!(lease.session.to_string(), "#0");
    drop(lease);
    assert_eq!(served(&client), "#1 default-created", "the next one has the new mode");
}

#[test]
fn m2_switching_to_use_main_keeps_defaults_open_but_unused_and_switching_back_uses_them_again() {
    let server = Server::new();
    let client = server.client(Mode::UseDefault);
    assert_eq!(served(&client), "#1 default-created");
    client.set_mode(Mode::UseMain);
    assert_eq!(served(&client), "#0 main");
    assert_eq!(server.open(), ["#0", "#1"]);
    client.set_mode(Mode::UseMainOrDefault);
    assert_eq!(served(&client), "#1 default", "created implicitly, it serves use-main-or-default");
    client.dispose_default_connection();
    let _by_hand = client.create_default_connection().unwrap();
    client.set_mode(Mode::UseDefault);
    assert_eq!(served(&client), "#2 default", "created by hand, it serves use-default");
    assert_eq!(server.all(Deed::Connected), ["#1", "#0", "#2"]);
}

#[test]
fn w3_a_lease_stays_on_its_thread() {
    assert_stays_on_its_thread!(Lease<Fake>);
}

#[test]
fn w3_a_thread_that_asks_for_a_connection_it_already_holds_is_refused_at_once() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    let began = Instant::now();
    let main = client.lease().unwrap();
    assert_eq!(refusal(client.lease()), Refusal::AlreadyLeased { connection: ConnectionId::MAIN });
    drop(main);

    let independent = client.create_connection().unwrap();
    let lease = client.lease_on(&independent).unwrap();
    assert_eq!(refusal(client.lease_on(&independent)), Refusal::AlreadyLeased { connection: ConnectionId(1) });
    drop(lease);
    assert_eq!(served_on(&client, &independent), "#1 explicit");

    client.set_mode(Mode::UseDefault);
    let default = client.lease().unwrap();
    assert_eq!(refusal(client.lease()), Refusal::AlreadyLeased { connection: ConnectionId(2) });
    assert_eq!(served_on(&client, &independent), "#1 explicit", "another connection may be held beside it");
    drop(default);
    assert_eq!(served(&client), "#2 default");
    assert!(began.elapsed() < LONG);
}

#[test]
fn w3_a_thread_that_was_handed_a_connection_in_line_holds_it_too() {
    let server = Server::new();
    let client = server.client(Mode::UseMain);
    let lease = client.lease().unwrap();
    let other = client.clone();
    let waiter = fake::in_line(move || {
        let _lease = other.lease().unwrap();
        refusal(other.lease())
    });
    drop(lease);
    assert_eq!(waiter.join().unwrap(), Refusal::AlreadyLeased { connection: ConnectionId::MAIN });
}

#[test]
fn w3_a_client_and_its_independent_connections_may_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Client>();
    shared::<Connection<Fake>>();
}

#[test]
fn a6_every_refusal_names_its_rule_and_its_cure() {
    let connection = ConnectionId(3);
    let texts = [
        (Refusal::DefaultUnderUseMain, "C2", "create an independent connection and pass it"),
        (Refusal::DefaultUnderUseDefault, "C2", "leave the creation out"),
        (Refusal::DefaultExists { existing: connection }, "C3", "#3; use it, or dispose it first"),
        (Refusal::AlreadyLeased { connection }, "W3", "#3; end that operation first"),
        (Refusal::Disposed { connection }, "D2", "#3 is no more"),
        (Refusal::ClientClosed, "D4", "build a new one"),
        (Refusal::ForeignConnection { connection }, "D6", "pass a connection that this client created"),
        (Refusal::ThreadEnding, "D3", "use the client before"),
    ];
    for (refusal, rule, cure) in texts {
        assert_eq!(refusal.rule(), rule);
        let text = refusal.to_string();
        assert!(text.starts_with(&format!("refused ({rule}): ")), "{text}");
        assert!(text.contains(cure), "{text}");
    }
}
