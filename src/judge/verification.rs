//! Does a stored file hold: is what it says of its events possible, and do they come to what its end says?
//!
//! Figures are compared, findings by their names, and the exit code by the policy that the file names; no sentence is. What
//! was forged with care, and alike everywhere, holds: only a server's own record could say otherwise.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::claims;
use super::integrity::{Checks, Rule};
use super::server_log::AgainstLog;
use super::stored::{Content, Stored, StoredComparison, StoredRun, StoredScenario};
use super::{Comparison, Conclusion, Steps, Verdict, first_of};
use crate::event::{
    ClientEnd, ComparisonEnd, Gated, NewPolicy, PassedOver, RunEnd, RunStart, ScenarioEnd, ScenarioStart,
};

/// A file against every rule, and against itself.
#[derive(Debug)]
pub struct Verification {
    /// What was checked, and what does not hold.
    pub checks: Checks,
    /// The runs or scenarios of the file, one after the other.
    pub verified: Vec<Verified>,
    /// How many lines it has.
    pub lines: u64,
    /// What of a later version was passed over.
    pub passed_over: PassedOver,
    /// Events are in words of a later version: what all of them come to was compared with nothing.
    pub is_partial: bool,
    /// What a comparison with a server's own log came to, if there was one.
    pub log: Option<AgainstLog>,
    /// The exit code by another policy, if there was one.
    new_exit_code: Option<u8>,
}

/// A run or a scenario, verified.
#[derive(Debug)]
pub struct Verified {
    /// Which.
    pub subject: Subject,
    /// How many lines it has.
    pub lines: u64,
    /// Operations, of all clients.
    pub operations: u64,
    /// Sessions, of all clients.
    pub sessions: usize,
    /// Whether the server's own record is part of it.
    pub witnessed: bool,
    /// What the gates come to that it is judged by, each with the client it is of: of a run the empty name.
    pub gates: Vec<(String, Gated)>,
    /// The exit code that the file says.
    pub said: Option<u8>,
    /// The exit code that its events come to.
    pub exit_code: u8,
}

/// What a stream is of.
#[derive(Debug)]
pub enum Subject {
    /// A run.
    Run {
        /// How it began.
        start: Arc<RunStart>,
        /// What its `run-end` must say.
        due: Box<RunEnd>,
        /// What it comes to.
        verdict: Verdict,
        /// What it comes to by another policy, if it was judged anew.
        anew: Option<Box<Verdict>>,
    },
    /// A scenario.
    Scenario {
        /// How it began.
        start: Box<ScenarioStart>,
        /// Its steps, counted.
        steps: Steps,
        /// What its `scenario-end` must say.
        due: Box<ScenarioEnd>,
        /// What the `run-end` of each client must say.
        runs: Vec<(String, RunEnd)>,
        /// What it comes to by another policy, if it was judged anew.
        anew: Option<Box<ScenarioEnd>>,
    },
    /// A comparison.
    Comparison {
        /// Its runs.
        comparison: Box<Comparison>,
        /// What its `comparison-end` must say.
        due: Box<ComparisonEnd>,
        /// The rounds that count.
        rounds: Vec<u32>,
        /// What it comes to by another policy, if it was judged anew.
        anew: Option<Box<(Comparison, ComparisonEnd)>>,
    },
}

impl Verification {
    /// Of that file, judged by `new` where it says something.
    #[must_use]
    pub fn of(stored: Stored, new: &NewPolicy, log: Option<AgainstLog>) -> Self {
        let mut checks = log.as_ref().map(|log| log.checks.clone()).unwrap_or_default();
        let Stored { content, lines, passed_over } = stored;
        let is_partial = content.is_partial();
        let (verified, codes): (Vec<Verified>, Vec<u8>) = match content {
            Content::Run(run) => [of_run(*run, new, &mut checks)].into_iter().flatten().unzip(),
            Content::Scenarios(all) => {
                once_each(&all, &mut checks);
                all.into_iter().map(|it| of_scenario(it, new, &mut checks)).unzip()
            }
            Content::Comparison(comparison) => [of_comparison(*comparison, new, &mut checks)].into_iter().unzip(),
        };
        let new_exit_code = (!new.is_none()).then(|| codes.into_iter().fold(0, first_of));
        Self { checks, verified, lines, passed_over, is_partial, log, new_exit_code }
    }

    /// Whether everything holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.checks.holds()
    }

    /// The process's exit code for it: 7 if something does not hold; else 0, or the exit code by another policy.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.holds() { self.new_exit_code.unwrap_or(0) } else { Conclusion::Broken.exit_code() }
    }

    /// The exit code that all of it comes to by the new policy, if there is one.
    #[must_use]
    pub const fn new_exit_code(&self) -> Option<u8> {
        self.new_exit_code
    }
}

/// What was verified, and the exit code by the new policy.
fn of_run(run: StoredRun, new: &NewPolicy, checks: &mut Checks) -> Option<(Verified, u8)> {
    let own = run.policy();
    let summary = run.judge.summary();
    let (verdict, due) = run.judged(&summary, &own);
    let start = Arc::clone(run.judge.known().start()?);
    checks.add(run.checks());
    run.agrees(&due, checks);
    let anew = (!new.is_none()).then(|| Box::new(run.judge.verdict(&summary, &new.over(own))));
    let judged = anew.as_deref().unwrap_or(&verdict);
    let exit_code = judged.conclusion.exit_code();
    let verified = Verified {
        lines: run.lines,
        operations: due.operations.issued,
        sessions: due.connections.opened,
        witnessed: start.witnessed,
        gates: judged.gates.iter().map(|gated| (String::new(), gated.clone())).collect(),
        said: run.end.as_ref().map(|end| end.exit_code),
        exit_code: due.exit_code,
        subject: Subject::Run { start, due: Box::new(due), verdict, anew },
    };
    Some((verified, exit_code))
}

fn of_comparison(stored: StoredComparison, new: &NewPolicy, checks: &mut Checks) -> (Verified, u8) {
    let own = stored.policy();
    let ending = stored.end.as_ref().map(|end| end.ending()).unwrap_or_default();
    let rounds = stored.comparison.whole_rounds(&ending);
    let due = stored.comparison.comes_to(&rounds, &ending, &own);
    checks.add(stored.checks());
    if let Some(end) = stored.end.as_ref().filter(|_| !stored.is_partial()) {
        let exit_code = if stored.is_policy_partial() { end.exit_code } else { due.exit_code };
        claims::compare(checks, stored.end_line, &ComparisonEnd { exit_code, ..due.clone() }, &**end);
    }
    let anew = (!new.is_none()).then(|| {
        let judged = stored.judged().clone();
        let end = judged.comes_to(&rounds, &ending, &new.over(own));
        Box::new((judged, end))
    });
    let judged = anew.as_ref().map_or(&due, |anew| &anew.1);
    let judged_code = judged.exit_code;
    let verified = Verified {
        lines: stored.lines,
        operations: stored.operations,
        sessions: stored.sessions,
        witnessed: stored.witnessed,
        gates: judged.gates.iter().map(|gated| (String::new(), gated.clone())).collect(),
        said: stored.end.as_ref().map(|end| end.exit_code),
        exit_code: due.exit_code,
        subject: Subject::Comparison { comparison: Box::new(stored.comparison), due: Box::new(due), rounds, anew },
    };
    (verified, judged_code)
}

/// No client's run is in the file twice.
fn once_each(scenarios: &[StoredScenario], checks: &mut Checks) {
    let mut seen = BTreeSet::new();
    let runs = scenarios.iter().flat_map(|it| &it.clients).filter_map(|(_, run)| run.judge.known().start());
    for start in runs {
        checks.check(Rule::Lines, None, seen.insert(&start.run_id), || format!("run {} is there twice", start.run_id));
    }
}

fn of_scenario(mut scenario: StoredScenario, new: &NewPolicy, checks: &mut Checks) -> (Verified, u8) {
    let said = scenario.policy();
    let summaries = scenario.summaries();
    let (due, runs) = scenario.comes_to(&summaries, &said);
    checks.add(scenario.checks(&due));
    for ((name, run), (_, end)) in scenario.clients.iter().zip(&runs) {
        checks.add(run.checks());
        let Some(start) = run.judge.known().start().filter(|_| run.end.is_some()) else { continue };
        run.agrees(end, checks);
        let (theirs, its) = (&scenario.start, &**start);
        let there = (&its.server, its.protocol) == (&theirs.server, theirs.protocol);
        checks
            .check(Rule::Lines, None, there, || format!("the run of {name:?} was on another server than the scenario"));
        checks.check(Rule::Lines, None, its.schema_version == theirs.schema_version, || {
            format!("the run of {name:?} is of another version than the scenario")
        });
        let interrupted = run.end.as_ref().and_then(|end| end.interrupted);
        let so_was_all = scenario.end.as_ref().is_none_or(|end| end.interrupted == interrupted);
        checks.check(Rule::RunEnd, run.end_line, interrupted.is_none() || so_was_all, || {
            format!("the run of {name:?} was interrupted, and the scenario says otherwise")
        });
    }
    if let Some(end) = scenario.end.as_ref().filter(|_| !scenario.is_partial()) {
        let exit_code = if scenario.is_policy_partial() { end.exit_code } else { due.exit_code };
        claims::compare(checks, scenario.end_line, &ScenarioEnd { exit_code, ..due.clone() }, &**end);
    }
    let anew = (!new.is_none()).then(|| Box::new(scenario.comes_to(&summaries, &new.over(said)).0));
    let judged = anew.as_deref().unwrap_or(&due);
    let judged_code = judged.exit_code;
    let names = scenario.clients.iter().map(|(name, _)| name.clone());
    let runs: Vec<(String, RunEnd)> = names.zip(runs).map(|(name, (_, end))| (name, end)).collect();
    let starts = || scenario.clients.iter().filter_map(|(_, run)| run.judge.known().start());
    let verified = Verified {
        lines: scenario.lines,
        operations: runs.iter().map(|(_, end)| end.operations.issued).sum(),
        sessions: runs.iter().map(|(_, end)| end.connections.opened).sum(),
        witnessed: starts().any(|start| start.witnessed),
        gates: judged.clients.iter().flat_map(of_client).collect(),
        said: scenario.end.as_ref().map(|end| end.exit_code),
        exit_code: due.exit_code,
        subject: Subject::Scenario {
            steps: scenario.steps_counted(&due.clients),
            start: scenario.start,
            due: Box::new(due),
            runs,
            anew,
        },
    };
    (verified, judged_code)
}

fn of_client(client: &ClientEnd) -> impl Iterator<Item = (String, Gated)> {
    client.gates.iter().map(|gated| (client.name.clone(), gated.clone()))
}
