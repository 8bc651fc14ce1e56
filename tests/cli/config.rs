//! What is configured: a file of named servers and defaults, and the environment. Which of them counts, and what is refused.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::process::{Ended, PASSWORD, end, mailconn, number, obey};
use crate::protocol::scripted::Server;

/// A home with a file of settings.
struct Home(TempDir);

impl Home {
    fn with(settings: &str) -> Self {
        let home = Self(TempDir::new().unwrap());
        fs::create_dir_all(home.file().parent().unwrap()).unwrap();
        fs::write(home.file(), settings).unwrap();
        home
    }

    fn file(&self) -> PathBuf {
        self.0.path().join(".config/mailconn/config.toml")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = mailconn(args);
        command.env("HOME", self.0.path());
        command
    }

    fn end(&self, args: &[&str]) -> Ended {
        end(&mut self.command(args))
    }

    /// One line, which begins with that place of the file and says that.
    #[track_caller]
    fn refuses(&self, args: &[&str], line: usize, what: &str) {
        let ended = self.end(args);
        let said = format!("mailconn: {}:{line}: {what}", self.file().display());
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{}", ended.stderr);
        assert!(ended.stderr.starts_with(&said) && ended.stderr.lines().count() == 1, "{said}\n{}", ended.stderr);
    }
}

/// The row of a setting, as `explain settings` shows it.
#[track_caller]
fn row(told: &str, key: &str) -> String {
    let row = told.lines().find(|line| line.starts_with(&format!("  {key} ")));
    row.unwrap_or_else(|| panic!("no {key}: {told}")).split_whitespace().collect::<Vec<_>>().join(" ")
}

const LAYERS: &str = "\
[defaults]
threads = 2
timeout = '2s'
pause = '2ms'
mailbox = ['INBOX', 'Archive']

[servers.box]
url = 'sandbox+imaps'
timeout = '3s'
pause = '3ms'
";

#[test]
fn a_flag_counts_before_the_environment_and_that_before_the_server_and_that_before_the_defaults() {
    let home = Home::with(LAYERS);
    let file = home.file().display().to_string();
    let mut command = home.command(&["explain", "settings", "run", "--server", "@box", "--mode", "use-main"]);
    let told = end(command.env("MAILCONN_PAUSE", "4ms").env("MAILCONN_MODE", "use-default"));
    assert_eq!((told.code, &*told.stderr), (0, ""));
    for expected in [
        "mode use-main flag".to_owned(),
        "pause 4ms MAILCONN_PAUSE".to_owned(),
        format!("timeout 3s @box, {file}:9"),
        format!("server sandbox+imaps @box, {file}:8"),
        format!("threads 2 {file}:2"),
        format!("mailbox INBOX Archive {file}:5"),
        "wait-timeout 60s".to_owned(),
    ] {
        assert_eq!(row(&told.stdout, expected.split(' ').next().unwrap()), expected);
    }

    // And that is how it runs.
    let json = |args: &[&str]| home.end(&[&["run", "-n", "1", "--format", "json"], args].concat()).json();
    let run = json(&["--server", "@box"]);
    assert_eq!(run["server"], "sandbox+imaps");
    assert_eq!(run["workers"].as_array().unwrap().len(), 2);
    assert_eq!(run["mailboxes"], serde_json::json!(["INBOX", "Archive"]));
    let run = json(&["-t", "3", "--mailbox", "Sent"]);
    assert_eq!((run["server"].as_str(), run["workers"].as_array().unwrap().len()), (Some("sandbox"), 3));
    assert_eq!(run["mailboxes"], serde_json::json!(["Sent"]), "what is typed takes the place of the whole list");
}

#[test]
fn a_server_is_named_by_flag_by_place_by_variable_and_by_default() {
    let server = Server::start(|peer| {
        peer.sign_in();
        obey(peer);
    });
    let url = format!("imap://joe@{}", server.address);
    let home = Home::with("");
    fs::write(home.0.path().join("secret"), PASSWORD).unwrap();
    fs::set_permissions(home.0.path().join("secret"), Permissions::from_mode(0o600)).unwrap();
    let named = format!("[servers.work]\nurl = '{url}'\npassword-file = '~/secret'\n");
    fs::write(home.file(), &named).unwrap();
    let run = ["run", "-t", "1", "-n", "1", "--ops", "noop", "--format", "json"];
    assert_eq!(home.end(&[&run[..], &["--server", "@work"]].concat()).json()["server"], url.as_str());
    for args in [&["check", "@work"][..], &["check", "--timeout", "5s", "--", "@work"]] {
        let before = server.accepted();
        let checked = home.end(args);
        assert!(server.accepted() > before && checked.code < 2, "{}{}", checked.stdout, checked.stderr);
    }
    let by_variable = end(home.command(&run).env("MAILCONN_SERVER", "@work"));
    assert_eq!(by_variable.json()["server"], url.as_str());
    fs::write(home.file(), format!("[defaults]\nserver = '@work'\n{named}")).unwrap();
    assert_eq!(home.end(&run).json()["server"], url.as_str());
    let before = server.accepted();
    assert!(home.end(&["limits", "--max", "1", "--hold", "1s"]).code < 2 && server.accepted() > before);
    // Another address, and the settings of this one are not for it: nobody else gets the password.
    let other = home.end(&["check", &url]);
    assert_eq!(other.code, 2);
    assert!(other.stderr.contains("no password for"), "{}", other.stderr);
    assert_eq!(home.end(&[&run[..], &["--server", "sandbox"]].concat()).json()["server"], "sandbox");
}

#[test]
fn what_is_configured_gives_way_to_what_is_typed() {
    let home = Home::with(
        "[defaults]\nsandbox-connections = 3\nstarttls = true\nehlo = 'here.example.org'\nca-file = 'ours.pem'\nipv6 = true\n\
         duration = '9s'\ntasks = 5\nfrom = 'ann@example.org'\n\
         [servers.work]\nurl = 'imaps://ann@localhost:9'\npassword-command = 'false'\nclient-cert = 'a.pem'\nclient-key = 'a.key'\n\
         [servers.box]\nurl = 'sandbox'\nsandbox-connections = 2\npassword-command = 'false'\n",
    );
    let told = |args: &[&str]| {
        let ended = home.end(&[&["explain", "settings", "run"], args].concat());
        assert_eq!((ended.code, &*ended.stderr), (0, ""), "{}", ended.stdout);
        ended.stdout
    };
    let is_unused = |told: &str, key: &str| {
        let unused = told.lines().find_map(|line| line.strip_prefix("Not used here: ")).unwrap_or_default();
        unused.split(", ").any(|setting| setting.starts_with(&format!("{key} (")))
    };
    let work = told(&["--server", "@work", "--password-file", "other", "-n", "5", "-4"]);
    for key in ["sandbox-connections", "starttls", "ehlo", "ipv6", "duration", "tasks", "from", "password-command"] {
        assert!(is_unused(&work, key), "{key}: {work}");
    }
    // A file is looked for beside config.toml.
    let beside = home.file().with_file_name("ours.pem");
    assert!(row(&work, "ca-file").starts_with(&format!("ca-file {}", beside.display())), "{work}");
    assert!(is_unused(&told(&["--server", "@work", "--client-cert", "b.pem"]), "client-key"));
    let boxed = told(&["--server", "@box", "--executor", "pool", "-n", "1"]);
    assert!(is_unused(&boxed, "password-command") && is_unused(&boxed, "ca-file"), "{boxed}");
    assert!(
        row(&boxed, "tasks").starts_with("tasks 5 ") && row(&boxed, "sandbox-connections").contains("@box"),
        "{boxed}"
    );
    assert!(!is_unused(&told(&["--server", "sandbox+smtp", "--ops", "send", "-n", "1"]), "from"));
    // It runs so, too.
    assert_eq!(home.end(&["run", "-t", "1", "-n", "1"]).code, 0);
    assert_eq!(home.end(&["scenario", "pool-hazard", "--sandbox-connections", "20"]).code, 0);
}

#[test]
fn the_environment_turns_a_flag_off_and_its_password_counts_before_the_file() {
    let home = Home::with(
        "[defaults]\nstarttls = true\n[servers.work]\nurl = 'imap://ann@localhost:9'\npassword-command = 'false'\n",
    );
    let command = || home.command(&["explain", "settings", "check", "@work"]);
    assert!(row(&end(&mut command()).stdout, "starttls").starts_with("starttls true "));
    for (off, is_empty) in [("false", false), ("0", false), ("", true)] {
        let told = end(command().env("MAILCONN_STARTTLS", off)).stdout;
        assert_eq!(row(&told, "starttls").ends_with("MAILCONN_STARTTLS"), !is_empty, "{told}");
    }
    let refused = end(home.command(&["run"]).env("MAILCONN_STARTTLS", "maybe"));
    assert_eq!(refused.stderr, "mailconn: MAILCONN_STARTTLS: --starttls takes no value; write true or false\n");
    let told = end(command().env("MAILCONN_PASSWORD", PASSWORD)).stdout;
    assert!(told.contains("Not used here: password-command ("), "{told}");
}

#[test]
fn variants_of_a_comparison_start_from_what_is_configured() {
    let home = Home::with("[defaults]\nthreads = 2\noperations = 2\n");
    let variants = ["--variant", "use-main", "--variant", "more=use-main -t 3"];
    let compared = home.end(&[&["compare", "--rounds", "8", "--format", "json"], &variants[..]].concat());
    let compared: serde_json::Value = serde_json::from_str(&compared.stdout).unwrap();
    let asked =
        |run: &serde_json::Value| (run["variant"].as_str().unwrap().to_owned(), number(&run["operations"]["asked"]));
    let runs: BTreeSet<_> = compared["runs"].as_array().unwrap().iter().map(asked).collect();
    assert_eq!(runs, BTreeSet::from([("more".to_owned(), 6), ("use-main".to_owned(), 4)]));
}

/// What stands in the file, in which line it is refused, and how.
const REFUSED: [(&str, usize, &str); 21] = [
    ("[defaults]\nthreads = 'many'", 2, "invalid value 'many' for '--threads <N>'"),
    ("[defaults]\nthreads = [1, 2]", 2, "the argument '--threads <N>' cannot be used multiple times"),
    ("[defaults]\nmode = 'use-man'", 2, "invalid value 'use-man' for '--mode <MODE>'"),
    ("[defaults]\n\nstarttls = 'on'", 3, "--starttls takes no value; write true or false"),
    ("[defaults]\nthreads = 0", 2, "--threads 0 leaves no worker"),
    ("[defaults]\nthraeds = 3", 2, "there is no setting \"thraeds\"; did you mean threads?"),
    ("[defaults]\nzzzzzzzzzzzz = 3", 2, "there is no setting \"zzzzzzzzzzzz\"; mailconn explain settings lists all"),
    ("[defaults]\nthreads = {}", 2, "a setting is a text, a number, true, false, or a list of those"),
    ("[defaults]\npassword = 'hush'", 2, "no secret belongs in this file; name a password-file or a password-command"),
    ("[servers.work]\nurl = 'x'\ntoken = 'hush'", 3, "no secret belongs in this file; name a password-file"),
    // Whether it is used or not.
    (
        "[servers.home]\nurl = 'imaps://joe:hush@localhost'",
        2,
        "no secret belongs in this file; write the address without",
    ),
    ("password = 'hush'", 1, "no secret belongs in this file; name a password-file"),
    ("[defaults]\npassword-command = 'x'", 2, "a password is for one server: write password-command under its"),
    ("[defaults]\noutput = 'x'", 2, "--output is for the command line alone: it names what is written"),
    ("[defaults]\nallow-writes = true", 2, "--allow-writes is for the command line alone"),
    ("[defaults]\ninsecure = true", 2, "--insecure is for the command line alone"),
    ("threads = 8", 1, "settings stand under [defaults] or [servers.NAME]"),
    ("[server.work]\nurl = 'x'", 1, "there is no table \"server\"; settings stand under [defaults] or [servers.NAME]"),
    ("[servers.work]\nserver = 'x'", 2, "the address of this server is called url"),
    ("\n[servers.work]\ntimeout = '1s'", 2, "this server has no url; write url = \"imaps://user@host\""),
    ("[defaults]\nthreads = 3\npassword = \"hush", 3, ""),
];

#[test]
fn what_is_wrong_in_the_file_is_one_line_with_its_place_and_the_cure() {
    for (text, line, what) in REFUSED {
        let home = Home::with(text);
        home.refuses(&["run"], line, what);
        assert!(!home.end(&["run"]).stderr.contains("hush"), "{text}");
    }
    let home = Home::with("[servers.work]\nurl = 'nntp://joe@localhost'\n");
    home.refuses(&["run", "--server", "@work"], 2, "unknown scheme nntp://");
    home.refuses(&["check", "@work"], 2, "unknown scheme nntp://");
}

#[test]
fn a_server_that_is_not_there_is_told_with_those_that_are() {
    let home = Home::with("[servers.work]\nurl = 'sandbox'\n[servers.home]\nurl = 'sandbox'\n");
    let file = home.file().display().to_string();
    let there = format!("{file} names no such server: there is @home, @work");
    let said = |command: &mut Command| {
        let ended = end(command);
        assert_eq!((ended.code, &*ended.stdout), (2, ""));
        ended.stderr
    };
    let expected = format!("mailconn: --server @wrok: {there}; did you mean @work?\n");
    assert_eq!(said(&mut home.command(&["run", "--server", "@wrok"])), expected);
    let expected = format!("mailconn: URL @xyzzyx: {there}\n");
    assert_eq!(said(&mut home.command(&["check", "@xyzzyx"])), expected);
    let expected = format!("mailconn: MAILCONN_SERVER @: {there}\n");
    assert_eq!(said(home.command(&["run"]).env("MAILCONN_SERVER", "@")), expected);
    fs::write(home.file(), "[defaults]\nserver = '@work'\n").unwrap();
    let expected =
        format!("mailconn: {file}:2 @work: {file} names no server; write [servers.work] there, or give the URL\n");
    assert_eq!(said(&mut home.command(&["run"])), expected);
    fs::remove_file(home.file()).unwrap();
    let expected = format!("mailconn: --server @work: no server has a name, since there is no {file}; ");
    assert!(said(&mut home.command(&["run", "--server", "@work"])).starts_with(&expected));
}

#[test]
fn a_file_that_cannot_be_read_is_one_line() {
    let home = Home::with("[defaults]\nthreads = 1\n");
    let place = home.0.path().join("settings");
    let path = place.to_str().unwrap();
    let refused = |args: &[&str], what: &str| {
        let ended = home.end(args);
        assert_eq!((ended.code, ended.stderr.lines().count()), (2, 1), "{}", ended.stderr);
        assert!(ended.stderr.starts_with("mailconn: ") && ended.stderr.contains(what), "{}", ended.stderr);
    };
    refused(&["run", "--config", path], &format!("--config: reading \"{path}\": No such file"));
    refused(&["run", "--config", ""], "--config");
    refused(&["run", "--config", "-"], "--config: reading \"-\": No such file");
    refused(&["--config", home.0.path().to_str().unwrap(), "run"], "is no file");
    refused(&["run", "--config", "/dev/zero"], "is too big for settings: more than 65536 bytes");
    fs::write(&place, vec![b'#'; 65_537]).unwrap();
    refused(&["run", "--config", path], "is too big for settings");
    fs::write(&place, b"[defaults]\nmailbox = '\xff'\n").unwrap();
    refused(&["run", "--config", path], &format!("{path}:2: not UTF-8 text"));
    fs::write(&place, "[defaults]\n").unwrap();
    fs::set_permissions(&place, Permissions::from_mode(0o666)).unwrap();
    refused(
        &["run", "--config", path],
        "other users can write it, and it names commands that run as you; chmod o-w it",
    );
    assert!(Command::new("mkfifo").arg(home.0.path().join("fifo")).status().unwrap().success());
    refused(&["run", "--config", home.0.path().join("fifo").to_str().unwrap()], "is no file");
    let ended = end(home.command(&["run"]).env("MAILCONN_CONFIG", path).env("MAILCONN_THREADS", "1"));
    assert!(ended.stderr.starts_with("mailconn: MAILCONN_CONFIG: "), "{}", ended.stderr);
    let bad = std::ffi::OsStr::from_bytes(b"\xff");
    let ended = end(home.command(&["run"]).env("MAILCONN_MAILBOX", bad));
    assert_eq!(ended.stderr, "mailconn: MAILCONN_MAILBOX is not UTF-8 text\n");
}

#[test]
fn a_file_is_found_where_xdg_says_and_the_working_directory_is_never_read() {
    let home = Home::with("[defaults]\nthreads = 7\n");
    let other = TempDir::new().unwrap();
    fs::create_dir(other.path().join("mailconn")).unwrap();
    fs::write(other.path().join("mailconn/config.toml"), "[defaults]\nthreads = 6\n").unwrap();
    for name in ["config.toml", "mailconn.toml", ".mailconn.toml"] {
        fs::write(other.path().join(name), "[defaults]\nthreads = 5\n").unwrap();
    }
    let threads = |command: &mut Command| row(&end(command.current_dir(other.path())).stdout, "threads");
    let settings = ["explain", "settings", "run"];
    assert!(threads(&mut home.command(&settings)).starts_with("threads 7 "));
    assert!(threads(home.command(&settings).env("XDG_CONFIG_HOME", other.path())).starts_with("threads 6 "));
    assert!(threads(home.command(&settings).env("XDG_CONFIG_HOME", ".")).starts_with("threads 7 "));
    assert_eq!(threads(mailconn(settings).env("HOME", ".")), "threads 4");
    assert_eq!(threads(&mut mailconn(settings)), "threads 4");
    assert_eq!(threads(home.command(&settings).env("MAILCONN_CONFIG", "/dev/null")), "threads 4");
    assert!(
        threads(&mut home.command(&["explain", "--config", "config.toml", "settings", "run"]))
            .starts_with("threads 5 ")
    );
    // What does not dial has nothing to configure, and a broken file does not stand in its way.
    fs::write(home.file(), "broken").unwrap();
    for args in [&["explain", "closed"][..], &["man"], &["scenario", "--help"], &["--version"]] {
        assert_eq!(home.end(args).code, 0, "{args:?}");
    }
    assert_eq!(home.end(&["run"]).code, 2);
}

#[test]
fn explain_settings_tells_of_every_command_and_of_variables_that_set_nothing() {
    let home = Home::with("[defaults]\npace = '1s'\nformat = 'ndjson'\nhold = 'soon'\n");
    let told =
        end(home.command(&["explain", "settings"]).env("MAILCONN_TREADS", "3").env("MAILCONN_PASSWORD", PASSWORD));
    assert_eq!(told.code, 2);
    let refused = format!("mailconn: limits: {}:4: invalid value 'soon' for '--hold", home.file().display());
    assert!(told.stderr.starts_with(&refused) && told.stderr.lines().count() == 1, "{}", told.stderr);
    assert!(told.stdout.starts_with("settings  configuration: "), "{}", told.stdout);
    assert!(told.stdout.contains(&format!("Not used here: format ({}:3)", home.file().display())), "{}", told.stdout);
    for key in ["pace", "rounds", "hold", "wait-timeout", "server", "connect-timeout"] {
        row(&told.stdout, key);
    }
    assert!(
        told.stdout.contains("\nMAILCONN_TREADS sets nothing; did you mean MAILCONN_THREADS?\n"),
        "{}",
        told.stdout
    );
    assert!(told.stdout.contains("\nOn the command line alone: --output "), "{}", told.stdout);
    let alone = ["output", "trace-events", "transcript", "allow-writes", "yes", "insecure", "plaintext"];
    for key in alone {
        assert!(!told.stdout.contains(&format!("\n  {key} ")), "{key}: {}", told.stdout);
    }
    let none = end(&mut mailconn(["explain", "settings", "verify"]));
    assert_eq!(none.stderr, "mailconn: \"verify\" takes no settings; run, check, limits, compare, scenario do\n");
    for word in ["Settings", "configuration"] {
        let plain = end(&mut mailconn(["explain", word]));
        assert_eq!((plain.code, &*plain.stderr), (0, ""));
        assert!(plain.stdout.contains("\nfile     none: "), "{}", plain.stdout);
    }
}

/// Of each kind: for another protocol, for other operations, for another report, for another command.
const OF_OTHERS: &str = "\
[defaults]
ops = 'fetch'
lock = 'command'
format = 'html'
each = true
duration = '50s'
sandbox-limit = 'imap:user=3'
fail-if = 'service.p50 > 90s'
[servers.pop]
url = 'sandbox+pop3'
[servers.smtp]
url = 'sandbox+smtp'
[servers.own]
url = 'sandbox+pop3'
ops = 'fetch'
";

#[test]
fn defaults_that_a_server_or_a_command_has_no_use_for_are_left_out() {
    let home = Home::with(OF_OTHERS);
    let compare =
        ["compare", "-t", "1", "-n", "3", "--rounds", "8", "--variant", "use-main", "--variant", "use-default"];
    let run = ["run", "-t", "1", "-n", "2"];
    for (args, unused, used) in [
        (
            &[&run[..], &["--server", "@pop"]].concat()[..],
            &["ops", "lock", "each", "sandbox-limit"][..],
            &["format"][..],
        ),
        (&[&run[..], &["--server", "@smtp"]].concat(), &["ops", "lock", "each", "sandbox-limit"], &["format"]),
        (&[&run[..], &["--ops", "noop", "--format", "json"]].concat(), &["lock", "each"], &["sandbox-limit"]),
        (&[&run[..], &["--format", "table"]].concat(), &[], &["ops", "lock", "each", "sandbox-limit", "fail-if"]),
        (&[&run[..], &["-o", "told.json"]].concat(), &["each"], &["ops", "lock", "format"]),
        (&["run", "-t", "1", "--executor", "pool", "--tasks", "2", "-n", "1"], &["duration", "each"], &["lock"]),
        (&["check", "sandbox"], &["format"], &[]),
        (&compare, &["fail-if"], &["format"]),
    ] {
        let told = home.end(&[&["explain", "settings"], args].concat());
        assert_eq!((told.code, &*told.stderr), (0, ""), "{args:?}: {}", told.stdout);
        for key in unused {
            let unused = told.stdout.lines().find_map(|line| line.strip_prefix("Not used here: ")).unwrap_or_default();
            assert!(
                unused.split(", ").any(|it| it.starts_with(&format!("{key} ("))),
                "{args:?} {key}: {}",
                told.stdout
            );
        }
        for key in used {
            assert!(row(&told.stdout, key).contains("config.toml:"), "{args:?} {key}: {}", told.stdout);
        }
        // And so it runs.
        let ended = end(home.command(args).current_dir(home.0.path()));
        assert!(ended.code < 2, "{args:?}: {} {}", ended.code, ended.stderr);
    }
    let by_variable =
        end(Home::with("").command(&["run", "-n", "1", "--server", "sandbox+smtp"]).env("MAILCONN_OPS", "fetch"));
    assert_eq!(by_variable.code, 0, "{}", by_variable.stderr);
    // What stands under the server itself is a mistake, and so is what nobody knows.
    home.refuses(&["run", "--server", "@own"], 15, "no operation of POP3 is called");
    Home::with("[defaults]\nops = 'fetsch'\n").refuses(&["run"], 2, "no operation of IMAP is called");
}

#[test]
fn a_mistyped_address_is_what_is_wrong_whatever_else_is_configured() {
    let home = Home::with("[defaults]\nsandbox-connections = 3\nops = 'fetch'\n");
    for (typed, said) in [("pop", "unknown scheme"), ("sandox", "unknown scheme")] {
        let ended = home.end(&["run", "--server", typed]);
        assert_eq!((ended.code, ended.stderr.lines().count()), (2, 1), "{}", ended.stderr);
        assert!(ended.stderr.starts_with("mailconn: --server: ") && ended.stderr.contains(said), "{}", ended.stderr);
    }
}
