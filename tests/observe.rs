//! The sandbox's record as events: what they say, in what order and in lines of what length.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use mailconn::allocator::Mode;
use mailconn::event::{self, Event, LONGEST, Micros, What, WitnessCommands, WitnessSession, WitnessedCommand};
use mailconn::judge::Witness;
use mailconn::ledger::{Analysis, Ledger};
use mailconn::observe::{Claim, Testimony};
use mailconn::sandbox::{CloseCause, CommandRecord, CommandStatus, Options, Protocol, Sandbox, SessionRecord};

use crate::support::tool;
use crate::verdict::real;

const PATIENCE: Duration = Duration::from_secs(20);

fn part(number: u64, clock: Instant, commands: impl IntoIterator<Item = CommandRecord>) -> SessionRecord {
    SessionRecord {
        number,
        protocol: Protocol::Imap,
        tls: false,
        peer_port: 40_000 + u16::try_from(number).unwrap(),
        user: None,
        label: Vec::new(),
        accepted: clock,
        closed: None,
        commands: commands.into_iter().collect(),
        delivered: Vec::new(),
    }
}

fn over(mut part: SessionRecord, cause: CloseCause) -> SessionRecord {
    part.closed = Some((part.accepted, cause));
    part
}

fn command(tag: &str, selected: Option<&str>, at: Instant) -> CommandRecord {
    let selected = selected.map(Into::into);
    CommandRecord { tag: tag.into(), verb: "NOOP", selected, at, status: CommandStatus::Ok }
}

fn commands(events: &[What]) -> Vec<&WitnessCommands> {
    let lines = events.iter().filter_map(|what| if let What::WitnessCommands(line) = what { Some(line) } else { None });
    lines.collect()
}

#[track_caller]
fn end(what: &What) -> &WitnessSession {
    let What::WitnessSession(end) = what else { panic!("{what:?}") };
    end
}

/// How long the event's line is, once it has been read back.
#[track_caller]
fn length(what: &What) -> usize {
    let mut line = Vec::new();
    let event = Event { seq: u64::MAX, at: Micros(1 << 50), what: what.clone() };
    let within = event::Within::client("a client with a name");
    event::write(&event, SystemTime::now(), within, &mut line);
    let (_, _, unknown) = event::read(&line).unwrap();
    assert!(unknown.is_empty(), "{unknown:?}");
    line.len()
}

#[test]
fn each_command_has_its_tag_its_verb_its_mailbox_and_its_time_in_the_run() {
    let clock = Instant::now();
    let early = clock.checked_sub(Duration::from_secs(1)).unwrap();
    let at = clock + Duration::from_nanos(1_500_999);
    let mut testimony = Testimony::new(clock);
    let events = testimony.hear(part(1, clock, [command("a1", None, early), command("a2", Some("Sent"), at)]));
    let [line] = &commands(&events)[..] else { panic!("{events:?}") };
    assert_eq!(events.len(), 1, "it is not over");
    assert_eq!(line.peer_port, 40_001);
    let said = |tag: &str, selected: Option<&str>, at_us| WitnessedCommand {
        tag: tag.to_owned(),
        verb: "NOOP".into(),
        selected: selected.map(Into::into),
        at_us: Some(Micros(at_us)),
    };
    assert_eq!(line.commands, [said("a1", None, 0), said("a2", Some("Sent"), 1500)]);
}

#[test]
fn a_session_ends_behind_its_last_command_and_counts_those_of_all_parts() {
    let clock = Instant::now();
    let mut testimony = Testimony::new(clock);
    let some = |count: usize| (0..count).map(move |_| command("a", None, clock));
    assert_eq!(testimony.hear(part(1, clock, some(3))).len(), 1);
    assert_eq!(testimony.hear(part(2, clock, some(1))).len(), 1);
    assert_eq!(testimony.remembered(), 2);
    let events = testimony.hear(over(part(1, clock, some(2)), CloseCause::Logout));
    assert_eq!(commands(&events)[0].commands.len(), 2);
    let last = end(events.last().unwrap());
    assert_eq!((last.peer_port, last.commands, last.logged_out, last.open), (40_001, 5, true, false));
    assert_eq!(testimony.remembered(), 1);
    // One that the record shows open has said no goodbye.
    let rest = testimony.end();
    let [last] = &rest[..] else { panic!("{rest:?}") };
    let last = end(last);
    assert_eq!((last.peer_port, last.commands, last.logged_out, last.open), (40_002, 1, false, true));
}

#[test]
fn a_session_that_the_server_had_to_end_was_open_and_every_other_was_not() {
    let clock = Instant::now();
    for (cause, logged_out, open) in [
        (CloseCause::Logout, true, false),
        (CloseCause::EndOfStream, false, false),
        (CloseCause::Reset, false, false),
        (CloseCause::Refused, false, false),
        (CloseCause::Fault, false, false),
        (CloseCause::Server, false, true),
    ] {
        let events = Testimony::new(clock).hear(over(part(1, clock, []), cause));
        let [end_of_it] = &events[..] else { panic!("{events:?}") };
        assert_eq!((end(end_of_it).logged_out, end(end_of_it).open), (logged_out, open), "{cause:?}");
    }
}

#[test]
fn whose_a_session_is_it_says_by_id_or_by_its_name() {
    let clock = Instant::now();
    let claim = |label: &[(&str, Option<&str>)]| {
        let label = label.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect();
        let Claim { run_id, label } = Claim::of(&SessionRecord { label, ..part(1, clock, []) });
        (run_id, label)
    };
    let of = |run: &str, label: &str| (Some(run.to_owned()), Some(label.to_owned()));
    let ours = [("name", Some("mailconn")), ("X-Mailconn-Run", Some("00ff")), ("x-mailconn-session", Some("#1"))];
    assert_eq!(claim(&ours), of("00ff", "#1"));
    let name = "c1s2.r00ff.mailconn.invalid";
    assert_eq!(claim(&[("ehlo", Some(name))]), of("00ff", name));
    for label in [&[][..], &[("ehlo", Some("r1.example.org"))], &[("name", Some("mutt"))], &[("x-mailconn-run", None)]]
    {
        assert_eq!(claim(label), (None, None), "{label:?}");
    }
}

#[test]
fn no_line_has_more_than_256_commands_or_64_kib() {
    let clock = Instant::now();
    let nasty = "\u{1}".repeat(9000);
    let long = "ä".repeat(40_000);
    for (tag, selected, count, most) in [
        ("a1234567", None, 1000, 256),
        ("a1234567", Some("INBOX"), 257, 256),
        ("a1", Some(&*"x".repeat(300)), 400, 256),
        (&long[..], Some(&*nasty), 5, 1),
        ("", Some(&*nasty), 5, 2),
        ("", Some(&long), 5, 2),
    ] {
        let parts = over(part(1, clock, (0..count).map(|_| command(tag, selected, clock))), CloseCause::Logout);
        let events = Testimony::new(clock).hear(parts);
        let lines = commands(&events);
        assert_eq!(lines.iter().map(|line| line.commands.len()).sum::<usize>(), count);
        assert!(lines.iter().all(|line| (1..=most).contains(&line.commands.len())), "{count} commands");
        assert_eq!(end(events.last().unwrap()).commands, count as u64);
        let longest = events.iter().map(length).max().unwrap();
        assert!(longest <= LONGEST, "{longest}");
    }
    let lines = |count| {
        commands(&Testimony::new(clock).hear(part(1, clock, vec![command("a1234567", Some("INBOX"), clock); count])))
            .len()
    };
    assert_eq!([lines(0), lines(1), lines(256), lines(257), lines(512)], [0, 1, 1, 2, 2]);
    let label =
        vec![("x-mailconn-run".to_owned(), Some(nasty.clone())), ("x-mailconn-session".to_owned(), Some(nasty))];
    let events = Testimony::new(clock).hear(over(SessionRecord { label, ..part(1, clock, []) }, CloseCause::Reset));
    assert!(length(&events[0]) <= LONGEST);
}

/// Eight clients, each in several sessions, while somebody takes the record: all at once or as it happens, the events say
/// the same of each session.
#[test]
fn as_it_happens_or_all_at_once_the_events_say_the_same() {
    let clock = Instant::now();
    let server = Sandbox::start(TcpListener::bind("127.0.0.1:0").unwrap(), Options::default()).unwrap();
    let (address, record) = (server.address(), server.record().unwrap());
    let mut parts = Vec::new();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|client| scope.spawn(move || (0..5).for_each(|session| converse(address, client, session))))
            .collect();
        while !clients.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            parts.extend(record.take());
        }
    });
    parts.extend(server.stop(PATIENCE));
    assert!(parts.len() > 40, "there are parts: {}", parts.len());

    let mut whole: Vec<SessionRecord> = Vec::new();
    for part in &parts {
        match whole.iter_mut().find(|session| session.number == part.number) {
            Some(session) => {
                let mut commands = std::mem::take(&mut session.commands);
                commands.extend_from_slice(&part.commands);
                *session = SessionRecord { commands, ..part.clone() };
            }
            None => whole.push(part.clone()),
        }
    }
    assert_eq!(whole.len(), 40);
    let told = |records: Vec<SessionRecord>| {
        let mut testimony = Testimony::new(clock);
        let mut most = 0;
        let mut events = Vec::new();
        for record in records {
            events.extend(testimony.hear(record));
            most = most.max(testimony.remembered());
        }
        // A server on a busy machine notices late that a session is over.
        assert!(most <= 20, "{most}");
        assert_eq!(testimony.end().len(), 0);
        by_session(events)
    };
    assert_eq!(told(parts), told(whole));
}

/// A run and its witness as one stream: what the server says comes while the run goes on, a part behind the other.
#[test]
fn a_judge_that_hears_the_server_as_it_happens_agrees_with_every_operation() {
    for mode in [Mode::UseMain, Mode::UseDefault] {
        let server = real::sandbox();
        let record = server.record().unwrap();
        let clock = Instant::now();
        let mut testimony = Testimony::new(clock);
        let mut heard = Vec::new();
        let mut hear = |parts: Vec<SessionRecord>| {
            let at = Micros::from(clock.elapsed());
            let events = parts.into_iter().flat_map(|part| testimony.hear(part));
            heard.extend(events.map(|what| Event { seq: 0, at, what }));
        };
        let plan = real::plan(mode, 4, 250, "noop=3,status=1,fetch=1");
        let file = std::thread::scope(|scope| {
            let run = scope.spawn(|| real::perform(server.address(), &plan, clock));
            while !run.is_finished() {
                hear(record.take());
                std::thread::sleep(Duration::from_millis(2));
            }
            run.join().unwrap()
        });
        while server.open_sessions() > 0 && clock.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        hear(server.stop(PATIENCE));
        assert!(heard.len() > 20, "it came in parts: {}", heard.len());

        let mut events = tool::events(file.as_bytes());
        if let Some(What::RunStart(start)) = events.first_mut().map(|event| &mut event.what) {
            start.witnessed = true;
        }
        let end = events.pop();
        events.extend(heard);
        events.sort_by_key(|event| event.at);
        let (mut ledger, mut witness) = (Ledger::default(), Witness::default());
        for event in events.iter().chain(&end) {
            ledger.see(event);
            witness.see(event, &ledger);
        }
        witness.end(&ledger);
        let agreement = (witness.agreement.checked, witness.agreement.held, witness.not_compared);
        assert_eq!((agreement, witness.disagreements), ((1000, 1000, 0), 0), "{mode:?}: {:?}", witness.wrong);
    }
}

/// Signs in, says 100 NOOPs, and leaves in one way or another.
fn converse(address: std::net::SocketAddr, client: usize, session: usize) {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut heard = BufReader::new(stream.try_clone().unwrap());
    let mut ask = |line: String| {
        (&stream).write_all(format!("{line}\r\n").as_bytes()).unwrap();
        let tag = line.split(' ').next().unwrap();
        let mut answer = String::new();
        while !answer.starts_with(tag) {
            answer.clear();
            assert_ne!(heard.read_line(&mut answer).unwrap(), 0);
        }
    };
    ask("a1 LOGIN user secret".to_owned());
    ask(format!("a2 ID (\"x-mailconn-run\" \"00ff\" \"x-mailconn-session\" \"{client}.{session}\")"));
    ask("a3 EXAMINE INBOX".to_owned());
    (4..104).for_each(|number| ask(format!("a{number} NOOP")));
    if session.is_multiple_of(2) {
        ask("a104 LOGOUT".to_owned());
    }
}

/// The commands and the end of each session, in the order of its port and of its end.
fn by_session(events: Vec<What>) -> Vec<String> {
    let mut commands: std::collections::BTreeMap<u16, Vec<WitnessedCommand>> = std::collections::BTreeMap::new();
    let mut sessions = Vec::new();
    for what in events {
        match what {
            What::WitnessCommands(line) => commands.entry(line.peer_port).or_default().extend(line.commands),
            What::WitnessSession(end) => {
                let commands = commands.remove(&end.peer_port).unwrap_or_default();
                assert_eq!(commands.len() as u64, end.commands);
                let inbox: Option<Arc<str>> = Some("INBOX".into());
                assert!(commands.iter().skip(2).all(|command| command.selected == inbox));
                sessions.push(format!("{end:?} {commands:?}"));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(commands.is_empty(), "no command comes behind its session's end");
    sessions.sort();
    sessions
}
