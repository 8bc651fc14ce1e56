//! What cannot be told, and what needs no telling.

use serde_json::{Value, json};

use super::written::{completed, mailconn_on, stored};
use crate::cli::process::{Ended, end, mailconn};

/// The same comparison with a noise at which use-default cannot be told.
fn undecided(policy: Value) -> Vec<Value> {
    let mut lines = stored();
    let ratio = lines.last().unwrap()["verdicts"][0]["ratio"].as_f64().unwrap();
    (lines[0]["noise"], lines[0]["figures"]) = (json!(ratio - 1.0), json!([]));
    lines.last_mut().unwrap()["judged_by"] = policy;
    completed(lines)
}

#[test]
fn a_gate_on_a_verdict_that_cannot_be_told_says_that_it_is_passed_over_or_fails() {
    let lines = undecided(json!({"fail_on": []}));
    for (gate, code, says) in [
        (
            "verdict(use-default) != different-better",
            0,
            "passed: verdict(use-default) is cannot-tell, which decides neither way: this gate is passed over (fails if ",
        ),
        (
            "verdict(use-default) = same",
            0,
            "passed: verdict(use-default) is cannot-tell, which decides neither way: this gate is passed over (fails if ",
        ),
        ("verdict(use-default) != cannot-tell", 0, "passed: verdict(use-default) is cannot-tell"),
        ("verdict(use-default) = cannot-tell", 3, "FAILED: verdict(use-default) is cannot-tell"),
    ] {
        let told = mailconn_on(&lines, "report", &["--fail-if", gate]);
        let line = told.stdout.lines().find(|line| line.starts_with("gate ")).unwrap();
        assert!(line.contains(says), "{gate}: {line}");
        assert_eq!(told.code, code, "{gate}: {line}");
    }
    let gates = ["verdict(use-default) != different-better", "verdict(use-default) != cannot-tell"];
    let required = undecided(json!({"fail_on": [], "gates": gates, "require_decision": true}));
    let told = mailconn_on(&required, "report", &[]);
    for says in [
        "gate FAILED: verdict(use-default) is cannot-tell, which decides neither way, and --require-decision is given (fails if ",
        "gate passed: verdict(use-default) is",
    ] {
        assert!(told.stdout.contains(says), "{}", told.stdout);
    }
}

#[test]
fn a_verdict_that_is_told_decides_a_gate_on_cannot_tell() {
    let told = mailconn_on(&stored(), "report", &["--fail-if", "verdict(use-default) != cannot-tell"]);
    assert_eq!(told.code, 3, "{}", told.stdout);
}

/// What is no whole round is told as what it is, and fails.
#[test]
fn nothing_that_could_be_compared_is_exit_1() {
    let mut lines = stored();
    lines.retain(|line| !matches!(line["round"].as_u64(), Some(1..)));
    (lines[0]["rounds"], lines[0]["bound_us"], lines[0]["figures"]) = (json!(8), json!(1000), json!([]));
    let end = lines.last_mut().unwrap();
    end["stopped"] = json!({"why": "time", "variant": null, "round": 1});
    end["judged_by"] = json!({"fail_on": []});
    let lines = completed(lines);
    assert_eq!(lines.last().unwrap()["exit_code"], 1);
    let told = mailconn_on(&lines, "report", &[]);
    assert!(told.stdout.contains("exit 1: nothing was compared: no time was left for round 1"), "{}", told.stdout);
    assert!(!told.stdout.contains("was over"), "{}", told.stdout);
}

/// The first lines of what compare says, and its exit code.
fn told(args: &str) -> (String, Ended) {
    told_of(args.split(' '))
}

fn told_of<'a>(args: impl Iterator<Item = &'a str>) -> (String, Ended) {
    let ended = end(&mut mailconn(["compare", "--progress", "never"].into_iter().chain(args)));
    let choice = ended.stdout.split("\n\n").next().unwrap_or_default();
    (choice.split_whitespace().collect::<Vec<_>>().join(" "), ended)
}

#[test]
fn a_variant_that_did_the_same_on_one_connection_needs_no_more_rounds() {
    let same = "-n 3 -t 2 --rounds 8 --require-decision --variant use-main --variant use-main-or-default";
    let (_, ended) = told(same);
    let text = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(ended.code, 0, "{text}");
    assert!(text.contains("it did the same as use-main in every round (all operations on #0)"), "{text}");
    assert!(!text.contains("would decide it") && !ended.stderr.contains("CANNOT TELL"), "{text}");
    // What a required decision does not ask for is said wherever nothing could be told.
    let is_untold = text.contains("cannot-tell");
    let line = ended.stderr.contains("NOTHING TO DECIDE: use-main-or-default has ")
        && ended
            .stderr
            .contains("but it did the same as use-main in every round (all operations on #0): --require-decision");
    let exit = text.contains(
        "exit 0: every run held; nothing was to be decided of use-main-or-default, which did the same as use-main",
    );
    assert_eq!((line, exit), (is_untold, is_untold), "{text} {}", ended.stderr);
    assert!(!text.contains("there is no difference"), "what cannot be told is not told: {text}");
    let (_, ended) = told("-n 3 -t 1 --rounds 8 --variant use-main --variant use-default");
    let text = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("it did the same as use-main in every round (all operations on one connection)"), "{text}");
    let (_, ended) = told(&format!("{same} --default-for w0"));
    assert!(!ended.stdout.contains("did the same"), "{}", ended.stdout);
}

/// The same comparison, stopped after four rounds of eight.
fn of_four_rounds(policy: Value) -> Vec<Value> {
    let mut lines = stored();
    lines.retain(|line| !matches!(line["round"].as_u64(), Some(5..)));
    (lines[0]["rounds"], lines[0]["bound_us"], lines[0]["figures"]) = (json!(8), json!(60_000_000), json!([]));
    let end = lines.last_mut().unwrap();
    end["stopped"] = json!({"why": "time", "variant": null, "round": 5});
    end["judged_by"] = policy;
    completed(lines)
}

/// What the estimate of so few rounds is, chance alone may have made it.
#[test]
fn a_gate_on_a_ratio_of_too_few_rounds_is_passed_over_or_fails() {
    for (bound, required, code, how, so) in [
        ("< 9", false, 0, "passed", ": this gate is passed over (fails if < 9)"),
        ("> 9", false, 0, "passed", ": this gate is passed over (fails if > 9)"),
        ("> 9", true, 3, "FAILED", ", and --require-decision is given (fails if > 9)"),
    ] {
        let gates = [format!("ratio(use-default) {bound}")];
        let lines = of_four_rounds(json!({"fail_on": [], "gates": gates, "require_decision": required}));
        assert_eq!(lines.last().unwrap()["exit_code"], code, "{bound}");
        let told = mailconn_on(&lines, "report", &[]);
        let line = told.stdout.lines().find(|line| line.starts_with("gate ")).unwrap();
        let says = format!("x, of 4 rounds, too few to decide anything (that takes 8){so}");
        assert!(line.starts_with(&format!("gate {how}: ratio(use-default) is ")) && line.ends_with(&says), "{line}");
        assert_eq!(told.stderr.contains("CANNOT TELL: use-default"), !required, "{}", told.stderr);
    }
}

#[test]
fn too_few_rounds_make_no_choice() {
    let lines = of_four_rounds(json!({"fail_on": []}));
    let text = mailconn_on(&lines, "report", &[]).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let few = "No choice yet: 4 rounds are too few to tell anything from chance. It takes 8. use-default had ";
    assert!(text.starts_with(few) && text.contains("no time was left for round 5"), "{text}");
    let (choice, ended) = told("--for 10ms -n 100");
    assert!(
        choice.starts_with("No choice: the time for all of it was over (--for), in the warm-up of use-main."),
        "{choice}"
    );
    assert_eq!(ended.code, 1);
}

#[test]
fn the_choice_names_what_is_told_what_fits_and_what_other_servers_allow() {
    let far = "-n 3 --rounds 8 --variant use-main";
    let (choice, _) = told(&format!("{far} -t 12 --rtt 5ms --metric wait.p50 --variant use-default"));
    assert!(
        choice.starts_with("Choose use-default: ")
            && choice.ends_with(
                "Not every server allows 12 connections, unless set otherwise: Dovecot 10. use-default with -t 10 fits each of \
                 these; mailconn limits finds how many yours allows."
            ),
        "{choice}"
    );
    let (choice, _) = told(&format!("{far} -t 4 --sandbox-connections 3 --variant use-default"));
    assert_eq!(
        choice,
        "Choose use-main for now: it ran without a failure, on one connection. Nothing was compared: the server's limit on \
         connections was met, in the warm-up of use-default. Not use-default: it met the server's limit on connections in the \
         warm-up. This server allows 3 connections, by its own words. 3 fit: use-default with -t 3, use-main-or-default with \
         --default-for w0-w1."
    );
    let (choice, _) = told("-n 3 -t 2 --server sandbox+pop3");
    assert!(choice.starts_with("Choose use-main for now: it ran without a failure, on one connection. "), "{choice}");
    assert!(
        choice.contains(" use-main-or-default did not run. ")
            && choice.ends_with(" POP3 gives a maildrop to one connection at a time: use-main fits, or one thread."),
        "{choice}"
    );
    // What is refused behind the sign-in, or ends another, is no dial that tells how many fit.
    for limit in ["--sandbox-limit user=2@after", "--sandbox-limit user=2,oldest"] {
        let (choice, _) = told(&format!("-n 20 --rounds 8 --variant use-main -t 6 {limit} --variant use-default"));
        assert!(
            choice.starts_with("Choose use-main for now: it ran without a failure, on one connection. "),
            "{choice}"
        );
        assert!(choice.ends_with(" How many connections this server allows, mailconn limits finds."), "{choice}");
    }
    // Sign-ins that run together are counted as MC030 counts them.
    for limit in ["--sandbox-like courier", "--sandbox-limit address=4@accept"] {
        let (choice, _) = told(&format!("{far} -t 8 {limit} --variant use-default"));
        let says = " This server was seen to close the 5th connection without a word, probably for a limit. 4 fit: ";
        assert!(choice.contains(says), "{limit}: {choice}");
    }
    let (choice, _) = told(&format!("{far} -t 8 --sandbox-limit user=5/1m --variant use-default"));
    assert!(choice.ends_with(" Not use-default: the server throttled it in the warm-up."), "{choice}");
    let (choice, _) = told("-n 3 -t 4 --sandbox-connections 1 --variant use-default --variant two=use-default");
    assert!(
        choice.starts_with("No choice: the server's limit on connections was met, in the warm-up of use-default."),
        "{choice}"
    );
}

/// Where variants say themselves how the one in the box is to behave, each has another.
#[test]
fn a_limit_is_told_of_the_server_that_has_it() {
    let variants =
        ["--variant", "gm=use-default --sandbox-like gmail", "--variant", "dov=use-default --sandbox-like dovecot"];
    let (choice, _) = told_of("-n 3 -t 12 --rounds 8".split(' ').chain(variants));
    assert!(
        choice.ends_with(
            " Not dov: it met the server's limit on connections in the warm-up. The server of dov allows 10 connections, by its own \
             words. 10 fit there: use-default with -t 10, use-main-or-default with --default-for w0-w8."
        ),
        "{choice}"
    );
}

/// The first dial is over when the first operation begins. The others are not, which makes a difference in short runs.
#[test]
fn connecting_is_told_where_it_makes_a_difference_to_a_rate() {
    let both = "--ops noop --rounds 8 --rtt 4ms -t 3 --variant use-main --variant use-default";
    let (short, _) = told(&format!("{both} -n 5"));
    let says = short.split("Connecting is in these figures, for the first ").nth(1).unwrap_or_default();
    let (part, rest) = says.split_once(' ').unwrap_or_default();
    assert!(part.parse().is_ok_and(|part: f64| (10.0..90.0).contains(&part)), "{short}");
    let due = "% of a run of use-default: longer runs (--duration, -n) take it out.";
    assert!(rest.starts_with(due), "{short}");
    for is_none_of in ["-n 250".to_owned(), "-n 5 --metric service.p50".to_owned()] {
        let (other, _) = told(&format!("{both} {is_none_of}"));
        assert!(!other.contains("Connecting"), "{is_none_of}: {other}");
    }
}

#[test]
fn a_reference_that_wins_wins_by_a_ratio() {
    let mut lines = stored();
    (lines[0]["reference"], lines[0]["figures"]) = (json!("use-default"), json!([]));
    lines.last_mut().unwrap()["judged_by"] = json!({"fail_on": []});
    let told = mailconn_on(&completed(lines), "report", &[]).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.starts_with("Choose use-default: none is faster here. It opens 3 connections. use-main is worse (0.66x ["),
        "{told}"
    );
}
