//! Names and lines that others chose: shown, never obeyed.

use super::process::{end, mailconn};

/// Moves the cursor, ends the line, turns the writing round, rings.
const NAME: &str = "a\u{1b}[31mb\nc\u{202e}d\u{2066}e\u{7}\r\u{9b}2J.txt";
const SHOWN: &str = r"a\u{1b}[31mb\nc\u{202e}d\u{2066}e\u{7}\r\u{9b}2J.txt";

#[test]
fn a_files_name_is_escaped_in_every_message() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(NAME), "client use-main\nT1 frob\n").unwrap();
    std::fs::write(folder.path().join("scenario.txt"), "client use-main\nT1 noop\n").unwrap();
    let below = format!("{NAME}/x");
    let missing = format!("missing/{NAME}");
    let real = ["--server", "imaps://joe@127.0.0.1:9"];
    for (args, code) in [
        (vec!["scenario", NAME], 2),
        (vec!["scenario", &missing], 2),
        (vec!["verify", NAME], 2),
        (vec!["verify", &missing], 2),
        (vec!["verify", "scenario.txt", "--dovecot-log", &missing], 2),
        (vec!["run", "-o", &below], 2),
        (vec!["run", "-o", &missing], 2),
        (vec!["run", "--transcript", &below], 2),
        (vec!["run", real[0], real[1], "--password-file", &missing], 2),
        (vec!["run", real[0], real[1], "--ca-file", &missing], 2),
        (vec!["run", real[0], real[1], "--client-cert", NAME, "--client-key", NAME], 2),
        (vec!["run", "--format", NAME], 2),
        (vec!["run", "--fail-on", NAME], 2),
        (vec!["run", "--ops", NAME], 2),
        (vec!["run", "--mailbox", NAME], 2),
        (vec!["run", NAME], 2),
        (vec![NAME], 2),
        (vec!["sandbox", "--password-file", &missing], 2),
        (vec!["sandbox", "--listen", "imaps=0", "--ca-file", &below], 2),
        (vec!["sandbox", "--user", NAME], 2),
    ] {
        let ended = end(mailconn(&args).current_dir(folder.path()));
        assert_eq!(
            (ended.code, &*ended.stdout, ended.stderr.lines().count()),
            (code, "", 1),
            "{args:?}: {}",
            ended.stderr
        );
        let line = ended.stderr.strip_suffix('\n').unwrap();
        assert!(!line.contains(|c: char| c.is_control() || "\u{202e}\u{2066}".contains(c)), "{args:?}: {line:?}");
        let shown =
            line.contains(SHOWN) || line.contains("scenario.txt cannot be read") || args[1..].contains(&real[1]);
        assert!(shown, "{args:?}: {line}");
    }
}

#[test]
fn what_a_scenario_says_is_escaped_in_messages_about_it() {
    let folder = tempfile::tempdir().unwrap();
    for (text, shown) in [
        ("client use-main\nT1 \u{202e}noop\n", r"\u{202e}noop"),
        ("client use-main\nT1 no\u{2066}op\n", r"no\u{2066}op"),
        ("client use-main\n\u{202e}T1 noop\n", r"\u{202e}T1"),
        ("client use-\u{202e}main\n", r"\u{202e}main"),
    ] {
        std::fs::write(folder.path().join("it.txt"), text).unwrap();
        let ended = end(mailconn(["scenario", "it.txt"]).current_dir(folder.path()));
        assert_eq!((ended.code, &*ended.stdout, ended.stderr.lines().count()), (2, "", 1), "{}", ended.stderr);
        assert!(ended.stderr.contains(shown), "{}", ended.stderr);
        assert!(!ended.stderr.contains(['\u{202e}', '\u{2066}']), "{:?}", ended.stderr);
    }
}
