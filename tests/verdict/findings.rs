//! What else a run shows: each finding where it belongs, and none where it does not.

use std::time::Duration;

use mailconn::allocator::{Kind, Mode, Reason};
use mailconn::protocol::{Failure, FailureKind, Stage};
use mailconn::record::{Command, Conclusion, Entry, FailOn, Finding, HowClosed, Role, Run, Severity, What};
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

    // A goodbye that was said is the server's to answer, whatever it does.
    for kind in [FailureKind::Closed, FailureKind::Timeout, FailureKind::ServerNo, FailureKind::Protocol] {
        let mut run = Written::new(Mode::UseMain);
        run.open(0);
        run.close(0, HowClosed::WithoutLogout(failure(kind)));
        if let Some(What::Closed(closed)) = run.0.entries.last_mut().map(|entry| &mut entry.what) {
            closed.commands = Box::new([Command { tag: 2, verb: "LOGOUT" }]);
        }
        assert_eq!(ids(&verdict(&run.0)), Vec::<&str>::new(), "{kind}");
        assert_eq!(verdict(&run.0).conclusion, Conclusion::Held, "{kind}");
    }

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

/// The server counts a session from its sign-in on; that we had not yet heard of it is no reason to suspect others. Nor was
/// one open that signed in while the refused one said goodbye.
#[test]
fn mc030_counts_the_sessions_that_were_signed_in_when_it_was_refused_and_no_others() {
    for (signed_in, refused, says) in [
        ([4, 4], 5, "while 2 of ours were open; stay at 2"),
        ([4, 6], 5, "while 2 of ours were open or being opened; stay at 2 connections at most"),
        ([6, 6], 5, "while 2 of ours were open or being opened; stay at 2 connections at most"),
        ([6, 6], 7, "while 2 of ours were open; stay at 2"),
    ] {
        for written_first in [false, true] {
            let mut run = Written::new(Mode::UseDefault);
            run.create(9, Kind::Default, 0, true);
            if written_first {
                run.refused(9, 1, 0, FailureKind::LimitConnections);
            }
            run.open(1);
            run.open(2);
            if !written_first {
                // Written down when its goodbye was over: both were open by then.
                run.refused(9, 1, 2, FailureKind::LimitConnections);
            }
            let mut times = signed_in.into_iter();
            for entry in &mut run.0.entries {
                match &mut entry.what {
                    What::Opened(opened) => opened.signed_in = Duration::from_millis(times.next().unwrap()),
                    What::OpenFailed(failed) => failed.failed = Duration::from_millis(refused),
                    _ => {}
                }
            }
            for connection in [1, 2] {
                run.close(connection, HowClosed::LoggedOut);
                run.0.entries.last_mut().unwrap().at = Duration::from_millis(9);
            }
            let verdict = verdict(&run.0);
            let sentence = &verdict.findings[0].sentence;
            assert!(sentence.contains(says), "{signed_in:?}, {refused}, {written_first}: {sentence}");
        }
    }
}

/// What the server names wins over what was seen, whichever is more.
#[test]
fn mc030_stays_at_the_number_that_the_server_names() {
    for (open, line, says) in [
        (3, "NO [LIMIT] Too many connections (3)", "while 3 of ours were open; stay at 3 connections"),
        (
            16,
            "NO [LIMIT] Too many connections, at most 7 are allowed",
            "while 16 of ours were open; it names 7 as its limit: this server lets sign-ins that arrive together past its \
             limit, do not count on more; stay at 7 connections",
        ),
        (1, "NO [LIMIT] (mail_max_userip_connections=10)", "it names 10 as its limit; stay at 10 connections"),
        (2, "NO [LIMIT] too many connections from 192.0.2.7", "while 2 of ours were open; stay at 2 connections"),
    ] {
        let mut run = Written::new(Mode::UseDefault);
        run.create(99, Kind::Default, 0, true);
        for connection in 1..=open {
            run.create(connection, Kind::Default, 1, true);
            run.open(connection);
        }
        run.refused(99, 1, open as usize, FailureKind::LimitConnections);
        for entry in &mut run.0.entries {
            if let What::OpenFailed(failed) = &mut entry.what {
                failed.failure = failed.failure.clone().with_line(line.as_bytes());
            }
        }
        for connection in 1..=open {
            run.close(connection, HowClosed::LoggedOut);
        }
        let finding = only(&run, "MC030");
        assert!(finding.sentence.contains(says), "{line}: {}", finding.sentence);
        assert!(finding.evidence[0].contains(line), "{:?}", finding.evidence);
    }
}

/// A server that hangs up on the third while it serves two others has a limit, though it does not say so.
#[test]
fn mc030_is_probable_where_a_dial_is_closed_without_a_word_and_others_go_on() {
    for (served_after, open, found) in [(true, 2, true), (false, 2, false), (true, 0, false)] {
        let mut run = Written::new(Mode::UseDefault);
        run.create(9, Kind::Default, 1, true);
        for connection in 1..=open {
            run.create(connection, Kind::Default, 0, true);
            run.open(connection);
        }
        run.refused(9, 1, open as usize, FailureKind::Closed);
        for entry in &mut run.0.entries {
            if let What::OpenFailed(failed) = &mut entry.what {
                failed.failure = Failure::new(FailureKind::Closed, Stage::Greeting, "closed without a word");
            }
        }
        if served_after {
            let connection = if open > 0 { 1 } else { 0 };
            if open == 0 {
                run.open(0);
            }
            run.enter(What::Operation(Box::new(operation(connection, 1, Mode::UseDefault, Reason::Default))));
        }
        let verdict = verdict(&run.0);
        let finding = verdict.findings.iter().find(|finding| finding.id == "MC030");
        assert_eq!(finding.is_some(), found, "{served_after}, {open}: {:?}", verdict.findings);
        if let Some(finding) = finding {
            assert!(finding.sentence.contains("probably its limit on connections; stay at 2"), "{}", finding.sentence);
        }
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
fn mc042_the_server_hung_up_while_nobody_used_it() {
    let gone = || Failure::new(FailureKind::Closed, Stage::Logout, "the server closed the connection without a word");
    let mut run = Written::new(Mode::UseMain);
    run.open(0);
    run.enter(What::Operation(Box::new(operation(0, 1, Mode::UseMain, Reason::Main))));
    run.close(0, HowClosed::HungUp(gone()));
    run.0.entries[2].at = Duration::from_secs(3);
    let finding = only(&run, "MC042");
    assert_eq!((finding.severity, finding.count), (Severity::Advice, 1));
    assert!(
        finding.sentence.contains("hung up on 1 connection(s) that nobody used, after 3.0s at most"),
        "{finding:?}"
    );
    assert_eq!(verdict(&run.0).conclusion, Conclusion::Held, "advice fails nothing");

    // Found by an operation that had not said a word yet, or in the middle of one: that is no idle time-out.
    for (commands, found) in [(0, true), (1, false)] {
        let mut run = Written::new(Mode::UseMain);
        run.open(0);
        let mut failed = operation(0, 1, Mode::UseMain, Reason::Main);
        failed.issued_at = Duration::from_secs(2);
        failed.outcome =
            Err(Box::new(Failure::new(FailureKind::ServerBye, Stage::Operation, "ended").with_line(b"BYE idle")));
        failed.commands = failed.commands.into_iter().take(commands).collect();
        run.enter(What::Operation(Box::new(failed)));
        run.close(0, HowClosed::Discarded);
        let verdict = verdict(&run.0);
        assert_eq!(ids(&verdict) == ["MC042"], found, "{:?}", verdict.findings);
        assert_eq!(verdict.conclusion, Conclusion::Failed, "the operation failed");
    }
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

/// A run of so many defaults, each used at these times, for so long; in milliseconds.
pub fn used(connections: u32, uses: &[(u64, u64)]) -> Run {
    let mut run = Written::new(Mode::UseDefault);
    for connection in 1..=connections {
        run.create(connection, Kind::Default, 0, false);
        run.open(connection);
    }
    for entry in &mut run.0.entries {
        entry.at = Duration::ZERO;
    }
    for (nth, (at, service)) in uses.iter().enumerate() {
        for connection in 1..=connections {
            let mut used = operation(connection, 1, Mode::UseDefault, Reason::Default);
            // One after the other, so that no two are in use at once.
            let at = at + if nth == 0 { 0 } else { u64::from(connection) * 7 };
            (used.issued_at, used.service) = (Duration::from_millis(at), Duration::from_millis(*service));
            run.enter(What::Operation(Box::new(used)));
            run.0.entries.last_mut().unwrap().at = Duration::from_millis(at + service);
        }
    }
    for connection in 1..=connections {
        run.close(connection, HowClosed::LoggedOut);
    }
    run.0
}

/// Found where fewer would have done, and not where they are busy, where the run is short, or where some threads were done before
/// the others.
#[test]
fn mc052_connections_that_were_held_and_hardly_used() {
    let found = |run: &Run| {
        let verdict = verdict(run);
        verdict.findings.into_iter().find(|finding| finding.id == "MC052")
    };
    let idle = used(4, &[(0, 1), (1000, 1), (2000, 1), (3000, 1), (4000, 1)]);
    let finding = found(&idle).unwrap();
    assert_eq!(finding.severity, Severity::Advice);
    assert!(finding.sentence.starts_with("4 connections were held for most of 4.0s and used for 0.1 %"), "{finding:?}");
    assert!(finding.sentence.contains("one that is shared would have done (use-main)"), "{finding:?}");
    assert_eq!(
        finding.evidence,
        ["4 held, 4 in use at once at most"],
        "all began together, and that is no use for them all"
    );

    let busy = used(4, &[(0, 900), (1000, 900), (2000, 900), (3000, 900)]);
    assert_eq!(found(&busy), None);
    let short = used(8, &[(0, 1), (100, 1), (200, 1), (1500, 1)]);
    assert_eq!(found(&short), None, "an ordinary short run");
    let mut one_goes_on = used(4, &[(0, 1)]);
    let mut last = operation(1, 1, Mode::UseDefault, Reason::Default);
    (last.issued_at, last.service) = (Duration::from_millis(10), Duration::from_secs(5));
    one_goes_on
        .entries
        .insert(12, Entry { seq: 12, at: Duration::from_secs(6), what: What::Operation(Box::new(last)) });
    assert_eq!(found(&one_goes_on), None, "the others only waited for its end");
    let alone = used(1, &[(0, 1), (1000, 1), (4000, 1)]);
    assert_eq!(found(&alone), None);
}

#[test]
fn mc053_no_thread_created_a_default() {
    let main = |mode| {
        let mut run = Written::new(mode);
        run.open(0);
        run.enter(What::Operation(Box::new(operation(0, 1, mode, Reason::Main))));
        run.close(0, HowClosed::LoggedOut);
        run
    };
    let finding = only(&main(Mode::UseMainOrDefault), "MC053");
    assert_eq!((finding.severity, &*finding.evidence), (Severity::Advice, &["1 operation(s) on main".to_owned()][..]));
    assert_eq!(ids(&verdict(&main(Mode::UseMain).0)), Vec::<&str>::new());
    let mut other = main(Mode::UseMainOrDefault);
    other.create(1, Kind::Default, 1, true);
    assert_eq!(ids(&verdict(&other.0)), Vec::<&str>::new(), "one did");
}

#[test]
fn the_end_names_the_finding_that_fails_the_run() {
    let mut run = Written::new(Mode::UseMain);
    run.open(0);
    assert_eq!(verdict(&run.0).because.as_deref(), Some("MC040 fails the run (--fail-on leak)"));
    let mut failed = operation(0, 1, Mode::UseMain, Reason::Main);
    failed.outcome = Err(Box::new(failure(FailureKind::ServerNo)));
    run.enter(What::Operation(Box::new(failed)));
    let because = verdict(&run.0).because;
    assert_eq!(because.as_deref(), Some("1 operation failed; MC040 fails the run (--fail-on leak)"));
    run.0.header.fail_on = FailOn::NONE;
    assert_eq!(verdict(&run.0).because.as_deref(), Some("1 operation failed"));
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
