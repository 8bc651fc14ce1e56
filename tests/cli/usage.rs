//! Wrong usage: one line with the rule or the cure, exit 2, and nobody is dialled.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;

use super::process::{Ended, PASSWORD, end, mailconn, shell};

#[track_caller]
fn is_refused(ended: &Ended, cure: &str) {
    let said = &ended.stderr;
    assert_eq!(ended.code, 2, "{said}");
    assert_eq!(ended.stdout, "", "{said}");
    assert!(said.ends_with('\n') && said.lines().count() == 1, "one line: {said:?}");
    assert!(said.starts_with("mailconn: ") && said.contains(cure), "{said:?} should say {cure:?}");
}

/// A server that must never hear of it.
struct Unheard(TcpListener);

impl Unheard {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn url(&self) -> String {
        format!("imap://joe@{}", self.0.local_addr().unwrap())
    }

    #[track_caller]
    fn refuses(&self, args: &[&str], cure: &str) {
        let url = self.url();
        let mut command = mailconn(["run", "--server", &url].iter().chain(args));
        is_refused(&end(command.env("MAILCONN_PASSWORD", PASSWORD)), cure);
        self.heard_nothing();
    }

    #[track_caller]
    fn heard_nothing(&self) {
        assert_eq!(self.0.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "it was dialled");
    }
}

#[test]
fn what_the_rules_forbid_cites_them() {
    let server = Unheard::new();
    server.refuses(&["--mode", "use-main", "--default-for", "w0"], "--default-for: refused (C2): use-main has no");
    server.refuses(&["--mode", "use-default", "--default-for", "all"], "use-main-or-default");
}

#[test]
fn numbers_lists_and_mixes_that_make_no_sense_name_what_would() {
    let server = Unheard::new();
    server.refuses(&["--threads", "0"], "give at least 1");
    server.refuses(&["--threads", "many"], "--threads");
    server.refuses(&["-n", "0"], "give at least 1");
    server.refuses(&["-n", "18446744073709551615"], "give at most 1000000000000");
    server.refuses(&["-n", "5", "--duration", "1s"], "cannot be used with");
    server.refuses(&["--max-connections", "0"], "give at least 1");
    server.refuses(&["--ops", "nosuch=1"], "there are noop, list, status, fetch, search");
    server.refuses(&["--ops", "noop=x"], "must be a whole number");
    server.refuses(&["--ops", "noop=0"], "at least one operation");
    server.refuses(&["--ops", "noop,noop"], "give it one weight");
    server.refuses(&["--threads", "8", "--default-for", "w9"], "8 thread(s) are w0 to w7");
    server.refuses(&["--threads", "8", "--independent-for", "w0-w8"], "raise --threads");
    server.refuses(&["--default-for", "everybody"], "w0,w2-w5");
    server.refuses(&["--mailbox", ""], "needs a name");
    server.refuses(&["--mailbox", "a\nb"], "control character");
}

#[test]
fn times_need_a_unit_and_a_bound() {
    let server = Unheard::new();
    for flag in ["--duration", "--pause", "--connect-timeout", "--timeout", "--wait-timeout"] {
        for time in ["5", "soon", "", "-1s", "5 parsecs"] {
            server.refuses(&[&format!("{flag}={time}")], "give a number and a unit, like 20ms, 2s or 1m");
        }
        server.refuses(&[flag, "400000000000y"], "give at most 366d");
    }
    for flag in ["--duration", "--connect-timeout", "--timeout"] {
        server.refuses(&[flag, "0s"], "longer than 0");
    }
}

#[test]
fn flags_that_do_not_exist_or_do_not_fit_are_named() {
    let server = Unheard::new();
    server.refuses(&["--thraeds", "3"], "'--threads'");
    server.refuses(&["--mode", "use-all"], "use-main, use-default, use-main-or-default");
    server.refuses(&["--format", "xml"], "table, json, ndjson");
    server.refuses(&["surplus"], "surplus");
    server.refuses(&["--starttls", "--plaintext"], "cannot be used with");
    server.refuses(&["--sandbox-connections", "3"], "names a real server");
    server.refuses(&["--sandbox-maildrops", "shared"], "--sandbox-maildrops shapes the sandbox");
    server.refuses(&["--server", &server.url()], "cannot be used multiple times");
    is_refused(&end(&mut mailconn(["frobnicate"])), "frobnicate");
    is_refused(&end(&mut mailconn(["run", "--server", "sandbox+imaps", "--starttls"])), "TLS from the first byte");
    is_refused(&end(&mut mailconn(["run", "--server", "sandbox+nntp"])), "there are sandbox, sandbox+imap");
}

#[test]
fn an_address_that_is_none_says_how_to_write_one() {
    for (url, cure) in [
        ("ftp://joe@127.0.0.1", "unknown scheme ftp://; write imaps://user@host"),
        ("", "write imaps://user@host"),
        ("imap://127.0.0.1", "names no user"),
        ("imap://joe@", "names no host"),
        ("imap://joe@127.0.0.1:0", "1 to 65535"),
        ("imap://joe@127.0.0.1/INBOX", "name the mailbox separately"),
    ] {
        is_refused(&end(mailconn(["run", "--server", url]).env("MAILCONN_PASSWORD", PASSWORD)), cure);
    }
    let ended = end(mailconn(["run"]).env("MAILCONN_SERVER", "nntp://joe@127.0.0.1"));
    is_refused(&ended, "MAILCONN_SERVER: unknown scheme nntp://");
    let ended = end(mailconn(["run"]).env("MAILCONN_SERVER", OsStr::from_bytes(b"imap://joe@\xff")));
    is_refused(&ended, "MAILCONN_SERVER is not UTF-8 text");
}

#[test]
fn a_password_in_the_address_is_refused_and_not_repeated() {
    let server = Unheard::new();
    let url = server.url().replace("joe@", &format!("joe:{PASSWORD}@"));
    let ended = end(&mut mailconn(["run", "--server", &url]));
    is_refused(&ended, "leave it out");
    for args in [vec![&*url], vec!["--server", "sandbox", &url], vec!["--mode", &url], vec!["--threads", &url]] {
        let ended = end(&mut mailconn(["run"].iter().chain(&args)));
        is_refused(&ended, "named with --server URL, and a password never belongs in it");
    }
    is_refused(&end(&mut mailconn([&url])), "a password never belongs in it");
    for flag in ["--ops", "--default-for", "--ca-file", "--password-file", "-o"] {
        // `end` sees to it that the password is not said.
        assert_eq!(end(&mut mailconn(["run", "--server", &server.url(), flag, &url])).code, 2, "{flag}");
    }
    server.heard_nothing();
}

#[test]
fn a_stderr_that_takes_nothing_changes_no_exit_code() {
    for args in ["", "run --thraeds 3", "run --threads 0", "run -n 1 --format json -o /dev/full"] {
        for stderr in ["2>/dev/full", "2> >(true)", "2>&-"] {
            let ended = end(&mut shell(&format!("{{}} {args} {stderr}")));
            assert_eq!(ended.code, 2, "{args} {stderr}");
        }
    }
}

#[test]
fn a_password_must_come_from_somewhere() {
    let server = Unheard::new();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    server.refuses(&["--password-file", directory.path().join("none").to_str().unwrap()], "No such file");
    server.refuses(&["--password-file", directory.path().to_str().unwrap()], "--password-file");
    server.refuses(&["--password-file", &file("empty", b"")], "it is empty; put the password on its first line");
    server.refuses(&["--password-file", &file("blank", b"\n")], "it is empty");
    server.refuses(&["--password-file", &file("bytes", b"\xff\xfe")], "not UTF-8");
    server.refuses(&["--password-file", &file("two", b"one\ntwo\n")], "nothing else");
    server.refuses(&["--password-file", "/dev/zero"], "too long for a password");

    let ended = end(&mut mailconn(["run", "--server", &server.url()]));
    is_refused(&ended, "set MAILCONN_PASSWORD, or name a --password-file");
    server.heard_nothing();
}

#[test]
fn a_report_that_cannot_be_written_is_known_before_anything_runs() {
    let server = Unheard::new();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    server.refuses(&["-o", &path("missing/report")], "create it first");
    server.refuses(&["-o", directory.path().to_str().unwrap()], "it is a directory");
    server.refuses(&["-o", ""], "-o");
    std::fs::write(path("file"), "kept").unwrap();
    server.refuses(&["-o", &path("file/report")], "not a directory");
    server.refuses(&["-o", &path("file"), "--threads", "0"], "give at least 1");
    let ended = end(&mut mailconn(["run", "-o", "/proc/report"]));
    assert_eq!(ended.stderr, "mailconn: cannot write to /proc/report: entity not found\n", "each cause once");
    assert_eq!(std::fs::read_to_string(path("file")).unwrap(), "kept");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn certificates_that_cannot_be_read_are_known_before_anything_runs() {
    let server = Unheard::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    let name = path.to_str().unwrap();
    server.refuses(&["--ca-file", name, "--starttls"], "cannot be read");
    server.refuses(&["--client-cert", name, "--starttls"], "the client certificate");
    std::fs::write(&path, "no certificate").unwrap();
    server.refuses(&["--ca-file", name, "--starttls"], "BEGIN CERTIFICATE");
}

#[test]
fn transcripts_that_cannot_be_written_are_known_before_anything_runs() {
    let server = Unheard::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, "kept").unwrap();
    let name = path.to_str().unwrap();
    server.refuses(&["--transcript", name], &format!("--transcript: no transcript can be written to {name}: "));
    server.refuses(&["--transcript", ""], "--transcript");
}

#[test]
fn flags_on_tls_that_make_no_sense_say_so() {
    let server = Unheard::new();
    server.refuses(&["--starttls", "--client-key", "key.pem"], "--client-cert");
    server.refuses(&["--starttls", "--server-name", "no name"], "\"no name\" cannot be a server's name");
    server.refuses(&["--starttls", "--tls-min", "1.1"], "1.2, 1.3");
    server.refuses(&["--starttls", "--insecure", "--ca-file", "ca.pem"], "cannot be used with");
    for flags in [
        &["--ca-file", "ca.pem"][..],
        &["--client-cert", "cert.pem"],
        &["--server-name", "mail.example.org"],
        &["--tls-min", "1.3"],
        &["--insecure"],
    ] {
        let why = format!("{} is about TLS, and {} is spoken to in plaintext", flags[0], server.url());
        server.refuses(flags, &why);
        is_refused(
            &end(&mut mailconn(["run"].iter().chain(flags))),
            &format!("drop {}, or name another server", flags[0]),
        );
    }
}

#[test]
fn a_server_by_its_place_may_be_typed_as_a_flag_too() {
    for args in [
        &["--server", "sandbox+pop3"][..],
        &["--server=sandbox+pop3"],
        &["--format", "json", "--server", "sandbox+pop3"],
    ] {
        let ended = end(&mut mailconn(["check"].iter().chain(args)));
        assert_eq!(ended.code, 0, "{args:?}: {}", ended.stderr);
        assert!(ended.stdout.contains("pop3"), "{}", ended.stdout);
    }
    for args in [&["--server"][..], &["sandbox", "--server", "sandbox"], &["--server", "--yes"]] {
        let ended = end(&mut mailconn(["limits"].iter().chain(args)));
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{args:?}");
        assert!(ended.stderr.starts_with("mailconn: unexpected argument"), "{}", ended.stderr);
    }
}
