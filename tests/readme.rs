//! README says what is true today: each of its commands runs, and exits as it says.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::unconfigured;

/// Commands that are not run here: one is what runs this test, one takes long and is run by hand.
const EXCEPTED: [&str; 2] = ["scripts/test", "scripts/bench"];

/// The commands of README's `sh` blocks, in order.
fn commands() -> Vec<String> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let mut inside = false;
    let mut commands = Vec::new();
    for line in readme.lines() {
        match line {
            "```sh" => inside = true,
            _ if line.starts_with("```") => inside = false,
            _ if inside && !line.trim().is_empty() => commands.push(line.to_owned()),
            _ => {}
        }
    }
    commands
}

#[test]
fn every_command_of_the_readme_runs_and_exits_as_it_says() {
    let commands = commands();
    assert_eq!(commands[0], "cargo run --release -- run --mode use-default --threads 8");
    assert_eq!(commands[1], "scripts/test");
    let folder = tempfile::tempdir().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_mailconn"));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let root = env!("CARGO_MANIFEST_DIR");
    let mut run = 0;
    for command in commands.iter().filter(|command| !EXCEPTED.contains(&command.as_str())) {
        let (line, comment) = command.split_once("   # ").unwrap_or((command, "exit 0"));
        let expected: i32 = comment.trim().trim_start_matches("exit ").parse().unwrap();
        // Built already, and no need to write into the checkout: the words are README's, the places are this test's.
        let line = line
            .replace("cargo run --release --", "mailconn")
            .replace("scripts/servers", &format!("{root}/scripts/servers"))
            .replace("/tmp/mailconn-readme", &format!("{}/servers", folder.path().display()));
        let output = unconfigured(&mut Command::new("bash"))
            .args(["-c", &line])
            .current_dir(folder.path())
            .env("PATH", &path)
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(expected), "{command}\n{said}\n{complained}");
        run += 1;
    }
    assert!(run >= 10, "README has commands: {run}");
}

#[test]
fn the_changelog_begins_with_this_version() {
    let log = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("CHANGELOG.md")).unwrap();
    let newest = log.lines().find_map(|line| line.strip_prefix("## ")).unwrap();
    assert_eq!(newest.split(',').next(), Some(env!("CARGO_PKG_VERSION")));
}
