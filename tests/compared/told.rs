//! A comparison as it is told: for people in 80 columns, and for programs with every round.

use serde_json::{Value, json};

use super::written::{compared, completed, is_of, lines, mailconn_on, runs, stored};

fn table(lines: &[Value]) -> String {
    let told = mailconn_on(lines, "report", &[]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    told.stdout
}

#[test]
fn the_first_lines_say_which_to_choose_and_what_it_costs() {
    let told = table(&stored());
    let first = told.split("\n\n").next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(first.starts_with("Choose use-default: it is "), "{first}");
    assert!(
        first.ends_with(
            " as fast as use-main here. It opens 3 connections. use-main opens one connection. Connecting is in these figures, for \
             the first 49 % of a run of use-default: longer runs (--duration, -n) take it out."
        ),
        "{first}"
    );
}

/// The comparison with a stored run in the place of its own.
fn with_run(run: &str, variant: &str, round: u64) -> Vec<Value> {
    let mut run = lines(run);
    for line in &mut run {
        (line["variant"], line["round"]) = (json!(variant), json!(round));
    }
    let all = stored();
    let mut runs = runs(&all);
    let place = runs.iter().position(|run| is_of(&run[0], variant, round)).unwrap();
    runs[place] = run;
    completed(compared(&all, runs))
}

#[test]
fn what_speaks_against_a_variant_is_part_of_the_choice() {
    for (run, round, says) in [
        (
            include_str!("../golden/limit.ndjson"),
            0,
            "Not use-default: it met the server's limit on connections in the warm-up. This server allows 3 connections, by its own \
             words. 3 fit: ",
        ),
        (
            include_str!("../golden/lock-command.ndjson"),
            2,
            "It opens one connection. Not use-default: replies came from the wrong mailbox in round 2.",
        ),
        (include_str!("../golden/broken.ndjson"), 2, " Not use-default: "),
    ] {
        let told = mailconn_on(&with_run(run, "use-default", round), "report", &[]).stdout;
        let first = told.split("\n\n").next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        let answer = "Choose use-main: no other can be chosen. It opens one connection. ";
        assert!(first.starts_with(answer) && first.contains(says), "{first}");
    }
}

/// A variant that failed itself is no choice, whatever the others met; one that failed in the warm-up alone is, with that said.
#[test]
fn what_failed_is_not_chosen() {
    for (run, variant, round, first, says) in [
        (
            include_str!("../golden/limit-rate.ndjson"),
            "use-main",
            2,
            "Choose use-default: ",
            "Not use-main: the server throttled it in round 2.",
        ),
        (
            include_str!("../golden/wrong-password.ndjson"),
            "use-main",
            8,
            "Choose use-default: ",
            "Not use-main: its sign-in was refused in round 8.",
        ),
        (
            include_str!("../golden/limit-main.ndjson"),
            "use-main",
            8,
            "Choose use-default: ",
            "Not use-main: it met the server's limit on connections in round 8.",
        ),
        (
            include_str!("../golden/broken.ndjson"),
            "use-main",
            2,
            "Choose use-default: ",
            "Not use-main: 3 failures in round 2.",
        ),
        (
            include_str!("../golden/broken.ndjson"),
            "use-default",
            0,
            "Choose use-default: it is ",
            "use-default had 3 failures in the warm-up.",
        ),
        (
            include_str!("../golden/pop3-locked.ndjson"),
            "use-default",
            3,
            "Choose use-main: no other can be chosen.",
            "Not use-default: another connection had the maildrop locked in round 3. POP3 gives a maildrop to one connection",
        ),
    ] {
        let told = mailconn_on(&with_run(run, variant, round), "report", &[]).stdout;
        let told = told.split("\n\n").next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.starts_with(first) && told.contains(says), "{variant}: {told}");
    }
}

/// A third variant, whose runs are those of use-main; in round 4 use-default meets the server's limit.
#[test]
fn a_limit_in_a_round_leaves_an_answer_for_those_that_fit() {
    let all = stored();
    let named = |run: &[Value], variant: &str, round: u64| -> Vec<Value> {
        let mut run = run.to_vec();
        run.iter_mut().for_each(|line| (line["variant"], line["round"]) = (json!(variant), json!(round)));
        run
    };
    let own: Vec<Vec<Value>> = runs(&all).into_iter().filter(|run| run[0]["round"].as_u64() < Some(4)).collect();
    let third = own.iter().filter(|run| run[0]["variant"] == "use-main");
    let third = third.map(|run| named(run, "third", run[0]["round"].as_u64().unwrap()));
    let limited = named(&lines(include_str!("../golden/limit.ndjson")), "use-default", 4);
    let runs = own.iter().cloned().chain(third).chain([limited]).collect();
    let mut lines = compared(&all, runs);
    let third = json!({"name": "third", "arguments": "use-main-or-default --default-for w0"});
    lines[0]["variants"].as_array_mut().unwrap().push(third);
    lines[0]["figures"] = json!([]);
    let end = lines.last_mut().unwrap();
    end["stopped"] = json!({"why": "limit", "variant": "use-default", "round": 4});
    end["judged_by"] = json!({"fail_on": []});
    let told = mailconn_on(&completed(lines), "report", &[]).stdout;
    let first = told.split("\n\n").next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(
        first,
        "Choose use-main for now: it fits, with one connection. 3 rounds are too few to tell which of those that fit is \
         faster. third had 1.00x and opens one connection. Not use-default: it met the server's limit on connections in \
         round 4. This server allows 3 connections, by its own words. 3 fit: use-default with -t 3, use-main-or-default with \
         --default-for w0-w1."
    );
}

#[test]
fn a_count_that_differs_between_rounds_is_told_with_its_rounds() {
    let lines = with_run(include_str!("../golden/use-main.ndjson"), "use-default", 3);
    let told = table(&lines);
    assert!(told.contains("use-default: connections opened 3, but 1 in round 3"), "{told}");
    let json = mailconn_on(&lines, "report", &["--format", "json"]);
    let document: Value = serde_json::from_str(&json.stdout).unwrap();
    let counted = &document["counts"]["use-default"]["connections_opened"];
    assert_eq!(*counted, json!({"usual": 3, "others": {"3": 1}}));
}

#[test]
fn no_line_is_wider_than_eighty_columns_whatever_variants_are_called() {
    let name = "a-variant-whose-name-is-forty-bytes-long";
    let mut lines = stored();
    for line in &mut lines {
        if line["variant"] == "use-default" {
            line["variant"] = json!(name);
        }
    }
    lines[0]["variants"][1]["name"] = json!(name);
    lines[0]["figures"] = json!([]);
    lines.last_mut().unwrap()["judged_by"] = json!({"fail_on": []});
    for line in table(&completed(lines)).lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn a_time_is_compared_the_other_way_round() {
    let mut lines = stored();
    lines[0]["metric"] = json!("wait.p50");
    let lines = completed(lines);
    assert_eq!(lines.last().unwrap()["verdicts"][0]["decision"], "different-better");
    let told = table(&lines);
    assert!(told.contains("of the wait.p50 of use-main") || told.contains("the wait.p50 of use-main"), "{told}");
    assert!(told.contains("median"), "{told}");
    assert!(told.contains("use-default has 0x [0, 0] the wait.p50 of use-main: better"), "{told}");
    // And where the reference is the one that never waits.
    let mut lines = stored();
    (lines[0]["metric"], lines[0]["reference"]) = (json!("wait.p50"), json!("use-default"));
    (lines[0]["figures"], lines.last_mut().unwrap()["judged_by"]) = (json!([]), json!({"fail_on": []}));
    let told = table(&completed(lines)).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.starts_with("Choose use-default: none is better here. It opens 3 connections. use-main is worse and"),
        "{told}"
    );
    assert!(told.contains("the wait.p50 of use-default is 0, and that of use-main is not: worse"), "{told}");
}

#[test]
fn a_figure_that_was_not_measured_is_said_to_be_so() {
    let mut lines = stored();
    lines[0]["metric"] = json!("service.p99");
    let told = mailconn_on(&completed(lines), "report", &[]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    assert!(told.stdout.starts_with("No choice: "), "{}", told.stdout);
    assert!(told.stdout.contains("exit 1: nothing was compared: n too small: p99 needs 100"), "{}", told.stdout);
    assert!(
        told.stderr.contains("use-default cannot be compared with use-main: n too small: p99 needs 100"),
        "{}",
        told.stderr
    );
}

#[test]
fn the_document_has_every_round() {
    let told = mailconn_on(&stored(), "report", &["--format", "json"]);
    let document: Value = serde_json::from_str(&told.stdout).unwrap();
    let runs = document["runs"].as_array().unwrap();
    assert_eq!((runs.len(), document["whole_rounds"].as_array().unwrap().len()), (18, 8));
    for run in runs {
        assert_eq!(run["compared"], run["operations_per_second"], "{run}");
        assert!(run["cpu_us"].as_u64() > Some(0) && run["sign_ins"] == run["connections"]["opened"], "{run}");
    }
    assert_eq!(document["verdicts"], stored().last().unwrap()["verdicts"]);
}

#[test]
fn two_comparisons_are_not_set_side_by_side() {
    for format in ["ndjson", "json"] {
        let told = mailconn_on(&stored(), "report", &["--format", format]);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, told.stdout.as_bytes()).unwrap();
        let name = file.path().to_str().unwrap();
        let diff = crate::cli::process::end(&mut crate::cli::process::mailconn(["diff", name, name]));
        assert_eq!((diff.code, diff.stderr.lines().count()), (2, 1), "{}", diff.stderr);
        assert!(diff.stderr.contains("it is of a comparison, which has its verdicts in it"), "{}", diff.stderr);
    }
}
