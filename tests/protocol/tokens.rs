//! B6 for a library's client: when a token is fetched, and what opens the gate again.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailconn::protocol::FailureKind::{AuthInvalid, AuthUnsupported, Timeout};
use mailconn::protocol::{Credentials, ImapConnector, Secret, Settings, Stage, Tokens};

use super::scripted::{Server, session};

/// Takes the tokens that `takes` takes; what came is noted.
fn server(takes: impl Fn(&str) -> bool + Send + Sync + 'static) -> (Server, Arc<Mutex<Vec<String>>>) {
    let came = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&came);
    let server = Server::start(move |peer| {
        peer.send("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=PLAIN] hi\r\n");
        let Some(line) = peer.line() else { return };
        let words: Vec<&str> = line.split(' ').collect();
        let [tag, "AUTHENTICATE", _, answer] = words[..] else {
            peer.send(&format!("* BYE bye\r\n{} OK bye\r\n", words[0]));
            return;
        };
        let answer = String::from_utf8(STANDARD.decode(answer).unwrap()).unwrap();
        let token = answer.trim_end_matches('\x01').rsplit([' ', '\0']).next().unwrap().to_owned();
        noted.lock().unwrap().push(token.clone());
        if takes(&token) {
            peer.send(&format!("{tag} OK [CAPABILITY IMAP4rev1] in\r\n"));
        } else {
            peer.send(&format!("{tag} NO [AUTHENTICATIONFAILED] token expired\r\n"));
            peer.answer("* BYE bye\r\n{t} OK bye\r\n");
        }
        peer.wait_for_close();
    });
    (server, came)
}

/// A connector whose fetches are counted, and answered by their number, from 1 on.
fn connector(
    server: &Server,
    fetch: impl Fn(usize) -> Result<(&'static str, Option<Duration>), &'static str> + Send + Sync + 'static,
) -> (ImapConnector, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let tokens = Tokens::expiring(move |_, _| {
        let (token, lasts) = fetch(count.fetch_add(1, Ordering::SeqCst) + 1)?;
        Ok((Secret::new(token.to_owned()), lasts))
    });
    let credentials = Some(Credentials::Token(tokens));
    (ImapConnector::new(Settings { credentials, ..server.settings() }), calls)
}

/// Eight dials that start together: how many came to something.
fn eight(connector: &ImapConnector) -> usize {
    let start = Barrier::new(8);
    thread::scope(|scope| {
        let dial = |number| {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                connector.dial(session(number)).is_ok()
            })
        };
        let dials: Vec<_> = (0..8).map(dial).collect();
        dials.into_iter().map(|dial| usize::from(dial.join().unwrap())).sum()
    })
}

#[test]
fn a_token_at_hand_is_used_until_it_has_run_out_and_then_replaced_before_the_server_refuses_it() {
    let (server, came) = server(|_| true);
    let tokens = ["", "one", "two", "three"];
    let (connector, calls) = connector(&server, move |call| Ok((tokens[call], Some(Duration::from_millis(900)))));
    connector.dial(session(0)).unwrap();
    connector.dial(session(1)).unwrap();
    thread::sleep(Duration::from_millis(1000));
    assert_eq!(eight(&connector), 8);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    let came = came.lock().unwrap();
    assert_eq!(came[..2], ["one", "one"]);
    assert!(came[2..].iter().all(|token| token == "two"), "{came:?}");
}

#[test]
fn when_a_token_runs_out_one_sign_in_at_a_time_tries_the_next() {
    let expired = Arc::new(AtomicBool::new(false));
    let is_expired = Arc::clone(&expired);
    let alone = Arc::new(Mutex::new((0, 0)));
    let noted = Arc::clone(&alone);
    let (server, came) = server(move |token| {
        if token == "new" {
            noted.lock().unwrap().0 += 1;
            if noted.lock().unwrap().1 == 0 {
                thread::sleep(Duration::from_millis(200));
                let mut noted = noted.lock().unwrap();
                noted.1 = noted.0;
            }
            return true;
        }
        !is_expired.load(Ordering::SeqCst)
    });
    let (connector, calls) = connector(&server, |call| Ok((if call == 1 { "old" } else { "new" }, None)));
    connector.dial(session(0)).unwrap();
    for _ in 0..2 {
        assert_eq!(eight(&connector), 8);
    }
    expired.store(true, Ordering::SeqCst);
    assert_eq!(eight(&connector), 8);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert_eq!(alone.lock().unwrap().1, 1, "nobody else presented it until it was taken");
    assert_eq!(came.lock().unwrap().iter().filter(|token| *token == "new").count(), 8);
}

#[test]
fn a_fetch_that_failed_is_tried_again_a_second_later() {
    let (server, _) = server(|_| true);
    let (connector, calls) = connector(&server, |call| if call == 1 { Err("no network") } else { Ok(("one", None)) });
    let failure = connector.dial(session(0)).err().unwrap().failure;
    assert_eq!((failure.kind, failure.stage), (AuthUnsupported, Stage::Auth), "{failure}");
    assert_eq!(failure.message, "no token to sign in with: no network");
    let failed = Instant::now();
    connector.dial(session(1)).unwrap();
    assert!((900..3000).contains(&failed.elapsed().as_millis()), "{:?}", failed.elapsed());
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[test]
fn a_fetch_that_panics_leaves_the_others_their_turn() {
    let (server, _) = server(|_| true);
    let (connector, calls) = connector(&server, |call| {
        assert!(call > 1, "the first one panics");
        Ok(("one", None))
    });
    thread::scope(|scope| {
        assert!(scope.spawn(|| connector.dial(session(0)).is_ok()).join().is_err());
    });
    connector.dial(session(1)).unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[test]
fn who_waits_for_anothers_fetch_gives_up_at_its_own_deadline() {
    let (server, _) = server(|_| true);
    let tokens = Tokens::new(|deadline, _| {
        thread::sleep(deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(300));
        Err("it took too long".to_owned())
    });
    let settings = Settings {
        credentials: Some(Credentials::Token(tokens)),
        connect_timeout: Duration::from_millis(400),
        ..server.settings()
    };
    let connector = ImapConnector::new(settings);
    thread::scope(|scope| {
        let first = scope.spawn(|| connector.dial(session(0)).err().unwrap().failure);
        thread::sleep(Duration::from_millis(100));
        let waited = connector.dial(session(1)).err().unwrap().failure;
        assert_eq!((waited.kind, waited.stage), (Timeout, Stage::Wait), "{waited}");
        assert!(waited.message.contains("took all the time to fetch its token"), "{waited}");
        assert!(first.join().unwrap().message.contains("it took too long"));
    });
}

#[test]
fn a_refused_token_shuts_the_gate_until_another_is_fetched() {
    let (server, came) = server(|token| token == "good");
    let (connector, calls) = connector(&server, |call| Ok((if call < 4 { "bad" } else { "good" }, None)));
    let refused = connector.dial(session(0)).err().unwrap();
    assert_eq!(refused.failure.kind, AuthInvalid);
    assert!(refused.failure.message.contains("another fetch gave the same token again"), "{refused}");
    assert!(refused.sign_in_attempted);

    // At once nothing is fetched, later the same: neither costs the server a connection.
    for (pause, fetched, told) in [(0, 2, "another with this token would be too"), (1100, 3, "the same one again")] {
        thread::sleep(Duration::from_millis(pause));
        let late = connector.dial(session(1)).err().unwrap();
        assert_eq!((late.failure.kind, late.failure.stage), (AuthInvalid, Stage::Auth), "{late}");
        assert!(late.failure.message.starts_with("not tried: ") && late.failure.message.contains(told), "{late}");
        assert_eq!(late.failure.server_line.as_deref(), Some("NO [AUTHENTICATIONFAILED] token expired"));
        assert!(!late.sign_in_attempted && late.local_port.is_none());
        assert_eq!((calls.load(Ordering::SeqCst), server.accepted()), (fetched, 1));
    }
    thread::sleep(Duration::from_millis(2100));
    assert_eq!(eight(&connector), 8);
    assert_eq!(calls.load(Ordering::SeqCst), 4);
    let came = came.lock().unwrap();
    assert_eq!(came.iter().filter(|token| *token == "bad").count(), 1);
}

#[test]
fn new_credentials_open_the_gate_again_and_what_was_refused_does_not() {
    let (server, came) = server(|secret| secret == "right");
    let (connector, _) = connector(&server, |_| Ok(("bad", None)));
    let password = |word: &str| connector.set_credentials(Secret::new(word.to_owned()).into());
    assert_eq!(connector.dial(session(0)).err().unwrap().failure.kind, AuthInvalid);
    password("wrong");
    assert_eq!(eight(&connector), 0);
    password("wrong");
    assert_eq!(eight(&connector), 0);
    password("right");
    assert_eq!(eight(&connector), 8);
    let came = came.lock().unwrap();
    assert_eq!(came[..3], ["bad", "wrong", "right"]);
    assert!(came[2..].iter().all(|secret| secret == "right") && came.len() == 10, "{came:?}");
}

#[test]
fn new_credentials_do_not_undo_a_cancellation() {
    let (server, came) = server(|_| true);
    let connector = server.connector();
    connector.cancel();
    connector.set_credentials(Secret::new("right".to_owned()).into());
    assert_eq!(eight(&connector), 0);
    assert!(came.lock().unwrap().is_empty());
}
