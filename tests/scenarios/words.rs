//! The words of scenarios, each for what it does; and what is said of a line, a scenario and a list.

use std::time::Duration;

use serde_json::Value;

use super::telling::{perform, words};
use crate::cli::process::{end, mailconn, shell};
use crate::support::tool::doubts;

/// As expected over that protocol, and the file of it holds.
#[track_caller]
fn holds_over(protocol: &str, text: &str) -> Vec<Value> {
    let ended = perform(text, &format!("--format ndjson --server sandbox+{protocol}"));
    assert_eq!(ended.code, 0, "{protocol}: {text}\n{}{}", ended.stdout, ended.stderr);
    assert_eq!(doubts(ended.stdout.as_bytes()), [""; 0], "{protocol}: {text}");
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const PROTOCOLS: [&str; 3] = ["imap", "smtp", "pop3"];

#[test]
fn what_would_be_used_is_asked_and_nothing_is_opened() {
    let text = "client A use-main-or-default\nclient B use-main\nT1 would on A => main\nexpect opened: 0 on A\n\
                T1 create k on A; create-default on A; leave on A\nT1 would on A => default\nT2 would on A => main or default\n\
                T2 would via k => k\nT2 would via k => explicit\nT2 would via k on B => refused D6\nA mode use-default\n\
                T2 would on A => default-created\nT1 would on A => ok\nA mode use-main\nT1 would on A => main\nT1 dispose k\n\
                T1 would via k => refused D2\nexpect opened: 2 on A\nclose A\nT1 would on A => refused D4\n\
                T1 would via k => refused D4\n";
    for protocol in PROTOCOLS {
        let lines = holds_over(protocol, text);
        let did = |line: usize| lines.iter().find(|event| event["line"] == line).unwrap()["did"][0].clone();
        assert_eq!((&did(3)["what"], &did(3)["reason"]), (&"would".into(), &"main".into()));
        assert_eq!((&did(3)["connection"], &did(3)["name"]), (&Value::Null, &Value::Null));
        assert_eq!((&did(8)["reason"], &did(8)["name"]), (&"explicit".into(), &"k".into()));
        assert_eq!((&did(8)["connection"], &did(8)["client"]), (&"#1".into(), &"A".into()));
    }
    let ended = perform("client use-main\nT1 would => default\n", "");
    assert_eq!(ended.code, 1);
    assert!(words(&ended.stdout).contains("expected: default happened: would use main"), "{}", ended.stdout);
}

#[test]
fn a_client_that_is_dropped_is_closed_by_its_last_holder() {
    let dropped = "client A use-main-or-default\nclient B use-main\nT1 create-default on A; leave on A\nT2 create k on A\nT3 noop on A\n\
                   drop A\nexpect open: nothing on A\nexpect sessions: 0\nT2 dispose k\nT1 noop on B\nexpect no finding MC040\n";
    // A thread that stands in line holds it, and the last one of them closes it.
    let used = "client use-main\nT1 hold\nT2 begins noop\ndrop\nexpect open: main\nT1 release\nT2 finishes => main\n\
                expect open: nothing\nexpect no finding MC040\n";
    // A lease holds its connection alone (D5).
    let leased = "client use-main\nT1 hold\nT1 create k\ndrop\nexpect open: main\nT1 release\nexpect open: nothing\n\
                  expect no finding MC040\n";
    let in_a_task = "client use-default\npool P threads=1\nP scope; noop => default-created\nP begins pause 20ms; noop\ndrop\n\
                     P finishes\nexpect open: nothing\nexpect no finding MC040\n";
    for protocol in PROTOCOLS {
        for text in [dropped, used, leased, in_a_task] {
            holds_over(protocol, text);
        }
    }
    // A server that does not answer cannot keep it.
    let stalled = "client use-main\nT1 noop\nserver stalls main\ndrop\nexpect open: nothing\n";
    let ended = perform(stalled, "");
    assert!(ended.code == 0 && ended.took < Duration::from_secs(20), "{:?}: {}", ended.took, ended.stdout);
}

/// One line, one expectation: it is of the last action that has a result, and whoever is blamed is named.
#[test]
fn of_several_actions_the_one_that_is_blamed_is_named() {
    for (mode, line, code, said) in [
        ("use-main", "create-default; leave => refused C2", 0, ""),
        ("use-default", "noop; create-default d; leave d => refused C2", 0, ""),
        ("use-main wait=10ms", "hold; release; hold; noop; release => refused W3", 0, ""),
        ("use-main", "create-default; leave", 1, "expected: success happened: create-default: refused (C2)"),
        ("use-main", "create-default; leave => opened", 1, "expected: opened happened: create-default: refused (C2)"),
        ("use-main", "noop; leave => main", 1, "expected: main happened: leave: nothing"),
        ("use-main", "leave", 1, "expected: success happened: nothing"),
        (
            "use-main",
            "create-default; noop => refused C2",
            1,
            "expected: success happened: create-default: refused (C2): use-main has no default connections; create an \
             independent connection and pass it, or use use-main-or-default; => speaks of noop",
        ),
        (
            "use-main",
            "dispose-default; create-default => refused C2",
            1,
            "expected: success happened: dispose-default: nothing; => speaks of create-default",
        ),
    ] {
        let text = format!("client {mode}\nT1 {line}\n");
        let ended = perform(&text, "");
        assert_eq!(ended.code, code, "{line}: {}", ended.stdout);
        assert!(words(&ended.stdout).contains(said), "{line}: {}", ended.stdout);
        assert_eq!(doubts(perform(&text, "--format ndjson").stdout.as_bytes()), [""; 0], "{line}");
        // What was begun says it when it is finished.
        let (actions, expected) =
            line.split_once(" => ").map_or((line, String::new()), |(it, to)| (it, format!(" => {to}")));
        let text = format!("client {mode}\nT1 begins {actions}\nT1 finishes{expected}\n");
        let ended = perform(&text, "");
        assert_eq!(ended.code, code, "{line}: {}", ended.stdout);
        assert!(words(&ended.stdout).contains(said), "{line}: {}", ended.stdout);
    }
}

#[test]
fn the_last_line_says_what_the_exit_code_is_for() {
    let hazard = "client use-main\nT1 select Sent\nT2 select INBOX\nT1 fetch-selected\n";
    let wrong_step = "T1 noop => default\n";
    let wrong_end = "expect finding MC010\nexpect no finding MC020\n";
    let named = "a finding that --fail-on names: MC020";
    for (text, flags, said) in [
        (hazard.to_owned(), "", "4 steps, all as expected".to_owned()),
        (hazard.to_owned(), "--fail-on hazard", format!("4 steps, all as expected, but {named}")),
        (format!("{hazard}{wrong_step}"), "", "5 steps, 1 not as expected".to_owned()),
        (format!("{hazard}{wrong_end}"), "", "6 steps, 2 expectations of the findings not met".to_owned()),
        (
            format!("{hazard}{wrong_step}{wrong_end}"),
            "--fail-on hazard",
            format!("7 steps, 1 not as expected, 2 expectations of the findings not met, {named}"),
        ),
    ] {
        let code = i32::from(said != "4 steps, all as expected");
        let ended = perform(&text, flags);
        assert_eq!(ended.code, code, "{}", ended.stdout);
        assert!(words(&ended.stdout).ends_with(&format!("exit {code}: {said}")), "{said}: {}", ended.stdout);
        // And whoever reads the file again says the same.
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("it.ndjson"), perform(&text, &format!("--format ndjson {flags}")).stdout)
            .unwrap();
        let verified = end(mailconn(["verify", "it.ndjson"]).current_dir(folder.path()));
        let why = said.split_once(", ").unwrap().1;
        assert!(words(&verified.stdout).contains(&format!("came to exit {code}: {why}")), "{}", verified.stdout);
        assert!(!verified.stdout.contains("0 steps not"), "{}", verified.stdout);
    }
}

#[test]
fn every_reply_is_late_until_they_come_at_once_again() {
    for protocol in PROTOCOLS {
        let text = "client use-main\nT1 noop\nT1 noop\nserver delays 300ms\nT1 noop\nT1 create k\nserver answers at once\n\
                    T1 noop via k\nT1 noop via k\nT1 noop via k\n";
        let lines = holds_over(protocol, text);
        let took = |line: usize| {
            let step = lines.iter().find(|event| event["line"] == line).unwrap();
            Duration::from_micros(step["took_us"].as_u64().unwrap())
        };
        let late = Duration::from_millis(300);
        assert!(took(5) >= late && took(6) >= 2 * late, "{protocol}: the greeting is late too");
        // One of them is not late, however busy the machine is.
        let prompt = [8, 9, 10].map(took).into_iter().min().unwrap();
        assert!(prompt < late, "{protocol}: {prompt:?}");
    }
}

#[test]
fn a_limit_on_connections_says_whose() {
    // By user where one has signed in, by address where nobody has yet.
    let text = "client A use-main user=u1\nclient B use-main user=u2\nserver limits connections to 1\nT1 noop on A => main\nT1 noop on B => ";
    for (protocol, other, said) in [
        ("imap", "main", "server limits connections to 1 1 for each user"),
        ("pop3", "main", "server limits connections to 1 1 for each user"),
        ("smtp", "fails limit-connections", "server limits connections to 1 1 for each address"),
    ] {
        let ended =
            perform(&format!("{text}{other}\nserver lifts the limit\n"), &format!("--server sandbox+{protocol}"));
        assert_eq!(ended.code, 0, "{protocol}: {}", ended.stdout);
        assert!(words(&ended.stdout).contains(said), "{protocol}: {}", ended.stdout);
    }
}

#[test]
fn a_list_is_a_line_each_in_a_pipe_and_a_heading_with_text_below_on_a_terminal() {
    let piped = end(&mut mailconn(["scenario", "--list"])).stdout;
    let line = "d2-a-disposed-connection-cannot-be-used  D2: an independent connection that was disposed is refused, whoever \
                passes it  (imap smtp pop3)";
    assert!(piped.lines().any(|listed| listed == line), "{piped}");
    for listed in piped.lines() {
        let [name, about, protocols] = listed.split("  ").collect::<Vec<_>>()[..] else { panic!("{listed}") };
        assert!(!name.contains(' ') && !about.is_empty() && protocols.starts_with('('), "{listed}");
    }
    let terminal = end(&mut shell("script -qec 'stty cols 60 rows 24; {} scenario --list' /dev/null < /dev/null"))
        .stdout
        .replace('\r', "");
    let two = "d2-a-disposed-connection-cannot-be-used (imap smtp pop3)\n    D2: an independent connection that was disposed is\n    \
               refused, whoever passes it\n";
    assert!(terminal.contains(two), "{terminal}");
    assert_eq!(terminal.lines().filter(|line| !line.starts_with(' ')).count(), piped.lines().count());
    assert!(terminal.lines().filter(|line| line.starts_with(' ')).all(|line| line.len() <= 60), "{terminal}");
}

/// What failed once is tried again when a step asks for it (B6: a dial without an answer holds nothing back).
#[test]
fn a_dial_that_had_no_answer_keeps_no_later_step_from_dialling() {
    holds_over(
        "imap",
        "client use-main connect=200ms\nserver delays 500ms\nT1 create k => fails timeout\nserver answers at once\nT1 create k2\n\
         T1 noop via k2\n",
    );
}
