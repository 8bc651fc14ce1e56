//! Under TLS and after STARTTLS, against the sandbox as a process of its own, which is given the password too.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::ChildStdout;

use super::flight::Nest;
use super::forms::{Eye, ODD, PLAIN};
use super::watched::{READS, WRITES, how_often, seen, watched};
use crate::cli::process::{Running, end, start_unread};

/// A sandbox on six ports, the three in the clear by STARTTLS only.
struct Sandbox {
    running: Running,
    stdout: BufReader<ChildStdout>,
    said: String,
    urls: Vec<String>,
    nest: Nest,
}

impl Sandbox {
    fn open(password: &str) -> Self {
        let nest = Nest::with(password);
        let path = nest.secret().to_str().unwrap();
        let words = ["sandbox", "--user", "joe", "--password-file", path, "--starttls", "--ca-file", "ca.pem", "--log"];
        let mut running = start_unread(&mut nest.command(&words));
        let mut stdout = BufReader::new(running.stdout());
        let mut said = String::new();
        while !said.lines().last().is_some_and(|line| line.starts_with("ca ")) {
            assert!(stdout.read_line(&mut said).unwrap() > 0, "{said}");
        }
        let urls: Vec<_> = said.lines().filter(|line| line.contains("://")).map(str::to_owned).collect();
        assert_eq!(urls.len(), 6, "{said}");
        Self { running, stdout, said, urls, nest }
    }

    /// What it said and wrote, all of it.
    #[track_caller]
    fn close(mut self, eye: &Eye) {
        self.running.signal("INT");
        self.stdout.read_to_string(&mut self.said).unwrap();
        let mut ended = self.running.end();
        ended.stdout = self.said;
        assert!(ended.stdout.contains("signed in as joe") && ended.stdout.contains("refused: "), "{}", ended.stdout);
        self.nest.is_clean("the sandbox", &ended, eye);
    }
}

#[test]
fn neither_end_of_an_encrypted_session_repeats_the_password() {
    let eye = Eye::for_all(&[ODD, PLAIN]);
    let sandbox = Sandbox::open(ODD);
    for url in &sandbox.urls {
        let starttls: &[&str] = if url.contains("s://") { &[] } else { &["--starttls"] };
        for (password, code) in [(ODD, 0), (PLAIN, 5)] {
            let nest = Nest::with(password);
            let ca = nest.secret().with_file_name("ca.pem");
            fs::write(&ca, &sandbox.nest.files()[0].1).unwrap();
            let tls = [&["--ca-file", ca.to_str().unwrap()], starttls].concat();
            for words in [
                &["run", "-n", "2", "-t", "2", "--each", "--transcript", "transcripts", "--server", url][..],
                &["check", "--format", "json", url],
            ] {
                let mut command = nest.command(&[words, &tls].concat());
                let ended = end(command.env("MAILCONN_PASSWORD", password));
                assert_eq!(ended.code, code, "{url}: {}{}", ended.stdout, ended.stderr);
                nest.is_clean(url, &ended, &eye);
            }
        }
    }
    sandbox.close(&eye);
}

#[test]
fn what_is_encrypted_leaves_the_process_in_no_form() {
    let eye = Eye::for_all(&[ODD]);
    let sandbox = Sandbox::open(ODD);
    for url in sandbox.urls.iter().step_by(3).chain(&sandbox.urls[1..2]) {
        let starttls: &[&str] = if url.contains("s://") { &[] } else { &["--starttls"] };
        let nest = Nest::with(ODD);
        let ca = nest.secret().with_file_name("ca.pem");
        fs::write(&ca, &sandbox.nest.files()[0].1).unwrap();
        let tls = ["--ca-file", ca.to_str().unwrap(), "--password-file", nest.secret().to_str().unwrap()];
        let (ended, tasks) = watched(&nest.command(&[&["check", url], &tls[..], starttls].concat()));
        assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
        let server = url.rsplit_once('@').unwrap().1.parse().unwrap();
        assert_eq!(seen(&tasks, server, "/secret", &eye), [""; 0]);
        assert_eq!(how_often(&tasks, &eye, &READS, "/secret"), 1);
        assert_eq!(how_often(&tasks, &eye, &WRITES, ""), 0, "not even to the server");
    }
    let wrong = Nest::with(PLAIN);
    let mut command = wrong.command(&["check", &sandbox.urls[1], "--insecure"]);
    assert_eq!(end(command.env("MAILCONN_PASSWORD", PLAIN)).code, 5);
    sandbox.close(&eye);
}
