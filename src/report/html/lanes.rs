//! The lanes: one for each connection, and the same transposed, one for each worker.
//!
//! A lane is a row of a table. Its picture stretches with the page: what has a place in time is a path in units of its own,
//! and words and marks stand at percentages, so that they keep their form. All is placed by attributes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use maud::{Markup, html};

use super::course::{Course, Op};
use super::paint::{self, LOOK, QUIET, Track, WRONG};
use super::signs::said;
use crate::allocator::ConnectionId;
use crate::event::{Finding, HowClosed, Lock, Micros, WorkerId};
use crate::report::words::{count, many, span};

/// The whole time is so many units.
const UNITS: f64 = 100_000.0;
/// What is shorter is drawn so long.
const SHORTEST: f64 = 40.0;
/// The most lanes.
const LANES: usize = 48;
/// The most rows of operations in a lane: where they overlap.
const ROWS: usize = 6;
/// Between two rows of a lane.
const GAP: usize = 3;
/// The room for marks, and above a lane that has none.
const MARKS: usize = 12;
const NONE: usize = 4;
/// The room for the line of those that wait.
const LINE: usize = 14;
/// The most words in a lane.
const WORDS: usize = 40;
/// The most marks in a lane that say what they are; what is wrong beyond is a tick.
const SAID: usize = 100;

/// A client's course as it is drawn.
pub(super) struct Picture<'a> {
    course: &'a Course,
    /// What names on this page begin with.
    page: &'a str,
    mailboxes: Vec<&'a str>,
    /// The findings that name an operation as their evidence.
    evidence: BTreeMap<u64, &'a str>,
    pub(super) connections: Vec<ConnectionId>,
    pub(super) workers: Vec<WorkerId>,
}

/// Where an operation stands: its row in its connection's lane.
pub(super) type Rows = BTreeMap<u64, usize>;

impl<'a> Picture<'a> {
    pub(super) fn of(course: &'a Course, page: &'a str, findings: &'a [Finding]) -> Self {
        let mut mailboxes: Vec<&str> = course.start.iter().flat_map(|start| start.mailboxes.iter().map(|name| &**name)).collect();
        let others = course.selected.values().flatten().filter_map(|it| it.mailbox.as_deref());
        let others = others.chain(course.operations.iter().filter_map(|op| op.mailbox.as_deref()));
        for other in others {
            if mailboxes.len() < 64 && !mailboxes.contains(&other) {
                mailboxes.push(other);
            }
        }
        let evidence = findings.iter().flat_map(|finding| {
            finding.evidence.iter().flat_map(|piece| numbers(piece)).map(|number| (number, &*finding.id))
        });
        let evidence = evidence.collect();
        let mut connections: BTreeMap<ConnectionId, u64> = BTreeMap::new();
        let mut workers: BTreeMap<WorkerId, u64> = BTreeMap::new();
        for op in &course.operations {
            let weight = 1 + 1000 * u64::from(op.is_telling());
            *workers.entry(op.worker).or_default() += weight;
            if let Some(connection) = op.connection {
                *connections.entry(connection).or_default() += weight;
            }
        }
        for span in &course.sessions {
            let bad = !matches!(span.closed, Some((_, HowClosed::LoggedOut)));
            *connections.entry(span.session.connection).or_default() += 1 + 1000 * u64::from(bad);
        }
        for refusal in &course.refusals {
            *connections.entry(refusal.session.connection).or_default() += 1000;
        }
        let (mut connections, workers) = (heaviest(&connections), heaviest(&workers));
        // Main first, then each worker's own, in the order of the workers.
        connections.sort_by_key(|connection| {
            let owner = course.kinds.get(connection).and_then(|(_, owner)| *owner);
            (*connection != ConnectionId::MAIN, owner, *connection)
        });
        Self { course, page, mailboxes, evidence, connections, workers }
    }

    pub(super) fn track(&self, connection: ConnectionId) -> Track {
        let known = self.course.kinds.get(&connection);
        Track::connection(connection, known.map(|(kind, _)| *kind), known.and_then(|(_, owner)| *owner))
    }

    pub(super) fn mailbox(&self, name: &str) -> Option<usize> {
        self.mailboxes.iter().position(|it| *it == name)
    }

    pub(super) fn mailboxes(&self) -> &[&'a str] {
        &self.mailboxes
    }

    /// The lanes of connections.
    pub(super) fn by_connection(&self) -> (Markup, Rows) {
        let mut rows = Rows::new();
        let mut of: BTreeMap<ConnectionId, Vec<&Op>> = BTreeMap::new();
        for op in self.course.operations.iter().filter(|op| op.session.is_some()) {
            of.entry(op.connection.unwrap_or(ConnectionId::MAIN)).or_default().push(op);
        }
        let lanes: Vec<Markup> = self
            .connections
            .iter()
            .map(|connection| self.connection(*connection, of.remove(connection).unwrap_or_default(), &mut rows))
            .collect();
        let all: BTreeSet<ConnectionId> = self.course.kinds.keys().copied().collect();
        let hidden = all.iter().filter(|it| !self.connections.contains(it) && **it != ConnectionId::MAIN).count();
        let markup = html! {
            (self.table("connection", &lanes))
            @if hidden > 0 {
                p.note { "… " (many(hidden as u64, "more connection")) " not drawn: these are the first, and those on which something went wrong." }
            }
        };
        (markup, rows)
    }

    /// The lanes of workers.
    pub(super) fn by_worker(&self) -> Markup {
        let mut of: BTreeMap<WorkerId, Vec<&Op>> = BTreeMap::new();
        for op in &self.course.operations {
            of.entry(op.worker).or_default().push(op);
        }
        let all = self.course.start.as_ref().map_or(0, |start| start.workers.len()).max(of.len());
        let lanes: Vec<Markup> =
            self.workers.iter().map(|worker| self.worker(*worker, of.remove(worker).unwrap_or_default())).collect();
        let hidden = all.saturating_sub(lanes.len());
        html! {
            (self.table("worker", &lanes))
            @if hidden > 0 {
                p.note { "… " (many(hidden as u64, "more worker")) " not drawn: they did nothing, or nothing that stands out." }
            }
        }
    }

    fn table(&self, of: &str, lanes: &[Markup]) -> Markup {
        html! {
            table.lanes width="100%" cellspacing="0" cellpadding="2" data-by=(of) {
                (self.axis())
                @for lane in lanes { (lane) }
            }
        }
    }

    /// A line of times, and of the modes if there were several.
    fn axis(&self) -> Markup {
        let end = self.course.end.0.max(1);
        let step = nice(end / 4);
        let modes = if self.course.modes.len() > 1 { 15 } else { 0 };
        let ticks: Vec<u64> = (0..=end / step).map(|at| at * step).take(12).collect();
        html! {
            tr.axis {
                th width="100" align="left" scope="col" { "" }
                td {
                    svg width="100%" height=(16 + modes) {
                        svg.zoom x="0" width="100%" height=(16 + modes) overflow="visible" {
                            @if modes > 0 {
                                @for (at, mode) in &self.course.modes {
                                    @let x = self.percent(*at);
                                    line x1=(x) x2=(x) y1="16" y2="30" stroke="currentColor" {}
                                    text x=(x) dx="4" y="27" font-size="10" font-family="sans-serif" fill="currentColor" { (mode.name()) }
                                }
                            }
                            @for at in ticks {
                                @let x = percent(at, end);
                                line x1=(x) x2=(x) y1="11" y2="16" stroke=(QUIET) {}
                                text x=(x) y="9" font-size="10" font-family="sans-serif" fill=(QUIET) text-anchor=(if at == 0 { "start" } else if at * 20 > end * 19 { "end" } else { "middle" }) {
                                    (if at == 0 { "0".to_owned() } else { short_span(Micros(at)) })
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn x(&self, at: Micros) -> f64 {
        at.0 as f64 / self.course.end.0.max(1) as f64 * UNITS
    }

    fn bar(&self, path: &mut String, (from, to): (Micros, Micros), y: usize, height: usize) {
        let x = self.x(from);
        let width = (self.x(to) - x).max(SHORTEST);
        // A string takes what is written to it.
        let _ = write!(path, "M{x:.0} {y}h{width:.0}v{height}h-{width:.0}z");
    }

    fn percent(&self, at: Micros) -> String {
        percent(at.0, self.course.end.0.max(1))
    }

    fn connection(&self, connection: ConnectionId, mut operations: Vec<&Op>, rows: &mut Rows) -> Markup {
        let course = self.course;
        operations.sort_by_key(|op| op.in_use());
        // A unit has its connection to itself: where times overlap all the same, a thread was late to take its own.
        let packed = match course.start.as_ref().is_some_and(|start| start.lock == Lock::Command) {
            true => packed(&operations, |op| op.in_use()),
            false => vec![0; operations.len()],
        };
        let used = packed.iter().max().map_or(1, |most| most + 1);
        rows.extend(operations.iter().zip(&packed).map(|(op, row)| (op.number, *row)));
        let deepest = course.lines.of(connection).map(|(_, _, depth)| depth).fold(0.0, f64::max);
        let line = if deepest >= 0.5 { LINE } else { 0 };
        let bar = bar(self.connections.len());
        let marks = self.marks(connection, &operations);
        let top = line + if marks.is_some() { MARKS } else { NONE };
        let selected = course.selected.get(&connection);
        let stripe = if selected.is_some() { 8 } else { 0 };
        let body = used * (bar + GAP) - GAP;
        let height = top + body + stripe;

        let (mut alive, mut dialling, mut queue) = (String::new(), String::new(), String::new());
        let sessions = || course.sessions.iter().filter(|span| span.session.connection == connection);
        for span in sessions() {
            let end = span.closed.map_or(course.end, |(at, _)| at);
            self.bar(&mut dialling, (span.began, span.signed_in), top, body);
            self.bar(&mut alive, (span.signed_in, end), top, body);
        }
        if line > 0 {
            for (from, to, depth) in course.lines.of(connection) {
                let high = (depth / deepest * (LINE - 2) as f64).max(1.0);
                let (x, width) = (self.x(from), self.x(to) - self.x(from));
                let _ = write!(queue, "M{x:.0} {}h{width:.0}v-{high:.1}h-{width:.0}z", top - 1);
            }
        }
        let (mut by_worker, mut wrong): (BTreeMap<WorkerId, String>, String) = (BTreeMap::new(), String::new());
        for (op, row) in operations.iter().zip(&packed) {
            let y = top + row * (bar + GAP);
            self.bar(by_worker.entry(op.worker).or_default(), op.in_use(), y, bar);
            if op.is_telling() {
                self.bar(&mut wrong, op.in_use(), y + bar - bar / 3, bar / 3);
            }
        }
        let label = html! {
            b { (connection) } " " (self.kind(connection))
            @if deepest >= 0.5 { br; small.quiet { "up to " (format!("{deepest:.0}")) " wait" } }
        };
        self.lane(&format!("c{}", connection.0), &label, (height, top, bar), &html! {
            svg.zoom x="0" width="100%" height=(height) {
                svg width="100%" height=(height) viewBox=(format!("0 0 {UNITS} {height}")) preserveAspectRatio="none" {
                    @if !alive.is_empty() { path d=(alive) fill=(QUIET) fill-opacity=".18" {} }
                    @if !dialling.is_empty() { path d=(dialling) fill=(QUIET) fill-opacity=".55" {} }
                    @if !queue.is_empty() { path d=(queue) fill=(LOOK) fill-opacity=".55" {} }
                    @if !course.is_whole() { (self.density(course.of_connections.of(connection), top, body)) }
                    @for (worker, d) in &by_worker { path d=(d) fill=(Track::worker(*worker).paint(self.page)) {} }
                    @if !wrong.is_empty() { path d=(wrong) fill=(WRONG) {} }
                    @if selected.is_some() { (self.stripe(connection, height - 5)) }
                }
                (self.words(&operations, &packed, (top, bar), |op| (self.doer(op), Track::worker(op.worker))))
                @if let Some(marks) = marks { (marks) }
            }
        })
    }

    fn worker(&self, worker: WorkerId, mut operations: Vec<&Op>) -> Markup {
        let course = self.course;
        operations.sort_by_key(|op| op.issued);
        let bar = bar(self.workers.len().max(3));
        let marks = self.ticks(&operations, false);
        let top = if marks.is_some() { MARKS } else { NONE };
        let height = top + bar + GAP;
        let (mut by_connection, mut wrong, mut waits, mut dials) =
            (BTreeMap::<ConnectionId, String>::new(), String::new(), String::new(), String::new());
        let mut gaps = Vec::new();
        let y = top;
        for op in &operations {
            if !op.wait.is_zero() {
                let until = op.issued + op.wait;
                self.bar(&mut waits, (op.issued, until), y + bar - 3, 2);
                if op.wait.0 * 100 >= course.end.0 * 8 && gaps.len() < WORDS {
                    gaps.push((op.issued, until, op.wait));
                }
            }
            if !op.dial.is_zero() {
                self.bar(&mut dials, (op.issued + op.wait, op.in_use().0), y, bar);
            }
            match (op.session, op.connection) {
                (Some(_), Some(connection)) => {
                    self.bar(by_connection.entry(connection).or_default(), op.in_use(), y, bar);
                }
                _ => self.bar(&mut wrong, op.in_use(), y, bar),
            }
            if op.is_telling() {
                self.bar(&mut wrong, op.in_use(), y + bar - bar / 3, bar / 3);
            }
        }
        let end = course.end.0.max(1);
        let label = html! { b { (said(&self.called(worker))) } };
        let on = |op: &Op| op.connection.map_or_else(|| (String::new(), Track::Main), |it| (it.to_string(), self.track(it)));
        self.lane(&format!("w{}", worker.0), &label, (height, top, bar), &html! {
            svg.zoom x="0" width="100%" height=(height) {
                svg width="100%" height=(height) viewBox=(format!("0 0 {UNITS} {height}")) preserveAspectRatio="none" {
                    @if !course.is_whole() { (self.density(course.of_workers.of(worker), top, bar)) }
                    @if !waits.is_empty() { path d=(waits) fill=(LOOK) fill-opacity=".6" {} }
                    @if !dials.is_empty() { path d=(dials) fill=(QUIET) fill-opacity=".55" {} }
                    @for (connection, d) in &by_connection { path d=(d) fill=(self.track(*connection).paint(self.page)) {} }
                    @if !wrong.is_empty() { path d=(wrong) fill=(WRONG) {} }
                }
                @for (from, to, wait) in gaps {
                    svg x=(self.percent(from)) y=(y) width=(percent(to.0 - from.0, end)) height=(bar) {
                        text x="50%" y=(bar - 5) font-size="9" font-family="sans-serif" fill=(LOOK) text-anchor="middle" { (short_span(wait)) }
                    }
                }
                (self.words(&operations, &vec![0; operations.len()], (top, bar), on))
                @if let Some(marks) = marks { (marks) }
            }
        })
    }

    /// The script looks for an operation from `top` on, in rows of bars.
    fn lane(&self, name: &str, label: &Markup, (height, top, bar): (usize, usize, usize), picture: &Markup) -> Markup {
        html! {
            tr.lane data-lane=(name) data-top=(top) data-row=(bar + GAP) {
                th width="100" align="left" valign="middle" scope="row" { (label) }
                td valign="middle" { svg width="100%" height=(height) role="img" aria-label=(format!("lane {name}")) { (picture) } }
            }
        }
    }

    /// How busy it was, of all operations, behind those that are drawn.
    fn density(&self, busy: impl Iterator<Item = (Micros, Micros, f64)>, top: usize, height: usize) -> Markup {
        let mut path = String::new();
        for (from, to, part) in busy {
            let high = (part.min(1.0) * height as f64).max(0.5);
            let (x, width) = (self.x(from), self.x(to) - self.x(from));
            let _ = write!(path, "M{x:.0} {}h{width:.0}v-{high:.1}h-{width:.0}z", top + height);
        }
        html! { path d=(path) fill=(QUIET) fill-opacity=".5" {} }
    }

    /// What is selected, as a stripe.
    fn stripe(&self, connection: ConnectionId, y: usize) -> Markup {
        let mut paths: BTreeMap<usize, String> = BTreeMap::new();
        let of = self.course.selected.get(&connection).map(Vec::as_slice).unwrap_or_default();
        let last = self.course.sessions.iter().filter(|it| it.session.connection == connection).filter_map(|it| it.closed).next_back();
        let last = last.map_or(self.course.end, |(at, _)| at);
        for (at, selected) in of.iter().enumerate() {
            let Some(number) = selected.mailbox.as_deref().and_then(|name| self.mailbox(name)) else { continue };
            let until = of.get(at + 1).map_or(last, |next| next.since).max(selected.since);
            self.bar(paths.entry(number).or_default(), (selected.since, until), y, 5);
        }
        html! { @for (number, d) in &paths { path d=(d) fill=(paint::mailbox(*number)) { title { (said(self.mailboxes[*number])) " is selected" } } } }
    }

    /// The names in those operations that have room for them.
    fn words(
        &self,
        operations: &[&Op],
        rows: &[usize],
        (top, bar): (usize, usize),
        name: impl Fn(&Op) -> (String, Track),
    ) -> Markup {
        let end = self.course.end.0.max(1);
        let fitting = operations.iter().zip(rows).filter(|(op, _)| op.session.is_some()).filter_map(|(op, row)| {
            let (from, to) = op.in_use();
            let (word, track) = name(op);
            let word = format!("{} {}", said(&word), op.name);
            let part = (to.0 - from.0) as f64 / end as f64;
            (part >= 0.0065 * word.chars().count() as f64 + 0.006).then_some((from, to, row, word, track))
        });
        html! {
            @for (from, to, row, word, track) in fitting.take(WORDS) {
                svg x=(self.percent(from)) y=(top + row * (bar + GAP)) width=(percent(to.0 - from.0, end)) height=(bar) {
                    text x="4" y=(bar / 2 + 4) font-size="10" font-family="sans-serif" fill=(track.ink()) { (word) }
                }
            }
        }
    }

    /// Marks over a connection's lane: what was refused, what broke, what failed or came from elsewhere.
    fn marks(&self, connection: ConnectionId, operations: &[&Op]) -> Option<Markup> {
        let course = self.course;
        let refused = course.refusals.iter().filter(|it| it.session.connection == connection).map(|it| {
            (it.at, WRONG, CROSS, format!("{} refused: {}", it.session, it.failure))
        });
        let ended = course.sessions.iter().filter(|it| it.session.connection == connection).filter_map(|it| {
            let (at, how) = it.closed?;
            let (colour, form) = match how {
                HowClosed::LoggedOut => return None,
                HowClosed::Discarded => (WRONG, CROSS),
                HowClosed::NoLogout | HowClosed::HungUp => (LOOK, RING),
            };
            let why = it.failure.as_ref().map(|failure| format!(": {failure}")).unwrap_or_default();
            Some((at, colour, form, format!("{} {}{why}", it.session, how.name())))
        });
        let of_sessions: Vec<_> = refused.chain(ended).take(SAID).collect();
        let ticks = self.ticks(operations, true);
        if of_sessions.is_empty() && ticks.is_none() {
            return None;
        }
        Some(html! {
            @for (at, colour, form, text) in of_sessions { (self.mark(at, colour, form, &text, None, None)) }
            @if let Some(ticks) = ticks { (ticks) }
        })
    }

    /// A mark for each operation that failed or came from elsewhere, or is evidence: it leads to the finding.
    fn ticks(&self, operations: &[&Op], is_target: bool) -> Option<Markup> {
        let mut telling: Vec<&&Op> =
            operations.iter().filter(|op| op.is_telling() || self.evidence.contains_key(&op.number)).collect();
        telling.sort_by_key(|op| !self.evidence.contains_key(&op.number));
        if telling.is_empty() {
            return None;
        }
        let rest = telling.split_off(telling.len().min(SAID));
        let mut path = String::new();
        rest.iter().for_each(|op| self.bar(&mut path, (op.in_use().0, op.in_use().0), 2, MARKS - 5));
        Some(html! {
            @if !path.is_empty() {
                svg width="100%" height=(MARKS) viewBox=(format!("0 0 {UNITS} {MARKS}")) preserveAspectRatio="none" { path d=(path) fill=(WRONG) fill-opacity=".7" {} }
            }
            @for op in telling {
                @let finding = self.evidence.get(&op.number).copied();
                @let colour = if op.is_telling() { WRONG } else { LOOK };
                (self.mark(op.in_use().0, colour, ARROW, &told(op, &self.called(op.worker)), finding, is_target.then_some(op.number)))
            }
        })
    }

    fn mark(&self, at: Micros, colour: &str, form: &str, text: &str, finding: Option<&str>, target: Option<u64>) -> Markup {
        let picture = html! {
            svg x=(self.percent(at)) overflow="visible" width="1" height="1" {
                path d=(form) fill=(colour) stroke=(colour) stroke-width="1.5" { title { (said(text)) } }
            }
        };
        let id = target.map(|number| format!("{}o{number}", self.page));
        html! {
            @match finding {
                Some(finding) => a href=(format!("#{}{finding}", self.page)) id=[id] { (picture) }
                None => g id=[id] { (picture) }
            }
        }
    }

    /// The task, where there are tasks; else the worker.
    fn doer(&self, op: &Op) -> String {
        match (&self.course.start, op.task) {
            (Some(start), Some(task)) => start.task_name(task).to_string(),
            _ => self.called(op.worker),
        }
    }

    /// Whether an operation has a mark to go to, if it is evidence.
    pub(super) fn is_drawn(&self, number: u64) -> bool {
        let drawn = |op: &Op| op.session.is_some() && op.connection.is_some_and(|it| self.connections.contains(&it));
        self.course.operations.iter().any(|op| op.number == number && drawn(op))
    }

    pub(super) fn called(&self, worker: WorkerId) -> String {
        self.course.start.as_ref().map_or_else(|| worker.to_string(), |start| start.worker_name(worker).to_string())
    }

    pub(super) fn kind(&self, connection: ConnectionId) -> String {
        match self.course.kinds.get(&connection) {
            Some((kind, Some(worker))) if *kind == crate::allocator::Kind::Default => format!("of {}", self.called(*worker)),
            Some((kind, _)) => kind.name().to_owned(),
            None => String::new(),
        }
    }
}

pub(super) const CROSS: &str = "m-3.5 1l7 7m0 -7l-7 7";
const RING: &str = "m-3 4.5a3 3 0 1 0 6 0a3 3 0 1 0 -6 0";
pub(super) const ARROW: &str = "m-3.5 1.5h7l-3.5 6.5z";

/// What came of an operation, in a line.
pub(super) fn told(op: &Op, worker: &str) -> String {
    let mut text = format!("operation {}, {} of {worker}", op.number, op.name);
    if let Some(mailbox) = &op.mailbox {
        text += &format!(", asked for {mailbox}");
    }
    if let Some(elsewhere) = &op.elsewhere {
        text += &format!(", answered from {elsewhere}");
    }
    if let Some(failure) = &op.failure {
        text += &format!(", failed: {failure}");
    }
    text
}

/// The rows that let none of them stand on another one, as far as there are rows.
fn packed(operations: &[&Op], times: impl Fn(&Op) -> (Micros, Micros)) -> Vec<usize> {
    let mut ends: Vec<Micros> = Vec::new();
    let place = |op: &&Op| {
        let (from, to) = times(op);
        let row = match ends.iter().position(|end| *end <= from) {
            Some(row) => row,
            None if ends.len() < ROWS => {
                ends.push(Micros::ZERO);
                ends.len() - 1
            }
            None => ROWS - 1,
        };
        ends[row] = ends[row].max(to);
        row
    };
    operations.iter().map(place).collect()
}

/// The first of them, and those that weigh most, in order.
fn heaviest<K: Ord + Copy>(all: &BTreeMap<K, u64>) -> Vec<K> {
    let keys: Vec<(K, u64)> = all.iter().map(|(key, weight)| (*key, *weight)).collect();
    let shown = crate::figures::worth_showing(keys.len(), Some(LANES), |at| keys[at].1);
    shown.into_iter().map(|at| keys[at].0).collect()
}

/// The operations that a piece of evidence names: `operation 17 of w3`, `3 operation(s) (numbers 5 to 9)`.
pub(super) fn numbers(piece: &str) -> impl Iterator<Item = u64> {
    let named = ["operation ", "(number ", "(numbers "].into_iter().flat_map(|word| piece.split(word).skip(1));
    named.filter_map(|rest| {
        let end = rest.find(|it: char| !it.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    })
}

/// How high an operation is where there are so many lanes.
const fn bar(lanes: usize) -> usize {
    match lanes {
        0..=2 => 24,
        3..=12 => 14,
        _ => 11,
    }
}

fn percent(at: u64, end: u64) -> String {
    format!("{:.3}%", at as f64 / end as f64 * 100.0)
}

/// 1, 2 or 5 times a power of ten, no shorter.
fn nice(least: u64) -> u64 {
    let mut step = 1;
    while step < least {
        for times in [2, 5, 10] {
            if step * times >= least {
                return step * times;
            }
        }
        step *= 10;
    }
    step
}

/// A time on the axis.
fn short_span(time: Micros) -> String {
    match time.0 {
        0..1_000 => format!("{} µs", time.0),
        1_000..1_000_000 => format!("{} ms", trimmed(time.0 as f64 / 1e3)),
        1_000_000..120_000_000 => format!("{} s", trimmed(time.0 as f64 / 1e6)),
        _ => span(time),
    }
}

fn trimmed(value: f64) -> String {
    let text = if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") };
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// What stands under the lanes if not every operation is drawn.
pub(super) fn summarised(course: &Course) -> Option<String> {
    (!course.is_whole()).then(|| {
        let drawn = course.operations.len() as u64;
        let telling = course.operations.iter().filter(|op| op.is_telling()).count() as u64;
        format!(
            "{} of {} are drawn one by one: {} of the {} that failed or came from the wrong mailbox, the slowest, and of the others \
             one of {}. The grey behind them shows how busy each lane was with all of them.",
            count(drawn),
            many(course.seen, "operation"),
            count(telling),
            count(course.telling),
            count(course.each)
        )
    })
}
