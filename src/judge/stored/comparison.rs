//! A comparison, read as its runs pass: each is judged, its figures are kept, and the rest of it is let go of.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use super::arguments::{SHARED, named, unknown};
use super::{Passing, StoredRun};
use crate::event::{
    Ahead, ComparisonEnd, ComparisonStart, Event, Line, Micros, NewPolicy, Policy, RunOf, RunStart, SCHEMA_VERSION,
    Stopped, Unreadable, Variant, WARM_UP, What, WhyStopped, Within,
};
use crate::judge::integrity::{Checks, Lines, Rule, Whose};
use crate::judge::settings::{Setting, Weight, differences, settings_of, value_of};
use crate::judge::{Comparison, compared_metric, gated_figures, order, seed_of};

/// How long after its time a comparison may end: a run that is cut signs out, and what it told is written.
const GRACE: Micros = Micros(15_000_000);
/// How much later than the comparison's the clock of its bound may begin.
const LAG: Micros = Micros(1_000_000);
/// Each moment is told to the microsecond below it.
const CLOCKS: Micros = Micros(2);

/// A comparison, seen to its end.
#[derive(Debug)]
pub struct StoredComparison {
    /// What its runs come to.
    pub comparison: Comparison,
    /// The same, each run judged by another policy; none if there is none.
    anew: Option<Comparison>,
    /// What its `comparison-end` says, if it has one.
    pub end: Option<Box<ComparisonEnd>>,
    /// The line of that.
    pub end_line: Option<u64>,
    /// How many lines it has, with its runs'.
    pub lines: u64,
    /// Operations of all runs.
    pub operations: u64,
    /// Sessions of all runs.
    pub sessions: usize,
    /// Whether the server's own record is part of it.
    pub witnessed: bool,
    new: NewPolicy,
    is_partial: bool,
    is_policy_partial: bool,
    /// Every line was understood and numbered, of every run.
    runs_are_whole: bool,
    form: Lines,
    /// What of its own lines does not hold, and what of its runs does not.
    checks: Checks,
    of_runs: Checks,
    under_way: Option<UnderWay>,
    seen: Seen,
    /// Findings of a later version.
    believed: BTreeSet<String>,
}

#[derive(Debug)]
struct UnderWay {
    variant: String,
    round: u32,
    run: StoredRun,
}

/// What the runs before say of the next one.
#[derive(Debug, Default)]
struct Seen {
    run_ids: BTreeSet<String>,
    /// The variants of the round that is under way, and which it is.
    round: Option<u32>,
    variants: BTreeSet<String>,
    /// What each variant was asked for in its first run.
    settings: BTreeMap<String, Vec<Setting>>,
    /// What variants were asked for that say nothing of it: the same of all.
    shared: BTreeMap<&'static str, Option<String>>,
    /// What each run was judged by, if all were by the same.
    policy: Option<Policy>,
    policies: bool,
    /// How long all of them took.
    took: Micros,
    /// When the last of them was over.
    until: Option<SystemTime>,
}

impl StoredComparison {
    /// Whether a comparison begins there.
    pub(super) fn begins(line: &Line) -> bool {
        matches!(line.event.as_ref().map(|event| &event.what), Some(What::ComparisonStart(_)))
    }

    pub(super) fn read(
        lines: &mut Ahead,
        first: Line,
        new: &NewPolicy,
        passing: &mut impl FnMut(Passing<'_>),
    ) -> Result<Self, Unreadable> {
        let start = match first.event.as_ref().map(|event| &event.what) {
            Some(What::ComparisonStart(start)) => (**start).clone(),
            _ => return Err(Unreadable::NoStart("there is no comparison in it".to_owned())),
        };
        let mut all = Self::new(start, new);
        all.take(first, passing);
        while let Some(line) = lines.next_line()? {
            all.take(line, passing).into_iter().for_each(|event| lines.spend(event));
        }
        all.run_is_over();
        all.form.end(&mut all.checks);
        Ok(all)
    }

    fn new(start: ComparisonStart, new: &NewPolicy) -> Self {
        let anew = (!new.is_none()).then(|| {
            // Its runs are read for the figures of the gates that judge them.
            let gates = new.gates.as_deref();
            let figures = gates.map_or_else(|| start.figures.clone(), |gates| gated_figures(gates, &start.variants));
            Comparison::new(ComparisonStart { figures, ..start.clone() })
        });
        Self {
            comparison: Comparison::new(start),
            anew,
            end: None,
            end_line: None,
            lines: 0,
            operations: 0,
            sessions: 0,
            witnessed: false,
            new: new.clone(),
            is_partial: false,
            is_policy_partial: false,
            runs_are_whole: true,
            form: Lines::new(Whose::Comparison),
            checks: Checks::default(),
            of_runs: Checks::default(),
            under_way: None,
            seen: Seen { policies: true, ..Seen::default() },
            believed: BTreeSet::new(),
        }
    }

    /// How it began.
    #[must_use]
    pub const fn start(&self) -> &ComparisonStart {
        self.comparison.start()
    }

    /// Whether events of it, or of its runs, are in words of a later version.
    #[must_use]
    pub const fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// Whether every line was understood and numbered, every round is there, and the last line says what it all came to.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.runs_are_whole && self.checks.holds()
    }

    /// Findings of a later version.
    pub(super) fn believed(&self) -> impl Iterator<Item = &String> {
        self.believed.iter()
    }

    /// What it was judged by, by its own word.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.end.as_ref().map_or_else(Policy::default, |end| end.judged_by.clone())
    }

    /// The comparison as the policy judges it that it was read for; its own where that says nothing.
    #[must_use]
    pub const fn judged(&self) -> &Comparison {
        match &self.anew {
            Some(anew) => anew,
            None => &self.comparison,
        }
    }

    /// What of it does not hold.
    pub(in crate::judge) fn checks(&self) -> Checks {
        let mut checks = self.checks.clone();
        checks.add(self.of_runs.clone());
        if self.is_partial {
            return checks;
        }
        self.starts_well(&mut checks);
        if let Some(end) = &self.end {
            self.ends_well(end, &mut checks);
        }
        checks
    }

    /// Whether its `comparison-end` says more of what it was judged by than is known.
    pub(in crate::judge) const fn is_policy_partial(&self) -> bool {
        self.is_policy_partial
    }

    fn take(&mut self, line: Line, passing: &mut impl FnMut(Passing<'_>)) -> Option<Event> {
        self.lines += 1;
        let number = line.number;
        let envelope = line.envelope.as_ref();
        let of = envelope.and_then(|it| Some((it.variant.as_deref()?, it.round?)));
        if let (Some((variant, round)), Some(What::RunStart(start))) = (of, line.event.as_ref().map(|it| &it.what)) {
            let (variant, start) = (variant.to_owned(), start.clone());
            self.run_is_over();
            self.run_begins(&variant, round, &start, number);
            let run = StoredRun::new(Whose::Compared(variant.clone(), round));
            self.under_way = Some(UnderWay { variant, round, run });
        }
        let of = line.envelope.as_ref().and_then(|it| Some((it.variant.as_deref()?, it.round?)));
        if let Some(under_way) = &mut self.under_way
            && of == Some((&*under_way.variant, under_way.round))
        {
            return under_way.run.take(line, None, passing);
        }
        self.is_partial |= line.is_lost;
        self.is_policy_partial |= line.adds_to("judged_by");
        let event = self.form.take(line, &mut self.checks)?;
        passing(Passing { line: number, within: Within::default(), event: &event });
        if let What::ComparisonEnd(end) = &event.what {
            let (said, took) = (event.at, end.elapsed_us);
            self.checks
                .check(Rule::Clock, number, took == said, || format!("it is of {said}, the comparison took {took}"));
            self.end = Some(end.clone());
            self.end_line = Some(number);
        }
        Some(event)
    }

    /// A run begins: it must be due.
    fn run_begins(&mut self, variant: &str, round: u32, start: &RunStart, line: u64) {
        let (all, seen, checks) = (self.comparison.start(), &mut self.seen, &mut self.checks);
        let known = all.variants.iter().any(|it| it.name == variant);
        checks.check(Rule::Rounds, line, known, || format!("there is no variant {variant:?}"));
        if seen.round != Some(round) {
            let complete = seen.round.is_none() || seen.variants.len() == all.variants.len();
            let due = seen.round.map_or(WARM_UP, |last| last.saturating_add(1));
            checks.check(Rule::Rounds, line, complete && round == due, || match complete {
                true => format!("round {due} is due, it is of round {round}"),
                false => {
                    format!("round {} has no run of each variant yet, it is of round {round}", due.saturating_sub(1))
                }
            });
            seen.round = Some(round);
            seen.variants.clear();
        }
        checks.check(Rule::Rounds, line, round <= all.rounds, || format!("there were to be {} rounds", all.rounds));
        let first = seen.variants.insert(variant.to_owned());
        checks.check(Rule::Rounds, line, first, || format!("{variant} ran in round {round} before"));
        let pace = seen.until.map_or(Micros::ZERO, |_| all.pace_us);
        let (over, begun) = (seen.until.unwrap_or(all.started), start.started);
        let due = over.checked_add(pace.duration());
        let follows = due.is_some_and(|due| due.duration_since(begun).unwrap_or_default() <= CLOCKS.duration());
        checks.check(Rule::Clock, line, follows, || {
            let [due, begun] = [due.unwrap_or(over), begun].map(|it| Micros::ZERO.after(it));
            format!("after what was before it, it was to begin at {due} at the earliest, and began at {begun}")
        });
        let spent = Micros::from(over.duration_since(all.started).unwrap_or_default());
        let in_time = all.bound_us.is_none_or(|bound| spent.0 <= bound.0.saturating_add(LAG.0));
        checks.check(Rule::Clock, line, in_time, || {
            let bound = all.bound_us.unwrap_or_default();
            format!("no run was to begin after {bound}, and the one before it was over after {spent}")
        });
        let unique = seen.run_ids.insert(start.run_id.clone());
        checks.check(Rule::Rounds, line, unique, || format!("run {} is there twice", start.run_id));
        let due = (&all.server, all.protocol, all.schema_version, &all.tool_version);
        let same = (&start.server, start.protocol, start.schema_version, &start.tool_version) == due;
        checks.check(Rule::Rounds, line, same, || {
            "it was on another server than the comparison, or is of another version".to_owned()
        });
        let seed = seed_of(all.seed, round);
        checks.check(Rule::Rounds, line, start.seed == Some(seed), || {
            format!("seed {} gives the runs of round {round} the seed {seed}", all.seed)
        });
        let turn = order(all.seed, all.variants.len(), round).get(seen.variants.len().saturating_sub(1)).copied();
        let turn = turn.and_then(|turn| all.variants.get(turn)).map_or("", |it| &it.name);
        checks.check(Rule::Rounds, line, !known || !first || turn == variant, || {
            format!("by seed {} it is {turn}'s turn in round {round}, it is of {variant}", all.seed)
        });
        let settings = settings_of(start);
        let arguments = all.variants.iter().find(|it| it.name == variant).map_or("", |it| &it.arguments);
        let named = named(arguments);
        for (what, due) in &named {
            let is = value_of(&settings, what).unwrap_or("none");
            checks.check(Rule::Rounds, line, is == due, || {
                format!("{variant} is {arguments:?}, so its {what} must be {due}: the run's is {is}")
            });
        }
        for what in SHARED.into_iter().filter(|what| known && named.iter().all(|(named, _)| named != what)) {
            let is = value_of(&settings, what).map(str::to_owned);
            let due = seen.shared.entry(what).or_insert_with(|| is.clone());
            checks.check(Rule::Rounds, line, is == *due, || {
                let [is, due] = [&is, &*due].map(|it| it.as_deref().unwrap_or("none"));
                format!(
                    "{variant} is {arguments:?}, so its {what} must be that of the others, {due}: the run's is {is}"
                )
            });
        }
        let of_variant = seen.settings.entry(variant.to_owned()).or_insert_with(|| settings.clone());
        let differs = differences(of_variant, &settings);
        let differs = differs.iter().find(|it| it.weight != Weight::Shown);
        checks.check(Rule::Rounds, line, differs.is_none(), || {
            let differs = differs.map(|it| format!("{} {}, and {} before", it.what, it.other, it.one));
            format!("the run of {variant} was asked for {}", differs.unwrap_or_default())
        });
    }

    /// What the run under way comes to; then it is forgotten.
    fn run_is_over(&mut self) {
        let Some(UnderWay { variant, round, mut run }) = self.under_way.take() else { return };
        run.form.end(&mut run.checks);
        self.runs_are_whole &= run.is_whole();
        self.is_partial |= run.is_partial;
        let (own, summary) = (run.policy(), run.judge.summary());
        let (verdict, due) = run.judged(&summary, &own);
        self.of_runs.add(run.checks());
        run.agrees(&due, &mut self.of_runs);
        self.believed.extend(run.judge.believed().iter().map(|finding| finding.id.clone()));
        self.operations += due.operations.issued;
        self.sessions += due.connections.opened;
        self.witnessed |= run.judge.known().start().is_some_and(|start| start.witnessed);
        self.seen.took += due.elapsed_us;
        let started = run.judge.known().start().map(|start| start.started);
        self.seen.until = started.and_then(|started| started.checked_add(due.elapsed_us.duration()));
        if run.end.is_none() {
            return;
        }
        self.seen.policies &= *self.seen.policy.get_or_insert_with(|| own.clone()) == own;
        let of = RunOf { variant: &variant, round };
        self.comparison.add(of, &run.judge, &summary, &verdict);
        if let Some(anew) = &mut self.anew {
            let policy = self.new.over(own).of_a_run();
            anew.add(of, &run.judge, &summary, &run.judge.verdict(&summary, &policy));
        }
    }

    fn starts_well(&self, checks: &mut Checks) {
        let start = self.start();
        let names: BTreeSet<&str> = start.variants.iter().map(|it| &*it.name).collect();
        let can_be = names.len() == start.variants.len() && names.len() > 1 && names.contains(&*start.reference);
        checks.check(Rule::Header, None, can_be, || {
            "a comparison is of two variants or more, each with a name of its own, and one of them is the reference"
                .to_owned()
        });
        let can_be = start.noise.is_finite() && start.noise >= 0.0 && start.rounds > 0;
        checks.check(Rule::Header, None, can_be, || "a comparison has rounds, and a noise of 0 or more".to_owned());
        let is_newer = start.schema_version > SCHEMA_VERSION;
        for Variant { name, arguments } in &start.variants {
            let unknown = unknown(arguments).filter(|_| start.tool_version == env!("CARGO_PKG_VERSION"));
            checks.check(Rule::Header, None, unknown.is_none(), || {
                format!(
                    "{name} is {arguments:?}, and no variant can be given {:?}",
                    unknown.as_deref().unwrap_or_default()
                )
            });
        }
        let is_budgeted = start.most_sign_ins.is_some();
        checks.check(Rule::Header, None, !is_budgeted || start.server.contains("://"), || {
            "it has a budget of sign-ins, and the sandbox needs none".to_owned()
        });
        let metric = compared_metric(&start.metric);
        checks.check(Rule::Header, None, is_newer || metric.as_ref().is_ok_and(|name| *name == start.metric), || {
            format!("{:?} decides nothing", start.metric)
        });
    }

    /// What the end says beside the verdicts: why it stopped, and what was judged by.
    fn ends_well(&self, end: &ComparisonEnd, checks: &mut Checks) {
        let (start, seen, line) = (self.start(), &self.seen, self.end_line);
        let took = seen.took;
        let rests = u64::try_from(seen.run_ids.len().saturating_sub(1)).unwrap_or(u64::MAX);
        let rested = Micros(start.pace_us.0.saturating_mul(rests));
        checks.check(Rule::Clock, line, took.0.saturating_add(rested.0) <= end.elapsed_us.0, || {
            format!("its runs took {took} together, and the rests between them {rested}; all of it {}", end.elapsed_us)
        });
        let until = seen.until.and_then(|until| until.duration_since(start.started).ok());
        let over = Micros::from(until.unwrap_or_default());
        checks.check(Rule::Clock, line, over.0 <= end.elapsed_us.0.saturating_add(CLOCKS.0), || {
            format!("its last run was over after {over}, all of it after {}", end.elapsed_us)
        });
        let in_time = start.bound_us.is_none_or(|bound| end.elapsed_us.0 <= bound.0.saturating_add(GRACE.0));
        checks.check(Rule::Clock, line, in_time, || {
            let bound = start.bound_us.unwrap_or_default();
            format!("it was to take no longer than {bound}, and took {}", end.elapsed_us)
        });
        let sign_ins = self.comparison.runs().iter().map(|run| run.figures.sign_ins).fold(0, u64::saturating_add);
        checks.check(Rule::Rounds, line, start.most_sign_ins.is_none_or(|most| sign_ins <= most), || {
            format!("it was to make {} sign-ins at most, and made {sign_ins}", start.most_sign_ins.unwrap_or_default())
        });
        let by_gates = gated_figures(&end.judged_by.gates, &start.variants) == start.figures;
        checks.check(Rule::Header, line, by_gates || self.is_policy_partial, || {
            "the comparison began to be read for other figures than its gates are about".to_owned()
        });
        let as_runs = seen.policy.as_ref().is_none_or(|policy| *policy == end.judged_by.of_a_run());
        checks.check(Rule::Rounds, line, (seen.policies && as_runs) || self.is_policy_partial, || {
            "its runs were judged by something else than it was".to_owned()
        });
        let all_there = seen.round == Some(start.rounds) && seen.variants.len() == start.variants.len();
        match &end.stopped {
            None => checks.check(Rule::Rounds, line, all_there, || {
                format!("there were to be {} rounds, and nothing stopped it before", start.rounds)
            }),
            Some(stopped) => checks.check(Rule::Rounds, line, self.may_have_stopped(stopped, end), || {
                "it did not stop for what it says".to_owned()
            }),
        }
        let by_signal = end.stopped.as_ref().is_some_and(|stopped| stopped.why == WhyStopped::Signal);
        checks.check(Rule::Rounds, line, by_signal || end.interrupted.is_none(), || {
            "it was interrupted, and says that something else stopped it".to_owned()
        });
    }

    /// Whether the last run that there is, and what was asked for, can have been the end.
    fn may_have_stopped(&self, stopped: &Stopped, end: &ComparisonEnd) -> bool {
        let start = self.start();
        if stopped.round > start.rounds {
            return false;
        }
        let last = self.comparison.runs().last();
        let of = stopped.variant.as_ref().map(|name| start.variants.iter().position(|it| it.name == *name));
        let its = last.filter(|run| of == Some(Some(run.variant)) && run.round == stopped.round);
        let is_over = |bound: Micros| end.elapsed_us >= bound;
        // Between two runs it is in the round whose next run was due.
        let between = of.is_none() && stopped.round == self.due_round();
        match stopped.why {
            WhyStopped::Time => start
                .bound_us
                .is_some_and(|bound| between || (its.is_some_and(|it| it.is_interrupted()) && is_over(bound))),
            WhyStopped::Signal => (between || its.is_some()) && end.interrupted.is_some(),
            WhyStopped::SignIns => {
                let dials = self.comparison.runs().iter().map(|run| run.dials).fold(0, u64::saturating_add);
                // A token that is renewed takes two.
                let spent = |most: u64| dials.saturating_mul(2) >= most;
                its.is_some_and(|run| run.is_interrupted()) && start.most_sign_ins.is_some_and(spent)
            }
            WhyStopped::Limit => its.is_some_and(|run| run.is_limited()),
            WhyStopped::SignIn => its.is_some_and(|run| run.exit_code == 5),
            // What could not even begin has no run.
            WhyStopped::Failed => match its {
                Some(run) => {
                    run.exit_code != 0 || run.figures.operations.ok == 0 || run.figures.connections.still_open > 0
                }
                None => of.is_some() && stopped.round == self.due_round(),
            },
        }
    }

    /// The round of the run that would have been next.
    fn due_round(&self) -> u32 {
        match self.seen.round {
            None => WARM_UP,
            Some(round) if self.seen.variants.len() == self.start().variants.len() => round.saturating_add(1),
            Some(round) => round,
        }
    }
}
