//! The result of a probe in one sentence.

use crate::event::{KeptBy, Micros, LimitKind, LimitMet, LimitsFound, Probe, ProbePhase, LimitScope};
use crate::judge::{Attempt, EndedFor, Probed, falls_silent, has_words, is_lock_of_one, stated_kind};
use crate::protocol::{FailureKind, Protocol};
use crate::report::words::{count, many, printable, span};

/// How many connections there are, above all.
pub(in crate::report) fn result(probed: &Probed, probe: Probe, protocol: Protocol) -> String {
    let limits = &probed.limits;
    let connections = many(limits.given as u64, "connection");
    match &limits.met {
        _ if limits.stopped.is_some() && !limits.answered => stopped(limits),
        None if limits.answered => {
            let none = if odd_one(probed).is_some() { "no limit on how many are open was met" } else { "no limit was met" };
            format!("{connections}, and {none}: --max {} is as far as it was to go", count(probe.max as u64))
        }
        None => match probed.ended_for {
            Some(ended_for) => ended(limits, ended_for, probe),
            None => format!("{connections} so far, and no limit was met yet"),
        },
        Some(met) if limits.given == 0 => nothing(met, protocol),
        Some(met) => given(probed, met, protocol),
    }
}

fn stopped(limits: &LimitsFound) -> String {
    let Some(failure) = &limits.stopped else { return String::new() };
    let said = failure.server_line.as_deref().filter(|_| has_words(failure)).unwrap_or(&failure.message);
    if let Some(session) = limits.silent {
        let given = many(limits.given as u64, "connection");
        let how = if falls_silent(failure.kind) { "did not answer NOOP" } else { "was refused a NOOP" };
        return format!(
            "not answered: {session} {how} ({}: {}); {given} had been let in, how many more there are is not known",
            failure.kind,
            printable(said)
        );
    }
    let by_then = match (limits.given, failure.kind) {
        (0, _) => String::new(),
        // It ended all of them, and says that they were too many.
        (given, FailureKind::LimitConnections) if limits.ended > 0 && has_words(failure) => {
            format!("; {} were open, and one more is too many by its words", count(given as u64))
        }
        (given, _) => format!("; {} were open by then", count(given as u64)),
    };
    format!("not answered: {} at {}: {}{by_then}", failure.kind, failure.stage, printable(said))
}

/// No two of them say how many there may be at once.
fn ended(limits: &LimitsFound, ended_for: EndedFor, probe: Probe) -> String {
    let (given, ended) = (many(limits.given as u64, "connection"), count(limits.ended as u64));
    let by_pace = |keeps| match probe.pace_us {
        Micros::ZERO => String::new(),
        _ => format!("; a shorter --pace {keeps} them open"),
    };
    let why = match ended_for {
        EndedFor::Idling => format!("for lying idle, so that no more were open at once{}", by_pace("keeps")),
        EndedFor::Commands => "for their commands, by its words: each look at an open one is a command".to_owned(),
        EndedFor::CommandOf(number) => format!(
            "when each was sent command {number} of its session: for its commands, of which each look is one, or for the newest; \
             which of the two cannot be told"
        ),
        EndedFor::Itself => {
            let keeps = by_pace("may keep");
            format!("by itself, before the next one came, so that no more were open at once{keeps}")
        }
    };
    format!("at least {given}: the server ended {ended} {why}")
}

fn nothing(met: &LimitMet, protocol: Protocol) -> String {
    let others = others(&met.scopes);
    let may = match met.failure.as_ref().and_then(|failure| stated_kind(failure, Some(protocol), 0)) {
        Some(LimitKind::Count) => format!("by its words {others} hold all there are"),
        Some(LimitKind::Rate) => "by its words too many came lately".to_owned(),
        Some(LimitKind::Unclear) | None => format!("{others} may hold all there are, or too many came lately"),
    };
    let later = if met.again_within_us.is_some() { "; after the hold one was let in" } else { "" };
    format!("no connection now: the first one was refused; {may}{later}")
}

fn given(probed: &Probed, met: &LimitMet, protocol: Protocol) -> String {
    let number = many(probed.limits.given as u64, "connection");
    // One that was let in later may have the place of another client that left.
    let hold_now = if met.again_within_us.is_some() { "held then" } else { "hold now" };
    let beside = format!("{number}, beside those that {} {hold_now}", others(&met.scopes));
    match (met.kept_by, met.kind) {
        (KeptBy::Slowing, _) => slowed(probed),
        (KeptBy::EndingOldest | KeptBy::EndingAnother, _) if !probed.limits.answered => {
            format!("at most {beside}; for one more the server ended others, and it was not seen how many it leaves")
        }
        (KeptBy::EndingOldest | KeptBy::EndingAnother, _) => {
            let which = match (met.kept_by, ended_at_a_time(probed)) {
                (KeptBy::EndingOldest, 1) => "the oldest".to_owned(),
                (KeptBy::EndingOldest, ended) => {
                    let stay = (probed.limits.given + 1).saturating_sub(ended);
                    format!("the {ended} oldest, so that {stay} stay")
                }
                (_, 1) => "one, and not always the oldest".to_owned(),
                (_, ended) => format!("{ended}, and not always the oldest"),
            };
            format!("{beside}; for one more the server ends {which}")
        }
        (KeptBy::RefusingNewest, _) if is_lock_of_one_owner(probed, met, protocol) => {
            format!("{number}: a maildrop has one owner at a time (RFC 1939)")
        }
        (KeptBy::RefusingNewest, LimitKind::Count) if probed.refused_late > 0 => {
            format!("{beside}; one more is let in, and ended soon after: those that were open live on")
        }
        (KeptBy::RefusingNewest, LimitKind::Count) => beside,
        (KeptBy::RefusingNewest, LimitKind::Rate) if is_told_rate(probed, met, protocol) => format!(
            "{number} in {}, then no more for a time: the server limits how many come, not how many are open",
            span(met.within_us)
        ),
        (KeptBy::RefusingNewest, LimitKind::Rate) => format!(
            "{number} in {}, then no more for a time: the server limits how many come, unless other clients have left \
             meanwhile",
            span(met.within_us)
        ),
        (KeptBy::RefusingNewest, LimitKind::Unclear) => format!(
            "{beside}, or as many as come in {}: it cannot be told whether the server counts those that are open or those \
             that come",
            span(met.within_us)
        ),
    }
}

/// The attempt that was refused without words of a limit while others were let in after it: once may be anything.
pub(super) fn odd_one(probed: &Probed) -> Option<&Attempt> {
    let counts = probed.attempts.iter().filter(|it| it.step.phase == ProbePhase::Count);
    let (odd, _) = counts.clone().zip(counts.skip(1)).find(|(it, next)| it.was_refused && next.failure.is_none())?;
    Some(odd)
}

/// How many the server ends for one more, as it was last seen while it counted.
pub(super) fn ended_at_a_time(probed: &Probed) -> usize {
    let counted = probed.attempts.iter().filter(|it| it.step.phase == ProbePhase::Count && it.failure.is_none());
    counted.map(|it| it.ended.len()).rfind(|ended| *ended > 0).unwrap_or(1)
}

fn is_lock_of_one_owner(probed: &Probed, met: &LimitMet, protocol: Protocol) -> bool {
    met.failure.as_ref().is_some_and(|failure| is_lock_of_one(failure, Some(protocol), probed.limits.given))
}

/// Whether the server's words say that it is a rate.
fn is_told_rate(probed: &Probed, met: &LimitMet, protocol: Protocol) -> bool {
    let says = |failure| stated_kind(failure, Some(protocol), probed.limits.given);
    met.failure.as_ref().and_then(says) == Some(LimitKind::Rate)
}

/// A penalty or a queue.
fn slowed(probed: &Probed) -> String {
    let counted: Vec<_> =
        probed.attempts.iter().filter(|it| it.step.phase == ProbePhase::Count && it.failure.is_none()).collect();
    let Some((before, [slow, last])) = counted.split_last_chunk() else { return String::new() };
    let usual = before.iter().map(|it| it.took_us).max().unwrap_or_default();
    format!(
        "{} as quick as any; the next two took {} and {}, and those before {} at most: a penalty, or a queue",
        many(before.len() as u64, "connection"),
        span(slow.took_us),
        span(last.took_us),
        span(usual)
    )
}

/// Whose connections count besides.
pub(super) fn others(scopes: &[LimitScope]) -> &'static str {
    match scopes {
        [LimitScope::UserAndAddress] => "other clients of the account at this address",
        [LimitScope::Address] => "other clients at this address",
        scopes if scopes.iter().all(|scope| matches!(scope, LimitScope::User | LimitScope::UserAndAddress)) => {
            "other clients of the account"
        }
        _ => "other clients",
    }
}
