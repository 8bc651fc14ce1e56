//! A comparison as a process: its stream, how it ends, what it leaves behind.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mailconn::judge::{order, seed_of};
use mailconn::sandbox::{Like, Options, Sandbox, User};
use serde_json::{Value, json};

use crate::cli::process::{Ended, PASSWORD, end, eventually, mailconn, number, obey, of_kind, start, start_unread};
use crate::protocol::scripted::{GREETING, Server};

/// Little work, so that a comparison takes seconds.
const SMALL: &[&str] = &["-t", "2", "-n", "3", "--ops", "noop", "--format", "ndjson"];
const TWO: &[&str] = &["--variant", "use-main", "--variant", "use-default", "--rounds", "8"];

fn compare<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    mailconn(["compare"].into_iter().chain(args))
}

fn small(args: &[&str]) -> Ended {
    end(&mut compare(SMALL.iter().chain(args).copied()))
}

/// The comparison against a server of the test's own, as joe.
fn against(server: &Server, args: &[&str]) -> Command {
    let url = format!("imap://joe@{}", server.address);
    let mut command = compare(["--server", &url].into_iter().chain(SMALL.iter().chain(args).copied()));
    command.env("MAILCONN_PASSWORD", PASSWORD);
    command
}

/// The lines of the stream, its shape checked: the comparison's own two, and between them whole runs, one after the other.
#[track_caller]
fn lines(ended: &Ended) -> Vec<Value> {
    let lines: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (start, end) = (lines.first().unwrap(), lines.last().unwrap());
    assert_eq!((&start["event"], &start["seq"], &start["at_us"]), (&json!("comparison-start"), &json!(0), &json!(0)));
    assert_eq!((&end["event"], &end["seq"]), (&json!("comparison-end"), &json!(1)), "{}", ended.stderr);
    assert!([start, end].iter().all(|own| own["variant"].is_null() && own["round"].is_null()));
    assert_eq!(end["exit_code"], ended.code, "{}", ended.stderr);
    let mut seq = 0;
    let mut under_way: Option<(&Value, &Value)> = None;
    for line in &lines[1..lines.len() - 1] {
        let run = (&line["variant"], &line["round"]);
        match under_way {
            None => assert_eq!(line["event"], "run-start", "{line}"),
            Some(whole) => assert_eq!(whole, run, "one run after the other: {line}"),
        }
        under_way = (line["event"] != "run-end").then_some(run);
        assert_eq!(line["seq"], seq, "{line}");
        seq = if under_way.is_some() { seq + 1 } else { 0 };
    }
    assert_eq!(under_way, None, "each run is whole");
    lines
}

/// The variant and the round of each run, in order.
fn runs(lines: &[Value]) -> Vec<(&str, u64)> {
    of_kind(lines, "run-start").map(|line| (line["variant"].as_str().unwrap(), number(&line["round"]))).collect()
}

#[test]
fn the_three_modes_are_compared_in_whole_rounds_on_the_same_work() {
    let ended = small(&["--rounds", "9", "--seed", "5"]);
    let lines = lines(&ended);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let start = &lines[0];
    let variants: Vec<&str> =
        start["variants"].as_array().unwrap().iter().map(|variant| variant["name"].as_str().unwrap()).collect();
    assert_eq!(variants, ["use-main", "use-default", "use-main-or-default"]);
    assert_eq!((&start["reference"], &start["metric"]), (&json!("use-main"), &json!("operations_per_second")));
    assert_eq!((&start["noise"], &start["rounds"], &start["seed"]), (&json!(0.03), &json!(9), &json!(5)));
    let due = (0..=9).flat_map(|round| order(5, 3, round).into_iter().map(move |at| (at, round)));
    assert_eq!(runs(&lines), due.map(|(at, round)| (variants[at], u64::from(round))).collect::<Vec<_>>());
    for run in of_kind(&lines, "run-start") {
        let round = u32::try_from(number(&run["round"])).unwrap();
        assert_eq!((number(&run["seed"]), &run["mode"]), (seed_of(5, round), &run["variant"]), "{run}");
    }
    let ids: BTreeSet<&str> = of_kind(&lines, "run-start").map(|run| run["run_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 30);
    let end = lines.last().unwrap();
    assert_eq!((&end["rounds"], &end["stopped"]), (&json!(9), &Value::Null));
    assert_eq!(end["verdicts"].as_array().unwrap().len(), 2, "{end:#}");
    assert!(of_kind(&lines, "run-end").all(|run| run["connections"]["still_open"] == 0));
}

#[test]
fn variants_are_on_top_of_what_all_share_and_each_has_a_name() {
    let args = ["--variant", "use-default -t 4", "--variant", "use-default", "--variant", "use-default"];
    let more = ["--variant", "far=--mode use-main --rtt 5ms -n 2", "--variant", "use-main-or-default --default-for w0"];
    let all: Vec<&str> = args.iter().chain(&more).copied().chain(["--rounds", "10", "--reference", "far"]).collect();
    let ended = small(&all);
    let lines = lines(&ended);
    assert_eq!(lines[0]["reference"], "far");
    let first: BTreeMap<&str, &Value> = of_kind(&lines, "run-start")
        .filter(|run| run["round"] == 1)
        .map(|run| (run["variant"].as_str().unwrap(), run))
        .collect();
    let names = ["far", "use-default", "use-default-2", "use-default-t-4", "use-main-or-default"];
    assert_eq!(first.keys().copied().collect::<Vec<_>>(), names);
    let asked = |name: &str| (number(&first[name]["threads"]), number(&first[name]["asked"]["operations_per_worker"]));
    assert_eq!(names.map(asked), [(2, 2), (2, 3), (2, 3), (4, 3), (2, 3)]);
    let rtt = |name: &str| first[name]["sandbox"]["rtt_us"].clone();
    assert_eq!((rtt("far"), rtt("use-default")), (json!(5000), Value::Null), "each has its own sandbox");
}

#[test]
fn a_name_says_what_tells_a_variant_from_those_of_its_mode() {
    let pool = "use-default --executor pool --tasks 2 --operations 1";
    let ended = small(&["--rounds", "8", "--variant", pool, "--variant", &format!("{pool} --dispose task")]);
    let named = &lines(&ended)[0]["variants"];
    assert_eq!([&named[0]["name"], &named[1]["name"]], ["use-default", "use-default-dispose-task"]);
}

#[test]
fn a_flag_that_excludes_a_shared_one_takes_its_place() {
    let mut command = compare(["--duration", "50ms", "--ops", "noop", "--mailbox", "INBOX", "--format", "ndjson"]);
    let ended =
        end(command.args(["--variant", "use-main -n 2 --mailbox Archive", "--variant", "use-main", "--rounds", "8"]));
    let lines = lines(&ended);
    let of = |name| of_kind(&lines, "run-start").find(|run| run["variant"] == name).unwrap();
    let (own, shared) = (of("use-main-n-2-mailbox-Archive"), of("use-main"));
    assert_eq!((&own["asked"]["operations_per_worker"], &own["mailboxes"]), (&json!(2), &json!(["Archive"])));
    assert_eq!((&shared["asked"]["duration_us"], &shared["mailboxes"]), (&json!(50_000), &json!(["INBOX"])));
}

#[test]
fn a_signal_in_a_round_leaves_a_whole_stream_with_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("it.ndjson");
    let args = "--ops noop --duration 300ms --rounds 9 --format ndjson -o it.ndjson";
    let running = start(compare(args.split(' ')).current_dir(folder.path()));
    let written = || std::fs::read_to_string(&file).unwrap_or_default();
    eventually("the second round begins", || written().contains("\"round\":2,"));
    running.signal("INT");
    let mut ended = running.end();
    ended.stdout = written();
    let lines = lines(&ended);
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    let end = lines.last().unwrap();
    assert_eq!((&end["interrupted"], &end["stopped"]["why"]), (&json!(2), &json!("signal")), "{end:#}");
    let whole = runs(&lines).len() / 3 - 1;
    assert!((1..9).contains(&whole), "{whole}");
    assert!((1..=whole as u64).contains(&number(&end["rounds"])), "{end:#}");
    let cut = of_kind(&lines, "run-end").filter(|run| !run["interrupted"].is_null()).count();
    assert!(cut <= 1, "the run under way, or none between two");
}

#[test]
fn the_time_for_all_of_it_is_kept_and_a_round_that_it_cuts_does_not_count() {
    // In one line, all threads take forty times as long as one, which is all that is known beforehand.
    let started = "--ops noop --rounds 8 --sandbox-latency 5ms --variant use-main --variant use-main-or-default \
                   --format ndjson";
    let started = || started.split_whitespace();
    let ended = end(&mut compare(started().chain(["--for", "1200ms", "-n", "10", "-t", "40"])));
    let cut = lines(&ended);
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
    let last = cut.last().unwrap();
    assert_eq!(
        (&last["stopped"]["why"], &last["stopped"]["variant"]),
        (&json!("time"), &json!("use-main")),
        "{last:#}"
    );
    assert_eq!(ended.code, 1, "nothing was compared: {}", ended.stderr);
    assert_eq!((&last["rounds"], &last["interrupted"], runs(&cut).len()), (&json!(0), &Value::Null, 1));
    // Later ones are not begun.
    let ended = end(&mut compare(started().chain(["--for", "4s", "-n", "3", "-t", "20"])));
    let late = lines(&ended);
    let last = late.last().unwrap();
    assert_eq!((&last["stopped"]["why"], &last["stopped"]["variant"]), (&json!("time"), &Value::Null), "{last:#}");
    assert_eq!(runs(&late).len() % 2, 0);
    assert_eq!(number(&last["rounds"]), runs(&late).len() as u64 / 2 - 1);
    assert!(ended.stderr.contains("--for 4s may be too short to tell anything"), "{}", ended.stderr);
    assert!(ended.took < Duration::from_secs(6), "{:?}", ended.took);
    let nothing = i32::from(last["rounds"] == 0);
    assert_eq!(ended.code, nothing, "{}", ended.stderr);
}

#[test]
fn a_limit_ends_it_with_what_there_is() {
    let ended = small(&["--sandbox-connections", "1", "--rounds", "9"]);
    let lines = lines(&ended);
    let end = lines.last().unwrap();
    assert_eq!(ended.code, 6, "{}", ended.stderr);
    assert_eq!(end["stopped"], json!({ "why": "limit", "variant": "use-default", "round": 0 }));
    assert_eq!(runs(&lines), [("use-main", 0), ("use-default", 0)]);
}

#[test]
fn a_refused_sign_in_ends_it() {
    let server = Server::start(|peer| {
        peer.send(GREETING);
        peer.answer("{t} NO [AUTHENTICATIONFAILED] Invalid credentials\r\n");
        peer.wait_for_close();
    });
    let ended = end(&mut against(&server, TWO));
    let lines = lines(&ended);
    assert_eq!((ended.code, server.accepted()), (5, 1), "{}", ended.stderr);
    assert_eq!(lines.last().unwrap()["stopped"]["why"], "sign-in");
}

#[test]
fn nothing_that_could_be_done_ends_it_and_failed_operations_alone_do_not() {
    let silent = Server::start(|peer| {
        peer.sign_in();
        peer.wait_for_close();
    });
    let ended = end(&mut against(&silent, &[TWO, &["--timeout", "200ms"]].concat()));
    let stopped = lines(&ended);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert_eq!(stopped.last().unwrap()["stopped"], json!({ "why": "failed", "variant": "use-main", "round": 0 }));
    // One refuses every other NOOP.
    let moody = Server::start(|peer| {
        peer.sign_in();
        let mut count = 0;
        while let Some(line) = peer.line() {
            let (tag, command) = line.split_once(' ').unwrap();
            count += 1;
            let answer = match command {
                "LOGOUT" => format!("* BYE bye\r\n{tag} OK done\r\n"),
                _ if count % 2 == 0 => format!("{tag} NO not now\r\n"),
                _ => format!("{tag} OK done\r\n"),
            };
            if !peer.send(&answer) {
                return;
            }
        }
    });
    let ended = end(&mut against(&moody, TWO));
    let all = lines(&ended);
    assert_eq!((runs(&all).len(), &all.last().unwrap()["stopped"]), (18, &Value::Null), "{}", ended.stderr);
    assert!(number(&of_kind(&all, "run-end").next().unwrap()["operations"]["failed"]) > 0);
}

#[test]
fn a_named_server_is_told_its_budget_first_and_left_alone_between_runs() {
    let server = Server::start(|peer| {
        peer.sign_in();
        obey(peer);
    });
    let mut running = start_unread(&mut against(&server, &[TWO, &["--pace", "600ms"]].concat()));
    drop(running.stdout());
    let ended = running.end();
    let first = ended.stderr.lines().next().unwrap();
    assert!(
        first.contains(
            "18 runs, at most 27 sign-ins and 2 connections at once, 10s of rests; where sessions break, at most 30 sign-ins"
        ),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.code, 0, "its reader went away: {}", ended.stderr);
    let ended = end(&mut against(&server, TWO));
    assert_eq!((ended.code, runs(&lines(&ended)).len()), (0, 18), "{}", ended.stderr);
    let open = || server.heard_verb("LOGOUT") == server.accepted();
    eventually("each connection of ours was signed out", open);
}

#[test]
fn a_report_that_cannot_be_written_is_said_once_with_its_own_exit_code() {
    let ended = small(&["--rounds", "9", "-o", "/dev/full"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("writing the report") && !ended.stderr.contains("exit 1"), "{}", ended.stderr);
}

/// What is told first, in words that stand apart by one blank.
fn choice(folder: &std::path::Path, stream: &str) -> String {
    let file = folder.join("it.ndjson");
    std::fs::write(&file, stream).unwrap();
    let file = file.to_str().unwrap();
    let verified = end(&mut mailconn(["verify", file]));
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    let told = end(&mut mailconn(["report", file])).stdout;
    told.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn sessions_that_break_make_it_no_more_sign_ins_than_it_said() {
    // Each session ends at its second command.
    let server = Server::start(|peer| {
        peer.sign_in();
        peer.answer("{t} OK done\r\n");
        peer.line();
    });
    let args = [TWO, &["--pace", "0s"]].concat();
    let ended = end(&mut against(&server, &args));
    let lines = lines(&ended);
    let told =
        "at most 27 sign-ins and 2 connections at once; where sessions break, at most 30 sign-ins, then it stops";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
    assert_eq!((server.accepted(), &lines[0]["most_sign_ins"]), (30, &json!(30)), "{}", ended.stderr);
    assert_eq!(lines.last().unwrap()["stopped"]["why"], "sign-ins");
    let told = choice(tempfile::tempdir().unwrap().path(), &ended.stdout);
    assert!(
        told.contains("stopped early: all sign-ins that it may make were made, since sessions broke, in "),
        "{told}"
    );
}

#[test]
fn a_place_that_the_run_before_still_holds_speaks_against_no_variant() {
    for (limit, within) in
        [("user=2,release=1m", "though it gave as many before"), ("user+address=3,release=1m", "within the limit of 3")]
    {
        // Gmail's words name no number.
        let like = limit.starts_with("user=2").then_some(Like::Gmail);
        let (users, limits) = (vec![User::new("joe", PASSWORD)], vec![limit.parse().unwrap()]);
        let options = Options { users, limits, like, ..Options::default() };
        let sandbox = Sandbox::start(TcpListener::bind("127.0.0.1:0").unwrap(), options).unwrap();
        let url = format!("imap://joe@{}", sandbox.address());
        let variants = ["--rounds", "8", "--variant", "use-default", "--variant", "two=use-default"];
        let mut command = compare(["--server", &url].into_iter().chain(SMALL.iter().chain(&variants).copied()));
        let ended = end(command.env("MAILCONN_PASSWORD", PASSWORD));
        let lines = lines(&ended);
        assert_eq!(lines.last().unwrap()["stopped"]["variant"], "two", "{limit}: {}", ended.stderr);
        let told = choice(tempfile::tempdir().unwrap().path(), &ended.stdout);
        let says = format!("In the warm-up the server refused two a connection, {within}");
        assert!(told.starts_with("Choose use-default for now: it ran without a failure, on 2 connections."), "{told}");
        assert!(told.contains(&says) && told.contains("(--pace 10s)") && !told.contains("Not two"), "{told}");
    }
}

/// A server that refuses one command of so many that it counts, whoever sends it.
fn moody(counts: impl Fn(usize) -> bool + Send + Sync + 'static) -> Server {
    const REFUSED: usize = 120;
    let (commands, open) = (AtomicUsize::new(0), AtomicUsize::new(0));
    Server::start(move |peer| {
        peer.sign_in();
        open.fetch_add(1, Ordering::Relaxed);
        while let Some(line) = peer.line() {
            let (tag, command) = line.split_once(' ').unwrap();
            let is_counted = command == "NOOP" && counts(open.load(Ordering::Relaxed));
            let answer = match command {
                "LOGOUT" => format!("* BYE bye\r\n{tag} OK done\r\n"),
                _ if is_counted && commands.fetch_add(1, Ordering::Relaxed) % REFUSED == REFUSED - 1 => {
                    format!("{tag} NO not now\r\n")
                }
                _ => format!("{tag} OK done\r\n"),
            };
            if !peer.send(&answer) {
                break;
            }
        }
        open.fetch_sub(1, Ordering::Relaxed);
    })
}

#[test]
fn failures_that_chance_may_give_decide_no_choice_and_are_told_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let args = [TWO, &["--pace", "0s", "-n", "100"]].concat();
    let args: Vec<&str> =
        args.iter().copied().chain(SMALL.iter().copied().filter(|it| !["-n", "3"].contains(it))).collect();
    let told = |server: &Server| {
        let url = format!("imap://joe@{}", server.address);
        let mut command = compare(["--server", &url].into_iter().chain(args.iter().copied()));
        let ended = end(command.env("MAILCONN_PASSWORD", PASSWORD));
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        choice(folder.path(), &ended.stdout)
    };
    let of_both = told(&moody(|_| true));
    let minded = of_both.find(" Mind ").map(|at| &of_both[at..]).unwrap_or_default();
    let minded: Vec<&str> = minded.split(' ').collect();
    assert!(
        minded.starts_with(&["", "Mind"])
            && minded[3..7] == ["failed", "operations", "of", "1,600"]
            && of_both.contains(" of 1,600 of use-default: no more than chance may give.")
            && !of_both.contains("Not use-"),
        "{of_both}"
    );
    // As many, but all of the variant that has two connections open at once.
    let of_one = told(&moody(|open| open > 1));
    assert!(of_one.starts_with("Choose use-main: no other can be chosen.") && !of_one.contains(" Mind "), "{of_one}");
    assert!(of_one.contains("Not use-default: ") && of_one.contains(" failures in "), "{of_one}");
}

/// What stops all for everybody speaks against none: neither against the variant that was on, nor against the one before.
#[test]
fn a_server_that_refuses_the_account_or_goes_away_rules_out_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let told = |ended: &Ended, code: i32, says: &[&str]| {
        assert_eq!(ended.code, code, "{}", ended.stderr);
        let told = choice(folder.path(), &ended.stdout);
        assert!(says.iter().all(|it| told.contains(it)) && !told.contains("Not use-"), "{says:?}: {told}");
    };
    let few = "rounds are too few to tell anything from chance. It takes 8.";
    let stopped = "It stopped early, which is no variant's doing: ";
    let sign_ins = AtomicUsize::new(0);
    let refusing = Server::start(move |peer| {
        peer.send(GREETING);
        if sign_ins.fetch_add(1, Ordering::Relaxed) >= 13 {
            peer.answer("{t} NO [AUTHENTICATIONFAILED] Invalid credentials\r\n");
            peer.wait_for_close();
            return;
        }
        peer.answer("{t} OK in\r\n");
        obey(peer);
    });
    let ended = end(&mut against(&refusing, &[TWO, &["--pace", "0s"]].concat()));
    told(&ended, 5, &["No choice yet: 3 ", few, stopped, "a sign-in was refused, in round 4 of use-"]);

    let options = || Options { users: vec![User::new("joe", PASSWORD)], ..Options::default() };
    let sandbox = Sandbox::start(TcpListener::bind("127.0.0.1:0").unwrap(), options()).unwrap();
    let url = format!("imap://joe@{}", sandbox.address());
    let file = folder.path().join("killed.ndjson");
    let args =
        ["--server", &url, "-o", file.to_str().unwrap(), "--pace", "0s", "--duration", "300ms", "--format", "ndjson"];
    let running = start(compare(args.into_iter().chain(TWO.iter().copied())).env("MAILCONN_PASSWORD", PASSWORD));
    let written = || std::fs::read_to_string(&file).unwrap_or_default();
    eventually("the third round begins", || written().contains("\"round\":3,"));
    drop(sandbox);
    let mut ended = running.end();
    ended.stdout = written();
    told(&ended, 4, &["No choice yet: ", few, stopped, "the server could not be reached, in round "]);
    let first = "in the warm-up of use-main.";
    let ended = end(compare(args[..2].iter().chain(SMALL).chain(TWO).copied()).env("MAILCONN_PASSWORD", PASSWORD));
    told(&ended, 4, &[&format!("No choice: the server could not be reached, {first}")]);

    let sandbox = Sandbox::start(TcpListener::bind("127.0.0.1:0").unwrap(), options()).unwrap();
    let url = format!("imap://joe@{}", sandbox.address());
    let wrong = ["--server", &url];
    let ended = end(compare(wrong.iter().chain(SMALL).chain(TWO).copied()).env("MAILCONN_PASSWORD", "wrong"));
    told(&ended, 5, &[&format!("No choice: a sign-in was refused, {first}")]);
}

#[test]
fn a_throttle_is_told_as_what_it_is() {
    for line in ["Too many requests", "rate limit exceeded", "[LIMIT] Too many login attempts, slow down"] {
        let server = Server::start(move |peer| {
            peer.send(GREETING);
            peer.answer(&format!("{{t}} NO {line}\r\n"));
            peer.wait_for_close();
        });
        let ended = end(&mut against(&server, &[TWO, &["--timeout", "1s", "--connect-timeout", "2s"]].concat()));
        let told = choice(tempfile::tempdir().unwrap().path(), &ended.stdout);
        let says = "No choice: the server throttled, in the warm-up of use-main. Not use-main: the server throttled it in the \
                    warm-up.";
        assert!(told.starts_with(says), "{line}: {told}");
        assert_eq!(ended.code, 6, "{line}: {told}");
    }
}

#[test]
fn a_run_that_hung_until_the_time_was_over_did_not_hold() {
    let (commands, is_still) = (AtomicUsize::new(0), 100);
    let server = Server::start(move |peer| {
        peer.sign_in();
        while let Some(line) = peer.line() {
            let (tag, command) = line.split_once(' ').unwrap();
            if commands.fetch_add(1, Ordering::Relaxed) >= is_still {
                peer.wait_for_close();
                return;
            }
            let bye = if command == "LOGOUT" { "* BYE bye\r\n" } else { "" };
            if !peer.send(&format!("{bye}{tag} OK done\r\n")) {
                return;
            }
        }
    });
    let ended = end(&mut against(&server, &[TWO, &["--for", "4s", "--pace", "0s"]].concat()));
    let told = choice(tempfile::tempdir().unwrap().path(), &ended.stdout);
    assert_eq!(ended.code, 1, "{told}");
    assert!(
        told.contains(
            "exit 1: a run took more than twice as long as before: the time for all of it was over (--for), in round "
        ),
        "{told}"
    );
    assert!(told.contains("cut after more than twice the time that it took before in round "), "{told}");
}

#[test]
fn what_may_be_chosen_is_not_chosen_without_its_hazards() {
    let pool = "use-default --executor pool -t 2 --tasks 6";
    let told = end(&mut compare([
        "--variant",
        "use-main",
        "--variant",
        pool,
        "--rounds",
        "8",
        "-n",
        "3",
        "--ops",
        "noop",
        "--rtt",
        "10ms",
        "--format",
        "markdown",
    ]));
    assert_eq!(told.code, 0, "{}", told.stderr);
    let due = "Mind MC010 of use-default in each of its runs: a task ran on a default connection that an earlier task had left \
               to the thread.";
    for due in [due, "use-main opens one connection"] {
        assert!(told.stdout.contains(due), "{}", told.stdout);
    }
    assert!(!told.stdout.contains("Mind MC050"), "advice is no hazard: {}", told.stdout);
}
