//! The course of events in the form of Chrome's tracing, which Perfetto reads too: a process for each connection, in it a thread
//! for each worker, and a process of their own for the waits. All stand on one clock: the runs of a comparison lie one behind
//! the other, as they did, and so do reports that are told again together.
//!
//! It is a stream: a reader takes one that was cut, too, since the array's end may be missing. What is on one track never
//! overlaps: a worker does one thing at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Value, json};

use super::format::{Form, Live, Spec};
use super::model::Told;
use crate::allocator::ConnectionId;
use crate::event::{Event, HowClosed, Micros, Operation, RunStart, SessionClosed, SessionOpened, SessionRefused, What, Within, WorkerId};

pub(super) const SPEC: Spec = Spec {
    name: "trace-events",
    purpose: "Slices for chrome://tracing or ui.perfetto.dev, as they end",
    ending: None,
    form: Form::Live(|_| Box::<Stream>::default()),
};

/// The numbers of processes that each client has to itself.
const PROCESSES: u64 = 1_000_000;

#[derive(Default)]
struct Stream {
    begun: bool,
    clock: Clock,
    /// How many clients there were.
    clients: u64,
    /// By the client's name in its scenario. A comparison's runs come one after the other, and each is a client of its own.
    courses: BTreeMap<Option<String>, Course>,
}

/// The clock of all that is told.
#[derive(Default)]
struct Clock {
    /// When the run, the scenario or the comparison that is told of began, by the wall clock and by this one.
    began: Option<(SystemTime, u64)>,
    /// The end of the last slice so far.
    latest: u64,
}

/// One client's course.
#[derive(Default)]
struct Course {
    first_process: u64,
    /// When it began, by the clock of all.
    began: u64,
    /// Whose it is, to be put behind a name: ` of A`. Empty where there is no other client.
    whose: String,
    start: Option<Box<RunStart>>,
    /// The workers that have a track in the process of each connection that is there.
    named: BTreeMap<ConnectionId, BTreeSet<Option<WorkerId>>>,
    /// The workers that have one among the waits.
    waiting: BTreeSet<WorkerId>,
    /// When the last slice of each worker ended, with a connection and without.
    ended: BTreeMap<(Option<WorkerId>, bool), u64>,
}

/// A line of the array.
#[derive(Serialize)]
struct Line<'a> {
    ph: &'static str,
    name: &'a str,
    pid: u64,
    tid: u64,
    ts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<u64>,
    /// How far an instant's mark reaches: over its process.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    args: Value,
}

impl Live for Stream {
    fn see(&mut self, within: Within<'_>, event: &Event, text: &mut Vec<u8>) {
        match &event.what {
            What::ScenarioStart(start) => self.clock.restart(start.started),
            What::ComparisonStart(start) => self.clock.restart(start.started),
            What::RunStart(start) => self.begin(within, start),
            _ => {}
        }
        let Some(course) = self.courses.get_mut(&within.client.map(str::to_owned)) else { return };
        course.see(event, &mut |line: Line<'_>| {
            text.extend_from_slice(if self.begun { b",\n" } else { b"[\n" });
            self.begun = true;
            self.clock.latest = self.clock.latest.max(line.ts + line.dur.unwrap_or_default());
            // String keys and plain numbers: nothing in a line can fail to serialise.
            let _ = serde_json::to_writer(&mut *text, &line);
        });
    }

    fn over(&mut self, _: &Told, _: &mut Vec<u8>) {}

    fn end(&mut self, text: &mut Vec<u8>) {
        text.extend_from_slice(if self.begun { b"\n]\n" } else { b"[]\n" });
    }
}

impl Stream {
    fn begin(&mut self, within: Within<'_>, start: &RunStart) {
        let whose = match (within.run, within.client) {
            (Some(run), _) => format!(" of {} in round {}", run.variant, run.round),
            (None, Some("")) => String::new(),
            (None, None) if self.clients == 0 => String::new(),
            (None, None) => format!(" of {}", start.run_id),
            (None, Some(client)) => format!(" of {client}"),
        };
        if within.run.is_none() && within.client.is_none() {
            self.clock.restart(start.started);
        }
        let course = Course {
            first_process: self.clients * PROCESSES + 1,
            began: self.clock.at(start.started),
            whose,
            start: Some(Box::new(start.clone())),
            ..Course::default()
        };
        self.clients += 1;
        self.courses.insert(within.client.map(str::to_owned), course);
    }
}

impl Clock {
    /// Something that began then is told from now on: behind what was told before.
    fn restart(&mut self, started: SystemTime) {
        self.began = Some((started, self.latest));
    }

    fn at(&self, started: SystemTime) -> u64 {
        let Some((first, at)) = self.began else { return self.latest };
        // The wall clock may have been set back meanwhile.
        at + Micros::from(started.duration_since(first).unwrap_or_default()).0
    }
}

/// Says what a process or a track is called.
fn named<'a>(what: &'a str, pid: u64, tid: u64, name: &str) -> Line<'a> {
    Line { ph: "M", name: what, pid, tid, ts: 0, dur: None, s: None, args: json!({ "name": name }) }
}

impl Course {
    fn see(&mut self, event: &Event, write: &mut impl FnMut(Line<'_>)) {
        match &event.what {
            What::RunStart(_) => {
                let pid = self.first_process;
                write(named("process_name", pid, 0, &format!("waits{}", self.whose)));
                write(Line { args: json!({ "sort_index": -1 }), ..named("process_sort_index", pid, 0, "") });
            }
            What::SessionOpened(it) => self.opened(it, write),
            What::SessionRefused(it) => self.refused(it, write),
            What::SessionClosed(it) => self.closed(it, event.at, write),
            What::ConnectionDisposed(it) => drop(self.named.remove(&it.connection)),
            What::Operation(it) => self.operation(it, write),
            What::ModeChanged(it) => {
                let name = format!("mode {} from now on", it.to);
                let (pid, ts) = (self.first_process, self.began + event.at.0);
                write(Line { ph: "i", name: &name, pid, tid: 0, ts, dur: None, s: Some("g"), args: json!({}) });
            }
            _ => {}
        }
    }

    fn opened(&mut self, it: &SessionOpened, write: &mut impl FnMut(Line<'_>)) {
        let args = json!({ "session": it.session.to_string(), "port": it.local_port, "phases_us": it.dial_us });
        let (pid, tid) = self.track(it.connection, it.worker, write);
        self.slice((pid, tid), it.worker, "dial", (it.began_us, it.signed_in_us), args, write);
    }

    fn refused(&mut self, it: &SessionRefused, write: &mut impl FnMut(Line<'_>)) {
        let args = json!({ "session": it.session.to_string(), "failure": it.failure.to_string(), "phases_us": it.dial_us });
        let (pid, tid) = self.track(it.connection, it.worker, write);
        let began = Micros(it.failed_us.0.saturating_sub(it.took_us.0));
        let name = format!("refused: {}", it.failure.kind);
        self.slice((pid, tid), it.worker, &name, (began, it.failed_us), args, write);
    }

    fn closed(&mut self, it: &SessionClosed, at: Micros, write: &mut impl FnMut(Line<'_>)) {
        if it.closed == HowClosed::LoggedOut {
            return;
        }
        let (pid, tid) = self.track(it.connection, None, write);
        let failure = it.failure.as_ref().map(ToString::to_string);
        let args = json!({ "session": it.session.to_string(), "failure": failure });
        write(Line { ph: "i", name: it.closed.name(), pid, tid, ts: self.began + at.0, dur: None, s: Some("p"), args });
    }

    fn operation(&mut self, it: &Operation, write: &mut impl FnMut(Line<'_>)) {
        let args = json!({
            "operation": it.number,
            "mailbox": it.mailbox,
            "answered_by": it.answered_by.as_ref().and_then(|answer| answer.mailbox.clone()),
            "mode": it.mode.name(),
            "reason": it.reason.map(|reason| reason.to_string()),
            "session": it.session.map(|session| session.to_string()),
            "task": it.task.map(|task| task.to_string()),
            "failure": it.failure.as_ref().map(ToString::to_string),
        });
        let worker = it.worker;
        if it.wait_us > Micros::ZERO {
            let (pid, tid) = (self.first_process, u64::from(worker.0) + 1);
            if self.waiting.insert(worker) {
                write(named("thread_name", pid, tid, &self.called(Some(worker))));
            }
            let of = it.connection.map_or_else(String::new, |connection| format!(" for {connection}"));
            let name = format!("wait{of}");
            let ended = self.ended.entry((Some(worker), false)).or_default();
            let (began, end) = fitted(ended, (it.issued_at_us, it.issued_at_us + it.wait_us));
            write(Line { ph: "X", name: &name, pid, tid, ts: self.began + began, dur: Some(end - began), s: None, args: json!({ "operation": it.number }) });
        }
        let Some(connection) = it.connection.filter(|_| it.local_port.is_some()) else { return };
        let (pid, tid) = self.track(connection, Some(worker), write);
        self.slice((pid, tid), Some(worker), it.name, it.in_use(), args, write);
    }

    fn slice(
        &mut self,
        (pid, tid): (u64, u64),
        worker: Option<WorkerId>,
        name: &str,
        times: (Micros, Micros),
        args: Value,
        write: &mut impl FnMut(Line<'_>),
    ) {
        let (began, end) = fitted(self.ended.entry((worker, true)).or_default(), times);
        write(Line { ph: "X", name, pid, tid, ts: self.began + began, dur: Some(end - began), s: None, args });
    }

    /// The process and the thread, both named.
    fn track(&mut self, connection: ConnectionId, worker: Option<WorkerId>, write: &mut impl FnMut(Line<'_>)) -> (u64, u64) {
        let pid = self.first_process + 1 + u64::from(connection.0);
        let tid = worker.map_or(0, |worker| u64::from(worker.0) + 1);
        let called = self.called(worker);
        let tracks = self.named.entry(connection).or_default();
        if tracks.is_empty() {
            write(named("process_name", pid, 0, &format!("connection {connection}{}", self.whose)));
        }
        if tracks.insert(worker) {
            write(named("thread_name", pid, tid, &called));
        }
        (pid, tid)
    }

    fn called(&self, worker: Option<WorkerId>) -> String {
        match (&self.start, worker) {
            (Some(start), Some(worker)) => start.worker_name(worker).to_string(),
            _ => "nobody".to_owned(),
        }
    }
}

/// The times, beginning no sooner than the last slice ended: each was rounded by itself.
fn fitted(ended: &mut u64, (began, end): (Micros, Micros)) -> (u64, u64) {
    let began = began.0.max(*ended);
    let end = end.0.max(began);
    *ended = end;
    (began, end)
}
