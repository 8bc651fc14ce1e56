//! What a probe finds out, from its events alone.

use serde_json::{Value, json};

use super::written::{Probing, USERIP, VAGUE, again, holds, limits};
use crate::support::tool;
use crate::support::written::bytes;

/// What is due of the given fields, each by its place: `met.kind`.
#[track_caller]
fn comes_to(lines: &[Value], exit_code: u64, due: &[(&str, Value)]) {
    holds(lines);
    let found = limits(lines);
    for (place, due) in due {
        let at = place.split('.').fold(found, |at, name| &at[name]);
        assert_eq!(at, due, "{place}: {found:#}");
    }
    assert_eq!(lines.last().unwrap()["exit_code"], exit_code, "{found:#}");
}

/// Seven are let in, the eighth is not, nor after the hold.
pub fn full() -> Probing {
    Probing::new("imap", 32).count(7).step("count", 8).over().all_answer().step("hold", 1).all_answer().over()
}

#[test]
fn a_limit_of_seven_connections_is_a_count_where_a_slot_that_is_given_back_is_given_again() {
    let lines = full().release().let_in().end();
    comes_to(
        &lines,
        0,
        &[
            ("answered", json!(true)),
            ("given", json!(7)),
            ("attempts", json!(10)),
            ("refused", json!(2)),
            ("ended", json!(0)),
            ("met.kind", json!("count")),
            ("met.kept_by", json!("refusing-newest")),
            ("met.scopes", json!(["user-and-address"])),
            ("met.stage", json!("auth")),
            ("met.failure.server_line", json!(USERIP)),
            ("met.stated", json!(7)),
            ("met.stated_wait_us", Value::Null),
            ("release.taken_after_us", Value::Null),
            ("bare_close", Value::Null),
            ("stopped", Value::Null),
        ],
    );
    let free_after = limits(&lines)["release"]["free_after_us"].as_u64().unwrap();
    assert!((2_000_000..2_100_000).contains(&free_after), "{free_after}");
}

#[test]
fn a_slot_may_come_free_late_or_not_at_all() {
    let late = full().release().over().release_again().let_in().end();
    comes_to(&late, 0, &[("met.kind", json!("count")), ("given", json!(7)), ("refused", json!(3))]);
    let release = &limits(&late)["release"];
    let at = |name: &str| release[name].as_u64().unwrap() / 1_000_000;
    assert_eq!((at("taken_after_us"), at("free_after_us")), (2, 30), "{release}");
    let never = full().release().over().release_again().over().end();
    let due = [("answered", json!(true)), ("refused", json!(4)), ("release.free_after_us", Value::Null)];
    comes_to(&never, 0, &due);
    comes_to(&never, 0, &[("met.kind", json!("count"))]);
    // Without words nothing tells.
    let never = vague(7).step("hold", 1).all_answer().vague().release().vague().release_again().vague().end();
    comes_to(&never, 0, &due);
    comes_to(&never, 0, &[("met.kind", json!("unclear"))]);
}

/// So many are let in, the next one is not, in words that do not say why.
pub fn vague(to: u32) -> Probing {
    Probing::new("imap", 32).count(to).step("count", to + 1).vague().all_answer()
}

/// What the refusal says, whether one was let in after the hold, and what the limit counts.
#[test]
fn explicit_words_come_before_what_a_trial_proves() {
    for (of_rate, line, let_in, kind) in [
        (false, USERIP, true, "count"),
        (false, USERIP, false, "count"),
        (false, "NO [ALERT] Too many simultaneous connections. (Failure)", true, "count"),
        (false, "NO Too many open connections for ann", true, "count"),
        (false, "NO [LIMIT] You have 6 of 6 connections", true, "count"),
        (false, "NO [LIMIT] at most 3 sessions per user", true, "count"),
        (false, VAGUE, true, "rate"),
        (false, VAGUE, false, "count"),
        (true, "NO too many connections per minute", true, "rate"),
    ] {
        let failure = if of_rate { "limit-rate" } else { "limit-connections" };
        let refused = |lines: Probing| lines.refused(failure, "auth", Some(line));
        let is_told = line != VAGUE;
        let lines =
            refused(Probing::new("imap", 32).count(3).step("count", 4)).all_answer().step("hold", 1).all_answer();
        // Words that say it are believed.
        let confirmed = |lines: Probing| match (is_told, let_in) {
            (true, _) => lines,
            (false, true) => lines.confirm().let_in(),
            (false, false) => refused(lines.confirm()).repeat().let_in(),
        };
        let lines = if let_in { lines.let_in() } else { refused(lines).release().let_in() };
        let lines = confirmed(lines).end();
        comes_to(&lines, 0, &[("met.kind", json!(kind)), ("given", json!(3)), ("answered", json!(true))]);
        assert_eq!(limits(&lines)["met"]["again_within_us"].is_u64(), let_in, "{line}");
    }
    // A rate that is told in words is not met again.
    let line = Some("NO Connection rate limit exceeded");
    let refused = |lines: Probing| lines.refused("limit-rate", "auth", line);
    let lines = refused(Probing::new("imap", 32).count(3).step("count", 4)).all_answer().step("hold", 1).all_answer();
    comes_to(&refused(lines).end(), 0, &[("met.kind", json!("rate")), ("answered", json!(true))]);
}

/// Words that go for both leave it to the trial: one more at once after the release tells.
#[test]
fn one_more_after_the_release_tells_a_count_from_a_rate_whose_time_was_over_by_then() {
    let released = || vague(3).step("hold", 1).all_answer().vague().release().let_in();
    let count = released().confirm().vague().repeat().let_in().end();
    let due = |kind: &str, refused: u64| [("met.kind", json!(kind)), ("refused", json!(refused)), ("given", json!(3))];
    comes_to(&count, 0, &due("count", 3));
    assert_eq!(limits(&count)["met"]["again_within_us"], Value::Null);
    let rate = released().confirm().let_in().end();
    comes_to(&rate, 0, &due("rate", 2));
    let again = limits(&rate)["met"]["again_within_us"].as_u64().unwrap();
    assert!((63_000_000..63_400_000).contains(&again), "by the release, two could have been let in: {again}");
    // One that the server ended gave its place back.
    let lost = released().step("confirm", 1).lost(0).let_in().end();
    comes_to(&lost, 0, &due("unclear", 2));
    // Without it nothing is proved.
    comes_to(&released().interrupted(), 130, &due("unclear", 2));
    let late = || vague(3).step("hold", 1).all_answer().vague().release().vague().release_again().let_in();
    comes_to(&late().repeat_after(30_000_000).let_in().confirm().vague().end(), 0, &due("count", 4));
    comes_to(&late().repeat_after(30_000_000).let_in().confirm().let_in().end(), 0, &due("rate", 3));
}

/// One that was let in after a sign-out may have the place that was given back, or one that time has given.
#[test]
fn a_release_is_told_from_time_that_has_passed_or_the_kind_is_not_known() {
    let refused = |given, hold| vague(given).hold(hold).step("hold", 1).all_answer().vague();
    let fast = |given, hold| refused(given, hold).release().let_in().confirm().vague();
    let slow = |given, hold| refused(given, hold).release().vague().release_again().let_in().repeat_after(30_000_000);
    for (what, lines, kind, refused) in [
        ("each that was given back", fast(3, 61_000_000).repeat().let_in(), "count", 3),
        ("the only one that was given back", fast(1, 61_000_000).repeat().let_in(), "count", 3),
        ("a bucket that gives one place back in 62 s", fast(3, 61_000_000).repeat().vague(), "unclear", 4),
        ("a bucket that gives one back in 2 s", fast(3, 1_000_000).repeat().let_in(), "unclear", 3),
        ("a hold that is just long enough", fast(3, 4_200_000).repeat().let_in(), "count", 3),
        ("a hold that is just too short", fast(3, 4_000_000).repeat().let_in(), "unclear", 3),
        ("a slow release", slow(3, 61_000_000).let_in().confirm().vague(), "count", 4),
        ("a bucket that gives one place back in 63 to 93 s", slow(3, 61_000_000).vague(), "unclear", 4),
        ("a window of two that is over by then", slow(2, 61_000_000).let_in().confirm().vague(), "unclear", 4),
        ("a window that is over by then", slow(3, 61_000_000).let_in().confirm().let_in(), "rate", 3),
        ("a slow release, and a hold that is too short", slow(3, 5_000_000).let_in().confirm().vague(), "unclear", 4),
    ] {
        println!("{what}");
        let due = [("met.kind", json!(kind)), ("refused", json!(refused)), ("answered", json!(true))];
        comes_to(&lines.end(), 0, &due);
    }
}

/// What one attempt came to, without words of a limit, and the next one.
#[test]
fn one_that_breaks_without_words_of_a_limit_is_none_and_two_are() {
    const TROUBLE: (&str, &str, Option<&str>) =
        ("server-unavailable", "auth", Some("NO [UNAVAILABLE] Internal error occurred"));
    const CLOSED: (&str, &str, Option<&str>) = ("closed", "greeting", None);
    const RESET: (&str, &str, Option<&str>) = ("connect-reset", "connect", None);
    type Refusal = (&'static str, &'static str, Option<&'static str>);
    let refused = |lines: Probing, (kind, stage, line): Refusal| lines.refused(kind, stage, line).all_answer();
    let none = [("met", Value::Null), ("given", json!(6)), ("answered", json!(true)), ("refused", json!(1))];
    for odd in [TROUBLE, CLOSED, RESET] {
        println!("{odd:?}");
        let once = || refused(Probing::new("imap", 6).need(6).count(3).step("count", 4), odd);
        let rest = (5..=7).fold(once(), |lines, step| lines.step("count", step).let_in().all_answer());
        comes_to(&rest.end(), 0, &none);
        // The last of all.
        let last = refused(Probing::new("imap", 6).need(6).count(5).step("count", 6), odd);
        comes_to(&last.step("count", 7).let_in().all_answer().end(), 0, &none);
        // A limit that is met later is told by its own refusals.
        let later = once().step("count", 5).let_in().all_answer().step("count", 6).over().all_answer();
        let later = later.step("hold", 1).all_answer().over().release().let_in().end();
        let due =
            [("given", json!(4)), ("met.kind", json!("count")), ("met.stage", json!("auth")), ("refused", json!(3))];
        comes_to(&later, 6, &due);
        // Two say that there is one; these were let in by time.
        let twice = refused(once().step("count", 5), odd).step("hold", 1).all_answer().let_in().confirm().let_in();
        comes_to(&twice.end(), 6, &[("given", json!(3)), ("met.kind", json!("rate")), ("refused", json!(2))]);
        // Two of two kinds are two, whatever they have in common.
        let other = if odd == CLOSED { TROUBLE } else { CLOSED };
        let two = refused(once().step("count", 5), other).step("hold", 1).all_answer().let_in().confirm().let_in();
        comes_to(&two.end(), 6, &[("given", json!(3)), ("met.stage", json!(other.1))]);
    }
    // One session that breaks when it is new.
    let lines = Probing::new("smtp", 6).need(6).count(3).step("count", 4).let_in().lost(3);
    let lines = (5..=7).fold(lines, |lines, step| lines.step("count", step).let_in().all_answer());
    comes_to(&lines.end(), 0, &none);
}

/// What greets in no way of mail is no mail server that refuses: it stands in its place.
#[test]
fn a_greeting_that_is_none_of_mail_is_no_limit() {
    for (line, is_refusal) in [
        ("HTTP/1.1 400 Bad Request", false),
        ("SSH-2.0-OpenSSH_9.6", false),
        ("220 mx.example.org ESMTP", false),
        ("+OK ready", false),
        ("421 come back", true),
        ("554 no", true),
        ("* BYE not now", true),
        ("-ERR not now", true),
    ] {
        println!("{line}");
        let foreign = |lines: Probing| lines.refused("greeting", "greeting", Some(line));
        let met = foreign(Probing::new("imap", 32).count(3).step("count", 4));
        if is_refusal {
            let lines = foreign(met.all_answer().step("count", 5)).all_answer().step("hold", 1).all_answer();
            comes_to(&lines.let_in().confirm().let_in().end(), 0, &[("given", json!(3)), ("refused", json!(2))]);
        } else {
            let due = [("met", Value::Null), ("refused", json!(0)), ("stopped.kind", json!("greeting"))];
            comes_to(&met.all_answer().end(), 1, &due);
        }
    }
}

/// Of a server that ends several at a time: how many are let in, and ended for each, from the fourth on.
#[test]
fn a_server_that_ends_several_at_a_time_is_one_that_ends_the_oldest() {
    let course = |max, protocol, ended: &[usize]| {
        let lines = Probing::new(protocol, max).count(3);
        (4..).zip(ended).fold(lines, |lines, (step, ended)| {
            let lines = lines.step("count", step).let_in();
            if *ended == 0 { lines.all_answer() } else { (0..*ended).fold(lines, |lines, _| lines.lost(0)) }
        })
    };
    for (what, max, ended, given, kept_by, answered) in [
        ("two at a time", 32, &[2, 0, 2][..], 3, json!("ending-oldest"), true),
        ("three at a time", 32, &[0, 3, 0, 0, 3], 4, json!("ending-oldest"), true),
        ("late at first", 32, &[0, 0, 0, 4, 0, 2], 4, json!("ending-oldest"), true),
        ("two, and no second time", 5, &[2, 0], 3, json!("ending-oldest"), false),
        ("two once, as by chance", 9, &[2, 0, 0, 0, 0, 0], 7, Value::Null, true),
    ] {
        for protocol in ["imap", "smtp"] {
            println!("{what} over {protocol}");
            let found = course(max, protocol, ended).end();
            let met = if kept_by.is_null() { "met" } else { "met.kept_by" };
            let code = if answered { 0 } else { 1 };
            comes_to(&found, code, &[(met, kept_by.clone()), ("given", json!(given)), ("answered", json!(answered))]);
        }
    }
}

/// The oldest was ended once, in words of a limit, and the next one was refused by another limit.
#[test]
fn of_two_limits_the_one_that_ends_the_oldest_is_met_first() {
    let refused = |lines: Probing| lines.refused("limit-rate", "greeting", Some("* BYE Connection rate is too high"));
    let both = |number, protocol| {
        let lines = Probing::new(protocol, 32).count(4).step("count", 5).let_in().lost(number);
        refused(refused(lines.step("count", 6)).all_answer().step("hold", 1).all_answer()).end()
    };
    let due = [("given", json!(4)), ("met.kept_by", json!("ending-oldest")), ("met.kind", json!("count"))];
    comes_to(&both(0, "imap"), 0, &due);
    // Not the oldest, or without words: that may be chance.
    for lines in [both(1, "imap"), both(0, "smtp")] {
        comes_to(
            &lines,
            0,
            &[("given", json!(4)), ("met.kept_by", json!("refusing-newest")), ("met.kind", json!("rate"))],
        );
    }
}

/// What the first refusal says, what a later one says, and what is known then. Nothing more is asked after it.
#[test]
fn a_refusal_by_another_limit_proves_nothing_of_the_one_that_was_met() {
    const RATE: (&str, &str, Option<&str>) = ("limit-rate", "auth", Some("NO Connection rate limit exceeded"));
    const COUNT: (&str, &str, Option<&str>) = ("limit-connections", "auth", Some(USERIP));
    const EITHER: (&str, &str, Option<&str>) = ("limit-connections", "auth", Some(VAGUE));
    const SILENT: (&str, &str, Option<&str>) = ("closed", "greeting", None);
    const BANNED: (&str, &str, Option<&str>) = ("connect-refused", "connect", None);
    type Refusal = (&'static str, &'static str, Option<&'static str>);
    let refused = |lines: Probing, (kind, stage, line): Refusal| lines.refused(kind, stage, line);
    let met = |first: Refusal| {
        let lines = refused(Probing::new("imap", 32).bare_close().count(3).step("count", 4), first).all_answer();
        // One without words may be anything.
        let lines = if first == SILENT { refused(lines.step("count", 5), first).all_answer() } else { lines };
        lines.step("hold", 1)
    };
    for (first, other, kind) in [
        (RATE, SILENT, "rate"),
        (RATE, COUNT, "rate"),
        (COUNT, RATE, "count"),
        (COUNT, BANNED, "count"),
        (EITHER, COUNT, "unclear"),
        (EITHER, SILENT, "unclear"),
        (SILENT, EITHER, "unclear"),
        (SILENT, BANNED, "unclear"),
    ] {
        println!("{first:?} {other:?}");
        let due = [("given", json!(3)), ("met.kind", json!(kind)), ("answered", json!(true))];
        let after_the_hold = refused(met(first).all_answer(), other).end();
        comes_to(&after_the_hold, 0, &due);
        if first.0 == "limit-rate" {
            continue;
        }
        let released = || refused(met(first).all_answer(), first).release();
        let lines = refused(released(), other).end();
        comes_to(&lines, 0, &due);
        // Nobody has told of a slot.
        let release = json!({"free_after_us": null, "taken_after_us": null});
        comes_to(&lines, 0, &[("release", release), ("refused", json!(if first == SILENT { 4 } else { 3 }))]);
        if kind == "unclear" {
            let lines = released().let_in();
            let lines = if first == SILENT { lines.repeat() } else { lines.confirm() };
            comes_to(&refused(lines, other).end(), 0, &due);
        }
    }
    // One limit's refusals are told apart by nothing but chance.
    let lines = refused(met(SILENT).all_answer(), ("connect-reset", "connect", None)).release().let_in();
    let lines = refused(lines.repeat().let_in().confirm(), SILENT).close_bare().let_in().end();
    comes_to(&lines, 0, &[("met.kind", json!("count"))]);
}

/// The wait that ended it is told, whichever refusal says it.
#[test]
fn the_longest_wait_of_the_refusals_is_told_and_nothing_is_asked_within_it() {
    let waits = |lines: Probing, line| lines.refused("limit-connections", "auth", Some(line));
    let long = "NO Too many connections, try again in 10 minutes";
    let met = |line| waits(Probing::new("imap", 32).count(3).step("count", 4), line).all_answer();
    let due = [("met.stated_wait_us", json!(600_000_000)), ("answered", json!(true)), ("met.kind", json!("unclear"))];
    comes_to(&met(long).end(), 0, &due);
    let grows = || met("NO Too many connections, try again in 1 second").step("hold", 1).all_answer();
    comes_to(&waits(grows(), long).end(), 0, &due);
    let released = waits(grows(), "NO Too many connections, try again in 1 second").release();
    comes_to(&waits(released, long).end(), 0, &due);
}

#[test]
fn a_server_that_goes_down_during_the_hold_is_no_limit_that_was_looked_into() {
    for words in [USERIP, VAGUE] {
        let refused = |lines: Probing| lines.refused("limit-connections", "auth", Some(words));
        let met = || refused(Probing::new("imap", 32).count(3).step("count", 4)).all_answer().step("hold", 1);
        let down = || met().lost(0).lost(0).lost(0);
        let due = [("given", json!(3)), ("answered", json!(false)), ("ended", json!(3))];
        comes_to(&down().refused("connect-refused", "connect", None).end(), 1, &due);
        comes_to(&down().let_in().end(), 1, &due);
    }
}

/// What lay idle for the hold may have been ended for that: the words of the refusal had told by then what is counted.
#[test]
fn sessions_that_end_for_idling_during_the_hold_leave_what_the_words_of_the_refusal_said() {
    const COUNTS: &str = "421 4.7.0 too many concurrent connections";
    const IDLE: &str = "421 4.4.2 mx.example.org Error: timeout exceeded";
    for (protocol, words, last, kind, answered) in [
        ("smtp", COUNTS, Some(IDLE), "count", true),
        ("pop3", COUNTS, Some(IDLE), "count", true),
        ("smtp", COUNTS, None, "count", true),
        ("pop3", COUNTS, None, "count", true),
        ("smtp", VAGUE, Some(IDLE), "unclear", true),
        ("smtp", VAGUE, None, "unclear", false),
        // There it is looked at, and none lies idle.
        ("imap", COUNTS, None, "count", false),
    ] {
        println!("{protocol} {words} {last:?}");
        let refused = |lines: Probing| lines.refused("limit-connections", "auth", Some(words)).all_answer();
        let gone = |lines: Probing| match last {
            Some(line) => lines.gone_with(0, line),
            None => lines.gone(0),
        };
        let held = || gone(gone(gone(refused(Probing::new(protocol, 32).count(3).step("count", 4)).step("hold", 1))));
        let due = [
            ("given", json!(3)),
            ("ended", json!(3)),
            ("met.kind", json!(kind)),
            ("answered", json!(answered)),
            ("stopped", if answered { Value::Null } else { limits(&held().let_in().end())["stopped"].clone() }),
        ];
        let code = if answered { 0 } else { 1 };
        comes_to(&held().let_in().end(), code, &due);
        comes_to(&refused(held()).end(), code, &due);
        // A server that does not answer any more went away.
        comes_to(&held().refused("connect-refused", "connect", None).end(), 1, &[("answered", json!(false))]);
    }
}

/// The user ended it: that is no failure of the server's.
#[test]
fn a_dial_that_is_called_off_is_no_refusal() {
    let lines = Probing::new("imap", 32).count(5).step("count", 6).refused("disposed", "greeting", None).interrupted();
    let due = [("given", json!(5)), ("refused", json!(0)), ("stopped", Value::Null), ("met", Value::Null)];
    comes_to(&lines, 130, &due);
}

/// A place that the server gave back with the refusal may be the one that is free after the hold.
#[test]
fn one_that_ended_with_the_refusal_leaves_the_kind_unknown() {
    let lines = Probing::new("imap", 32).count(5).step("count", 6).vague().lost(0).step("hold", 1).all_answer();
    let due = [("met.kind", json!("unclear")), ("ended", json!(1)), ("answered", json!(true))];
    comes_to(&lines.let_in().end(), 0, &due);
    let lines = Probing::new("imap", 32).count(5).step("count", 6).vague().lost(0).step("hold", 1).all_answer();
    comes_to(&lines.vague().release().let_in().confirm().vague().repeat().let_in().end(), 0, &due);
}

#[test]
fn a_maildrop_with_several_owners_has_no_lock() {
    let in_use = |lines: Probing, line| lines.refused("limit-connections", "auth", Some(line));
    for line in ["-ERR [IN-USE] too many sessions for ann", "-ERR [IN-USE] maildrop is locked"] {
        let lines = in_use(Probing::new("pop3", 32).count(5).step("count", 6), line).step("hold", 1);
        let lines = in_use(in_use(lines, line).release().let_in().confirm(), line).repeat().let_in().end();
        comes_to(&lines, 0, &[("given", json!(5)), ("met.kind", json!("count")), ("answered", json!(true))]);
    }
}

/// A server that has had enough is not asked on, whatever it refuses.
#[test]
fn one_that_is_held_and_not_served_ends_the_probe() {
    for (kind, line) in [
        ("limit-rate", "BAD Request is throttled. Suggested Backoff Time: 2000 milliseconds"),
        ("limit-connections", "NO [LIMIT] Too many connections for ann"),
    ] {
        let lines = Probing::new("imap", 32).count(5).step("count", 6).let_in().held_unserved(0, kind, line).end();
        let due = [
            ("given", json!(6)),
            ("silent", json!("#1")),
            ("ended", json!(0)),
            ("met", Value::Null),
            ("stopped.kind", json!(kind)),
            ("answered", json!(false)),
        ];
        comes_to(&lines, 1, &due);
    }
}

#[test]
fn where_nothing_was_given_a_hold_that_lets_one_in_is_no_rate() {
    let lines = Probing::new("imap", 32).step("count", 1).vague().step("hold", 1).let_in().end();
    comes_to(&lines, 0, &[("given", json!(0)), ("met.kind", json!("unclear")), ("answered", json!(true))]);
}

#[test]
fn a_limit_that_time_alone_lifts_is_a_rate() {
    let rate = || vague(3).step("hold", 1).all_answer().let_in();
    let lines = rate().confirm().let_in().end();
    comes_to(&lines, 0, &[("given", json!(3)), ("met.kind", json!("rate")), ("answered", json!(true))]);
    // Another client may have left instead.
    let lines = rate().confirm().vague().end();
    comes_to(&lines, 0, &[("given", json!(3)), ("met.kind", json!("unclear")), ("answered", json!(true))]);
    // So is one that the server calls so, whatever comes of it.
    let line = "NO [LIMIT] Login rate limit exceeded, try again in 15 minutes";
    let lines = Probing::new("imap", 32).count(3).step("count", 4).refused("limit-rate", "auth", Some(line)).end();
    comes_to(
        &lines,
        0,
        &[
            ("given", json!(3)),
            ("met.kind", json!("rate")),
            ("met.stated_wait_us", json!(900_000_000)),
            ("answered", json!(true)),
        ],
    );
    // One that was let in when another had gone proves nothing.
    let lines = vague(3).step("hold", 1).lost(0).let_in().end();
    comes_to(&lines, 0, &[("met.kind", json!("unclear")), ("ended", json!(1)), ("answered", json!(true))]);
}

#[test]
fn a_server_that_lets_in_all_has_no_limit_up_to_there() {
    let lines = Probing::new("imap", 4).count(4).end();
    let due = [("given", json!(4)), ("answered", json!(true)), ("met", Value::Null), ("refused", json!(0))];
    comes_to(&lines, 0, &due);
}

#[test]
fn closed_without_a_word_while_others_are_open_is_a_refusal() {
    for (kind, stage) in [("closed", "greeting"), ("connect-reset", "connect"), ("timeout", "greeting")] {
        let lines = Probing::new("imap", 32).count(4).step("count", 5).refused(kind, stage, None).all_answer();
        let lines = lines.step("count", 6).refused(kind, stage, None).all_answer();
        let lines = lines.step("hold", 1).all_answer().refused(kind, stage, None).release().let_in();
        let lines = lines.repeat().let_in().confirm().refused(kind, stage, None).end();
        comes_to(
            &lines,
            0,
            &[
                ("given", json!(4)),
                ("met.kind", json!("count")),
                ("met.stage", json!(stage)),
                ("met.scopes", json!(["address", "server"])),
                ("met.stated", Value::Null),
            ],
        );
    }
    // At the first dial it is none: nothing came to be.
    let lines = Probing::new("imap", 32).step("count", 1).refused("closed", "greeting", None).end();
    let due =
        [("given", json!(0)), ("met", Value::Null), ("answered", json!(false)), ("stopped.kind", json!("closed"))];
    comes_to(&lines, 4, &due);
}

#[test]
fn at_the_first_dial_a_limit_is_met_and_a_server_in_trouble_is_none() {
    let lines = Probing::new("imap", 32).step("count", 1).vague().step("hold", 1).vague().end();
    comes_to(&lines, 0, &[("given", json!(0)), ("answered", json!(true)), ("met.kind", json!("unclear"))]);
    let trouble = Some("NO [UNAVAILABLE] Internal error occurred");
    let lines = Probing::new("imap", 32).step("count", 1).refused("server-unavailable", "auth", trouble).end();
    comes_to(&lines, 4, &[("given", json!(0)), ("met", Value::Null), ("stopped.kind", json!("server-unavailable"))]);
    // Once it has let some in, it is a refusal like others.
    for (given, kind) in [(3, "count"), (2, "unclear")] {
        let refused = |lines: Probing| lines.refused("server-unavailable", "auth", trouble);
        let lines = refused(Probing::new("imap", 32).count(given).step("count", given + 1)).step("count", given + 2);
        let lines = refused(refused(lines).step("hold", 1)).release().let_in().repeat().let_in();
        let lines = refused(lines.confirm()).end();
        let all = json!(["user", "user-and-address", "address", "server"]);
        comes_to(&lines, 0, &[("given", json!(given)), ("met.kind", json!(kind)), ("met.scopes", all)]);
    }
}

#[test]
fn a_server_that_ends_the_oldest_is_believed_when_it_does_so_twice() {
    let lines =
        Probing::new("imap", 32).count(3).step("count", 4).let_in().lost(0).step("count", 5).let_in().lost(0).end();
    comes_to(
        &lines,
        0,
        &[
            ("given", json!(3)),
            ("ended", json!(2)),
            ("met.kind", json!("count")),
            ("met.kept_by", json!("ending-oldest")),
            ("met.stage", Value::Null),
            ("met.failure.kind", json!("limit-connections")),
            ("answered", json!(true)),
        ],
    );
    let lines =
        Probing::new("imap", 32).count(3).step("count", 4).let_in().lost(1).step("count", 5).let_in().lost(0).end();
    comes_to(&lines, 0, &[("given", json!(3)), ("met.kept_by", json!("ending-another"))]);
    // Once may be anything.
    let lines = Probing::new("imap", 4).step("count", 1).let_in().all_answer().step("count", 2).let_in().lost(0);
    let lines = lines.step("count", 3).let_in().all_answer().step("count", 4).let_in().all_answer().end();
    comes_to(&lines, 0, &[("given", json!(3)), ("ended", json!(1)), ("met", Value::Null), ("answered", json!(true))]);
}

/// Each look is a command, and a server may count those. One that ends a session for another does not wait for a command of it.
#[test]
fn sessions_that_end_by_as_many_commands_each_are_not_ended_for_the_newest() {
    const COMMANDS: &str = "* BYE too many commands";
    let course = |kind: &'static str, line, asked_once_more: bool| {
        let lines = Probing::new("imap", 32).count(3).step("count", 4).let_in().lost_with(0, kind, line);
        let lines = if asked_once_more { lines.all_answer() } else { lines };
        lines.step("count", 5).let_in().lost_with(0, kind, line).end()
    };
    for (kind, line, asked_once_more, met) in [
        ("closed", None, false, false),
        ("server-bye", Some("* BYE ended"), false, false),
        ("limit-rate", Some(COMMANDS), false, false),
        ("limit-rate", Some(COMMANDS), true, false),
        // They had not as many.
        ("closed", None, true, true),
        ("limit-connections", Some("* BYE Too many connections"), false, true),
    ] {
        println!("{kind} {line:?} {asked_once_more}");
        let kept_by = if met { ("met.kept_by", json!("ending-oldest")) } else { ("met", Value::Null) };
        let due = [("given", json!(3)), ("ended", json!(2)), kept_by, ("answered", json!(met))];
        comes_to(&course(kind, line, asked_once_more), if met { 0 } else { 1 }, &due);
    }
    // It was seen to have ended, unasked.
    let unasked = Probing::new("imap", 32).count(3).step("count", 4).let_in().gone(0).all_answer();
    let unasked = unasked.step("count", 5).let_in().gone(0).all_answer().end();
    comes_to(&unasked, 0, &[("given", json!(3)), ("met.kept_by", json!("ending-oldest"))]);
}

/// Another connection can be why one ends only while it is open.
#[test]
fn one_that_ended_before_the_next_one_came_was_not_ended_for_it() {
    let due = [
        ("given", json!(1)),
        ("ended", json!(2)),
        ("met", Value::Null),
        ("stopped", Value::Null),
        ("answered", json!(false)),
    ];
    for protocol in ["imap", "pop3", "smtp"] {
        for max in [2, 32] {
            let alone = |need| Probing::new(protocol, max).need(need).count(1).step("count", 2).gone(0).let_in();
            let alone = |need| alone(need).all_answer().step("count", 3).gone(0).let_in().all_answer().end();
            comes_to(&alone(1), 1, &due);
            comes_to(&alone(2), 1, &due);
        }
        // One that was seen to end after the next one had come may be its price.
        let beside = Probing::new(protocol, 32).count(1).step("count", 2).let_in().lost(0);
        let beside = beside.step("count", 3).let_in().lost(0).end();
        comes_to(&beside, 0, &[("given", json!(1)), ("met.kept_by", json!("ending-oldest"))]);
    }
}

/// Its ends come late: those of the first loss are for all that were let in meanwhile.
#[test]
fn the_number_of_a_server_that_ends_the_oldest_late_is_what_was_open_before_the_loss() {
    let lines = Probing::new("imap", 32).count(5).step("count", 6).gone(0).let_in().lost(0).step("count", 7);
    let lines = lines.let_in().lost(0).end();
    comes_to(&lines, 0, &[("given", json!(4)), ("ended", json!(3)), ("met.kept_by", json!("ending-oldest"))]);
    let lines = Probing::new("imap", 32).count(7).step("count", 8).let_in().lost(0).lost(0).lost(0).lost(0);
    let lines = lines.step("count", 9).let_in().lost(0).end();
    comes_to(&lines, 0, &[("given", json!(4)), ("ended", json!(5)), ("met.kept_by", json!("ending-oldest"))]);
}

/// As long as more than one ends for one that is let in, more may be about to end.
#[test]
fn ends_that_go_on_give_no_number() {
    let two = |lines: Probing, step| lines.step("count", step).let_in().lost(0).lost(0);
    let late = |steps: std::ops::Range<u32>| steps.fold(Probing::new("imap", 32).count(11), two);
    let settled = late(12..14).step("count", 14).let_in().lost(0).end();
    comes_to(&settled, 0, &[("given", json!(9)), ("met.kept_by", json!("ending-oldest")), ("answered", json!(true))]);
    let goes_on = late(12..16).end();
    comes_to(&goes_on, 1, &[("given", json!(7)), ("met.kept_by", json!("ending-oldest")), ("answered", json!(false))]);
}

#[test]
fn one_that_does_not_answer_leaves_the_question_open() {
    let lines = Probing::new("imap", 32).count(2).step("count", 3).let_in().silent(1).end();
    let due = [
        ("given", json!(3)),
        ("silent", json!("#2")),
        ("ended", json!(0)),
        ("met", Value::Null),
        ("stopped.kind", json!("timeout")),
        ("answered", json!(false)),
    ];
    comes_to(&lines, 1, &due);
    // The limit is met, and what it counts is not known.
    let due = [("met.kind", json!("unclear")), ("silent", json!("#1")), ("answered", json!(false))];
    comes_to(&vague(3).step("hold", 1).silent(0).end(), 1, &due);
    let due = [("met.kind", json!("unclear")), ("silent", json!("#2")), ("stopped.kind", json!("limit-rate"))];
    let throttled = |lines: Probing, number| lines.held_unserved(number, "limit-rate", "BAD Request is throttled");
    comes_to(&throttled(vague(3).step("hold", 1), 1).end(), 1, &due);
    let lines = vague(3).step("hold", 1).all_answer().let_in().step("confirm", 1);
    comes_to(&throttled(lines, 1).end(), 1, &due);
    // To dial then is to ask on.
    let dialled = throttled(vague(3).step("hold", 1), 1).vague().end();
    assert_eq!(tool::doubts(&bytes(&dialled)), ["probe: a dial came after #2 was not served, or did not answer"]);
}

/// All the others are ended for the newest: it went away.
#[test]
fn a_server_that_ends_all_is_not_asked_again() {
    let lines = Probing::new("imap", 32).count(3).step("count", 4).let_in().lost(0).lost(0).lost(0).end();
    let due = [
        ("met", Value::Null),
        ("answered", json!(false)),
        ("ended", json!(3)),
        ("stopped.kind", json!("limit-connections")),
    ];
    comes_to(&lines, 1, &due);
    // Nor is it a limit where it also refuses the newest.
    for open in [1, 3] {
        let lines = Probing::new("imap", 32).count(open).step("count", open + 1).refused("closed", "greeting", None);
        let lines = (0..open).fold(lines, |lines, _| lines.lost(0)).end();
        let due = [("met", Value::Null), ("answered", json!(false)), ("given", json!(open)), ("ended", json!(open))];
        comes_to(&lines, 1, &due);
    }
}

#[test]
fn a_server_that_keeps_one_connection_of_pop3_and_ends_the_other_is_one_that_ends_the_oldest() {
    let lines =
        Probing::new("pop3", 32).count(1).step("count", 2).let_in().lost(0).step("count", 3).let_in().lost(0).end();
    comes_to(&lines, 0, &[("given", json!(1)), ("ended", json!(2)), ("met.kept_by", json!("ending-oldest"))]);
}

#[test]
fn one_that_is_dropped_as_soon_as_it_is_signed_in_was_refused() {
    // SMTP and POP3 close without a word: that is believed when it is seen twice.
    for (protocol, refused) in [("imap", 3), ("smtp", 4)] {
        let lines = Probing::new(protocol, 32).count(3).step("count", 4).let_in().lost(3);
        let lines = if refused == 4 { lines.step("count", 5).let_in().lost(3) } else { lines };
        let lines = lines.step("hold", 1).all_answer().let_in().lost(3).release().let_in();
        let lines = if refused == 4 {
            lines.repeat().let_in().confirm().let_in().lost(3)
        } else {
            lines.confirm().let_in().lost(3).repeat().let_in()
        };
        comes_to(
            &lines.end(),
            0,
            &[
                ("given", json!(3)),
                ("refused", json!(refused)),
                ("met.stage", json!("operation")),
                ("ended", json!(0)),
                ("met.kept_by", json!("refusing-newest")),
                ("met.kind", json!("count")),
                ("answered", json!(true)),
            ],
        );
    }
}

/// As Exchange Online does.
#[test]
fn one_whose_first_command_is_refused_was_refused() {
    for (kind, line, times) in [
        ("limit-connections", "BAD User is authenticated but not connected.", 3),
        ("server-unavailable", "NO [UNAVAILABLE] Internal error occurred", 4),
    ] {
        let refused = |lines: Probing| lines.let_in().unserved(kind, line);
        let lines = refused(Probing::new("imap", 32).count(3).step("count", 4)).all_answer();
        let lines = if times == 4 { refused(lines.step("count", 5)).all_answer() } else { lines };
        let lines = refused(lines.step("hold", 1).all_answer()).release().let_in().all_answer();
        let lines = if times == 4 {
            refused(lines.repeat().let_in().confirm()).end()
        } else {
            refused(lines.confirm()).repeat().let_in().end()
        };
        comes_to(
            &lines,
            0,
            &[
                ("given", json!(3)),
                ("refused", json!(times)),
                ("ended", json!(0)),
                ("met.kept_by", json!("refusing-newest")),
                ("met.kind", json!("count")),
                ("met.stage", json!("operation")),
                ("met.failure.server_line", json!(line)),
                ("answered", json!(true)),
            ],
        );
    }
}

/// What it had is given back by then: the refusal may still be for that.
#[test]
fn a_refusal_after_the_only_one_has_signed_out_is_one_of_the_limit() {
    let closed = |lines: Probing| lines.refused("closed", "greeting", None);
    let lines = closed(Probing::new("imap", 32).count(1).step("count", 2)).all_answer();
    let lines = closed(closed(lines.step("count", 3)).all_answer().step("hold", 1).all_answer());
    let lines = closed(lines.release()).end();
    let due =
        [("given", json!(1)), ("met.kind", json!("unclear")), ("answered", json!(true)), ("stopped", Value::Null)];
    comes_to(&lines, 0, &due);
}

#[test]
fn a_maildrop_has_one_owner() {
    let locked = Some("-ERR [IN-USE] Mailbox is locked by another POP3 session.");
    let lines = Probing::new("pop3", 32).count(1).step("count", 2).refused("limit-connections", "auth", locked);
    let lines = lines.step("hold", 1).refused("limit-connections", "auth", locked).release().let_in().end();
    comes_to(&lines, 0, &[("given", json!(1)), ("met.kind", json!("count")), ("met.scopes", json!(["user"]))]);
}

/// Its words are held against the same table as those of any refusal.
#[test]
fn a_lock_is_told_by_the_words_of_servers_and_not_by_a_part_of_one() {
    for (line, is_lock) in [
        ("-ERR [IN-USE] Mailbox is locked by another POP3 session.", true),
        ("-ERR [IN-USE] wait for the other one", true),
        ("-ERR maildrop already locked", true),
        ("-ERR Your account is currently accessed by another client", true),
        ("-ERR [IN-USE] too many sessions for ann", false),
        ("-ERR [IN-USE] too many connections for this account", false),
        ("-ERR too many users on this block", false),
    ] {
        println!("{line}");
        let refused = |lines: Probing| lines.refused("limit-connections", "auth", Some(line));
        let lines = refused(Probing::new("pop3", 32).count(1).step("count", 2));
        let lines = refused(lines.step("hold", 1)).release().let_in();
        let lines = if is_lock { lines.end() } else { refused(lines.confirm()).repeat().let_in().end() };
        comes_to(&lines, 0, &[("given", json!(1)), ("met.kind", json!("count")), ("answered", json!(true))]);
        let ids = lines.last().unwrap()["findings"].as_array().unwrap();
        let due = if is_lock { "MC033" } else { "MC030" };
        assert!(ids.iter().any(|it| it["id"] == due), "{line}: {ids:#?}");
    }
}

/// What came before the deadline, and a greeting, say nothing of a limit: neither a number, nor whose it is, nor what it counts.
#[test]
fn the_beginning_of_an_answer_says_nothing() {
    for (kind, line) in [
        ("timeout", "* OK [CAPABILITY IMAP4rev1] 192.0.2.7 allows 5 connections per minute"),
        ("timeout", "* BYE at most 5 connections per us"),
        ("closed", "* OK 192.0.2.7 ready"),
    ] {
        let refused = |lines: Probing| lines.refused(kind, "greeting", Some(line));
        let cut_again = |lines: Probing| lines.refused(kind, "greeting", None);
        let lines = refused(Probing::new("imap", 32).count(3).step("count", 4)).all_answer();
        let lines = refused(lines.step("count", 5)).all_answer().step("hold", 1);
        let lines = cut_again(cut_again(lines.all_answer()).release().let_in().repeat().let_in().confirm()).end();
        let due = [
            ("met.stated", Value::Null),
            ("met.scopes", json!(["address", "server"])),
            ("met.kind", json!("count")),
            ("given", json!(3)),
        ];
        comes_to(&lines, 0, &due);
    }
}

/// One is let in, served, and ended a moment later; those before it are not touched.
#[test]
fn one_that_ends_itself_a_moment_after_it_was_let_in_was_refused() {
    // The step that is found out in dials once more: that one is waited for.
    let late = |beyond: u32| {
        let lines = Probing::new("imap", 32).count(5 + beyond).step("count", 6 + beyond);
        let lines = lines.gone(5).let_in();
        let lines = (1..beyond).fold(lines, |lines, _| lines.gone(5));
        lines.lost(5).step("hold", 1).all_answer()
    };
    for beyond in [1, 4] {
        let refused = |lines: Probing| lines.let_in().lost_newest();
        let lines = refused(refused(late(beyond)).release().let_in().confirm()).repeat().let_in().end();
        let due = [
            ("given", json!(5)),
            ("ended", json!(0)),
            ("refused", json!(3)),
            ("met.kept_by", json!("refusing-newest")),
            ("met.stage", json!("operation")),
            ("met.kind", json!("count")),
            ("answered", json!(true)),
        ];
        comes_to(&lines, 0, &due);
        // Nothing came free with it: two more tell a rate.
        let lines = late(beyond).let_in().confirm().let_in().end();
        comes_to(&lines, 0, &[("given", json!(5)), ("met.kind", json!("rate"))]);
    }
    // Where an older one ended in their midst, that is more than a refusal.
    let lines = Probing::new("imap", 32).count(7).step("count", 8).gone(6).gone(2).let_in().lost(5);
    let lines = lines.step("hold", 1).all_answer().let_in().end();
    comes_to(&lines, 0, &[("given", json!(7)), ("ended", json!(2)), ("met.kind", json!("unclear"))]);
}

/// What was not answered by then is not known to live.
#[test]
fn a_look_that_is_called_off_is_no_answer() {
    let lines = Probing::new("imap", 32).count(2).step("count", 3).let_in().called_off(1).interrupted();
    let due = [("silent", json!("#2")), ("stopped", Value::Null), ("ended", json!(0)), ("refused", json!(0))];
    comes_to(&lines, 130, &due);
}

#[test]
fn two_slow_sign_ins_in_a_row_are_a_penalty_or_a_queue_and_one_is_none() {
    let slow = |lines: Probing, step| lines.step("count", step).let_in_after(1_500_000).all_answer();
    let lines = slow(slow(Probing::new("imap", 32).count(4), 5), 6).end();
    comes_to(
        &lines,
        0,
        &[
            ("met.kept_by", json!("slowing")),
            ("met.kind", json!("unclear")),
            ("met.stage", json!("auth")),
            ("met.scopes", json!(["user", "user-and-address", "address", "server"])),
            ("answered", json!(true)),
        ],
    );
    let lines = slow(Probing::new("imap", 6).count(4), 5).step("count", 6).let_in().all_answer().end();
    comes_to(&lines, 0, &[("met", Value::Null), ("given", json!(6)), ("answered", json!(true))]);
    // It is met only where two are slow: the probe goes on after one.
    let lines = slow(Probing::new("imap", 32).count(4), 5).step("count", 6).over().all_answer();
    let lines = lines.step("hold", 1).all_answer().over().release().let_in().end();
    comes_to(&lines, 0, &[("met.kept_by", json!("refusing-newest")), ("given", json!(5))]);
}

#[test]
fn a_refused_sign_in_ends_it() {
    let line = Some("NO [AUTHENTICATIONFAILED] Authentication failed.");
    let lines = Probing::new("imap", 32).step("count", 1).refused("auth-invalid", "auth", line).end();
    comes_to(&lines, 5, &[("answered", json!(false)), ("stopped.kind", json!("auth-invalid")), ("met", Value::Null)]);
    let lines = Probing::new("imap", 32).count(5).step("count", 6).refused("auth-invalid", "auth", line).end();
    comes_to(&lines, 5, &[("given", json!(5)), ("answered", json!(false)), ("met", Value::Null)]);
}

#[test]
fn what_is_no_limit_of_the_server_leaves_the_question_open() {
    let lines = Probing::new("imap", 32).count(2).step("count", 3).refused("local-resources", "connect", None).end();
    comes_to(&lines, 1, &[("given", json!(2)), ("answered", json!(false)), ("stopped.kind", json!("local-resources"))]);
}

#[test]
fn an_interruption_ends_it_with_the_result_so_far() {
    let lines = Probing::new("imap", 32).count(3).step("count", 4).interrupted();
    comes_to(&lines, 130, &[("given", json!(3)), ("attempts", json!(3)), ("answered", json!(false))]);
    let lines = full().interrupted();
    comes_to(&lines, 130, &[("given", json!(7)), ("met.kind", json!("count")), ("answered", json!(false))]);
    let lines = vague(7).interrupted();
    comes_to(&lines, 130, &[("met.kind", json!("unclear")), ("answered", json!(false))]);
}

#[test]
fn the_connection_that_is_closed_without_a_goodbye_on_purpose_is_no_leak_and_none_that_the_server_ended() {
    let lines = full_with_bare_close().end();
    comes_to(&lines, 0, &[("ended", json!(0)), ("given", json!(7)), ("bare_close.free_after_us", Value::Null)]);
    let bare = limits(&lines)["bare_close"]["taken_after_us"].as_u64().unwrap();
    assert_eq!(bare / 1_000_000, 30);
    let found: Vec<&str> =
        lines.last().unwrap()["findings"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(found, ["MC030"], "no advice, no leak, no fault");
}

pub fn full_with_bare_close() -> Probing {
    let lines = Probing::new("imap", 32).bare_close().count(7).step("count", 8).over().all_answer();
    let lines = lines.step("hold", 1).all_answer().over().release().let_in().close_bare().over();
    lines.bare_again().over()
}

#[test]
fn a_need_that_is_not_met_is_exit_6() {
    let needs = |need| full().need(need).release().let_in().end();
    comes_to(&needs(7), 0, &[("given", json!(7))]);
    comes_to(&needs(8), 6, &[("given", json!(7))]);
    let lines = Probing::new("imap", 4).need(4).count(4).end();
    comes_to(&lines, 0, &[("given", json!(4))]);
    // Of a rate, one after the hold is open beside those that came before the first refusal, and one more confirms it.
    let rate = |need| vague(3).need(need).step("hold", 1).all_answer().let_in().confirm().let_in().end();
    comes_to(&rate(3), 0, &[("given", json!(3))]);
    comes_to(&rate(5), 0, &[("given", json!(3))]);
    comes_to(&rate(6), 6, &[("given", json!(3))]);
    let told = tool::told(&bytes(&rate(5)), false, Some(20)).replace('\n', " ");
    assert!(told.contains("exit 0: 5 connections were open at once, though not before confirm#1 (--need 5)"), "{told}");
    // Another client left during the hold.
    let left = |need| vague(3).need(need).step("hold", 1).all_answer().let_in().confirm().vague().end();
    comes_to(&left(4), 0, &[("given", json!(3))]);
    comes_to(&left(5), 6, &[("given", json!(3))]);
    let released = |need| vague(3).need(need).step("hold", 1).all_answer().vague().release().let_in();
    let released = |need| released(need).confirm().let_in().end();
    comes_to(&released(3), 0, &[("given", json!(3))]);
    comes_to(&released(4), 0, &[("given", json!(3))]);
    comes_to(&released(5), 6, &[("given", json!(3))]);
    // Slow sign-ins refuse nobody.
    let slow = |lines: Probing, step| lines.step("count", step).let_in_after(1_500_000).all_answer();
    comes_to(&slow(slow(Probing::new("imap", 32).need(8).count(4), 5), 6).end(), 1, &[("answered", json!(true))]);
}

/// The lie is found out, whatever else is put right.
#[track_caller]
pub fn is_caught(rule: &str, lines: &[Value], lie: impl FnOnce(&mut Vec<Value>)) {
    holds(lines);
    let mut told = lines.to_vec();
    lie(&mut told);
    assert_ne!(told, lines, "it is a lie");
    let said = tool::doubts(&bytes(&told));
    assert!(said.iter().any(|doubt| doubt.starts_with(&format!("{rule}: "))), "{rule}: {said:#?}");
}

pub fn at(lines: &[Value], event: &str, step: &str) -> usize {
    lines.iter().position(|line| line["event"] == event && line["step"] == step).expect("there is one")
}

#[test]
fn lies_about_what_was_found_out_are_found_out() {
    let lines = full().release().let_in().end();
    for (place, value) in [
        ("/limits/given", json!(8)),
        ("/limits/refused", json!(1)),
        ("/limits/met/kind", json!("rate")),
        ("/limits/met/stated", json!(8)),
        ("/limits/met/scopes", json!(["user"])),
        ("/limits/release/free_after_us", json!(1)),
        ("/limits", Value::Null),
    ] {
        is_caught("run-end", &lines, |lines| *lines.last_mut().unwrap().pointer_mut(place).unwrap() = value);
    }
}

#[test]
fn lies_about_a_probe_s_course_are_found_out_whatever_its_end_says() {
    let lines = full().release().let_in().end();
    // A step was left out, with all that was done in it: the hold.
    is_caught("probe", &lines, |lines| {
        lines.retain(|line| line["step"] != "hold#1");
        *lines = again(std::mem::take(lines));
    });
    // Only that it began.
    for step in ["count#3", "hold#1", "release#1"] {
        is_caught("probe", &lines, |lines| {
            lines.remove(at(lines, "probe-step", step));
            *lines = again(std::mem::take(lines));
        });
    }
    // Another order, another number.
    is_caught("probe", &lines, |lines| {
        let step = at(lines, "probe-step", "count#2");
        lines[step]["attempt"] = json!(4);
        *lines = again(std::mem::take(lines));
    });
    is_caught("probe", &lines, |lines| {
        let [hold, release] = ["hold#1", "release#1"].map(|step| at(lines, "probe-step", step));
        lines[hold]["phase"] = json!("release");
        lines[release]["phase"] = json!("hold");
        *lines = again(std::mem::take(lines));
    });
    // It held, and nothing had refused it: what was refused was let in.
    is_caught("probe", &lines, |lines| {
        let refused = at(lines, "session-refused", "count#8");
        let (connection, when) = (lines[refused]["connection"].clone(), lines[refused]["at_us"].clone());
        let mut opened = lines[at(lines, "session-opened", "count#7")].clone();
        for (name, value) in [("connection", &connection), ("session", &connection), ("at_us", &when)] {
            opened[name] = value.clone();
        }
        for name in ["began_us", "signed_in_us"] {
            opened[name] = when.clone();
        }
        lines[refused] = opened;
        *lines = again(std::mem::take(lines));
    });
    // The line names another step.
    is_caught("lines", &lines, |lines| {
        let opened = at(lines, "session-opened", "count#5");
        lines[opened]["step"] = json!("count#4");
    });
    is_caught("lines", &lines, |lines| {
        let opened = at(lines, "session-opened", "count#5");
        lines[opened].as_object_mut().unwrap().remove("step");
    });
    // It stopped early, and met no limit.
    is_caught("probe", &Probing::new("imap", 4).count(4).end(), |lines| {
        lines.retain(|line| line["step"] != "count#4");
        *lines = again(std::mem::take(lines));
    });
    is_caught("probe", &lines, |lines| {
        lines[0]["probe"]["max"] = json!(5);
        *lines = again(std::mem::take(lines));
    });
}

#[test]
fn a_run_that_is_no_probe_has_no_steps_and_a_probe_is_scripted() {
    let lines = full().release().let_in().end();
    is_caught("no trace", &lines, |lines| lines[0]["scripted"] = json!(false));
    is_caught("no trace", &lines, |lines| {
        lines[0].as_object_mut().unwrap().remove("probe");
    });
    is_caught("header", &lines, |lines| lines[0]["workers"][0]["name"] = json!("T1"));
}
