//! Which mailbox answered: what a reply proves, and what is found when it came from another one.

use mailconn::allocator::{ConnectionId, Mode, Reason, SessionId};
use mailconn::protocol::{Failure, FailureKind, Stage};
use mailconn::record::{
    Answer, Command, Conclusion, FailOn, HowClosed, Lock, Opened, Operation, Role, Run, Selection, Severity, What,
};
use mailconn::sandbox::Options;

use super::real::{ids, is_broken, is_clean, operations, own, plan, run_on, sandbox, verdict};
use super::table::{Written, operation, port};

fn shared(lock: Lock, each: u64, mix: &str) -> Run {
    let mut plan = plan(Mode::UseMain, vec![Role::default(); 4], each, mix);
    plan.mailboxes.push("Sent".into());
    plan.lock = lock;
    run_on(sandbox(Options::default()), &plan)
}

#[test]
fn each_reply_names_the_mailbox_that_it_came_from() {
    let run = own();
    let mut named = 0;
    for (_, operation) in run.operations().filter(|(_, operation)| operation.name == "fetch") {
        let asked = &run.header.mailboxes[usize::from(operation.mailbox.unwrap())];
        let answer = operation.answered_by.as_ref().unwrap();
        assert_eq!(answer.mailbox.as_deref(), Some(&**asked));
        assert!(answer.uid_validity.is_some());
        named += 1;
    }
    assert!(named > 0);
    let silent = run.operations().filter(|(_, operation)| matches!(operation.name, "noop" | "list" | "status"));
    assert!(silent.into_iter().all(|(_, operation)| operation.answered_by.is_none()));
}

#[test]
fn mc020_a_lock_for_each_command_reads_from_wrong_mailboxes_and_both_records_say_so() {
    let run = shared(Lock::Command, 60, "fetch");
    let verdict = verdict(&run);
    let finding =
        verdict.findings.iter().find(|finding| finding.id == "MC020").expect("four threads get in each other's way");
    assert_eq!((finding.severity, verdict.conclusion), (Severity::Hazard, Conclusion::Failed));
    let wrong = run.operations().filter(|(_, operation)| {
        let asked = &run.header.mailboxes[usize::from(operation.mailbox.unwrap())];
        operation.answered_by.as_ref().unwrap().mailbox.as_deref() != Some(&**asked)
    });
    assert_eq!(finding.count, wrong.count() as u64);
    assert!(finding.sentence.starts_with(&format!("{} of the 240 replies that show their mailbox", finding.count)));
    let first = &finding.evidence[0];
    assert!(
        first.contains("each message of its reply says that it is in ") && first.contains("there in between"),
        "{first}"
    );
    // The connection was main all along, and the server saw what the replies say: neither is what is wrong.
    assert!(!ids(&verdict).contains(&"MC001") && !ids(&verdict).contains(&"MC002"), "{:?}", verdict.findings);
    assert_eq!((verdict.rules.checked, verdict.rules.held), (240, 240));
    let witness = verdict.witness.unwrap();
    assert_eq!((witness.checked, witness.held), (240, 240));
}

#[test]
fn mc020_where_no_message_tells_the_selection_s_uidvalidity_does() {
    let run = shared(Lock::Command, 60, "search");
    let verdict = verdict(&run);
    let finding = verdict.findings.iter().find(|finding| finding.id == "MC020").expect("no thread has it to itself");
    assert!(finding.evidence[0].contains("whose UIDVALIDITY is "), "{:?}", finding.evidence);
}

/// Mailboxes that were made in one second can have the same: then a right one proves nothing, and is not counted as told.
#[test]
fn a_uidvalidity_that_two_mailboxes_share_proves_nothing() {
    let mut run = shared(Lock::Command, 30, "search");
    for operation in operations(&mut run) {
        operation.relied_on.as_mut().unwrap().uid_validity = Some(7);
        operation.answered_by.as_mut().unwrap().uid_validity = Some(7);
    }
    assert!(!ids(&verdict(&run)).contains(&"MC020"));
    operations(&mut run).next().unwrap().answered_by.as_mut().unwrap().uid_validity = Some(8);
    let verdict = verdict(&run);
    let finding = verdict.findings.iter().find(|finding| finding.id == "MC020").unwrap();
    assert!(finding.sentence.starts_with("1 of the 1 replies that show their mailbox "), "{}", finding.sentence);
}

#[test]
fn a_lock_for_the_unit_reads_none_wrong() {
    is_clean(&shared(Lock::Unit, 60, "fetch,search"));
}

#[test]
fn a_thread_with_a_connection_of_its_own_reads_none_wrong_even_under_the_naive_lock() {
    let mut plan = plan(Mode::UseDefault, vec![Role::default(); 3], 20, "fetch,search,noop");
    plan.lock = Lock::Command;
    is_clean(&run_on(sandbox(Options::default()), &plan));
}

#[test]
fn one_reply_with_another_name_is_mc020_and_one_with_none_or_another_case_of_inbox_is_not() {
    let tampered = |tamper: &dyn Fn(&mut Operation)| {
        let mut run = own();
        tamper(
            operations(&mut run).find(|operation| operation.name == "fetch" && operation.mailbox == Some(0)).unwrap(),
        );
        let verdict = verdict(&run);
        ids(&verdict).iter().filter(|id| **id == "MC020").count()
    };
    let name = |name: Option<&'static str>| {
        move |it: &mut Operation| it.answered_by.as_mut().unwrap().mailbox = name.map(Into::into)
    };
    assert_eq!(tampered(&name(Some("Sent"))), 1);
    assert_eq!(tampered(&name(Some("inbox"))), 0);
    assert_eq!(tampered(&name(None)), 0);
    assert_eq!(tampered(&|it| it.answered_by = None), 0);
}

#[test]
fn a_record_that_differs_from_what_the_server_saw_is_mc002_under_the_naive_lock_too() {
    let mut run = shared(Lock::Command, 20, "fetch");
    let tampered = operations(&mut run).next().unwrap();
    tampered.answered_by = Some(Answer { mailbox: Some("Drafts".into()), uid_validity: None });
    is_broken(&run, "MC002", "another name than the server's");

    let mut run = shared(Lock::Command, 20, "fetch");
    operations(&mut run).next().unwrap().relied_on.as_mut().unwrap().commands[0].tag += 100_000;
    is_broken(&run, "MC002", "a selection that the server never saw");

    let mut run = shared(Lock::Command, 20, "fetch");
    operations(&mut run).next().unwrap().relied_on.as_mut().unwrap().local_port = 1;
    is_broken(&run, "MC001", "a selection over nobody's socket");

    let mut run = shared(Lock::Command, 20, "fetch");
    operations(&mut run).next().unwrap().relied_on = None;
    is_broken(&run, "MC001", "half of a unit");
}

#[test]
fn a_unit_in_two_leases_is_mc001_where_the_lock_was_the_unit_s() {
    let mut run = shared(Lock::Command, 5, "fetch");
    run.header.lock = Lock::Unit;
    let verdict = is_broken(&run, "MC001", "it gave its connection back");
    assert!(verdict.findings[0].evidence[0].contains("gave its connection back between"), "{:?}", verdict.findings[0]);
}

fn session(number: u32) -> SessionId {
    SessionId { connection: ConnectionId::MAIN, number }
}

/// Archive was selected on `#0`, which broke; the reading ran on `#0.2`.
pub fn after_a_break(outcome: Result<u32, Failure>, answered_by: Option<Answer>, name: &'static str) -> Run {
    let mut run = Written::new(Mode::UseMain);
    run.0.header.lock = Lock::Command;
    run.0.header.mailboxes = vec!["INBOX".into(), "Archive".into()];
    run.open(0);
    run.close(0, HowClosed::Discarded);
    let opened = Opened { session: session(2), local_port: 2000, ..opened_first(&run.0) };
    run.enter(What::Opened(Box::new(opened)));
    let mut read = operation(0, 1, Mode::UseMain, Reason::Main);
    (read.name, read.mailbox) = (name, Some(1));
    (read.session, read.local_port) = (Some(session(2)), Some(2000));
    read.commands = Box::new([Command { tag: 4, verb: "FETCH" }]);
    let commands: Box<[Command]> =
        if name == "fetch" { Box::new([Command { tag: 3, verb: "EXAMINE" }]) } else { Box::default() };
    read.relied_on =
        Some(Box::new(Selection { session: session(1), local_port: port(0), commands, uid_validity: Some(7) }));
    (read.outcome, read.answered_by) = (outcome.map_err(Box::new), answered_by);
    run.enter(What::Operation(Box::new(read)));
    let closed = mailconn::record::Closed {
        session: session(2),
        how: HowClosed::LoggedOut,
        sent: 1,
        received: 1,
        commands: Box::default(),
        carried: 1,
    };
    run.enter(What::Closed(Box::new(closed)));
    run.0
}

fn opened_first(run: &Run) -> Opened {
    run.entries
        .iter()
        .find_map(|entry| match &entry.what {
            What::Opened(opened) => Some((**opened).clone()),
            _ => None,
        })
        .unwrap()
}

#[test]
fn mc021_an_operation_that_relied_on_the_session_before_its_own() {
    let refused =
        Failure::new(FailureKind::ServerBad, Stage::Operation, "refused").with_line(b"BAD No mailbox selected.");
    for name in ["fetch", "fetch-selected"] {
        let verdict = verdict(&after_a_break(Err(refused.clone()), None, name));
        assert_eq!(ids(&verdict), ["MC021"], "{name}: {:?}", verdict.findings);
        let finding = &verdict.findings[0];
        assert_eq!((finding.severity, finding.count), (Severity::Hazard, 1));
        assert_eq!(
            finding.evidence,
            ["operation 1 of w0 had Archive selected on #0 and ran on #0.2: BAD No mailbox selected."]
        );
        assert_eq!(verdict.conclusion, Conclusion::Failed);
    }
}

/// What makes it a hazard: nothing fails, and another mailbox's messages come back.
#[test]
fn mc021_and_mc020_where_another_mailbox_answers_as_if_nothing_had_happened() {
    let inbox = Answer { mailbox: Some("INBOX".into()), uid_validity: Some(1) };
    let verdict = verdict(&after_a_break(Ok(20), Some(inbox), "fetch-selected"));
    assert_eq!(ids(&verdict), ["MC020", "MC021"]);
    assert!(verdict.findings[1].evidence[0].ends_with("on #0.2: INBOX answered"), "{:?}", verdict.findings[1]);
}

#[test]
fn the_findings_that_fail_a_run_are_those_that_were_named() {
    let conclusion = |run: &Run, fail_on| {
        let mut run = run.clone();
        run.header.fail_on = fail_on;
        verdict(&run).conclusion
    };
    let inbox = Answer { mailbox: Some("INBOX".into()), uid_validity: Some(1) };
    let hazard = after_a_break(Ok(20), Some(inbox), "fetch-selected");
    let mut left_open = Written::new(Mode::UseMain);
    left_open.open(0);
    let leak = left_open.0;
    let all_but_hazard = FailOn { hazard: false, leak: true, fault: true, advice: true };
    for (run, fail_on, expected) in [
        (&hazard, FailOn::default(), Conclusion::Failed),
        (&hazard, FailOn::NONE, Conclusion::Held),
        (&hazard, all_but_hazard, Conclusion::Held),
        (&leak, FailOn::default(), Conclusion::Failed),
        (&leak, all_but_hazard, Conclusion::Failed),
        (&leak, FailOn { hazard: true, ..FailOn::NONE }, Conclusion::Held),
    ] {
        assert_eq!(conclusion(run, fail_on), expected, "{fail_on:?}");
    }
    // What failed, failed.
    let refused = Failure::new(FailureKind::ServerBad, Stage::Operation, "refused");
    assert_eq!(conclusion(&after_a_break(Err(refused), None, "fetch"), FailOn::NONE), Conclusion::Failed);
    assert_eq!(FailOn::default().names().collect::<Vec<_>>(), ["hazard", "leak", "fault"]);
}
