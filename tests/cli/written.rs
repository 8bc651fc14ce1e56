//! Reports that cannot be written, in whole or in part, and signals that come late: what there is gets out, and the rest
//! ends soon.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::process::{Running, against, end, eventually, mailconn, number, obey, run, shell, start, start_unread};
use crate::protocol::scripted::{Peer, Server};
use crate::support::unconfigured;

/// A run that was to take a minute, and something for a busy machine.
const SOON: Duration = Duration::from_secs(8);

fn names(directory: &Path) -> Vec<String> {
    std::fs::read_dir(directory).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
}

/// The tests themselves were started by nohup: then so is what they start.
fn ignores_hangups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & 1 != 0
}

/// Obeys until LOGOUT, and never answers that.
fn obey_without_goodbye(peer: &mut Peer) {
    peer.sign_in();
    while let Some(line) = peer.line() {
        let tag = line.split(' ').next().unwrap();
        if !line.ends_with("LOGOUT") {
            peer.send(&format!("{tag} OK done\r\n"));
        }
    }
}

#[test]
fn a_run_whose_reader_is_gone_ends_at_once_and_signs_out() {
    for args in [
        "--mode use-default --duration 50s -t 3",
        "--mode use-default --duration 50s -t 3 --pause 45s",
        "--mode use-default --duration 50s -t 8",
        // Whoever stands in line for what is shared has not failed either.
        "--mode use-main --duration 50s -t 8",
        "--mode use-main -n 9999999 -t 8",
        "--mode use-main -n 9999999 -t 8 --executor pool --tasks 8",
        "--mode use-default -n 9999999 -t 8 --max-connections 1",
    ] {
        let server = Server::start(|peer| {
            peer.sign_in();
            obey(peer);
        });
        let args = format!("--ops noop --format ndjson {args}");
        let mut running = start_unread(&mut against(server.address, &args));
        let mut stdout = running.stdout();
        stdout.read_exact(&mut [0]).unwrap();
        drop(stdout);
        let gone = Instant::now();
        let ended = running.end();
        assert!(gone.elapsed() < SOON, "{args}: {:?}", gone.elapsed());
        assert_eq!((ended.code, &*ended.stderr), (0, ""), "{args}");
        assert_eq!(server.heard_verb("LOGOUT"), server.heard_verb("LOGIN"), "{args}: each is signed out");
    }
}

#[test]
fn a_full_disk_ends_what_writes_as_it_goes() {
    for command in [
        "run --mode use-default -t 3 --duration 50s --format ndjson",
        "run --mode use-default -t 3 --duration 50s --pause 45s --format ndjson -o /dev/full",
        "scenario pauses.txt",
        "scenario pauses.txt --format ndjson",
        "check sandbox",
        "check sandbox --format json",
        "run -n 1",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let pauses = "client use-main\nT1 noop\n".to_owned() + &"pause 5s\nT1 noop\n".repeat(9);
        std::fs::write(folder.path().join("pauses.txt"), pauses).unwrap();
        let ended = end(shell(&format!("exec {{}} {command} > /dev/full")).current_dir(folder.path()));
        assert!(ended.took < SOON, "{command}: {:?}", ended.took);
        assert_eq!((ended.code, ended.stderr.lines().count()), (2, 1), "{command}: {}", ended.stderr);
        assert!(ended.stderr.contains("No space left on device"), "{command}: {}", ended.stderr);
    }
}

#[test]
fn a_scenario_and_a_check_whose_reader_is_gone_end_soon_and_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let pauses = "client use-main\nT1 noop => main\n".to_owned() + &"pause 5s\nT1 noop => main\n".repeat(9);
    std::fs::write(folder.path().join("pauses.txt"), pauses + "expect finding MC020\n").unwrap();
    for format in ["text", "ndjson"] {
        let command = format!("{{}} scenario pauses.txt --format {format} | head -1; exit ${{PIPESTATUS[0]}}");
        let ended = end(shell(&command).current_dir(folder.path()));
        assert!(ended.took < SOON, "{format}: {:?}", ended.took);
        assert_eq!((ended.code, &*ended.stderr), (0, ""), "{format}");
    }
    let server = Server::start(|peer| {
        peer.sign_in();
        while peer.line().is_some() {}
    });
    let command = format!(
        "MAILCONN_PASSWORD=secret {{}} check imap://joe@{} --timeout 50s | head -1; exit ${{PIPESTATUS[0]}}",
        server.address
    );
    let ended = end(&mut shell(&command));
    assert!(ended.took < SOON, "{:?}", ended.took);
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
}

#[test]
fn a_signal_after_the_last_operation_loses_no_report() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        if signal == "HUP" && ignores_hangups() {
            continue;
        }
        for format in ["json", "ndjson", "table"] {
            let server = Server::start(obey_without_goodbye);
            let args = format!("--mode use-main -t 2 -n 3 --ops noop --format {format}");
            let running = start(&mut against(server.address, &args));
            eventually("it signs out", || server.heard_verb("LOGOUT") == 1);
            let sent = Instant::now();
            running.signal(signal);
            let ended = running.end();
            assert!(sent.elapsed() < Duration::from_secs(4), "{signal}, {format}: {:?}", sent.elapsed());
            assert_eq!((ended.code, &*ended.complaints()), (code, ""), "{format}: {}", ended.stdout);
            match format {
                "json" => assert_eq!(number(&ended.json()["operations"]["ok"]), 6),
                "ndjson" => assert_eq!(ended.events().last().unwrap()["exit_code"], code),
                _ => assert!(ended.stdout.ends_with(&format!("exit {code}: interrupted by SIG{signal}\n"))),
            }
        }
    }
}

/// The report of so many operations takes long to make and to write: signals come at every moment of it.
#[test]
fn a_signal_while_the_report_is_made_and_written_loses_none_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report");
    let mut in_time = 0;
    for wait in [0, 400, 800, 1200, 1600, 2000] {
        std::fs::write(&path, "old").unwrap();
        let args =
            ["run", "--mode", "use-default", "-t", "8", "-n", "12000", "--ops", "noop", "--format", "json", "-o"];
        let running = start(&mut mailconn(args.map(Path::new).into_iter().chain([&*path])));
        // Its first operations take a moment at least.
        thread::sleep(Duration::from_millis(700 + wait));
        let mut running = running;
        if running.is_over() {
            break;
        }
        running.signal("TERM");
        let ended = running.end();
        let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!((report["exit_code"].as_i64(), &*ended.complaints()), (Some(ended.code.into()), ""), "{wait}");
        assert!(matches!(ended.code, 0 | 143), "{wait}: {}", ended.code);
        assert_eq!(names(directory.path()), ["report"]);
        in_time += 1;
    }
    assert!(in_time > 0, "the run is too short for this machine");
}

#[test]
fn a_hangup_ends_a_run_in_order_unless_it_is_to_be_ignored() {
    let command = "--mode use-default -t 2 --duration 50s --ops noop --pause 45s --format json";
    let server = Server::start(|peer| {
        peer.sign_in();
        obey(peer);
    });
    let running = start(&mut against(server.address, command));
    eventually("they rest", || server.heard_verb("NOOP") == 2);
    if !ignores_hangups() {
        running.signal("HUP");
        let ended = running.end();
        let report = ended.json();
        assert_eq!((ended.code, &report["interrupted"]), (129, &1.into()));
        assert_eq!(server.heard_verb("LOGOUT"), 2);
    }

    let mut nohup = shell("trap '' HUP; exec {} run --duration 1500ms -t 1 --pause 10ms --format json");
    let running = start(&mut nohup);
    thread::sleep(Duration::from_millis(700));
    running.signal("HUP");
    assert_eq!(running.end().code, 0, "nohup");
}

fn is_left_alone(directory: &Path, old: &str) {
    assert_eq!(names(directory), ["report"]);
    assert_eq!(std::fs::read_to_string(directory.join("report")).unwrap(), old);
}

#[test]
fn a_file_that_may_not_grow_is_an_error_of_writing() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("report"), "old").unwrap();
    let script = "ulimit -f 8; exec {} run -n 9 -t 40 --format json -o report";
    let ended = end(shell(script).current_dir(directory.path()));
    assert_eq!((ended.code, &*ended.stdout), (2, ""), "{}", ended.stderr);
    assert_eq!(ended.stderr, "mailconn: writing the report to report: File too large (os error 27)\n");
    is_left_alone(directory.path(), "old");
    // What is written as it happens cannot wait for the end.
    for report in ["-n 9 -t 40 --each", "--duration 50s --format ndjson"] {
        let script = format!("ulimit -f 8; exec {{}} run {report} -o events");
        let ended = end(shell(&script).current_dir(directory.path()));
        assert_eq!((ended.code, ended.stderr.lines().count()), (2, 1), "{}", ended.stderr);
        assert!(ended.took < SOON, "{:?}", ended.took);
    }
}

/// mailconn itself, with something done to it as it gives its report a name.
fn tampered(inject: &str, directory: &Path) -> Command {
    let calls = "linkat,rename,renameat,renameat2";
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e"]);
    strace.arg(format!("inject={calls}:{inject}")).arg(env!("CARGO_BIN_EXE_mailconn"));
    strace.args(["run", "-n", "1", "--format", "json", "-o", "report"]).current_dir(directory);
    unconfigured(&mut strace).stdin(std::process::Stdio::null());
    strace
}

#[test]
fn a_run_that_is_killed_before_its_report_is_whole_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    for old in [None, Some("old")] {
        if let Some(old) = old {
            std::fs::write(directory.path().join("report"), old).unwrap();
        }
        let status = tampered("signal=KILL:when=1", directory.path()).stderr(std::process::Stdio::null()).status();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status.unwrap()), Some(9));
        assert_eq!(names(directory.path()), old.map_or(vec![], |_| vec!["report"]));
        assert_eq!(std::fs::read_to_string(directory.path().join("report")).ok().as_deref(), old);
    }
}

#[test]
fn a_signal_while_the_report_is_written_neither_loses_it_nor_changes_what_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let mut running = start(&mut tampered("delay_enter=5000000", directory.path()));
    thread::sleep(Duration::from_secs(3));
    assert!(!running.is_over());
    running.signal("TERM");
    let ended = running.end();
    let report = std::fs::read(directory.path().join("report")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!((&report["exit_code"], ended.code, &*ended.stderr), (&0.into(), 0, ""));
    assert_eq!(names(directory.path()), ["report"]);
}

#[test]
fn a_new_file_gets_the_permissions_of_any_new_file_and_keeps_those_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let mode = |name: &str| std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode() & 0o7777;
    for umask in ["022", "077", "002"] {
        let script = format!("umask {umask}; rm -f new other; {{}} run -n 1 --format json -o new; : > other");
        assert_eq!(end(shell(&script).current_dir(directory.path())).code, 0);
        assert_eq!(mode("new"), mode("other"), "{umask}");
    }
    let script = "chmod 640 new; {} run -n 1 --format json -o new";
    assert_eq!(end(shell(script).current_dir(directory.path())).code, 0);
    assert_eq!(mode("new"), 0o640);
}

/// What is in memory is passwords too.
#[test]
fn a_crash_dumps_no_core() {
    let directory = tempfile::tempdir().unwrap();
    let script = "ulimit -c unlimited 2>/dev/null || ulimit -c $(ulimit -H -c); \
                  {} run --duration 20s --progress never >/dev/null 2>&1 & sleep 0.7; \
                  grep 'Max core file size' /proc/$!/limits; kill -SEGV $!; wait $!; true";
    let ended = end(shell(script).current_dir(directory.path()));
    let limits: Vec<&str> = ended.stdout.split_whitespace().skip(4).take(2).collect();
    // 1 byte where a program takes the dumps: core(5).
    assert!(limits == ["0", "0"] || limits == ["1", "1"], "{}", ended.stdout);
    assert_eq!(names(directory.path()), [""; 0]);
}

#[test]
fn too_little_memory_is_one_sentence_for_every_executor() {
    for executor in ["threads", "tasks --tasks 100", "tasks --tasks 100 --dispose task"] {
        for kib in [60_000, 120_000, 300_000, 1_000_000] {
            let script = format!(
                "ulimit -v {kib}; exec {{}} run --executor {executor} --threads 90 -n 2 --mode use-default --progress never"
            );
            let ended = end(&mut shell(&script));
            assert_eq!((ended.code, &*ended.stdout), (2, ""), "{executor}, {kib}: {}", ended.stderr);
            assert_eq!(ended.stderr.lines().count(), 1, "{executor}, {kib}: {}", ended.stderr);
            assert!(ended.stderr.contains("the system gave only "), "{executor}, {kib}: {}", ended.stderr);
            assert!(ended.stderr.contains("use fewer --threads"), "{executor}, {kib}: {}", ended.stderr);
        }
    }
    let enough =
        "ulimit -v 3000000; exec {} run --executor tasks --tasks 9 --threads 4 -n 2 --dispose task --default-for all";
    assert_eq!(end(&mut shell(enough)).code, 0);
}

/// Root is bound by no limit on threads, so that another account has to run it; only root can make one do so.
fn with_so_many_threads(most: u32, args: &str) -> Option<super::process::Ended> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let binary = directory.path().join("mailconn");
    std::fs::copy(env!("CARGO_BIN_EXE_mailconn"), &binary).unwrap();
    // An account that nothing else runs as.
    let account = format!("{}", 70_000 + std::process::id() % 50_000 + most);
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &account, "--regid", &account, "--clear-groups", "prlimit"]);
    command.arg(format!("--nproc={most}")).arg(&binary).args(args.split(' ')).current_dir("/");
    Some(end(unconfigured(&mut command).stdin(std::process::Stdio::null())))
}

#[test]
fn too_few_threads_for_the_workers_are_one_sentence() {
    for executor in ["threads", "pool --tasks 60", "tasks --tasks 60"] {
        let Some(ended) = with_so_many_threads(20, &format!("run --executor {executor} --threads 40 -n 2")) else {
            return;
        };
        assert_eq!(
            (ended.code, &*ended.stdout, ended.stderr.lines().count()),
            (2, "", 1),
            "{executor}: {}",
            ended.stderr
        );
        assert!(ended.stderr.contains(" of 40 threads; use fewer --threads"), "{executor}: {}", ended.stderr);
    }
}

#[test]
fn too_few_threads_for_the_sandbox_are_local_resources() {
    let Some(ended) = with_so_many_threads(30, "run --mode use-default --threads 20 -n 2 --ops noop --format json")
    else {
        return;
    };
    let report = ended.json();
    assert_eq!((ended.code, &*ended.complaints()), (4, ""), "{report:#}");
    let failures = super::process::failures(&report);
    assert_eq!(failures.keys().collect::<Vec<_>>(), ["local-resources at greeting"], "{report:#}");
    let message = report["failures"][0]["message"].as_str().unwrap();
    assert!(message.contains("the sandbox got no thread"), "{message}");
    assert!(number(&report["operations"]["ok"]) > 0, "{report:#}");
}

/// It is killed if it does not end.
#[test]
fn a_second_signal_ends_it_while_nobody_reads_and_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let running: Running = start(&mut mailconn(["run", "-n", "1", "--format", "json", "-o", pipe.to_str().unwrap()]));
    thread::sleep(Duration::from_millis(700));
    running.signal("INT");
    running.signal("TERM");
    let ended = running.end();
    assert!(matches!(ended.code, 130 | 143), "{}", ended.code);
    assert_eq!(names(directory.path()), ["pipe"]);
    assert_eq!(run("-n 1").code, 0);
}
