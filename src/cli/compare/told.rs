//! What a comparison says on stderr: what it asks of the server before it dials, and how far it is.

use std::time::{Duration, Instant};

use humantime::format_duration;

use crate::cli::harness::Meanwhile;
use crate::cli::stderr;
use mailconn::compare::{Budget, TIME_IS_OVER, Turn, rounds_of};
use mailconn::event::{Event, WARM_UP};
use mailconn::judge::Judge;
use mailconn::protocol::Endpoint;
use mailconn::report::{Progress, ProgressKind};
use mailconn::workload::Control;

/// Says what the server is asked for.
pub fn tell_budget(budget: &Budget, endpoint: &Endpoint) {
    let Budget { runs, sign_ins, connections, rests } = *budget;
    let (dials, whose) =
        if endpoint.signs_in() { ("sign-ins", "of this account") } else { ("dials", "at this address") };
    let rests = match rests {
        Duration::ZERO => String::new(),
        rests => format!(", {} of rests", format_duration(Duration::from_secs(rests.as_secs()))),
    };
    stderr::complain(&format!(
        "{endpoint}: {runs} runs, at most {sign_ins} {dials}, {connections} connections at once{rests}; until it ends, other \
         clients {whose} may be refused"
    ));
}

/// Says so, if that time is too short for all that must be done in it, and whether it is.
pub fn tell_too_short(bound: Option<Duration>, least: Duration, fewest: u32) -> bool {
    let Some(bound) = bound.filter(|bound| *bound < least) else { return false };
    stderr::complain(&format!(
        "--for {} is too short to tell anything: a warm-up and the {fewest} rounds that it takes need about {}; give more time, or \
         shorter runs (--duration)",
        format_duration(bound),
        whole_seconds(least + Duration::from_millis(999)),
    ));
    true
}

/// How far a comparison is.
pub struct Course {
    progress: Progress,
    began: Instant,
    rounds: u32,
    variants: usize,
    /// How long it may take.
    bound: Option<Duration>,
    /// It was said that this is too short.
    pub is_told: bool,
}

impl Course {
    /// Of one that begins now.
    pub fn of(kind: ProgressKind, rounds: u32, variants: usize, bound: Option<Duration>) -> Self {
        Self { progress: Progress::new(kind, None), began: Instant::now(), rounds, variants, bound, is_told: false }
    }

    /// The next run begins; it is told to end when its time is over.
    pub fn begins<'a>(&'a mut self, turn: Turn, name: &str, asked: Option<u64>, control: &'a Control) -> Run<'a> {
        if turn.round == WARM_UP + 1 && turn.place == 0 && !self.is_told {
            let fewest = *rounds_of(self.variants).start();
            self.is_told = tell_too_short(self.bound, self.began.elapsed() * (fewest + 1), fewest);
        }
        let left = self.left(turn).map_or_else(String::new, |left| format!(", about {} left", whole_seconds(left)));
        let round = match turn.round {
            WARM_UP => "warm-up".to_owned(),
            round => format!("round {round} of {}", self.rounds),
        };
        self.progress.begin(format!("{round}{left}, {name}"), asked);
        Run { progress: &mut self.progress, until: turn.until, control }
    }

    /// How long it still takes, if the runs to come are like those before.
    fn left(&self, turn: Turn) -> Option<Duration> {
        let (round, variants) = (turn.round as usize, self.variants);
        let done = round * variants + turn.place;
        let all = (self.rounds as usize + 1) * variants;
        if round == WARM_UP as usize {
            return None;
        }
        let elapsed = self.began.elapsed();
        let left = elapsed.mul_f64((all - done) as f64 / done as f64);
        Some(self.bound.map_or(left, |bound| left.min(bound.saturating_sub(elapsed))))
    }

    /// All runs are over.
    pub fn finish(mut self) {
        self.progress.finish();
    }
}

fn whole_seconds(time: Duration) -> String {
    format_duration(Duration::from_secs(time.as_secs().max(1))).to_string()
}

/// A run of a comparison, as far as it is told meanwhile.
pub struct Run<'a> {
    progress: &'a mut Progress,
    until: Option<Instant>,
    control: &'a Control,
}

impl Meanwhile for Run<'_> {
    fn goes_on(&mut self, _: &[Event], judge: &Judge) {
        if self.until.is_some_and(|until| Instant::now() >= until) {
            self.control.interrupt(TIME_IS_OVER);
        }
        self.progress.update(&judge.tally());
    }

    fn finish(&mut self, _: &Judge) {}
}
