//! What is told of a probe.

use serde_json::{Value, json};

use super::written::{Probing, USERIP, limits};
use mailconn::report::explain;

use crate::support::tool::{self, told};
use crate::support::written::bytes;

/// The report of that file.
#[track_caller]
fn text(lines: &[Value]) -> String {
    let text = told(&bytes(lines), false, Some(20));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    text
}

/// Without the breaks of its lines.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn full(to: u32) -> Probing {
    let next = Probing::new("imap", 32).count(to).step("count", to + 1).over().all_answer();
    next.step("hold", 1).all_answer().over()
}

/// Seven are let in, the eighth is not, nor after the hold, in words that do not say what is counted.
fn vague() -> Probing {
    let next = Probing::new("imap", 32).count(7).step("count", 8).vague().all_answer();
    next.step("hold", 1).all_answer().vague()
}

#[test]
fn the_result_comes_first_then_how_it_was_found() {
    let text = text(&full(7).release().let_in().end());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "imap://ann@mail.example.org:143: how many connections it gives; at most 32;", "{text}");
    let result = "7 connections, beside those that other clients of the account at this address hold now";
    assert!(joined(&text).contains(result), "{text}");
    for part in [
        "mailconn 0.1.0, run 0123456789ab, 2026-09-21 14:13:20 UTC, on Dovecot",
        "10 attempts, 2 of them refused",
        "count#7 12.0 7 let in",
        "count#8 7.00 7 refused: limit-connections at auth",
        "hold#1 7.00 7 refused: limit-connections at auth",
        "release#1 12.0 7 let in",
        "refused at auth, while 7 were open",
        "in words NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=7)",
        "its number 7, as counted",
        "it counts connections that are open, of the account from one address (user-and-address)",
        "proof one was refused again after the hold, and let in when one had signed out",
        "the others lived on: the server ended none of them",
        "a slot came free within 2.01 s of a sign-out",
        "exit 0: the question was answered",
    ] {
        assert!(joined(&text).contains(part), "{part}: {text}");
    }
    for noise in ["worker", "service ms", "dial ms", "Failures"] {
        assert!(!text.contains(noise), "{noise}: {text}");
    }
}

#[test]
fn what_to_set_follows_from_the_limit() {
    let lines = full(7).release().let_in().end();
    let told = joined(&text(&lines));
    let (_, to_set) = told.split_once("What to set").expect("there is such a section");
    for part in ["use-default: at most 7 threads", "--max-connections 7", "Thunderbird", "mail_max_userip_connections"]
    {
        assert!(to_set.contains(part), "{part}: {to_set}");
    }
    let document: Value = serde_json::from_str(&tool::report(&bytes(&lines))).unwrap();
    let listed = document["to_set"].as_array().unwrap();
    assert!(listed.iter().all(|line| to_set.contains(&joined(line.as_str().unwrap()))), "{listed:#?}");
    assert!(!text(&Probing::new("imap", 4).count(4).end()).contains("What to set"));
}

#[test]
fn each_kind_of_limit_has_a_sentence_of_its_own() {
    const THROTTLED: &str = "BAD Request is throttled. Suggested Backoff Time: 2000 milliseconds";
    const IN_USE: &str = "-ERR [IN-USE] too many sessions for ann";
    let met = || Probing::new("imap", 32).count(3).step("count", 4).vague().all_answer();
    let once_more = || met().step("hold", 1).all_answer().let_in().confirm();
    let [rate, left] = [once_more().let_in().end(), once_more().vague().end()];
    let waits = Some("NO Too many connections, try again in 15 minutes");
    let waits = Probing::new("imap", 32).count(5).step("count", 6).refused("limit-connections", "auth", waits).end();
    let banned = met().step("hold", 1).all_answer().vague().release().refused("connect-refused", "connect", None).end();
    let late = |lines: Probing, step| lines.step("count", step).let_in().lost(0).lost(0);
    let late = (12..16).fold(Probing::new("imap", 32).count(11), late).end();
    let throttled = Probing::new("imap", 32).count(5).step("count", 6).let_in();
    let throttled = throttled.held_unserved(0, "limit-rate", THROTTLED).end();
    let in_use = |lines: Probing| lines.refused("limit-connections", "auth", Some(IN_USE));
    let owners = in_use(in_use(Probing::new("pop3", 32).count(5).step("count", 6)).step("hold", 1)).release().let_in();
    let owners = in_use(owners.confirm()).repeat().let_in().end();
    let told_rate = Some("NO Connection rate limit exceeded, try again in 15 minutes");
    let told_rate = Probing::new("imap", 32).count(3).step("count", 4).refused("limit-rate", "auth", told_rate).end();
    let oldest = Probing::new("imap", 32).count(3).step("count", 4).let_in().lost(0);
    let oldest = oldest.step("count", 5).let_in().lost(0).end();
    let wordless = Probing::new("imap", 32).count(4).step("count", 5).refused("closed", "greeting", None).all_answer();
    let wordless = wordless.step("count", 6).refused("closed", "greeting", None).all_answer();
    let wordless = wordless.step("hold", 1).all_answer().refused("closed", "greeting", None).release().let_in().end();
    let slow = Probing::new("imap", 32).count(4).step("count", 5).let_in_after(1_500_000).all_answer();
    let slow = slow.step("count", 6).let_in_after(1_600_000).all_answer().end();
    let wrong = Some("NO [AUTHENTICATIONFAILED] Authentication failed.");
    let several = Probing::new("imap", 32).count(3).step("count", 4).let_in().lost(0).lost(0).step("count", 5).let_in();
    let several = several.all_answer().step("count", 6).let_in().lost(0).lost(0).end();
    let chance = Probing::new("imap", 4).count(1).step("count", 2).refused("closed", "greeting", None).all_answer();
    let chance = (3..=5).fold(chance, |lines, step| lines.step("count", step).let_in().all_answer()).end();
    for (lines, parts) in [
        (told_rate, ["3 connections in ", "the server limits how many come, not how many are open"]),
        (rate, ["3 connections in ", "the server limits how many come, unless other clients have left meanwhile"]),
        (
            waits,
            [
                "proof none: the server asks to wait for longer than the hold, so that nothing more was tried",
                "to wait 15 min",
            ],
        ),
        (
            banned,
            [
                "proof none: a later refusal was another one (connect-refused at connect): a ban of this address",
                "a slot was given back by a sign-out; whether it came free is not known",
            ],
        ),
        (
            late,
            [
                "at most 7 connections, beside those that other clients hold now; for one more the server ended others",
                "exit 1: not answered: the server ended others; how many it leaves was not seen",
            ],
        ),
        (
            throttled,
            [
                "not answered: #1 was refused a NOOP (limit-rate: BAD Request is throttled",
                "the server ended none of them; #1 lived on, and its command was refused",
            ],
        ),
        (
            owners,
            [
                "5 connections, beside those that",
                "one was refused again after the hold, let in each of the two times that one had",
            ],
        ),
        (
            left,
            ["it cannot be told whether", "proof none: one was let in after the hold, and the next one was refused"],
        ),
        (
            oldest,
            ["3 connections, beside those that other clients hold now", "for one more the server ends the oldest"],
        ),
        (wordless, ["4 connections, beside those that other clients hold now", "in words none: it was refused"]),
        (slow, ["4 connections as quick as any; the next two took 1.50 s and 1.60 s", "a penalty, or a queue"]),
        (Probing::new("imap", 4).count(4).end(), ["4 connections, and no limit was met", "exit 0"]),
        (
            vague().release().vague().release_again().vague().end(),
            [
                "a longer rate, or a slow release",
                "a slot not known: one more was refused still 30.02 s after a sign-out",
            ],
        ),
        (
            vague().release().let_in().confirm().vague().repeat().vague().end(),
            [
                "proof none: one was let in when one had signed out, and none when the next one had: a rate that gives one place",
                "a slot not known: one more was let in 2.01 s after a sign-out",
            ],
        ),
        (
            vague().release().vague().release_again().let_in().repeat_after(30_000_000).vague().end(),
            [
                "7 connections, beside those that other clients at this address hold now, or as many as come in",
                "a slot not known: one more was refused 2.01 s after a sign-out, and let in 30.02 s after it",
            ],
        ),
        (
            met()
                .hold(1_000_000)
                .step("hold", 1)
                .all_answer()
                .vague()
                .release()
                .let_in()
                .confirm()
                .vague()
                .repeat()
                .let_in()
                .end(),
            ["it cannot be told whether", "which --hold 10s tells"],
        ),
        (
            several,
            [
                "3 connections, beside those that other clients hold now; for one more the server ends the 2 oldest, so that 2 stay",
                "proof twice one was let in, and as many were ended for it as had been let in since",
            ],
        ),
        (
            chance,
            [
                "4 connections, and no limit on how many are open was met",
                "once count#2 failed (closed at greeting), and the next one was let in: it may be a limit on how many come in a \
                 time, or a fault of the moment",
            ],
        ),
        (
            Probing::new("imap", 32).step("count", 1).over().step("hold", 1).over().end(),
            [
                "no connection now: the first one was refused; by its words other clients of the account at this address hold all",
                "- Not even one was let in: close what other clients hold. Then probe again.",
            ],
        ),
        (
            Probing::new("imap", 32).step("count", 1).vague().step("hold", 1).let_in().end(),
            [
                "the first one was refused; other clients at this address may hold all there are, or too many came lately; after \
                 the hold one was let in",
                "close what other clients hold, and wait a while: too many may have come lately.",
            ],
        ),
        (
            met().need(6).step("hold", 1).all_answer().let_in().confirm().let_in().end(),
            ["exit 6: 3 of 6 connections were given (--need 6); more slowly, more may come", "it let 3 in within"],
        ),
        (
            Probing::new("imap", 32).count(2).step("count", 3).refused("auth-invalid", "auth", wrong).end(),
            [
                "not answered: auth-invalid at auth: NO [AUTHENTICATIONFAILED]",
                "exit 5: sign-in refused, though 2 before it were not: perhaps a limit",
            ],
        ),
        (
            Probing::new("imap", 32).count(2).step("count", 3).interrupted(),
            ["interrupted by SIGINT", "2 connections so far, and no limit was met yet"],
        ),
        (
            Probing::new("imap", 32).count(2).step("count", 3).refused("local-resources", "connect", None).end(),
            [
                "not answered: local-resources at connect",
                "exit 1: not answered: it ended with local-resources at connect",
            ],
        ),
        (
            full(7).need(8).release().let_in().end(),
            ["exit 6: 7 of 8 connections were given (--need 8)", "7 connections, beside"],
        ),
    ] {
        let told = text(&lines);
        for part in parts {
            assert!(joined(&told).contains(part), "{part}: {told}");
        }
    }
}

/// What was ended during the hold, and what all were ended for.
#[test]
fn why_the_others_ended_is_told_where_the_server_says_it() {
    let refused =
        |lines: Probing| lines.refused("limit-connections", "auth", Some("421 4.7.0 too many concurrent connections"));
    let met = || refused(Probing::new("smtp", 32).count(2).step("count", 3)).step("hold", 1);
    let all = Probing::new("imap", 32).count(3).step("count", 4).let_in().lost(0).lost(0).lost(0).end();
    for (lines, part) in [
        (
            met().gone_with(0, "421 4.4.2 timeout exceeded").gone_with(0, "421 4.4.2 timeout exceeded").let_in().end(),
            "the server ended 2 of them; they lay idle: a shorter --hold keeps them",
        ),
        (
            met().gone(0).gone(0).let_in().end(),
            "the server ended 2 of them; they may have lain idle for too long: a shorter --hold tells",
        ),
        (
            all,
            "not answered: limit-connections at operation: * BYE Too many connections; 3 were open, and one more is too many by \
             its words",
        ),
    ] {
        let told = joined(&text(&lines));
        assert!(told.contains(part), "{part}: {told}");
    }
}

/// Nothing was refused: no sentence says so.
#[test]
fn what_a_server_ends_by_itself_is_told_as_that() {
    let alone = || Probing::new("pop3", 32).pace(2_000_000).count(1).step("count", 2);
    let by_itself = alone().gone(0).let_in().step("count", 3).gone(0).let_in().end();
    let by_commands = |kind, line| {
        let lines = Probing::new("imap", 32).count(3).step("count", 4).let_in().lost_with(0, kind, line);
        lines.step("count", 5).let_in().lost_with(0, kind, line).end()
    };
    let idle = "421 4.4.2 mx.example.org Error: timeout exceeded";
    let idling = alone().gone_with(0, idle).let_in().step("count", 3).gone_with(0, idle).let_in().end();
    for (lines, parts) in [
        (
            by_itself,
            [
                "at least 1 connection: the server ended 2 by itself, before the next one came, so that no more were open at \
                 once; a shorter --pace may keep them open",
                "exit 1: not answered: the server ended 2 by itself before the next one came",
            ],
        ),
        (
            idling,
            [
                "at least 1 connection: the server ended 2 for lying idle, so that no more were open at once; a shorter --pace \
                 keeps them open",
                "exit 1: not answered: the server ended 2 of them for lying idle",
            ],
        ),
        (
            by_commands("limit-rate", Some("* BYE too many commands")),
            [
                "at least 3 connections: the server ended 2 for their commands, by its words: each look at an open one is a \
                 command",
                "exit 1: not answered: the server ended 2 of them for their commands",
            ],
        ),
        (
            by_commands("closed", None),
            [
                "at least 3 connections: the server ended 2 when each was sent command 4 of its session: for its commands, of \
                 which each look is one, or for the newest; which of the two cannot be told",
                "exit 1: not answered: the server ended 2, each by command 4 of it",
            ],
        ),
    ] {
        let told = joined(&text(&lines));
        for part in parts {
            assert!(told.contains(part), "{part}: {told}");
        }
        for absent in ["refused;", "Not even one", "What to set"] {
            assert!(!told.contains(absent), "{absent}: {told}");
        }
    }
}

/// How many came is told as of when they came, and nothing of those that came when nobody did.
#[test]
fn what_is_said_of_a_rate_is_what_was_seen() {
    let met = |given| Probing::new("imap", 32).count(given).step("count", given + 1).vague().all_answer();
    let rate = met(3).step("hold", 1).all_answer().let_in().confirm().let_in().end();
    let none = Probing::new("imap", 32).step("count", 1).vague().step("hold", 1).let_in().end();
    for (lines, absent) in [(rate, "At most 3 in"), (none, "let 0 in")] {
        let told = joined(&text(&lines));
        assert!(!told.contains(absent), "{absent}: {told}");
    }
}

/// No sentence says what a number beside it contradicts.
#[test]
fn what_others_hold_is_told_as_of_when_it_was_so_and_what_was_ours_is_not_theirs() {
    let over = |lines: Probing| lines.refused("limit-connections", "auth", Some(USERIP));
    let met = |lines: Probing| over(lines.step("count", 6)).all_answer().step("hold", 1);
    let five = || Probing::new("imap", 32).count(5);
    let now = over(met(five()).all_answer()).release().let_in().end();
    let left = met(five()).all_answer().let_in().end();
    let of_ours = Probing::new("imap", 32).count(4).step("count", 5).let_in().lost(0).step("count", 6).let_in();
    let of_ours = over(over(of_ours.all_answer().step("count", 7)).all_answer().step("hold", 1).all_answer());
    let of_ours = of_ours.release().let_in().end();
    let earlier = Probing::new("imap", 32).count(7).step("count", 8).gone(0).gone(0).gone(0).over().all_answer();
    let earlier = over(earlier.step("hold", 1).all_answer()).release().let_in().end();
    let ended = Probing::new("imap", 32).count(4).step("count", 5).vague().all_answer().step("hold", 1);
    let ended = ended.lost(0).lost(0).let_in().end();
    for (lines, parts, absent) in [
        (
            now,
            ["its number 7: 2 more, which other clients of the account at this address hold", "others hold 2 now"],
            "held then",
        ),
        (
            left,
            [
                "7: 2 more, which other clients of the account at this address held then; 1 at most later",
                "others held 2 then, and at most 1 when one more was let in later",
            ],
            "hold now",
        ),
        (
            of_ours,
            ["held then, or that the server had ended", "those may still count some of this client that it had ended"],
            "others hold 2",
        ),
        (earlier, ["refused at auth, while 4 were open", "its number 7, as counted"], "while 7 were open"),
        (
            ended,
            ["proof none: the server had ended 2 of those that were held", "the server ended 2 of them"],
            "one of those",
        ),
    ] {
        let told = joined(&text(&lines));
        for part in parts {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(!told.contains(absent), "{absent}: {told}");
    }
}

#[test]
fn a_rate_has_no_slot_that_comes_free_and_no_finding_that_speaks_of_a_count() {
    let line = Some("NO Connection rate limit exceeded, try again in 15 minutes");
    let lines = Probing::new("imap", 32).count(3).step("count", 4).refused("limit-rate", "auth", line).end();
    let told = text(&lines);
    for absent in ["a slot", "MC030", "MC031", "stay at"] {
        assert!(!told.contains(absent), "{absent}: {told}");
    }
    assert!(!lines.last().unwrap()["findings"].as_array().unwrap().is_empty(), "the stream keeps it");
}

#[test]
fn a_refused_sign_in_behind_others_has_its_meaning_beside_its_words() {
    let wrong = Some("NO [AUTHENTICATIONFAILED] Authentication failed.");
    let lines = Probing::new("imap", 32).count(5).step("count", 6).refused("auth-invalid", "auth", wrong).end();
    let told = joined(&text(&lines));
    let meaning = joined(limits(&lines)["stopped"]["message"].as_str().unwrap());
    for part in
        ["6 attempts, 1 of them failed", &format!("it means {meaning}"), "count#6 7.00 5 failed: auth-invalid at auth"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
}

/// A line of the report that begins with each of these labels is in the tests above.
#[test]
fn each_label_of_the_result_is_explained_as_a_word_of_probes() {
    for (label, says) in [
        ("refused at", "A limit before auth knows no user"),
        ("slow at", "A limit before auth knows no user"),
        ("in words", "the refusal itself, letter by letter"),
        ("its number", "the number that the server's refusal names"),
        ("it counts", "kind of limit"),
        ("proof", "how a probe knows what a limit counts"),
        ("the others", "the connections of a probe"),
        ("a slot", "step of a probe"),
        ("no goodbye", "What a probe finds"),
        ("to wait", "how long the server says to wait"),
        ("given", "while a probe counted"),
        ("hold#1", "step of a probe"),
        ("count#12", "step of a probe"),
        ("result", "The result of an attempt is let in, refused, failed or called off"),
        ("stage", "where in the life of a connection something failed"),
        ("scope", "scope of a limit: whose connections are counted together"),
        ("scope", "disposes the thread's default at its end"),
        ("kept_by", "how a server keeps its limit"),
        ("What to set", "what to do"),
        ("--yes", "Zoho"),
    ] {
        let text = joined(&explain(label).unwrap());
        assert!(text.contains(says), "{label}: {text}");
    }
}

#[test]
fn one_owner_and_a_queue_are_called_so_and_what_is_no_refusal_is_none() {
    let locked = |lines: Probing| {
        lines.refused("limit-connections", "auth", Some("-ERR [IN-USE] Mailbox is locked by another POP3 session."))
    };
    let lines = locked(locked(Probing::new("pop3", 32).count(1).step("count", 2)).step("hold", 1)).release();
    let told = joined(&text(&lines.let_in().end()));
    for part in ["1 connection: a maildrop has one owner at a time (RFC 1939)", "refused at auth, while 1 was open"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let waits = |lines: Probing| lines.refused("timeout", "greeting", None).all_answer();
    let lines = waits(waits(Probing::new("imap", 32).count(4).step("count", 5)).step("count", 6));
    let lines = waits(lines.step("hold", 1).all_answer());
    let told = joined(&text(&lines.release().let_in().end()));
    assert!(told.contains("in words none: no answer at greeting while others were open: probably a queue"), "{told}");
    let told = text(&Probing::new("imap", 32).step("count", 1).refused("dns", "resolve", None).end());
    assert!(joined(&told).contains("count#1 7.00 0 failed: dns at resolve"), "{told}");
}

#[test]
fn a_long_ramp_is_told_by_its_first_rows_and_those_that_matter() {
    let text = text(&full(100).release().let_in().end());
    let rows = text.lines().filter(|line| line.starts_with("count#") || line.starts_with("hold#")).count();
    assert!((15..=20).contains(&rows), "{text}");
    for row in ["count#1 ", "count#101 ", "hold#1 ", "release#1 "] {
        assert!(text.lines().any(|line| line.starts_with(row)), "{row}: {text}");
    }
    assert!(text.contains("more attempts, let in like the others"), "{text}");
}

/// That the words name no number is said only where they name none.
#[test]
fn a_number_that_cannot_be_read_is_not_denied() {
    for (line, number) in [
        ("NO [LIMIT] Too many connections from 192.0.2.7", "its number none: its words name none"),
        ("NO [LIMIT] Too many connections, this makes 4 of you", "its number none that is clearly the limit's"),
        ("NO [LIMIT] Too many sessions (2 allowed)", "its number 2, as counted"),
    ] {
        let over = |lines: Probing| lines.refused("limit-connections", "auth", Some(line)).all_answer();
        let met = over(Probing::new("imap", 32).count(2).step("count", 3)).step("hold", 1);
        let told = joined(&text(&over(met).release().let_in().end()));
        assert!(told.contains(number), "{line}: {told}");
    }
}

#[test]
fn what_a_server_says_moves_no_cursor() {
    let line = Some("NO [LIMIT] too many\u{1b}[2J connections");
    let lines = Probing::new("imap", 32).count(2).step("count", 3).refused("limit-connections", "auth", line);
    let told = text(&lines.step("hold", 1).refused("limit-connections", "auth", line).release().let_in().end());
    assert!(!told.contains('\u{1b}'), "{told}");
}

#[test]
fn the_document_has_the_limits_and_the_attempts() {
    let lines = full(7).release().let_in().end();
    let document: Value = serde_json::from_str(&tool::report(&bytes(&lines))).unwrap();
    assert_eq!(&document["limits"], limits(&lines), "as the stream has them");
    assert_eq!(document["probe"], lines[0]["probe"]);
    let attempts = document["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 10);
    assert_eq!(attempts[7]["step"], "count#8");
    assert_eq!(attempts[7]["failure"]["kind"], "limit-connections");
    assert_eq!(
        (&attempts[6]["session"], &attempts[6]["open"], &attempts[6]["took_us"], &attempts[6]["ended"]),
        (&json!("#7"), &json!(7), &json!(12_000), &json!([]))
    );
    let run: Value =
        serde_json::from_str(&tool::report(&crate::verify::traces::file_of("-n 2 -t 1").into_bytes())).unwrap();
    for name in ["probe", "limits", "attempts"] {
        assert!(run.get(name).is_none(), "{name}");
    }
}
