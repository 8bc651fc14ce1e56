//! What to set where a limit was met: in Thunderbird, on the server, in programs.

use super::{Known, Setting, by_host, by_refusal, by_words};
use crate::event::{KeptBy, LimitKind, LimitMet, LimitScope, LimitsFound, SandboxOptions};
use crate::judge::{is_lock_of_one, stated_kind, stated_period};
use crate::protocol::Protocol;
use crate::report::words::{many, span};

/// As many connections does Thunderbird keep to each IMAP server, unless it is told otherwise.
const THUNDERBIRD: u64 = 5;

/// What to set, a sentence each; none where no limit was met, or nothing was answered.
#[must_use]
pub fn advice(limits: &LimitsFound, greeting: Option<&str>, host: &str, protocol: Protocol) -> Vec<String> {
    let is_cut = limits.stopped.is_some() && !limits.answered;
    // Slow sign-ins give no number.
    let Some(met) = limits.met.as_ref().filter(|met| !is_cut && met.kept_by != KeptBy::Slowing) else {
        return Vec::new();
    };
    let known = by_host(host).or_else(|| by_words(greeting?, met.failure.as_ref(), protocol));
    let given = limits.given as u64;
    // A server that is asked quickly may let one more in than it means to.
    let most = met.stated.filter(|_| met.kind != LimitKind::Rate).map_or(given, |stated| stated.min(given));
    // One more may be the refused one.
    let all = met.stated.filter(|stated| *stated > given + 1);
    let mut advice = Vec::new();
    if met.kind != LimitKind::Rate {
        advice.extend(all.filter(|_| most > 0).map(|all| {
            // One that was let in later may have the place of another client that left.
            let others = all - given;
            match met.again_within_us {
                _ if limits.ended > 0 => {
                    format!("{all} in all by its words: those may still count some of this client that it had ended.")
                }
                None => format!(
                    "{all} in all by its words: others hold {others} now, and {} for this client.",
                    are_left(given)
                ),
                Some(_) => format!(
                    "{all} in all by its words: others held {others} then, and at most {} when one more was let in later.",
                    others - 1
                ),
            }
        }));
        if most == 0 {
            advice.push(none_was_given(met));
        }
    }
    if met.kind != LimitKind::Count {
        advice.extend(rate(given, met, known, protocol));
    }
    advice.extend(ended(met));
    advice.extend(shared(met));
    if met.kind != LimitKind::Rate {
        // Where others have left since, or some of those are this client's that the server had ended, that many are not taken now.
        let is_so_now = met.again_within_us.is_none() && limits.ended == 0;
        advice.extend(thunderbird(most, all.unwrap_or(most), is_so_now, &met.scopes, protocol));
    }
    advice.extend(match known {
        Some(known) => server(known, met, protocol),
        None if met.kind == LimitKind::Rate => Some(setting_for_rates(met, limits.given, protocol)),
        None => None,
    });
    if met.kind != LimitKind::Rate && most > 0 {
        advice.extend(count(most));
    }
    advice
}

/// What lets more in where the sandbox's maildrop is locked.
#[must_use]
pub fn shared_maildrops(limits: &LimitsFound, sandbox: &SandboxOptions) -> Option<String> {
    let failure = limits.met.as_ref()?.failure.as_ref()?;
    (sandbox.locks_maildrops && is_lock_of_one(failure, Some(Protocol::Pop3), limits.given)).then(|| {
        "The sandbox locks a maildrop for one connection, as POP3 servers do: --sandbox-maildrops shared lets more in."
            .to_owned()
    })
}

fn are_left(number: u64) -> String {
    if number == 1 { "1 is left".to_owned() } else { format!("{number} are left") }
}

/// Threads for each mode, and the cap.
fn count(most: u64) -> Vec<String> {
    let use_default = match most {
        1 => "one thread, with a connection of its own".to_owned(),
        _ => format!("at most {most} threads, each with a connection of its own"),
    };
    let beside_main = match most - 1 {
        0 => "no thread can have a default connection beside main".to_owned(),
        rest => format!("at most {} with a default connection beside main", many(rest, "thread")),
    };
    vec![
        "In a program, use-main: any number of threads, they share 1 connection.".to_owned(),
        format!("In a program, use-default: {use_default}."),
        format!("In a program, use-main-or-default: {beside_main}."),
        format!(
            "In mailconn, --max-connections {most}: this client never opens more. Threads beyond those numbers then wait for a connection \
             that nobody gives back, and fail: use fewer, or use-main."
        ),
    ]
}

/// Nobody knows what others hold.
fn none_was_given(met: &LimitMet) -> String {
    let or_came = match met.kind {
        LimitKind::Count => "",
        LimitKind::Rate | LimitKind::Unclear => ", and wait a while: too many may have come lately",
    };
    format!("Not even one was let in: close what other clients hold{or_came}. Then probe again.")
}

/// It keeps its connections open, on each device. `most` were free, of `all`: that `is_so_now`, or was so then.
fn thunderbird(most: u64, all: u64, is_so_now: bool, scopes: &[LimitScope], protocol: Protocol) -> Option<String> {
    if protocol != Protocol::Imap || most == 0 {
        return None;
    }
    let fits = match all / THUNDERBIRD {
        0 => format!("set it to {all} or less"),
        1 => format!("leave it at {THUNDERBIRD} on one device; on two set it to {} each", all / 2),
        devices => format!("leave it at {THUNDERBIRD} on up to {devices} devices"),
    };
    let meanwhile = match all - most {
        held if held > 0 && most < THUNDERBIRD && is_so_now => {
            format!("; while {held} of them are taken, set it to {most} or less")
        }
        _ => String::new(),
    };
    let whose = if scopes == [LimitScope::UserAndAddress] { "clients at this address" } else { "clients" };
    Some(format!(
        "In Thunderbird (Account Settings > Server Settings > Advanced > Maximum number of server connections to cache): {fits}{meanwhile}. \
         All {whose} together must stay at {all}."
    ))
}

/// A pace for opening.
fn rate(given: u64, met: &LimitMet, known: Option<&Known>, protocol: Protocol) -> Vec<String> {
    let mut advice = vec![match given {
        0 => "Keep connections open, and open them slowly.".to_owned(),
        _ => format!("Keep connections open, and open them slowly: it let {given} in within {}.", span(met.within_us)),
    }];
    let every = known.into_iter().flat_map(|known| known.settings(protocol, met)).find_map(|setting| setting.every);
    let stated_period = met.failure.as_ref().and_then(stated_period);
    let pace = |every: f64| (every / given as f64).ceil();
    advice.push(match (met.stated_wait_us, every, met.again_within_us) {
        (Some(wait), ..) => format!("After a refusal wait {}, as the server says.", span(wait)),
        (None, ..) if stated_period.is_some() && given > 0 => {
            let period = stated_period.unwrap_or_default();
            format!(
                "It counts in {}, as its words say: one new connection every {:.0} s stays below.",
                span(period),
                pace(period.duration().as_secs_f64())
            )
        }
        (None, Some(every), _) if given > 0 => format!(
            "It counts in {every} s, unless that is set otherwise: one new connection every {:.0} s stays below.",
            pace(every as f64)
        ),
        // Nobody knows whether it counts in less, or in more.
        (None, _, Some(again)) if given > 0 && met.kind == LimitKind::Rate => format!(
            "The next one was let in {} after the first: one new connection every {:.0} s is as many as it took in that time. Open \
             them more slowly if it refuses that.",
            span(again),
            pace(again.duration().as_secs_f64())
        ),
        _ => "It does not say for how long it counts.".to_owned(),
    });
    advice
}

fn ended(met: &LimitMet) -> Option<String> {
    let which = match met.kept_by {
        KeptBy::EndingOldest => "the oldest",
        KeptBy::EndingAnother => "another",
        KeptBy::RefusingNewest | KeptBy::Slowing => return None,
    };
    Some(format!(
        "One connection more is let in, and {which} is ended for it, or several, whatever they do: never go beyond."
    ))
}

/// What to set on a server whose software is not known.
fn setting_for_rates(met: &LimitMet, given: usize, protocol: Protocol) -> String {
    let example = match protocol {
        Protocol::Smtp => " (in Postfix smtpd_client_connection_rate_limit)",
        Protocol::Imap | Protocol::Pop3 => "",
    };
    let says = met.failure.as_ref().and_then(|failure| stated_kind(failure, Some(protocol), given));
    if says == Some(LimitKind::Rate) {
        format!("On the server: the setting for rates raises it, and not the one for connections{example}.")
    } else {
        format!(
            "On the server: the setting for rates{example} raises it, or the one for connections if other clients left."
        )
    }
}

/// Who else is counted.
fn shared(met: &LimitMet) -> Option<String> {
    Some(match met.scopes[..] {
        [LimitScope::User] => "Every client of the account counts, wherever it is.".to_owned(),
        [LimitScope::UserAndAddress] => {
            "The account's clients at this address count together; another address has a limit of its own.".to_owned()
        }
        [LimitScope::Address] => "Everybody behind this address counts, whoever signs in.".to_owned(),
        [LimitScope::Server] => "Every client of the server counts.".to_owned(),
        _ => return None,
    })
}

/// What raises it.
fn server(known: &Known, met: &LimitMet, protocol: Protocol) -> Option<String> {
    raised(known, &known.settings(protocol, met), protocol)
}

/// What raises the limit that refuses in those words, if a server is known by them.
pub(in crate::report) fn advice_on_line(line: &str, protocol: Protocol) -> Option<String> {
    let (known, settings) = by_refusal(line, protocol)?;
    raised(known, &settings, protocol)
}

fn raised(known: &Known, settings: &[&Setting], protocol: Protocol) -> Option<String> {
    if known.provider {
        return Some(format!("On the server: the limit is {}'s own, and cannot be raised.", known.name));
    }
    let each = settings.iter().map(|setting| setting.told(protocol)).collect::<Vec<_>>();
    let either = if each.len() > 1 { "one of these keeps it, and raises it" } else { "this raises it" };
    (!each.is_empty()).then(|| format!("On the server, {}: {either}: {}.", known.name, each.join("; ")))
}
