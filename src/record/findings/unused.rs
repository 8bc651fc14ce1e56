//! What was held without need, and a mode that made no difference.

use std::collections::BTreeMap;
use std::time::Duration;

use super::finding;
use crate::allocator::{Kind, Mode, Reason, SessionId};
use crate::record::run::{Run, What};
use crate::record::verdict::{Finding, Severity};

/// A shorter run says nothing of how connections are held: its threads begin and end at different times.
const SHORTEST: Duration = Duration::from_secs(2);
/// More than that many may be in use at once for this share of the time, and no longer: one in so many.
const RARELY: u32 = 100;

/// MC052. A connection counts as held from its opening to its last use, so one whose thread had done its work, and only waited
/// for the others, is not held against anybody. In a scenario, steps are made one at a time: there is nothing to measure.
pub(super) fn hardly_used(run: &Run) -> Option<Finding> {
    let mut uses: Vec<(SessionId, Duration, Duration)> = Vec::new();
    let mut lives: BTreeMap<SessionId, (Duration, Duration)> = BTreeMap::new();
    for entry in &run.entries {
        match &entry.what {
            What::Opened(opened) => drop(lives.insert(opened.session, (entry.at, entry.at))),
            What::Operation(operation) if operation.local_port.is_some() => {
                let Some(session) = operation.session else { continue };
                let (began, over) = operation.in_use();
                uses.push((session, began, over));
                if let Some((_, last)) = lives.get_mut(&session) {
                    *last = (*last).max(over);
                }
            }
            _ => {}
        }
    }
    let began = uses.iter().map(|(_, began, _)| *began).min()?;
    let over = uses.iter().map(|(_, _, over)| *over).max()?;
    let whole = over.saturating_sub(began);
    if run.header.scripted || whole < SHORTEST {
        return None;
    }
    let within = |(from, to): &(Duration, Duration)| to.saturating_sub((*from).max(began));
    let held = lives.values().filter(|life| within(life) >= whole / 2).count();
    let at_once = in_use_at_once(&uses);
    let longer_than_rarely = |most: &usize| {
        let more: Duration = at_once.range(most + 1..).map(|(_, time)| *time).sum();
        more > whole / RARELY
    };
    let enough = (1..held).find(|most| !longer_than_rarely(most))?;
    if enough * 2 > held {
        return None;
    }
    let used: Duration =
        at_once.iter().map(|(count, time)| time.saturating_mul(u32::try_from(*count).unwrap_or(u32::MAX))).sum();
    let lived: Duration = lives.values().filter(|life| within(life) >= whole / 2).map(within).sum();
    let share = 100.0 * used.as_secs_f64() / lived.as_secs_f64();
    let peak = at_once.keys().next_back().copied().unwrap_or_default();
    let instead = match enough {
        1 => "one that is shared would have done (use-main)".to_owned(),
        enough => format!("{enough} would have done (fewer threads, or some of them on one that is shared)"),
    };
    let sentence = format!(
        "{held} connections were held for most of {whole:.1?} and used for {share:.1} % of that time; more than {enough} at once \
         for hardly any of it: {instead}"
    );
    finding("MC052", Severity::Advice, sentence, vec![format!("{held} held, {peak} in use at once at most")])
}

/// For how long so many were in use at once.
fn in_use_at_once(uses: &[(SessionId, Duration, Duration)]) -> BTreeMap<usize, Duration> {
    let mut turns: Vec<(Duration, bool)> =
        uses.iter().flat_map(|(_, began, over)| [(*began, true), (*over, false)]).collect();
    // At one moment, what ends comes before what begins.
    turns.sort_unstable();
    let mut times = BTreeMap::new();
    let (mut count, mut since) = (0_usize, Duration::ZERO);
    for (at, begins) in turns {
        if count > 0 {
            *times.entry(count).or_default() += at.saturating_sub(since);
        }
        since = at;
        count = if begins { count + 1 } else { count.saturating_sub(1) };
    }
    times
}

/// MC053.
pub(super) fn no_defaults(run: &Run) -> Option<Finding> {
    let another = run
        .entries
        .iter()
        .any(|entry| matches!(entry.what, What::ModeChanged { .. } | What::Created { kind: Kind::Default, .. }));
    if run.header.mode != Mode::UseMainOrDefault || another {
        return None;
    }
    let on_main = run.operations().filter(|(_, operation)| operation.reason == Some(Reason::Main)).count();
    let sentence =
        "the mode is use-main-or-default, and no thread created a default connection: it behaved as use-main does; \
                    create defaults where threads are to work side by side (--default-for all; in code \
                    create_default_connection), or say use-main"
            .to_owned();
    finding(
        "MC053",
        Severity::Advice,
        sentence,
        (on_main > 0).then(|| format!("{on_main} operation(s) on main")).into_iter().collect(),
    )
}
