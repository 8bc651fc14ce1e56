//! What a good command has: examples that run, completions that a shell loads, manual pages.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::process::{Ended, end, mailconn};
use crate::support::unconfigured;

/// Every command, the whole first.
fn commands() -> Vec<String> {
    let help = end(&mut mailconn(["--help"])).stdout;
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.map(|line| line.split_whitespace().next().unwrap().to_owned());
    [String::new()].into_iter().chain(names.filter(|name| name != "help")).collect()
}

fn help(command: &str, flag: &str) -> Ended {
    end(&mut mailconn(command.split_whitespace().chain([flag])))
}

/// The examples of a command, as its help begins.
fn examples(command: &str) -> Vec<String> {
    let help = help(command, "--help").stdout;
    let examples = help.strip_prefix("Examples:\n").unwrap_or_else(|| panic!("{command}: {help}"));
    let examples = examples.lines().take_while(|line| !line.is_empty());
    examples.map(|line| line.strip_prefix("  ").unwrap().to_owned()).collect()
}

#[test]
fn every_help_begins_with_three_examples_of_its_command() {
    let commands = commands();
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        let examples = examples(&command);
        assert_eq!(examples.len(), 3, "{command}: {examples:?}");
        for example in &examples {
            assert!(example.contains(&format!("mailconn {command}")), "{command}: {example}");
        }
        let short = help(&command, "-h").stdout;
        assert!(short.starts_with(&format!("Examples:\n  {}\n", examples[0])), "{short}");
    }
}

/// What an example does in place of what it says: no server of its URL is there, and no reader of manual pages.
fn on_this_machine(example: &str) -> String {
    let replaced = [
        ("imaps://ann@mail.example.org", "sandbox"),
        ("smtp://mail.example.org", "sandbox+smtp"),
        ("| man -l -", "| grep -q '^.TH'"),
        // It compares for minutes. A gate needs 20 operations of each round, however busy the machine is.
        ("compare --variant", "compare -n 25 --rounds 9 --variant"),
        ("compare --threads", "compare --duration 20ms --rounds 9 --threads"),
        ("compare --server", "compare --duration 20ms --rounds 9 --server"),
        ("--rtt 80ms", "--rtt 5ms"),
    ];
    let mut line = replaced.iter().fold(example.to_owned(), |line, (from, to)| line.replace(from, to));
    if line.starts_with("mailconn sandbox") {
        line = format!("timeout --preserve-status -s INT 1 {line}");
    }
    line
}

/// The exit codes of those that come to another one than 0: mail from the wrong mailbox is a hazard, and an empty log has
/// nothing to compare.
const OTHER_CODES: [(&str, i32); 2] = [("--lock command", 1), ("--dovecot-log", 2)];

#[test]
fn every_example_of_the_help_runs() {
    let folder = tempfile::tempdir().unwrap();
    let write = |format: &str, file: &str| {
        let path = folder.path().join(file);
        let run = ["run", "--seed", "7", "-n", "50", "--format", format, "-o", path.to_str().unwrap()];
        assert_eq!(end(&mut mailconn(run)).code, 0);
    };
    write("ndjson", "run.ndjson");
    write("ndjson", "other.ndjson");
    write("json", "other.json");
    fs::write(folder.path().join("dovecot.log"), "").unwrap();
    for made in [".local/share/bash-completion/completions", ".config/fish/completions"] {
        fs::create_dir_all(folder.path().join(made)).unwrap();
    }
    let binaries = Path::new(env!("CARGO_BIN_EXE_mailconn")).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    for example in commands().iter().flat_map(|command| examples(command)) {
        let due = OTHER_CODES.iter().find(|(part, _)| example.contains(part)).map_or(0, |(_, code)| *code);
        let mut bash = Command::new("bash");
        bash.args(["-o", "pipefail", "-c", &on_this_machine(&example)]).current_dir(folder.path());
        unconfigured(&mut bash).env("PATH", &path).env("HOME", folder.path()).stdin(Stdio::null());
        let ended = bash.output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(due), "{example}\n{said}");
    }
}

#[test]
fn completions_know_every_command_and_its_flags() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = end(&mut mailconn(["completions", shell]));
        assert_eq!((script.code, &*script.stderr), (0, ""), "{shell}");
        for word in commands().iter().map(String::as_str).chain(["sandbox-limit", "wait-timeout"]) {
            assert!(script.stdout.contains(word), "{shell} does not know {word}");
        }
    }
    let other = end(&mut mailconn(["completions", "tcsh"]));
    assert_eq!(other.code, 2);
    assert!(other.stderr.contains("bash, zsh, fish, powershell"), "{}", other.stderr);
}

#[test]
fn a_manual_page_says_what_the_help_says() {
    for command in commands() {
        let page = end(&mut mailconn(["man"].into_iter().chain(command.split_whitespace())));
        assert_eq!((page.code, &*page.stderr), (0, ""), "{command}");
        let text = page.stdout.replace("\\-", "-").replace("\\*(Aq", "'");
        for line in examples(&command) {
            assert!(text.contains(&line), "{command}: no {line}");
        }
        let help = help(&command, "--help").stdout;
        let flags = help.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 3);
        for flag in flags.map(|flag| flag.trim_end_matches(|c: char| !c.is_ascii_alphanumeric())) {
            assert!(text.contains(flag), "{command}: no {flag}");
        }
    }
    let none = end(&mut mailconn(["man", "nothing"]));
    assert_eq!((none.code, &*none.stderr), (2, "mailconn: there is no command \"nothing\"; see mailconn --help\n"));
}

/// With the shells and the readers themselves; `scripts/viewers` installs them.
#[test]
#[ignore = "it needs zsh, fish, man and mandoc, which scripts/test all installs"]
fn shells_load_their_completions_and_readers_of_manual_pages_find_no_fault() {
    let binaries = Path::new(env!("CARGO_BIN_EXE_mailconn")).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    let shell = |program: &str, script: &str| {
        let ended =
            Command::new(program).args(["-c", script]).env("PATH", &path).stdin(Stdio::null()).output().unwrap();
        let (said, complained) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        assert!(ended.status.success() && complained.is_empty(), "{program} {script}: {said}{complained}");
        said.into_owned()
    };
    let bash = "source <(mailconn completions bash); COMP_WORDS=(mailconn run --mode use-); COMP_CWORD=3
        _mailconn mailconn use- --mode; printf '%s\\n' \"${COMPREPLY[@]}\"";
    assert_eq!(shell("bash", bash), "use-main\nuse-default\nuse-main-or-default\n");
    let fish = "mailconn completions fish | source; complete -C 'mailconn run --mode use-'";
    for mode in ["use-main", "use-default", "use-main-or-default"] {
        assert!(shell("fish", fish).lines().any(|line| line.split('\t').next() == Some(mode)), "{mode}");
    }
    // It offers what it knows to zsh's own functions; `_describe` and `_arguments` are there once compinit ran.
    let zsh = "autoload -Uz compinit && compinit -D; eval \"$(mailconn completions zsh)\"; print $_comps[mailconn]";
    assert_eq!(shell("zsh", zsh), "_mailconn\n");
    for command in commands() {
        shell("bash", &format!("mailconn man {command} | mandoc -T lint -W error"));
        let warnings =
            format!("mailconn man {command} | LC_ALL=C.UTF-8 man --warnings -E UTF-8 -l -Tutf8 -Z - >/dev/null");
        shell("bash", &warnings);
    }
}
