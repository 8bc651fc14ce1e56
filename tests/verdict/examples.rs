//! What `mailconn explain` shows as an example is what the report says.

use mailconn::report::explain;
use serde_json::{Value, json};

use super::findings::{on_main, used, waited};
use super::mailboxes::after_a_break;
use super::real::{commands, found, last_of, lines, mixed, says, verdict, witness};
use super::tasks::{inherited, scattered};
use crate::support::written::{Written, failed, failure, operation};

/// A text without its figures and line ends.
fn shape(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        let bare = word.trim_end_matches([';', ',', ':', '.']);
        if bare.starts_with(|first: char| first.is_ascii_digit()) { word.replace(bare, "0") } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn with_operation(kind: &str) -> Vec<Value> {
    let failure = failure(kind, "operation", "it failed", None);
    on_main("use-main", Some(failed(operation(0, 1, "use-main", "main"), failure)), "discarded").file()
}

fn hung_up_on() -> Vec<Value> {
    let mut run = Written::new("use-main");
    run.open(0);
    run.close_by(0, "hung-up", failure("server-bye", "logout", "gone", Some("BYE Autologout")))["at_us"] =
        json!(3_000_000);
    run.file()
}

fn without_defaults() -> Vec<Value> {
    let mode = "use-main-or-default";
    on_main(mode, Some(operation(0, 1, mode, "main")), "logged-out").file()
}

fn left_open() -> Vec<Value> {
    let mut run = Written::new("use-main");
    run.open(0);
    run.file()
}

fn refused(protocol: &str, connection: u32, line: &str) -> Vec<Value> {
    let mut run = Written::new("use-main-or-default");
    run.start()["protocol"] = json!(protocol);
    for connection in 1..=3 {
        run.create(connection, "default", 0, true);
    }
    run.refused(connection, 1, 2, "limit-connections")["failure"]["server_line"] = json!(line);
    run.file()
}

#[test]
fn each_example_of_explain_says_what_the_report_says() {
    let mut wrong_socket = mixed();
    last_of(&mut wrong_socket, 0)["local_port"] = json!(1);
    let mut lost_command = mixed();
    commands(witness(&mut lost_command)[0]).remove(4);
    let naive = "--mode use-main -t 4 -n 60 --lock command --ops fetch --mailbox INBOX --mailbox Archive";
    let each_its_own = "--mode use-default -t 3 -n 1 --ops noop";
    for (id, run) in [
        ("MC001", wrong_socket),
        ("MC002", lost_command),
        ("MC010", inherited().file()),
        ("MC011", scattered().file()),
        ("MC020", lines(naive)),
        ("MC021", after_a_break("fetch-selected", Some("INBOX")).file()),
        ("MC030", refused("imap", 3, "NO [LIMIT] too many")),
        ("MC031", with_operation("limit-rate")),
        ("MC032", refused("imap", 0, "NO [LIMIT] too many")),
        ("MC033", refused("pop3", 3, "-ERR [IN-USE] Mailbox is locked by another POP3 session.")),
        ("MC040", left_open()),
        ("MC041", with_operation("timeout")),
        ("MC042", hung_up_on()),
        ("MC050", waited(1_000_000).file()),
        ("MC051", lines(each_its_own)),
        ("MC052", used(4, &[(0, 1), (1000, 1), (2000, 1), (3000, 1), (4000, 1)], false)),
        ("MC053", without_defaults()),
    ] {
        let verdict = verdict(&run);
        let sentence = says(found(&verdict, id).unwrap_or_else(|| panic!("{id}: {:#}", verdict["findings"])));
        let text = explain(id).unwrap();
        let (_, example) = text.split_once("\nlooks like ").unwrap();
        let example = shape(example.split("\nwhat to do ").next().unwrap());
        let sentence = shape(sentence);
        assert!(example.contains(&sentence), "{id}: {sentence:?} is not in {example:?}");
    }
}
