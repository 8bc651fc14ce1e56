//! `mailconn verify` of a comparison: a changed one does not hold.

use serde_json::{Value, json};
use std::time::Duration;

use super::written::{compared, completed, is_of, mailconn_on, runs, stored};

/// What does not hold of these lines, as verify says it.
fn doubts(lines: &[Value]) -> Vec<String> {
    let verified = mailconn_on(lines, "verify", &["--format", "json"]);
    let document: Value = serde_json::from_str(&verified.stdout).unwrap_or_else(|_| panic!("{}", verified.stderr));
    let doubts: Vec<String> = document["doubts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{}: {}", it["rule"].as_str().unwrap(), it["sentence"].as_str().unwrap()))
        .collect();
    assert_eq!((document["holds"] == true, verified.code), (doubts.is_empty(), if doubts.is_empty() { 0 } else { 7 }));
    doubts
}

fn with(change: impl FnOnce(&mut Vec<Value>)) -> Vec<Value> {
    let mut lines = stored();
    change(&mut lines);
    lines
}

fn last(lines: &mut [Value]) -> &mut Value {
    lines.last_mut().unwrap()
}

/// Without the runs of which that is so.
fn without(is: impl Fn(&Value) -> bool) -> Vec<Value> {
    let all = stored();
    compared(&all, runs(&all).into_iter().filter(|run| !is(&run[0])).collect())
}

/// With that run at another time by the wall clock, by so many seconds; none of its lines contradicts another one.
fn moved(variant: &str, round: u64, by: i64) -> Vec<Value> {
    let shift = |time: &mut Value| {
        let (at, by_so_much) = (time.as_str().unwrap(), Duration::from_secs(by.unsigned_abs()));
        let at = humantime::parse_rfc3339(at).unwrap();
        let at = if by < 0 { at - by_so_much } else { at + by_so_much };
        *time = json!(humantime::format_rfc3339_micros(at).to_string());
    };
    with(|lines| {
        for line in lines.iter_mut().filter(|line| is_of(line, variant, round)) {
            shift(&mut line["time"]);
            line.get_mut("started").into_iter().for_each(shift);
        }
    })
}

type Changed = (&'static str, Vec<Value>, &'static str);

/// Each change, and what betrays it. Where it says so the last line was made to fit.
fn changes() -> Vec<Changed> {
    let swapped = || {
        with(|lines| {
            for line in lines.iter_mut().filter(|line| line["round"] == 3) {
                line["variant"] = json!(if line["variant"] == "use-main" { "use-default" } else { "use-main" });
            }
        })
    };
    vec![
        ("two variants were swapped in a round", swapped(), "rounds: the run of use-"),
        ("the same, and its end fits", completed(swapped()), "rounds: the run of use-"),
        ("a round is missing", without(|it| it["round"] == 5), "rounds: round 5 is due, it is of round 6"),
        ("the last round is missing", without(|it| it["round"] == 8), "rounds: there were to be 8 rounds"),
        ("the same, and its end fits", completed(without(|it| it["round"] == 8)), "rounds: there were to be 8 rounds"),
        ("a run is missing", without(|it| is_of(it, "use-main", 4)), "rounds: round 4 has no run of each variant yet"),
        ("the last run is missing", without(|it| is_of(it, "use-main", 8)), "rounds: there were to be 8 rounds"),
        ("nothing warmed up", without(|it| it["round"] == 0), "rounds: round 0 is due, it is of round 1"),
        (
            "a run is there twice",
            {
                let all = stored();
                let mut runs = runs(&all);
                runs.push(runs.last().unwrap().clone());
                compared(&all, runs)
            },
            "is there twice",
        ),
        (
            "a run has no end",
            with(|lines| lines.retain(|it| !(is_of(it, "use-main", 2) && it["event"] == "run-end"))),
            "lines: there is no run-end",
        ),
        (
            "a line is of another run",
            with(|lines| {
                let line = lines.iter_mut().find(|it| is_of(it, "use-main", 2) && it["event"] == "operation").unwrap();
                line["round"] = json!(1);
            }),
            "lines: it is of variant \"use-main\", round 1, in the stream of no run of a comparison",
        ),
        (
            "a verdict was forged",
            with(|lines| last(lines)["verdicts"][0]["decision"] = json!("same")),
            "run-end: verdicts[0].decision: the events come to \"different-better\", it says \"same\"",
        ),
        (
            "a ratio was forged",
            with(|lines| last(lines)["verdicts"][0]["ratio"] = json!(3.5)),
            "run-end: verdicts[0].ratio",
        ),
        (
            "a figure of a run was forged",
            with(|lines| {
                let line = lines.iter_mut().find(|it| is_of(it, "use-main", 2) && it["event"] == "run-end").unwrap();
                line["worked_us"] = json!(1);
            }),
            "run-end: worked_us",
        ),
        (
            "a gate passed that failed",
            with(|lines| {
                last(lines)["judged_by"]["gates"][1] = json!("use-default.connections.peak > 2");
                last(lines)["gates"][1]["gate"] = json!("use-default.connections.peak > 2");
            }),
            "run-end: gates[1].failed",
        ),
        (
            "it was read for other figures than its gates are about",
            with(|lines| lines[0]["figures"] = json!(["service.p50"])),
            "header: the comparison began to be read for other figures",
        ),
        (
            "the exit code was forged",
            with(|lines| last(lines)["exit_code"] = json!(3)),
            "run-end: exit_code: the events come to 0, it says 3",
        ),
        ("the noise was another one", with(|lines| lines[0]["noise"] = json!(2.5)), "run-end: verdicts[0].decision"),
        (
            "its runs were judged by something else",
            completed(with(|lines| last(lines)["judged_by"]["fail_on"] = json!(["advice"]))),
            "rounds: its runs were judged by something else",
        ),
        (
            "the reference is no variant",
            with(|lines| lines[0]["reference"] = json!("use-none")),
            "header: a comparison is of two variants or more",
        ),
        (
            "it was over too soon",
            completed(with(|lines| {
                let end = last(lines);
                (end["elapsed_us"], end["at_us"]) = (json!(1000), json!(1000));
            })),
            "clock: its runs took",
        ),
        (
            "it stopped for the time, and had no bound",
            completed(with(|lines| {
                last(lines)["stopped"] = json!({"why": "time", "variant": null, "round": 9});
            })),
            "rounds: it did not stop for what it says",
        ),
        (
            "it stopped at a limit that no run met",
            completed(with(|lines| {
                last(lines)["stopped"] = json!({"why": "limit", "variant": "use-main", "round": 8});
            })),
            "rounds: it did not stop for what it says",
        ),
        (
            "a variant has another number of threads than its runs",
            with(|lines| lines[0]["variants"][1]["arguments"] = json!("use-default -t 9")),
            "rounds: use-default is \"use-default -t 9\", so its threads must be 9: the run's is 3",
        ),
        (
            "a variant has another mode than its runs",
            with(|lines| lines[0]["variants"][1]["arguments"] = json!("use-main-or-default")),
            "rounds: use-default is \"use-main-or-default\", so its mode must be use-main-or-default: the run's is use-default",
        ),
        (
            "a variant is farther away than its runs were",
            with(|lines| lines[0]["variants"][0]["arguments"] = json!("use-main --rtt 20ms")),
            "rounds: use-main is \"use-main --rtt 20ms\", so its sandbox's rtt must be 20ms: the run's is 10ms",
        ),
        (
            "a variant has other operations than its runs",
            with(|lines| lines[0]["variants"][0]["arguments"] = json!("use-main --ops fetch=9")),
            "rounds: use-main is \"use-main --ops fetch=9\", so its mix must be fetch=9: the run's is ",
        ),
        (
            "a variant has another mailbox than its runs",
            with(|lines| lines[0]["variants"][0]["arguments"] = json!("use-main --mailbox Elsewhere")),
            "so its names of mailboxes must be Elsewhere: the run's is INBOX",
        ),
        (
            "a variant switches, and its runs did not",
            with(|lines| lines[0]["variants"][0]["arguments"] = json!("use-main --switch-mode 5=use-default")),
            "so its mode switches must be 5=use-default: the run's is none",
        ),
        (
            "a variant has tasks, and its runs had none",
            with(|lines| lines[0]["variants"][0]["arguments"] = json!("use-main --executor pool --tasks 8")),
            "so its tasks must be 8: the run's is 0",
        ),
        (
            "a variant has defaults that its runs did not create",
            with(|lines| lines[0]["variants"][0]["arguments"] = json!("use-main --independent-for w0")),
            "so its independent ones must be w0: the run's is none",
        ),
        (
            "a variant is what there is not",
            with(|lines| lines[0]["variants"][0]["arguments"] = json!("use-main --nonsense")),
            "header: use-main is \"use-main --nonsense\", and no variant can be given \"--nonsense\"",
        ),
        (
            "the runs of one variant were asked for what nobody told that one alone",
            with(|lines| {
                let starts = lines.iter_mut().filter(|it| it["event"] == "run-start" && it["variant"] == "use-default");
                starts.for_each(|it| it["max_connections"] = json!(7));
            }),
            "so its max-connections must be that of the others, none: the run's is 7",
        ),
        (
            "a run was a day before it all",
            moved("use-main", 2, -86_400),
            "clock: after what was before it, it was to begin",
        ),
        (
            "a run was while the next one was",
            moved("use-main", 2, 1),
            "clock: after what was before it, it was to begin",
        ),
        (
            "the last run was later than the end",
            moved("use-default", 8, 3600),
            "clock: its last run was over after 3602.",
        ),
        (
            "runs began after the time for all of it",
            with(|lines| lines[0]["bound_us"] = json!(1000)),
            "clock: no run was to begin after 1ms, and the one before it was over after 1.",
        ),
        (
            "the sandbox was farther away than it can have been",
            with(|lines| {
                let starts = lines.iter_mut().filter(|line| line["event"] == "run-start");
                starts.for_each(|start| start["sandbox"]["rtt_us"] = json!(500_000));
            }),
            "and the sandbox was to reply after 500ms",
        ),
        (
            "it is of another version than its runs",
            with(|lines| lines[0]["tool_version"] = json!("0.0.9")),
            "rounds: it was on another server than the comparison, or is of another version",
        ),
        (
            "it took longer than it was to take",
            with(|lines| {
                lines[0]["bound_us"] = json!(1000);
                let end = last(lines);
                (end["elapsed_us"], end["at_us"]) = (json!(60_000_000), json!(60_000_000));
            }),
            "clock: it was to take no longer than 1ms, and took 60s",
        ),
        (
            "it stopped for the time in a round that was not due",
            completed(with(|lines| {
                (lines[0]["rounds"], lines[0]["bound_us"]) = (json!(12), json!(60_000_000));
                last(lines)["stopped"] = json!({"why": "time", "variant": null, "round": 10});
            })),
            "rounds: it did not stop for what it says",
        ),
        (
            "it made more sign-ins than it was to make",
            with(|lines| lines[0]["most_sign_ins"] = json!(10)),
            "rounds: it was to make 10 sign-ins at most, and made ",
        ),
        (
            "the sandbox had a budget of sign-ins",
            with(|lines| lines[0]["most_sign_ins"] = json!(100_000)),
            "header: it has a budget of sign-ins, and the sandbox needs none",
        ),
        (
            "it stopped for sign-ins that it did not make",
            completed(with(|lines| {
                lines[0]["most_sign_ins"] = json!(500);
                last(lines)["stopped"] = json!({"why": "sign-ins", "variant": "use-main", "round": 8});
            })),
            "rounds: it did not stop for what it says",
        ),
        (
            "a gate that failed did not",
            with(|lines| {
                let gate = &mut last(lines)["gates"][0];
                gate["failed"] = json!(!gate["failed"].as_bool().unwrap());
            }),
            "run-end: gates[0].failed",
        ),
        (
            "a gate's figure was forged",
            with(|lines| last(lines)["gates"][0]["value"] = json!(3)),
            "run-end: gates[0].value",
        ),
        ("there is no end", with(|lines| drop(lines.pop())), "lines: there is no comparison-end"),
    ]
}

#[test]
fn a_changed_comparison_does_not_hold() {
    for (what, lines, betrayed) in changes() {
        let doubts = doubts(&lines);
        assert!(doubts.iter().any(|doubt| doubt.contains(betrayed)), "{what}: {betrayed}: {doubts:#?}");
    }
}

#[test]
fn the_order_within_a_round_is_that_of_the_seed_and_so_are_its_runs_seeds() {
    let all = stored();
    assert_eq!(doubts(&all), [""; 0]);
    let mut swapped = runs(&all);
    swapped[6..8].swap(0, 1);
    let found = doubts(&compared(&all, swapped));
    assert_eq!(found.len(), 3, "{found:#?}");
    let is_told = |it: &String| it.contains("turn in round 3") || it.starts_with("clock: after what was before it");
    assert!(found.iter().all(is_told), "{found:#?}");
    let found = doubts(&with(|lines| lines[0]["seed"] = json!(43)));
    assert!(found.iter().any(|it| it.contains("seed 43 gives the runs of round 0 the seed")), "{found:#?}");
}

#[test]
fn the_rests_between_runs_take_their_time() {
    let found = doubts(&with(|lines| lines[0]["pace_us"] = json!(1_000_000_000_000_u64)));
    assert!(found.iter().any(|it| it.contains("the rests between them")), "{found:#?}");
}

/// A round that was under way counts for nothing, and those before it do.
#[test]
fn a_comparison_that_stopped_holds_for_as_far_as_it_came() {
    for (why, variant) in [("time", Value::Null), ("failed", json!("use-main")), ("signal", Value::Null)] {
        let mut lines = without(|it| it["round"] == 8);
        lines[0]["rounds"] = json!(12);
        lines[0]["bound_us"] = json!(60_000_000);
        last(&mut lines)["stopped"] = json!({"why": why, "variant": variant, "round": 8});
        last(&mut lines)["interrupted"] = if why == "signal" { json!(2) } else { Value::Null };
        let lines = completed(lines);
        assert_eq!(doubts(&lines), [""; 0], "{why}");
        let end = lines.last().unwrap();
        let code = match why {
            "time" => 0,
            "failed" => 1,
            _ => 130,
        };
        assert_eq!((&end["rounds"], &end["exit_code"]), (&json!(7), &json!(code)), "{why}");
        assert_eq!(end["verdicts"][0]["decision"], "cannot-tell", "seven rounds are too few");
    }
}

/// The lines of a comparison that is told again are its own.
#[test]
fn it_is_told_again_as_it_was() {
    let told = mailconn_on(&stored(), "report", &["--format", "ndjson"]);
    assert_eq!((told.code, &*told.stderr), (0, ""));
    let again: Vec<Value> = super::written::lines(&told.stdout);
    assert_eq!(again.len(), stored().len());
    assert_eq!(doubts(&again), [""; 0]);
}
