//! D3 and H1: threads that end, and threads that outlive their tasks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mailconn::allocator::{Error, Event, Mode, Refusal};

use super::fake::{Client, Deed, Gate, LONG, Server, on_a_thread, served, served_on};

#[test]
fn d3_a_thread_that_ends_disposes_its_default_however_it_was_created() {
    type Way = fn(&Client);
    let ways: [(Mode, Way); 5] = [
        (Mode::UseDefault, |client| assert_eq!(served(client), "#1 default-created")),
        (Mode::UseMainOrDefault, |client| client.create_default_connection().unwrap().leave()),
        (Mode::UseMainOrDefault, |client| std::mem::forget(client.create_default_connection().unwrap())),
        (Mode::UseMainOrDefault, |client| drop(client.create_default_connection().unwrap())),
        (Mode::UseMainOrDefault, |client| {
            client.create_default_connection().unwrap().leave();
            client.set_mode(Mode::UseMain);
        }),
    ];
    for (mode, create) in ways {
        let server = Server::new();
        let client = server.client(mode);
        let there = client.clone();
        let thread = on_a_thread(move || {
            create(&there);
            thread::current().id()
        });
        assert_eq!(server.all(Deed::Closed), ["#1"], "closed when the thread has ended");
        assert_eq!(server.act(Deed::Closed, "#1").thread, thread);
        assert_eq!(client.open_connections(), 0);
    }
}

#[test]
fn d3_a_thread_that_ends_by_a_panic_disposes_its_default_too() {
    let server = Server::new();
    let client = server.client(Mode::UseDefault);
    let there = client.clone();
    let ended = thread::spawn(move || {
        assert_eq!(served(&there), "#1 default-created");
        panic!("scripted: the thread's end");
    });
    assert!(ended.join().is_err());
    assert_eq!(server.all(Deed::Closed), ["#1"]);
}

#[test]
fn d3_a_thread_that_never_had_a_default_closes_nothing() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    let there = client.clone();
    let independent = on_a_thread(move || {
        assert_eq!(served(&there), "#0 main");
        there.create_connection().unwrap()
    });
    assert_eq!(served_on(&client, &independent), "#1 explicit", "an independent connection belongs to no thread");
    assert_eq!(server.open(), ["#0", "#1"]);
}

#[test]
fn d3_forty_threads_that_come_and_go_leave_nothing_open() {
    let server = Server::new();
    let client = server.client(Mode::UseDefault);
    let gate = Gate::new();
    let threads: Vec<_> = (0..40)
        .map(|_| {
            let (client, gate) = (client.clone(), gate.clone());
            thread::spawn(move || {
                client.with(|_| ()).unwrap();
                gate.pass();
            })
        })
        .collect();
    gate.reached_by(40);
    assert_eq!(server.open().len(), 40);
    gate.open();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(server.open(), [""; 0]);
    assert_eq!(server.all(Deed::Closed).len(), 40);
    assert_eq!(client.open_connections(), 0);
}

/// Runs `work` on a thread, and says how much time its end was allowed: from the end of `work` to the close's deadline.
fn allowed_at_the_end(server: &Server, sessions: &[&str], work: impl FnOnce() + Send + 'static) -> Vec<Duration> {
    let ending = on_a_thread(move || {
        work();
        Instant::now()
    });
    let deadline = |session: &&str| server.act(Deed::Closed, session).deadline.unwrap();
    sessions.iter().map(|session| deadline(session) - ending).collect()
}

#[test]
fn d3_a_close_that_hangs_until_its_deadline_holds_the_thread_up_for_less_than_a_second() {
    let server = Server::new();
    server.on_close(|_, deadline| thread::sleep(deadline.saturating_duration_since(Instant::now())));
    let client = server.client(Mode::UseDefault);
    let there = client.clone();
    let allowed = allowed_at_the_end(&server, &["#1"], move || there.with(|_| ()).unwrap());
    assert!(allowed[0] < Duration::from_secs(1), "{allowed:?}");
}

#[test]
fn d3_a_thread_with_a_default_at_many_clients_signs_each_of_them_out_within_the_second() {
    let servers: Vec<_> = (0..6).map(|_| Server::new()).collect();
    let clients: Vec<_> = servers.iter().map(|server| server.client(Mode::UseDefault)).collect();
    // The first and the last do not answer: neither may take the others' time.
    for stalled in [0, 5] {
        servers[stalled].on_close(|_, deadline| thread::sleep(deadline.saturating_duration_since(Instant::now())));
    }
    let there = clients.clone();
    let ending = on_a_thread(move || {
        for client in &there {
            assert_eq!(served(client), "#1 default-created");
        }
        Instant::now()
    });
    for (client, server) in clients.iter().zip(&servers) {
        let closed = server.act(Deed::Closed, "#1");
        assert!(closed.deadline.unwrap() - ending < Duration::from_secs(1));
        assert_eq!(client.open_connections(), 0);
    }
    for answering in &servers[1..5] {
        let closed = answering.act(Deed::Closed, "#1");
        assert!(closed.at < closed.deadline.unwrap(), "a server that answers had time to say goodbye");
    }
}

#[test]
fn d3_a_close_that_panics_while_its_thread_ends_aborts_nothing() {
    let server = Server::new();
    let healthy = Server::new();
    server.on_close(|session, _| panic!("scripted: the close of {session}"));
    let (client, other) = (server.client(Mode::UseDefault), healthy.client(Mode::UseDefault));
    let there = [client.clone(), other.clone(), client.clone()];
    on_a_thread(move || there.iter().for_each(|client| client.with(|_| ()).unwrap()));
    assert_eq!(server.open(), [""; 0]);
    assert_eq!(client.open_connections(), 0, "its room was given back");
    assert_eq!(healthy.all(Deed::Closed), ["#1"]);
}

#[test]
fn d3_an_observer_that_panics_while_its_thread_ends_aborts_nothing() {
    let server = Server::new();
    let observer = |event: &Event| {
        let end = matches!(event, Event::Disposed { .. } | Event::Closed { .. });
        assert!(!end, "scripted: the observer of {event:?}");
    };
    let client = server.builder().mode(Mode::UseDefault).observer(observer).build();
    let there = client.clone();
    on_a_thread(move || there.with(|_| ()).unwrap());
    assert_eq!(server.all(Deed::Closed), ["#1"]);
    assert_eq!(client.open_connections(), 0);
}

#[test]
fn d3_a_client_used_while_its_thread_ends_refuses_to_create_a_default_that_nobody_would_dispose() {
    struct AtTheEnd(Client, Sender<Option<Refusal>>);
    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            let refused = match self.0.lease() {
                Err(Error::Refused(refusal)) => Some(refusal),
                _ => None,
            };
            // A panic here would abort.
            let _ = self.1.send(refused);
        }
    }
    thread_local!(static LAST: std::cell::OnceCell<AtTheEnd> = const { std::cell::OnceCell::new() });
    let server = Server::new();
    let client = server.client(Mode::UseDefault);
    let (tell, told) = channel();
    let there = client.clone();
    on_a_thread(move || {
        // Registered first, so that it is dropped last or first, as the platform likes: both must do.
        LAST.with(|last| last.set(AtTheEnd(there.clone(), tell)).is_ok());
        there.with(|_| ()).unwrap();
    });
    // Either the thread's default was gone already, and the use was refused; or it was served by that default.
    let refused = told.recv_timeout(LONG).expect("it was used while its thread ended");
    assert!(refused.is_none_or(|refusal| refusal == Refusal::ThreadEnding), "{refused:?}");
    server.wait_until_open(&[]);
}

#[test]
fn d3_a_thread_that_ends_after_its_client_was_closed_does_nothing() {
    let server = Server::new();
    let client = server.client(Mode::UseDefault);
    let gate = Gate::new();
    let (there, stop) = (client.clone(), gate.clone());
    let thread = thread::spawn(move || {
        there.with(|_| ()).unwrap();
        drop(there);
        stop.pass();
    });
    gate.reached_by(1);
    drop(client);
    assert_eq!(server.all(Deed::Closed), ["#1"]);
    assert!(server.connector_is_gone(), "a thread's memory keeps no client alive");
    gate.open();
    thread.join().unwrap();
    assert_eq!(server.all(Deed::Closed), ["#1"]);
}

/// A pool of one thread, which outlives its tasks.
struct Pool {
    tasks: Sender<Box<dyn FnOnce() + Send>>,
    thread: JoinHandle<()>,
}

impl Pool {
    fn new() -> Self {
        let (tasks, inbox) = channel::<Box<dyn FnOnce() + Send>>();
        let thread = thread::spawn(move || {
            for task in inbox {
                // As pools do: a task that panics does not take the thread with it.
                let _ = catch_unwind(AssertUnwindSafe(task));
            }
        });
        Self { tasks, thread }
    }

    /// Runs a task to its end; none if it panicked.
    fn run<R: Send + 'static>(&self, task: impl FnOnce() -> R + Send + 'static) -> Option<R> {
        let (tell, told) = channel();
        self.tasks.send(Box::new(move || tell.send(task()).unwrap())).unwrap();
        told.recv().ok()
    }

    fn end(self) {
        drop(self.tasks);
        self.thread.join().unwrap();
    }
}

#[test]
fn h1_a_later_task_inherits_the_default_that_an_earlier_task_left_on_the_pools_thread() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    let pool = Pool::new();
    let [first, second] = [client.clone(), client.clone()];
    pool.run(move || first.create_default_connection().unwrap().leave()).unwrap();
    assert_eq!(pool.run(move || served(&second)).unwrap(), "#1 default");
    pool.end();
    assert_eq!(server.open(), [""; 0], "when the pool ends, so does its thread");
}

#[test]
fn h1_a_task_that_panics_leaves_its_default_behind_too() {
    let server = Server::new();
    let client = server.client(Mode::UseDefault);
    let pool = Pool::new();
    let [first, second] = [client.clone(), client.clone()];
    let panicked = pool.run(move || {
        assert_eq!(served(&first), "#1 default-created");
        panic!("scripted: the task");
    });
    assert!(panicked.is_none());
    assert_eq!(pool.run(move || served(&second)).unwrap(), "#1 default");
    pool.end();
}

#[test]
fn h1_a_task_that_changes_threads_finds_another_default_there_and_may_not_create_its_own() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    let threads = [Pool::new(), Pool::new()];
    for (thread, created) in threads.iter().zip(["#1", "#2"]) {
        let client = client.clone();
        let left = thread.run(move || {
            let default = client.create_default_connection().unwrap();
            let name = default.id().to_string();
            default.leave();
            name
        });
        assert_eq!(left.unwrap(), created);
    }
    // One task, whose steps are run here and there.
    let step = |thread: &Pool| {
        let client = client.clone();
        thread.run(move || (served(&client), client.create_default_connection().is_err())).unwrap()
    };
    assert_eq!(step(&threads[0]), ("#1 default".to_owned(), true));
    assert_eq!(step(&threads[1]), ("#2 default".to_owned(), true));
    assert_eq!(step(&threads[0]), ("#1 default".to_owned(), true));
    threads.into_iter().for_each(Pool::end);
    assert_eq!(server.open(), [""; 0], "when the threads end, so do their defaults");
}

#[test]
fn h1_a_scope_disposes_the_threads_default_at_the_end_of_the_task() {
    let server = Server::new();
    let client = server.client(Mode::UseDefault);
    let pool = Pool::new();
    for task in ["#1 default-created", "#2 default-created"] {
        let client = client.clone();
        let got = pool.run(move || {
            let _scope = client.thread_scope();
            served(&client)
        });
        assert_eq!(got.unwrap(), task);
    }
    assert_eq!(server.all(Deed::Closed), ["#1", "#2"]);
    pool.end();
}

#[test]
fn h1_a_scope_disposes_the_threads_default_even_when_the_task_panics() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    let pool = Pool::new();
    let [first, second] = [client.clone(), client.clone()];
    let panicked = pool.run(move || {
        let _scope = first.thread_scope();
        first.create_default_connection().unwrap().leave();
        panic!("scripted: the task");
    });
    assert!(panicked.is_none());
    assert_eq!(pool.run(move || served(&second)).unwrap(), "#0 main");
    assert_eq!(server.all(Deed::Closed), ["#1"]);
    pool.end();
}

#[test]
fn h1_a_scope_also_disposes_a_default_that_was_there_before_it() {
    let server = Server::new();
    let client = server.client(Mode::UseMainOrDefault);
    client.create_default_connection().unwrap().leave();
    {
        let _scope = client.thread_scope();
        assert_eq!(served(&client), "#1 default");
    }
    assert_eq!(served(&client), "#0 main");
}
