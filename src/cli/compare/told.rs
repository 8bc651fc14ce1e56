//! What a comparison says on stderr: what it asks of the server before it dials, and how far it is.

use std::time::{Duration, Instant};

use humantime::format_duration;

use crate::cli::harness::Meanwhile;
use crate::cli::stderr;
use mailconn::compare::{Budget, TIME_IS_OVER, Turn, rounds_of};
use mailconn::event::{Event, Variant, WARM_UP};
use mailconn::judge::{Comparison, Judge};
use mailconn::protocol::Endpoint;
use mailconn::report::{Progress, ProgressKind};
use mailconn::workload::Control;

/// Says what the server is asked for.
pub fn tell_budget(budget: &Budget, endpoint: &Endpoint) {
    let Budget { runs, sign_ins, most, connections, rests } = *budget;
    let (dials, whose) =
        if endpoint.signs_in() { ("sign-ins", "of this account") } else { ("dials", "at this address") };
    let rests = match rests {
        Duration::ZERO => String::new(),
        rests => format!(", {} of rests", format_duration(Duration::from_secs(rests.as_secs()))),
    };
    stderr::complain(&format!(
        "{endpoint}: {runs} runs, at most {sign_ins} {dials} and {connections} connections at once{rests}; where sessions break, at \
         most {most} {dials}, then it stops; until it ends, other clients {whose} may be refused"
    ));
}

/// Says so, if the warm-up has no figure for the verdicts to be about: then the rounds may have none either.
pub fn tell_unmeasured(comparison: &Comparison) {
    let start = comparison.start();
    let unmeasured = |(at, it)| Some((it, comparison.unmeasured(at, &[WARM_UP])?));
    if let Some((Variant { name, .. }, why)) = start.variants.iter().enumerate().find_map(unmeasured) {
        stderr::complain(&format!(
            "{} has no figure in the warm-up of {name}: {why}; if the rounds have none either, nothing can be told: make the runs \
             longer (--duration, -n), or choose another --metric",
            start.metric
        ));
    }
}

/// Says so, if that time is likely too short: by how long the warm-up took.
fn tell_too_short(bound: Option<Duration>, warm_up: Duration, fewest: u32) {
    let likely = warm_up * (fewest + 1);
    if let Some(bound) = bound.filter(|bound| *bound < likely) {
        stderr::complain(&format!(
            "--for {} may be too short to tell anything: as long as the warm-up took, it and the {fewest} rounds that it takes \
             need about {}; give more time, or shorter runs (--duration)",
            format_duration(bound),
            whole_seconds(likely + Duration::from_millis(999)),
        ));
    }
}

/// How far a comparison is.
pub struct Course {
    progress: Progress,
    began: Instant,
    rounds: u32,
    variants: usize,
    /// How long it may take.
    bound: Option<Duration>,
}

impl Course {
    /// Of one that begins now.
    pub fn of(kind: ProgressKind, rounds: u32, variants: usize, bound: Option<Duration>) -> Self {
        Self { progress: Progress::new(kind, None), began: Instant::now(), rounds, variants, bound }
    }

    /// The next run begins; it is told to end when its time is over.
    pub fn begins<'a>(&'a mut self, turn: Turn, name: &str, asked: Option<u64>, control: &'a Control) -> Run<'a> {
        if turn.round == WARM_UP + 1 && turn.place == 0 {
            tell_too_short(self.bound, self.began.elapsed(), *rounds_of(self.variants).start());
        }
        let left = self.left(turn).map_or_else(String::new, |left| format!(", about {} left", whole_seconds(left)));
        let named = |round: u32| match round {
            WARM_UP => "warm-up".to_owned(),
            round => format!("round {round} of {}", self.rounds),
        };
        let over = turn.round.checked_sub(1).filter(|_| turn.place == 0);
        let over = over.map(|round| format!("{} is over{left}", named(round)));
        self.progress.begin(format!("{}{left}, {name}", named(turn.round)), asked, over);
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
