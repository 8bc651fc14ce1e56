//! What is known before the first dial to come to nothing: too little time, or too few samples.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use humantime::format_duration;

use super::{Compared, Way};
use crate::cli::settings::Server;
use mailconn::compare::{Budget, Needs, rounds_of};
use mailconn::event::{Asked, Executor};
use mailconn::judge::{Sampled, gated_figure, samples_of};

/// Round trips of the shortest run: the connection, the greeting and the sign-in.
const OF_A_SESSION: u32 = 3;

/// Refuses what can come to nothing.
///
/// # Errors
/// One line: what there is too little of, and the least that would do.
pub fn ensure_possible(all: &Compared) -> Result<()> {
    enough_time(all)?;
    let gated = all.policy.gates.iter().filter_map(|gate| gated_figure(gate, &all.start.variants));
    let of_gates = gated.filter_map(|(at, metric)| Some(("--fail-if", all.ways.get(at)?, metric)));
    let metric = all.ways.iter().map(|way| ("--metric", way, all.start.metric.clone()));
    metric.chain(of_gates).try_for_each(|(flag, way, metric)| enough_samples(flag, way, &metric))
}

/// `--for` has room for a warm-up and the fewest rounds that decide anything, as fast as the server may be.
fn enough_time(all: &Compared) -> Result<()> {
    let Some(bound) = all.rounds.bound else { return Ok(()) };
    let fewest = *rounds_of(all.ways.len()).start();
    let rests = Budget::of(fewest, all.rounds.pace, &vec![Needs::default(); all.ways.len()]).rests;
    let least = all.ways.iter().map(least_time).sum::<Duration>().saturating_mul(fewest + 1).saturating_add(rests);
    ensure!(
        bound >= least,
        "--for {} is too short to tell anything: a warm-up and the {fewest} rounds that it takes need {} at least; give more \
         time, or shorter runs (--duration)",
        format_duration(bound),
        format_duration(Duration::from_secs(least.as_secs() + u64::from(least.subsec_nanos() > 0))),
    );
    Ok(())
}

/// How long a run takes at least.
fn least_time(way: &Way) -> Duration {
    let each = match way.work.plan.asked {
        Asked::Duration(time) => return time.into(),
        Asked::Operations(each) => u32::try_from(each).unwrap_or(u32::MAX),
        Asked::InAll(_) => 1,
    };
    let away = match &way.server {
        Server::Sandbox { rtt, latency, .. } => {
            rtt.saturating_mul(each.saturating_add(OF_A_SESSION)).saturating_add(latency.saturating_mul(each))
        }
        Server::Real { .. } => Duration::ZERO,
    };
    let rests = match way.work.plan.executor {
        Executor::Threads => way.work.plan.pause.saturating_mul(each.saturating_sub(1)),
        Executor::Pool | Executor::Tasks => Duration::ZERO,
    };
    away.saturating_add(rests)
}

/// A run of it has as many samples as that metric needs.
fn enough_samples(flag: &str, way: &Way, metric: &str) -> Result<()> {
    let Some((sampled, needed)) = samples_of(metric) else { return Ok(()) };
    let (there, of, cure) = match sampled {
        Sampled::Operations => match way.work.plan.operations() {
            Some(all) => (all, "operations", "raise -n"),
            None => return Ok(()),
        },
        Sampled::Dials => (way.work.most_connections() as u64, "dials", "choose a lower percentile"),
    };
    if there < needed {
        bail!("{flag}: {metric} needs {needed} {of} in a run, and a run of {} has {there}; {cure}", way.name);
    }
    Ok(())
}
