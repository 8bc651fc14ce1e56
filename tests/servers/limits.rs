//! The server's limit on a user's connections (rule B4), and careful signing in (rule B6).

use super::agreement::assert_recorded;
use super::relay::one_sign_in_at_a_time;
use super::tool::{Protection, SOON, Tool, assert_sums_hold, finding_ids};
use crate::support::dovecot::PrivateDovecot;

/// The server's own sentence.
fn refusal(limit: usize) -> String {
    format!("NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections={limit})")
}

/// A limit is no wrong password (thunderbird-android#1694), what is open lives on (mail-in-a-box/mailinabox#1799), and
/// whoever was refused does not hammer (mscdex/node-imap#606).
#[test]
fn past_the_limit_three_workers_finish_and_five_stop_after_one_attempt_each() {
    let server = PrivateDovecot::builder().max_connections(3).start();
    // Those that are served work for longer than the others need to be refused: nobody's place comes free in between.
    let url = format!("imap://u1@127.0.0.1:{}", one_sign_in_at_a_time(&server));
    let tool = Tool::dialling(&url).password("pw").with("--auth plain --mode use-default -t 8 -n 20 --pause 50ms");
    let (finished, report) = tool.streamed();
    assert_eq!(finished.code, 6, "{}{}", finished.stdout, finished.stderr);

    let totals = report.totals();
    assert_sums_hold(totals);
    let operations = &totals["operations"];
    assert_eq!((&operations["asked"], &operations["ok"]), (&160.into(), &60.into()), "{totals:#}");
    assert_eq!((&operations["failed"], &operations["not_issued"]), (&5.into(), &95.into()), "{totals:#}");
    assert_eq!(totals["connections"]["main_opened"], false, "no silent fall-back to main");
    assert_eq!((&totals["connections"]["opened"], &totals["connections"]["peak"]), (&3.into(), &3.into()));
    assert_eq!(finding_ids(totals), ["MC030"]);
    assert_eq!(totals["findings"][0]["count"], 5);
    assert!(totals["findings"][0]["sentence"].as_str().unwrap().contains("stay at 3 connections"), "{totals:#}");
    for operation in report.failed() {
        let failure = &operation["failure"];
        assert_eq!((&failure["kind"], &failure["stage"]), (&"limit-connections".into(), &"auth".into()), "{operation}");
        assert_eq!(failure["server_line"], refusal(3));
    }
    assert_eq!(report.failed().count(), 5);

    assert_recorded(&server, "u1", &report);
    let log = server.wait_for(SOON, |log| log.turned_away.len() >= 5);
    assert_eq!((log.limit_refusals().count(), log.turned_away.len()), (5, 5), "{:#?}", log.turned_away);
    assert!(log.refused_sign_ins.is_empty());
    let mut refused: Vec<u64> =
        report.events("session-refused").map(|refused| refused["local_port"].as_u64().unwrap()).collect();
    let mut recorded: Vec<u64> = log.limit_refusals().map(|refusal| refusal.client_port.into()).collect();
    refused.sort_unstable();
    recorded.sort_unstable();
    assert_eq!(refused, recorded);
}

/// Defaults and main reach for the one place there is; nobody can say who comes first, so each user has a try until main
/// comes too late.
#[test]
fn where_defaults_hold_every_slot_main_cannot_open_and_mc032_says_so() {
    let server = PrivateDovecot::builder().max_connections(1).start();
    let shut_out = server.users().into_iter().find(|user| {
        let tool = Tool::on(&server, user, Protection::Plain)
            .with("--mode use-main-or-default -t 6 --default-for w0-w4 -n 5 --pause 50ms");
        let (finished, report) = tool.streamed();
        let totals = report.totals();
        assert_eq!(finished.code, 6, "{}{}", finished.stdout, finished.stderr);
        assert_sums_hold(totals);
        assert_recorded(&server, user, &report);
        let main_opened = totals["connections"]["main_opened"] == true;
        let found = finding_ids(totals);
        let is_shut_out = found.contains(&"MC032");
        if is_shut_out {
            assert_eq!((found, main_opened), (vec!["MC030", "MC032"], false), "{totals:#}");
        } else {
            assert_eq!(found, ["MC030"], "{totals:#}");
            // Main may be refused for a sign-in that the server counts already, and we do not: then none of ours was open.
            let evidence = totals["findings"][0]["evidence"].as_array().unwrap();
            let of_main = |line: &serde_json::Value| line.as_str().unwrap().starts_with("#0 with 0 open: ");
            assert!(main_opened || evidence.iter().any(of_main), "{totals:#}");
        }
        if is_shut_out {
            let [failed] = Vec::from_iter(report.failed())[..] else { panic!("{totals:#}") };
            assert_eq!((&failed["reason"], &failed["session"]), (&"main".into(), &"#0".into()));
            assert_eq!(failed["failure"]["server_line"], refusal(1));
        }
        is_shut_out
    });
    assert!(shut_out.is_some(), "main was first for every user");
}

/// A client whose retries get it banned does more harm than the typing error did (nextcloud/mail#9156).
#[test]
fn a_wrong_password_costs_one_sign_in_however_many_threads_there_are() {
    const WRONG: &str = "not-the-password-of-anyone";
    let server = PrivateDovecot::start();
    let modes = ["use-main", "use-default", "use-main-or-default --default-for half"];
    for (number, mode) in modes.into_iter().enumerate() {
        let user = server.users()[number].to_owned();
        let url = format!("imap://{user}@127.0.0.1:{}", server.imap_port());
        let tool = Tool::dialling(&url).password(WRONG).with("-t 8 -n 5 --mode").with(mode);
        let (finished, report) = tool.streamed();
        assert_eq!(finished.code, 5, "{}{}", finished.stdout, finished.stderr);
        assert_sums_hold(report.totals());
        assert_eq!(report.totals()["connections"]["opened"], 0);
        let attempts = |log: &crate::support::dovecot_log::Log| {
            log.refused_sign_ins.iter().filter(|refused| refused.user == user).count()
        };
        assert_eq!(attempts(&server.wait_for(SOON, |log| attempts(log) > 0)), 1, "{mode}");
        let attempted = report.events("session-refused").filter(|refused| refused["sign_in_attempted"] == true);
        assert_eq!(attempted.count(), 1, "{mode}");

        let table = Tool::dialling(&url).password(WRONG).with("-t 8 -n 5 --mode").with(mode).finish();
        assert_eq!(table.code, 5);
        let said = table.words();
        assert_eq!(said.matches("the server refused the user or the password").count(), 1, "{}", table.stdout);
        assert!(said.contains("NO [AUTHENTICATIONFAILED] Authentication failed."), "{}", table.stdout);
        for output in [&finished.stdout, &finished.stderr, &table.stdout, &table.stderr] {
            assert!(!output.contains(WRONG), "{output}");
        }
    }
}
