//! What a stream of events proves. Each question is an [`Analysis`], which sees each event once; the [`Judge`] asks them all.

mod claims;
mod comparison;
mod conclusion;
mod earlier;
mod elsewhere;
pub mod expectations;
mod finding;
mod findings;
mod gates;
mod integrity;
mod limits;
mod metrics;
mod refusals;
pub mod rules;
mod scenario;
mod selections;
mod server_log;
mod settings;
mod stated_limit;
mod stored;
mod units;
mod verification;
mod witness;
mod wrong;

pub use comparison::{
    ComparedRun, Comparison, Counted, RunFigures, Sampled, ServersEnd, Tried, Trouble, VariantFigures, compared_metric,
    comparison_gate, gated_figure, gated_figures, is_of_a_comparison, order, samples_of, seed_of,
};
pub use conclusion::{Conclusion, first_of};
pub use earlier::{Earlier, NoRun};
pub use elsewhere::{Elsewhere, elsewhere};
pub use finding::{Allowed, Article, Detector, Evidence, Found, Proven, Spec};
pub use findings::ALL;
pub use gates::{Gate, MOST as MOST_GATES, NoGate, failed_gates};
pub use integrity::{Checks, Doubt, Integrity, Rule, Tested};
pub use limits::{Attempt, Probed};
pub(crate) use limits::{
    Before, DialOutcome, EndedFor, Failed, Goodbye, NextStep, Outcome, SETTLES, falls_silent, is_alike, is_lock_of_one,
    most_attempts, most_looks, most_refused, next_step, refuses_after_all, releases, stated_kind, stated_period,
};
pub use metrics::{METRICS, Metric, Unit as MetricUnit, Worse, keyed};
pub(crate) use refusals::{has_words, is_limit, is_refused_sign_in};
pub use rules::Rules;
pub use scenario::{Steps, client_end};
pub use server_log::{AgainstLog, LoggedSession, OurSessions};
pub use settings::{Differs, Weight};
pub(crate) use stated_limit::{names_a_number, stated_limit};
pub use stored::{Content, Passing, Stored, StoredComparison, StoredRun, StoredScenario, is_flag_of_a_variant};
pub use units::{UNITS, Unit};
pub use verification::{Subject, Verification, Verified};
pub use witness::Witness;
pub(crate) use witness::is_same_mailbox;
pub use wrong::{EVIDENCE, Wrong};

use std::borrow::Borrow;

use conclusion::Grounds;
use expectations::Progress;
use limits::Ramp;
use metrics::Measured;

use crate::event::{
    Connections, Ending, Event, Finding, Gated, LimitsFound, Micros, Policy, Proof, RunEnd, SECTIONS, Section,
    Severity, What, Witnessed,
};
use crate::figures::{Figures, Results, SectionRow, Summary, Tally, Wanted};
use crate::ledger::{Analysis, Ledger};

/// Asks every question about one client's stream.
#[derive(Debug)]
pub struct Judge {
    known: Ledger,
    figures: Figures,
    rules: Rules,
    witness: Witness,
    grounds: Grounds,
    progress: Progress,
    ramp: Ramp,
    detectors: Vec<(&'static Spec, Box<dyn Detector>)>,
    believed: Vec<Finding>,
    believed_gates: Vec<Gated>,
}

/// What a stream comes to.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What was checked, and how much of it held.
    pub proof: Proof,
    /// What was found, worst first.
    pub findings: Vec<Finding>,
    /// What the gates of the policy come to, in their order.
    pub gates: Vec<Gated>,
    /// What a probe found out; none where the run is none.
    pub probed: Option<Box<Probed>>,
    /// What could not be judged, and why: a sentence for each such finding.
    pub unjudged: Vec<String>,
    /// What it all comes to.
    pub conclusion: Conclusion,
    /// What that rests on, in words, where the conclusion alone does not say.
    pub because: Option<String>,
}

impl Default for Judge {
    fn default() -> Self {
        Self {
            known: Ledger::default(),
            figures: Figures::default(),
            rules: Rules::default(),
            witness: Witness::default(),
            grounds: Grounds::default(),
            progress: Progress::default(),
            ramp: Ramp::default(),
            detectors: ALL.iter().map(|spec| (spec, (spec.detector)())).collect(),
            believed: Vec::new(),
            believed_gates: Vec::new(),
        }
    }
}

impl Judge {
    /// One who has seen the whole stream.
    #[must_use]
    pub fn of<E: Borrow<Event>>(events: impl IntoIterator<Item = E>) -> Self {
        let mut judge = Self::default();
        for event in events {
            let event = event.borrow();
            match &event.what {
                What::RunEnd(end) => judge.end(end.ending()),
                _ => judge.see(event),
            }
        }
        judge
    }

    /// Sees the next event. The event that ends the run ends all questions.
    pub fn see(&mut self, event: &Event) {
        self.known.see(event);
        let Self { figures, rules, witness, grounds, progress, ramp, .. } = self;
        let asked: [&mut dyn Analysis; 6] = [figures, rules, witness, grounds, progress, ramp];
        asked.into_iter().for_each(|analysis| analysis.see(event, &self.known));
        for (_, detector) in &mut self.detectors {
            detector.see(event, &self.known);
        }
        self.tell_refused();
    }

    /// The run is over. The event that says so comes after the verdict, and is not seen.
    pub fn end(&mut self, ending: Ending) {
        self.known.end(ending);
        let asked: [&mut dyn Analysis; 4] = [&mut self.figures, &mut self.rules, &mut self.witness, &mut self.grounds];
        asked.into_iter().for_each(|analysis| analysis.end(&self.known));
        self.tell_refused();
        for (_, detector) in &mut self.detectors {
            detector.end(&self.known);
        }
    }

    fn tell_refused(&mut self) {
        for refused in self.figures.sessions.take_settled() {
            for (_, detector) in &mut self.detectors {
                detector.refused(&refused, &self.known);
            }
        }
    }

    /// Takes over those of the findings and gates of a later version's file that nobody here can look for.
    pub fn believe(&mut self, said: &[Finding], gates: &[Gated]) {
        self.believed_gates = gates.iter().filter(|it| Gate::parse(&it.gate).is_err()).cloned().collect();
        let unknown = |finding: &&Finding| ALL.iter().all(|spec| spec.id != finding.id);
        self.believed = said.iter().filter(unknown).cloned().collect();
    }

    /// Findings that were taken over.
    #[must_use]
    pub fn believed(&self) -> &[Finding] {
        &self.believed
    }

    /// What is true now.
    #[must_use]
    pub const fn known(&self) -> &Ledger {
        &self.known
    }

    /// Whether the rules held, so far.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What the server's own record says, so far.
    #[must_use]
    pub const fn witness(&self) -> &Witness {
        &self.witness
    }

    /// What refusals showed of the server's limit on connections, so far; none where none showed anything of it.
    #[must_use]
    pub fn allowed(&self) -> Option<Allowed> {
        self.detectors.iter().filter_map(|(_, detector)| detector.allowed()).reduce(Allowed::and)
    }

    /// How far the run has come.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        let (operations, failed) = self.figures.work.ended();
        Tally { operations, failed, open: self.known.open() }
    }

    /// The dial of that step of a probe, counted from 0: it is settled when the next step begins, or the run ends.
    #[must_use]
    pub fn attempt_of(&self, step: usize) -> Option<Attempt> {
        self.ramp.attempt_of(step)
    }

    /// How long that step of a probe, counted from 0, rests before it dials: after a close, since that.
    #[must_use]
    pub fn rest_of(&self, step: usize) -> Option<Micros> {
        self.ramp.rest_of(step)
    }

    /// The figures so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.figures.summary(&self.known)
    }

    /// The figures that those gates are about, so far.
    fn measured(&self, gates: &[String]) -> Measured {
        let summary = self.summary();
        let Verdict { findings, probed, proof, unjudged, .. } = self.verdict(&summary, &Policy::NONE);
        let limits = probed.as_ref().map(|probed| &probed.limits);
        self.figures_of(&summary, &findings, limits, proof, &unjudged, &gates::wanted(gates))
    }

    fn figures_of(
        &self,
        summary: &Summary,
        findings: &[Finding],
        limits: Option<&LimitsFound>,
        proof: Proof,
        unjudged: &[String],
        wanted: &Wanted,
    ) -> Measured {
        let (start, ending) = (self.known.start().map(|start| &**start), self.known.ending().unwrap_or_default());
        let (exit_code, wanted) = (None, Some(wanted));
        Measured::of(&Results { start, ending, summary, findings, limits, proof, unjudged, exit_code, wanted })
    }

    /// What it comes to by that policy, so far. The summary is this judge's.
    #[must_use]
    pub fn verdict(&self, summary: &Summary, policy: &Policy) -> Verdict {
        let Self { known, rules, witness, grounds, .. } = self;
        let proven = Proven { known, summary, rules, witness };
        let found = |(spec, detector): &(&'static Spec, Box<dyn Detector>)| {
            detector.finding(&proven).map(|found| spec.found(found))
        };
        let mut findings: Vec<Finding> = self.detectors.iter().filter_map(found).collect();
        findings.extend_from_slice(&self.believed);
        let probed = self.ramp.found();
        if probed.is_some() {
            // It opens connections to count them: that they were hardly used is no news.
            findings.retain(|finding| finding.severity != Severity::Advice);
        }
        findings.sort_by_key(|finding| finding.severity);
        let unjudged = |(spec, detector): &(&Spec, Box<dyn Detector>)| {
            detector.unjudged().map(|why| format!("{} was not judged for {why}", spec.id))
        };
        let unjudged: Vec<String> = self.detectors.iter().filter_map(unjudged).collect();
        let witnessed = Witnessed {
            available: witness.available,
            checked: witness.agreement.checked,
            agreed: witness.agreement.held,
            not_compared: witness.not_compared,
        };
        let proof = Proof { rules: rules.agreement, witness: witnessed };
        let limits = probed.as_ref().map(|probed| &probed.limits);
        let gates = gates::judge(policy, &self.believed_gates, |wanted| {
            self.figures_of(summary, &findings, limits, proof, &unjudged, wanted)
        });
        let (conclusion, because) = match probed.as_deref() {
            Some(probed) => grounds.conclude_probe(probed, &proven, &findings, &gates, policy),
            None => {
                let conclusion = grounds.conclude(&proven, &findings, &gates, policy);
                (conclusion, grounds.because(conclusion, &proven, &findings, &gates, policy))
            }
        };
        Verdict { proof, findings, gates, probed, unjudged, conclusion, because }
    }
}

/// The event that ends the run: what it came to, by that policy.
#[must_use]
pub fn run_end(ending: Ending, summary: &Summary, verdict: &Verdict, judged_by: Policy) -> RunEnd {
    let section = |row: &SectionRow| Section {
        mode: row.mode,
        began_us: row.began_us,
        operations: row.operations,
        reasons: row.reasons.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect(),
    };
    RunEnd {
        elapsed_us: ending.elapsed,
        interrupted: ending.interrupted,
        operations: summary.operations,
        connections: Connections { still_open: ending.still_open, ..summary.connections },
        wait_us: summary.wait,
        service_us: summary.service,
        total_wait_us: summary.total_wait,
        total_service_us: summary.total_service,
        worked_us: summary.worked,
        cut_off: summary.cut_off,
        held_up_us: ending.held_up,
        cpu_us: ending.cpu,
        sections: summary.sections.iter().take(SECTIONS).map(section).collect(),
        other_sections: summary.sections.len().saturating_sub(SECTIONS) as u64,
        findings: verdict.findings.clone(),
        gates: verdict.gates.clone(),
        limits: verdict.probed.as_ref().map(|probed| Box::new(probed.limits.clone())),
        verdict: verdict.proof,
        judged_by,
        exit_code: verdict.conclusion.exit_code(),
    }
}
