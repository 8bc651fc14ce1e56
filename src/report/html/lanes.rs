//! The lanes: one for each connection, and the same transposed, one for each worker.
//!
//! A lane is a row of a table. Its picture stretches with the page: what has a place in time is a path in units of its own,
//! and words and marks stand at percentages, so that they keep their form. All is placed by attributes.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write;

use maud::{Markup, html};

use super::bars::{Bars, UNITS};
use super::course::{Course, Op};
use super::paint::{self, LOOK, QUIET, Track, WRONG};
use super::sample::rank;
use super::signs::said;
use super::texts::Texts;
use crate::allocator::{ConnectionId, SessionId};
use crate::event::{Finding, HowClosed, Lock, Micros, WorkerId};
use crate::protocol::Failure;
use crate::report::words::{many, span};

/// What is shorter is drawn so long, if there is room.
const SHORTEST: f64 = 40.0;
/// The most lanes.
const LANES: usize = 48;
/// The most rows of operations in a lane: where they overlap.
const ROWS: usize = 6;
/// Between two rows of a lane.
const GAP: usize = 3;
/// The room for marks, and above a lane that has none.
const MARKS: usize = 12;
/// How long a stroke in place of a mark is.
const TICK: usize = 7;
const NONE: usize = 4;
/// The room for the line of those that wait.
const LINE: usize = 14;
/// How high the stripe beneath a lane is that shows what is selected.
const STRIPE: usize = 5;
/// The most words in a lane.
const WORDS: usize = 40;
/// The most marks in a lane that say what they are, and in all lanes of connections or of workers; what is wrong beyond is a
/// tick.
const SAID: usize = 100;
const SAID_IN_ALL: usize = 400;

/// A client's course as it is drawn.
pub(super) struct Picture<'a> {
    course: &'a Course,
    /// What names on this page begin with.
    page: &'a str,
    mailboxes: Vec<&'a str>,
    /// Their places.
    places: BTreeMap<&'a str, usize>,
    /// The findings that name an operation as their evidence.
    evidence: BTreeMap<u64, &'a str>,
    pub(super) connections: Vec<ConnectionId>,
    pub(super) workers: Vec<WorkerId>,
    texts: RefCell<Texts>,
}

/// Where an operation stands: its row in its connection's lane.
pub(super) type Rows = BTreeMap<u64, usize>;

impl<'a> Picture<'a> {
    pub(super) fn of(course: &'a Course, page: &'a str, findings: &'a [Finding]) -> Self {
        let named = course.start.iter().flat_map(|start| start.mailboxes.iter().map(|name| &**name));
        let selected = course.selected.values().flatten().filter_map(|it| it.mailbox.as_deref());
        let (mut mailboxes, mut places) = (Vec::new(), BTreeMap::new());
        for name in named.chain(selected).chain(course.operations.iter().filter_map(|op| op.mailbox.as_deref())) {
            places.entry(name).or_insert_with(|| {
                mailboxes.push(name);
                mailboxes.len() - 1
            });
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
            *connections.entry(span.session.connection).or_default() += 1 + 1000 * u64::from(!span.is_healthy());
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
        Self { course, page, mailboxes, places, evidence, connections, workers, texts: RefCell::default() }
    }

    pub(super) fn track(&self, connection: ConnectionId) -> Track {
        let known = self.course.kinds.get(&connection);
        Track::connection(connection, known.map(|(kind, _)| *kind), known.and_then(|(_, owner)| *owner))
    }

    /// Whether an operation that is drawn is evidence of a finding.
    pub(super) fn has_evidence(&self) -> bool {
        self.course.operations.iter().any(|op| self.evidence.contains_key(&op.number))
    }

    /// The mailboxes that were selected, by their numbers.
    pub(super) fn selected(&self) -> BTreeMap<usize, &'a str> {
        let names = self.course.selected.values().flatten().filter_map(|it| it.mailbox.as_deref());
        names.filter_map(|name| Some((*self.places.get(name)?, name))).collect()
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
        let drawn = self.connections.iter().filter(|it| **it != ConnectionId::MAIN).count() as u64;
        let hidden = self.course.created.saturating_sub(drawn);
        let markup = html! {
            (self.table("connection", &lanes))
            @if hidden > 0 {
                p.note { "… " (many(hidden, "more connection")) " not drawn: these are those with most to tell, and some of the others, spread over the run." }
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

    fn bar(&self, bars: &mut Bars, (from, to): (Micros, Micros), y: usize, height: usize) {
        let (from, to) = (self.x(from), self.x(to));
        bars.add((from, to.max(from + SHORTEST)), y, height);
    }

    /// A bar that is drawn longer only as far as the next one lets it: where they stand close, none lies on another one's, and
    /// each colour has its share.
    fn bar_before(&self, next: Micros, bars: &mut Bars, (from, to): (Micros, Micros), y: usize, height: usize) {
        let (from, to, next) = (self.x(from), self.x(to), self.x(next));
        bars.add((from, to.max(next.min(from + SHORTEST))), y, height);
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

        let (mut alive, mut dialling) = (Bars::default(), Bars::default());
        let sessions = || course.sessions.iter().filter(|span| span.session.connection == connection);
        for span in sessions() {
            let end = span.closed.map_or(course.end, |(at, _)| at);
            self.bar(&mut dialling, (span.began, span.signed_in), top, body);
            self.bar(&mut alive, (span.signed_in, end), top, body);
        }
        let part = |depth: f64| depth / deepest * (LINE - 2) as f64;
        let queue = course.lines.of(connection).map(|(from, to, depth)| (from, to, part(depth).max(1.0)));
        let (mut by_worker, mut wrong): (BTreeMap<WorkerId, Bars>, Bars) = (BTreeMap::new(), Bars::default());
        for ((op, row), next) in operations.iter().zip(&packed).zip(nexts(&operations, &packed, course.end)) {
            let y = top + row * (bar + GAP);
            self.bar_before(next, by_worker.entry(op.worker).or_default(), op.in_use(), y, bar);
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
                    (alive.draw(body, QUIET, ".18"))
                    (dialling.draw(body, QUIET, ".55"))
                    @if line > 0 { (self.columns(queue, top - 1, LOOK)) }
                    @if !course.is_whole() { (self.density(course.of_connections.of(connection), top, body)) }
                    @for (worker, bars) in &by_worker { (bars.draw(bar, &Track::worker(*worker).paint(self.page), "1")) }
                    (wrong.draw(bar / 3, WRONG, "1"))
                    @if selected.is_some() { (self.stripe(connection, height - STRIPE)) }
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
        let marks = self.ticks(&operations, self.workers.len(), false);
        let top = if marks.is_some() { MARKS } else { NONE };
        let height = top + bar + GAP;
        let mut by_connection: BTreeMap<ConnectionId, Bars> = BTreeMap::new();
        let [mut wrong, mut nowhere, mut waits, mut dials] = [(); 4].map(|()| Bars::default());
        let mut gaps = Vec::new();
        let y = top;
        for (op, next) in operations.iter().zip(nexts(&operations, &vec![0; operations.len()], course.end)) {
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
                    self.bar_before(next, by_connection.entry(connection).or_default(), op.in_use(), y, bar);
                }
                _ => self.bar(&mut nowhere, op.in_use(), y, bar),
            }
            if op.is_telling() {
                self.bar(&mut wrong, op.in_use(), y + bar - bar / 3, bar / 3);
            }
        }
        let end = course.end.0.max(1);
        let label = html! { b { (said(&self.called(worker))) } };
        let on =
            |op: &Op| op.connection.map_or_else(|| (String::new(), Track::Main), |it| (it.to_string(), self.track(it)));
        self.lane(&format!("w{}", worker.0), &label, (height, top, bar), &html! {
            svg.zoom x="0" width="100%" height=(height) {
                svg width="100%" height=(height) viewBox=(format!("0 0 {UNITS} {height}")) preserveAspectRatio="none" {
                    @if !course.is_whole() { (self.density(course.of_workers.of(worker), top, bar)) }
                    (waits.draw(2, LOOK, ".6"))
                    (dials.draw(bar, QUIET, ".55"))
                    @for (connection, bars) in &by_connection { (bars.draw(bar, &self.track(*connection).paint(self.page), "1")) }
                    (nowhere.draw(bar, WRONG, "1"))
                    (wrong.draw(bar / 3, WRONG, "1"))
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
        let high = |part: f64| (part.min(1.0) * height as f64).max(0.5);
        self.columns(busy.map(|(from, to, part)| (from, to, high(part))), top + height, QUIET)
    }

    /// Columns that stand on a line, each with its height.
    fn columns(&self, columns: impl Iterator<Item = (Micros, Micros, f64)>, ground: usize, colour: &str) -> Markup {
        let (mut path, mut pen) = (String::new(), None);
        for (from, to, high) in columns {
            let (from, to) = (self.x(from).round() as i64, self.x(to).round() as i64);
            // A string takes what is written to it.
            if pen != Some(from) {
                let _ = write!(path, "M{from} {ground}");
            }
            let _ = write!(path, "v-{high:.1}h{}v{high:.1}", to - from);
            pen = Some(to);
        }
        html! { path d=(path) fill=(colour) fill-opacity=".5" {} }
    }

    /// What is selected, as a stripe, as far as it is known. Each stretch is as long as it was: none hides its neighbour.
    fn stripe(&self, connection: ConnectionId, y: usize) -> Markup {
        let mut stretches: BTreeMap<usize, Bars> = BTreeMap::new();
        let of = self.course.selected.get(&connection).map(Vec::as_slice).unwrap_or_default();
        let last = self
            .course
            .sessions
            .iter()
            .filter(|it| it.session.connection == connection)
            .filter_map(|it| it.closed)
            .next_back();
        let last = last.map_or(self.course.end, |(at, _)| at);
        let last = self.course.selected_until.map_or(last, |until| last.min(until));
        for (at, selected) in of.iter().enumerate() {
            let Some(number) = selected.mailbox.as_deref().and_then(|name| self.places.get(name)) else { continue };
            let until = of.get(at + 1).map_or(last, |next| next.since).max(selected.since);
            stretches.entry(*number).or_default().add((self.x(selected.since), self.x(until)), y, STRIPE);
        }
        html! {
            @for (number, bars) in &stretches {
                (bars.titled(STRIPE, paint::mailbox(*number), &format!("{} is selected", said(self.mailboxes[*number]))))
            }
        }
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
        let refused = course.refusals.iter().filter(|it| it.session.connection == connection);
        let refused = refused.map(|it| (it.rank, it.at, WRONG, CROSS, it.session, "refused", Some(&it.failure)));
        let ended = course.sessions.iter().filter(|it| it.session.connection == connection).filter_map(|it| {
            let (at, how) = it.closed?;
            let (colour, form) = match how {
                HowClosed::LoggedOut => return None,
                HowClosed::Discarded => (WRONG, CROSS),
                HowClosed::NoLogout | HowClosed::HungUp => (LOOK, RING),
            };
            Some((it.rank, at, colour, form, it.session, how.name(), it.failure.as_ref()))
        });
        let mut of_sessions: Vec<_> = refused.chain(ended).collect();
        of_sessions.sort_by_key(|(rank, ..)| *rank);
        let rest = of_sessions.split_off(of_sessions.len().min(most_said(self.connections.len())));
        of_sessions.sort_by_key(|(_, at, ..)| *at);
        let mut beyond: BTreeMap<&str, Bars> = BTreeMap::new();
        rest.iter().for_each(|(_, at, colour, ..)| self.bar(beyond.entry(colour).or_default(), (*at, *at), 2, TICK));
        let ticks = self.ticks(operations, self.connections.len(), true);
        if of_sessions.is_empty() && ticks.is_none() {
            return None;
        }
        let text = |session: SessionId, what: &str, failure: Option<&Failure>| {
            let why = failure.map(|failure| format!(": {}", self.texts.borrow_mut().of(failure, &session.to_string())));
            format!("{session} {what}{}", why.unwrap_or_default())
        };
        Some(html! {
            (self.strokes(&beyond))
            @for (_, at, colour, form, session, what, failure) in of_sessions {
                (self.mark(at, colour, form, &text(session, what, failure), None, None))
            }
            @if let Some(ticks) = ticks { (ticks) }
        })
    }

    /// A mark for each operation that failed or came from elsewhere, or is evidence: it leads to the finding.
    fn ticks(&self, operations: &[&Op], lanes: usize, is_target: bool) -> Option<Markup> {
        let is_evidence = |op: &&Op| self.evidence.contains_key(&op.number);
        let marked = operations.iter().copied().filter(|op| op.is_telling() || is_evidence(op));
        let (mut said, mut others): (Vec<&Op>, Vec<&Op>) = marked.partition(is_evidence);
        if said.is_empty() && others.is_empty() {
            return None;
        }
        others.sort_by_key(|op| op.rank);
        let rest = others.split_off(others.len().min(most_said(lanes).saturating_sub(said.len())));
        said.append(&mut others);
        said.sort_by_key(|op| op.in_use().0);
        let mut beyond = Bars::default();
        rest.iter().for_each(|op| self.bar(&mut beyond, (op.in_use().0, op.in_use().0), 2, TICK));
        Some(html! {
            (self.strokes(&[(WRONG, beyond)].into()))
            @for op in said {
                @let finding = self.evidence.get(&op.number).copied();
                @let colour = if op.is_telling() { WRONG } else { LOOK };
                (self.mark(op.in_use().0, colour, ARROW, &self.told(op), finding, is_target.then_some(op.number)))
            }
        })
    }

    /// Strokes in place of marks, where there are too many.
    fn strokes(&self, of: &BTreeMap<&str, Bars>) -> Markup {
        html! {
            @if of.values().any(|bars| !bars.is_empty()) {
                svg width="100%" height=(MARKS) viewBox=(format!("0 0 {UNITS} {MARKS}")) preserveAspectRatio="none" {
                    @for (colour, bars) in of { (bars.draw(TICK, colour, ".7")) }
                }
            }
        }
    }

    /// What came of an operation, in a line.
    fn told(&self, op: &Op) -> String {
        let mut text = format!("operation {}, {} of {}", op.number, op.name, self.called(op.worker));
        if let Some(mailbox) = &op.mailbox {
            text += &format!(", asked for {mailbox}");
        }
        if let Some(elsewhere) = &op.elsewhere {
            text += &format!(", answered from {elsewhere}");
        }
        if let Some(failure) = &op.failure {
            let whose = format!("operation {}", op.number);
            text += &format!(", failed: {}", self.texts.borrow_mut().of(failure, &whose));
        }
        text
    }

    fn mark(
        &self,
        at: Micros,
        colour: &str,
        form: &str,
        text: &str,
        finding: Option<&str>,
        target: Option<u64>,
    ) -> Markup {
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
            Some((kind, Some(worker))) if *kind == crate::allocator::Kind::Default => {
                format!("of {}", self.called(*worker))
            }
            Some((kind, _)) => kind.name().to_owned(),
            None => String::new(),
        }
    }
}

pub(super) const CROSS: &str = "m-3.5 1l7 7m0 -7l-7 7";
const RING: &str = "m-3 4.5a3 3 0 1 0 6 0a3 3 0 1 0 -6 0";
pub(super) const ARROW: &str = "m-3.5 1.5h7l-3.5 6.5z";

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

/// When the next operation of its row begins, for each of them. They are in order.
fn nexts(operations: &[&Op], rows: &[usize], end: Micros) -> Vec<Micros> {
    let mut next: BTreeMap<usize, Micros> = BTreeMap::new();
    let mut of: Vec<Micros> =
        operations.iter().zip(rows).rev().map(|(op, row)| next.insert(*row, op.in_use().0).unwrap_or(end)).collect();
    of.reverse();
    of
}

/// The most marks of a lane that say what they are, where there are so many lanes.
fn most_said(lanes: usize) -> usize {
    SAID.min(SAID_IN_ALL / lanes.max(1))
}

/// Those that weigh most, and as many of the others, spread over all of them, the first one among them; in order.
fn heaviest<K: Ord + Copy>(all: &BTreeMap<K, u64>) -> Vec<K> {
    let mut keys: Vec<(K, u64, u64)> =
        all.iter().zip(0..).map(|((key, weight), at)| (*key, *weight, if at == 0 { 0 } else { rank(at) })).collect();
    // A line that counts what is missing would take the place of one more.
    if keys.len() > LANES + 1 {
        keys.sort_by_key(|(_, weight, rank)| (Reverse(*weight), *rank));
        keys[LANES / 2..].sort_by_key(|(_, _, rank)| *rank);
        keys.truncate(LANES);
        keys.sort();
    }
    keys.into_iter().map(|(key, ..)| key).collect()
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
