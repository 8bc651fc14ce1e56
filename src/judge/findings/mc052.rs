//! Connections were held and hardly used.

use std::collections::BTreeMap;

use crate::allocator::SessionId;
use crate::event::{Event, Micros, Severity, What};
use crate::figures::count;
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::ledger::{Analysis, Ledger};

pub const SPEC: Spec = Spec {
    id: "MC052",
    severity: Severity::Advice,
    article: Article {
        title: "connections were held and hardly used",
        means: "Each connection costs the server a process or its like, and one of the account's few places, whether it \
                is used or not. Of those held here most lay idle most of the time: half of them, or fewer, would have \
                served as well. Only runs of two seconds and more are judged. A connection counts as held from its \
                opening to its last use. As many would have served as were in use at once, except for one hundredth of \
                the time.",
        example: || sentence(8, Micros(10_000_000), 0.3, 1),
        cure: "Share one (use-main), give a connection of its own only to threads that are busy, or dispose a default when its \
               thread rests. It fails no run unless --fail-on has advice.",
        rules: &["A1", "A2", "D1"],
        met: &["nextcloud/mail#10039"],
    },
    detector: || Box::<Detects>::default(),
};

/// A shorter run says nothing of how connections are held: its threads begin and end at different times.
const SHORTEST: Micros = Micros(2_000_000);
/// More than that many may be in use at once for this share of the time, and no longer: one in so many.
const RARELY: u32 = 100;
/// The least number of events between two searches for what is past.
const SWEEP_AFTER: usize = 256;
/// The most beginnings and ends of uses that wait for an operation under way; the older half is then counted without it.
const WAITING: usize = 32_768;

/// A connection counts as held from its opening to its last use, so one whose thread had done its work, and only waited for
/// the others, is not held against anybody. In a scenario, steps are made one at a time: there is nothing to measure.
#[derive(Debug, Default)]
struct Detects {
    lives: BTreeMap<SessionId, Life>,
    at_once: AtOnce,
    /// When the first use began, and when the last one was over.
    began: Option<Micros>,
    over: Micros,
    seen: usize,
}

/// A session, from its opening to its last use.
#[derive(Clone, Copy, Debug)]
struct Life {
    opened: Micros,
    last: Micros,
}

impl Analysis for Detects {
    fn see(&mut self, event: &Event, known: &Ledger) {
        if known.start().is_none_or(|start| start.scripted) {
            return;
        }
        match &event.what {
            What::SessionOpened(it) => drop(self.lives.insert(it.session, Life { opened: event.at, last: event.at })),
            What::Operation(it) if it.local_port.is_some() => {
                let Some(session) = it.session else { return };
                let (began, over) = it.in_use();
                self.began = Some(self.began.map_or(began, |first| first.min(began)));
                self.over = self.over.max(over);
                if let Some(life) = self.lives.get_mut(&session) {
                    life.last = life.last.max(over);
                }
                self.at_once.add(began, over);
            }
            _ => return,
        }
        self.seen += 1;
        if self.seen >= SWEEP_AFTER.max(self.lives.len()) {
            self.seen = 0;
            self.sweep(known);
        }
    }
}

impl Detects {
    fn whole(&self) -> Micros {
        self.over.saturating_sub(self.began.unwrap_or_default())
    }

    /// How long it was held while any was in use.
    fn held(&self, life: &Life) -> Micros {
        life.last.saturating_sub(life.opened.max(self.began.unwrap_or_default()))
    }

    fn is_held(&self, life: &Life) -> bool {
        self.held(life).duration() >= self.whole().duration() / 2
    }

    fn sweep(&mut self, known: &Ledger) {
        let horizon = known.horizon().at;
        self.at_once.fold(horizon);
        // From here on nothing begins sooner, and the whole only grows: what was held for less than half of it stays so.
        if self.began.is_some_and(|began| began <= horizon) {
            let mut lives = std::mem::take(&mut self.lives);
            lives.retain(|session, life| known.session(*session).is_some() || self.is_held(life));
            self.lives = lives;
        }
    }
}

impl Detector for Detects {
    fn finding(&self, proven: &Proven<'_>) -> Option<Found> {
        let whole = self.whole();
        if proven.known.start()?.scripted || whole < SHORTEST {
            return None;
        }
        let held: Vec<Micros> =
            self.lives.values().filter(|life| self.is_held(life)).map(|life| self.held(life)).collect();
        let times = self.at_once.times();
        let longer_than_rarely = |most: &usize| {
            let more: Micros = times.range(most + 1..).map(|(_, time)| *time).sum();
            more.duration() > whole.duration() / RARELY
        };
        let enough = (1..held.len()).find(|most| !longer_than_rarely(most))?;
        if enough * 2 > held.len() {
            return None;
        }
        let used: Micros = times.iter().map(|(count, time)| Micros(time.0.saturating_mul(*count as u64))).sum();
        let lived: Micros = held.iter().copied().sum();
        let share = 100.0 * used.duration().as_secs_f64() / lived.duration().as_secs_f64();
        let (held, peak) = (held.len(), times.keys().next_back().copied().unwrap_or_default());
        let mut evidence = Evidence::default();
        evidence.add(|| format!("{} held, {} in use at once at most", count(held as u64), count(peak as u64)));
        evidence.says(|| sentence(held, whole, share, enough))
    }
}

fn sentence(held: usize, whole: Micros, share: f64, enough: usize) -> String {
    let held = count(held as u64);
    let instead = match enough {
        1 => "one that is shared would have done (use-main)".to_owned(),
        enough => format!("{} would have done (fewer threads, or some of them on one that is shared)", count(enough as u64)),
    };
    format!(
        "{held} connections were held for most of {whole:.1} and used for {share:.1} % of that time; more than {} at once \
         for hardly any of it: {instead}",
        count(enough as u64)
    )
}

/// For how long each number of connections was in use at once.
///
/// Operations come in the order of their ends, so a use that is not known yet can have begun as long ago as the horizon. What is
/// before the horizon is counted; what comes later waits.
#[derive(Clone, Debug, Default)]
struct AtOnce {
    /// Beginnings and ends of uses that wait. At one moment, what ends comes before what begins.
    turns: Vec<(Micros, bool)>,
    /// Until when all is counted, and how many were in use then.
    since: Micros,
    count: usize,
    times: Times,
    early: Option<Early>,
}

/// By how many were in use.
type Times = BTreeMap<usize, Micros>;

/// What was counted before the horizon had passed it, because too much waited.
#[derive(Clone, Debug)]
struct Early {
    from: Micros,
    to: Micros,
    times: Times,
}

impl AtOnce {
    fn add(&mut self, began: Micros, over: Micros) {
        let mut began = began;
        if let Some(early) = &mut self.early {
            early.add(began, over);
            began = began.max(early.to);
        }
        if began < over {
            self.turns.extend([(began, true), (over, false)]);
        }
    }

    fn fold(&mut self, horizon: Micros) {
        self.settle_early(horizon);
        self.turns.sort();
        let mut times = std::mem::take(&mut self.times);
        self.advance(horizon, &mut times);
        self.times = times;
        if self.turns.len() > WAITING
            && let Some((to, _)) = self.turns.get(WAITING / 2).copied()
        {
            let from = self.since;
            let mut early = self.early.take().unwrap_or(Early { from, to, times: Times::new() });
            self.advance(to, &mut early.times);
            self.early = Some(Early { to, ..early });
        }
    }

    /// Counts up to that moment.
    fn advance(&mut self, to: Micros, times: &mut Times) {
        let past = self.turns.partition_point(|(at, _)| *at < to);
        for (at, begins) in self.turns.drain(..past) {
            *times.entry(self.count).or_default() += at.saturating_sub(self.since);
            self.since = at;
            self.count = if begins { self.count + 1 } else { self.count.saturating_sub(1) };
        }
        if !self.turns.is_empty() {
            *times.entry(self.count).or_default() += to.saturating_sub(self.since);
            self.since = self.since.max(to);
        }
    }

    /// Nothing that is told from now on reaches back beyond the horizon.
    fn settle_early(&mut self, horizon: Micros) {
        if let Some(early) = self.early.take_if(|early| early.to <= horizon) {
            for (count, time) in early.times {
                *self.times.entry(count).or_default() += time;
            }
        }
    }

    /// As it is if nothing more is told.
    fn times(&self) -> Times {
        let mut all = self.clone();
        all.fold(Micros(u64::MAX));
        all.times.remove(&0);
        all.times
    }
}

impl Early {
    /// One more was in use then. Where in the stretch is not known any more: as likely at any count as at another.
    fn add(&mut self, began: Micros, over: Micros) {
        let (whole, part) = (self.to - self.from, over.min(self.to) - began.max(self.from));
        if part.is_zero() {
            return;
        }
        let mut more = Times::new();
        for (count, time) in std::mem::take(&mut self.times) {
            let moved = u128::from(time.0) * u128::from(part.0) / u128::from(whole.0);
            let moved = u64::try_from(moved).map_or(time, Micros).min(time);
            *more.entry(count + 1).or_default() += moved;
            *more.entry(count).or_default() += time - moved;
        }
        more.retain(|_, time| !time.is_zero());
        self.times = more;
    }
}
