//! Limits of the other protocols: a maildrop's one owner, and too many connections at each stage (rule B4).

use super::tool::{Protection, Protocol, Tool, assert_sums_hold, finding_ids};
use crate::support::dovecot::PrivateDovecot;

#[test]
fn a_locked_maildrop_lets_one_worker_work_and_mc033_explains() {
    let server = PrivateDovecot::builder().pop3_lock().start();
    let tool = Tool::speaking(Protocol::Pop3, &server, "u1", Protection::Plain);
    let (finished, report) = tool.with("--mode use-default -t 4 -n 10").streamed();
    assert_eq!(finished.code, 6, "{}{}", finished.stdout, finished.stderr);
    let totals = report.totals();
    assert_sums_hold(totals);
    let operations = &totals["operations"];
    assert_eq!(
        (&operations["ok"], &operations["failed"], &operations["not_issued"]),
        (&10.into(), &3.into(), &27.into())
    );
    assert_eq!(finding_ids(totals), ["MC033"], "{totals:#}");
    assert!(totals["findings"][0]["sentence"].as_str().unwrap().contains("one owner at a time"), "{totals:#}");
    for failed in report.failed() {
        assert_eq!(failed["failure"]["kind"], "limit-connections");
        assert_eq!(failed["failure"]["server_line"], "-ERR [IN-USE] Mailbox is locked by another POP3 session.");
    }

    // What the finding advises.
    let tool = Tool::speaking(Protocol::Pop3, &server, "u1", Protection::Plain);
    let (finished, report) = tool.with("--mode use-main -t 4 -n 10").streamed();
    assert_eq!((finished.code, finding_ids(report.totals())), (0, vec![]), "{}", finished.stdout);
}

#[test]
fn a_limit_at_the_greeting_is_a_limit_by_smtp() {
    let server = PrivateDovecot::builder().postfix().max_smtp_connections(3).start();
    let tool = Tool::speaking(Protocol::Smtp, &server, "u1", Protection::Plain);
    let (finished, report) = tool.with("--mode use-default -t 6 -n 5 --pause 100ms").streamed();
    assert_eq!(finished.code, 6, "{}{}", finished.stdout, finished.stderr);
    assert_sums_hold(report.totals());
    assert_eq!(finding_ids(report.totals()), ["MC030"]);
    for failed in report.failed() {
        let failure = &failed["failure"];
        assert_eq!((&failure["kind"], &failure["stage"]), (&"limit-connections".into(), &"greeting".into()));
        assert_eq!(failure["server_line"], "421 4.7.0 localhost Error: too many connections from 127.0.0.1");
    }
    assert_eq!(report.failed().count(), 3);
}

#[test]
fn a_limit_at_the_sign_in_is_a_limit_by_pop3() {
    let server = PrivateDovecot::builder().max_connections(1).start();
    let first = Tool::speaking(Protocol::Pop3, &server, "u1", Protection::Plain);
    let first = first.with("-t 1 -n 1000 --pause 20ms").start();
    server.wait_for(super::tool::SOON, |log| !log.sessions.is_empty());
    // Dovecot counts a session some time after it has said OK: until then, it lets the second run in.
    let second = || Tool::speaking(Protocol::Pop3, &server, "u1", Protection::Plain).with("-t 2 -n 2").streamed();
    let mut tries = std::iter::repeat_with(second).take(20);
    let (finished, report) = tries.find(|(finished, _)| finished.code != 0).expect("the limit is met");
    first.signal("INT");
    assert_eq!(first.finish().code, 130);
    assert_eq!(finished.code, 6, "{}{}", finished.stdout, finished.stderr);
    assert_eq!(finding_ids(report.totals()), ["MC030"], "a number of connections, and no lock: {}", finished.stdout);
    for failed in report.failed() {
        let failure = &failed["failure"];
        assert_eq!((&failure["kind"], &failure["stage"]), (&"limit-connections".into(), &"auth".into()));
        let line = failure["server_line"].as_str().unwrap();
        assert!(line.contains("mail_max_userip_connections=1"), "{line}");
    }
}
