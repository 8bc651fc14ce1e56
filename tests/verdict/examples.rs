//! What `mailconn explain` shows as an example is what the report says.

use mailconn::allocator::{Kind, Mode, Reason};
use mailconn::protocol::{Failure, FailureKind, Protocol, Stage};
use mailconn::record::{Answer, HowClosed, Lock, Role, Run, What};
use mailconn::report::explain;
use mailconn::sandbox::Options;
use std::time::Duration;

use super::mailboxes::after_a_break;
use super::real::{last_of, mixed, plan, run_on, sandbox, verdict, witness};
use super::table::{Written, operation};
use super::tasks::{inherited, scattered};

/// A text without its figures and line ends.
fn shape(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        let bare = word.trim_end_matches([';', ',', ':', '.']);
        if bare.starts_with(|first: char| first.is_ascii_digit()) { word.replace(bare, "0") } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn with_operation(kind: FailureKind) -> Run {
    let mut run = Written::new(Mode::UseMain);
    run.open(0);
    let mut failed = operation(0, 1, Mode::UseMain, Reason::Main);
    failed.outcome = Err(Box::new(Failure::new(kind, Stage::Operation, "it failed")));
    run.enter(What::Operation(Box::new(failed)));
    run.close(0, HowClosed::Discarded);
    run.0
}

fn hung_up_on() -> Run {
    let mut run = Written::new(Mode::UseMain);
    run.open(0);
    let gone = Failure::new(FailureKind::ServerBye, Stage::Logout, "gone").with_line(b"BYE Autologout");
    run.close(0, HowClosed::HungUp(gone));
    run.0.entries[1].at = Duration::from_secs(3);
    run.0
}

fn hardly_used() -> Run {
    super::findings::used(4, &[(0, 1), (1000, 1), (2000, 1), (3000, 1), (4000, 1)])
}

fn without_defaults() -> Run {
    let mut run = Written::new(Mode::UseMainOrDefault);
    run.open(0);
    run.enter(What::Operation(Box::new(operation(0, 1, Mode::UseMainOrDefault, Reason::Main))));
    run.close(0, HowClosed::LoggedOut);
    run.0
}

fn waited() -> Run {
    let mut run = Written::new(Mode::UseMain);
    run.open(0);
    let mut waited = operation(0, 1, Mode::UseMain, Reason::Main);
    waited.wait = Duration::from_secs(1);
    run.enter(What::Operation(Box::new(waited)));
    run.close(0, HowClosed::LoggedOut);
    run.0
}

fn refused(protocol: Protocol, connection: u32, line: &[u8]) -> Run {
    let mut run = Written::new(Mode::UseMainOrDefault);
    run.0.header.protocol = protocol;
    for connection in 1..=3 {
        run.create(connection, Kind::Default, 0, true);
    }
    run.refused(connection, 1, 2, FailureKind::LimitConnections);
    for entry in &mut run.0.entries {
        if let What::OpenFailed(failed) = &mut entry.what {
            failed.failure = failed.failure.clone().with_line(line);
        }
    }
    run.0
}

fn naive() -> Run {
    let mut plan = plan(Mode::UseMain, vec![Role::default(); 4], 60, "fetch");
    plan.lock = Lock::Command;
    run_on(sandbox(Options::default()), &plan)
}

#[test]
fn each_example_of_explain_says_what_the_report_says() {
    let mut wrong_socket = mixed();
    last_of(&mut wrong_socket, 0).local_port = Some(1);
    let mut lost_command = mixed();
    drop(witness(&mut lost_command)[0].commands.remove(4));
    let mut left_open = Written::new(Mode::UseMain);
    left_open.open(0);
    let answer = Answer { mailbox: Some("INBOX".into()), uid_validity: None };
    let each_its_own = plan(Mode::UseDefault, vec![Role::default(); 3], 1, "noop");
    for (id, run) in [
        ("MC001", wrong_socket),
        ("MC002", lost_command),
        ("MC010", inherited()),
        ("MC011", scattered()),
        ("MC020", naive()),
        ("MC021", after_a_break(Ok(20), Some(answer), "fetch-selected")),
        ("MC030", refused(Protocol::Imap, 3, b"NO [LIMIT] too many")),
        ("MC031", with_operation(FailureKind::LimitRate)),
        ("MC032", refused(Protocol::Imap, 0, b"NO [LIMIT] too many")),
        ("MC033", refused(Protocol::Pop3, 3, b"-ERR [IN-USE] Mailbox is locked by another POP3 session.")),
        ("MC040", left_open.0),
        ("MC041", with_operation(FailureKind::Timeout)),
        ("MC042", hung_up_on()),
        ("MC052", hardly_used()),
        ("MC053", without_defaults()),
        ("MC050", waited()),
        ("MC051", run_on(sandbox(Options::default()), &each_its_own)),
    ] {
        let verdict = verdict(&run);
        let found = verdict.findings.iter().find(|finding| finding.id == id);
        let sentence = &found.unwrap_or_else(|| panic!("{id}: {:?}", verdict.findings)).sentence;
        let text = explain(id).unwrap();
        let (_, example) = text.split_once("\nlooks like ").unwrap();
        let example = shape(example.split("\nwhat to do ").next().unwrap());
        let sentence = shape(sentence);
        assert!(example.contains(&sentence), "{id}: {sentence:?} is not in {example:?}");
    }
}
