//! The figures of a variant over its rounds: the median of what is measured; of what is counted, every round.

use std::collections::BTreeMap;

use super::{ComparedRun, Comparison};
use crate::event::Micros;
use crate::judge::gates::median;

/// A count of each round: it is exact, and told as what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// What is counted.
    pub what: &'static str,
    /// What it is in most rounds.
    pub usual: u64,
    /// The rounds in which it is another one, and what it is there.
    pub others: Vec<(u32, u64)>,
}

/// A variant in figures.
#[derive(Clone, Debug, Default)]
pub struct VariantFigures {
    /// Operations of a run.
    pub operations: Option<u64>,
    /// Operations a second.
    pub rate: Option<f64>,
    /// Waits: p50, p95, p99.
    pub wait: [Option<Micros>; 3],
    /// Service times: p50, p95, p99.
    pub service: [Option<Micros>; 3],
    /// Bytes that were sent, and that were received.
    pub bytes: Option<(u64, u64)>,
    /// The processor time of the threads that did the work.
    pub cpu: Option<Micros>,
    /// What part of the time of a run had passed, from its first operation on, when the last of its connections was there.
    pub connecting: Option<f64>,
    /// Connections opened, the most at once, sign-ins, replies from another mailbox, failures.
    pub counts: Option<[Counted; 5]>,
    /// In how many of the rounds each finding was made.
    pub findings: BTreeMap<String, usize>,
}

impl Counted {
    fn of(what: &'static str, runs: &[&ComparedRun], count: impl Fn(&ComparedRun) -> u64) -> Option<Self> {
        let mut often: BTreeMap<u64, usize> = BTreeMap::new();
        runs.iter().for_each(|run| *often.entry(count(run)).or_default() += 1);
        // Of those that are as frequent, the least.
        let usual =
            often.iter().max_by_key(|(value, times)| (**times, std::cmp::Reverse(**value))).map(|(it, _)| *it)?;
        let others = runs.iter().map(|run| (run.round, count(run))).filter(|(_, value)| *value != usual).collect();
        Some(Self { what, usual, others })
    }

    /// The most that it came to.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.others.iter().map(|(_, value)| *value).chain([self.usual]).max().unwrap_or(self.usual)
    }

    /// The least.
    #[must_use]
    pub fn least(&self) -> u64 {
        self.others.iter().map(|(_, value)| *value).chain([self.usual]).min().unwrap_or(self.usual)
    }
}

impl VariantFigures {
    /// Connections opened.
    #[must_use]
    pub fn opened(&self) -> Option<&Counted> {
        self.counts.as_ref().map(|[opened, ..]| opened)
    }

    /// The most at once.
    #[must_use]
    pub fn peak(&self) -> Option<&Counted> {
        self.counts.as_ref().map(|[_, peak, ..]| peak)
    }
}

impl Comparison {
    /// The variant's figures over those rounds.
    #[must_use]
    pub fn figures_of(&self, variant: usize, rounds: &[u32]) -> VariantFigures {
        let runs: Vec<&ComparedRun> = rounds.iter().filter_map(|round| self.run(variant, *round)).collect();
        let middle = |of: &dyn Fn(&ComparedRun) -> Option<f64>| {
            // As a gate has it: what one of them has not, they have not.
            let mut values: Vec<f64> = runs.iter().map(|run| of(run)).collect::<Option<_>>()?;
            values.sort_by(f64::total_cmp);
            median(&values)
        };
        let time = |of: fn(&ComparedRun) -> Option<Micros>| {
            middle(&|run| of(run).map(|time| time.0 as f64)).map(|time| Micros(time.round() as u64))
        };
        let whole = |of: fn(&ComparedRun) -> u64| middle(&|run| Some(of(run) as f64)).map(|it| it.round() as u64);
        let sent = whole(|run| run.figures.bytes_sent);
        let mut findings = BTreeMap::new();
        for id in runs.iter().flat_map(|run| run.figures.findings.keys()) {
            *findings.entry(id.clone()).or_default() += 1;
        }
        let count = |what, of: fn(&ComparedRun) -> u64| Counted::of(what, &runs, of);
        let counts = || {
            Some([
                count("connections opened", |run| run.figures.connections.opened as u64)?,
                count("connections at once", |run| run.figures.connections.peak as u64)?,
                count("sign-ins", |run| run.figures.sign_ins)?,
                count("replies from another mailbox", |run| run.figures.wrong_mailboxes)?,
                count("failures", |run| run.figures.failures)?,
            ])
        };
        VariantFigures {
            operations: whole(|run| run.figures.operations.issued),
            rate: middle(&|run| run.figures.operations_per_second),
            wait: [
                time(|run| run.figures.wait_us.p50),
                time(|run| run.figures.wait_us.p95),
                time(|run| run.figures.wait_us.p99),
            ],
            service: [
                time(|run| run.figures.service_us.p50),
                time(|run| run.figures.service_us.p95),
                time(|run| run.figures.service_us.p99),
            ],
            bytes: sent.zip(whole(|run| run.figures.bytes_received)),
            cpu: time(|run| run.figures.cpu_us),
            connecting: middle(&|run| run.connecting),
            counts: counts(),
            findings,
        }
    }

    /// The middle of what the verdict is about.
    #[must_use]
    pub fn middle(&self, variant: usize, rounds: &[u32]) -> Option<f64> {
        let values = rounds.iter().filter_map(|round| self.run(variant, *round)?.compared()?.as_f64());
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        median(&values)
    }

    /// The same, for people.
    #[must_use]
    pub fn middle_shown(&self, variant: usize, rounds: &[u32]) -> Option<String> {
        let unit = self.metric.as_ref()?.metric.unit;
        self.middle(variant, rounds).map(|value| unit.shown(&unit.number(value)))
    }

    /// Whether some of its runs had no distance to their server.
    #[must_use]
    pub fn is_on_loopback(&self) -> bool {
        self.runs.iter().any(|run| run.is_on_the_sandbox && run.rtt.is_none())
    }

    /// How far away the one in the box was, as a round trip, if it was as far for all its runs.
    #[must_use]
    pub fn rtt(&self) -> Option<Micros> {
        let rtt = self.runs.first()?.rtt?;
        self.runs.iter().all(|run| run.rtt == Some(rtt)).then_some(rtt)
    }

    /// Whether threads did the work of all its runs, without tasks.
    #[must_use]
    pub fn is_on_threads(&self) -> bool {
        self.runs.iter().all(|run| run.is_on_threads)
    }

    /// Whether its server was the one in the box.
    #[must_use]
    pub fn is_on_the_sandbox(&self) -> bool {
        self.runs.iter().any(|run| run.is_on_the_sandbox)
    }
}
