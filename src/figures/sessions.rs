//! The sessions: each one's life while it lasts; of those that ended the worst and the newest, of the rest their sums.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use crate::allocator::{ConnectionId, Kind, SessionId};
use crate::event::{
    Dial, Event, HowClosed, Micros, SessionClosed, SessionOpened, SessionRefused, TlsAgreed, What, Word, WorkerId,
};
use crate::ledger::{Analysis, Ledger};
use crate::protocol::{Failure, Stage};

/// Of the sessions that ended, the most bad ones and the most others that are kept: of the bad ones the first, of the others
/// the newest. The rest are summed.
pub const SESSION_ROWS: usize = 500;
/// The number of events between two searches for sessions that are over.
const SWEEP_AFTER: usize = 256;

/// Why a session was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhyOpened {
    /// An operation was the first to need the connection.
    FirstUse,
    /// The connection was created by hand.
    ByHand,
    /// An operation needed the connection after its last session broke, or could not be opened.
    Again,
}

impl WhyOpened {
    /// `first-use`, `by-hand`, `again`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FirstUse => "first-use",
            Self::ByHand => "by-hand",
            Self::Again => "again",
        }
    }
}

/// One session's life.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// The session.
    pub session: SessionId,
    /// What its connection is.
    pub kind: Kind,
    /// The default connection's worker, or the independent one's creator.
    pub owner: Option<WorkerId>,
    /// Why it was opened.
    pub why: WhyOpened,
    /// How the dial went. If it failed, `open` counts as the server does, and at that moment: the sessions that were signed in
    /// by then, though their dials were not over, and none that came to be while the refused one said goodbye.
    pub dial: Result<SessionOpened, Box<SessionRefused>>,
    /// Operations it carried.
    pub operations: u64,
    /// Its end; none if it was never seen to end.
    pub closed: Option<SessionClosed>,
}

impl SessionRow {
    /// Whether it was not opened and closed as it should be.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        self.dial.is_err() || self.closed.as_ref().is_none_or(|closed| closed.closed != HowClosed::LoggedOut)
    }
}

/// What the dial found out and what the end did stand side by side: null where there was none.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SessionRow")]
struct Shape<'a> {
    /// The session's place.
    connection: ConnectionId,
    /// The session.
    session: SessionId,
    /// What its connection is.
    kind: Kind,
    /// The default connection's worker, or the independent one's creator.
    owner: Option<WorkerId>,
    /// The worker whose operation or creation needed it.
    needed_by: Option<WorkerId>,
    /// Why it was opened.
    reason: WhyOpened,
    /// Whether its dial ended well.
    opened: bool,
    /// The client's port, if it came to have one.
    local_port: Option<u16>,
    /// The label that the server accepted, if it takes one.
    label: Option<&'a str>,
    /// What TLS agreed on, in one line; null without TLS.
    tls: Option<String>,
    /// The same, part by part.
    tls_details: Option<&'a TlsAgreed>,
    /// How it signed in: a SASL mechanism's name, or the protocol's own command; null where nobody had to.
    signed_in_by: Option<Word>,
    /// What each phase of the dial took.
    dial_us: Dial,
    /// Operations that it carried.
    operations: u64,
    /// Bytes the client sent over its life, below the protocol and above TLS.
    bytes_sent: Option<u64>,
    /// Bytes it received.
    bytes_received: Option<u64>,
    /// How it ended; null if it was never seen to end.
    closed: Option<HowClosed>,
    /// Why its LOGOUT failed, or how the server had hung up before.
    close_failure: Option<&'a Failure>,
    /// Why it could not be opened.
    failure: Option<&'a Failure>,
    /// What that took.
    failed_after_us: Option<Micros>,
    /// How many connections of the client were open then, as the server counts.
    open_at_failure: Option<usize>,
    /// Whether credentials were sent.
    sign_in_attempted: bool,
}

impl Serialize for SessionRow {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (opened, refused) = (self.dial.as_ref().ok(), self.dial.as_ref().err());
        let closed = self.closed.as_ref();
        let tls_details = opened.and_then(|it| it.tls.as_ref());
        let (needed_by, local_port, dial_us) = match &self.dial {
            Ok(it) => (it.worker, Some(it.local_port), it.dial_us),
            Err(it) => (it.worker, it.local_port, it.dial_us),
        };
        let row = Shape {
            connection: self.session.connection,
            session: self.session,
            kind: self.kind,
            owner: self.owner,
            needed_by,
            reason: self.why,
            opened: opened.is_some(),
            local_port,
            label: opened.and_then(|it| it.label.as_deref()),
            tls: tls_details.map(ToString::to_string),
            tls_details,
            signed_in_by: opened.and_then(|it| it.signed_in_by),
            dial_us,
            operations: self.operations,
            bytes_sent: closed.map(|it| it.bytes_sent),
            bytes_received: closed.map(|it| it.bytes_received),
            closed: closed.map(|it| it.closed),
            close_failure: closed.and_then(|it| it.failure.as_ref()),
            failure: refused.map(|it| &it.failure),
            failed_after_us: refused.map(|it| it.took_us),
            open_at_failure: refused.map(|it| it.open),
            sign_in_attempted: refused.is_none_or(|it| it.sign_in_attempted),
        };
        row.serialize(to)
    }
}

impl JsonSchema for SessionRow {
    fn schema_name() -> Cow<'static, str> {
        Shape::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Shape::json_schema(generator)
    }
}

/// A dial that was refused, once all is recorded that was under way then.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What is recorded of it; `open` is put right: it counts as the server does.
    pub dial: SessionRefused,
    /// What its connection is.
    pub kind: Kind,
    /// Dials that were under way then and ended well: whether the server had let them in by then is not known.
    pub being_opened: usize,
}

/// What the sessions come to that have no row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Rest {
    /// How many there are.
    pub sessions: u64,
    /// How many of them were not opened and closed as they should be.
    pub bad: u64,
    /// Operations that they carried.
    pub operations: u64,
    /// Bytes that were sent on them.
    pub bytes_sent: u64,
    /// Bytes that were received.
    pub bytes_received: u64,
}

/// What the sessions agreed on with the server, in numbers of sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// By TLS version and cipher suite: all, and those of them that were resumed.
    pub tls: BTreeMap<(String, String), (u64, u64)>,
    /// By the way in which they signed in; none where nobody had to.
    pub signed_in_by: BTreeMap<Option<Word>, u64>,
}

/// The sessions of a run.
#[derive(Debug, Default)]
pub struct Sessions {
    /// Sessions opened.
    pub opened: usize,
    /// Those of them that took the place of another.
    pub opened_again: usize,
    /// Dials that failed.
    pub refused: usize,
    /// Most sessions open at once.
    pub peak: usize,
    /// Whether main was ever opened.
    pub main_opened: bool,
    /// Operations that sessions carried.
    pub carried: u64,
    /// How long dials waited for other sign-ins of the account (rule B6): in all, and the longest.
    pub held: (Micros, Micros),
    /// What those come to that have no row.
    pub rest: Rest,
    /// How they are protected, those without a row too.
    pub protection: Protection,
    /// Sign-ins that were tried, refused ones too.
    pub sign_ins: u64,
    dials: u64,
    /// By the number of their dials: those that are open, or may still be spoken of by an operation that ends.
    live: BTreeMap<u64, SessionRow>,
    numbers: BTreeMap<SessionId, u64>,
    /// The first bad ones: they tell how it began.
    bad: Vec<(u64, SessionRow)>,
    newest: VecDeque<(u64, SessionRow)>,
    /// Refused dials whose counts are put right, until somebody takes them.
    settled: Vec<Refused>,
    counts: Counts,
    seen: usize,
}

impl Analysis for Sessions {
    fn see(&mut self, event: &Event, known: &Ledger) {
        match &event.what {
            What::SessionOpened(opened) => {
                self.opened += 1;
                self.peak = self.peak.max(known.open());
                self.main_opened |= opened.connection == ConnectionId::MAIN;
                self.opened_again += usize::from(opened.session.number > 1);
                self.counts.opened(opened);
                self.protection.add(opened);
                self.sign_ins += u64::from(opened.signed_in_by.is_some());
                self.held(opened.signed_in_us.saturating_sub(opened.began_us), opened.dial_us);
                self.dialled(opened.session, Ok((**opened).clone()), known);
            }
            What::SessionRefused(refused) => {
                let number = self.dialled(refused.session, Err(refused.clone()), known);
                self.refused += 1;
                self.sign_ins += u64::from(refused.sign_in_attempted);
                if refused.failure.stage == Stage::Wait {
                    self.held(refused.took_us, refused.dial_us);
                }
                self.counts.refused(number, event.seq, known.open(), refused);
            }
            What::SessionClosed(closed) => {
                let number = self.numbers.get(&closed.session);
                if let Some(row) = number.and_then(|number| self.live.get_mut(number)) {
                    if row.closed.is_none() && row.dial.is_ok() {
                        self.counts.open.turn(event.at, -1);
                    }
                    row.closed = Some((**closed).clone());
                }
            }
            What::Operation(operation) if operation.local_port.is_some() => {
                let number = operation.session.and_then(|session| self.numbers.get(&session));
                if let Some(row) = number.and_then(|number| self.live.get_mut(number)) {
                    row.operations += 1;
                    self.carried += 1;
                }
            }
            _ => {}
        }
        self.seen += 1;
        if self.seen >= SWEEP_AFTER.max(self.live.len()) {
            self.seen = 0;
            self.sweep(known);
        }
    }

    fn end(&mut self, _: &Ledger) {
        self.settle(u64::MAX);
    }
}

impl Sessions {
    /// A row for each session that has one, in the order of their dials.
    #[must_use]
    pub fn rows(&self) -> Vec<&SessionRow> {
        let ended = self.bad.iter().chain(&self.newest).map(|(number, row)| (number, row));
        let mut rows: Vec<_> = self.live.iter().chain(ended).collect();
        rows.sort_unstable_by_key(|(number, _)| **number);
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// The refused dials whose counts of open sessions were put right since the last call, in the order of their dials.
    pub fn take_settled(&mut self) -> Vec<Refused> {
        std::mem::take(&mut self.settled)
    }

    /// What a dial took beyond its phases, it waited.
    fn held(&mut self, took: Micros, phases: Dial) {
        let Dial { resolve, connect, tls, greeting, sign_in } = phases;
        let held = took.saturating_sub([resolve, connect, tls, greeting, sign_in].into_iter().flatten().sum());
        self.held = (self.held.0 + held, self.held.1.max(held));
    }

    fn dialled(&mut self, session: SessionId, dial: Result<SessionOpened, Box<SessionRefused>>, known: &Ledger) -> u64 {
        let number = self.dials;
        self.dials += 1;
        let place = known.place(session.connection);
        let why = match place {
            _ if session.number > 1 => WhyOpened::Again,
            Some(place) if place.by_hand => WhyOpened::ByHand,
            _ => WhyOpened::FirstUse,
        };
        let (kind, owner) = place.map_or((Kind::Main, None), |place| (place.kind, place.worker));
        let row = SessionRow { session, kind, owner, why, dial, operations: 0, closed: None };
        self.numbers.insert(session, number);
        self.live.insert(number, row);
        number
    }

    /// Takes those that are over, and that no operation under way can have used, out of the live ones.
    fn sweep(&mut self, known: &Ledger) {
        let horizon = known.horizon();
        self.settle(horizon.seq);
        self.counts.fold(horizon.at);
        let pending = self.counts.first_pending();
        let over: Vec<u64> = self
            .live
            .iter()
            .filter(|(number, row)| match &row.dial {
                Ok(_) => row.closed.is_some() && known.session(row.session).is_none(),
                Err(_) => **number < pending,
            })
            .map(|(number, _)| *number)
            .collect();
        for number in over {
            let Some(row) = self.live.remove(&number) else { continue };
            self.numbers.remove(&row.session);
            if row.is_bad() && self.bad.len() < SESSION_ROWS {
                self.bad.push((number, row));
                continue;
            }
            self.newest.push_back((number, row));
            if self.newest.len() > SESSION_ROWS
                && let Some((_, row)) = self.newest.pop_front()
            {
                self.rest.add(&row);
            }
        }
    }

    /// Puts the counts of the refusals before the horizon right.
    fn settle(&mut self, horizon: u64) {
        for count in self.counts.settle(horizon) {
            if let Some(SessionRow { kind, dial: Err(refused), .. }) = self.live.get_mut(&count.number) {
                refused.open = count.open;
                let dial = (**refused).clone();
                self.settled.push(Refused { dial, kind: *kind, being_opened: count.being_opened });
            }
        }
    }
}

impl Protection {
    fn add(&mut self, opened: &SessionOpened) {
        *self.signed_in_by.entry(opened.signed_in_by).or_default() += 1;
        if let Some(tls) = &opened.tls {
            let (all, resumed) = self.tls.entry((tls.version.clone(), tls.cipher.clone())).or_default();
            *all += 1;
            *resumed += u64::from(tls.resumed);
        }
    }
}

impl Rest {
    fn add(&mut self, row: &SessionRow) {
        self.sessions += 1;
        self.bad += u64::from(row.is_bad());
        self.operations += row.operations;
        let bytes = |of: fn(&SessionClosed) -> u64| row.closed.as_ref().map_or(0, of);
        self.bytes_sent += bytes(|closed| closed.bytes_sent);
        self.bytes_received += bytes(|closed| closed.bytes_received);
    }
}

/// How many sessions the server had open at a refusal, and how many more it may have had.
///
/// A server counts a session from its sign-in on, we from the end of its dial; and a refusal is recorded when its goodbye is
/// over. So the count is put right by the times, once all is recorded that was under way then.
#[derive(Debug, Default)]
struct Counts {
    open: Turns,
    being_opened: Turns,
    pending: VecDeque<Refusal>,
}

/// A number that changes in the course of time.
#[derive(Debug, Default)]
struct Turns {
    /// What it came to before the first of `turns`.
    base: isize,
    turns: BTreeMap<Micros, isize>,
}

#[derive(Debug)]
struct Refusal {
    number: u64,
    seq: u64,
    failed: Micros,
    /// What it says itself, and how many were open by then to us.
    said: usize,
    open: usize,
}

/// What a refusal's counts come to.
struct Count {
    number: u64,
    open: usize,
    being_opened: usize,
}

impl Counts {
    fn opened(&mut self, opened: &SessionOpened) {
        self.open.turn(opened.signed_in_us, 1);
        self.being_opened.turn(opened.began_us, 1);
        self.being_opened.turn(opened.signed_in_us, -1);
    }

    fn refused(&mut self, number: u64, seq: u64, open: usize, refused: &SessionRefused) {
        self.pending.push_back(Refusal { number, seq, failed: refused.failed_us, said: refused.open, open });
    }

    fn first_pending(&self) -> u64 {
        self.pending.front().map_or(u64::MAX, |refusal| refusal.number)
    }

    /// The counts of the refusals before the horizon.
    fn settle(&mut self, horizon: u64) -> Vec<Count> {
        let mut settled = Vec::new();
        while self.pending.front().is_some_and(|refusal| refusal.seq < horizon) {
            let Some(refusal) = self.pending.pop_front() else { break };
            settled.push(Count {
                number: refusal.number,
                open: (refusal.said + self.open.at(refusal.failed)).saturating_sub(refusal.open),
                being_opened: self.being_opened.at(refusal.failed),
            });
        }
        settled
    }

    /// Adds up what is older than anything that can be asked about.
    fn fold(&mut self, horizon: Micros) {
        let oldest = self.pending.iter().map(|refusal| refusal.failed).min().unwrap_or(horizon).min(horizon);
        self.open.fold(oldest);
        self.being_opened.fold(oldest);
    }
}

impl Turns {
    fn turn(&mut self, at: Micros, by: isize) {
        *self.turns.entry(at).or_default() += by;
    }

    fn at(&self, moment: Micros) -> usize {
        let turns: isize = self.turns.range(..=moment).map(|(_, by)| by).sum();
        usize::try_from(self.base + turns).unwrap_or(0)
    }

    fn fold(&mut self, oldest: Micros) {
        let later = self.turns.split_off(&oldest);
        self.base += std::mem::replace(&mut self.turns, later).into_values().sum::<isize>();
    }
}
