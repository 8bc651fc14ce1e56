//! The shipped scenarios that ask the server for no fault, unchanged on a real one.

use std::fs;

use super::tool::{Finished, Protocol, Tool};
use crate::scenarios::shipped::{Shipped, all_held};
use crate::support::dovecot::PrivateDovecot;

fn on(server: &PrivateDovecot, protocol: Protocol, user: &str, least: usize) {
    let name = format!("{protocol:?}").to_lowercase();
    let all = Shipped::all();
    let names: Vec<&str> =
        all.iter().filter(|it| it.speaks(&name) && !it.needs_sandbox()).map(|it| it.name.as_str()).collect();
    assert!(names.len() >= least, "{names:?}");
    // A call has so much time.
    for names in names.chunks(8) {
        let tool = Tool::performing(names, protocol, server, user).with("--format ndjson");
        let Finished { code, stdout, stderr } = tool.finish();
        all_held(&stdout, names, false);
        assert_eq!((code, stderr.as_str()), (0, ""));
    }
}

#[test]
fn shipped_scenarios_without_faults_pass_on_dovecot_over_imap() {
    on(&PrivateDovecot::start(), Protocol::Imap, "u1", 30);
}

#[test]
fn shipped_scenarios_without_faults_pass_on_postfix_over_smtp() {
    on(&PrivateDovecot::builder().postfix().start(), Protocol::Smtp, "u1", 25);
}

#[test]
fn shipped_scenarios_without_faults_pass_on_dovecot_over_pop3() {
    on(&PrivateDovecot::start(), Protocol::Pop3, "u1", 25);
}

/// The one on a locked maildrop asks the sandbox for the lock; a server that has it needs not be asked.
#[test]
fn a_maildrop_with_one_owner_is_the_same_on_a_dovecot_that_locks_it() {
    let server = PrivateDovecot::builder().pop3_lock().start();
    let all = Shipped::all();
    let shipped = all.iter().find(|it| it.name == "b4-a-maildrop-has-one-owner").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("locked.txt");
    let file = path.to_str().unwrap();
    fs::write(file, shipped.text.replace("server locks maildrops\n", "")).unwrap();
    let tool = Tool::performing(&[file], Protocol::Pop3, &server, "u1").with("--format ndjson");
    let Finished { code, stdout, stderr } = tool.finish();
    all_held(&stdout, &[file], false);
    assert_eq!((code, stderr.as_str()), (0, ""));
}
