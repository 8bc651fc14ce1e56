//! What is said of a scenario while it goes on, and how it ends.

use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::cli::process::{Ended, PASSWORD, end, eventually, mailconn, obey, start};
use crate::protocol::scripted::{GREETING, Server};
use crate::support::tool::doubts;

/// The scenario with that text, and more flags.
pub fn perform(text: &str, flags: &str) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("it.txt");
    fs::write(&file, text).unwrap();
    let mut command = mailconn(["scenario", "it.txt"].into_iter().chain(flags.split_whitespace()));
    end(command.env("MAILCONN_PASSWORD", PASSWORD).current_dir(dir.path()))
}

pub fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn an_expectation_that_does_not_hold_says_expected_and_happened_and_the_exit_code_is_1() {
    let ended = perform("client use-main\nT1  noop  => default\nT1  noop  => main\n", "");
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    let said = words(&ended.stdout);
    assert!(
        said.contains("! 2 T1 noop => default #0, main expected: default happened: noop on #0, main 3 T1"),
        "{said}"
    );
    assert!(said.ends_with("exit 1: 3 steps, 1 not as expected"), "{said}");
}

#[test]
fn each_kind_of_expectation_can_fail() {
    let wrong = [
        "T1 create k => nothing",
        "T1 noop => refused C3",
        "T1 noop => fails",
        "T1 fetch Archive => main from INBOX",
        "T1 noop => main session 2",
        "T1 create k => opened\nT1 create l => opened\nT1 noop via k => l",
        "T1 create-default => opened\nT1 create-default => refused C2",
        "T1 create-default => opened\nT1 create-default",
        "T1 dispose-default",
        "T1 dispose-default => disposed",
        "T1 panic",
        "expect open: main",
        "T1 noop\nexpect open: nothing",
        "T1 create k\nexpect open: nothing",
        "T1 create-default; leave\nexpect open: nothing",
        "expect sessions: 1",
        "T1 noop\nexpect opened: 2",
        "T1 noop\nexpect sign-ins: 0",
        "expect mode use-main",
        "T1 noop\nT2 noop\nexpect order: T2 T1",
        "expect finding MC010",
        "T1 select Sent\nT2 select INBOX\nT1 fetch-selected\nexpect no finding MC020",
        "T1 select Sent\nT2 select INBOX\nT1 fetch-selected\nexpect no findings",
        "server cuts main",
    ];
    for text in wrong {
        let ended = perform(&format!("client use-main-or-default\n{text}\n"), "--format ndjson");
        let steps: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let failed: Vec<&Value> = steps.iter().filter(|step| step["held"] == false).collect();
        assert_eq!((ended.code, failed.len()), (1, 1), "{text}: {}", ended.stdout);
        assert!(failed[0]["expected"].is_string() && failed[0]["happened"].is_string(), "{}", failed[0]);
    }
}

#[test]
fn a_panic_that_is_expected_hides_no_failure_before_it() {
    for (mode, line) in [
        ("use-main", "T1 create-default; fetch NOSUCH; dispose-default; panic => panics"),
        ("use-main-or-default", "T1 fetch NOSUCH; panic => panics"),
        ("use-main-or-default", "T1 dispose-default; panic => panics"),
        ("use-main", "pool P threads=1\nP scope; create-default; panic => panics"),
    ] {
        let ended = perform(&format!("client {mode}\n{line}\n"), "");
        assert_eq!(ended.code, 1, "{line}: {}", ended.stdout);
        assert!(words(&ended.stdout).contains("expected: success happened: "), "{}", ended.stdout);
    }
    let ended = perform("client use-main-or-default\nT1 create-default; noop; panic => panics\n", "");
    assert_eq!(ended.code, 0, "{}", ended.stdout);
}

/// No step is given before the one that was begun has its connection, or stands in line for it.
#[test]
fn whatever_comes_after_a_begun_step_finds_it_begun() {
    let stalled = "client use-main timeout=300ms\nT1 noop\nserver stalls main\nT1 begins noop\nclose\n\
                   T1 finishes => fails timeout\n";
    let in_line = "client use-main\nT1 hold\nT2 begins noop\nT3 begins noop\nT4 begins noop\nclose\n\
                   T2 finishes => refused D4\nT3 finishes => refused D4\nT4 finishes => refused D4\n";
    let for_room = "client use-default cap=1\nT1 noop\nT2 begins noop\nT3 begins create k\nT1 exit\nT2 finishes\n\
                    T2 exit\nT3 finishes => opened\n";
    let refused = "client use-main\nT1 begins create-default\nT1 finishes => refused C2\nT1 begins pause 10ms; noop\n\
                   T1 finishes => main\nT1 begins panic\nT1 finishes => panics\n";
    for text in [stalled, in_line, for_room, refused] {
        for _ in 0..3 {
            let ended = perform(text, "");
            assert_eq!(ended.code, 0, "{}", ended.stdout);
        }
    }
}

#[test]
fn a_task_has_the_first_idle_thread_of_its_pool() {
    let text = "client use-default\npool P threads=2\nP noop\nP noop\nparallel\nP noop\nP noop\nP noop\nend\n\
                P noop\nP begins noop\nP noop\nP finishes\ntask J on P\nP noop\nJ ends\nP noop\n";
    let ended = perform(text, "--format ndjson");
    let steps: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let on: Vec<(u64, &str)> = steps
        .iter()
        .filter(|step| step["event"] == "step")
        .filter_map(|step| Some((step["line"].as_u64()?, step["thread"].as_str()?)))
        .collect();
    let expected = [
        (3, "P.1"),
        (4, "P.1"),
        (6, "P.1"),
        (7, "P.2"),
        (8, "P.1"),
        (10, "P.1"),
        (11, "P.1"),
        (12, "P.2"),
        (13, "P.1"),
        (15, "P.2"),
        (16, "P.1"),
        (17, "P.1"),
    ];
    assert_eq!(on, expected, "{}", ended.stdout);
}

#[test]
fn a_mistake_names_file_line_and_column_and_nothing_is_dialled() {
    let ended = perform("client use-main\nT1  noop via k\n", "--server imap://joe@127.0.0.1:1");
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(
        ended.stderr.starts_with("mailconn: it.txt:2:14: `k` found; the name of an independent connection"),
        "{}",
        ended.stderr
    );
}

#[test]
fn what_is_no_scenario_is_told_in_one_line() {
    for (args, said) in [
        (&["scenario"][..], "FILE"),
        (&["scenario", "no-such-thing"], "no such scenario is shipped (see --list)"),
        (&["scenario", "/"], "/ is a directory; name a file in it"),
        (&["scenario", "/dev/null"], "/dev/null is neither a file nor a pipe"),
        (&["scenario", "-", "-"], "- is standard input, and can be read once"),
        (&["scenario", "pool-hazard", "--fail-on", "none,hazard"], "none stands alone"),
        (&["scenario", "pool-hazard", "-o", "/"], "cannot write to /"),
        (&["scenario", "--list", "pool-hazard"], "--list"),
        (
            &["scenario", "a7-a-unit-has-its-connection-to-itself", "--server", "sandbox+smtp"],
            "this scenario is for imap",
        ),
    ] {
        let ended = end(&mut mailconn(args));
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.lines().count()), (2, "", 1), "{args:?}");
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
}

#[test]
fn a_real_server_is_asked_for_no_fault_and_for_no_mail_that_nobody_allowed() {
    let server = Server::start(|_| panic!("nothing is dialled"));
    let dir = tempfile::tempdir().unwrap();
    for (scheme, text, said) in [
        ("imap", "client use-main\nT1 noop\nserver cuts main\n", "it.txt:3:1: this line needs the sandbox"),
        ("imap", "client use-main wrong-password\nT1 noop\n", "it.txt:1:1: this line needs the sandbox"),
        ("smtp", "client use-main\nT1 send\n", "allow it with --allow-writes"),
    ] {
        fs::write(dir.path().join("it.txt"), text).unwrap();
        let url = format!("{scheme}://joe@{}", server.address);
        let mut command = mailconn(["scenario", "it.txt", "--server", &url]);
        let ended = end(command.env("MAILCONN_PASSWORD", PASSWORD).current_dir(dir.path()));
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{text}");
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
}

#[test]
fn maildrops_are_shared_unless_the_scenario_or_a_flag_says_otherwise() {
    let threads = "client use-default\nT1 noop => default-created\nT2 noop";
    let refused = format!("{threads} => fails limit-connections\nexpect finding MC033\n");
    let locked = refused.replace("T1", "server locks maildrops\nT1");
    let given_back = locked.clone() + "server shares maildrops\nT3 noop => default-created\n";
    for (text, flags) in [
        (format!("{threads} => default-created\nexpect no findings\n"), ""),
        (refused, "--sandbox-maildrops locked"),
        (locked, ""),
        // The first one has its lock still, which is in nobody's way.
        (given_back, "--sandbox-maildrops shared"),
    ] {
        let ended = perform(&text, &format!("--server sandbox+pop3 {flags}"));
        assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    }
}

/// A server that says goodbye unasked may name any cause; whether it had read the command that crossed its goodbye nobody knows.
#[test]
fn a_goodbye_unasked_is_no_disagreement_with_the_servers_record_whatever_its_words() {
    let words = [
        "Request is throttled",
        "[ALERT] Too many simultaneous connections. (Failure)",
        "[UNAVAILABLE] in maintenance",
        "going down",
    ];
    for (protocol, operation) in [("imap", "fetch INBOX"), ("imap", "noop"), ("smtp", "noop"), ("pop3", "noop")] {
        for said in words {
            let text =
                format!("client use-main\nT1 {operation}\nserver says bye to main {said:?}\nT1 {operation} => fails\n");
            let ended = perform(&text, &format!("--server sandbox+{protocol} --format ndjson"));
            assert_eq!(doubts(ended.stdout.as_bytes()), [""; 0], "{protocol} {operation} {said}");
            assert!(!ended.stdout.contains("MC002"), "{protocol} {operation} {said}: {}", ended.stdout);
        }
    }
}

#[test]
fn mail_can_be_sent_in_the_sandbox() {
    let ended = perform(
        "protocols: smtp\nclient use-main\nT1 send => main\nT2 send; verify => main\n",
        "--server sandbox+smtp",
    );
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    assert!(ended.stdout.contains("the server's own record agrees on 3 of 3"), "{}", ended.stdout);
}

#[test]
fn several_clients_are_judged_each_for_itself() {
    let text = "client A use-main\nclient B use-default\nT1 noop on A => main\nT1 noop on B => default-created\n";
    for protocol in ["imap", "smtp"] {
        let ended = perform(text, &format!("--server sandbox+{protocol}"));
        assert_eq!(ended.code, 0, "{}", ended.stdout);
        let said = words(&ended.stdout);
        for name in ["A", "B"] {
            let judged =
                format!("{name}: the rules held in 1 of 1 operations; the server's own record agrees on 1 of 1");
            assert!(said.contains(&judged), "{said}");
        }
    }
}

/// Nobody who wrote a scenario knows what w0 is.
#[test]
fn whoever_is_named_in_a_finding_or_a_step_has_the_name_that_the_scenario_gives() {
    let text = "client use-main-or-default\npool P threads=2\nT1 select Sent; select INBOX\nT2 select Archive\n\
                T1 fetch-selected => main from Archive\nP.1 create-default; leave\nP.1 noop => default\ntask J on P.2\n\
                J create-default; leave\nJ moves to P.1\nJ noop\nJ moves to P.2\nJ noop\nJ ends\n";
    let said = words(&perform(text, "").stdout);
    for evidence in [
        "operation 4 of T1 on #0 asked for INBOX, each message of its reply says that it is in Archive; operation 3 of T2 \
         had selected Archive",
        "P.1:7: 1 operation(s) (number 5) on #1, created on P.1 by P.1:6",
        "J: 1 operation(s) (number 6) on #1 on P.1, 1 operation(s) (number 7) on #2 on P.2",
    ] {
        assert!(said.contains(evidence), "{evidence}: {said}");
    }
    let ended = perform(text, "--format ndjson");
    let tasks: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_line = |line: usize| tasks.iter().find(|step| step["line"] == line).unwrap();
    assert_eq!((&of_line(7)["thread"], &of_line(7)["task"]), (&"P.1".into(), &"P.1:7".into()));
    assert_eq!((&of_line(11)["thread"], &of_line(11)["task"]), (&"P.1".into(), &"J".into()));
}

#[test]
fn an_interruption_ends_a_step_that_waits_for_the_server() {
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let server = Server::start(move |peer| {
        peer.send(GREETING);
        peer.answer("{t} OK [CAPABILITY IMAP4rev1] in\r\n");
        while peer.line().is_some() {
            seen.store(true, Ordering::SeqCst);
        }
    });
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("it.txt"), "client use-main\nT1 noop\nT2 noop\n").unwrap();
    let url = format!("imap://joe@{}", server.address);
    let mut command = mailconn(["scenario", "it.txt", "--server", &url]);
    let running = start(command.env("MAILCONN_PASSWORD", PASSWORD).current_dir(dir.path()));
    eventually("the first step is under way", || asked.load(Ordering::SeqCst));
    running.signal("INT");
    let ended = running.end();
    assert_eq!(ended.code, 130, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.took < Duration::from_secs(15), "{:?}", ended.took);
    assert!(ended.stdout.contains("interrupted by SIGINT: this is as far as it came"), "{}", ended.stdout);
}

#[test]
fn on_a_real_server_the_same_is_said_but_for_the_servers_own_record() {
    let first = AtomicBool::new(true);
    let server = Server::start(move |peer| {
        peer.send(GREETING);
        peer.answer("{t} OK [CAPABILITY IMAP4rev1] in\r\n");
        if first.swap(false, Ordering::SeqCst) {
            peer.line();
            return;
        }
        obey(peer);
    });
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("it.txt"), "client use-main\nT1 noop => fails closed\nT1 noop => main session 2\n")
        .unwrap();
    let url = format!("imap://joe@{}", server.address);
    let mut command = mailconn(["scenario", "it.txt", "--server", &url]);
    let ended = end(command.env("MAILCONN_PASSWORD", PASSWORD).current_dir(dir.path()));
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("the rules held in 2 of 2 operations\n"), "{}", ended.stdout);
}

#[test]
fn the_help_prints_the_grammar() {
    let ended = end(&mut mailconn(["scenario", "--help"]));
    assert_eq!(ended.code, 0);
    for words in ["protocols: imap smtp", "T1 begins noop", "server cuts main by rst", "Exit codes:"] {
        assert!(ended.stdout.contains(words), "{words}");
    }
}

#[test]
fn a_reset_is_told_as_one_and_a_close_as_a_close() {
    for protocol in ["imap", "smtp", "pop3", "imaps"] {
        for (by, said) in [("rst", "the connection was reset"), ("fin", "the server closed the connection")] {
            let text = format!("client use-main\nT1 noop\nserver cuts main by {by}\nT1 noop => fails closed\n");
            let ended = perform(&text, &format!("--server sandbox+{protocol}"));
            assert_eq!(ended.code, 0, "{}", ended.stdout);
            assert!(words(&ended.stdout).contains(&format!("closed at operation: {said}")), "{}", ended.stdout);
        }
    }
}

#[test]
fn a_scenario_is_read_from_standard_input_and_from_pipes() {
    let text = "\u{feff}client use-main\nT1 noop => main\n";
    for (file, name) in [("-", "standard input"), ("/dev/stdin", "/dev/stdin")] {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(text.as_bytes()).unwrap();
        drop(writer);
        let ended = end(mailconn(["scenario", file]).stdin(reader));
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
        assert!(ended.stdout.starts_with(&format!("scenario {name} on sandbox\n")), "{}", ended.stdout);
    }
    let big = perform(&"#".repeat((1 << 20) + 1), "");
    assert_eq!((big.code, big.stderr.contains("it.txt is too big for a scenario")), (2, true), "{}", big.stderr);
}

#[test]
fn the_sandbox_speaks_the_first_protocol_that_a_scenario_names() {
    let send = "protocols: smtp\nclient use-main\nT1 send => main\n";
    for flags in ["", "--server sandbox"] {
        let ended = perform(send, flags);
        assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.starts_with("scenario it.txt on sandbox+smtp\n"), "{}", ended.stdout);
    }
    assert_eq!(perform(send, "--server sandbox+imap").code, 2);
    // Each its own, in one call.
    let args = ["scenario", "b4-a-maildrop-has-one-owner", "a7-a-unit-has-its-connection-to-itself"];
    let ended = end(&mut mailconn(args));
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert!(words(&ended.stdout).contains("a-unit-has-its-connection-to-itself on sandbox "), "{}", ended.stdout);
    assert!(words(&ended.stdout).contains("a-maildrop-has-one-owner on sandbox+pop3 "), "{}", ended.stdout);
}

#[test]
fn the_report_goes_to_the_file_that_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for format in ["text", "ndjson"] {
        let args = ["scenario", "pool-hazard", "-o", "it.out", "--format", format];
        let ended = end(mailconn(args).current_dir(dir.path()));
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "", ""));
        let told = fs::read_to_string(dir.path().join("it.out")).unwrap();
        assert!(told.contains("create-default; leave"), "{told}");
    }
    let ended = end(&mut mailconn(["scenario", "pool-hazard", "-o", "-"]));
    assert!(ended.stdout.contains("create-default; leave"), "{}", ended.stdout);
}

#[test]
fn a_finding_fails_a_scenario_where_that_is_asked_for_and_nobody_expected_it() {
    let hazard = "client use-main\nT1 select Sent\nT2 select INBOX\nT1 fetch-selected\n";
    let expected = format!("{hazard}expect finding MC020\n");
    for (text, flags, code) in [
        (hazard, "", 0),
        (hazard, "--fail-on none", 0),
        (hazard, "--fail-on leak,fault", 0),
        (hazard, "--fail-on leak,hazard", 1),
        (&expected, "--fail-on hazard", 0),
    ] {
        let ended = perform(text, flags);
        assert_eq!(ended.code, code, "{flags}: {}", ended.stdout);
        let said = words(&ended.stdout).contains("all as expected, but a finding that --fail-on names");
        assert_eq!(said, code == 1, "{}", ended.stdout);
        let ended = perform(text, &format!("--format ndjson {flags}"));
        assert_eq!((ended.code, doubts(ended.stdout.as_bytes())), (code, Vec::new()), "{flags}");
    }
}

#[test]
fn clients_sign_in_as_the_users_that_the_scenario_names_in_the_sandbox_alone() {
    // Each user may have one connection: what the other one has does not count. (By SMTP addresses are counted.)
    let text = "client A use-main user=u1\nclient B use-main user=u2\nT1 noop on A => main\nT1 noop on B => main\n\
                T1 create k on B => fails limit-connections\n";
    for protocol in ["imap", "pop3"] {
        let ended = perform(text, &format!("--server sandbox+{protocol} --sandbox-connections 1"));
        assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    }
    let server = Server::start(|_| panic!("nothing is dialled"));
    let ended = perform(text, &format!("--server imap://u1@{}", server.address));
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.lines().count()), (2, "", 1));
    assert!(ended.stderr.contains("it.txt:2:1: user=u2 needs the sandbox"), "{}", ended.stderr);
    drop(server);
    let server = Server::start(|peer| {
        peer.send(GREETING);
        peer.answer("{t} OK [CAPABILITY IMAP4rev1] in\r\n");
        obey(peer);
    });
    let ended =
        perform("client use-main user=u1\nT1 noop => main\n", &format!("--server imap://u1@{}", server.address));
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn of_several_clients_a_connection_is_told_with_its_clients_name() {
    let text = "client A use-main user=u1\nclient B use-main user=u2\nT1 noop on A\nT1 noop on B => explicit\n\
                T1 create k on A; noop via k on B => refused D6\nserver cuts main on B\nT1 dispose k\n";
    let ended = perform(text, "");
    let said = words(&ended.stdout);
    for told in [
        "T1 noop on A A #0, main",
        "B #0, main expected: explicit happened: noop on B #0, main",
        "opened A #1; refused D6 refused (D6): A #1 belongs to another client",
        "server cuts main on B B #0, port",
        "disposed A #1",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    let ended = perform(text, "--format ndjson");
    let steps: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_line = |line: usize| &steps.iter().find(|step| step["line"] == line).unwrap()["did"];
    assert_eq!((&of_line(3)[0]["client"], &of_line(4)[0]["client"]), (&"A".into(), &"B".into()));
    assert_eq!(doubts(ended.stdout.as_bytes()), [""; 0]);
}

/// A few steps give no figures to advise on, unless the scenario is about that.
#[test]
fn advice_is_named_and_told_where_a_step_expects_it() {
    let opens = "client use-main\nT1 create a\nT1 noop via a\nT1 create b\nT1 noop via b\nT1 dispose a\nT1 dispose b\n";
    for (expectation, is_told) in [("expect finding MC051", true), ("expect no finding MC040", false)] {
        let ended = perform(&format!("{opens}{expectation}\n"), "");
        assert_eq!(ended.code, 0, "{}", ended.stdout);
        assert_eq!(ended.stdout.contains("found MC051"), is_told, "{}", ended.stdout);
        assert_eq!(ended.stdout.contains("\nMC051 advice: 2 connections were opened"), is_told, "{}", ended.stdout);
    }
}

#[test]
fn a_failure_is_told_once() {
    let ended = perform("client use-main\nT1 create-default\nT1 fetch NOSUCH => main\nT1 noop; panic\n", "");
    let said = words(&ended.stdout);
    for once in ["use-main has no default connections", "NO [NONEXISTENT]", "as the scenario asks"] {
        assert_eq!(said.matches(once).count(), 1, "{once}: {said}");
    }
}

/// Nothing but the end asks what happened, and far more happens than a run would let wait.
#[test]
fn a_scenario_of_thousands_of_operations_ends() {
    let line = format!("T1 {}\n", ["noop"; 150].join("; "));
    let ended = perform(&format!("client use-main\n{}", line.repeat(120)), "");
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    assert!(words(&ended.stdout).contains("the rules held in 18000 of 18000"), "{}", ended.stderr);
}
