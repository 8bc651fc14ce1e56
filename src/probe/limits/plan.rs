//! What a probe does next, from what it saw so far.

use std::time::Duration;

use crate::event::{Probe, ProbePhase, ProbeStep};
use crate::judge::may_be_limit;
use crate::protocol::{Failure, FailureKind, stated_wait};

/// How long after a close the two attempts come that see whether its slot has come free.
const RELEASES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(30)];
/// A dial is slow that takes this many times the median of those before it, and this much more.
const SLOWER: u32 = 3;
/// Of fewer nobody can say what is usual.
const SAMPLES: usize = 3;
const SLOWER_BY: Duration = Duration::from_secs(1);

/// A step to take: what comes before its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) mark: ProbeStep,
    pub(super) before: Before,
}

/// What comes before an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// A rest.
    Rest(Duration),
    /// A rest, and a look at what is open.
    Hold(Duration),
    /// One connection ends; then a rest until so long after that.
    Close(Goodbye, Duration),
    /// The rest until so long after the last close.
    SinceClose(Duration),
}

/// How the probe ends a connection, to see when its slot comes free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goodbye {
    /// By LOGOUT or QUIT.
    Said,
    /// By the socket's close alone.
    Unsaid,
}

/// What a step came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) mark: ProbeStep,
    pub(super) attempt: Attempt,
    /// Connections that were open when it was over.
    pub(super) open: usize,
    /// Connections that the server was found to have ended.
    pub(super) ended: usize,
}

/// What became of a dial.
#[derive(Clone, Copy, Debug)]
pub(super) enum Attempt {
    LetIn { took: Duration },
    Refused(Refused),
}

/// What a dial failed of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    /// Whether a limit can be why.
    may_be_limit: bool,
    /// Whether the server says that it is one on how often.
    says_rate: bool,
    /// How long the server says to wait.
    wait: Option<Duration>,
}

impl Refused {
    /// Of that failure, while others were held or one was just given back.
    pub(super) fn by(failure: &Failure, sign_in_attempted: bool, holds_others: bool) -> Self {
        Self {
            may_be_limit: may_be_limit(failure, sign_in_attempted, holds_others),
            says_rate: failure.kind == FailureKind::LimitRate,
            wait: failure.server_line.as_deref().and_then(stated_wait).map(|wait| wait.duration),
        }
    }

    /// Whether asking further may tell more, and is allowed.
    fn leads_on(&self, hold: Duration) -> bool {
        self.may_be_limit && self.wait.is_none_or(|wait| wait <= hold)
    }
}

/// The next step; none when all is known that can be, or asking further is not allowed.
pub(super) fn next(probe: &Probe, seen: &[Seen]) -> Option<Step> {
    use ProbePhase::{BareClose, Count, End, Hold, Release};
    let step = |phase, attempt, before| Some(Step { mark: ProbeStep { phase, attempt }, before });
    let hold = probe.hold_us.duration();
    let Some(last) = seen.last() else { return step(Count, 1, Before::Rest(Duration::ZERO)) };
    let number = last.mark.attempt;
    match (last.mark.phase, last.attempt) {
        (_, Attempt::Refused(refused)) if !refused.leads_on(hold) => None,
        (Count, Attempt::LetIn { .. }) if counts_on(probe, seen) => {
            step(Count, number + 1, Before::Rest(probe.pace_us.duration()))
        }
        // The server went away.
        (Count, Attempt::Refused(_)) if last.open == 0 && last.ended > 0 => None,
        (Count, Attempt::Refused(_)) => step(Hold, 1, Before::Hold(hold)),
        // A rate that is told in words is not met again and again.
        (Hold, Attempt::Refused(refused)) if last.open > 0 && !refused.says_rate => {
            // What the server asks for is kept each time.
            step(Release, 1, Before::Close(Goodbye::Said, RELEASES[0].max(refused.wait.unwrap_or_default())))
        }
        (Release, Attempt::LetIn { .. }) if probe.bare_close => {
            step(BareClose, 1, Before::Close(Goodbye::Unsaid, RELEASES[0]))
        }
        (phase @ (Release | BareClose), Attempt::Refused(refused)) if number == 1 => {
            // The first one came after the wait that was asked for, too.
            step(phase, 2, Before::SinceClose(RELEASES[1].max(refused.wait.unwrap_or_default() * 2)))
        }
        (Count | Hold | Release | BareClose | End, _) => None,
    }
}

/// The most attempts that there can be.
pub(super) const fn most_attempts(max: usize, bare_close: bool) -> usize {
    let closes = if bare_close { 2 } else { 1 };
    // In the count one more, where the last found another ended; one after the hold, two after each close.
    max.saturating_add(1 + 1 + RELEASES.len() * closes)
}

/// The most of them that are refused.
pub(super) const fn most_refused(bare_close: bool) -> usize {
    // The bare close comes only after the release has let one in.
    let after_closes = if bare_close { RELEASES.len() - 1 + RELEASES.len() } else { RELEASES.len() };
    1 + 1 + after_closes
}

/// The longest that it rests for slots to come free.
pub(super) fn releases(bare_close: bool) -> Duration {
    RELEASES[1] * if bare_close { 2 } else { 1 }
}

/// Whether one more dial follows a dial that was let in.
fn counts_on(probe: &Probe, seen: &[Seen]) -> bool {
    let Some((last, before)) = seen.split_last() else { return true };
    if last.ended > 1 && last.open <= 1 {
        // It ended all for the newest: it is not asked for that again.
        return false;
    }
    if last.ended > 0 {
        // Seen twice in a row, the server ends one for each that it lets in. Once may be anything.
        return before.last().is_none_or(|before| before.ended == 0);
    }
    let is_held_up = before.split_last().is_some_and(|(previous, before)| {
        // Two slow ones in a row are the server's doing. One may be anything's.
        is_slow(previous, before) && is_slow(last, before)
    });
    last.mark.attempt < probe.max && !is_held_up
}

/// Whether a dial took so much longer than those before it.
fn is_slow(last: &Seen, before: &[Seen]) -> bool {
    let took = |seen: &Seen| match seen.attempt {
        Attempt::LetIn { took } => Some(took),
        Attempt::Refused(_) => None,
    };
    let mut others: Vec<Duration> = before.iter().filter_map(took).collect();
    others.sort_unstable();
    let median = others.get(others.len() / 2).copied().filter(|_| others.len() >= SAMPLES);
    median.zip(took(last)).is_some_and(|(median, took)| took >= median * SLOWER && took >= median + SLOWER_BY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;
    const IN: Attempt = Attempt::LetIn { took: Duration::from_millis(20) };
    const NO: Attempt = Attempt::Refused(Refused { may_be_limit: true, says_rate: false, wait: None });

    /// What it is, the probe, what its attempts come to, and the steps that it takes.
    type Case<'a> = (&'a str, &'a Probe, &'a [(Attempt, usize)], &'a str);

    /// The steps of a probe whose attempts come to that, in order; each with how many were found ended.
    fn steps(probe: &Probe, attempts: &[(Attempt, usize)]) -> Vec<String> {
        let (mut seen, mut open): (Vec<Seen>, usize) = (Vec::new(), 0);
        let mut attempts = attempts.iter();
        let mut steps = Vec::new();
        while let Some(step) = next(probe, &seen) {
            steps.push(step.mark.to_string());
            let Some((attempt, ended)) = attempts.next() else { return steps };
            open -= usize::from(matches!(step.before, Before::Close(..)));
            open += usize::from(matches!(attempt, Attempt::LetIn { .. }));
            open -= ended;
            seen.push(Seen { mark: step.mark, attempt: *attempt, open, ended: *ended });
        }
        steps.push("end".to_owned());
        steps
    }

    #[test]
    fn each_step_follows_from_what_was_seen() {
        let probe = Probe { max: 4, pace_us: MS(0).into(), hold_us: MS(3000).into(), bare_close: false };
        let more = Probe { max: 8, ..probe };
        let bare = Probe { bare_close: true, ..probe };
        let slow = |took| Attempt::LetIn { took: MS(took) };
        let otherwise = Attempt::Refused(Refused { may_be_limit: false, says_rate: false, wait: None });
        let rate = Attempt::Refused(Refused { may_be_limit: true, says_rate: true, wait: None });
        let waits = |wait| Attempt::Refused(Refused { may_be_limit: true, says_rate: false, wait: Some(MS(wait)) });
        let all: [Case<'_>; 22] = [
            ("no limit", &probe, &[(IN, 0), (IN, 0), (IN, 0), (IN, 0)], "count#1 count#2 count#3 count#4 end"),
            ("a rate", &probe, &[(IN, 0), (NO, 0), (IN, 0)], "count#1 count#2 hold#1 end"),
            ("a count", &probe, &[(IN, 0), (NO, 0), (NO, 0), (IN, 0)], "count#1 count#2 hold#1 release#1 end"),
            (
                "a slow release",
                &probe,
                &[(IN, 0), (NO, 0), (NO, 0), (NO, 0), (IN, 0)],
                "count#1 count#2 hold#1 release#1 release#2 end",
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
                &[(IN, 0), (NO, 0), (NO, 0), (IN, 0), (NO, 0), (NO, 0)],
                "count#1 count#2 hold#1 release#1 bare-close#1 bare-close#2 end",
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
        for (what, probe, attempts, due) in all {
            assert_eq!(steps(probe, attempts).join(" "), due, "{what}");
        }
    }

    #[test]
    fn no_probe_has_more_refused_attempts_than_it_says() {
        for bare_close in [false, true] {
            let probe = Probe { max: 9, pace_us: MS(0).into(), hold_us: MS(1).into(), bare_close };
            // Every way: at each step the dial is let in or refused, and the last of the count may find one ended.
            let mut most = 0;
            for way in 0..1_u32 << 16 {
                let bit = |bit: u32| way & (1 << bit) != 0;
                let ended = |attempt: u32| usize::from(attempt == 8 && bit(15));
                let attempts: Vec<_> = (0..15).map(|at| (if bit(at) { IN } else { NO }, ended(at))).collect();
                let steps = steps(&probe, &attempts);
                assert_eq!(steps.last().unwrap(), "end");
                assert!(steps.len() - 1 <= most_attempts(probe.max, bare_close), "{steps:?}");
                let made = attempts.iter().take(steps.len() - 1);
                most = most.max(made.filter(|(attempt, _)| matches!(attempt, Attempt::Refused(_))).count());
            }
            assert_eq!(most, most_refused(bare_close));
        }
    }
}
