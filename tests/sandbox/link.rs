//! A sandbox that is far away: what is said takes half a round trip in each direction, and nothing waits for anything else.

use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use mailconn::sandbox::{CloseCause, Cut, Options, Protocol, Sandbox, Security};

use super::faults::ALL;
use super::talk::{Talk, eventually, serving, trust};
use super::{PATIENCE, Raw, end, of_port, serve};

const RTT: Duration = Duration::from_millis(60);

fn far(speaks: &[(Protocol, Security)], rtt: Duration) -> Sandbox {
    serving(speaks, Options { rtt, ..Options::default() })
}

/// How long it took, and what came of it.
fn timed<T>(what: impl FnOnce() -> T) -> (Duration, T) {
    let began = Instant::now();
    let done = what();
    (began.elapsed(), done)
}

#[test]
fn a_greeting_takes_two_round_trips_and_each_command_one() {
    let server = far(&[(Protocol::Imap, Security::Plain)], RTT);
    let (greeted, mut raw) = timed(|| Raw::greeted(server.address()));
    assert!(greeted >= 2 * RTT && greeted < 20 * RTT, "{greeted:?}");
    for command in ["a LOGIN user secret", "b NOOP", "c SELECT INBOX", "d FETCH 1:* (UID FLAGS)", "e LOGOUT"] {
        let (taken, _) = timed(|| raw.ask(command));
        assert!(taken >= RTT && taken < 20 * RTT, "{command}: {taken:?}");
    }
    assert_eq!(raw.rest(), "");
}

#[test]
fn each_flight_of_a_handshake_takes_its_time() {
    let server = far(&[(Protocol::Smtp, Security::Tls), (Protocol::Smtp, Security::StartTls)], RTT);
    let tls = trust(&server);
    let [encrypted, on_request] = [0, 1].map(|at| server.addresses()[at]);
    let (greeted, _) = timed(|| assert!(Talk::to(encrypted).encrypt(&tls, "localhost").hear().starts_with("220 ")));
    assert!(greeted >= 3 * RTT, "{greeted:?}");
    let (greeted, _) = timed(|| {
        let mut talk = Talk::to(on_request);
        talk.hear();
        talk.say("EHLO tests\r\n");
        while talk.hear().as_bytes()[3] == b'-' {}
        talk.say("STARTTLS\r\n");
        talk.hear();
        let mut talk = talk.encrypt(&tls, "localhost");
        talk.say("NOOP\r\n");
        assert!(talk.hear().starts_with("250 "));
    });
    assert!(greeted >= 6 * RTT, "{greeted:?}");
}

#[test]
fn commands_that_are_under_way_together_arrive_together() {
    let rtt = Duration::from_millis(200);
    let server = far(&[(Protocol::Imap, Security::Plain)], rtt);
    let mut raw = Raw::signed_in(server.address());
    let (taken, ()) = timed(|| {
        for number in 0..40 {
            raw.send(format!("a{number} NOOP\r\n"));
            thread::sleep(Duration::from_millis(2));
        }
        (0..40).for_each(|number| assert!(raw.reply(&format!("a{number}")).ends_with("OK NOOP completed.\r\n")));
    });
    assert!(taken >= rtt && taken < 20 * rtt, "one after the other they take 40 round trips: {taken:?}");
}

#[test]
fn what_is_more_than_fits_on_the_way_arrives_whole() {
    let server = far(&[(Protocol::Imap, Security::Plain)], Duration::from_millis(10));
    let mut raw = Raw::selected(server.address(), "INBOX");
    let line = "what is said in one line is repeated often\r\n";
    let text = line.repeat((9 << 20) / line.len());
    raw.send(format!("a APPEND INBOX {{{}+}}\r\n{text}\r\n", text.len()));
    assert!(raw.reply("a").contains("a OK"));
    let fetched = raw.ask("b FETCH 31 BODY.PEEK[]");
    assert!(fetched.len() > text.len() && fetched.contains(&text));
}

#[test]
fn fifty_far_clients_are_served_at_once() {
    let server = serve(Options { rtt: RTT, ..Options::default() });
    let (taken, ()) = timed(|| {
        thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| {
                    let mut raw = Raw::signed_in(server.address());
                    (0..5).for_each(|_| assert!(raw.ask("a NOOP").starts_with("a OK")));
                    raw.ask("z LOGOUT");
                });
            }
        });
    });
    assert!(taken >= 9 * RTT && taken < 50 * 9 * RTT / 4, "{taken:?}");
    let record = end(server);
    assert!(record.len() == 50 && record.iter().all(|session| session.closed.unwrap().1 == CloseCause::Logout));
}

#[test]
fn how_a_client_leaves_is_on_record_as_if_it_were_near() {
    let server = far(&[(Protocol::Imap, Security::Plain)], RTT);
    let closed = Raw::signed_in(server.address());
    let reset = Raw::signed_in(server.address());
    let half = Raw::signed_in(server.address());
    let ports = [closed.port(), reset.port(), half.port()];
    socket2::SockRef::from(reset.0.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
    half.0.get_ref().shutdown(Shutdown::Write).unwrap();
    drop((closed, reset));
    eventually(|| server.open_sessions() == 0);
    let causes = ports.map(|port| of_port(&server.witness(), port).closed.unwrap().1);
    assert_eq!(causes, [CloseCause::EndOfStream, CloseCause::Reset, CloseCause::EndOfStream]);
}

#[test]
fn faults_and_the_end_of_the_server_wait_for_no_distance() {
    let rtt = Duration::from_secs(3600);
    for words in &ALL {
        for how in [None, Some(Cut::Fin), Some(Cut::Rst)] {
            let server = far(&[(words.protocol, Security::Plain)], rtt);
            let mut talk = Talk::to(server.address());
            eventually(|| server.open_sessions() == 1);
            let (taken, heard) = timed(|| {
                let faults = server.faults();
                assert!(how.map_or_else(|| faults.goodbye(talk.port(), "enough"), |how| faults.cut(talk.port(), how)));
                let mut line = String::new();
                talk.try_hear(&mut line).map(|_| line)
            });
            match how {
                None => assert!(heard.unwrap().ends_with("enough\r\n")),
                Some(Cut::Fin) => assert_eq!(heard.unwrap(), ""),
                Some(Cut::Rst) => assert_eq!(heard.unwrap_err().kind(), ErrorKind::ConnectionReset),
            }
            assert!(taken < PATIENCE / 2, "{taken:?}");
            let (taken, record) = timed(|| server.stop(PATIENCE));
            assert!(taken < PATIENCE / 4 && record[0].closed.unwrap().1 == CloseCause::Fault, "{taken:?} {record:?}");
        }
        let server = far(&[(words.protocol, Security::Plain)], rtt);
        let mut talk = Talk::to(server.address());
        talk.say(format!("{}\r\n", words.noop));
        eventually(|| server.open_sessions() == 1);
        let (taken, _) = timed(|| server.stop(PATIENCE));
        assert!(taken < PATIENCE / 4, "{taken:?}");
        assert!(talk.rest().contains("stopping"), "{}", words.protocol);
    }
}

#[test]
fn a_client_that_does_not_read_holds_no_one_up() {
    let server = far(&[(Protocol::Imap, Security::Plain)], RTT);
    let mut deaf = Raw::selected(server.address(), "INBOX");
    let asking =
        thread::spawn(move || while deaf.0.get_mut().write_all(&b"a FETCH 1:* BODY.PEEK[]\r\n".repeat(100)).is_ok() {});
    thread::sleep(Duration::from_millis(300));
    let (taken, _) = timed(|| server.stop(Duration::from_secs(2)));
    assert!(taken < PATIENCE / 2, "{taken:?}");
    asking.join().unwrap();
}
