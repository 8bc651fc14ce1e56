//! What a probe does next, from what its steps came to. The probe goes by it, and so does the check of a stored one.

use super::alike::Likeness;
use super::failing::{is_told, may_be_limit};
use super::kind::stated as stated_kind;
use super::slow::is_slow;
use crate::event::{LimitKind, Micros, Probe, ProbePhase, ProbeStep};
use crate::judge::refusals::lines;
use crate::protocol::{Failure, Protocol, stated_wait};

/// How long after a close the two attempts come that see whether its slot has come free.
const RELEASES: [Micros; 2] = [Micros(2_000_000), Micros(30_000_000)];

/// What a step of the count rests, so that a server may end one connection for another, before the open ones are looked at.
pub(crate) const SETTLES: Micros = Micros(50_000);
/// So many attempts are refused at most, and two more after a bare close.
const MOST_REFUSED: usize = 4;

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
    /// Whether that is more than a guess: the server says so, or others that it let in beyond the limit ended as this one did.
    pub(crate) is_told: bool,
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
            is_told: is_told(failure),
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
    use ProbePhase::{BareClose, Confirm, Count, End, Hold, Release, Repeat};
    let step = |phase, attempt, before| Some(NextStep { step: ProbeStep { phase, attempt }, before });
    let Some(last) = seen.last() else { return step(Count, 1, Before::Rest(Micros::ZERO)) };
    if last.is_silent {
        return None;
    }
    let number = last.step.attempt;
    match (last.step.phase, last.dial) {
        (_, DialOutcome::Failed(failed)) if !failed.leads_on(probe.hold_us) => None,
        // By another limit, or a ban: it says nothing of the one that was met.
        (_, DialOutcome::Failed(failed)) if refusal(seen).is_some_and(|it| it.likeness != failed.likeness) => None,
        (Count, DialOutcome::LetIn { .. }) if counts_on(probe, seen) => {
            step(Count, number + 1, Before::Rest(probe.pace_us))
        }
        // The server went away.
        (Count, DialOutcome::Failed(_)) if last.open == 0 && last.ended > 0 => None,
        // One may be anything.
        (Count, DialOutcome::Failed(_)) if refusal(seen).is_none() => {
            step(Count, number + 1, Before::Rest(probe.pace_us.max(stated(seen))))
        }
        (Count, DialOutcome::Failed(_)) => step(Hold, 1, Before::Hold(probe.hold_us)),
        // A rate that is told in words is not met again and again.
        (Hold, DialOutcome::Failed(failed)) if last.open > 0 && failed.says != Some(LimitKind::Rate) => {
            // What the server asks for is kept each time.
            step(Release, 1, Before::Close(Goodbye::Said, RELEASES[0].max(failed.wait.unwrap_or_default())))
        }
        (Hold, DialOutcome::LetIn { .. }) if may_prove_rate(probe, seen) => {
            step(Confirm, 1, Before::Hold(settling(probe, seen)))
        }
        (Release | Confirm | Repeat, _) if last.open > 0 && tells_more(seen) => {
            let was_refused_before = refused(seen) >= MOST_REFUSED - 1;
            // The one that is refused comes last, where no more than one may be.
            if has(seen, Confirm) || (was_refused_before && !has(seen, Repeat)) {
                step(Repeat, 1, Before::Close(Goodbye::Said, again(probe, seen)))
            } else {
                step(Confirm, 1, Before::Hold(settling(probe, seen)))
            }
        }
        (Release | Confirm | Repeat, _) if last.open > 0 && probe.bare_close && is_settled(seen) => {
            step(BareClose, 1, Before::Close(Goodbye::Unsaid, RELEASES[0].max(stated(seen))))
        }
        (Release, DialOutcome::Failed(failed)) if number == 1 && refused(seen) < MOST_REFUSED => {
            // The first one came after the wait that was asked for, too.
            step(Release, 2, Before::SinceClose(RELEASES[1].max(twice(failed.wait.unwrap_or_default()))))
        }
        (BareClose, DialOutcome::Failed(failed)) if number == 1 => {
            step(BareClose, 2, Before::SinceClose(RELEASES[1].max(twice(failed.wait.unwrap_or_default()))))
        }
        (Count | Hold | Release | Confirm | Repeat | BareClose | End, _) => None,
    }
}

/// The most attempts that there can be.
pub(crate) const fn most_attempts(max: usize, bare_close: bool) -> usize {
    let closes = if bare_close { 2 } else { 1 };
    // In the count one more, where the last found another ended, and one that failed by chance; one after the hold, two after
    // each close, one that confirms, and one after the second goodbye.
    max.saturating_add(2 + 1 + RELEASES.len() * closes + 1 + 1)
}

/// The most looks at those that were open before a dial: at each step of the count, after the hold, and before one more confirms.
/// At the last two there is room for one more, and at the two steps beyond `max`.
pub(crate) const fn most_looks(max: usize) -> usize {
    let others = max.saturating_sub(1);
    // Of a sum of 0, 1, 2 … and four times the last.
    others.saturating_mul(max) / 2 + 4 * others
}

/// The most of them that are refused.
pub(crate) const fn most_refused(bare_close: bool) -> usize {
    if bare_close { MOST_REFUSED + RELEASES.len() } else { MOST_REFUSED }
}

/// The longest that it rests for slots to come free.
pub(crate) fn releases(probe: &Probe) -> Micros {
    let closes = if probe.bare_close { twice(RELEASES[1]) } else { RELEASES[1] };
    closes + RELEASES[1].max(settling(probe, &[])) + settling(probe, &[])
}

/// Which step of the count met the limit: the first that was refused in words of one, else the second that was refused at all.
/// One may be anything, a broken line too. Each item is a step: whether its dial was refused in such words, if it was one of the
/// count that was refused.
pub(super) fn met_at(mut refused: impl Iterator<Item = Option<bool>>) -> Option<usize> {
    let mut is_second = false;
    refused.position(|told| told.is_some_and(|told| std::mem::replace(&mut is_second, true) || told))
}

/// The step that met the limit.
fn met(seen: &[Outcome]) -> Option<usize> {
    met_at(seen.iter().map(|it| match (it.step.phase, it.dial) {
        (ProbePhase::Count, DialOutcome::Failed(failed)) => Some(failed.is_told),
        _ => None,
    }))
}

/// The refusal of the limit that was met.
fn refusal(seen: &[Outcome]) -> Option<Failed> {
    match seen.get(met(seen)?)?.dial {
        DialOutcome::Failed(failed) => Some(failed),
        DialOutcome::LetIn { .. } | DialOutcome::Withheld => None,
    }
}

/// Whether that says in words that it counts that.
fn says(seen: &[Outcome], kind: LimitKind) -> bool {
    refusal(seen).is_some_and(|failed| failed.says == Some(kind))
}

/// How many attempts were refused so far.
fn refused(seen: &[Outcome]) -> usize {
    seen.iter().filter(|it| matches!(it.dial, DialOutcome::Failed(_))).count()
}

fn has(seen: &[Outcome], phase: ProbePhase) -> bool {
    seen.iter().any(|it| it.step.phase == phase)
}

/// Whether one was let in after the first goodbye, and each attempt since then came to what it comes to where the limit is a
/// count: let in where one was given back, and refused where none was.
fn looks_like_a_count(seen: &[Outcome]) -> bool {
    let let_in = |it: &Outcome| matches!(it.dial, DialOutcome::LetIn { .. });
    seen.iter().any(|it| it.step.phase == ProbePhase::Release && let_in(it))
        && seen.iter().all(|it| match it.step.phase {
            ProbePhase::Confirm => !let_in(it),
            ProbePhase::Repeat => let_in(it),
            _ => true,
        })
}

/// Whether one more attempt tells a place that was given back from time that has passed. The words may have told it.
fn tells_more(seen: &[Outcome]) -> bool {
    let is_tried = has(seen, ProbePhase::Confirm) && has(seen, ProbePhase::Repeat);
    !is_tried && looks_like_a_count(seen) && !says(seen, LimitKind::Count)
}

/// Whether all was tried that tells a count.
fn is_settled(seen: &[Outcome]) -> bool {
    looks_like_a_count(seen) && !tells_more(seen)
}

/// How long after the second goodbye the next attempt comes: after as long as the first one took to make room.
fn again(probe: &Probe, seen: &[Outcome]) -> Micros {
    let was_slow = seen.iter().any(|it| it.step.phase == ProbePhase::Release && it.step.attempt > 1);
    let first = if was_slow { RELEASES[1].max(twice(stated(seen))) } else { RELEASES[0] };
    first.max(settling(probe, seen))
}

/// Whether one more after the hold tells time that has passed from another client that left: of those that were held none was
/// given back, and none more may be open than was asked for.
fn may_prove_rate(probe: &Probe, seen: &[Outcome]) -> bool {
    let is_told = says(seen, LimitKind::Count) || says(seen, LimitKind::Rate);
    let since_refused = seen.iter().skip(met(seen).unwrap_or_default());
    let open = seen.last().map_or(0, |last| last.open);
    !is_told && open > 1 && open < probe.max && since_refused.map(|it| it.ended).sum::<usize>() == 0
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
/// apart as they were taken, which is about a pace, a dial and a look: by twice that the next one is free.
fn settling(probe: &Probe, seen: &[Outcome]) -> Micros {
    let longest = seen.iter().filter(|it| it.step.phase == ProbePhase::Count).filter_map(took).max();
    twice(probe.pace_us + SETTLES + longest.unwrap_or_default()).max(stated(seen))
}

fn took(outcome: &Outcome) -> Option<Micros> {
    match outcome.dial {
        DialOutcome::LetIn { took } => Some(took),
        DialOutcome::Failed(_) | DialOutcome::Withheld => None,
    }
}

fn twice(time: Micros) -> Micros {
    time + time
}

/// Ends may come late, and those of one step be for several that were let in. It is settled once [`ends_again`] holds; after so
/// many steps in a row it is not waited for any longer.
const MOST_UNSETTLED: usize = 4;

/// How many steps before the last one the server ended others last, if it did so again in the last one as it goes on doing: as
/// many are let in as it ends. It ends one for each, or several at a time after as many were let in. Each item is a dial of the
/// count that was let in, from the last one on: how many the server ended for it.
pub(super) fn ends_again(mut ended: impl Iterator<Item = usize>) -> Option<usize> {
    let last = ended.next().filter(|last| *last > 0)?;
    let before = ended.position(|ended| ended > 0)? + 1;
    (before == last).then_some(before)
}

/// Whether one more dial follows a dial that was let in.
fn counts_on(probe: &Probe, seen: &[Outcome]) -> bool {
    let Some((last, before)) = seen.split_last() else { return true };
    if last.ended > 1 && last.open <= 1 {
        // It ended all for the newest: it is not asked for that again.
        return false;
    }
    let let_in = || seen.iter().rev().filter(|it| took(it).is_some());
    // Once may be anything.
    if ends_again(let_in().map(|it| it.ended)).is_some()
        || let_in().take_while(|it| it.ended > 0).count() >= MOST_UNSETTLED
    {
        return false;
    }
    let is_held_up = before.split_last().is_some_and(|(previous, before)| {
        // Two slow ones in a row are the server's doing. One may be anything's.
        is_slower(previous, before) && is_slower(last, before)
    });
    let beyond = usize::from(last.ended > 0);
    let_in().count() < probe.max.saturating_add(beyond) && (last.ended > 0 || !is_held_up)
}

fn is_slower(last: &Outcome, before: &[Outcome]) -> bool {
    took(last).is_some_and(|last| is_slow(last, before.iter().filter_map(took)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{FailureKind, Stage};

    const fn ms(time: u64) -> Micros {
        Micros(time * 1000)
    }

    const FAILED: Failed =
        Failed { may_be_limit: true, is_told: true, says: None, wait: None, likeness: likeness(true) };
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
            let ended = open.min(*ended);
            open -= ended;
            seen.push(Outcome { step, dial: *dial, open, ended, is_silent: false });
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
        let rate = DialOutcome::Failed(Failed { says: Some(LimitKind::Rate), ..FAILED });
        let counts = DialOutcome::Failed(Failed { says: Some(LimitKind::Count), ..FAILED });
        let waits = |wait| DialOutcome::Failed(Failed { wait: Some(ms(wait)), ..FAILED });
        let other = DialOutcome::Failed(Failed { likeness: likeness(false), ..FAILED });
        // Without words of a limit.
        let odd = DialOutcome::Failed(Failed { is_told: false, ..FAILED });
        let all: [Case<'_>; 47] = [
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
                &[(IN, 0), (NO, 0), (NO, 0), (IN, 0), (NO, 0), (IN, 0)],
                "count#1 count#2 hold#1 release#1 confirm#1 repeat#1 end",
            ),
            (
                "a rate that gives one place at a time",
                &bare,
                &[(IN, 0), (NO, 0), (NO, 0), (IN, 0), (NO, 0), (NO, 0)],
                "count#1 count#2 hold#1 release#1 confirm#1 repeat#1 end",
            ),
            (
                "the same, as slow as a slow release",
                &bare,
                &[(IN, 0), (NO, 0), (NO, 0), (NO, 0), (IN, 0), (NO, 0)],
                "count#1 count#2 hold#1 release#1 release#2 repeat#1 end",
            ),
            (
                "a rate whose time is over by the second attempt after the release",
                &bare,
                &[(IN, 0), (NO, 0), (NO, 0), (NO, 0), (IN, 0), (IN, 0), (IN, 0)],
                "count#1 count#2 hold#1 release#1 release#2 repeat#1 confirm#1 end",
            ),
            (
                "one that broke by chance",
                &probe,
                &[(IN, 0), (odd, 0), (IN, 0), (IN, 0), (IN, 0)],
                "count#1 count#2 count#3 count#4 count#5 end",
            ),
            (
                "one that broke by chance, and a count by its words",
                &probe,
                &[(odd, 0), (IN, 0), (counts, 0), (NO, 0)],
                "count#1 count#2 count#3 hold#1 release#1",
            ),
            (
                "two that broke the same way",
                &probe,
                &[(IN, 0), (odd, 0), (odd, 0), (odd, 0), (odd, 0)],
                "count#1 count#2 count#3 hold#1 release#1 end",
            ),
            (
                "two that broke the same way, and a slot that comes free",
                &probe,
                &[(IN, 0), (odd, 0), (odd, 0), (odd, 0), (IN, 0), (IN, 0), (odd, 0)],
                "count#1 count#2 count#3 hold#1 release#1 repeat#1 confirm#1 end",
            ),
            (
                "two that broke, and not one after the other",
                &probe,
                &[(IN, 0), (odd, 0), (IN, 0), (odd, 0), (IN, 0)],
                "count#1 count#2 count#3 count#4 hold#1 confirm#1",
            ),
            (
                "two older ones end at a time",
                &more,
                &[(IN, 0), (IN, 0), (IN, 0), (IN, 2), (IN, 0), (IN, 2)],
                "count#1 count#2 count#3 count#4 count#5 count#6 end",
            ),
            (
                "three older ones end at a time",
                &more,
                &[(IN, 0), (IN, 0), (IN, 0), (IN, 0), (IN, 3), (IN, 0), (IN, 0), (IN, 3)],
                "count#1 count#2 count#3 count#4 count#5 count#6 count#7 count#8 end",
            ),
            (
                "two end once, and not again",
                &more,
                &[(IN, 0), (IN, 0), (IN, 0), (IN, 2), (IN, 0), (IN, 0), (IN, 0), (IN, 0)],
                "count#1 count#2 count#3 count#4 count#5 count#6 count#7 count#8 end",
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
                &[(IN, 0), (NO, 0), (NO, 0), (NO, 0), (IN, 0), (IN, 0), (NO, 0)],
                "count#1 count#2 hold#1 release#1 release#2 repeat#1 confirm#1 end",
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
                &[(IN, 0), (NO, 0), (NO, 0), (IN, 0), (NO, 0), (IN, 0), (NO, 0), (NO, 0)],
                "count#1 count#2 hold#1 release#1 confirm#1 repeat#1 bare-close#1 bare-close#2 end",
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
            let probe = Probe { max: 5, pace_us: Micros::ZERO, hold_us: ms(1), bare_close };
            // Every way: at each step the dial is let in or refused, in words or not, and the last of the count may find one ended.
            let mut most = 0;
            let odd = DialOutcome::Failed(Failed { is_told: false, ..FAILED });
            for way in 0..1_u32 << 16 {
                let bit = |bit: u32| way & (1 << bit) != 0;
                let refused = if bit(15) { odd } else { NO };
                let ended = |attempt: u32| usize::from(attempt == 4 && bit(14));
                let dials: Vec<_> = (0..14).map(|at| (if bit(at) { IN } else { refused }, ended(at))).collect();
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
