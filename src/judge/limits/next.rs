//! What a probe does next, from what its steps came to. The probe goes by it, and so does the check of a stored one.

use super::alike::Likeness;
use super::failing::may_be_limit;
use super::kind::stated as stated_kind;
use super::slow::is_slow;
use crate::event::{LimitKind, Micros, Probe, ProbePhase, ProbeStep};
use crate::judge::refusals::lines;
use crate::protocol::{Failure, FailureKind, Protocol, stated_wait};

/// How long after a close the two attempts come that see whether its slot has come free.
const RELEASES: [Micros; 2] = [Micros(2_000_000), Micros(30_000_000)];

/// A step to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NextStep {
    pub(crate) step: ProbeStep,
    pub(crate) before: Before,
}

/// What comes before the dial of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// A rest.
    Rest(Micros),
    /// A rest, and a look at what is open.
    Hold(Micros),
    /// One connection ends; then a rest until so long after that.
    Close(Goodbye, Micros),
    /// The rest until so long after the last close.
    SinceClose(Micros),
}

/// How the probe ends a connection, to see when its slot comes free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goodbye {
    /// By LOGOUT or QUIT.
    Said,
    /// By the socket's close alone.
    Unsaid,
}

/// What a step came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) step: ProbeStep,
    pub(crate) dial: DialOutcome,
    /// Connections that were open when it was over.
    pub(crate) open: usize,
    /// Connections that the server was found to have ended, without those that it refused late: it let them in beyond its limit,
    /// and ended each a moment later.
    pub(crate) ended: usize,
    /// Whether one of those that were open did not answer, or was not served.
    pub(crate) is_silent: bool,
}

/// What became of a dial.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DialOutcome {
    LetIn {
        took: Micros,
    },
    Failed(Failed),
    /// It was not tried: the look before it found one that the server does not serve, so that nothing more is asked of it.
    Withheld,
}

/// What a dial failed of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed {
    /// Whether a limit can be why.
    may_be_limit: bool,
    /// Whether it is called a limit on how often.
    is_rate: bool,
    /// What the server says that it counts.
    says: Option<LimitKind>,
    /// How long the server says to wait.
    wait: Option<Micros>,
    /// What it has in common with other refusals of the same limit.
    likeness: Likeness,
}

impl Failed {
    /// Of that failure, while so many were held; `gave_one_back`: just before one more was.
    pub(crate) fn of(
        failure: &Failure,
        sign_in_attempted: bool,
        held: usize,
        gave_one_back: bool,
        protocol: Option<Protocol>,
    ) -> Self {
        Self {
            may_be_limit: may_be_limit(failure, sign_in_attempted, held > 0 || gave_one_back),
            is_rate: failure.kind == FailureKind::LimitRate,
            says: stated_kind(failure, protocol, held),
            wait: longest_wait(failure),
            likeness: Likeness::of(failure),
        }
    }

    /// Whether asking further may tell more, and is allowed.
    fn leads_on(&self, hold: Micros) -> bool {
        self.may_be_limit && self.wait.is_none_or(|wait| wait <= hold)
    }
}

/// How long the server says to wait, by any of its lines.
pub(super) fn longest_wait(failure: &Failure) -> Option<Micros> {
    lines(failure).filter_map(stated_wait).map(|wait| wait.duration.into()).max()
}

/// The next step; none when all is known that can be, or asking further is not allowed.
pub(crate) fn next_step(probe: &Probe, seen: &[Outcome]) -> Option<NextStep> {
    use ProbePhase::{BareClose, Confirm, Count, End, Hold, Release};
    let step = |phase, attempt, before| Some(NextStep { step: ProbeStep { phase, attempt }, before });
    let Some(last) = seen.last() else { return step(Count, 1, Before::Rest(Micros::ZERO)) };
    if last.is_silent {
        return None;
    }
    let number = last.step.attempt;
    match (last.step.phase, last.dial) {
        (_, DialOutcome::Failed(failed)) if !failed.leads_on(probe.hold_us) => None,
        // By another limit, or a ban: it says nothing of the one that was met.
        (_, DialOutcome::Failed(failed)) if first_refusal(seen).is_some_and(|it| it.likeness != failed.likeness) => {
            None
        }
        (Count, DialOutcome::LetIn { .. }) if counts_on(probe, seen) => {
            step(Count, number + 1, Before::Rest(probe.pace_us))
        }
        // The server went away.
        (Count, DialOutcome::Failed(_)) if last.open == 0 && last.ended > 0 => None,
        (Count, DialOutcome::Failed(_)) => step(Hold, 1, Before::Hold(probe.hold_us)),
        // A rate that is told in words is not met again and again.
        (Hold, DialOutcome::Failed(failed)) if last.open > 0 && !failed.is_rate => {
            // What the server asks for is kept each time.
            step(Release, 1, Before::Close(Goodbye::Said, RELEASES[0].max(failed.wait.unwrap_or_default())))
        }
        // One more at once tells a slot that came free from time that has passed.
        (phase @ (Hold | Release), DialOutcome::LetIn { .. }) if may_confirm(probe, seen, phase) => {
            step(Confirm, 1, Before::Hold(settling(probe, seen)))
        }
        (Release, DialOutcome::LetIn { .. }) | (Confirm, DialOutcome::Failed(_))
            if probe.bare_close && gave_one_back(seen) =>
        {
            step(BareClose, 1, Before::Close(Goodbye::Unsaid, RELEASES[0].max(stated(seen))))
        }
        (phase @ (Release | BareClose), DialOutcome::Failed(failed)) if number == 1 => {
            // The first one came after the wait that was asked for, too.
            step(phase, 2, Before::SinceClose(RELEASES[1].max(twice(failed.wait.unwrap_or_default()))))
        }
        (Count | Hold | Release | Confirm | BareClose | End, _) => None,
    }
}

/// The most attempts that there can be.
pub(crate) const fn most_attempts(max: usize, bare_close: bool) -> usize {
    let closes = if bare_close { 2 } else { 1 };
    // In the count one more, where the last found another ended; one after the hold, two after each close, and one that
    // confirms.
    max.saturating_add(1 + 1 + RELEASES.len() * closes + 1)
}

/// The most looks at those that were open before a dial: at each step of the count, after the hold, and before one more confirms.
/// At the last two there is room for one more, and at the step beyond `max`.
pub(crate) const fn most_looks(max: usize) -> usize {
    let others = max.saturating_sub(1);
    // Of a sum of 0, 1, 2 … and three times the last.
    others.saturating_mul(max) / 2 + 3 * others
}

/// The most of them that are refused.
pub(crate) const fn most_refused(bare_close: bool) -> usize {
    // One is confirmed after the release has let one in, and the bare close comes after that.
    let after_closes = if bare_close { RELEASES.len() * 2 } else { RELEASES.len() };
    1 + 1 + after_closes
}

/// The longest that it rests for slots to come free.
pub(crate) fn releases(probe: &Probe) -> Micros {
    let closes = if probe.bare_close { twice(RELEASES[1]) } else { RELEASES[1] };
    closes + settling(probe, &[])
}

/// The refusal of the limit that was met.
fn first_refusal(seen: &[Outcome]) -> Option<Failed> {
    seen.iter().find_map(|it| match it.dial {
        DialOutcome::Failed(failed) => Some(failed),
        DialOutcome::LetIn { .. } | DialOutcome::Withheld => None,
    })
}

/// Whether the first refusal says in words that it counts that.
fn says(seen: &[Outcome], kind: LimitKind) -> bool {
    first_refusal(seen).is_some_and(|failed| failed.says == Some(kind))
}

/// Whether one more tells what let the last one in. The words may have told it.
fn may_confirm(probe: &Probe, seen: &[Outcome], phase: ProbePhase) -> bool {
    if phase == ProbePhase::Hold { may_prove_rate(probe, seen) } else { !says(seen, LimitKind::Count) }
}

/// Whether one more after the hold tells time that has passed from another client that left: of those that were held none was
/// given back, and none more may be open than was asked for.
fn may_prove_rate(probe: &Probe, seen: &[Outcome]) -> bool {
    let is_told = says(seen, LimitKind::Count) || says(seen, LimitKind::Rate);
    let since_refused = seen.iter().skip_while(|it| matches!(it.dial, DialOutcome::LetIn { .. }));
    let open = seen.last().map_or(0, |last| last.open);
    !is_told && open > 1 && open < probe.max && since_refused.map(|it| it.ended).sum::<usize>() == 0
}

/// Whether the probe has signed out of one to see when its slot comes free.
fn gave_one_back(seen: &[Outcome]) -> bool {
    seen.iter().any(|it| it.step.gave_one_back())
}

/// What the server asked to wait at the last refusal.
fn stated(seen: &[Outcome]) -> Micros {
    let last = seen.iter().rev().find_map(|it| match it.dial {
        DialOutcome::Failed(failed) => Some(failed.wait.unwrap_or_default()),
        DialOutcome::LetIn { .. } | DialOutcome::Withheld => None,
    });
    last.unwrap_or_default()
}

/// How long before one more comes after one that was let in. A rate over a sliding time frees its places one by one, as far
/// apart as they were taken: by twice the pace the next one is free. Without a pace they were taken a dial and a look apart, and
/// no rest is as short: the next one may still be refused, and the kind stays unclear.
fn settling(probe: &Probe, seen: &[Outcome]) -> Micros {
    twice(probe.pace_us).max(stated(seen))
}

fn twice(time: Micros) -> Micros {
    time + time
}

/// Ends may come late, and those of one step be for several that were let in. It is settled once one ends for one that is let
/// in; after so many steps in a row it is not waited for any longer.
const MOST_UNSETTLED: usize = 4;

/// Whether one more dial follows a dial that was let in.
fn counts_on(probe: &Probe, seen: &[Outcome]) -> bool {
    let Some((last, before)) = seen.split_last() else { return true };
    if last.ended > 1 && last.open <= 1 {
        // It ended all for the newest: it is not asked for that again.
        return false;
    }
    if last.ended > 0 {
        // Seen twice in a row, the server ends one for each that it lets in. Once may be anything.
        let in_a_row = seen.iter().rev().take_while(|it| it.ended > 0).count();
        let is_settled = last.ended == 1 || in_a_row >= MOST_UNSETTLED || last.step.attempt > probe.max;
        return in_a_row < 2 || !is_settled;
    }
    let is_held_up = before.split_last().is_some_and(|(previous, before)| {
        // Two slow ones in a row are the server's doing. One may be anything's.
        is_slower(previous, before) && is_slower(last, before)
    });
    last.step.attempt < probe.max && !is_held_up
}

fn is_slower(last: &Outcome, before: &[Outcome]) -> bool {
    let took = |it: &Outcome| match it.dial {
        DialOutcome::LetIn { took } => Some(took),
        DialOutcome::Failed(_) | DialOutcome::Withheld => None,
    };
    took(last).is_some_and(|last| is_slow(last, before.iter().filter_map(took)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Stage;

    const fn ms(time: u64) -> Micros {
        Micros(time * 1000)
    }

    const FAILED: Failed =
        Failed { may_be_limit: true, is_rate: false, says: None, wait: None, likeness: likeness(true) };
    const fn likeness(has_words: bool) -> Likeness {
        Likeness { kind: FailureKind::LimitConnections, stage: Stage::Auth, has_words, says: None }
    }

    const IN: DialOutcome = DialOutcome::LetIn { took: ms(20) };
    const NO: DialOutcome = DialOutcome::Failed(FAILED);

    /// What it is, the probe, what its attempts come to, and the steps that it takes.
    type Case<'a> = (&'a str, &'a Probe, &'a [(DialOutcome, usize)], &'a str);

    /// The steps of a probe whose attempts come to that, in order; each with how many were found ended.
    fn steps(probe: &Probe, dials: &[(DialOutcome, usize)]) -> Vec<String> {
        let (mut seen, mut open): (Vec<Outcome>, usize) = (Vec::new(), 0);
        let mut dials = dials.iter();
        let mut steps = Vec::new();
        while let Some(NextStep { step, before }) = next_step(probe, &seen) {
            steps.push(step.to_string());
            let Some((dial, ended)) = dials.next() else { return steps };
            open -= usize::from(matches!(before, Before::Close(..)));
            open += usize::from(matches!(dial, DialOutcome::LetIn { .. }));
            open -= ended;
            seen.push(Outcome { step, dial: *dial, open, ended: *ended, is_silent: false });
        }
        steps.push("end".to_owned());
        steps
    }

    #[test]
    fn each_step_follows_from_what_was_seen() {
        let probe = Probe { max: 4, pace_us: Micros::ZERO, hold_us: ms(3000), bare_close: false };
        let more = Probe { max: 8, ..probe };
        let many = Probe { max: 32, ..probe };
        let two = Probe { max: 2, ..probe };
        let bare = Probe { bare_close: true, ..probe };
        let slow = |took| DialOutcome::LetIn { took: ms(took) };
        let otherwise = DialOutcome::Failed(Failed { may_be_limit: false, ..FAILED });
        let rate = DialOutcome::Failed(Failed { is_rate: true, says: Some(LimitKind::Rate), ..FAILED });
        let counts = DialOutcome::Failed(Failed { says: Some(LimitKind::Count), ..FAILED });
        let waits = |wait| DialOutcome::Failed(Failed { wait: Some(ms(wait)), ..FAILED });
        let other = DialOutcome::Failed(Failed { likeness: likeness(false), ..FAILED });
        let all: [Case<'_>; 36] = [
            ("no limit", &probe, &[(IN, 0), (IN, 0), (IN, 0), (IN, 0)], "count#1 count#2 count#3 count#4 end"),
            ("a rate", &probe, &[(IN, 0), (NO, 0), (IN, 0), (IN, 0)], "count#1 count#2 hold#1 confirm#1 end"),
            (
                "a rate, or another client that left",
                &bare,
                &[(IN, 0), (NO, 0), (IN, 0), (NO, 0)],
                "count#1 count#2 hold#1 confirm#1 end",
            ),
            ("no more may be open after the hold", &two, &[(IN, 0), (NO, 0), (IN, 0)], "count#1 count#2 hold#1 end"),
            (
                "one ended during the hold",
                &probe,
                &[(IN, 0), (IN, 0), (NO, 0), (IN, 1)],
                "count#1 count#2 count#3 hold#1 end",
            ),
            (
                "one ended with the refusal",
                &probe,
                &[(IN, 0), (IN, 0), (NO, 1), (IN, 0)],
                "count#1 count#2 count#3 hold#1 end",
            ),
            (
                "a count by its words, and another client that left",
                &probe,
                &[(IN, 0), (counts, 0), (IN, 0)],
                "count#1 count#2 hold#1 end",
            ),
            ("a rate by its words is let in", &probe, &[(IN, 0), (rate, 0), (IN, 0)], "count#1 count#2 hold#1 end"),
            ("another limit after the hold", &probe, &[(IN, 0), (NO, 0), (other, 0)], "count#1 count#2 hold#1 end"),
            (
                "a ban after the hold",
                &bare,
                &[(IN, 0), (NO, 0), (NO, 0), (other, 0)],
                "count#1 count#2 hold#1 release#1 end",
            ),
            (
                "another limit confirms nothing",
                &bare,
                &[(IN, 0), (NO, 0), (NO, 0), (IN, 0), (other, 0)],
                "count#1 count#2 hold#1 release#1 confirm#1 end",
            ),
            (
                "ends that come late",
                &more,
                &[(IN, 0), (IN, 0), (IN, 0), (IN, 0), (IN, 2), (IN, 2), (IN, 1)],
                "count#1 count#2 count#3 count#4 count#5 count#6 count#7 end",
            ),
            (
                "ends that go on",
                &many,
                &[(IN, 0), (IN, 0), (IN, 0), (IN, 0), (IN, 0), (IN, 0), (IN, 0), (IN, 2), (IN, 2), (IN, 2), (IN, 2)],
                "count#1 count#2 count#3 count#4 count#5 count#6 count#7 count#8 count#9 count#10 count#11 end",
            ),
            (
                "a count",
                &probe,
                &[(IN, 0), (NO, 0), (NO, 0), (IN, 0), (NO, 0)],
                "count#1 count#2 hold#1 release#1 confirm#1 end",
            ),
            (
                "a rate whose time is over by the release",
                &bare,
                &[(IN, 0), (NO, 0), (NO, 0), (IN, 0), (IN, 0)],
                "count#1 count#2 hold#1 release#1 confirm#1 end",
            ),
            (
                "a count by its words",
                &probe,
                &[(IN, 0), (counts, 0), (NO, 0), (IN, 0)],
                "count#1 count#2 hold#1 release#1 end",
            ),
            (
                "a count by its words, and a bare close",
                &bare,
                &[(IN, 0), (counts, 0), (NO, 0), (IN, 0), (IN, 0)],
                "count#1 count#2 hold#1 release#1 bare-close#1 end",
            ),
            (
                "a slow release",
                &probe,
                &[(IN, 0), (NO, 0), (NO, 0), (NO, 0), (IN, 0), (NO, 0)],
                "count#1 count#2 hold#1 release#1 release#2 confirm#1 end",
            ),
            (
                "no way to tell",
                &bare,
                &[(IN, 0), (NO, 0), (NO, 0), (NO, 0), (NO, 0)],
                "count#1 count#2 hold#1 release#1 release#2 end",
            ),
            (
                "a bare close",
                &bare,
                &[(IN, 0), (NO, 0), (NO, 0), (IN, 0), (NO, 0), (NO, 0), (NO, 0)],
                "count#1 count#2 hold#1 release#1 confirm#1 bare-close#1 bare-close#2 end",
            ),
            ("the oldest ends", &probe, &[(IN, 0), (IN, 0), (IN, 1), (IN, 1)], "count#1 count#2 count#3 count#4 end"),
            (
                "the oldest ends at the last",
                &probe,
                &[(IN, 0), (IN, 0), (IN, 0), (IN, 1), (IN, 1)],
                "count#1 count#2 count#3 count#4 count#5 end",
            ),
            ("one ended by itself", &probe, &[(IN, 0), (IN, 1), (IN, 0)], "count#1 count#2 count#3 count#4"),
            (
                "a slow one",
                &more,
                &[(IN, 0), (IN, 0), (IN, 0), (slow(1100), 0)],
                "count#1 count#2 count#3 count#4 count#5",
            ),
            (
                "two slow ones",
                &more,
                &[(IN, 0), (IN, 0), (IN, 0), (slow(1100), 0), (slow(1100), 0)],
                "count#1 count#2 count#3 count#4 count#5 end",
            ),
            (
                "two slow ones, before anybody knows what is usual",
                &more,
                &[(IN, 0), (IN, 0), (slow(1100), 0), (slow(1100), 0)],
                "count#1 count#2 count#3 count#4 count#5",
            ),
            ("all end for the newest", &probe, &[(IN, 0), (IN, 0), (IN, 2)], "count#1 count#2 count#3 end"),
            ("all end with a refusal", &probe, &[(IN, 0), (IN, 0), (NO, 2)], "count#1 count#2 count#3 end"),
            (
                "not slow enough",
                &more,
                &[(slow(500), 0), (slow(500), 0), (slow(500), 0), (slow(1499), 0), (slow(1499), 0)],
                "count#1 count#2 count#3 count#4 count#5 count#6",
            ),
            (
                "slow, but not by much",
                &more,
                &[(IN, 0), (IN, 0), (IN, 0), (slow(900), 0), (slow(900), 0)],
                "count#1 count#2 count#3 count#4 count#5 count#6",
            ),
            ("a wrong password", &probe, &[(IN, 0), (otherwise, 0)], "count#1 count#2 end"),
            ("a longer wait", &probe, &[(IN, 0), (waits(3001), 0)], "count#1 count#2 end"),
            ("a wait", &probe, &[(IN, 0), (waits(3000), 0)], "count#1 count#2 hold#1"),
            ("a rate by its words", &probe, &[(IN, 0), (rate, 0), (rate, 0)], "count#1 count#2 hold#1 end"),
            ("nobody there", &probe, &[(otherwise, 0)], "count#1 end"),
            ("full from the start", &probe, &[(NO, 0), (NO, 0)], "count#1 hold#1 end"),
        ];
        for (what, probe, dials, due) in all {
            assert_eq!(steps(probe, dials).join(" "), due, "{what}");
        }
    }

    #[test]
    fn no_probe_has_more_refused_attempts_than_it_says() {
        for bare_close in [false, true] {
            let probe = Probe { max: 9, pace_us: Micros::ZERO, hold_us: ms(1), bare_close };
            // Every way: at each step the dial is let in or refused, and the last of the count may find one ended.
            let mut most = 0;
            for way in 0..1_u32 << 17 {
                let bit = |bit: u32| way & (1 << bit) != 0;
                let ended = |attempt: u32| usize::from(attempt == 8 && bit(16));
                let dials: Vec<_> = (0..16).map(|at| (if bit(at) { IN } else { NO }, ended(at))).collect();
                let steps = steps(&probe, &dials);
                assert_eq!(steps.last().unwrap(), "end");
                assert!(steps.len() - 1 <= most_attempts(probe.max, bare_close), "{steps:?}");
                let made = dials.iter().take(steps.len() - 1);
                most = most.max(made.filter(|(dial, _)| matches!(dial, DialOutcome::Failed(_))).count());
            }
            assert_eq!(most, most_refused(bare_close));
        }
    }
}
