//! A file in, bytes out: what the reports promise to people and to scripts. `INSTA_UPDATE=always` writes the snapshots anew.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailconn::figures::Tally;
use mailconn::report::{Format, Layout, Output, Progress, ProgressKind, Unwritable};
use serde_json::{Value, json};

use crate::cli::process::of_kind;
use crate::support::folded::unfold;
use crate::support::tool::{self, Again};
use crate::support::written::{Written, bytes, failed, failure, numbered, operation, session};

const DOVECOT: &str = "NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=3)";

fn limit() -> Value {
    failure("limit-connections", "auth", "too many connections are open", Some(DOVECOT))
}

/// The `nth` operation, from 0, of a worker on its default, which the first one creates.
fn fetch(run: &Written, worker: u32, nth: u64) -> Value {
    let first = nth == 0;
    // Each has two lines: its default's creation and its dial.
    let begun = if first { 1 + 2 * worker as usize } else { run.lines.len() - 1 };
    let (known, reason) = if first { (begun as u64, "default-created") } else { (begun as u64 + 1, "default") };
    let mut it = operation(worker + 1, known, "use-default", reason);
    (it["worker"], it["operation"], it["mailbox"]) = (json!(format!("w{worker}")), json!("fetch"), json!("Archive"));
    (it["had_default"], it["opened"], it["local_port"]) = (json!(!first), json!(first), json!(65_535 - worker));
    (it["dial_us"], it["service_us"]) = (json!(if first { 12_700 } else { 0 }), json!(480 + 5 * (nth % 9)));
    (it["wait_us"], it["items"]) = (json!(4 * (nth % 5)), json!(20));
    it["commands"] = json!([
        {"tag": format!("a{}", 3 + 2 * nth), "verb": "EXAMINE"}, {"tag": format!("a{}", 4 + 2 * nth), "verb": "FETCH"},
    ]);
    it["answered_by"] = json!({"mailbox": "Archive", "uid_validity": 2});
    it["issued_at_us"] = run.lines[begun]["at_us"].clone();
    it
}

/// A run of so many workers, of whom the server lets so many have a default: they issue so many operations each, the others
/// stop at their first one. Whoever is let in is so by TLS, if there is any.
fn limited(threads: u32, allowed: u32, operations: u64, tls: bool) -> Written {
    let mut run = Written::new("use-default");
    run.threads(threads);
    let start = run.start();
    (start["server"], start["mailboxes"]) = (json!("sandbox"), json!(["INBOX", "Archive"]));
    start["mix"] = json!("noop=3,status=1,fetch=1");
    start["asked"] = json!({"operations_per_worker": operations});
    if tls {
        start["server"] = json!("imaps://joe@mail.example.org:993");
        start["certificates_verified"] = json!(true);
    }
    let phase = |tls| json!({"resolve": null, "connect": 140, "tls": tls, "greeting": 95, "sign_in": 12_480});
    let phases = phase(tls.then_some(4_210));
    for worker in 0..threads {
        let (connection, port) = (worker + 1, 65_535 - worker);
        run.create(connection, "default", worker, false);
        let dialled = if worker < allowed {
            let opened = run.open(connection);
            (opened["label"], opened["signed_in_by"]) = (json!(format!("#{connection}")), json!("LOGIN"));
            opened["commands"] = json!([{"tag": "a1", "verb": "LOGIN"}, {"tag": "a2", "verb": "ID"}]);
            if tls {
                opened["tls"] = json!({"version": "TLSv1.3", "cipher": "TLS13_AES_256_GCM_SHA384", "resumed": false});
            }
            opened
        } else {
            let refused = run.refused(connection, 1, allowed, "limit-connections");
            refused["failure"] = limit();
            refused
        };
        (dialled["worker"], dialled["local_port"]) = (json!(format!("w{worker}")), json!(port));
        dialled["dial_us"] = phases.clone();
        let took = if worker < allowed { "signed_in_us" } else { "failed_us" };
        dialled["at_us"] = json!(dialled["at_us"].as_u64().unwrap() + 11_700);
        dialled[took] = dialled["at_us"].clone();
    }
    for nth in 0..operations {
        for worker in 0..allowed {
            run.operate(fetch(&run, worker, nth));
        }
    }
    for worker in allowed..threads {
        let mut it = failed(fetch(&run, worker, 0), limit());
        (it["local_port"], it["commands"], it["answered_by"]) = (Value::Null, json!([]), Value::Null);
        (it["opened"], it["service_us"]) = (json!(false), json!(0));
        run.operate(it);
        let stops = json!({"worker": format!("w{worker}"), "not_issued": operations - 1, "failure": null});
        run.enter("worker-stopped", stops);
    }
    for connection in 1..=allowed {
        let closed = run.close(connection, "logged-out");
        (closed["bytes_sent"], closed["bytes_received"]) = (json!(4_112), json!(88_340));
        closed["commands"] = json!([{"tag": format!("a{}", 3 + 2 * operations), "verb": "LOGOUT"}]);
        closed["carried"] = json!(3 + 2 * operations);
        run.dispose(connection, "thread-exit");
    }
    for (number, line) in (1..).zip(run.of("operation")) {
        line["number"] = json!(number);
    }
    run
}

/// All well, and by the server's own record too.
fn ordinary(threads: u32, operations: u64) -> Written {
    let mut run = limited(threads, threads, operations, false);
    let mut seen: Vec<Vec<Value>> = vec![Vec::new(); threads as usize];
    for line in &run.lines {
        let Some(session) = line["session"].as_str() else { continue };
        let selected = if line["event"] == "operation" { json!("Archive") } else { Value::Null };
        let commands = line["commands"].as_array().unwrap().iter().map(|command| {
            json!({"tag": command["tag"], "verb": command["verb"], "selected": selected, "at_us": line["at_us"]})
        });
        seen[session[1..].parse::<usize>().unwrap() - 1].extend(commands);
    }
    for (worker, commands) in (0..).zip(seen) {
        let (port, label) = (65_535 - worker, format!("#{}", worker + 1));
        let of =
            json!({"peer_port": port, "run_id": "0123456789ab", "label": label, "logged_out": true, "open": false});
        run.enter("witness-session", of)["commands"] = json!(commands);
    }
    run
}

/// About as much as any run comes to.
const MOST: u64 = 999_999_999_999_999_000;

/// Everything longer, larger and stranger than anyone would like.
fn nasty() -> Written {
    let line = format!("BAD {} \x1b[31mred\u{202e}\r\n{}", "x".repeat(400), "sorry ".repeat(80));
    let strange = |kind: &str, stage: &str| failure(kind, stage, &format!("the server answered {line}"), Some(&line));
    let mut run = limited(200, 200, 3, true);
    run.lines.retain(|line| line["event"] != "connection-disposed");
    let start = run.start();
    start["server"] =
        json!(format!("imaps://{}@example.org@[2001:db8:85a3:8d3:1319:8a2e:370:7348]:65535", "j".repeat(90)));
    (start["mode"], start["seed"]) = (json!("use-main-or-default"), json!(u64::MAX));
    (start["asked"]["operations_per_worker"], start["mailboxes"][1]) = (json!(MOST / 200), json!(line));
    (run.interrupted, run.still_open) = (Some(2), 1_999_999);
    for (nth, it) in run.of("operation").enumerate() {
        let worker = nth % 200;
        it["mailbox"] = json!(line);
        it["answered_by"]["mailbox"] = json!(line);
        match worker % 5 {
            1 => it["wait_us"] = json!([59_999_000, 3_600_000_000_u64, 4_000_000_000_000_u64][nth / 200]),
            2 => it["passed"] = json!("#4294967295"),
            4 => it["worker"] = json!("w4294967295"),
            _ => {}
        }
        match nth % 7 {
            0 => {
                let kind = ["limit-connections", "auth-unsupported", "local-resources"][nth % 3];
                *it = failed(it.take(), strange(kind, "operation"));
                it["failure"]["server_line"] = json!(format!("\u{30e1}\u{30fc}\u{30eb}{}", "\u{30b5}".repeat(200)));
                (it["number"], it["failed_command"]) = (json!(u32::MAX), json!("EXAMINE"));
            }
            1 => {
                *it = failed(it.take(), strange("refused", "wait"));
                ["connection", "session", "reason", "local_port"].iter().for_each(|name| it[*name] = Value::Null);
            }
            2 => it["wait_us"] = json!(100_000_000_000_u64),
            3 => {
                it["items"] = json!(u32::MAX);
                (it["connection"], it["session"]) = (json!("#4294967295"), json!("#4294967295.9"));
            }
            _ => {}
        }
    }
    for (nth, closed) in run.of("session-closed").enumerate() {
        match nth % 4 {
            0 => {
                (closed["closed"], closed["failure"]) = (json!("no-logout"), strange("timeout", "logout"));
                (closed["bytes_sent"], closed["bytes_received"]) = (json!(MOST), json!(MOST));
            }
            1 => closed["closed"] = json!("discarded"),
            2 => (closed["closed"], closed["failure"]) = (json!("hung-up"), strange("server-bye", "logout")),
            _ => {}
        }
    }
    for nth in (0..200).step_by(4) {
        run.create(u32::MAX - nth, "independent", u32::MAX, true);
        let refused = run.refused(u32::MAX - nth, u32::MAX, 0, "limit-connections");
        (refused["failure"], refused["open"]) = (strange("limit-connections", "operation"), json!(MOST));
        (refused["dial_us"]["connect"], refused["took_us"]) = (json!(86_400_000_000_u64), json!(MOST));
        let stops =
            json!({"worker": format!("w{nth}"), "not_issued": MOST, "failure": strange("tls-certificate", "greeting")});
        run.enter("worker-stopped", stops);
    }
    for nth in 0..9 {
        let (connection, known) = (u32::MAX - 4 * nth, run.known());
        let it = run.operate(operation(0, known, "use-default", "explicit"));
        it["worker"] = json!("w2");
        ["connection", "session", "passed"].iter().for_each(|name| it[*name] = json!(format!("#{connection}")));
    }
    // Never seen to end.
    run.lines.retain(|line| line["event"] != "session-closed" || line["session"] != "#7");
    run
}

fn table(run: &Written, each: bool, rows: Option<usize>) -> String {
    tool::told(&bytes(&run.file()), each, rows)
}

fn document(run: &Written) -> Value {
    serde_json::from_str(&tool::report(&bytes(&run.file()))).unwrap()
}

/// As many cells of a terminal as a line takes: the characters in these tests are narrow, but for Japanese ones.
fn width(line: &str) -> usize {
    line.chars().map(|character| if character >= '\u{1100}' { 2 } else { 1 }).sum()
}

mod table {
    use super::*;

    #[test]
    fn no_line_is_wider_than_80_columns() {
        for run in [ordinary(8, 100), limited(8, 3, 100, true), nasty(), ordinary(500, 2), ordinary(0, 0)] {
            let file = bytes(&run.file());
            let report = tool::begun(&file);
            let each = tool::told(&file, true, None);
            let tables = [Some(20), Some(0)].map(|rows| mailconn::report::table(Layout::PLAIN, &report, rows));
            for text in tables.iter().chain([&each]) {
                for line in text.lines() {
                    assert!(width(line) <= 80, "{} columns: {line}", width(line));
                    assert_eq!(line.trim_end(), line, "blanks at the end");
                }
            }
        }
    }

    #[test]
    fn an_ordinary_run_fits_its_rows_on_one_line_each() {
        let text = table(&ordinary(8, 100), false, Some(20));
        assert!(text.is_ascii());
        insta::assert_snapshot!("an_ordinary_run", text);
    }

    #[test]
    fn a_limit_is_told_with_the_servers_own_words_and_who_stopped() {
        insta::assert_snapshot!("a_run_that_met_a_limit", table(&limited(8, 3, 100, true), false, Some(20)));
    }

    #[test]
    fn a_wide_owner_still_fits_on_the_sessions_line() {
        let mut wide = limited(3, 3, 1, true);
        wide.of("connection-created").nth(1).unwrap()["worker"] = json!("w199");
        let text = table(&wide, false, None);
        assert!(text.contains("\n#2       default w199  first  65534  0.14 4.21"), "{text}");
    }

    #[test]
    fn each_operation_has_its_row_if_that_is_asked_for() {
        insta::assert_snapshot!("each_operation", table(&limited(3, 2, 2, true), true, None));
    }

    #[test]
    fn a_fold_says_what_it_leaves_out_and_keeps_what_matters() {
        let mut run = ordinary(2000, 2);
        for failing in run.of("operation").filter(|it| it["worker"] == "w1234") {
            *failing = failed(failing.take(), failure("server-no", "operation", "no", None));
        }
        run.of("operation").find(|it| it["worker"] == "w1500").unwrap()["wait_us"] = json!(77_000);
        run.lines.retain(|line| line["event"] != "session-closed" || line["session"] != "#901");
        let text = table(&run, false, Some(16));
        assert!(
            text.contains("\n... 1,984 more workers: 3,968 operations, 0 failed (--format json lists all);\n  shown are the first, and those that failed or waited longest\n"),
            "{text}"
        );
        assert!(
            text.contains("\n... 1,984 more sessions: 3,968 operations, all ended by logout (--format json\n  lists"),
            "{text}"
        );
        for row in ["\nw0 ", "\nw7 ", "\nw1234 ", "\nw1500 ", "\n#1 ", "\n#901 "] {
            assert!(text.contains(row), "{row:?} is missing:\n{text}");
        }
        assert!(text.lines().count() < 120, "{text}");

        let whole = table(&ordinary(100, 4), true, None);
        assert!(!whole.contains("..."));
        assert!(whole.lines().count() > 100 + 100 + 400);
    }

    #[test]
    fn one_row_too_many_is_shown_and_not_talked_about() {
        let text = table(&ordinary(5, 1), false, Some(4));
        assert!(text.contains("\nw4 ") && !text.contains("..."), "{text}");
    }

    #[test]
    fn a_record_that_cannot_be_had_never_agrees() {
        let without = limited(8, 3, 2, true);
        let text = table(&without, false, Some(20));
        assert!(
            text.contains("\nthe server's own record: not available (a real server's log is not read)\n"),
            "{text}"
        );
        assert!(!text.contains("agrees"));
        let witness = &document(&without)["verdict"]["witness"];
        assert_eq!(*witness, json!({"available": false, "checked": 0, "agreed": 0, "not_compared": 0}));
        // Nor does one in which there is nothing to compare.
        let text = table(&ordinary(1, 0), false, None);
        assert!(
            text.contains("the server's own record: no operation to compare") && !text.contains("agrees"),
            "{text}"
        );
    }

    #[test]
    fn what_could_not_be_compared_is_a_figure_of_its_own() {
        let mut run = ordinary(2, 3);
        // Two got no connection, so they sent nothing.
        for it in run.of("operation").take(2) {
            *it = failed(it.take(), failure("wait-timeout", "wait", "no room", None));
            ["connection", "session", "reason", "local_port"].iter().for_each(|name| it[*name] = Value::Null);
            it["commands"] = json!([]);
        }
        let text = table(&run, false, None);
        assert!(text.contains("\nthe server's own record agrees for 4 of 4, 2 could not be compared\n"), "{text}");
        let witness = &document(&run)["verdict"]["witness"];
        assert_eq!(*witness, json!({"available": true, "checked": 4, "agreed": 4, "not_compared": 2}));
    }

    /// So many sessions of main, one after the other, of which every tenth broke; a dial was refused before each.
    fn renewed(sessions: u32) -> Written {
        let mut run = Written::new("use-main");
        run.threads(1);
        for nth in 1..=sessions {
            let (first, port) = (nth == 1, 1024 + nth);
            let refused = run.refused(0, 2 * nth - 1, 0, "limit-connections");
            refused["local_port"] = json!(port);
            let name = session(0, 2 * nth);
            let known = run.known();
            let opened = run.open(0);
            opened["began_us"] = opened["at_us"].clone();
            (opened["session"], opened["local_port"], opened["signed_in_by"]) =
                (json!(name), json!(port), json!("PLAIN"));
            let mut it = operation(0, known, "use-main", "main");
            (it["session"], it["local_port"], it["number"]) = (json!(name), json!(port), json!(nth));
            it["opened"] = json!(!first);
            run.operate(it);
            let closed = run.close(0, if nth % 10 == 0 { "discarded" } else { "logged-out" });
            closed["session"] = json!(name);
        }
        run
    }

    #[test]
    fn sessions_without_a_row_are_told_as_sums() {
        let run = renewed(3_000);
        let (text, document) = (table(&run, false, Some(20)), document(&run));
        let (rows, rest) = (document["sessions"].as_array().unwrap(), &document["other_sessions"]);
        assert_eq!(rows.len() as u64 + rest["sessions"].as_u64().unwrap(), 6_000, "each is in one of them");
        assert!(rows.len() < 2_000, "{}", rows.len());
        let in_rows: u64 = rows.iter().map(|row| row["operations"].as_u64().unwrap()).sum();
        assert_eq!(in_rows + rest["operations"].as_u64().unwrap(), 3_000);
        let bad = rows.iter().filter(|row| row["opened"] != true || row["closed"] != "logged-out").count() as u64;
        assert_eq!(bad + rest["bad"].as_u64().unwrap(), 3_300);
        assert!(text.contains("\n... 2,980 more sessions: 2,980 operations, "), "{text}");
        assert!(text.contains("\n... 2,980 more dials that failed (--format json lists the worst and the"), "{text}");
        assert!(text.contains("\nsigned in by PLAIN (3,000)\n"), "{text}");
        // Of the 300 that broke, 20 are shown.
        assert!(text.contains(" 280 not ended by logout (--format\n  json lists the worst and the newest,"), "{text}");
    }

    #[test]
    fn a_number_for_each_connection_is_exact_or_called_an_average() {
        let mut run = ordinary(3, 4);
        assert!(table(&run, false, None).contains("(peak 3), 4 operations on each; "));
        run.lines.retain(|line| line["worker"] != "w2" || line["operation"].is_null() || line["opened"] == true);
        assert!(
            table(&run, false, None).contains("(peak 3), on average 3 operations on each; "),
            "{}",
            table(&run, false, None)
        );
    }

    #[test]
    fn what_dials_waited_for_other_sign_ins_is_told_once_it_is_long() {
        for (held, told) in [(900_000, false), (2_000_000, true)] {
            let mut run = ordinary(3, 2);
            for opened in run.of("session-opened").skip(1) {
                let took: u64 = opened["dial_us"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
                opened["signed_in_us"] = json!(opened["began_us"].as_u64().unwrap() + took + held);
            }
            let text = table(&run, false, None).replace("\n  ", " ");
            let said = "dials waited 4.00 s in all, 2.00 s at most, for other sign-ins to this account (B6)\n";
            assert_eq!(text.contains(said), told, "{text}");
            assert_eq!(text.contains("dials waited"), told, "{text}");
        }
    }

    #[test]
    fn evidence_that_repeats_itself_is_told_once_and_a_document_has_all_of_it() {
        let run = limited(8, 3, 2, true);
        let (text, document) = (table(&run, false, None), document(&run));
        assert_eq!(text.matches(" with 3 open: NO [LIMIT]").count(), 1, "{text}");
        assert!(text.contains(" with 3 open: the same\n"), "{text}");
        let limit = document["findings"].as_array().unwrap().iter().find(|it| it["id"] == "MC030").unwrap();
        assert!(
            limit["evidence"].as_array().unwrap().iter().all(|it| it.as_str().unwrap().ends_with(DOVECOT)),
            "{limit}"
        );
    }

    #[test]
    fn a_server_cannot_write_to_the_terminal() {
        let text = table(&nasty(), true, None);
        assert!(text.chars().all(|character| character == '\n' || !character.is_control()));
        assert!(!text.contains('\u{202e}'));
        assert!(text.contains("\\u{1b}[31mred\\u{202e}"));
    }

    #[test]
    fn an_interrupted_run_says_so_first_and_last() {
        let mut run = ordinary(2, 5);
        run.interrupted = Some(15);
        let text = table(&run, false, None);
        assert_eq!(text.lines().nth(2), Some("interrupted by SIGTERM: this is as far as it came"), "{text}");
        assert!(text.ends_with("\nexit 143: interrupted by SIGTERM\n"), "{text}");
    }

    #[test]
    fn a_run_of_a_duration_shows_how_evenly_it_was_shared() {
        let mut run = ordinary(4, 5);
        run.start()["asked"] = json!({"duration_us": 2_000_000});
        let last = run.lines.iter().rposition(|line| line["event"] == "operation" && line["worker"] == "w2").unwrap();
        run.lines.remove(last);
        let text = table(&run, false, None);
        assert!(text.contains(", 4 threads, 2.00 s, seed 42\n"), "{text}");
        assert!(text.contains("\nthe busiest worker did 5 operations, the idlest 4\n"), "{text}");
    }
}

mod json {
    use super::*;

    #[test]
    fn every_promised_name_is_there_with_its_type_and_unit() {
        insta::assert_snapshot!("a_run_that_met_a_limit_in_json", tool::report(&bytes(&limited(2, 1, 2, true).file())));
        insta::assert_snapshot!("an_ordinary_run_in_json", tool::report(&bytes(&ordinary(1, 2).file())));
    }

    #[test]
    fn no_input_is_too_large_for_it() {
        let report = document(&nasty());
        assert_eq!((&report["seed"], &report["interrupted"]), (&json!(u64::MAX), &json!(2)));
        assert_eq!(report["operations"]["asked"], MOST);
        // Such a run cannot end: no file says as much.
        let mut start = nasty().lines.remove(0);
        start["asked"]["operations_per_worker"] = json!(MOST);
        let begun = tool::begun(&bytes(&numbered(vec![start])));
        let report: Value = serde_json::from_str(&tool::in_format(Format::Json, &begun)).unwrap();
        assert_eq!(report["operations"]["asked"], u64::MAX, "more than can be counted");
        let mut long = ordinary(1, 1);
        long.start()["asked"] = json!({"duration_us": MOST});
        assert_eq!(document(&long)["asked"]["duration_us"], MOST);
    }
}

mod ndjson {
    use super::*;

    /// A run with each event that there is.
    fn every_event() -> Written {
        let mut run = limited(2, 1, 2, true);
        let start = run.start();
        (start["workers"][1]["creates_default"], start["max_connections"]) = (json!(true), json!(9));
        start["switches"] = json!([{"after": 3, "mode": "use-main"}]);
        start["tasks"] = json!([{"task": "t0", "name": null, "creates_default": false, "creates_independent": true}]);
        (start["executor"], start["dispose"]) = (json!("pool"), json!("task"));
        run.enter("mode-changed", json!({"from": "use-default", "to": "use-main"}));
        run.enter("task-started", json!({"task": "t0", "worker": "w0"}));
        let refused = json!({"task": "t0", "worker": "w0", "existing": "#3", "rule": "C3"});
        run.enter("default-refused", refused);
        run.enter("task-stopped", json!({"task": "t0", "not_issued": 2, "failure": limit()}));
        run.enter("mailbox-left", json!({"worker": "w0", "mailbox": "mailconn-0123456789ab-w0"}));
        run.enter("task-ended", json!({"task": "t0", "worker": "w0", "operations": 3, "left_mailbox": true}));
        let ended = json!({"operations": 3, "not_begun": 1, "not_begun_wait_us": 12, "left_mailbox": false});
        run.enter("worker-ended", ended)["worker"] = json!("w0");
        run.close_by(9, "no-logout", limit());
        let mut passed = failed(operation(1, 9, "use-main", "explicit"), limit());
        (passed["task"], passed["passed"], passed["session"]) = (json!("t0"), json!("#1"), json!("#1.2"));
        passed["relied_on"] = json!({
            "session": "#1", "local_port": 65_535, "commands": [{"tag": "a8", "verb": "EXAMINE"}], "uid_validity": null,
        });
        run.operate(passed);
        let seen = json!([{"tag": "a4", "verb": "NOOP", "selected": null, "at_us": 1500}]);
        let line =
            json!({"peer_port": 65_535, "run_id": "0123456789ab", "label": "#1", "logged_out": true, "open": false});
        run.enter("witness-session", line)["commands"] = seen;
        run
    }

    fn lines(text: &str) -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn every_event_has_its_line_and_nothing_of_it_is_lost() {
        let file = every_event().file();
        let text = tool::rewritten(&bytes(&file));
        let (events, end) = text.trim_end().rsplit_once('\n').unwrap();
        insta::assert_snapshot!("every_event", events);
        assert_eq!(lines(events), unfold(&file[..file.len() - 1]));
        assert!(text.ends_with("}\n") && end.contains("\"event\":\"run-end\""), "{end}");
        assert_eq!(tool::rewritten(text.as_bytes()), text);
    }

    #[test]
    fn lines_are_numbered_without_a_gap_from_run_start_to_run_end() {
        for run in [ordinary(4, 5), limited(8, 3, 100, true), nasty(), ordinary(0, 0)] {
            let lines = lines(&tool::rewritten(&bytes(&run.file())));
            for (number, line) in lines.iter().enumerate() {
                assert_eq!(line["seq"], number as u64);
                assert!(line["event"].is_string() && line["at_us"].is_u64() && line["time"].is_string(), "{line}");
            }
            assert_eq!(
                (&lines[0]["event"], &lines[lines.len() - 1]["event"]),
                (&json!("run-start"), &json!("run-end"))
            );
            assert_eq!(of_kind(&lines, "run-end").count(), 1);
        }
    }

    /// Counts its flushes, and breaks when it is told to.
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<(Vec<u8>, usize, bool)>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut sink = self.0.lock().unwrap();
            if sink.2 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            sink.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.lock().unwrap().1 += 1;
            Ok(())
        }
    }

    #[test]
    fn each_batch_is_out_when_the_call_returns_and_a_broken_pipe_is_told() {
        let sink = Sink::default();
        let mut file = Again::start(&bytes(&ordinary(2, 2).file()), sink.clone()).unwrap();
        assert_eq!(sink.0.lock().unwrap().1, 1);
        file.events(3).unwrap();
        {
            let sink = sink.0.lock().unwrap();
            assert_eq!((sink.1, sink.0.iter().filter(|&&byte| byte == b'\n').count()), (2, 4));
        }
        sink.0.lock().unwrap().2 = true;
        assert_eq!(file.events(5).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}

mod output {
    use super::*;

    fn file(path: &Path) -> Output {
        Output::File(path.to_owned())
    }

    fn entries(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_written_whole_and_readable_as_any_new_file_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.json");
        let usual = directory.path().join("usual");
        fs::write(&usual, "").unwrap();
        file(&path).writable().unwrap();
        assert_eq!(entries(directory.path()), ["usual"], "the check leaves nothing behind");
        file(&path).write_whole(b"one\n").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), mode(&usual));
        assert_eq!(entries(directory.path()), ["report.json", "usual"]);

        // Whoever has the old one open goes on reading the old one: it was replaced, not written over.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let mut old = fs::File::open(&path).unwrap();
        file(&path).writable().unwrap();
        file(&path).write_whole(b"two\n").unwrap();
        let mut text = String::new();
        old.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), fs::read_to_string(&path).unwrap().as_str()), ("one\n", "two\n"));
        assert_eq!(mode(&path), 0o640, "it keeps the permissions that it was given");
    }

    #[test]
    fn a_link_keeps_pointing_to_the_file_behind_it() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("sub")).unwrap();
        let link = directory.path().join("latest");
        symlink("sub/report", &link).unwrap();
        for text in ["one", "two"] {
            file(&link).writable().unwrap();
            file(&link).write_whole(text.as_bytes()).unwrap();
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(fs::read_to_string(directory.path().join("sub/report")).unwrap(), text);
        }
        symlink("loop", directory.path().join("loop")).unwrap();
        assert!(matches!(file(&directory.path().join("loop")).writable(), Err(Unwritable::Denied { .. })));
    }

    #[test]
    fn a_file_that_cannot_be_written_is_told_in_one_line_and_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("plain"), "").unwrap();
        let cases = [
            ("missing/report", "cannot write to {}/missing/report: there is no directory {}/missing; create it first"),
            ("plain/report", "cannot write to {}/plain/report: {}/plain is not a directory"),
            ("", "cannot write to {}/: it is a directory; name a file in it"),
            ("new/", "cannot write to {}/new/: it is a directory; name a file in it"),
        ];
        for (name, said) in cases {
            let error = file(&at(name)).writable().unwrap_err();
            assert_eq!(error.to_string(), said.replace("{}", directory.path().to_str().unwrap()));
        }
        assert!(matches!(file(Path::new("")).writable(), Err(Unwritable::NoName { .. })));
        let long = file(&at(&"x".repeat(300))).writable().unwrap_err().to_string();
        assert!(long.starts_with("cannot write to ") && !long.contains('\n'), "{long}");
        let denied = file(Path::new("/proc/report")).writable().unwrap_err().to_string();
        assert_eq!(denied, "cannot write to /proc/report", "the cause is its source");
        assert_eq!(entries(directory.path()), ["plain"]);
    }

    #[test]
    fn devices_and_pipes_are_written_to_and_not_replaced() {
        let null = file(Path::new("/dev/null"));
        null.writable().unwrap();
        null.write_whole(b"nothing").unwrap();
        null.stream().unwrap().write_all(b"nothing").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());

        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        file(&pipe).writable().unwrap();
        let reader = {
            let pipe = pipe.clone();
            std::thread::spawn(move || fs::read_to_string(pipe).unwrap())
        };
        file(&pipe).write_whole(b"through the pipe").unwrap();
        assert_eq!(reader.join().unwrap(), "through the pipe");
        assert_eq!(entries(directory.path()), ["pipe"]);

        file(Path::new("/dev/stdout")).writable().unwrap();
        file(Path::new("/dev/stderr")).write_whole(b"").unwrap();
    }

    #[test]
    fn a_descriptor_that_leads_to_a_file_is_added_to_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = fs::File::create(&path).unwrap();
        log.write_all(b"before\n").unwrap();
        let link = directory.path().join("link");
        symlink(format!("/proc/self/fd/{}", log.as_raw_fd()), &link).unwrap();
        file(&link).writable().unwrap();
        file(&link).write_whole(b"report\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before\nreport\n");
    }

    #[test]
    fn a_reader_who_has_gone_away_is_no_error() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let output = Output::File(format!("/proc/self/fd/{}", writer.as_raw_fd()).into());
        output.writable().unwrap();
        output.write_whole(&[b'x'; 100_000]).unwrap();
        // Who streams hears of it, and may stop.
        let error = output.stream().unwrap().write_all(b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        Output::Stdout.writable().unwrap();
    }

    #[test]
    fn a_stream_can_be_read_while_it_grows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.ndjson");
        fs::write(&path, "an older run, which was longer").unwrap();
        let file = bytes(&ordinary(1, 1).file());
        let mut stream = Again::start(&file, self::file(&path).stream().unwrap()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
        stream.events(4).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1 + 4);
    }
}

mod progress {
    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn a_run_shorter_than_the_interval_shows_nothing() {
        let sink = Sink::default();
        let mut progress = Progress::lines(Box::new(sink.clone()), Duration::from_secs(3600), Some(800));
        progress.update(&Tally { operations: 800, failed: 0, open: 8 });
        progress.finish();
        assert_eq!(sink.text(), "");
    }

    #[test]
    fn plain_lines_tell_how_far_it_has_come() {
        let sink = Sink::default();
        let mut progress = Progress::lines(Box::new(sink.clone()), Duration::ZERO, Some(2_000));
        progress.update(&Tally { operations: 1_412, failed: 3, open: 8 });
        let text = sink.text();
        assert!(text.contains(": 1,412 of 2,000 operations, ") && text.ends_with(", 8 open, 3 failed\n"), "{text}");
        progress.finish();
        progress.update(&Tally { operations: 2_000, failed: 3, open: 0 });
        assert_eq!(sink.text(), text, "nothing comes after the end");
    }

    #[test]
    fn of_several_runs_a_plain_line_tells_what_is_over_and_none_how_far_one_has_come() {
        let sink = Sink::default();
        let mut progress = Progress::lines(Box::new(sink.clone()), Duration::ZERO, None);
        progress.begin("warm-up, use-main".to_owned(), Some(8), None);
        progress.update(&Tally { operations: 8, failed: 0, open: 0 });
        progress.begin("round 1 of 8, use-main".to_owned(), Some(8), Some("warm-up is over, about 3s left".to_owned()));
        progress.update(&Tally { operations: 2, failed: 0, open: 1 });
        progress.finish();
        let text = sink.text();
        assert!(text.ends_with(": warm-up is over, about 3s left\n") && text.lines().count() == 1, "{text}");
    }

    #[test]
    fn never_is_never() {
        let mut progress = Progress::new(ProgressKind::Never, None);
        progress.update(&Tally::default());
        progress.finish();
    }
}

#[test]
fn formats_go_by_their_names() {
    assert_eq!(
        Format::ALL.iter().map(|it| it.name()).collect::<Vec<_>>(),
        ["table", "json", "ndjson", "html", "markdown", "csv", "junit", "github", "trace-events"]
    );
    assert_eq!(ProgressKind::ALL.map(ProgressKind::name), ["auto", "never"]);
}

#[test]
fn no_report_shows_more_of_the_server_than_the_header_does() {
    let run = limited(8, 3, 2, true);
    let file = bytes(&run.file());
    for text in [tool::told(&file, true, None), tool::report(&file), tool::rewritten(&file)] {
        assert!(text.contains("imaps://joe@mail.example.org:993"));
        assert!(!text.to_lowercase().contains("password"), "no field is named for a secret");
    }
}
