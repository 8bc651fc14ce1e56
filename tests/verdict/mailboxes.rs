//! Which mailbox answered: what a reply proves, and what is found when it came from another one.

use serde_json::{Value, json};

use super::real::{all_held, found, ids, is_broken, is_clean, lines, mixed, operations, own, says, verdict};
use crate::cli::process::of_kind;
use crate::support::tool;
use crate::support::written::{Written, bytes, failed, failure, operation};

/// Four threads on main, and three mailboxes.
fn shared(lock: &str, each: u64, mix: &str) -> Vec<Value> {
    let mailboxes = "--mailbox INBOX --mailbox Archive --mailbox Sent";
    lines(&format!("--mode use-main -t 4 -n {each} --lock {lock} --ops {mix} {mailboxes} --seed 11"))
}

#[test]
fn each_reply_names_the_mailbox_that_it_came_from() {
    let run = own();
    let mut named = 0;
    for operation in of_kind(&run, "operation") {
        match operation["operation"].as_str().unwrap() {
            "fetch" => {
                assert_eq!(operation["answered_by"]["mailbox"], operation["mailbox"]);
                assert!(operation["answered_by"]["uid_validity"].is_u64());
                named += 1;
            }
            "noop" | "list" | "status" => assert_eq!(operation["answered_by"], Value::Null),
            _ => {}
        }
    }
    assert!(named > 0);
}

#[test]
fn mc020_a_lock_for_each_command_reads_from_wrong_mailboxes_and_both_records_say_so() {
    let run = shared("command", 60, "fetch");
    let verdict = verdict(&run);
    let finding = found(&verdict, "MC020").expect("four threads get in each other's way");
    assert_eq!((&finding["severity"], &verdict["exit_code"]), (&json!("hazard"), &json!(1)));
    let is_wrong = |it: &&Value| it["answered_by"]["mailbox"] != it["mailbox"];
    let wrong = of_kind(&run, "operation").filter(is_wrong).count();
    assert_eq!(finding["count"], wrong);
    assert!(says(finding).starts_with(&format!("{wrong} of the 240 replies that show their mailbox")), "{finding:#}");
    let first = finding["evidence"][0].as_str().unwrap();
    assert!(
        first.contains("each message of its reply says that it is in ") && first.contains("there in between"),
        "{first}"
    );
    // The connection was main all along, and the server saw what the replies say: neither is what is wrong.
    assert!(!ids(&verdict).contains(&"MC001") && !ids(&verdict).contains(&"MC002"), "{:#}", verdict["findings"]);
    all_held(&verdict, 240);
}

#[test]
fn mc020_where_no_message_tells_the_selection_s_uidvalidity_does() {
    let verdict = verdict(&shared("command", 60, "search"));
    let finding = found(&verdict, "MC020").expect("no thread has it to itself");
    assert!(finding["evidence"][0].as_str().unwrap().contains("whose UIDVALIDITY is "), "{finding:#}");
}

/// Mailboxes that were made in one second can have the same: then a right one proves nothing, and is not counted as told.
#[test]
fn a_uidvalidity_that_two_mailboxes_share_proves_nothing() {
    let mut run = shared("command", 30, "search");
    for operation in operations(&mut run) {
        operation["relied_on"]["uid_validity"] = json!(7);
        operation["answered_by"]["uid_validity"] = json!(7);
    }
    let unjudged = verdict(&run);
    assert!(!ids(&unjudged).contains(&"MC020"));
    let [why] = unjudged["unjudged"].as_array().unwrap().as_slice() else { panic!("{:#}", unjudged["unjudged"]) };
    let why = why.as_str().unwrap();
    assert!(why.starts_with("MC020 was not judged for 120 replies: "), "{why}");
    assert!(why.contains(" have the same UIDVALIDITY (7), and no message says which mailbox it is in"), "{why}");
    let table = tool::told(&bytes(&run), false, None);
    assert!(table.replace("\n  ", " ").contains(&format!("\n{why}\n")), "{table}");
    // Where all is judged, nothing is said.
    assert_eq!(verdict(&own())["unjudged"], Value::Null);
    operations(&mut run).next().unwrap()["answered_by"]["uid_validity"] = json!(8);
    let verdict = verdict(&run);
    let finding = found(&verdict, "MC020").unwrap();
    assert!(says(finding).starts_with("1 of the 1 replies that show their mailbox "), "{finding:#}");
}

#[test]
fn a_lock_for_the_unit_reads_none_wrong() {
    is_clean(&shared("unit", 60, "fetch,search"));
}

#[test]
fn a_thread_with_a_connection_of_its_own_reads_none_wrong_even_under_the_naive_lock() {
    let mailboxes = "--mailbox INBOX --mailbox Archive";
    is_clean(&lines(&format!("--mode use-default -t 3 -n 20 --ops fetch,search,noop --lock command {mailboxes}")));
}

#[test]
fn one_reply_with_another_name_is_mc020_and_one_with_none_or_another_case_of_inbox_is_not() {
    for (name, wrong) in [(json!("Sent"), 1), (json!("inbox"), 0), (Value::Null, 0)] {
        let mut run = own();
        fetch_of_inbox(&mut run)["answered_by"]["mailbox"] = name.clone();
        assert_eq!(ids(&verdict(&run)).iter().filter(|id| **id == "MC020").count(), wrong, "{name}");
    }
    let mut run = own();
    fetch_of_inbox(&mut run)["answered_by"] = Value::Null;
    assert!(!ids(&verdict(&run)).contains(&"MC020"), "no answer");
}

fn fetch_of_inbox(run: &mut [Value]) -> &mut Value {
    operations(run).find(|it| it["operation"] == "fetch" && it["mailbox"] == "INBOX").unwrap()
}

#[test]
fn a_record_that_differs_from_what_the_server_saw_is_mc002_under_the_naive_lock_too() {
    let run = shared("command", 20, "fetch");
    let tampered = |id: &str, what: &str, tamper: &dyn Fn(&mut Value)| {
        let mut run = run.clone();
        tamper(operations(&mut run).next().unwrap());
        is_broken(&run, id, what);
    };
    tampered("MC002", "another name than the server's", &|it| {
        it["answered_by"] = json!({"mailbox": "Drafts", "uid_validity": null});
    });
    tampered("MC002", "a selection that the server never saw", &|it| {
        it["relied_on"]["commands"][0]["tag"] = json!("a100001");
    });
    tampered("MC001", "a selection over nobody's socket", &|it| it["relied_on"]["local_port"] = json!(1));
    tampered("MC001", "half of a unit", &|it| it["relied_on"] = Value::Null);
}

#[test]
fn a_unit_in_two_leases_is_mc001_where_the_lock_was_the_unit_s() {
    let mut run = shared("command", 5, "fetch");
    run[0]["lock"] = json!("unit");
    let verdict = is_broken(&run, "MC001", "it gave its connection back");
    let evidence = &verdict["findings"][0]["evidence"][0];
    assert!(evidence.as_str().unwrap().contains("gave its connection back between"), "{evidence}");
}

/// Archive was selected on `#0`, which broke; the reading ran on `#0.2`, and so it went.
pub fn after_a_break(name: &str, answered_by: Option<&str>) -> Written {
    let mut run = Written::new("use-main");
    (run.start()["lock"], run.start()["mailboxes"]) = (json!("command"), json!(["INBOX", "Archive"]));
    run.open(0);
    run.close(0, "discarded");
    let opened = run.open(0);
    (opened["session"], opened["local_port"]) = (json!("#0.2"), json!(2000));
    let selected = if name == "fetch" { json!([{"tag": "a3", "verb": "EXAMINE"}]) } else { json!([]) };
    let mut read = operation(0, 1, "use-main", "main");
    (read["operation"], read["mailbox"], read["items"]) = (json!(name), json!("Archive"), json!(20));
    (read["session"], read["local_port"]) = (json!("#0.2"), json!(2000));
    read["commands"] = json!([{"tag": "a4", "verb": "FETCH"}]);
    read["relied_on"] = json!({"session": "#0", "local_port": 1000, "commands": selected, "uid_validity": 7});
    match answered_by {
        Some(mailbox) => read["answered_by"] = json!({"mailbox": mailbox, "uid_validity": 1}),
        None => {
            let refused = failure("server-bad", "operation", "refused", Some("BAD No mailbox selected."));
            read = failed(read, refused);
        }
    }
    run.operate(read);
    run.close(0, "logged-out")["session"] = json!("#0.2");
    run
}

#[test]
fn mc021_an_operation_that_relied_on_the_session_before_its_own() {
    for name in ["fetch", "fetch-selected"] {
        let verdict = verdict(&after_a_break(name, None).file());
        assert_eq!(ids(&verdict), ["MC021"], "{name}: {:#}", verdict["findings"]);
        let finding = &verdict["findings"][0];
        assert_eq!((&finding["severity"], &finding["count"]), (&json!("hazard"), &json!(1)));
        let evidence = "operation 1 of w0 had Archive selected on #0 and ran on #0.2: BAD No mailbox selected.";
        assert_eq!(finding["evidence"], json!([evidence]));
        assert_eq!(verdict["exit_code"], 1);
    }
}

/// What makes it a hazard: nothing fails, and another mailbox's messages come back.
#[test]
fn mc021_and_mc020_where_another_mailbox_answers_as_if_nothing_had_happened() {
    let verdict = verdict(&after_a_break("fetch-selected", Some("INBOX")).file());
    assert_eq!(ids(&verdict), ["MC020", "MC021"]);
    let evidence = &verdict["findings"][1]["evidence"][0];
    assert!(evidence.as_str().unwrap().ends_with("on #0.2: INBOX answered"), "{evidence}");
}

#[test]
fn the_findings_that_fail_a_run_are_those_that_were_named() {
    let leak = || {
        let mut run = Written::new("use-main");
        run.open(0);
        run
    };
    let hazard = || after_a_break("fetch-selected", Some("INBOX"));
    let by_default = json!(["hazard", "leak", "fault"]);
    assert_eq!(mixed().last().unwrap()["judged_by"]["fail_on"], by_default);
    let all_but_hazard = json!(["leak", "fault", "advice"]);
    for (mut run, fail_on, code) in [
        (hazard(), by_default.clone(), 1),
        (hazard(), json!([]), 0),
        (hazard(), all_but_hazard.clone(), 0),
        (leak(), by_default, 1),
        (leak(), all_but_hazard, 1),
        (leak(), json!(["hazard"]), 0),
        // What failed, failed.
        (after_a_break("fetch", None), json!([]), 1),
    ] {
        run.fail_on = fail_on.clone();
        assert_eq!(verdict(&run.file())["exit_code"], code, "{fail_on}");
    }
}
