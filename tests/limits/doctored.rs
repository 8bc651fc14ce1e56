//! Files of probes with one lie in each, and all else put right: it is found out.

use serde_json::{Value, json};

use super::judged::{at, full, full_with_bare_close, is_caught, vague};
use super::written::{Probing, again};

type Lie = Box<dyn FnOnce(&mut Vec<Value>)>;

/// The dial of the step, and all that comes after it, comes so much earlier.
fn sooner(step: &'static str, by_us: u64) -> Lie {
    Box::new(move |lines| {
        let from = at(lines, "connection-created", step);
        for line in &mut lines[from..] {
            for name in ["at_us", "began_us", "signed_in_us", "failed_us", "issued_at_us", "elapsed_us"] {
                if let Some(time) = line.get(name).and_then(Value::as_u64) {
                    line[name] = json!(time - by_us);
                }
            }
        }
        *lines = again(std::mem::take(lines));
    })
}

/// The probe was set up otherwise.
fn asked(name: &'static str, value: u64) -> Lie {
    Box::new(move |lines| {
        lines[0]["probe"][name] = json!(value);
        *lines = again(std::mem::take(lines));
    })
}

/// A count that takes all steps, three seconds apart.
fn paced() -> Vec<Value> {
    let lines = Probing::new("imap", 32).pace(3_000_000).bare_close().count(3).step("count", 4).vague().all_answer();
    let lines = lines.step("hold", 1).all_answer().vague().release().vague().release_again().let_in();
    let lines = lines.repeat_after(30_000_000).let_in().confirm().vague();
    lines.close_bare().vague().bare_again().vague().end()
}

#[test]
fn a_rest_that_was_cut_short_is_found_out() {
    let lies: [(&str, Lie); 12] = [
        ("the pace", sooner("count#2", 200_000)),
        ("the pace before the refusal", sooner("count#4", 2_900_000)),
        ("the hold", sooner("hold#1", 1_000_000)),
        ("two seconds", sooner("release#1", 100_000)),
        ("thirty seconds", sooner("release#2", 500_000)),
        ("twice the pace", sooner("confirm#1", 3_000_000)),
        ("thirty seconds after the second goodbye", sooner("repeat#1", 500_000)),
        ("two seconds after a bare close", sooner("bare-close#1", 100_000)),
        ("thirty seconds after a bare close", sooner("bare-close#2", 20_000_000)),
        ("a longer hold was asked for", asked("hold_us", 120_000_000)),
        ("a longer pace was asked for", asked("pace_us", 4_000_000)),
        ("fewer were asked for", asked("max", 2)),
    ];
    for (what, lie) in lies {
        println!("{what}");
        is_caught("probe", &paced(), lie);
    }
}

/// What clocks differ by is no lie.
#[test]
fn a_rest_that_is_short_by_a_few_milliseconds_is_believed() {
    for step in ["hold#1", "release#2", "bare-close#2"] {
        let mut lines = paced();
        sooner(step, 20_000)(&mut lines);
        super::written::holds(&lines);
    }
}

/// A wait that the server asks for is kept before each attempt.
#[test]
fn a_wait_that_was_not_kept_is_found_out() {
    let wait = Some("NO Too many connections, try again in 5 seconds");
    let refused = |lines: Probing| lines.refused("limit-connections", "auth", wait);
    let lines = refused(Probing::new("imap", 32).count(2).step("count", 3)).all_answer();
    let lines = refused(lines.step("hold", 1).all_answer()).release_after(5_000_000).let_in();
    let lines = refused(lines.confirm_after(5_000_000)).repeat_after(5_000_000).let_in().end();
    is_caught("probe", &lines, sooner("release#1", 3_000_000));
    is_caught("probe", &lines, sooner("confirm#1", 3_000_000));
}

/// A dial that has come to a stage was not refused before it, nor after one to which it did not come.
#[test]
fn a_refusal_at_another_stage_is_found_out() {
    fn forged(step: &'static str, stage: &'static str, changes: &'static [(&'static str, Value)]) -> Lie {
        Box::new(move |lines| {
            let refused = at(lines, "session-refused", step);
            lines[refused]["failure"]["stage"] = json!(stage);
            for (place, value) in changes {
                *lines[refused].pointer_mut(place).unwrap() = value.clone();
            }
            *lines = again(std::mem::take(lines));
        })
    }
    const UNSENT: &[(&str, Value)] = &[("/sign_in_attempted", Value::Bool(false))];
    const UNGREETED: &[(&str, Value)] = &[("/dial_us/greeting", Value::Null)];
    let vague = || vague(3).step("hold", 1).all_answer().vague().release().let_in().confirm().vague();
    let vague = || vague().repeat().let_in().end();
    for (stage, changes) in
        [("greeting", UNSENT), ("greeting", UNGREETED), ("greeting", &[]), ("tls", &[]), ("connect", UNSENT)]
    {
        for step in ["count#4", "hold#1", "confirm#1"] {
            println!("{step} at {stage}, {changes:?}");
            is_caught("probe", &vague(), forged(step, stage, changes));
        }
    }
    let closed = |lines: Probing| lines.refused("closed", "greeting", None);
    let lines = closed(Probing::new("imap", 32).count(3).step("count", 4)).all_answer();
    let lines = closed(lines.step("count", 5)).all_answer();
    let lines = closed(lines.step("hold", 1).all_answer()).release().let_in();
    let lines = closed(lines.repeat().let_in().confirm()).end();
    for changes in [&[][..], &[("/sign_in_attempted", Value::Bool(true))]] {
        is_caught("probe", &lines, forged("count#4", "auth", changes));
    }
}

/// The step that tells a count from a rate was left out, or put in.
#[test]
fn a_missing_proof_is_found_out() {
    fn without(step: &'static str) -> Lie {
        Box::new(move |lines| {
            lines.retain(|line| line["step"] != step);
            *lines = again(std::mem::take(lines));
        })
    }
    let vague = vague(3).step("hold", 1).all_answer().vague().release().let_in().confirm().vague();
    let vague = vague.repeat().let_in().end();
    is_caught("probe", &vague, without("confirm#1"));
    is_caught("probe", &vague, without("repeat#1"));
    is_caught("probe", &full_with_bare_close().end(), without("bare-close#1"));
    // Its words say it: there is nothing to confirm.
    let told = full().release().let_in().end();
    is_caught("probe", &told, |lines| {
        let end = lines.iter().position(|line| line["step"] == "end#1").unwrap();
        let mut confirm = lines[end].clone();
        (confirm["phase"], confirm["step"]) = (json!("confirm"), json!("confirm#1"));
        lines.insert(end, confirm);
        *lines = again(std::mem::take(lines));
    });
}

/// A step that owes a look at those that are open did not look at one of them.
#[test]
fn a_look_that_was_left_out_is_found_out() {
    fn unlooked(step: &'static str, session: &'static str) -> Lie {
        Box::new(move |lines| {
            lines.retain(|it| it["event"] != "operation" || it["step"] != step || it["session"] != session);
            *lines = again(std::mem::take(lines));
        })
    }
    let course = |protocol| {
        let refused = |lines: Probing| lines.vague();
        let met = refused(Probing::new(protocol, 32).count(3).step("count", 4)).step("hold", 1);
        refused(refused(met).release().let_in().confirm()).repeat().let_in().end()
    };
    for (protocol, step, session) in [
        ("imap", "count#1", "#1"),
        ("imap", "count#3", "#1"),
        ("imap", "count#3", "#3"),
        ("imap", "count#4", "#2"),
        ("imap", "hold#1", "#1"),
        ("imap", "release#1", "#6"),
        ("imap", "confirm#1", "#2"),
        ("imap", "repeat#1", "#8"),
        ("smtp", "count#2", "#2"),
        ("pop3", "count#3", "#3"),
        ("smtp", "release#1", "#6"),
    ] {
        println!("{session} in {step} over {protocol}");
        is_caught("probe", &course(protocol), unlooked(step, session));
    }
}

/// The command line refuses to be asked so.
#[test]
fn a_probe_that_cannot_have_been_asked_for_is_found_out() {
    for (name, value) in [("hold_us", 999_999), ("hold_us", 0), ("max", 0), ("max", 1001)] {
        println!("{name} {value}");
        is_caught("probe", &Probing::new("imap", 4).count(4).end(), asked(name, value));
    }
}
