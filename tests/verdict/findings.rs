//! What else a run shows: each finding where it belongs, and none where it does not.

use std::time::Duration;

use mailconn::allocator::{Kind, Mode, Reason};
use mailconn::protocol::{Failure, FailureKind, Stage};
use mailconn::record::{Conclusion, Finding, HowClosed, Role, Severity, What};
use mailconn::sandbox::Options;

use super::real::{ids, own, plan, run_on, sandbox, verdict, witness};
use super::table::{Written, operation};

#[track_caller]
fn only(run: &Written, id: &str) -> Finding {
    let verdict = verdict(&run.0);
    assert_eq!(ids(&verdict), [id], "{:?}", verdict.findings);
    verdict.findings[0].clone()
}

fn failure(kind: FailureKind) -> Failure {
    Failure::new(kind, Stage::Operation, "it failed").with_line(b"BAD because")
}

#[test]
fn mc040_a_session_that_is_never_closed_or_without_a_logout() {
    let mut run = Written::new(Mode::UseMain);
    run.open(0);
    let finding = only(&run, "MC040");
    assert_eq!((finding.severity, finding.count), (Severity::Leak, 1));
    assert_eq!(finding.evidence, ["#0 was open at the end"]);
    assert_eq!(verdict(&run.0).conclusion, Conclusion::Failed);

    run.close(0, HowClosed::WithoutLogout(failure(FailureKind::Timeout)));
    assert!(only(&run, "MC040").evidence[0].starts_with("#0 was closed without a goodbye: timeout"));

    for how in [HowClosed::LoggedOut, HowClosed::Discarded] {
        let mut run = Written::new(Mode::UseMain);
        run.open(0);
        run.close(0, how);
        assert_eq!(ids(&verdict(&run.0)), Vec::<&str>::new());
    }

    let mut run = own();
    witness(&mut run)[1].open = true;
    let verdict = verdict(&run);
    assert_eq!(ids(&verdict), ["MC040"]);
    assert!(verdict.findings[0].evidence[0].starts_with("the server still has #"), "{:?}", verdict.findings);
}

#[test]
fn mc041_a_connection_given_up_in_the_middle_of_a_reply() {
    for (kind, found) in [
        (FailureKind::Timeout, true),
        (FailureKind::Protocol, true),
        (FailureKind::ServerBye, false),
        (FailureKind::Closed, false),
        (FailureKind::ServerNo, false),
    ] {
        let mut run = Written::new(Mode::UseMain);
        run.open(0);
        let mut cut = operation(0, 1, Mode::UseMain, Reason::Main);
        cut.outcome = Err(Box::new(failure(kind)));
        run.enter(What::Operation(Box::new(cut)));
        run.close(0, HowClosed::Discarded);
        let verdict = verdict(&run.0);
        assert_eq!(ids(&verdict) == ["MC041"], found, "{kind}: {:?}", verdict.findings);
        assert_eq!(verdict.conclusion, Conclusion::Failed);
    }
}

#[test]
fn mc030_refused_because_too_many_are_open_with_how_many_there_were() {
    let mut run = Written::new(Mode::UseDefault);
    for connection in 1..=4 {
        run.create(connection, Kind::Default, 0, true);
    }
    run.open(1);
    run.open(2);
    run.refused(3, 1, 2, FailureKind::LimitConnections);
    run.refused(4, 1, 2, FailureKind::LimitConnections);
    run.close(1, HowClosed::LoggedOut);
    run.close(2, HowClosed::LoggedOut);
    let finding = only(&run, "MC030");
    assert_eq!((finding.severity, finding.count), (Severity::Limit, 2));
    assert!(finding.sentence.contains("while 2 of ours were open; stay at 2 connections"), "{}", finding.sentence);
    assert_eq!(finding.evidence[0], "#3 with 2 open: NO because");
}

/// The server counts a session from its sign-in on; that we had not yet heard of it is no reason to suspect others.
#[test]
fn mc030_counts_sessions_that_were_signed_in_though_their_dials_were_not_over() {
    for (began, says) in [(4, "while 2 of ours were open; stay at 2"), (6, "while 0 of ours were open; other clients")]
    {
        let mut run = Written::new(Mode::UseDefault);
        run.create(9, Kind::Default, 0, true);
        run.refused(9, 1, 0, FailureKind::LimitConnections);
        run.open(1);
        run.open(2);
        for entry in &mut run.0.entries {
            entry.at = Duration::from_millis(5);
            if let What::Opened(opened) = &mut entry.what {
                opened.began = Duration::from_millis(began);
            }
        }
        run.close(1, HowClosed::LoggedOut);
        // What opened after another one has ended may have its place.
        run.open(3);
        for connection in [2, 3] {
            run.close(connection, HowClosed::LoggedOut);
        }
        let verdict = verdict(&run.0);
        let sentence = &verdict.findings[0].sentence;
        assert!(sentence.contains(says), "dialled at {began}: {sentence}");
    }
}

#[test]
fn mc032_takes_the_place_of_mc030_where_our_own_connections_shut_main_out() {
    for (open, id) in [(3, "MC032"), (0, "MC030")] {
        let mut run = Written::new(Mode::UseMainOrDefault);
        run.refused(0, 1, open, FailureKind::LimitConnections);
        let finding = only(&run, id);
        assert_eq!(verdict(&run.0).conclusion, Conclusion::Limited);
        let says =
            if open == 0 { "other clients hold its connections" } else { "3 other connection(s) of this client" };
        assert!(finding.sentence.contains(says), "{}", finding.sentence);
    }
}

#[test]
fn mc031_throttled_at_a_dial_or_at_an_operation() {
    let mut run = Written::new(Mode::UseMain);
    run.refused(0, 1, 0, FailureKind::LimitRate);
    run.open(0);
    let mut throttled = operation(0, 2, Mode::UseMain, Reason::Main);
    throttled.outcome = Err(Box::new(failure(FailureKind::LimitRate)));
    run.enter(What::Operation(Box::new(throttled)));
    run.close(0, HowClosed::LoggedOut);
    let finding = only(&run, "MC031");
    assert_eq!((finding.severity, finding.count), (Severity::Limit, 2));
    assert_eq!(finding.evidence, ["#0: NO because", "operation 1: BAD because"]);
    assert_eq!(verdict(&run.0).conclusion, Conclusion::Limited);
}

#[test]
fn mc050_more_waiting_than_work() {
    for (wait, found) in [(900, false), (20_000, true)] {
        let mut run = Written::new(Mode::UseMain);
        run.open(0);
        let mut waited = operation(0, 1, Mode::UseMain, Reason::Main);
        (waited.wait, waited.service) = (Duration::from_micros(wait), Duration::from_micros(800));
        run.enter(What::Operation(Box::new(waited)));
        run.close(0, HowClosed::LoggedOut);
        let verdict = verdict(&run.0);
        assert_eq!(ids(&verdict) == ["MC050"], found, "{:?}", verdict.findings);
        assert_eq!(verdict.conclusion, Conclusion::Held, "advice fails nothing");
    }
}

#[test]
fn mc051_a_connection_for_each_operation() {
    for (each, found) in [(1, true), (2, false)] {
        let plan = plan(Mode::UseDefault, vec![Role::default(); 3], each, "noop");
        let verdict = verdict(&run_on(sandbox(Options::default()), &plan));
        assert_eq!(ids(&verdict) == ["MC051"], found, "{:?}", verdict.findings);
        assert_eq!(verdict.conclusion, Conclusion::Held);
    }
}

#[test]
fn a_limit_met_for_real_names_the_number_and_the_server_s_words() {
    let options = Options { connections_per_user: Some(2), ..Options::default() };
    let plan = plan(Mode::UseDefault, vec![Role::default(); 6], 30, "noop");
    let verdict = verdict(&run_on(sandbox(options), &plan));
    assert_eq!(ids(&verdict), ["MC030"]);
    let finding = &verdict.findings[0];
    assert_eq!(finding.count, 4);
    assert!(finding.sentence.contains("stay at 2 connections"), "{}", finding.sentence);
    assert!(finding.evidence[0].contains("mail_max_userip_connections=2"), "{:?}", finding.evidence);
    let witness = verdict.witness.unwrap();
    assert_eq!((witness.checked, witness.held), (60, 60), "and both records agree on what was done");
    assert_eq!(verdict.conclusion.exit_code(), 6);
}

#[test]
fn the_worst_comes_first() {
    let mut run = Written::new(Mode::UseMain);
    run.open(0);
    run.create(1, Kind::Independent, 0, true);
    run.refused(1, 1, 1, FailureKind::LimitConnections);
    let mut lost = operation(77, 0, Mode::UseMain, Reason::Main);
    lost.outcome = Err(Box::new(failure(FailureKind::Timeout)));
    lost.wait = Duration::from_secs(9);
    run.enter(What::Operation(Box::new(lost)));
    assert_eq!(ids(&verdict(&run.0)), ["MC001", "MC030", "MC040", "MC041", "MC050"]);
}
