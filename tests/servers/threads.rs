//! Threads that come and go, pools and scopes (rules D3 and H1), by the library alone.

use super::agreement::ended;
use super::tool::SOON;
use crate::support::dovecot::PrivateDovecot;
use crate::support::dovecot_log::Log;
use mailconn::allocator::{Client, Mode, Reason};
use mailconn::protocol::{Endpoint, ImapConnection, ImapConnector, ImapOperation, Secret, Settings};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

fn client(server: &PrivateDovecot, mode: Mode) -> Client<ImapConnector> {
    let password = std::fs::read_to_string(server.password_file()).unwrap();
    let connector = ImapConnector::new(Settings {
        connect_timeout: SOON,
        operation_timeout: SOON,
        ..Settings::new(
            Endpoint::parse(&format!("imap://u1@127.0.0.1:{}", server.imap_port()), None).unwrap(),
            Secret::new(password).into(),
        )
    });
    Client::builder(connector).mode(mode).build()
}

fn examine(imap: &mut ImapConnection, mailbox: &str) {
    imap.run(ImapOperation::Fetch, mailbox).unwrap();
}

/// What an operation of this thread runs on, and why.
fn operate(client: &Client<ImapConnector>, mailbox: &str) -> (String, Reason) {
    let mut lease = client.lease().unwrap();
    examine(&mut lease, mailbox);
    (lease.assignment().session.to_string(), lease.assignment().reason)
}

/// Which session examined that mailbox, by the server's record.
fn that_examined<'a>(log: &'a Log, mailbox: &str) -> Vec<&'a str> {
    let line = format!("EXAMINE \"{mailbox}\"");
    let sessions = log.sessions.iter().filter(|session| session.command_lines().contains(&line));
    sessions.map(|session| session.label("x-mailconn-session").unwrap()).collect()
}

/// Forty threads that came and went left forty connections open elsewhere; Gmail refuses the sixteenth
/// (imapsync/imapsync#61).
#[test]
fn d3_forty_threads_that_come_and_go_leave_nothing_open() {
    let server = PrivateDovecot::start();
    let client = client(&server, Mode::UseDefault);
    for _ in 0..5 {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let client = client.clone();
                thread::spawn(move || operate(&client, "Sent").1)
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), Reason::DefaultCreated);
        }
        assert_eq!(client.open_connections(), 0, "a joined thread has closed its connection");
        // The server's own count follows the goodbye by a moment.
        let until = Instant::now() + Duration::from_secs(1);
        while !server.imap_pids().is_empty() {
            assert!(Instant::now() < until, "still open after a second: {:?}", server.imap_pids());
        }
    }
    let log = ended(&server, "u1", 40);
    for session in &log.sessions {
        assert_eq!(session.end.as_ref().unwrap().reason, "Logged out");
        assert_eq!(session.commands.last().unwrap().verb, "LOGOUT");
    }
    assert_eq!(client.close(Instant::now() + SOON), 0);
    assert_eq!(server.log().sessions.len(), 40, "main was never opened");
}

type Task = Box<dyn FnOnce(&Client<ImapConnector>) -> (String, Reason) + Send>;

/// Runs the tasks one after the other on the one thread of a pool.
fn on_a_pool_of_one(client: &Client<ImapConnector>, tasks: [Task; 2]) -> [(String, Reason); 2] {
    let (queue, queued) = mpsc::channel::<(Task, mpsc::Sender<(String, Reason)>)>();
    let pool = thread::spawn({
        let client = client.clone();
        move || queued.into_iter().for_each(|(task, answer)| answer.send(task(&client)).unwrap())
    });
    let results = tasks.map(|task| {
        let (answer, answered) = mpsc::channel();
        queue.send((task, answer)).unwrap();
        answered.recv().unwrap()
    });
    drop(queue);
    pool.join().unwrap();
    results
}

/// The documented hazard (MarimerLLC/calendar-mcp#69 and its kin pool what their tasks leave behind).
#[test]
fn h1_a_task_inherits_the_default_that_an_earlier_task_left_behind() {
    let server = PrivateDovecot::start();
    let client = client(&server, Mode::UseMainOrDefault);
    let results = on_a_pool_of_one(
        &client,
        [
            Box::new(|client| {
                client.create_default_connection().unwrap().leave();
                operate(client, "Archive")
            }),
            Box::new(|client| operate(client, "Sent")),
        ],
    );
    assert_eq!(results, ["#1", "#1"].map(|session| (session.to_owned(), Reason::Default)));
    let log = ended(&server, "u1", 1);
    assert_eq!((that_examined(&log, "Archive"), that_examined(&log, "Sent")), (vec!["#1"], vec!["#1"]));
}

#[test]
fn h1_a_scope_ends_the_tasks_default_with_the_task_even_when_it_panics() {
    let server = PrivateDovecot::start();
    let client = client(&server, Mode::UseMainOrDefault);
    let results = on_a_pool_of_one(
        &client,
        [
            Box::new(|client| {
                let mut used = None;
                let task = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    let _scope = client.thread_scope();
                    client.create_default_connection().unwrap().leave();
                    used = Some(operate(client, "Archive"));
                    std::panic::resume_unwind(Box::new("the task fails"));
                }));
                assert!(task.is_err());
                used.unwrap()
            }),
            Box::new(|client| operate(client, "Sent")),
        ],
    );
    assert_eq!(results, [("#1".to_owned(), Reason::Default), ("#0".to_owned(), Reason::Main)]);
    assert_eq!(client.close(Instant::now() + SOON), 0);
    let log = ended(&server, "u1", 2);
    assert_eq!((that_examined(&log, "Archive"), that_examined(&log, "Sent")), (vec!["#1"], vec!["#0"]));
    assert!(log.sessions.iter().all(|session| session.end.as_ref().unwrap().reason == "Logged out"));
}
