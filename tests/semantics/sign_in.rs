//! B6, on the real connector and the sandbox: careful sign-in is the connector's part of the rules.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mailconn::allocator::{Client, Error, Mode};
use mailconn::protocol::{Endpoint, FailureKind, ImapConnector, ImapOperation, Secret, Settings};
use mailconn::sandbox::{Options, Sandbox, User};

fn sandbox() -> Sandbox {
    let users = vec![User::new("ann", "right")];
    // Slow replies, so that eight dials overlap unless something holds them back.
    let options = Options { users, latency: Duration::from_millis(5), ..Options::default() };
    Sandbox::start(TcpListener::bind("127.0.0.1:0").unwrap(), options).unwrap()
}

fn client(sandbox: &Sandbox, password: &str) -> Client<ImapConnector> {
    let connector = ImapConnector::new(Settings::new(
        Endpoint::parse(&format!("imap://ann@{}", sandbox.address()), None).unwrap(),
        Secret::new(password.to_owned()).into(),
    ));
    Client::builder(connector).mode(Mode::UseDefault).build()
}

fn sign_ins(sandbox: Sandbox) -> Vec<std::time::Instant> {
    let sessions = sandbox.stop(Duration::from_secs(5));
    let commands = sessions.iter().flat_map(|session| &session.commands);
    let mut times: Vec<_> =
        commands.filter(|command| command.verb == "AUTHENTICATE").map(|command| command.at).collect();
    times.sort();
    times
}

#[test]
fn b6_the_first_refused_sign_in_ends_the_sign_ins_of_all_threads() {
    let sandbox = sandbox();
    let client = Arc::new(client(&sandbox, "wrong"));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let client = Arc::clone(&client);
            thread::spawn(move || match client.lease() {
                Err(Error::Connect { error, .. }) => error.failure.kind,
                other => panic!("{other:?}"),
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), FailureKind::AuthInvalid);
    }
    drop(client);
    assert_eq!(sign_ins(sandbox).len(), 1);
}

#[test]
fn b6_until_one_sign_in_has_succeeded_only_one_is_under_way() {
    let sandbox = sandbox();
    let client = Arc::new(client(&sandbox, "right"));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let client = Arc::clone(&client);
            thread::spawn(move || client.with(|imap| imap.run(ImapOperation::Noop, "").unwrap()).unwrap())
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    drop(client);
    let times = sign_ins(sandbox);
    assert_eq!(times.len(), 8);
    // The second was sent only after the first had its reply, which took the server's latency.
    assert!(times[1] - times[0] >= Duration::from_millis(5), "{:?}", times[1] - times[0]);
}

#[test]
fn b6_a_new_password_opens_the_gate_again_to_one_sign_in_at_a_time() {
    let sandbox = sandbox();
    let client = Arc::new(client(&sandbox, "wrong"));
    assert!(client.lease().is_err() && client.lease().is_err());
    client.connector().set_credentials(Secret::new("wrong".to_owned()).into());
    assert!(client.lease().is_err());
    client.connector().set_credentials(Secret::new("right".to_owned()).into());
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let client = Arc::clone(&client);
            thread::spawn(move || client.with(|imap| imap.run(ImapOperation::Noop, "").unwrap()).unwrap())
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    drop(client);
    let times = sign_ins(sandbox);
    assert_eq!(times.len(), 9, "one with the wrong password");
    assert!(times[2] - times[1] >= Duration::from_millis(5), "{:?}", times[2] - times[1]);
}
