//! What else a run shows: each finding where it belongs, and none where it does not.

use serde_json::{Value, json};

use super::real::{conclusion, found, ids, lines, own, says, verdict, witness};
use crate::support::written::{Written, failed, failure, operation, port, session};

/// The one finding, and the exit code.
#[track_caller]
fn only(run: &Written, id: &str) -> (Value, u64) {
    let verdict = verdict(&run.file());
    assert_eq!(ids(&verdict), [id], "{:#}", verdict["findings"]);
    (verdict["findings"][0].clone(), verdict["exit_code"].as_u64().unwrap())
}

#[track_caller]
fn is_rated(finding: &Value, severity: &str, count: u64) {
    assert_eq!((&finding["severity"], &finding["count"]), (&json!(severity), &json!(count)));
}

fn it_failed(kind: &str) -> Value {
    failure(kind, "operation", "it failed", Some("BAD because"))
}

/// A run of one session of main, with that operation on it if there is one, closed like that.
pub fn on_main(mode: &str, it: Option<Value>, how: &str) -> Written {
    let mut run = Written::new(mode);
    run.open(0);
    if let Some(it) = it {
        run.operate(it);
    }
    run.close(0, how);
    run
}

fn on_main_by(mode: &str) -> Value {
    operation(0, 1, mode, "main")
}

#[test]
fn mc040_a_session_that_is_never_closed_or_without_a_logout() {
    let mut run = Written::new("use-main");
    run.open(0);
    let (finding, code) = only(&run, "MC040");
    is_rated(&finding, "leak", 1);
    assert_eq!(finding["evidence"], json!(["#0 was open at the end"]));
    assert_eq!(code, 1);

    run.close_by(0, "no-logout", it_failed("timeout"));
    let evidence = only(&run, "MC040").0["evidence"][0].to_string();
    assert!(evidence.starts_with("\"#0 was closed without a goodbye: timeout"), "{evidence}");

    // A goodbye that was said is the server's to answer, whatever it does.
    for kind in ["closed", "timeout", "server-no", "protocol"] {
        let mut run = Written::new("use-main");
        run.open(0);
        run.close_by(0, "no-logout", it_failed(kind))["commands"] = json!([{"tag": "a2", "verb": "LOGOUT"}]);
        let verdict = verdict(&run.file());
        assert_eq!((ids(&verdict), &verdict["exit_code"]), (vec![], &json!(0)), "{kind}");
    }

    // Who was told to end had no time for it.
    let mut run = Written::new("use-main");
    run.open(0);
    run.close_by(0, "no-logout", it_failed("disposed"));
    assert_eq!(ids(&verdict(&run.file())), [""; 0]);

    for how in ["logged-out", "discarded"] {
        assert_eq!(ids(&verdict(&on_main("use-main", None, how).file())), [""; 0]);
    }

    let mut run = own();
    witness(&mut run)[1]["open"] = json!(true);
    let verdict = verdict(&run);
    assert_eq!(ids(&verdict), ["MC040"]);
    let evidence = verdict["findings"][0]["evidence"][0].as_str().unwrap();
    assert!(evidence.starts_with("the server still has #"), "{evidence}");
}

#[test]
fn mc041_a_connection_given_up_in_the_middle_of_a_reply() {
    for (kind, given_up) in
        [("timeout", true), ("protocol", true), ("server-bye", false), ("closed", false), ("server-no", false)]
    {
        let run = on_main("use-main", Some(failed(on_main_by("use-main"), it_failed(kind))), "discarded");
        let verdict = verdict(&run.file());
        assert_eq!(ids(&verdict) == ["MC041"], given_up, "{kind}: {:#}", verdict["findings"]);
        assert_eq!(verdict["exit_code"], 1);
    }
}

#[test]
fn mc030_refused_because_too_many_are_open_with_how_many_there_were() {
    let mut run = Written::new("use-default");
    for connection in 1..=4 {
        run.create(connection, "default", 0, true);
    }
    run.open(1);
    run.open(2);
    run.refused(3, 1, 2, "limit-connections");
    run.refused(4, 1, 2, "limit-connections");
    run.close(1, "logged-out");
    run.close(2, "logged-out");
    let (finding, _) = only(&run, "MC030");
    is_rated(&finding, "limit", 2);
    assert!(says(&finding).contains("while 2 of ours were open; stay at 2 connections"), "{finding:#}");
    assert_eq!(finding["evidence"][0], "#3 with 2 open: NO because");
}

/// The server counts a session from its sign-in on; that we had not yet heard of it is no reason to suspect others. Nor was
/// one open that signed in while the refused one said goodbye.
#[test]
fn mc030_counts_the_sessions_that_were_signed_in_when_it_was_refused_and_no_others() {
    for (signed_in, refused, due) in [
        ([4000, 4000], 5000, "while 2 of ours were open; stay at 2"),
        ([4000, 6000], 5000, "while 2 of ours were open or being opened; stay at 2 connections at most"),
        ([6000, 6000], 5000, "while 2 of ours were open or being opened; stay at 2 connections at most"),
        ([6000, 6000], 7000, "while 2 of ours were open; stay at 2"),
    ] {
        for written_first in [false, true] {
            let mut run = Written::new("use-default");
            run.create(9, "default", 0, true);
            if written_first {
                run.refused(9, 1, 0, "limit-connections")["failed_us"] = json!(refused);
            }
            for (connection, at) in (1..).zip(signed_in) {
                run.open(connection)["signed_in_us"] = json!(at);
            }
            if !written_first {
                // Written down when its goodbye was over: both were open by then.
                run.refused(9, 1, 2, "limit-connections")["failed_us"] = json!(refused);
            }
            for connection in [1, 2] {
                run.close(connection, "logged-out")["at_us"] = json!(9000);
            }
            let verdict = verdict(&run.file());
            let sentence = says(&verdict["findings"][0]);
            assert!(sentence.contains(due), "{signed_in:?}, {refused}, {written_first}: {sentence}");
        }
    }
}

/// What the server names wins over what was seen, whichever is more.
#[test]
fn mc030_stays_at_the_number_that_the_server_names() {
    for (open, line, due) in [
        (3, "NO [LIMIT] Too many connections (3)", "while 3 of ours were open; stay at 3 connections"),
        (
            16,
            "NO [LIMIT] Too many connections, at most 7 are allowed",
            "while 16 of ours were open; it names 7 as its limit: this server lets sign-ins that arrive together past its \
             limit, do not count on more; stay at 7 connections",
        ),
        (1, "NO [LIMIT] (mail_max_userip_connections=10)", "it names 10 as its limit, and held 9 for other clients"),
        (2, "NO [LIMIT] too many connections from 192.0.2.7", "while 2 of ours were open; stay at 2 connections"),
    ] {
        let mut run = Written::new("use-default");
        run.create(99, "default", 0, true);
        for connection in 1..=open {
            run.create(connection, "default", 1, true);
            run.open(connection);
        }
        run.refused(99, 1, open, "limit-connections")["failure"]["server_line"] = json!(line);
        for connection in 1..=open {
            run.close(connection, "logged-out");
        }
        let (finding, _) = only(&run, "MC030");
        assert!(says(&finding).contains(due), "{line}: {finding:#}");
        assert!(finding["evidence"][0].as_str().unwrap().contains(line), "{finding:#}");
    }
}

/// A server that hangs up on the third while it serves two others has a limit, though it does not say so.
#[test]
fn mc030_is_probable_where_a_dial_is_closed_without_a_word_and_others_go_on() {
    for (served_after, open, probable) in [(true, 2, true), (false, 2, false), (true, 0, false)] {
        let mut run = Written::new("use-default");
        run.create(9, "default", 1, true);
        for connection in 1..=open {
            run.create(connection, "default", 0, true);
            run.open(connection);
        }
        let silent = failure("closed", "greeting", "closed without a word", None);
        run.refused(9, 1, open, "closed")["failure"] = silent;
        if served_after {
            let connection = u32::from(open > 0);
            if open == 0 {
                run.open(0);
            }
            run.operate(operation(connection, 1, "use-default", "default"));
        }
        let verdict = verdict(&run.file());
        let finding = found(&verdict, "MC030");
        assert_eq!(finding.is_some(), probable, "{served_after}, {open}: {:#}", verdict["findings"]);
        let sentence = finding.map_or("probably its limit on connections; stay at 2", says);
        assert!(sentence.contains("probably its limit on connections; stay at 2"), "{sentence}");
    }
}

/// More that were open at once later show that the number was not why it was closed.
#[test]
fn mc030_proves_no_limit_where_more_are_let_in_after_a_close_without_a_word() {
    for (kind, more, is_proof) in
        [("closed", 0, true), ("closed", 1, false), ("limit-connections", 1, false), ("limit-connections", 0, true)]
    {
        let mut run = Written::new("use-default");
        run.create(9, "default", 1, true);
        for connection in 1..=2 {
            run.create(connection, "default", 0, true);
            run.open(connection);
        }
        run.refused(9, 1, 2, kind)["failure"] = failure(kind, "greeting", "closed without a word", None);
        run.operate(operation(1, 1, "use-default", "default"));
        for connection in 3..3 + more {
            let began = run.create(connection, "default", 0, true)["at_us"].clone();
            let opened = run.open(connection);
            opened["began_us"] = began;
        }
        let verdict = verdict(&run.file());
        let sentence = says(found(&verdict, "MC030").expect("it is told either way"));
        for (part, is_there) in [
            ("probably its limit on connections; stay at 2", is_proof),
            ("let 3 be open at once later: that is no proof of a limit on connections", !is_proof),
        ] {
            assert_eq!(sentence.contains(part), is_there, "{kind} {more}: {sentence}");
        }
    }
}

#[test]
fn mc032_takes_the_place_of_mc030_where_our_own_connections_shut_main_out() {
    for (open, id, due) in
        [(3, "MC032", "3 other connection(s) of this client"), (0, "MC030", "other clients hold its connections")]
    {
        let mut run = Written::new("use-main-or-default");
        run.refused(0, 1, open, "limit-connections");
        let (finding, code) = only(&run, id);
        assert_eq!(code, 6);
        assert!(says(&finding).contains(due), "{finding:#}");
    }
}

#[test]
fn mc031_throttled_at_a_dial_or_at_an_operation() {
    let mut run = Written::new("use-main");
    run.refused(0, 1, 0, "limit-rate");
    run.open(0);
    run.operate(failed(operation(0, 2, "use-main", "main"), it_failed("limit-rate")));
    run.close(0, "logged-out");
    let (finding, code) = only(&run, "MC031");
    is_rated(&finding, "limit", 2);
    assert_eq!(finding["evidence"], json!(["#0: NO because", "operation 1: BAD because"]));
    assert_eq!(code, 6);
}

#[test]
fn mc042_the_server_hung_up_while_nobody_used_it() {
    let mut run = Written::new("use-main");
    run.open(0);
    run.operate(on_main_by("use-main"));
    let gone = failure("closed", "logout", "the server closed the connection without a word", None);
    run.close_by(0, "hung-up", gone)["at_us"] = json!(3_000_000);
    let (finding, code) = only(&run, "MC042");
    is_rated(&finding, "advice", 1);
    let due = "hung up on 1 connection(s) that nobody used, after 3.0s at most";
    assert!(says(&finding).contains(due), "{finding:#}");
    assert_eq!(code, 0, "advice fails nothing");

    // Found by an operation that had not said a word yet, or in the middle of one: that is no idle time-out.
    for (said, hung_up) in [(json!([]), true), (json!([{"tag": "a9", "verb": "NOOP"}]), false)] {
        let bye = failure("server-bye", "operation", "ended", Some("BYE idle"));
        let mut it = failed(on_main_by("use-main"), bye);
        (it["issued_at_us"], it["commands"]) = (json!(2_000_000), said);
        let verdict = verdict(&on_main("use-main", Some(it), "discarded").file());
        assert_eq!(ids(&verdict) == ["MC042"], hung_up, "{:#}", verdict["findings"]);
        assert_eq!(verdict["exit_code"], 1, "the operation failed");
    }
}

/// An operation that waited so long, in microseconds, for work of 0.8 ms.
pub fn waited(wait: u64) -> Written {
    let mut it = on_main_by("use-main");
    (it["wait_us"], it["service_us"]) = (json!(wait), json!(800));
    on_main("use-main", Some(it), "logged-out")
}

#[test]
fn mc050_more_waiting_than_work() {
    for (wait, more) in [(900, false), (20_000, true)] {
        let verdict = verdict(&waited(wait).file());
        assert_eq!(ids(&verdict) == ["MC050"], more, "{:#}", verdict["findings"]);
        assert_eq!(verdict["exit_code"], 0, "advice fails nothing");
    }
}

/// It is waiting all the same, but connections of their own would have to be opened, too.
#[test]
fn mc050_names_another_cure_where_the_waiting_was_for_a_dial() {
    for (over, cure) in [(1_000, "(use-default)"), (19_500, "the connection was being opened: that is paid once")] {
        let mut run = waited(20_000);
        let opened = run.of("session-opened").next().unwrap();
        (opened["began_us"], opened["signed_in_us"]) = (json!(0), json!(over));
        let verdict = verdict(&run.file());
        assert!(says(found(&verdict, "MC050").unwrap()).contains(cure), "{:#}", verdict["findings"]);
    }
}

#[test]
fn mc051_a_connection_for_each_operation() {
    for (each, one) in [(1, true), (2, false)] {
        let verdict = verdict(&lines(&format!("--mode use-default -t 3 -n {each} --ops noop")));
        assert_eq!(ids(&verdict) == ["MC051"], one, "{:#}", verdict["findings"]);
        assert_eq!(verdict["exit_code"], 0);
    }
}

/// A run of so many defaults, each used at these times, for so long; in milliseconds. Somebody may go on for longer.
pub fn used(connections: u32, uses: &[(u64, u64)], one_goes_on: bool) -> Vec<Value> {
    let mut run = Written::new("use-default");
    for connection in 1..=connections {
        run.create(connection, "default", 0, false)["at_us"] = json!(0);
        run.open(connection)["at_us"] = json!(0);
    }
    let mut all: Vec<(u64, u64, u32)> = Vec::new();
    for (nth, (at, service)) in uses.iter().enumerate() {
        // One after the other, so that no two are in use at once.
        let apart = if nth == 0 { 0 } else { 7 };
        all.extend((1..=connections).map(|connection| (at + u64::from(connection) * apart, *service, connection)));
    }
    all.extend(one_goes_on.then_some((10, 5000, 1)));
    for (at, service, connection) in all {
        let line = run.operate(operation(connection, 1, "use-default", "default"));
        (line["issued_at_us"], line["service_us"]) = (json!(at * 1000), json!(service * 1000));
        line["at_us"] = json!((at + service) * 1000);
    }
    for connection in 1..=connections {
        run.close(connection, "logged-out");
    }
    run.file()
}

/// Found where fewer would have done, and not where they are busy, where the run is short, or where some threads were done before
/// the others.
#[test]
fn mc052_connections_that_were_held_and_hardly_used() {
    let verdict = verdict(&used(4, &[(0, 1), (1000, 1), (2000, 1), (3000, 1), (4000, 1)], false));
    let finding = found(&verdict, "MC052").unwrap();
    assert_eq!(finding["severity"], "advice");
    assert!(says(finding).starts_with("4 connections were held for most of 4.0s and used for 0.1 %"), "{finding:#}");
    assert!(says(finding).contains("one that is shared would have done (use-main)"), "{finding:#}");
    let none_for_them_all = "all began together, and that is no use for them all";
    assert_eq!(finding["evidence"], json!(["4 held, 4 in use at once at most"]), "{none_for_them_all}");

    for (run, why) in [
        (used(4, &[(0, 900), (1000, 900), (2000, 900), (3000, 900)], false), "busy"),
        (used(8, &[(0, 1), (100, 1), (200, 1), (1500, 1)], false), "an ordinary short run"),
        (used(4, &[(0, 1)], true), "the others only waited for its end"),
        (used(1, &[(0, 1), (1000, 1), (4000, 1)], false), "alone"),
    ] {
        assert_eq!(found(&super::real::verdict(&run), "MC052"), None, "{why}");
    }
}

#[test]
fn mc053_no_thread_created_a_default() {
    let main = |mode| on_main(mode, Some(on_main_by(mode)), "logged-out");
    let (finding, _) = only(&main("use-main-or-default"), "MC053");
    is_rated(&finding, "advice", 1);
    assert_eq!(finding["evidence"], json!(["1 operation(s) on main"]));
    assert_eq!(ids(&verdict(&main("use-main").file())), [""; 0]);
    let mut other = main("use-main-or-default");
    other.create(1, "default", 1, true);
    assert_eq!(ids(&verdict(&other.file())), [""; 0], "one did");
}

#[test]
fn the_end_names_the_finding_that_fails_the_run() {
    let mut run = Written::new("use-main");
    run.open(0);
    assert_eq!(conclusion(&run.file()), "1: MC040 fails the run (--fail-on leak)");
    run.operate(failed(on_main_by("use-main"), it_failed("server-no")));
    assert_eq!(conclusion(&run.file()), "1: 1 operation failed; MC040 fails the run (--fail-on leak)");
    run.fail_on = json!([]);
    assert_eq!(conclusion(&run.file()), "1: 1 operation failed");
}

#[test]
fn a_limit_met_for_real_names_the_number_and_the_server_s_words() {
    let verdict = verdict(&lines("--mode use-default -t 6 -n 30 --ops noop --sandbox-connections 2"));
    assert_eq!(ids(&verdict), ["MC030"]);
    let finding = &verdict["findings"][0];
    assert_eq!(finding["count"], 4);
    assert!(says(finding).contains("stay at 2 connections"), "{finding:#}");
    assert!(finding["evidence"][0].as_str().unwrap().contains("mail_max_userip_connections=2"), "{finding:#}");
    let [.., checked, agreed] = super::real::agreement(&verdict);
    assert_eq!((checked, agreed), (Some(60), Some(60)), "and both records agree on what was done");
    assert_eq!(verdict["exit_code"], 6);
}

#[test]
fn the_worst_comes_first() {
    let mut run = Written::new("use-main");
    run.open(0);
    run.create(1, "independent", 0, true);
    run.refused(1, 1, 1, "limit-connections");
    run.operate(failed(operation(77, 0, "use-main", "main"), it_failed("timeout")))["wait_us"] = json!(9_000_000);
    assert_eq!(ids(&verdict(&run.file())), ["MC001", "MC030", "MC040", "MC041", "MC050"]);
}

/// A dial that failed before the server took its connection is in none of the server's records: what it says of the port is
/// of the session that had it next. That shows by the label, or by a command that no dial sends.
#[test]
fn a_dial_that_never_came_to_the_server_is_not_taken_for_the_next_on_its_port() {
    let command = |tag: &str, verb: &str| json!({"tag": tag, "verb": verb, "selected": null, "at_us": 0});
    for (protocol, label, does, verb, goodbye) in
        [("imap", Some("#2"), "noop", "NOOP", "LOGOUT"), ("pop3", None, "stat", "STAT", "QUIT")]
    {
        // Only IMAP's tags stand on the wire.
        let tagged = |number: u32| format!("{}{number}", if protocol == "imap" { "a" } else { "" });
        for (dials, number) in [(1, 9), (2, 9), (3, 9), (1, 8)] {
            let (tag, own, last) = (&*tagged(number), &*tagged(9), &*tagged(10));
            let mut run = Written::new("use-default");
            run.start()["protocol"] = json!(protocol);
            run.create(2, "default", 0, false);
            for number in 1..=dials {
                run.refused(2, number, 0, "connect-timeout")["local_port"] = json!(port(2));
            }
            let name = session(2, dials + 1);
            let opened = run.open(2);
            (opened["session"], opened["label"]) = (json!(name), json!(label));
            let it = run.operate(operation(2, 1, "use-default", "default-created"));
            (it["session"], it["operation"], it["opened"]) = (json!(name), json!(does), json!(true));
            it["commands"] = json!([{"tag": own, "verb": verb}]);
            let closed = run.close(2, "logged-out");
            (closed["session"], closed["commands"]) = (json!(name), json!([{"tag": last, "verb": goodbye}]));
            run.enter(
                "witness-session",
                json!({
                    "peer_port": port(2), "run_id": null, "label": label, "logged_out": true, "open": false,
                    "commands": [command(tag, verb), command(last, goodbye)],
                }),
            );
            let verdict = verdict(&run.file());
            let disagrees = ids(&verdict).contains(&"MC002");
            assert_eq!(disagrees, tag != own, "{protocol}, {dials} dials, {tag}: {verdict:#}");
        }
    }
}
