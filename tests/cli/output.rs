//! Where the output goes, and what it looks like there.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::process::{PASSWORD, against, end, events, mailconn, number, obey, of_kind, run, shell, start_unread};
use crate::protocol::scripted::{GREETING, Server};

fn names(directory: &Path) -> Vec<String> {
    std::fs::read_dir(directory).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_file_is_written_whole_and_replaces_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report");
    let name = path.to_str().unwrap();
    for format in ["json", "table", "ndjson"] {
        std::fs::write(&path, "an old report, longer than the new one ".repeat(10_000)).unwrap();
        let old = std::fs::File::open(&path).unwrap();
        let ended = run(&format!("-n 2 --format {format} -o {name}"));
        assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (0, "", ""));
        let text = std::fs::read_to_string(&path).unwrap();
        match format {
            "json" => drop(serde_json::from_str::<Value>(&text).unwrap()),
            "table" => assert!(
                text.starts_with("sandbox, use-main-or-default, ") && text.ends_with("exit 0: all held\n"),
                "{text}"
            ),
            _ => drop(events(&text)),
        }
        assert_eq!(names(directory.path()), ["report"], "nothing else is left behind");
        if format != "ndjson" {
            let still = std::io::read_to_string(old).unwrap();
            assert!(still.starts_with("an old report"), "whoever reads the old one goes on reading it");
        }
    }
}

#[test]
fn a_dash_is_standard_output_and_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = super::process::mailconn("run -n 1 --format ndjson -o -".split_whitespace());
    let ended = super::process::end(command.current_dir(directory.path()));
    assert_eq!(ended.code, 0);
    drop(events(&ended.stdout));
    assert_eq!(names(directory.path()), [""; 0]);
}

#[test]
fn a_failed_run_still_writes_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report.json");
    let ended = run(&format!("-n 2 --mode use-default --sandbox-connections 1 --format json -o {}", path.display()));
    assert_eq!(ended.code, 6);
    let report: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(report["exit_code"], 6);
}

#[test]
fn a_reader_that_goes_away_changes_no_exit_code() {
    for (args, code) in [
        ("-n 500 --mode use-default --format ndjson", 0),
        ("-n 20 --each", 0),
        ("-n 20 --format json", 0),
        ("-n 20 --mode use-default --sandbox-connections 1 --format ndjson", 6),
    ] {
        let ended = end(&mut shell(&format!("{{}} run {args} | head -1; exit ${{PIPESTATUS[0]}}")));
        assert_eq!((ended.code, ended.stdout.lines().count(), &*ended.complaints()), (code, 1, ""), "{args}");
        let ended = end(&mut shell(&format!("exec {{}} run {args} >&-")));
        assert_eq!((ended.code, &*ended.complaints()), (code, ""), "{args}, stdout closed");
    }
    let ended = end(&mut shell("{} --help | head -1; {} run --help | true; exit ${PIPESTATUS[0]}"));
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
}

#[test]
fn a_full_disk_is_an_error_of_its_own() {
    for format in ["table", "json", "ndjson"] {
        let ended = end(&mut shell(&format!("exec {{}} run -n 1 --format {format} > /dev/full")));
        assert_eq!((ended.code, ended.stderr.lines().count()), (2, 1), "{}", ended.stderr);
        assert!(ended.stderr.starts_with("mailconn: writing the report: No space left"), "{}", ended.stderr);
    }
}

#[test]
fn the_table_is_plain_text_of_80_columns_and_says_first_what_ran() {
    for args in [
        "--mode use-default --threads 8",
        "--mode use-default --threads 30 -n 3 --each",
        "--threads 8 --default-for w0-w3 --independent-for w7 -n 30 --ops noop,list,status,fetch,search --each",
        "--mode use-default --threads 9 --sandbox-connections 3",
        "--mode use-main --threads 120 --duration 200ms",
        "--mode use-default --threads 6 --max-connections 2 --wait-timeout 50ms -n 9 --seed 18446744073709551615",
    ] {
        let ended = run(args);
        let first = ended.stdout.lines().next().unwrap();
        assert!(first.starts_with("sandbox, use-"), "{first:?}");
        for line in ended.stdout.lines() {
            assert!(line.chars().count() <= 80, "{} columns in {args}:\n{line}", line.chars().count());
            assert!(!line.contains(char::is_control) && line.trim_end() == line, "{line:?}");
        }
        let last = ended.stdout.lines().last().unwrap();
        assert!(last.starts_with(&format!("exit {}: ", ended.code)), "{last:?}");
    }
}

#[test]
fn colours_and_terminals_are_not_needed() {
    let args = ["run", "-n", "2", "--seed", "1"];
    let plain = end(&mut mailconn(args));
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", "")] {
        let ended = end(mailconn(args).env(name, value));
        assert_eq!((ended.code, &*ended.stderr), (0, ""));
        assert!(!ended.stdout.contains('\u{1b}'));
        assert_eq!(ended.stdout.lines().next(), plain.stdout.lines().next());
    }
    let bare = end(mailconn(args).env_clear());
    assert_eq!((bare.code, &*bare.stderr), (0, ""));
}

#[test]
fn a_long_run_tells_of_itself_on_stderr_unless_told_not_to() {
    let long = "--mode use-default --threads 2 --duration 5500ms --pause 20ms --format json";
    let quiet = std::thread::spawn(move || run(&format!("{long} --progress never")));
    let told = run(long);
    told.json();
    let lines: Vec<&str> = told.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{:?}", told.stderr);
    assert!(lines[0].starts_with("mailconn: after 5."), "{lines:?}");
    assert!(lines[0].contains(" operations, ") && lines[0].ends_with("2 open, 0 failed"), "{lines:?}");
    assert!(!told.stderr.contains(['\u{1b}', '\r']));
    let quiet = quiet.join().unwrap();
    quiet.json();
    assert_eq!(quiet.stderr, "");
}

#[test]
fn ndjson_is_streamed_while_the_run_goes_on() {
    let mut running = start_unread(&mut mailconn(
        "run --mode use-default --threads 3 --duration 50s --pause 10ms --format ndjson".split_whitespace(),
    ));
    let mut reader = BufReader::new(running.stdout());
    let mut text = String::new();
    while text.matches(r#""event":"operation""#).count() < 20 {
        assert_ne!(reader.read_line(&mut text).unwrap(), 0, "the run ended early: {text}");
    }
    assert!(!running.is_over() && !text.contains("run-end"));
    running.signal("INT");
    std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
    let ended = running.end();
    assert_eq!(ended.code, 130);
    let events = events(&text);
    assert_eq!(events.last().unwrap()["exit_code"], 130);
    for (kind, count) in [("session-opened", 3), ("session-closed", 3), ("witness-session", 3)] {
        assert_eq!(of_kind(&events, kind).count(), count, "{kind}");
    }
    let operations = of_kind(&events, "operation").count() as u64;
    assert_eq!(operations, number(&events.last().unwrap()["operations"]["issued"]));
}

#[test]
fn the_environment_names_the_server_and_the_flag_overrules_it() {
    let server = Server::start(|peer| {
        peer.sign_in();
        obey(peer);
    });
    let url = format!("imap://joe%40example.org@{}", server.address);
    let run = |args: &[&str]| {
        let mut command = mailconn(["run", "-n", "1", "--ops", "noop", "--format", "json"].iter().chain(args));
        end(command.env("MAILCONN_SERVER", &url).env("MAILCONN_PASSWORD", PASSWORD)).json()
    };
    assert_eq!(run(&[])["server"], url.as_str());
    assert_eq!(server.accepted(), 1);
    assert_eq!(run(&["--server", "sandbox"])["server"], "sandbox");
    assert_eq!(server.accepted(), 1);
    let empty = end(mailconn(["run", "-n", "1", "--format", "json"]).env("MAILCONN_SERVER", ""));
    assert_eq!(empty.json()["server"], "sandbox", "an empty variable is none");
}

#[test]
fn a_password_file_is_read_and_nothing_repeats_the_password() {
    let server = Server::start(|peer| {
        peer.send(GREETING);
        let line = peer.line().unwrap();
        let tag = line.split(' ').next().unwrap();
        // A server that repeats what it was told is no friend; we need not repeat it.
        peer.send(&format!("{tag} NO [AUTHENTICATIONFAILED] wrong\r\n"));
        obey(peer);
    });
    let directory = tempfile::tempdir().unwrap();
    let (file, report) = (directory.path().join("password"), directory.path().join("report"));
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    for format in ["table", "json", "ndjson"] {
        let args = format!("--format {format} -o {} --password-file {}", report.display(), file.display());
        let mut command = against(server.address, &args);
        // `end` sees to stdout and stderr.
        let ended = end(command.env("MAILCONN_PASSWORD", "the file comes first"));
        assert_eq!(ended.code, 5);
        assert!(!std::fs::read_to_string(&report).unwrap().contains(PASSWORD));
    }
    let logins: Vec<String> = server.heard().into_iter().filter(|line| line.contains("LOGIN")).collect();
    assert_eq!(logins.len(), 3);
    assert!(logins.iter().all(|line| line.contains(PASSWORD)), "{logins:?}");
}

#[test]
fn version_and_help_are_results_and_help_tells_the_exit_codes() {
    let version = end(&mut mailconn(["--version"]));
    assert_eq!(
        (version.code, &*version.stdout),
        (0, &*format!("mailconn {} (not a release build)\n", env!("CARGO_PKG_VERSION")))
    );
    for args in [vec!["--help"], vec!["run", "--help"], vec!["help", "run"], vec!["-h"], vec!["run", "-h"]] {
        let help = end(mailconn(&args).env("MAILCONN_PASSWORD", PASSWORD));
        assert_eq!((help.code, &*help.stderr), (0, ""));
        for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "6 ", "7 ", "129 130 143"] {
            assert!(help.stdout.lines().any(|line| line.starts_with(&format!("  {code}"))), "{args:?}: {code}");
        }
    }
    let nothing = end(&mut mailconn(Vec::<&str>::new()));
    assert_eq!((nothing.code, &*nothing.stdout), (2, ""));
    assert!(nothing.stderr.contains("Usage: mailconn"));
    assert!(version.took < Duration::from_secs(5));
}
