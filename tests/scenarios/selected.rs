//! What a thread has selected (A7): known for each connection that it passes, and once for all that it does not pass. MC020 and
//! MC021 are found by that, and the scenario's file is sound by it.

use super::telling::{perform, words};
use crate::support::tool::doubts;

/// As expected, and the file of it holds.
#[track_caller]
fn holds(text: &str) {
    let ended = perform(text, "--format ndjson");
    assert_eq!(ended.code, 0, "{text}\n{}", ended.stdout);
    assert_eq!(doubts(ended.stdout.as_bytes()), [""; 0], "{text}");
}

const NONE: &str = "expect no finding MC020\nexpect no finding MC021\n";

#[test]
fn each_connection_that_is_passed_has_a_selection_of_its_own() {
    for text in [
        // On main it is still INBOX, whatever was selected on k; and the other way round.
        "T1 create k; select INBOX; select Archive via k; fetch-selected => main from INBOX\n\
         T1 fetch-selected via k => k from Archive",
        "T1 create k; select Archive via k; select INBOX; fetch-selected via k => k from Archive",
        "T1 create k; create l; select Sent via k; select Archive via l; fetch-selected via k => k from Sent\n\
         T1 fetch-selected via l => l from Archive",
        // Nothing of its own: whatever is selected there is what it reads.
        "T1 create k; select Sent; fetch-selected via k => fails server-bad",
        "T1 create k; select Sent\nT2 select Archive via k\nT1 fetch-selected via k => k from Archive",
        // It is gone with its connection.
        "T1 create k; select Archive via k; select INBOX; dispose k\nT1 fetch-selected => main from INBOX\n\
         T1 fetch-selected via k => refused D2",
    ] {
        holds(&format!("client use-main\n{text}\n{NONE}"));
    }
    // Of another client too.
    holds(&format!(
        "client A use-main\nclient B use-main\nT1 select Archive on A; select Sent on B\n\
         T1 fetch-selected on A => main from Archive\nT1 fetch-selected on B => main from Sent\n{NONE}"
    ));
}

#[test]
fn a_whole_unit_leaves_its_mailbox_selected() {
    for text in [
        "T1 select Archive; fetch Sent; fetch-selected => main from Sent",
        "T1 fetch Sent; fetch-selected => main from Sent",
        "T1 select Archive; search Sent; fetch-selected => main from Sent",
        // These work on no selection.
        "T1 select Archive; status Sent; list; noop; fetch-selected => main from Archive",
        // What cannot be selected leaves nothing: whoever reads then relies on nothing.
        "T1 select Archive\nT1 fetch NOSUCH => fails server-no\nT2 select Sent\nT1 fetch-selected => main from Sent",
    ] {
        holds(&format!("client use-main\n{text}\n{NONE}"));
    }
    holds(
        "client use-main\nT1 select Archive\nT1 fetch Sent\nT2 fetch INBOX\nT1 fetch-selected => main from INBOX\n\
         expect finding MC020\n",
    );
    // The second time it relies on what its own unit selected on the session that is no more.
    holds(
        "client use-main\nT1 fetch Archive\nserver cuts main\nT1 fetch-selected => fails closed\n\
         T1 fetch-selected => fails server-bad session 2\nexpect finding MC021\n",
    );
}

#[test]
fn a_new_session_knows_nothing_of_what_was_selected_whichever_place_it_has() {
    for text in [
        // What was selected on k is no matter of main's.
        "client use-main\nT1 create k; select Archive; select INBOX via k\nserver cuts main\nT1 fetch-selected => fails closed\n\
         T1 fetch-selected => fails server-bad session 2",
        // Its default is a new one, by hand and by need.
        "client use-main-or-default\nT1 select Archive => main\nT1 create-default; leave\nT1 fetch-selected => fails server-bad",
        "client use-main\nT1 select Archive => main\nall mode use-default\nT1 fetch-selected => fails server-bad",
        "client use-default\nT1 select Archive; dispose-default\nT1 fetch-selected => fails server-bad",
        // Main was never used, or for no selection.
        "client use-default\nT1 select Archive\nall mode use-main\nT1 fetch-selected => fails server-bad",
        "client use-main-or-default\nT2 noop => main\nT1 create-default d; select Archive; dispose d\n\
         T1 fetch-selected => fails server-bad",
        "client use-main-or-default\npool P threads=1\nP create-default; select Archive\nP fetch-selected => fails server-bad",
    ] {
        holds(&format!("{text}\nexpect finding MC021\nexpect no finding MC020\n"));
    }
    // A unit that selects for itself relies on nothing.
    holds(&format!(
        "client use-main-or-default\nT1 select Archive => main\nT1 create-default; leave\nT1 fetch Archive => default\n\
         T1 fetch-selected => default from Archive\n{NONE}"
    ));
    // One that is not reached has nothing to know.
    holds(&format!(
        "client use-main-or-default\nT1 select Archive => main\nserver limits connections to 1\n\
         all mode use-default\nT1 fetch-selected => fails limit-connections\n{NONE}"
    ));
}

/// A task that goes to another thread has what that one selected; one that comes after another has what the thread did.
#[test]
fn what_is_selected_is_a_matter_of_the_thread_whichever_task_it_serves() {
    let moved = "client use-main\npool P threads=2\ntask J on P\nJ select Archive\nT1 select Sent\nJ moves to P.2\n\
                 J fetch-selected => main from Sent\nJ ends\n";
    holds(&format!("{moved}{NONE}"));
    holds(&format!("{moved}P.1 fetch-selected => main from Sent\nexpect finding MC020\n"));
}

#[test]
fn the_evidence_says_when_the_other_selection_was_made() {
    let before_both = "client use-main-or-default\nT2 select Sent\nT1 create-default d; select Archive; dispose d\n\
                       T1 fetch-selected => main from Sent\n";
    let in_between =
        "client use-main-or-default\nT1 select Archive\nT2 select Sent\nT1 fetch-selected => main from Sent\n";
    let elsewhere_in_between = "client use-main-or-default\nT1 create-default d; select Archive\nT2 select Sent\nT1 dispose d\n\
                                T1 fetch-selected => main from Sent\n";
    for (text, operation, said, never) in [
        (before_both, "operation 1 of T2", "had selected Sent there last", "in between"),
        (in_between, "operation 2 of T2", "had selected Sent there in between", "last"),
        (elsewhere_in_between, "operation 2 of T2", "had selected Sent there in between", "last"),
    ] {
        let told = words(&perform(&format!("{text}expect finding MC020\n"), "").stdout);
        let evidence = told.split("asked for Archive").nth(1).unwrap_or_default();
        let evidence = evidence.split("exit 0").next().unwrap();
        assert!(evidence.contains(&format!("{operation} {said}")) && !evidence.contains(never), "{told}");
    }
}
