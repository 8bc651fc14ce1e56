//! A probe's file written by hand, step after step.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::tool;
use crate::support::written::{Written, bytes, failed, failure, numbered, operation};

/// The server's words of a limit of ten.
pub const USERIP: &str =
    "NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=7)";

/// Words that go for a count and for a rate.
pub const VAGUE: &str = "NO Too many connections from 192.0.2.7";

/// A probe's lines, but the last.
pub struct Probing {
    pub written: Written,
    next: u32,
    /// The connections that are open, and how many commands each carried.
    open: Vec<(u32, u32)>,
    operations: u64,
    protocol: &'static str,
    /// What comes next comes so much later.
    rest_us: u64,
    pace_us: u64,
    hold_us: u64,
    need: Option<u64>,
    /// The connections that were asked since the step began, or since its dial; and whether it dialled, and all is well with those
    /// that are open.
    asked: BTreeSet<u32>,
    phase: String,
    dialled: bool,
    is_silent: bool,
}

impl Probing {
    /// One of at most `max` connections, which holds for 61 s.
    pub fn new(protocol: &'static str, max: u64) -> Self {
        let mut written = Written::new("use-main-or-default");
        written.threads(1);
        let start = written.start();
        for (name, value) in [
            ("server", json!(format!("{protocol}://ann@mail.example.org:143"))),
            ("protocol", json!(protocol)),
            ("seed", Value::Null),
            ("asked", Value::Null),
            ("mix", Value::Null),
            ("mailboxes", json!([])),
            ("scripted", json!(true)),
            ("probe", json!({"max": max, "pace_us": 0, "hold_us": 61_000_000, "bare_close": false})),
        ] {
            start[name] = value;
        }
        let (rest_us, pace_us, hold_us) = (0, 0, 61_000_000);
        Self {
            written,
            next: 1,
            open: Vec::new(),
            operations: 0,
            protocol,
            rest_us,
            pace_us,
            hold_us,
            need: None,
            asked: BTreeSet::new(),
            phase: String::new(),
            dialled: false,
            is_silent: false,
        }
    }

    /// It also closes one without a goodbye.
    pub fn bare_close(mut self) -> Self {
        self.written.start()["probe"]["bare_close"] = json!(true);
        self
    }

    /// It holds for so long instead.
    pub fn hold(mut self, hold_us: u64) -> Self {
        self.written.start()["probe"]["hold_us"] = json!(hold_us);
        self.hold_us = hold_us;
        self
    }

    /// It rests between two connections.
    pub fn pace(mut self, pace_us: u64) -> Self {
        self.written.start()["probe"]["pace_us"] = json!(pace_us);
        self.pace_us = pace_us;
        self
    }

    pub fn need(mut self, need: u64) -> Self {
        self.need = Some(need);
        self
    }

    fn imap(&self) -> bool {
        self.protocol == "imap"
    }

    fn tag(&self, number: u32) -> Value {
        if self.imap() { json!(format!("a{number}")) } else { json!(number.to_string()) }
    }

    pub fn step(mut self, phase: &str, attempt: u32) -> Self {
        if self.dialled {
            let all = self.phase == "count" && self.imap();
            let newest = self.next - 1;
            self.ask_rest(|connection| all || connection == newest);
        }
        self.asked.clear();
        (self.phase, self.dialled) = (phase.to_owned(), false);
        self.written.enter("probe-step", json!({"phase": phase, "attempt": attempt}));
        self.rest_us = match phase {
            "hold" => self.hold_us,
            "count" if attempt > 1 => self.pace_us,
            // A pace, a dial and a look are as far apart as any two were let in.
            "confirm" => 2 * (self.pace_us + 62_000),
            _ => 0,
        };
        self
    }

    fn close_newest(&mut self, cause: &str) -> (u32, u32) {
        let (connection, carried) = self.open.pop().unwrap();
        self.written.dispose(connection, cause);
        (connection, carried)
    }

    /// Signs out of the newest, and rests.
    fn sign_out(&mut self, cause: &str) {
        let (connection, carried) = self.close_newest(cause);
        let tag = self.tag(carried + 1);
        let verb = if self.imap() { "LOGOUT" } else { "QUIT" };
        let line = self.written.close(connection, "logged-out");
        line["commands"] = json!([{"tag": tag, "verb": verb}]);
        line["carried"] = json!(carried + 1);
        (line["bytes_sent"], line["bytes_received"]) = (json!(1000), json!(1000));
    }

    /// A step that signs out of one, and waits two seconds.
    pub fn release(self) -> Self {
        self.release_after(2_000_000)
    }

    /// The same, with a wait that the server asked for.
    pub fn release_after(mut self, rest_us: u64) -> Self {
        self = self.step("release", 1);
        self.sign_out("by-hand");
        self.rest_us = rest_us;
        self
    }

    /// The next one: 28 seconds more.
    pub fn release_again(mut self) -> Self {
        self = self.step("release", 2);
        self.rest_us = 28_000_000;
        self
    }

    /// One more, with nothing given back.
    pub fn confirm(self) -> Self {
        self.step("confirm", 1).all_answer()
    }

    /// One more, with another one given back, after two seconds.
    pub fn repeat(self) -> Self {
        self.repeat_after(2_000_000)
    }

    /// The same, after as long as the slot took to come free.
    pub fn repeat_after(mut self, rest_us: u64) -> Self {
        self = self.step("repeat", 1);
        self.sign_out("by-hand");
        self.rest_us = rest_us;
        self
    }

    /// The same, after a wait that the server asked for.
    pub fn confirm_after(mut self, rest_us: u64) -> Self {
        self = self.confirm();
        self.rest_us = rest_us;
        self
    }

    /// The next one after a bare close: 28 seconds more.
    pub fn bare_again(mut self) -> Self {
        self = self.step("bare-close", 2);
        self.rest_us = 28_000_000;
        self
    }

    /// A step that closes one without a goodbye, and waits two seconds.
    pub fn close_bare(mut self) -> Self {
        self = self.step("bare-close", 1);
        let (connection, carried) = self.close_newest("broken");
        // A broken one is dropped as soon as its place is no more.
        let line = self.written.close(connection, "discarded");
        line["carried"] = json!(carried);
        (line["bytes_sent"], line["bytes_received"]) = (json!(1000), json!(1000));
        self.rest_us = 2_000_000;
        self
    }

    /// Looks at those that are due, and were not looked at.
    fn ask_rest(&mut self, is_due: impl Fn(u32) -> bool) {
        for at in 0..self.open.len() {
            let (connection, _) = self.open[at];
            if !self.is_silent && is_due(connection) && !self.asked.contains(&connection) {
                self.noop(at, None);
            }
        }
    }

    fn create(&mut self) -> u32 {
        if self.imap() && matches!(&*self.phase, "hold" | "confirm") {
            self.ask_rest(|_| true);
        }
        self.asked.clear();
        self.dialled = true;
        let connection = self.next;
        self.next += 1;
        let rest = std::mem::take(&mut self.rest_us);
        let line = self.written.create(connection, "independent", 0, true);
        line["at_us"] = json!(line["at_us"].as_u64().unwrap() + rest);
        connection
    }

    /// A dial that is let in, after so much time.
    pub fn let_in_after(mut self, took_us: u64) -> Self {
        let connection = self.create();
        let began = self.written.lines.last().unwrap()["at_us"].as_u64().unwrap();
        let line = self.written.open(connection);
        line["began_us"] = json!(began);
        line["at_us"] = json!(began + took_us);
        line["signed_in_us"] = json!(began + took_us);
        line["dial_us"]["sign_in"] = json!(took_us);
        if connection == 1 {
            let greeting = json!({"line": "* OK [CAPABILITY IMAP4rev1] Dovecot ready."});
            self.written.enter("server-greeted", greeting);
        }
        self.open.push((connection, 0));
        self
    }

    pub fn let_in(self) -> Self {
        self.let_in_after(12_000)
    }

    /// A dial that is refused.
    pub fn refused(mut self, kind: &str, stage: &str, line: Option<&str>) -> Self {
        let connection = self.create();
        let began = self.written.lines.last().unwrap()["at_us"].as_u64().unwrap();
        let open = self.open.len() as u32;
        let event = self.written.refused(connection, 1, open, kind);
        let at = began + 7000;
        (event["at_us"], event["failed_us"]) = (json!(at), json!(at));
        event["sign_in_attempted"] = json!(stage == "auth");
        // What it did not come to took no time.
        let came_to = |phase: &str| match phase {
            "connect" => !matches!(stage, "resolve" | "connect"),
            _ => matches!(stage, "auth"),
        };
        for phase in ["connect", "greeting"] {
            event["dial_us"][phase] = if came_to(phase) { json!(1000) } else { Value::Null };
        }
        event["failure"] = failure(kind, stage, "it was refused", line);
        self.written.dispose(connection, "never-opened");
        self
    }

    /// By Dovecot's limit.
    pub fn over(self) -> Self {
        self.refused("limit-connections", "auth", Some(USERIP))
    }

    /// In words that do not say what is counted.
    pub fn vague(self) -> Self {
        self.refused("limit-connections", "auth", Some(VAGUE))
    }

    /// The one that was let in just now has its first command refused, and is signed out.
    pub fn unserved(mut self, kind: &str, line: &str) -> Self {
        let newest = self.open.len() - 1;
        self.noop(newest, Some(failure(kind, "operation", "it was refused", Some(line))));
        self.sign_out("by-hand");
        self
    }

    /// The command of that one of the open ones is refused, and it lives on.
    pub fn held_unserved(mut self, number: usize, kind: &str, line: &str) -> Self {
        self.is_silent = true;
        self.noop(number, Some(failure(kind, "operation", "it was refused", Some(line))));
        self
    }

    /// That one of the open ones does not answer, and is given up.
    pub fn silent(mut self, number: usize) -> Self {
        for at in 0..number {
            self.noop(at, None);
        }
        let why = failure("timeout", "operation", "no answer within 30 s", None);
        self.is_silent = true;
        self.dropped(number, why);
        self.open.remove(number);
        self
    }

    /// That one of the open ones has not answered when the probe is interrupted.
    pub fn called_off(mut self, number: usize) -> Self {
        self.is_silent = true;
        let why = failure("disposed", "operation", "cancelled: the connections were told to end", None);
        self.dropped(number, why);
        self.open.remove(number);
        self
    }

    /// The newest is ended, a moment after it was let in and answered.
    pub fn lost_newest(mut self) -> Self {
        let newest = self.open.len() - 1;
        self.noop(newest, None);
        let bye = failure("limit-connections", "operation", "it said goodbye", Some("* BYE Too many connections"));
        self.dropped(newest, bye);
        self.open.pop();
        self
    }

    /// The server is seen to have closed that one of the open ones.
    pub fn gone(mut self, number: usize) -> Self {
        self.hung_up(number, failure("closed", "logout", "the server closed the connection without a word", None));
        self.open.remove(number);
        self
    }

    /// The same, with a last line.
    pub fn gone_with(mut self, number: usize, line: &str) -> Self {
        self.hung_up(number, failure("server-bye", "logout", "the server ended the session", Some(line)));
        self.open.remove(number);
        self
    }

    /// All that are open answer.
    pub fn all_answer(mut self) -> Self {
        if self.imap() {
            for at in 0..self.open.len() {
                self.noop(at, None);
            }
        }
        self
    }

    fn noop(&mut self, at: usize, lost: Option<Value>) {
        self.open[at].1 += 1;
        self.operations += 1;
        let (connection, tag) = self.open[at];
        self.asked.insert(connection);
        let known = self.written.known();
        let mut noop = operation(connection, known, "use-main-or-default", "explicit");
        noop["number"] = json!(self.operations);
        noop["passed"] = json!(format!("#{connection}"));
        noop["commands"][0]["tag"] = self.tag(tag);
        noop["issued_at_us"] = self.written.lines.last().unwrap()["at_us"].clone();
        if let Some(failure) = lost {
            noop = failed(noop, failure);
            noop["failed_command"] = json!("NOOP");
        }
        self.written.operate(noop);
    }

    /// The look finds that the server has ended that one of the open ones; the others answer.
    pub fn lost(self, number: usize) -> Self {
        self.lost_with(number, "limit-connections", Some("* BYE Too many connections"))
    }

    /// The same, in that way.
    pub fn lost_with(mut self, number: usize, kind: &str, line: Option<&str>) -> Self {
        for at in 0..self.open.len() {
            if self.imap() && at != number {
                self.noop(at, None);
            }
        }
        if self.imap() {
            self.dropped(number, failure(kind, "operation", "it said goodbye", line));
        } else {
            return self.gone(number);
        }
        self.open.remove(number);
        self
    }

    /// The command of that one fails, and the session is given up for it.
    fn dropped(&mut self, number: usize, why: Value) {
        let (connection, carried) = self.open[number];
        let known = self.written.known();
        self.written.dispose(connection, "broken");
        let line = self.written.close(connection, "discarded");
        line["carried"] = json!(carried + 1);
        (line["bytes_sent"], line["bytes_received"]) = (json!(1000), json!(1000));
        self.noop(number, Some(why));
        let noop = self.written.lines.last_mut().unwrap();
        noop["issued_after"] = json!(known);
        noop["issued_at_us"] = json!(noop["at_us"].as_u64().unwrap() - 3000);
    }

    fn hung_up(&mut self, number: usize, gone: Value) {
        let (connection, carried) = self.open[number];
        self.written.dispose(connection, "by-hand");
        let line = self.written.close_by(connection, "hung-up", gone);
        line["carried"] = json!(carried);
        (line["bytes_sent"], line["bytes_received"]) = (json!(1000), json!(1000));
    }

    /// So many are let in, and answer.
    pub fn count(mut self, to: u32) -> Self {
        for attempt in 1..=to {
            self = self.step("count", attempt).let_in().all_answer();
        }
        self
    }

    /// Signs out of all: the file.
    pub fn end(self) -> Vec<Value> {
        self.step("end", 1).ends()
    }

    /// Ends here.
    pub fn ends(mut self) -> Vec<Value> {
        self.written.dispose(0, "client-closed");
        while !self.open.is_empty() {
            self.sign_out("client-closed");
        }
        let mut lines = self.written.file();
        named(&mut lines);
        if let Some(need) = self.need {
            lines.last_mut().unwrap()["judged_by"]["need"] = json!(need);
            tool::end(&mut lines);
        }
        lines
    }

    pub fn interrupted(mut self) -> Vec<Value> {
        self.written.interrupted = Some(2);
        self.ends()
    }
}

/// Each line names its step.
pub fn named(lines: &mut [Value]) {
    let mut step = Value::Null;
    for line in lines {
        if line["event"] == "probe-step" {
            step = json!(format!("{}#{}", line["phase"].as_str().unwrap(), line["attempt"]));
        }
        if !step.is_null() {
            line["step"] = step.clone();
        }
    }
}

/// The lines again after they were changed: numbered, each in its step, and with an end that says what they come to.
pub fn again(lines: Vec<Value>) -> Vec<Value> {
    let mut lines = numbered(lines);
    named(&mut lines);
    tool::end(&mut lines);
    lines
}

/// What the end says that was found out.
pub fn limits(lines: &[Value]) -> &Value {
    &lines.last().unwrap()["limits"]
}

#[track_caller]
pub fn holds(lines: &[Value]) {
    assert_eq!(tool::doubts(&bytes(lines)), [""; 0]);
}

/// Files of probes in which each figure of one is there once at least.
pub fn probes() -> Vec<String> {
    let full =
        |line| Probing::new("imap", 32).bare_close().count(2).step("count", 3).refused("limit-rate", "auth", line);
    let wait = Some("NO [LIMIT] at most 2 connections, try again in 5 seconds");
    let probe =
        full(wait).step("hold", 1).refused("limit-rate", "auth", wait).release().over().release_again().let_in();
    let probe = probe.close_bare().over().bare_again().let_in().end();
    vec![
        String::from_utf8(bytes(&probe)).unwrap(),
        String::from_utf8(bytes(&Probing::new("pop3", 2).count(2).end())).unwrap(),
    ]
}
