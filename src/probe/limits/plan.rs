//! What a probe does next, from what it saw so far.

use std::time::Duration;

use crate::event::{Probe, ProbePhase, ProbeStep};
use crate::judge::{is_limit, is_refused_sign_in};
use crate::protocol::{DialFailure, FailureKind, stated_wait};

/// How long after a close the two attempts come that see whether its slot has come free.
const RELEASES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(30)];
/// A dial that takes this many times the median of those before it, and this much more, is held up by the server.
const SLOWER: u32 = 3;
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
    /// No further dial may follow, or could say more.
    is_final: bool,
    /// In the words of a limit.
    is_limit: bool,
    /// How long the server says to wait.
    wait: Option<Duration>,
}

impl From<&DialFailure> for Refused {
    fn from(failed: &DialFailure) -> Self {
        use FailureKind::{Disposed, Dns, Internal, LocalResources, TlsCertificate};
        let failure = &failed.failure;
        let says_nothing_of_limits =
            matches!(failure.kind, Disposed | Dns | Internal | LocalResources | TlsCertificate);
        Self {
            is_final: says_nothing_of_limits || is_refused_sign_in(failure, failed.sign_in_attempted),
            is_limit: is_limit(failure.kind),
            wait: failure.server_line.as_deref().and_then(stated_wait).map(|wait| wait.duration),
        }
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
        (_, Attempt::Refused(refused)) if refused.is_final || refused.wait.is_some_and(|wait| wait > hold) => None,
        (Count, Attempt::LetIn { .. }) if counts_on(probe, seen) => {
            step(Count, number + 1, Before::Rest(probe.pace_us.duration()))
        }
        // A server that lets nobody in, and does not speak of a limit, has none that could be looked into.
        (Count, Attempt::Refused(refused)) if refused.is_limit || has_let_in(seen) => step(Hold, 1, Before::Hold(hold)),
        (Hold, Attempt::Refused(_)) if last.open > 0 => step(Release, 1, Before::Close(Goodbye::Said, RELEASES[0])),
        (Release, Attempt::LetIn { .. }) if probe.bare_close => {
            step(BareClose, 1, Before::Close(Goodbye::Unsaid, RELEASES[0]))
        }
        (phase @ (Release | BareClose), Attempt::Refused(_)) if number == 1 => {
            step(phase, 2, Before::SinceClose(RELEASES[1]))
        }
        (Count | Hold | Release | BareClose | End, _) => None,
    }
}

/// The most refused attempts that there can be.
pub(super) const fn most_refused(bare_close: bool) -> usize {
    // One in the count, one after the hold, two after each close.
    2 + RELEASES.len() * if bare_close { 2 } else { 1 }
}

/// The longest that it rests for slots to come free.
pub(super) fn releases(bare_close: bool) -> Duration {
    RELEASES[1] * if bare_close { 2 } else { 1 }
}

fn has_let_in(seen: &[Seen]) -> bool {
    seen.iter().any(|seen| matches!(seen.attempt, Attempt::LetIn { .. }))
}

/// Whether one more dial follows a dial that was let in.
fn counts_on(probe: &Probe, seen: &[Seen]) -> bool {
    let Some((last, before)) = seen.split_last() else { return true };
    let has_ended_before = before.last().is_some_and(|before| before.ended > 0);
    if last.ended > 0 {
        // Seen twice in a row, the server ends one for each that it lets in. Once may be anything.
        return !has_ended_before;
    }
    last.mark.attempt < probe.max && !is_slow(last, before)
}

/// Whether a dial took so much longer than those before it that the server must have held it up.
fn is_slow(last: &Seen, before: &[Seen]) -> bool {
    let took = |seen: &Seen| match seen.attempt {
        Attempt::LetIn { took } => Some(took),
        Attempt::Refused(_) => None,
    };
    let mut others: Vec<Duration> = before.iter().filter_map(took).collect();
    others.sort_unstable();
    let median = others.get(others.len() / 2).copied();
    median.zip(took(last)).is_some_and(|(median, took)| took >= median * SLOWER && took >= median + SLOWER_BY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;
    const IN: Attempt = Attempt::LetIn { took: Duration::from_millis(20) };
    const NO: Attempt = Attempt::Refused(Refused { is_final: false, is_limit: true, wait: None });

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
        let bare = Probe { bare_close: true, ..probe };
        let slow = |took| Attempt::LetIn { took: MS(took) };
        let refused = |is_final, is_limit, wait: u64| {
            Attempt::Refused(Refused { is_final, is_limit, wait: Some(MS(wait)).filter(|wait| !wait.is_zero()) })
        };
        let all: [(&str, &Probe, &[(Attempt, usize)], &str); 17] = [
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
            ("a slow one", &probe, &[(IN, 0), (IN, 0), (slow(1100), 0)], "count#1 count#2 count#3 end"),
            ("not slow enough", &probe, &[(slow(500), 0), (slow(1499), 0)], "count#1 count#2 count#3"),
            ("slow, but not by much", &probe, &[(IN, 0), (slow(900), 0)], "count#1 count#2 count#3"),
            ("a wrong password", &probe, &[(IN, 0), (refused(true, false, 0), 0)], "count#1 count#2 end"),
            ("a longer wait", &probe, &[(IN, 0), (refused(false, true, 3001), 0)], "count#1 count#2 end"),
            ("a wait", &probe, &[(IN, 0), (refused(false, true, 3000), 0)], "count#1 count#2 hold#1"),
            ("nobody there", &probe, &[(refused(false, false, 0), 0)], "count#1 end"),
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
            // Every way: at each step the dial is let in or refused.
            let mut most = 0;
            for way in 0..1_u32 << 14 {
                let attempts: Vec<_> = (0..14).map(|bit| (if way & (1 << bit) == 0 { NO } else { IN }, 0)).collect();
                let steps = steps(&probe, &attempts);
                assert_eq!(steps.last().unwrap(), "end");
                let made = attempts.iter().take(steps.len() - 1);
                most = most.max(made.filter(|(attempt, _)| matches!(attempt, Attempt::Refused(_))).count());
            }
            assert_eq!(most, most_refused(bare_close));
        }
    }
}
