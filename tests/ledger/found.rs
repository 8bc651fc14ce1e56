//! Limits, and what becomes of connections: a stream shows of them the same whenever the server's record comes.

use std::collections::{BTreeMap, BTreeSet};

use mailconn::event::{Event, Policy};
use mailconn::figures::Figures;
use mailconn::judge::{ALL, Detector, Judge};
use mailconn::ledger::{Analysis, Ledger};
use serde_json::{Value, json};

use super::as_it_happens;
use crate::cli::process::{PASSWORD, end, mailconn, obey};
use crate::fuzz::random::Random;
use crate::protocol::scripted::{GREETING, Server};
use crate::support::tool;
use crate::support::written::{Written, bytes, failed, failure, operation, port};

const OURS: [&str; 7] = ["MC030", "MC031", "MC032", "MC033", "MC040", "MC041", "MC042"];

/// What was found, by its name: how often, the sentence, and the evidence.
type Found = BTreeMap<String, (u64, String, Vec<String>)>;

fn by_the_judge(events: &[Event]) -> Found {
    let judge = Judge::of(events);
    let found = judge.verdict(&judge.summary(), &Policy::NONE).findings.into_iter();
    let found = found.map(|it| (it.id, (it.count, it.sentence, it.evidence)));
    found.filter(|(id, _)| OURS.contains(&&**id)).collect()
}

/// What is found in that file: the same where the server's record comes as it happens.
#[track_caller]
fn alike(file: &[u8], of: &str) -> Found {
    let events = tool::events(file);
    let found = by_the_judge(&events);
    // The server's own record comes in another order then, and no other of its pieces.
    let sorted = |mut found: Found| {
        found.retain(|_, (count, _, evidence)| {
            evidence.sort();
            *count <= 5 || !evidence.iter().any(|it| it.starts_with("the server still has"))
        });
        found
    };
    assert_eq!(sorted(by_the_judge(&as_it_happens(events))), sorted(found.clone()), "{of}, as it happens");
    found
}

/// What a server can do to a dial: the failure, and whether it had greeted.
const REFUSALS: [(&str, &str, Option<&str>); 14] = [
    ("limit-connections", "auth", Some("NO [LIMIT] Too many connections")),
    ("limit-connections", "auth", Some("NO [LIMIT] (mail_max_userip_connections=2)")),
    ("limit-connections", "auth", Some("NO [LIMIT] at most 40 sessions")),
    ("limit-connections", "greeting", Some("-ERR [IN-USE] Mailbox is locked by another POP3 session.")),
    ("limit-connections", "greeting", Some("* OK [CAPAB")),
    ("limit-connections", "greeting", None),
    ("closed", "greeting", None),
    ("closed", "tls", None),
    ("closed", "auth", None),
    ("closed", "greeting", Some("* BYE")),
    ("limit-rate", "auth", Some("NO Request is throttled")),
    ("limit-rate", "greeting", Some("421 4.7.0 too many errors")),
    ("auth-invalid", "auth", Some("NO wrong")),
    ("timeout", "greeting", None),
];

/// What a server can do to an operation.
const ENDS: [(&str, Option<&str>, bool); 9] = [
    ("server-no", Some("NO"), true),
    ("limit-rate", Some("BAD Request is throttled"), true),
    ("limit-rate", Some("554 Too many nonmail commands"), true),
    ("timeout", None, true),
    ("protocol", None, true),
    ("closed", None, true),
    ("closed", None, false),
    ("server-bye", Some("BYE Autologout; idle for too long"), false),
    ("server-bye", Some("BYE"), true),
];

/// A run as it may go: workers dial, are refused, work, lose their connections and close them, beside each other.
struct Story {
    random: Random,
    run: Written,
    now: u64,
    dialled: u32,
    mains: u32,
    open: BTreeSet<u32>,
    workers: Vec<Worker>,
    /// What can happen here.
    refusals: Vec<usize>,
    ends: Vec<usize>,
}

#[derive(Default)]
struct Worker {
    /// When its last operation ended.
    since: u64,
    uses: Option<u32>,
    /// Its dial failed, of which session: the operation is yet to say so.
    refused: Option<(u32, u32)>,
}

impl Story {
    fn of(number: u64) -> Self {
        let mut random = Random::of(30, number);
        let mut run = Written::new("use-default");
        let workers = 1 + random.below(4);
        run.threads(u32::try_from(workers).unwrap());
        run.start()["protocol"] = json!(*random.pick(&["imap", "imap", "smtp", "pop3"]));
        let some = |random: &mut Random, all: usize| {
            let most = 1 + random.below(4);
            (0..most).map(|_| random.below(all)).collect()
        };
        let refusals = some(&mut random, REFUSALS.len());
        let ends = some(&mut random, ENDS.len());
        Self {
            random,
            run,
            now: 0,
            dialled: 0,
            mains: 0,
            open: BTreeSet::new(),
            workers: (0..workers).map(|_| Worker::default()).collect(),
            refusals,
            ends,
        }
    }

    fn step(&mut self) {
        self.now += *self.random.pick(&[0, 1, 1, 700, 5000, 900_000]);
        let worker = self.random.below(self.workers.len());
        match self.workers[worker] {
            Worker { refused: Some((connection, number)), .. } => {
                let it = failed(operation(connection, 1, "use-default", "default"), silence("closed"));
                let line = self.operates(worker, it);
                line["local_port"] = Value::Null;
                line["commands"] = json!([]);
                line["session"] = json!(crate::support::written::session(connection, number));
                self.workers[worker].refused = None;
            }
            Worker { uses: None, since, .. } => self.dials(worker, since),
            Worker { uses: Some(connection), .. } => self.works(worker, connection),
        }
    }

    fn between(&mut self, from: u64) -> u64 {
        let span = usize::try_from(self.now - from).unwrap();
        from + self.random.below(span + 1) as u64
    }

    fn dials(&mut self, worker: usize, since: u64) {
        let refused = self.random.one_in(2);
        let main = refused && self.random.one_in(3);
        let (connection, number) = if main {
            self.mains += 1;
            (0, self.mains)
        } else {
            self.dialled += 1;
            self.run.create(self.dialled, "default", u32::try_from(worker).unwrap(), false)["at_us"] = json!(self.now);
            (self.dialled, 1)
        };
        let began = self.between(since);
        let known = self.between(began);
        if !refused {
            let line = self.run.open(connection);
            (line["at_us"], line["began_us"], line["signed_in_us"]) = (json!(self.now), json!(began), json!(known));
            self.open.insert(connection);
            self.workers[worker].uses = Some(connection);
            return;
        }
        let kind = *self.random.pick(&self.refusals);
        let (kind, stage, said) = REFUSALS[kind];
        let greeted = self.random.one_in(6).then_some(5);
        let port = self.random.one_in(2).then_some(20_000 + self.run.known());
        let dialling = self.random.below(3);
        let open = u32::try_from(self.open.len()).unwrap();
        let line = self.run.refused(connection, number, open, kind);
        (line["at_us"], line["failed_us"]) = (json!(self.now), json!(known));
        (line["local_port"], line["dialling"]) = (json!(port), json!(dialling));
        line["dial_us"]["greeting"] = json!(greeted);
        line["failure"] = failure(kind, stage, "it failed: probably so", said);
        self.workers[worker].refused = Some((connection, number));
    }

    fn works(&mut self, worker: usize, connection: u32) {
        let it = operation(connection, 1, "use-default", "default");
        match self.random.below(8) {
            0..4 => drop(self.operates(worker, it)),
            4..6 => {
                let (kind, said, spoke) = ENDS[*self.random.pick(&self.ends)];
                if kind != "server-no" {
                    self.closes(worker, connection, "discarded", None);
                }
                let stage = *self.random.pick(&["operation", "operation", "wait"]);
                let line = self.operates(worker, failed(it, failure(kind, stage, "it failed", said)));
                if !spoke {
                    line["commands"] = json!([]);
                }
            }
            6 => match self.random.below(4) {
                0 => self.closes(worker, connection, "logged-out", None),
                1 => self.closes(worker, connection, "hung-up", Some(failure("closed", "logout", "gone", None))),
                said => {
                    self.closes(worker, connection, "no-logout", Some(silence("timeout")));
                    let goodbye = if said == 2 { json!([{"tag": "a9", "verb": "LOGOUT"}]) } else { json!([]) };
                    self.run.lines.last_mut().unwrap()["commands"] = goodbye;
                }
            },
            // It is left to whoever ends the run.
            _ => self.workers[worker].uses = None,
        }
    }

    fn operates(&mut self, worker: usize, mut it: Value) -> &mut Value {
        let issued = self.workers[worker].since;
        it["worker"] = json!(format!("w{worker}"));
        it["issued_at_us"] = json!(issued);
        it["wait_us"] = json!(self.between(issued) - issued);
        it["at_us"] = json!(self.now);
        if self.run.start()["protocol"] != "imap" {
            it["commands"] = json!([{"tag": "9", "verb": "NOOP"}]);
        }
        self.workers[worker].since = self.now;
        let at = self.now;
        let line = self.run.operate(it);
        line["at_us"] = json!(at);
        line
    }

    fn closes(&mut self, worker: usize, connection: u32, how: &str, why: Option<Value>) {
        let line = self.run.close(connection, how);
        line["at_us"] = json!(self.now);
        line["failure"] = json!(why);
        self.open.remove(&connection);
        self.workers[worker].uses = None;
    }

    /// How the run ends, and what the server has to say of it.
    fn ends(mut self) -> Vec<u8> {
        for connection in self.open.clone() {
            if !self.random.one_in(4) {
                self.closes(0, connection, "logged-out", None);
            }
        }
        self.run.interrupted = self.random.one_in(8).then_some(2);
        let told = |line: &Value| ["session-opened", "session-refused"].iter().any(|it| line["event"] == *it);
        let ports = self.run.lines.iter().filter(|line| told(line) && line["local_port"].is_u64());
        let ports: Vec<Value> = ports.map(|line| line["local_port"].clone()).collect();
        let witnessed = self.random.one_in(2);
        for port in ports.into_iter().filter(|_| witnessed) {
            let read = self.between(0);
            let line = json!({
                "peer_port": port, "run_id": null, "label": self.random.one_in(2).then_some("#7"), "logged_out": false,
                "open": self.random.one_in(9),
                "commands": [{"tag": "a1", "verb": "NOOP", "selected": null, "at_us": read}],
            });
            self.run.enter("witness-session", line)["at_us"] = json!(self.now);
        }
        bytes(&self.run.file())
    }
}

fn silence(kind: &str) -> Value {
    failure(kind, "operation", "the server closed the connection without a word", None)
}

/// Short ones, and some in which much is forgotten on the way.
#[test]
fn a_stream_shows_of_a_random_run_the_same_whenever_the_servers_record_comes() {
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for number in 0..300 {
        let mut story = Story::of(number);
        for _ in 0..if number % 25 == 0 { 1000 } else { 40 } {
            story.step();
        }
        for (id, (_, sentence, _)) in alike(&story.ends(), &format!("story {number}")) {
            let words = sentence.chars().filter(|c| !c.is_ascii_digit()).collect();
            seen.entry(id).or_default().insert(words);
        }
    }
    for (id, ways) in
        [("MC030", 14), ("MC031", 2), ("MC032", 1), ("MC033", 2), ("MC040", 2), ("MC041", 1), ("MC042", 6)]
    {
        assert!(seen.get(id).is_some_and(|said| said.len() >= ways), "{id}: {:#?}", seen.get(id));
    }
}

/// Of dials that are closed without a word those are a limit's that failed before the server's last answer.
#[test]
fn what_failed_at_the_moment_of_the_last_answer_was_not_answered_after() {
    for (answered, count) in [(5999, None), (6000, Some(1)), (6001, Some(2))] {
        let mut run = Written::new("use-default");
        run.open(0);
        for (connection, failed) in [(1, 5999), (2, 6000)] {
            run.create(connection, "default", 1, false);
            let line = run.refused(connection, 1, 1, "closed");
            (line["at_us"], line["failed_us"]) = (json!(failed), json!(failed));
            line["failure"] = silence("closed");
            line["failure"]["stage"] = json!("greeting");
            let mut it = failed_dial(connection);
            it["worker"] = json!("w1");
            run.operate(it)["at_us"] = json!(answered);
        }
        run.operate(operation(0, 1, "use-main", "main"))["at_us"] = json!(answered);
        run.close(0, "logged-out");
        let found = alike(&bytes(&run.file()), &format!("answered at {answered}"));
        assert_eq!(found.get("MC030").map(|(count, ..)| *count), count, "{answered}: {found:#?}");
    }
}

/// An operation that got no session.
fn failed_dial(connection: u32) -> Value {
    let mut it = failed(operation(connection, 1, "use-default", "default"), silence("closed"));
    it["failure"]["stage"] = json!("greeting");
    (it["local_port"], it["commands"]) = (Value::Null, json!([]));
    it
}

/// What the server still has on a port is the newest session there. That an older one was given up excuses none.
#[test]
fn a_session_left_open_on_a_port_that_served_before_is_found() {
    for (reused, left) in [(true, true), (false, false)] {
        let mut run = Written::new("use-default");
        run.create(1, "default", 0, false);
        run.create(2, "default", 1, false);
        run.refused(1, 1, 0, "closed")["local_port"] = json!(port(if reused { 2 } else { 1 }));
        run.open(2);
        run.close(2, "discarded");
        let peer = port(if reused { 2 } else { 1 });
        run.enter(
            "witness-session",
            json!({"peer_port": peer, "run_id": null, "label": "#2", "logged_out": false, "open": true, "commands": []}),
        );
        let found = by_the_judge(&tool::events(&bytes(&run.file())));
        assert_eq!(found.contains_key("MC040"), left, "{found:#?}");
    }
}

/// A run on that server: what is found.
#[track_caller]
fn on(server: &Server, scheme: &str, args: &str) -> Vec<String> {
    let url = format!("{scheme}://joe@{}", server.address);
    let args = ["run", "--server", &url, "--plaintext", "--ops", "noop", "--format", "ndjson"]
        .into_iter()
        .chain(args.split_whitespace());
    let file = end(mailconn(args).env("MAILCONN_PASSWORD", PASSWORD)).stdout;
    alike(file.as_bytes(), &format!("{scheme} {file}")).into_keys().collect()
}

#[test]
fn a_stream_shows_of_a_run_what_the_servers_manners_were() {
    let imap = |answer: &'static str| {
        Server::start(move |peer| {
            peer.sign_in();
            while peer.answer(answer) {}
        })
    };
    let two_at_a_time = Server::start(|peer| {
        if peer.number < 2 {
            peer.send(GREETING);
            obey(peer);
        }
    });
    let busy = "--mode use-default -t 4 -n 4 --pause 20ms";
    assert_eq!(on(&two_at_a_time, "imap", busy), ["MC030"]);
    let full = Server::start(|peer| {
        peer.send(if peer.number < 2 { GREETING } else { "* BYE [LIMIT] at most 2 connections\r\n" });
        obey(peer);
    });
    assert_eq!(on(&full, "imap", busy), ["MC030"]);
    let throttles = imap("{t} BAD Request is throttled. Suggested Backoff Time: 60 milliseconds\r\n");
    assert_eq!(on(&throttles, "imap", "-t 1 -n 3 --mode use-main"), ["MC031"]);
    let counts = Server::smtp(&[("NOOP", "554 Too many nonmail commands\r\n")]);
    assert_eq!(on(&counts, "smtp", "-t 1 -n 3 --mode use-main"), ["MC031"]);
    let locks = Server::pop3(&[
        ("CAPA", "+OK\r\nUSER\r\nRESP-CODES\r\n.\r\n"),
        ("PASS", "-ERR [IN-USE] Mailbox is locked\r\n"),
    ]);
    assert_eq!(on(&locks, "pop3", "-t 2 -n 2 --mode use-default"), ["MC033"]);
    let silent = Server::start(|peer| {
        peer.sign_in();
        peer.line();
        std::thread::sleep(std::time::Duration::from_millis(700));
    });
    assert_eq!(on(&silent, "imap", "-t 1 -n 1 --mode use-main --timeout 200ms"), ["MC041"]);
    let hangs_up = Server::start(|peer| {
        peer.sign_in();
        peer.answer("{t} OK\r\n");
        peer.send("* BYE idle for too long\r\n");
    });
    assert_eq!(on(&hangs_up, "imap", "-t 1 -n 2 --pause 300ms --mode use-main"), ["MC042"]);
}

/// The most that the detectors of limits and of connections hold, in each quarter of a run: as text.
fn held(events: &[Event]) -> [usize; 4] {
    let (mut ledger, mut figures) = (Ledger::default(), Figures::default());
    let ours = ALL.iter().filter(|spec| OURS.contains(&spec.id));
    let mut detectors: Vec<Box<dyn Detector>> = ours.map(|spec| (spec.detector)()).collect();
    assert_eq!(detectors.len(), OURS.len());
    let mut most = [0; 4];
    for (number, event) in events.iter().enumerate() {
        ledger.see(event);
        figures.see(event, &ledger);
        detectors.iter_mut().for_each(|detector| detector.see(event, &ledger));
        for refused in figures.sessions.take_settled() {
            detectors.iter_mut().for_each(|detector| detector.refused(&refused, &ledger));
        }
        if number % 397 == 0 {
            let held: usize = detectors.iter().map(|detector| format!("{detector:?}").len()).sum();
            let quarter = &mut most[number * 4 / events.len()];
            *quarter = held.max(*quarter);
        }
    }
    most
}

/// However many are refused, and however many sessions come and go, with and without an answer in between.
#[test]
fn what_is_found_takes_no_more_memory_in_a_long_run() {
    for answers in [true, false] {
        let mut run = Written::new("use-default");
        run.open(0);
        for connection in 1..=2000 {
            let worker = connection % 2;
            run.create(connection, "default", worker, false);
            let (kind, stage, said) = REFUSALS[connection as usize / 2 % REFUSALS.len()];
            let mut it = operation(connection, u64::from(connection), "use-default", "default");
            it["worker"] = json!(format!("w{worker}"));
            if answers && connection / 2 % 2 == 0 {
                let line = run.open(connection);
                line["began_us"] = line["at_us"].clone();
                run.operate(it);
                run.close_by(connection, "hung-up", failure("closed", "logout", "gone", None));
            } else {
                let line = run.refused(connection, 1, 1, kind);
                line["failure"] = failure(kind, stage, "it failed", said);
                line["local_port"] = json!(2000 + connection % 50);
                let mut it = failed(it, failure(kind, stage, "it failed", said));
                (it["local_port"], it["commands"]) = (Value::Null, json!([]));
                run.operate(it);
            }
            run.dispose(connection, "broken");
        }
        let [_, second, _, last] = held(&tool::events(&bytes(&run.file())));
        assert!(last <= second + second / 10, "{second}, then {last}");
        alike(&bytes(&run.file()), "a long run");
    }
}
