//! `mailconn verify`: what it accepts, what it does not, and how it says so.

use std::process::Stdio;

use serde_json::Value;

use super::process::{
    Ended, PASSWORD, against, end, eventually, is_sound, list, mailconn, number, obey, run, shell, start,
};
use crate::protocol::scripted::{SMTP, Server};
use crate::support::tool;

/// `mailconn verify` of that text on its standard input.
fn verify(text: &str, args: &[&str]) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace");
    std::fs::write(&path, text).unwrap();
    end(mailconn(["verify", "-"].iter().chain(args)).stdin(Stdio::from(std::fs::File::open(path).unwrap())))
}

#[test]
fn what_the_tests_say_of_a_file_is_what_the_command_says() {
    let sound = run("-n 2 -t 2 --mode use-default --format ndjson").stdout;
    let lie = sound.replacen(r#""had_default":true"#, r#""had_default":false"#, 1);
    let scenario = end(&mut mailconn(["scenario", "pool-hazard", "--format", "ndjson"])).stdout;
    for file in [sound, lie, scenario] {
        assert_eq!(verify(&file, &[]).stdout, tool::verify_text(file.as_bytes()).unwrap());
        let document: Value = serde_json::from_str(&verify(&file, &["--format", "json"]).stdout).unwrap();
        assert_eq!(document, tool::verify(file.as_bytes()).unwrap());
    }
}

/// What its findings mean for its exit code is said once for all of them.
#[test]
fn the_runs_of_a_scenario_and_its_end_name_one_policy() {
    let args = ["scenario", "c5-two-clients-on-one-thread", "--format", "ndjson", "--fail-on", "leak"];
    let sound = end(&mut mailconn(args)).stdout;
    let named: Vec<usize> = sound.match_indices(r#""judged_by":{"fail_on":["leak"]}"#).map(|(at, _)| at).collect();
    assert_eq!((named.len(), verify(&sound, &[]).code), (3, 0), "two runs and the end");
    for at in named {
        let (before, after) = sound.split_at(at);
        let lie = before.to_owned() + &after.replacen(r#"["leak"]"#, r#"["fault"]"#, 1);
        let Ended { code, stdout, .. } = verify(&lie, &[]);
        assert_eq!(code, 7, "{stdout}");
        assert!(stdout.contains("judged_by"), "{stdout}");
    }
}

#[test]
fn runs_of_every_kind_are_sound_whatever_they_came_to() {
    for (args, code) in [
        ("-n 30 -t 6 --mode use-main", 0),
        ("-n 30 -t 6 --mode use-default", 0),
        (
            "-n 20 -t 6 --default-for w0-w3 --independent-for w3-w4 --ops noop,list,status,fetch,search --mailbox Sent",
            0,
        ),
        ("--duration 200ms -t 3 --pause 2ms", 0),
        ("-n 20 --server sandbox+smtps --mode use-default --allow-writes --ops send,verify,noop", 0),
        ("-n 20 --server sandbox+smtp --starttls --ehlo-label", 0),
        ("-n 20 --server sandbox+pop3s --mode use-main --ops noop,stat,list,retrieve", 0),
        ("-n 3 --server sandbox+pop3 --mode use-default --connect-timeout 1s", 6),
        ("-n 10 --mode use-default --allow-writes --ops append", 0),
        ("-n 10 --mode use-default -t 6 --sandbox-connections 3", 6),
        ("-n 40 -t 6 --mode use-main --lock command --ops fetch --mailbox INBOX --mailbox Sent", 1),
        ("-n 20 -t 6 --lock command --fail-on none", 0),
        ("-n 20 -t 6 --mode use-default --lock command", 0),
        ("-n 20 -t 6 --mode use-default --switch-mode 60=use-main", 0),
        ("-n 5 -t 4 --mode use-main --executor pool --tasks 20", 0),
        ("-n 5 -t 4 --mode use-default --executor tasks --tasks 20 --dispose task", 0),
        ("-n 10 -t 3 --default-for all --sandbox-connections 2", 6),
        ("-n 10 -t 6 --mode use-default --max-connections 2 --wait-timeout 50ms", 1),
        ("-n 10 -t 6 --mode use-main --wait-timeout 1ms --sandbox-latency 3ms", 1),
        ("-n 5 -t 3 --mode use-main --timeout 30ms --sandbox-latency 60ms", 1),
        ("-n 5 -t 3 --independent-for all --timeout 30ms --sandbox-latency 60ms", 1),
    ] {
        let ran = run(&format!("{args} --format ndjson"));
        assert_eq!((ran.code, &*ran.complaints()), (code, ""), "{args}");
        let verified = verify(&ran.stdout, &[]);
        assert_eq!((verified.code, &*verified.stderr), (0, ""), "{args}: {}", verified.stdout);
        assert!(verified.stdout.contains(&format!("came to exit {code}:")), "{}", verified.stdout);
        assert!(
            verified.stdout.ends_with("exit 0: the trace is sound: it says what happened\n"),
            "{}",
            verified.stdout
        );
    }
}

/// The line that the record holds is the shown one, and names that a server repeats stand in it as they were sent.
#[test]
fn a_refusal_is_called_what_the_line_meant_as_it_came() {
    let cases: [(&str, &[u8], &str, &str, &str); 11] = [
        ("NOOP", b"\xe9\0rate\tlimit\x07 exceeded", "noop", "", "limit-rate"),
        ("NOOP", b"rate\xe9limit exceeded", "noop", "", "limit-rate"),
        ("NOOP", b"rate\x01limit exceeded", "noop", "", "limit-rate"),
        ("NOOP", b"rate\\x20limit", "noop", "", "server-no"),
        ("EXAMINE", b"Mailbox \"Rate limits &AOk-\" cannot be opened", "fetch", "Rate limits \u{e9}", "server-no"),
        ("EXAMINE", b"Mailbox \"Rate limits \xc3\xa9\" cannot be opened", "fetch", "Rate limits \u{e9}", "server-no"),
        ("EXAMINE", b"Mailbox \"rate limit/&ANw-bung\" damaged", "fetch", "Rate limit/\u{dc}bung", "server-no"),
        ("EXAMINE", b"Cannot open \"rate limit \\\"x\\\"\"", "fetch", "rate limit \"x\"", "server-no"),
        ("EXAMINE", b"[X] throttled or Rate limit gone", "fetch", "throttled,Rate limit", "limit-rate"),
        ("STATUS", b"cannot count Rate limit", "status", "Rate limit", "server-no"),
        ("CREATE", b"[X] you have been rate limited", "append", "", "limit-rate"),
    ];
    for (verb, words, ops, mailboxes, kind) in cases {
        let server = Server::start(move |peer| {
            peer.sign_in();
            while let Some(line) = peer.line() {
                let (tag, command) = line.split_once(' ').unwrap();
                let said: Vec<u8> = if command.starts_with(verb) {
                    [tag.as_bytes(), b" NO ", words, b"\r\n"].concat()
                } else {
                    format!("{tag} OK done\r\n").into_bytes()
                };
                if !peer.send_bytes(&said) {
                    return;
                }
            }
        });
        let mut command = against(server.address, &format!("--mode use-main -t 1 -n 4 --ops {ops} --format ndjson"));
        for mailbox in mailboxes.split(',').filter(|name| !name.is_empty()) {
            command.args(["--mailbox", mailbox]);
        }
        if ops == "append" {
            command.args(["--allow-writes", "--scratch-under", "Rate limit"]);
        }
        let ran = end(&mut command);
        let shown = String::from_utf8_lossy(words);
        assert!(ran.stdout.contains(&format!("\"kind\":\"{kind}\"")), "{shown}: {}{}", ran.stdout, ran.stderr);
        is_sound(&ran.stdout);

        // Nobody refused a sign-in.
        let lie = ran.stdout.replace(&format!("\"kind\":\"{kind}\""), "\"kind\":\"auth-invalid\"");
        let verified = verify(&lie, &[]);
        let said = verified.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(verified.code == 7 && said.contains("it is called auth-invalid"), "{shown}: {said}");
    }
}

/// Whom a letter is from and to stands in no record.
#[test]
fn a_refusal_that_repeats_an_address_is_called_what_it_meant() {
    for (verb, reply) in [
        ("MAIL", "550 5.7.1 sender <rate-limit@example.org> not allowed\r\n"),
        ("MAIL", "550 5.7.1 sender rate-limit@example.org not allowed to rate-limit-exceeded@example.org\r\n"),
        ("RCPT", "550 5.7.1 mailbox rate-limit-exceeded@example.org cannot be reached\r\n"),
        ("RCPT", "550 5.7.1 mailbox rate-limit-exceeded cannot be reached\r\n"),
        ("RCPT", "450 4.7.1 rate limit exceeded for rate-limit-exceeded@example.org\r\n"),
    ] {
        let server = Server::of(mailconn::protocol::Protocol::Smtp, "127.0.0.1:0", move |peer| {
            peer.send(SMTP[0].1);
            while let Some(line) = peer.line() {
                let rule = SMTP.iter().find(|(start, _)| !start.is_empty() && line.starts_with(start));
                let said = if line.starts_with(verb) { reply } else { rule.map_or("250 OK\r\n", |rule| rule.1) };
                if !peer.send(said) {
                    return;
                }
            }
        });
        let url = format!("smtp://joe@{}", server.address);
        let mut command = mailconn(["run", "--server", &url, "--plaintext", "-t", "1", "-n", "1", "--ops", "send"]);
        command.args(["--allow-writes", "--to", "rate-limit-exceeded@example.org"]);
        command.args(["--from", "rate-limit@example.org", "--format", "ndjson"]);
        let ran = end(command.env("MAILCONN_PASSWORD", PASSWORD));
        assert!(ran.code == 1 || ran.code == 6, "{reply}: {}{}", ran.stdout, ran.stderr);
        is_sound(&ran.stdout);
    }
}

#[test]
fn a_run_that_met_nobody_or_a_server_of_few_words_is_sound() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = end(&mut against(nobody, "-n 3 -t 3 --format ndjson"));
    assert_eq!(refused.code, 4);
    is_sound(&refused.stdout);
    for hangs_up_after in 0..6 {
        let server = Server::start(move |peer| {
            peer.sign_in();
            for _ in 0..hangs_up_after {
                let Some(line) = peer.line() else { return };
                let tag = line.split(' ').next().unwrap();
                peer.send(&format!("{tag} OK done\r\n"));
            }
        });
        for mode in ["--mode use-main", "--mode use-default", "--independent-for all"] {
            let args = format!("-n 3 -t 2 --ops noop --format ndjson {mode}");
            is_sound(&end(&mut against(server.address, &args)).stdout);
        }
    }
    let obedient = Server::start(|peer| {
        peer.sign_in();
        obey(peer);
    });
    let ended = end(&mut against(obedient.address, "-n 3 -t 2 --ops noop --format ndjson"));
    let verified = verify(&ended.stdout, &[]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    assert!(verified.stdout.contains("holds no record of the server's own"), "{}", verified.stdout);
}

#[test]
fn an_interrupted_run_is_sound() {
    let server = Server::start(|peer| {
        peer.sign_in();
        while peer.line().is_some() {}
    });
    for (mode, held_up) in [("use-default", 3), ("use-main", 1)] {
        let heard = server.heard_verb("NOOP");
        let args = format!("--mode {mode} --threads 3 -n 7 --ops noop --timeout 50s --format ndjson");
        let running = start(&mut against(server.address, &args));
        eventually("operations are held up", || server.heard_verb("NOOP") == heard + held_up);
        running.signal("INT");
        let ended = running.end();
        assert_eq!(ended.code, 130);
        is_sound(&ended.stdout);
    }
    for mode in ["use-default", "use-main"] {
        let args = format!("run --mode {mode} --threads 4 --duration 50s --format ndjson --sandbox-latency 1ms");
        let running = start(&mut mailconn(args.split(' ')));
        std::thread::sleep(std::time::Duration::from_millis(300));
        running.signal("TERM");
        let ended = running.end();
        assert_eq!(ended.code, 143);
        is_sound(&ended.stdout);
    }
}

#[test]
fn what_does_not_hold_is_told_with_its_line_and_its_rule_and_both_sides() {
    let trace = run("-n 4 -t 1 --seed 7 --ops noop --format ndjson").stdout;
    let lie = trace.replacen(r#""number":3,"#, r#""number":8,"#, 1);
    let told = verify(&lie, &[]);
    assert_eq!((told.code, &*told.stderr), (7, ""));
    // The server's record stands between, earlier or later.
    let line = lie.lines().position(|line| line.contains(r#""number":8,"#)).unwrap() + 1;
    let doubt = format!("  {:12}numbers       this is operation 3, it says 8\n", format!("line {line}"));
    assert!(told.stdout.contains(&doubt), "{}", told.stdout);
    assert!(told.stdout.contains(" 3 of 4   NOT HELD: operations are numbered"), "{}", told.stdout);
    assert!(told.stdout.ends_with("exit 7: something in the trace does not hold\n"), "{}", told.stdout);
    assert!(told.stdout.lines().all(|line| line.chars().count() <= 80), "{}", told.stdout);

    let told = verify(&lie, &["--format", "json"]);
    let report: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!((told.code, number(&report["exit_code"]), &report["holds"]), (7, 7, &Value::Bool(false)));
    let doubts: Vec<_> =
        list(&report["doubts"]).iter().map(|it| (number(&it["line"]), it["rule"].as_str().unwrap())).collect();
    assert_eq!(doubts, [(5, "numbers")]);
    assert_eq!(report["traces"][0]["recomputed"]["operations"]["ok"], 4);

    let cut = &trace[..trace.len() - 40];
    let told = verify(cut, &[]);
    assert_eq!(told.code, 7);
    assert!(told.stdout.contains("there is no run-end"), "{}", told.stdout);
    let unfinished: String = trace.lines().take(4).map(|line| format!("{line}\n")).collect();
    assert_eq!(verify(&unfinished, &[]).code, 7);
}

#[test]
fn what_cannot_be_verified_is_one_line_and_exit_code_2() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    for arg in [missing.to_str().unwrap(), directory.path().to_str().unwrap(), "/dev/null", "Cargo.toml"] {
        let ended = end(&mut mailconn(["verify", arg]));
        assert_eq!((ended.code, &*ended.stdout, ended.stderr.lines().count()), (2, "", 1), "{arg}: {}", ended.stderr);
    }
    assert_eq!(end(&mut mailconn(["verify"])).code, 2);
    let endless = end(&mut shell("head -c 50000000 /dev/zero | {} verify -"));
    assert_eq!((endless.code, endless.stderr.lines().count()), (2, 1), "{}", endless.stderr);
    assert!(endless.stderr.contains("line 1 is longer than 16777216 bytes"), "{}", endless.stderr);
    let table = verify(&run("-n 2").stdout, &[]);
    assert_eq!(table.code, 2);
    assert!(table.stderr.contains("run-start line of `mailconn run --format ndjson`"), "{}", table.stderr);
}

#[test]
fn scenarios_are_verified_one_after_the_other_whatever_they_came_to() {
    let ran = end(&mut mailconn(["scenario", "pool-hazard", "c5-two-clients-on-one-thread", "--format", "ndjson"]));
    assert_eq!(ran.code, 0);
    let verified = verify(&ran.stdout, &[]);
    assert_eq!((verified.code, &*verified.stderr), (0, ""), "{}", verified.stdout);
    for said in ["verify scenario pool-hazard of mailconn", "verify scenario c5-two-clients-on-one-thread", "2 clients"]
    {
        let words: Vec<&str> = verified.stdout.split_whitespace().collect();
        assert!(words.join(" ").contains(said), "{}", verified.stdout);
    }
    assert!(verified.stdout.lines().all(|line| line.chars().count() <= 80), "{}", verified.stdout);

    let lie = ran.stdout.replace(r#""had_default":true"#, r#""had_default":false"#);
    let told = verify(&lie, &[]);
    assert_eq!(told.code, 7);
    assert!(told.stdout.contains("operation 2 of P.1: it claims had_default=false"), "{}", told.stdout);
    // Lines are counted through the whole file.
    let changed = ran.stdout.lines().zip(lie.lines()).enumerate().filter(|(_, (was, is))| was != is);
    for (at, _) in changed {
        assert!(told.stdout.contains(&format!("line {} ", at + 1)), "{}: {}", at + 1, told.stdout);
    }

    let json = verify(&ran.stdout, &["--format", "json"]);
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    let names: Vec<&Value> = list(&report["traces"]).iter().map(|trace| &trace["scenario"]).collect();
    assert_eq!(names, ["pool-hazard", "c5-two-clients-on-one-thread"]);

    let cut = &ran.stdout[..ran.stdout.len() - 40];
    assert!(verify(cut, &[]).stdout.contains("there is no scenario-end"));
}

#[test]
fn a_run_is_verified_through_a_pipe() {
    let ended = end(&mut shell("{} run -n 5 --format ndjson | {} verify - --format json; exit ${PIPESTATUS[1]}"));
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    let help = end(&mut mailconn(["verify", "--help"]));
    assert!(help.stdout.contains("7  something in it does not hold"), "{}", help.stdout);
}

#[test]
fn what_the_file_says_is_told_as_what_the_file_says() {
    let ran = run("-n 2 -t 4 --mode use-default --sandbox-connections 2 --format ndjson");
    assert_eq!(ran.code, 6);
    let (entries, end) = ran.stdout.trim_end().rsplit_once('\n').unwrap();
    let told = verify(&format!("{entries}\n{}\n", end.replace(r#""exit_code":6"#, r#""exit_code":0"#)), &[]);
    let said = told.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(told.code, 7);
    assert!(said.contains("the file says that the run came to exit 0, its events come to 6:"), "{said}");

    let one = verify(&run("-n 2 -t 1 --format ndjson").stdout, &[]).stdout;
    assert!(one.contains("2 operations ran on 1 session;"), "{one}");
    let lines = one.split(" line").next().unwrap().rsplit(' ').next().unwrap();
    assert!(one.contains(&format!("{lines} of {lines}   each line is one event")), "{one}");
}

#[test]
fn a_rule_that_no_record_of_the_server_was_there_for_is_not_said_to_hold() {
    let server = Server::start(|peer| {
        peer.sign_in();
        obey(peer);
    });
    let trace = end(&mut against(server.address, "-n 3 -t 2 --ops noop --format ndjson")).stdout;
    let text = verify(&trace, &[]).stdout;
    assert!(text.contains("  witness       not available   the server's own record"), "{text}");
    let report: Value = serde_json::from_str(&verify(&trace, &["--format", "json"]).stdout).unwrap();
    assert_eq!(report["traces"][0]["witness"], false);
    assert!(list(&report["checks"]).iter().all(|check| check["rule"] != "witness"));
}

#[test]
fn a_line_that_is_missing_is_told_of_before_what_follows_from_it() {
    let trace = run("-n 20 -t 3 --mode use-default --format ndjson").stdout;
    let without: String =
        trace.lines().enumerate().filter(|(at, _)| *at != 4).map(|(_, line)| format!("{line}\n")).collect();
    let told = verify(&without, &[]);
    let (_, doubts) = told.stdout.split_once("What does not hold:\n").unwrap();
    let mut lines = doubts.lines();
    assert_eq!(lines.next(), Some("  line 5      sequence      number 4 is missing before it, it says 5"));
    assert!(lines.next().unwrap().contains("more that may follow from the file not being whole"), "{doubts}");
    assert!(told.stdout.contains("sequence"), "{}", told.stdout);
    assert!(!told.stdout.contains("Some("), "{}", told.stdout);
}

/// The server ends each session after so many commands: between the selection and the reading, too.
#[test]
fn a_naive_run_whose_sessions_end_between_its_leases_is_sound() {
    for hangs_up_after in 1..7 {
        let server = Server::start(move |peer| {
            peer.sign_in();
            for _ in 0..hangs_up_after {
                let Some(line) = peer.line() else { return };
                let mut words = line.split(' ');
                let (tag, verb) = (words.next().unwrap(), words.next().unwrap());
                let answer = if verb == "EXAMINE" { "* 1 EXISTS\r\n" } else { "" };
                peer.send(&format!("{answer}{tag} OK done\r\n"));
            }
        });
        for flags in ["--mode use-main", "--mode use-default", "--independent-for all --mailbox Archive"] {
            let flags = format!("-n 4 -t 4 --lock command --ops fetch,noop --format ndjson {flags}");
            is_sound(&end(&mut against(server.address, &flags)).stdout);
        }
    }
}

#[test]
fn a_file_is_judged_anew_by_another_policy_and_the_words_of_a_finding_may_be_others() {
    let tasks = "-n 2 -t 2 --tasks 6 --executor pool --default-for all --ops noop --format ndjson";
    let ran = run(tasks);
    assert_eq!(ran.code, 1, "a hazard fails it");
    let reworded = ran.stdout.replace("\"sentence\":\"", "\"sentence\":\"In other words: ");
    assert_ne!(reworded, ran.stdout);
    for file in [&ran.stdout, &reworded] {
        for (args, code) in [
            (&[][..], 0),
            (&["--fail-on", "none"], 0),
            (&["--fail-on", "leak,fault"], 0),
            (&["--fail-on", "hazard"], 1),
            (&["--fail-on", "none,hazard"], 2),
        ] {
            assert_eq!(verify(file, args).code, code, "{args:?}");
        }
    }
    let lie = ran.stdout.replacen(r#""had_default":true"#, r#""had_default":false"#, 1);
    assert_eq!(verify(&lie, &["--fail-on", "none"]).code, 7);
}

#[test]
fn the_servers_record_of_a_session_is_whole_or_missed() {
    let file = run("-n 3 -t 2 --mode use-default --format ndjson").stdout;
    let is_session = |line: &&str| line.contains(r#""event":"witness-session""#);
    let session = file.lines().find(is_session).unwrap();
    let read = number(&serde_json::from_str::<Value>(session).unwrap()["commands"]);
    let (said, lie) = (format!(r#""commands":{read}"#), format!(r#""commands":{}"#, read + 1));
    let verified = verify(&file.replace(session, &session.replace(&said, &lie)), &[]);
    assert_eq!(verified.code, 7, "{}", verified.stdout);
    let told = verified.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains(&format!("the server read {} commands on port", read + 1)), "{}", verified.stdout);
}
