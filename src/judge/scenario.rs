//! What a scenario comes to: its steps, what was found of its clients, its exit code.

use std::collections::{BTreeMap, BTreeSet};

use super::gates::any_failed;
use super::{Conclusion, Verdict};
use crate::event::{Agreement, ClientEnd, Policy, ScenarioEnd, Severity, Step};

/// A scenario's steps, counted.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    /// How many there were, with those that are judged at the end.
    pub all: usize,
    /// Steps that did not hold; without those that are judged at the end.
    pub failed: usize,
    /// Expectations of the findings that did not hold.
    pub unmet: usize,
    /// Findings that were to be there.
    expected: BTreeSet<String>,
}

impl Steps {
    /// Of all these.
    #[must_use]
    pub fn of<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Self {
        let mut counted = Self::default();
        steps.into_iter().for_each(|step| counted.see(step));
        counted
    }

    /// Counts the next one.
    pub fn see(&mut self, step: &Step) {
        let failed = usize::from(!step.held);
        self.all += 1;
        match step.of_findings() {
            None => self.failed += failed,
            Some((id, there)) => {
                self.unmet += failed;
                self.expected.extend(id.filter(|_| there).map(str::to_owned));
            }
        }
    }

    /// The event that ends the scenario: what it came to, by that policy.
    #[must_use]
    pub fn end(&self, clients: Vec<ClientEnd>, interrupted: Option<i32>, judged_by: Policy) -> ScenarioEnd {
        let failed = self.failed + self.unmet;
        let mut end = ScenarioEnd { steps: self.all, failed, interrupted, clients, judged_by, exit_code: 0 };
        let failing = self.failing(&end);
        let conclusion = match interrupted {
            Some(signal) => Conclusion::Interrupted(signal),
            None if failing.values().any(|severity| *severity == Severity::Broken) => Conclusion::Broken,
            None if failed > 0 || !failing.is_empty() => Conclusion::Failed,
            // Without a client nothing is measured, and so each gate fails.
            None if end.clients.is_empty() && !end.judged_by.gates.is_empty() => Conclusion::GateFailed,
            None if end.clients.iter().any(|client| any_failed(&client.gates)) => Conclusion::GateFailed,
            None => Conclusion::Held,
        };
        end.exit_code = conclusion.exit_code();
        end
    }

    /// Whether a step expects that finding to be there.
    #[must_use]
    pub fn expects(&self, id: &str) -> bool {
        self.expected.contains(id)
    }

    /// The findings that fail it: those of the policy that no step expected, and a broken invariant.
    #[must_use]
    pub fn failing<'a>(&self, end: &'a ScenarioEnd) -> BTreeMap<&'a str, Severity> {
        let found = end.clients.iter().flat_map(|client| &client.findings);
        let fails = found.filter(|finding| {
            let asked_for = end.judged_by.fails_on(finding.severity) && !self.expects(&finding.id);
            finding.severity == Severity::Broken || asked_for
        });
        fails.map(|finding| (finding.id.as_str(), finding.severity)).collect()
    }
}

/// What a client came to, as its scenario's end says it.
#[must_use]
pub fn client_end(name: &str, run_id: &str, verdict: &Verdict, still_open: usize) -> ClientEnd {
    let witness = verdict.proof.witness;
    ClientEnd {
        name: name.to_owned(),
        run_id: run_id.to_owned(),
        rules: verdict.proof.rules,
        witness: witness.available.then_some(Agreement { checked: witness.checked, held: witness.agreed }),
        findings: verdict.findings.clone(),
        gates: verdict.gates.clone(),
        still_open,
    }
}
