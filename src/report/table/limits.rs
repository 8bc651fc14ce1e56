//! A probe for people: how many connections the server gives, how that was found out, and what to set.

pub(in crate::report) mod words;

use self::words::{ended_at_a_time, odd_one, others, result};
use super::heading::{origin, server};
use crate::report::known::by_words;
use crate::report::layout::{Layout, Sheet, figures, names, words as texts};
use super::{SCREENFUL, verdict, warnings};
use crate::event::{KeptBy, LimitKind, LimitMet, LimitsFound, Micros, Probe, ProbePhase, Release, LimitScope};
use crate::figures::worth_showing;
use crate::judge::{Attempt, EndedFor, Probed, falls_silent, has_words, is_alike, names_a_number, stated_kind};
use crate::protocol::{Failure, FailureKind, Protocol};
use crate::report::attempt::{CALLED_OFF, FAILED, REFUSED, came_to, went};
use crate::report::model::RunReport;
use crate::report::words::{count, many, ms, printable, signal, span};

/// The report of a probe. Without `most` it has a row for each attempt.
pub(super) fn table(layout: Layout, report: &RunReport, probed: &Probed, probe: Probe, most: Option<usize>) -> String {
    let facts = facts(probed, probe, report.start.protocol);
    let refusal = probed.limits.met.as_ref().and_then(|met| met.failure.as_ref());
    let software = probed.greeting.as_deref().and_then(|line| by_words(line, refusal, report.start.protocol));
    let mut parts = vec![
        heading(layout, report, probe)
            + &origin(layout, &report.start, software)
            + &headline(layout, report, probed, probe),
        ramp(layout, &probed.attempts, most).text(layout),
        layout.labelled(facts.into_iter().map(|(label, text)| (format!("{label:<10} "), text))),
        to_set(layout, report),
        verdict::section(layout, report),
    ];
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

pub(super) fn heading(layout: Layout, report: &RunReport, probe: Probe) -> String {
    let server = server(&report.start);
    let pace = if probe.pace_us.is_zero() { String::new() } else { format!(", {} apart", whole(probe.pace_us)) };
    layout.paragraph(&format!(
        "{server}: how many connections it gives; at most {}{pace}; hold {}",
        count(probe.max as u64),
        whole(probe.hold_us)
    ))
}

/// A time that was asked for, as it can be given again: `1m1s`.
fn whole(time: Micros) -> String {
    humantime::format_duration(time.duration()).to_string().replace(' ', "")
}

/// The result in a few lines.
fn headline(layout: Layout, report: &RunReport, probed: &Probed, probe: Probe) -> String {
    let mut lines = Vec::new();
    if let Some(number) = report.ending.interrupted {
        lines.push(format!("interrupted by {}: this is as far as it came", signal(number)));
    }
    lines.push(result(probed, probe, report.start.protocol));
    let took = if report.ended { format!(" in {}", span(report.ending.elapsed)) } else { String::new() };
    lines.push(tried(probed) + &took);
    lines.extend(warnings(report));
    lines.into_iter().map(|line| layout.paragraph(&line)).collect()
}

/// `10 attempts, 2 of them refused`. What failed otherwise stopped the probe.
pub(in crate::report) fn tried(probed: &Probed) -> String {
    let limits = &probed.limits;
    let went_so = |how| probed.attempts.iter().filter(|it| went(it) == Some(how)).count();
    let (failed, called_off) = (went_so(FAILED), went_so(CALLED_OFF));
    let each = [
        (limits.refused, REFUSED),
        (probed.refused_late, "ended soon after they were let in"),
        (failed, FAILED),
        (called_off, CALLED_OFF),
    ];
    let is_told = |(at, (times, _)): &(usize, (usize, &str))| *times > 0 || (*at == 0 && failed + called_off == 0);
    let told = each.into_iter().enumerate().filter(is_told).enumerate().map(|(at, (_, (times, how)))| {
        let of_them = if at == 0 && limits.attempts != 1 { " of them" } else { "" };
        format!("{}{of_them} {how}", count(times as u64))
    });
    format!("{}, {}", many(limits.attempts as u64, "attempt"), told.collect::<Vec<_>>().join(", "))
}

/// A row for each attempt; of many the first, and those that were refused or took longest.
pub(in crate::report) fn ramp(layout: Layout, attempts: &[Attempt], most: Option<usize>) -> Sheet {
    let most = most.map(|most| most.min(SCREENFUL));
    let shown = worth_showing(attempts.len(), most, |index| {
        let Attempt { failure, ended, took_us, step, .. } = &attempts[index];
        (failure.is_some() || !ended.is_empty() || step.phase != ProbePhase::Count, *took_us)
    });
    let columns = [names("step"), figures("ms"), figures("open"), texts("result").after(2)];
    let rows = shown.iter().filter_map(|index| attempts.get(*index)).map(|attempt| {
        let open = count(attempt.open as u64);
        vec![attempt.step.to_string(), ms(attempt.took_us), open, came_to(attempt)]
    });
    let below = match attempts.len() - shown.len() {
        0 => String::new(),
        rest => {
            let rest = many(rest as u64, "more attempt");
            layout.paragraph(&format!("... {rest}, let in like the others (--format json lists all)"))
        }
    };
    Sheet::new("Attempts", columns, [], rows).with(below)
}

/// What is known of the limit, and how: a fact behind its label.
pub(in crate::report) fn facts(probed: &Probed, probe: Probe, protocol: Protocol) -> Vec<(&'static str, String)> {
    let limits = &probed.limits;
    let mut rows = Vec::new();
    // Without a line of the server's the result says that.
    if let Some(stopped) = limits.stopped.as_ref().filter(|it| !limits.answered && has_words(it)) {
        rows.push(("it means", printable(&stopped.message)));
    }
    if let Some(met) = &limits.met {
        if let Some(stage) = met.stage {
            let how = if met.kept_by == KeptBy::Slowing { "slow at" } else { "refused at" };
            let open = match met.kept_by {
                // The two slow ones are open as well.
                KeptBy::Slowing => limits.given.saturating_sub(2),
                _ => open_at(probed),
            };
            let were = if open == 1 { "was" } else { "were" };
            rows.push((how, format!("{stage}, while {} {were} open", count(open as u64))));
        }
        if let Some(failure) = &met.failure {
            let said = failure.server_line.iter().chain(&failure.further_lines).map(|line| printable(line));
            let said = said.collect::<Vec<_>>().join("\n");
            rows.push(("in words", if has_words(failure) { said } else { unsaid(limits, failure) }));
        }
        if met.failure.is_some() {
            rows.push(("its number", stated(probed, met)));
        }
        rows.push(("it counts", counts(met)));
        rows.push(("proof", proof(probed, met, probe, protocol)));
    }
    if limits.given > 0 {
        rows.push(("the others", lived(probed, probe, protocol)));
    }
    rows.extend(once(probed).map(|text| ("once", text)));
    let kind = limits.met.as_ref().map_or(LimitKind::Unclear, |met| met.kind);
    if kind != LimitKind::Rate {
        rows.extend(limits.release.map(|release| ("a slot", came_free(release, kind, "a sign-out"))));
        rows.extend(limits.bare_close.map(|release| ("no goodbye", came_free(release, kind, "a close without one"))));
    }
    if let Some(wait) = limits.met.as_ref().and_then(|met| met.stated_wait_us) {
        rows.push(("to wait", format!("{}, the server says", span(wait))));
    }
    rows
}

/// What the odd one may be.
fn once(probed: &Probed) -> Option<String> {
    let odd = odd_one(probed)?;
    let (step, failure) = (odd.step, odd.failure.as_ref()?);
    Some(format!(
        "{step} failed ({} at {}), and the next one was let in: it may be a limit on how many come in a time, or a fault of the \
         moment",
        failure.kind, failure.stage
    ))
}

/// How many were open when the limit was met: fewer than the most where the server had ended some before that.
fn open_at(probed: &Probed) -> usize {
    let counted = probed.attempts.iter().filter(|it| it.step.phase == ProbePhase::Count);
    let refused = counted.clone().rfind(|it| it.failure.is_some());
    refused.map_or(probed.limits.given, |it| probed.limits.given.min(it.beside))
}

/// What happened instead of words.
fn unsaid(limits: &LimitsFound, failure: &Failure) -> String {
    if failure.kind == FailureKind::Timeout && limits.given > 0 {
        return format!(
            "none: no answer at {} while others were open: probably a queue, in which it waits until another session ends",
            failure.stage
        );
    }
    // What the message makes of it was guessed before anything was tried.
    let happened = failure.message.split(": probably").next().unwrap_or_default();
    format!("none: {}", printable(happened))
}

/// The number in the server's words beside the one that was counted.
fn stated(probed: &Probed, met: &LimitMet) -> String {
    let given = probed.limits.given as u64;
    match met.stated {
        None if met.failure.as_ref().is_some_and(names_a_number) => "none that is clearly the limit's".to_owned(),
        None => "none: its words name none".to_owned(),
        Some(stated) if stated == given => format!("{}, as counted", count(stated)),
        Some(stated) if stated > given && met.kind != LimitKind::Rate => {
            let more = stated - given;
            // Cyrus does, for maxlogins_per_host.
            let or_itself = if more == 1 { ", unless it counts the refused one, too" } else { "" };
            let (stated, theirs) = (count(stated), others(&met.scopes));
            // Their places may have come free since, or what is counted may be ours: the server had ended it.
            match most_open(probed).saturating_sub(given) {
                _ if probed.limits.ended > 0 => {
                    let ended = "or that the server had ended";
                    format!("{stated}: {} more, which {theirs} held then{or_itself}, {ended}", count(more))
                }
                0 => format!("{stated}: {} more, which {theirs} hold{or_itself}", count(more)),
                since => {
                    let left = count(more.saturating_sub(since));
                    format!("{stated}: {} more, which {theirs} held then{or_itself}; {left} at most later", count(more))
                }
            }
        }
        Some(stated) => format!("{}, and {} were let in", count(stated), count(given)),
    }
}

/// The most that were open after any dial.
fn most_open(probed: &Probed) -> u64 {
    let open = probed.attempts.iter().map(|attempt| attempt.open - beyond(probed, attempt));
    open.max().unwrap_or(0) as u64
}

/// How many of those that were open then the server had let in beyond its limit.
fn beyond(probed: &Probed, attempt: &Attempt) -> usize {
    let was_counting = attempt.step.phase == ProbePhase::Count && probed.refused_late > 0;
    if was_counting { attempt.open.saturating_sub(probed.limits.given) } else { 0 }
}

fn counts(met: &LimitMet) -> String {
    let what = match met.kind {
        LimitKind::Count => "connections that are open",
        LimitKind::Rate => "connections in a time",
        LimitKind::Unclear => "connections that are open, or connections in a time",
    };
    let each: Vec<&str> = met.scopes.iter().map(|scope| whose(*scope)).collect();
    let names: Vec<&str> = met.scopes.iter().map(|scope| scope.name()).collect();
    if met.scopes.len() == LimitScope::ALL.len() {
        return format!("{what}; whose cannot be known");
    }
    format!("{what}, {} ({})", each.join(" or "), names.join(", "))
}

const fn whose(scope: LimitScope) -> &'static str {
    match scope {
        LimitScope::User => "of the account from anywhere",
        LimitScope::UserAndAddress => "of the account from one address",
        LimitScope::Address => "from one address, whoever signs in",
        LimitScope::Server => "of all clients",
    }
}

/// How its kind is known.
fn proof(probed: &Probed, met: &LimitMet, probe: Probe, protocol: Protocol) -> String {
    use LimitKind::{Count, Rate, Unclear};
    let says = met.failure.as_ref().and_then(|failure| stated_kind(failure, Some(protocol), probed.limits.given));
    let of = |phase| probed.attempts.iter().find(|it| it.step.phase == phase);
    let let_in = |phase| probed.attempts.iter().any(|it| it.step.phase == phase && it.failure.is_none());
    let (after_the_hold, after_a_sign_out) = (let_in(ProbePhase::Hold), let_in(ProbePhase::Release));
    let text = match (met.kept_by, met.kind) {
        (KeptBy::EndingOldest | KeptBy::EndingAnother, _) if !probed.limits.answered => {
            "none of its number: when one was let in several were ended, and not the same number again"
        }
        (KeptBy::EndingOldest | KeptBy::EndingAnother, _) if refused_count(probed) => {
            "the server's own words, once: a second time was not seen, since another limit refused the next one"
        }
        (KeptBy::EndingOldest | KeptBy::EndingAnother, _) if ended_at_a_time(probed) > 1 => {
            "twice one was let in, and as many were ended for it as had been let in since"
        }
        (KeptBy::EndingOldest | KeptBy::EndingAnother, _) if probed.limits.ended > 2 => {
            "twice in a row one was let in, and others were ended: the last time one alone"
        }
        (KeptBy::EndingOldest | KeptBy::EndingAnother, _) => {
            "twice in a row one was let in, and one was ended for it"
        }
        (KeptBy::Slowing, _) => "two slow ones in a row: nothing more was tried",
        (_, Count | Rate) if says.is_some() && other_refusal(probed, met).is_some() => {
            return format!("the server's own words; {}", otherwise(probed, met));
        }
        (_, Count) if of(ProbePhase::Confirm).is_some() => {
            "one was refused again after the hold, let in each of the two times that one had signed out, and refused when \
             none had"
        }
        (_, Count) if after_a_sign_out => {
            "one was refused again after the hold, and let in when one had signed out, as the server's words say"
        }
        (_, Count) if after_the_hold && probed.limits.ended == 0 => {
            "the server's own words; one was let in after the hold: another client may have left meanwhile"
        }
        (_, Rate) if says.is_none() && after_the_hold => {
            "with all of them held, two were let in later: time had passed, or other clients had left"
        }
        (_, Rate) if says.is_none() && of(ProbePhase::Repeat).is_some() => {
            "when two had signed out, three were let in: time had passed, or other clients had left"
        }
        (_, Rate) if says.is_none() => {
            "when one had signed out, two were let in: time had passed, or other clients had left"
        }
        (_, Count | Rate) => "the server's own words",
        (_, Unclear) if probed.limits.given == 0 => "none: nothing of this client was open",
        (_, Unclear) if other_refusal(probed, met).is_some() => return format!("none: {}", otherwise(probed, met)),
        (_, Unclear) if ended_since(probed) > 0 && (after_the_hold || of(ProbePhase::Confirm).is_some()) => {
            let ended = count(ended_since(probed) as u64);
            return format!("none: the server had ended {ended} of those that were held");
        }
        (_, Unclear) if after_the_hold && of(ProbePhase::Confirm).is_some() => {
            "none: one was let in after the hold, and the next one was refused: another client may have left, or one comes \
             free at a time"
        }
        (_, Unclear) if after_the_hold && probed.limits.answered => {
            "none: one was let in after the hold: time had passed, or another client had left; --max allowed no more"
        }
        (_, Unclear) if after_a_sign_out => return unsure(probed, probe),
        (_, Unclear) if probed.limits.answered && met.stated_wait_us.is_some_and(|wait| wait > probe.hold_us) => {
            "none: the server asks to wait for longer than the hold, so that nothing more was tried"
        }
        (_, Unclear) if probed.limits.answered && of(ProbePhase::Release).is_some() => {
            "none: refused after the hold, and after a sign-out: a longer rate, or a slow release"
        }
        (_, Unclear) if probed.limits.answered => "none: refused after the hold, when none of them was open any more",
        (_, Unclear) => "none: it did not come to that",
    };
    text.to_owned()
}

/// Why a count is not proved, where one was let in after a sign-out.
fn unsure(probed: &Probed, probe: Probe) -> String {
    let repeated = probed.attempts.iter().find(|it| it.step.phase == ProbePhase::Repeat);
    let longer = probed.longer_hold.map(|more| with_room(probe.hold_us + more));
    match (repeated, longer) {
        (Some(repeated), _) if repeated.failure.is_some() => {
            "none: one was let in when one had signed out, and none when the next one had: a rate that gives one place at a \
             time, a slot that comes free late, or another client that came"
                .to_owned()
        }
        (Some(_), Some(hold)) => format!(
            "none: one was let in each of the two times that one had signed out, and refused when none had; a rate may give as \
             many in that time, which --hold {hold}s tells"
        ),
        (Some(_), None) => "none: two were let in when two had signed out, and a rate may give just as many".to_owned(),
        (None, _) => "none: one was let in when one had signed out: a slot that came free, or time that passed".to_owned(),
    }
}

/// A hold that lasts long enough the next time, too, when the server is a little slower: whole seconds.
fn with_room(hold: Micros) -> u64 {
    let seconds = hold.duration().as_secs_f64();
    ((seconds + (seconds / 10.0).max(2.0)) / 5.0).ceil() as u64 * 5
}

/// Whether one of the count was refused.
fn refused_count(probed: &Probed) -> bool {
    probed.attempts.iter().any(|it| it.step.phase == ProbePhase::Count && it.was_refused)
}

/// How many of those that were held were found ended with the first refusal, or later.
fn ended_since(probed: &Probed) -> usize {
    let since = probed.attempts.iter().skip_while(|it| it.failure.is_none());
    since.map(|it| it.ended.len()).sum::<usize>() - probed.refused_late
}

/// The refusal that was unlike that of the limit.
fn other_refusal<'a>(probed: &'a Probed, met: &LimitMet) -> Option<&'a Failure> {
    let first = met.failure.as_ref()?;
    let later = probed.attempts.iter().filter(|it| it.step.phase != ProbePhase::Count);
    later.filter_map(|it| it.failure.as_ref()).find(|failure| !is_alike(first, failure))
}

/// What such a refusal may be.
fn otherwise(probed: &Probed, met: &LimitMet) -> String {
    let Some(other) = other_refusal(probed, met) else { return String::new() };
    let what = match other.kind {
        FailureKind::ConnectRefused | FailureKind::ConnectReset | FailureKind::ConnectTimeout => {
            "a ban of this address, or a server that went away"
        }
        _ => "another limit, or a ban",
    };
    format!("a later refusal was another one ({} at {}): {what}", other.kind, other.stage)
}

/// What keeps those that were ended for nothing that another one did.
fn idled(probed: &Probed, probe: Probe, protocol: Protocol) -> String {
    let of_the_hold = |it: &&Attempt| it.step.phase == ProbePhase::Hold;
    let in_the_hold = probed.attempts.iter().filter(of_the_hold).map(|it| it.ended.len()).sum::<usize>();
    let is_held = in_the_hold == probed.limits.ended && in_the_hold > 0;
    match probed.ended_for {
        Some(EndedFor::Idling) if is_held => "; they lay idle: a shorter --hold keeps them".to_owned(),
        Some(EndedFor::Idling) if probe.pace_us.is_zero() => "; they lay idle".to_owned(),
        Some(EndedFor::Idling) => "; they lay idle: a shorter --pace keeps them".to_owned(),
        None if is_held && protocol != Protocol::Imap && probed.limits.answered => {
            "; they may have lain idle for too long: a shorter --hold tells".to_owned()
        }
        Some(EndedFor::Itself | EndedFor::Commands | EndedFor::CommandOf(_)) | None => String::new(),
    }
}

fn lived(probed: &Probed, probe: Probe, protocol: Protocol) -> String {
    let limits = &probed.limits;
    let ended = match limits.ended {
        0 if limits.silent.is_some() => "the server ended none of them".to_owned(),
        0 => "lived on: the server ended none of them".to_owned(),
        1 => "the server ended 1 of them".to_owned(),
        ended => format!("the server ended {} of them", count(ended as u64)),
    };
    let ended = ended + &idled(probed, probe, protocol);
    let late = match probed.refused_late as u64 {
        0 => String::new(),
        late => format!("; it ended {} that it had let in beyond them", count(late)),
    };
    let silent = limits.silent.map(|session| {
        if limits.stopped.is_none() {
            format!("; {session} had not answered when the probe was called off: whether it lives on is not known")
        } else if limits.stopped.as_ref().is_some_and(|failure| falls_silent(failure.kind)) {
            format!("; {session} did not answer: whether it lives on is not known")
        } else {
            format!("; {session} lived on, and its command was refused")
        }
    });
    ended + &late + &silent.unwrap_or_default()
}

/// How soon a slot came free; where nobody knows whether there are slots, what was seen.
fn came_free(release: Release, kind: LimitKind, after: &str) -> String {
    let is_count = kind == LimitKind::Count;
    match (release.free_after_us, release.taken_after_us) {
        (Some(free), None) if is_count => format!("came free within {} of {after}", span(free)),
        (Some(free), Some(taken)) if is_count => {
            format!("was still taken {} after {after}, and free {} after it", span(taken), span(free))
        }
        (None, Some(taken)) if is_count => format!("was still taken {} after {after}", span(taken)),
        (Some(free), None) => format!("not known: one more was let in {} after {after}", span(free)),
        (Some(free), Some(taken)) => {
            format!("not known: one more was refused {} after {after}, and let in {} after it", span(taken), span(free))
        }
        (None, Some(taken)) => format!("not known: one more was refused still {} after {after}", span(taken)),
        (None, None) => format!("was given back by {after}; whether it came free is not known"),
    }
}

/// What to set.
fn to_set(layout: Layout, report: &RunReport) -> String {
    let advice = report.to_set().unwrap_or_default();
    if advice.is_empty() {
        return String::new();
    }
    let lines: String = advice.iter().map(|line| layout.paragraph(&format!("- {}", printable(line)))).collect();
    format!("What to set\n{lines}")
}
