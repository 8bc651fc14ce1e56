//! B6 with tokens: fetched when they are needed, one at a time, and none refused is presented twice.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use super::process::{Ended, against, end, eventually, failures, obey};
use crate::protocol::scripted::Server;

/// No output may hold it.
const CANARY: &str = "ya29.kanari";

/// A command that counts its calls. In its script `$n` is the number of the call, `$T` a token's beginning.
struct Helper {
    directory: TempDir,
    command: String,
}

impl Helper {
    fn new(script: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().display();
        let command = format!("cd {path}; date +%s%N >>calls; n=$(($(wc -l <calls))); T={CANARY}; {script}");
        Self { directory, command }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// When it was called.
    fn calls(&self) -> Vec<SystemTime> {
        let calls = std::fs::read_to_string(self.file("calls")).unwrap_or_default();
        let at = |line: &str| SystemTime::UNIX_EPOCH + Duration::from_nanos(line.parse().unwrap());
        calls.lines().map(at).collect()
    }

    fn run(&self, server: &Server, args: &str) -> Ended {
        self.told(server, "json", args)
    }

    fn told(&self, server: &Server, format: &str, args: &str) -> Ended {
        let args = format!("--ops noop --format {format} {args}");
        let ended = end(against(server.address, &args).args(["--token-command", &self.command]));
        for said in [&ended.stdout, &ended.stderr] {
            assert!(!said.contains(CANARY), "a secret is out: {said}");
        }
        ended
    }
}

/// Takes the tokens that `takes` takes, which is told how often this one came before. What came is noted.
fn server(
    takes: impl Fn(&str, usize) -> bool + Send + Sync + 'static,
    stays: bool,
) -> (Server, Arc<Mutex<Vec<String>>>) {
    let came = Arc::new(Mutex::new(Vec::<String>::new()));
    let noted = Arc::clone(&came);
    let server = Server::start(move |peer| {
        peer.send("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n");
        let Some(line) = peer.line() else { return };
        let words: Vec<&str> = line.split(' ').collect();
        let [tag, "AUTHENTICATE", "XOAUTH2", answer] = words[..] else {
            peer.send(&format!("{} OK bye\r\n", words[0]));
            return;
        };
        let answer = String::from_utf8(STANDARD.decode(answer).unwrap()).unwrap();
        let token = answer.split_once("auth=Bearer ").unwrap().1.trim_end_matches('\x01').to_owned();
        let before = {
            let mut came = noted.lock().unwrap();
            came.push(token.clone());
            came.iter().filter(|other| **other == token).count() - 1
        };
        if takes(&token, before) {
            peer.send(&format!("{tag} OK [CAPABILITY IMAP4rev1] in\r\n"));
            if !stays {
                // One command, and the session ends.
                peer.answer("{t} OK\r\n");
                return;
            }
        } else {
            peer.send(&format!("+ {}\r\n", STANDARD.encode(r#"{"status":"401","schemes":"bearer"}"#)));
            peer.line();
            peer.send(&format!("{tag} NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)\r\n"));
        }
        obey(peer);
    });
    (server, came)
}

fn kinds(ended: &Ended) -> Vec<(String, u64)> {
    let mut kinds: Vec<_> = failures(&ended.json()).into_iter().collect();
    kinds.sort();
    kinds
}

#[test]
fn a_token_is_replaced_each_time_that_the_server_refuses_it() {
    // Each is good for two sign-ins.
    let (server, came) = server(|_, before| before < 2, false);
    let helper = Helper::new("echo $T-$n");
    let ended = helper.run(&server, "-t 1 -n 12");
    let came = came.lock().unwrap();
    let tokens: Vec<_> = came.iter().map(|token| token.rsplit('-').next().unwrap().to_owned()).collect();
    assert_eq!(tokens[..8], ["1", "1", "1", "2", "2", "2", "3", "3"], "{}", ended.stdout);
    assert!(kinds(&ended).iter().all(|(kind, _)| kind == "closed at operation"), "{:?}", kinds(&ended));
    assert_eq!(helper.calls().len().to_string(), *tokens.last().unwrap());
}

#[test]
fn the_same_token_again_is_not_presented_again() {
    for mode in ["use-default", "use-main"] {
        let (server, came) = server(|_, _| false, true);
        let helper = Helper::new("echo $T");
        let ended = helper.run(&server, &format!("--mode {mode} -t 8 -n 2"));
        assert_eq!((came.lock().unwrap().len(), helper.calls().len()), (1, 2), "{mode}: {}", ended.stdout);
        assert_eq!(ended.code, 5, "{mode}: {}", ended.stdout);
        assert!(kinds(&ended).iter().all(|(kind, _)| kind == "auth-invalid at auth"), "{:?}", kinds(&ended));
        assert!(ended.stdout.contains("another fetch gave the same token again"), "{}", ended.stdout);
        assert!(ended.stdout.contains("another with this token would be too"), "{}", ended.stdout);
    }
}

#[test]
fn after_a_new_token_that_is_refused_too_it_is_over() {
    for mode in ["use-default", "use-main"] {
        let (server, came) = server(|_, _| false, true);
        let helper = Helper::new("echo $T-$n");
        let ended = helper.run(&server, &format!("--mode {mode} -t 8 -n 2"));
        assert_eq!((came.lock().unwrap().len(), helper.calls().len()), (2, 2), "{mode}: {}", ended.stdout);
        assert_eq!(ended.code, 5, "{mode}: {}", ended.stdout);
        assert!(ended.stdout.contains("and a newly fetched one too"), "{}", ended.stdout);
        assert!(!ended.stdout.contains("may have expired"), "it has not: {}", ended.stdout);
    }
}

#[test]
fn a_command_that_fails_once_is_run_again_a_second_later_and_all_go_on() {
    let (server, came) = server(|_, _| true, true);
    let helper = Helper::new("[ $n -gt 1 ] && echo $T");
    let ended = helper.run(&server, "--mode use-default -t 4 -n 2");
    assert_eq!(kinds(&ended), [("auth-unsupported at auth".to_owned(), 1)], "{}", ended.stdout);
    assert_eq!((&ended.json()["operations"]["ok"], ended.code), (&6.into(), 5), "{}", ended.stdout);
    assert_eq!(came.lock().unwrap().len(), 3);
    let calls = helper.calls();
    assert_eq!(calls.len(), 2);
    let pause = calls[1].duration_since(calls[0]).unwrap();
    assert!((1000..2900).contains(&pause.as_millis()), "{pause:?}");
}

#[test]
fn a_command_that_fails_three_times_in_a_row_is_not_run_again() {
    for mode in ["use-default", "use-main"] {
        let (server, came) = server(|_, _| true, true);
        let helper = Helper::new("exit 3");
        let ended = helper.run(&server, &format!("--mode {mode} -t 8 -n 2"));
        assert_eq!(ended.code, 5, "{mode}: {}", ended.stdout);
        assert!(ended.stdout.contains("--token-command failed (exit status: 3)"), "{}", ended.stdout);
        let calls = helper.calls();
        assert_eq!((calls.len(), came.lock().unwrap().len()), (3, 0), "{mode}: {}", ended.stdout);
        assert_eq!(server.accepted(), 1, "without a token nobody is dialled but once: {mode}");
        for (pair, seconds) in calls.windows(2).zip([1, 2]) {
            assert!(pair[1].duration_since(pair[0]).unwrap() >= Duration::from_secs(seconds), "{calls:?}");
        }
    }
}

#[test]
fn what_a_command_writes_that_is_no_token_is_told_truly() {
    for (script, told) in [
        ("true", "--token-command: it wrote nothing; it must write the token"),
        ("echo; echo", "--token-command: it wrote nothing"),
        ("echo $T; exit 3", "--token-command failed (exit status: 3); run it by hand to see why"),
        ("kill -9 $$", "--token-command failed (signal: 9"),
        ("echo $T; echo $T-2", "--token-command: it wrote more than one line; it must write the token alone"),
        ("echo '{\"error\":\"invalid_grant\"}'", "--token-command: it wrote JSON without an access_token"),
        ("echo \"{\\\"access_token\\\":\\\"$T", "--token-command failed"),
        ("echo $T and more", "it holds blanks"),
        ("echo '{\"access_token\":\"\"}'", "it is empty"),
    ] {
        let (server, came) = server(|_, _| true, true);
        let ended = Helper::new(script).run(&server, "-t 1 -n 1");
        assert_eq!((ended.code, came.lock().unwrap().len()), (5, 0), "{script}: {}", ended.stdout);
        assert_eq!(kinds(&ended), [("auth-unsupported at auth".to_owned(), 1)], "{script}");
        let report = ended.json();
        let message = report["failures"][0]["message"].as_str().unwrap();
        assert!(message.starts_with("no token to sign in with: ") && message.contains(told), "{script}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn json_says_how_long_a_token_lasts_and_then_another_is_fetched() {
    for lasts in ["1", "\"1\"", "1.0", "\" 0.9 \""] {
        let (server, came) = server(|_, _| true, false);
        let json = format!(
            "printf '{{\\n \"token_type\": \"Bearer\", \"expires_in\": {lasts},\\n \"access_token\": \"%s\" }}' $T-$n"
        );
        let helper = Helper::new(&json);
        let started = Instant::now();
        let ended = helper.run(&server, "-t 1 --duration 2500ms");
        let came = came.lock().unwrap();
        let distinct = came.iter().collect::<std::collections::BTreeSet<_>>().len();
        let most = started.elapsed().as_secs() as usize + 1;
        assert!((2..=most).contains(&distinct), "{distinct} in {:?}: {}", started.elapsed(), ended.stdout);
        assert_eq!(helper.calls().len(), distinct);
        assert!(came.len() > distinct, "the token at hand is used again");
    }
}

#[test]
fn a_fetch_ends_by_the_deadline_with_all_that_it_started() {
    let (server, came) = server(|_, _| true, true);
    let helper = Helper::new("echo $$ >numbers; sleep 300 & echo $! >>numbers; wait");
    let ended = helper.run(&server, "-t 2 -n 1 --mode use-default --connect-timeout 700ms");
    assert!(ended.stdout.contains("--token-command took longer than --connect-timeout allows"), "{}", ended.stdout);
    assert_eq!((ended.code, came.lock().unwrap().len()), (5, 0), "{}", ended.stdout);
    for number in std::fs::read_to_string(helper.file("numbers")).unwrap().lines() {
        let stat = format!("/proc/{number}/stat");
        eventually("it still runs", || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z ")));
    }
}

/// Whoever waits for another's fetch is told what took the time.
#[test]
fn a_slow_fetch_is_one_for_all_and_the_first_sign_in_with_it_is_alone() {
    let under_way = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&under_way);
    let (server, came) = server(
        move |_, before| {
            if before == 0 {
                assert_eq!(counted.fetch_add(1, Ordering::SeqCst), 0);
                std::thread::sleep(Duration::from_millis(300));
                assert_eq!(counted.load(Ordering::SeqCst), 1, "another signs in too");
            } else {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            true
        },
        true,
    );
    let helper = Helper::new("sleep 0.3; echo $T");
    let ended = helper.run(&server, "--mode use-default -t 8 -n 2");
    assert_eq!((ended.code, came.lock().unwrap().len(), helper.calls().len()), (0, 8, 1), "{}", ended.stdout);
    assert_eq!(under_way.load(Ordering::SeqCst), 8);
}

#[test]
fn each_such_run_is_borne_out_by_its_own_file() {
    for (script, takes) in [
        ("echo $T", ""),
        ("echo $T-$n", ""),
        ("echo $T-$n", "-2"),
        ("[ $n -gt 1 ] && echo $T", "i"),
        ("[ $n -lt 2 ] && echo $T", ""),
        ("exit 3", ""),
    ] {
        let (server, _) = server(move |token, _| !takes.is_empty() && token.ends_with(takes), true);
        let ended = Helper::new(script).told(&server, "ndjson", "--mode use-default -t 4 -n 2");
        // Which looks whether it is.
        ended.events();
    }
}

#[test]
fn no_transcript_holds_a_token() {
    let (server, _) = server(|token, _| token.ends_with("-2"), true);
    let helper = Helper::new("echo $T-$n");
    let transcripts = helper.file("transcripts");
    let ended = helper.run(&server, &format!("--mode use-default -t 4 -n 2 --transcript {}", transcripts.display()));
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    let encoded = STANDARD.encode(format!("user=joe\x01auth=Bearer {CANARY}"));
    let files = std::fs::read_dir(transcripts).unwrap();
    let texts: Vec<String> = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    assert!(!texts.is_empty());
    for text in texts {
        assert!(!text.contains(CANARY) && !text.contains(&encoded[..encoded.len() - 4]), "{text}");
    }
}
