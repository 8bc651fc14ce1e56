//! Gates of a comparison, and what it exits with.

use serde_json::{Value, json};

use super::written::{compared, completed, mailconn_on, runs, stored};

#[test]
fn a_gate_is_about_a_variant_or_a_verdict() {
    for (gate, code, says) in [
        ("use-default.service.p50 > 1ms", 3, "use-default.service.p50, the median of the rounds, is "),
        ("use-default.service.p50 > 1s", 0, "(fails if > 1s)"),
        ("use-default.connections.opened > 2", 3, "use-default.connections.opened is 3 (fails if > 2)"),
        ("use-main.connections.opened != 1", 0, "use-main.connections.opened is 1 (fails if != 1)"),
        ("use-main.operations_per_second < 100000", 3, "a second (fails if < 100000)"),
        ("use-main.findings[MC020].count > 0", 0, "use-main.findings[MC020].count is 0 (fails if > 0)"),
        ("use-main.service.p99 > 1s", 3, "n too small"),
        ("verdict(use-default) = different-better", 3, "verdict(use-default) is different-better"),
        ("verdict(use-default) == different", 3, "(fails if == different)"),
        ("verdict(use-default) = different-worse", 0, "verdict(use-default) is different-better"),
        ("verdict(use-default) != different-better", 0, "(fails if != different-better)"),
        ("verdict(use-default) != same", 3, "(fails if != same)"),
        ("ratio(use-default) < 1.5", 0, "ratio(use-default) is 1.51648x (fails if "),
        ("ratio(use-default) < 1.6x", 3, "(fails if < 1.6x)"),
        ("ratio(use-default)<1.5x", 0, "(fails if < 1.5x)"),
        ("verdict(use-default)=different", 3, "(fails if = different)"),
        ("verdict(use-default)!=different", 0, "(fails if != different)"),
        ("use-main.connections.opened!=1", 0, "(fails if != 1)"),
        ("ratio( use-default ) >= 1.2", 3, "ratio(use-default) is 1.51648x (fails if "),
    ] {
        let told = mailconn_on(&stored(), "report", &["--fail-if", gate]);
        assert_eq!(told.code, code, "{gate}: {}{}", told.stdout, told.stderr);
        let failed = if code == 0 { "gate passed: " } else { "gate FAILED: " };
        let line = told.stdout.lines().find(|line| line.starts_with("gate ")).unwrap();
        assert!(line.starts_with(failed) && line.contains(says), "{gate}: {line}");
        let verified = mailconn_on(&stored(), "verify", &["--fail-if", gate]);
        assert_eq!(verified.code, code, "{gate}: {}{}", verified.stdout, verified.stderr);
        assert!(verified.stdout.contains(line), "{gate}: {}", verified.stdout);
    }
}

#[test]
fn a_gate_that_is_none_of_this_comparison_is_one_line_with_the_cure() {
    for (gate, says) in [
        ("use-defalt.service.p95 > 100ms", "there is no variant \"use-defalt\", but use-main, use-default; write"),
        ("verdict(use-none) = same", "there is no variant \"use-none\""),
        ("verdict(use-main) = same", "use-main is the reference"),
        ("verdict(use-default) = faster", "there is no verdict \"faster\", but different-better"),
        ("verdict(use-default) > 3", "write verdict(VARIANT) = DECISION"),
        ("ratio(use-none) < 1", "there is no variant \"use-none\""),
        ("ratio(use-main) < 1", "use-main is the reference"),
        ("ratio(use-default) = 1", "write ratio(VARIANT) OPERATOR NUMBER"),
        ("ratio(use-default) < fast", "\"fast\" is no ratio; write a number like 1.5"),
        ("ratio(use-default) < NaN", "\"NaN\" is no ratio"),
        ("ratio(use-default) < -1", "\"-1\" is no ratio"),
        ("use-default.service.p95 regressed > 10%", "a comparison has no baseline"),
        ("service.p95 > 100ms", "there is no variant \"service\""),
        ("use-default.servce.p95 > 100ms", "there is no metric"),
        ("use-default.service.p95 > 100", "service.p95 is a time: give a number and a unit, like 20ms, 2s or 1m"),
        ("use-default.connections.peak > 3ms", "connections.peak is a count: give a number, like 10"),
    ] {
        for command in ["report", "verify"] {
            let told = mailconn_on(&stored(), command, &["--fail-if", gate]);
            assert_eq!((told.code, &*told.stdout), (2, ""), "{gate}: {}", told.stderr);
            assert!(told.stderr.contains(says) && told.stderr.lines().count() == 1, "{gate}: {}", told.stderr);
        }
    }
    let run = super::written::lines(include_str!("../golden/use-main.ndjson"));
    for gate in ["use-default.service.p95 > 100ms", "verdict(use-main) = same", "ratio(use-default) < 2"] {
        let told = mailconn_on(&run, "report", &["--fail-if", gate]);
        assert_eq!(told.code, 2, "{}", told.stdout);
        assert!(told.stderr.contains("is a gate of a comparison"), "{}", told.stderr);
    }
}

/// A ratio that is none fails, and says why.
#[test]
fn a_ratio_that_was_not_measured_fails_its_gate() {
    let of = |metric: &str, reference: &str| {
        let mut lines = stored();
        (lines[0]["metric"], lines[0]["reference"], lines[0]["figures"]) = (json!(metric), json!(reference), json!([]));
        lines.last_mut().unwrap()["judged_by"] = json!({"fail_on": []});
        completed(lines)
    };
    for (metric, reference, gate, says) in [
        ("service.p99", "use-main", "ratio(use-default) < 2", "ratio(use-default): n too small: p99 needs 100"),
        (
            "wait.p50",
            "use-default",
            "ratio(use-main) > 2",
            "ratio(use-main): wait.p50 of use-default is 0, and nothing is",
        ),
    ] {
        for command in ["report", "verify"] {
            let told = mailconn_on(&of(metric, reference), command, &["--fail-if", gate]);
            let line = told.stdout.lines().find(|line| line.starts_with("gate ")).unwrap();
            assert!(line.starts_with(&format!("gate FAILED: {says}")), "{gate}: {line}");
            assert_ne!(told.code, 0, "{gate}: {}", told.stdout);
        }
    }
    let nought = mailconn_on(&of("wait.p50", "use-main"), "report", &["--fail-if", "ratio(use-default) < 0.5"]);
    assert_eq!(nought.code, 3, "{}", nought.stdout);
    assert!(nought.stdout.contains("gate FAILED: ratio(use-default) is 0x"), "{}", nought.stdout);
}

/// The same comparison with another noise, and a policy of its own.
fn with_noise(noise: f64, policy: Value) -> Vec<Value> {
    let mut lines = stored();
    lines[0]["noise"] = json!(noise);
    lines[0]["figures"] = json!([]);
    lines.last_mut().unwrap()["judged_by"] = policy;
    completed(lines)
}

#[test]
fn what_cannot_be_told_passes_loudly_unless_a_decision_is_required() {
    let verdict = stored().last().unwrap()["verdicts"][0].clone();
    let ratio = verdict["ratio"].as_f64().unwrap();
    let gates = ["verdict(use-default) = different-worse", "verdict(use-default) != same"];
    let loud = with_noise(ratio - 1.0, json!({"fail_on": [], "gates": gates}));
    let told = mailconn_on(&loud, "report", &["--fail-if", gates[0], "--fail-if", gates[1]]);
    assert_eq!(told.code, 0, "{}{}", told.stdout, told.stderr);
    assert!(told.stderr.contains("CANNOT TELL: use-default has "), "{}", told.stderr);
    let first = "Choose use-main for now: these rounds do not tell which is faster here.";
    let text = told.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.starts_with(first), "{}", told.stdout);
    assert!(text.contains("It opens one connection. use-default had 1.52x ["), "{}", told.stdout);
    assert!(told.stdout.contains("more round") || told.stdout.contains("even 500 rounds"), "{}", told.stdout);
    let named = mailconn_on(&loud, "report", &["--fail-if", "verdict(use-default) = cannot-tell"]);
    assert_eq!(named.code, 3, "it is asked for");

    let required = with_noise(ratio - 1.0, json!({"fail_on": [], "require_decision": true}));
    let end = required.last().unwrap();
    assert_eq!(end["exit_code"], 3);
    let told = mailconn_on(&required, "report", &[]);
    assert!(
        told.stdout.contains("exit 3: these rounds do not tell of use-default (--require-decision)"),
        "{}",
        told.stdout
    );
    assert_eq!(told.stderr, "");

    let same = with_noise(9.0, json!({"fail_on": [], "require_decision": true}));
    assert_eq!(same.last().unwrap()["exit_code"], 0);
    let told = mailconn_on(&same, "report", &[]);
    assert!(told.stdout.starts_with("Choose use-main: none is faster here"), "{}", told.stdout);
}

/// A stored run in the place of one of a comparison's.
fn with_run(run: &str, fail_on: &Value) -> Vec<Value> {
    let all = stored();
    let mut run = super::written::lines(run);
    for line in &mut run {
        (line["variant"], line["round"]) = (json!("use-default"), json!(8));
    }
    let mut runs = runs(&all);
    runs.retain(|run| !super::written::is_of(&run[0], "use-default", 8));
    runs.push(run);
    let mut lines = compared(&all, runs);
    lines.last_mut().unwrap()["judged_by"] = json!({"fail_on": fail_on});
    completed(lines)
}

#[test]
fn the_exit_code_is_the_one_that_counts_among_its_runs() {
    for (run, code, says) in [
        (
            include_str!("../golden/limit.ndjson"),
            6,
            "use-default in round 8 came to exit 6: refused by a connection limit",
        ),
        (include_str!("../golden/wrong-password.ndjson"), 5, "use-default in round 8 came to exit 5: sign-in refused"),
        (
            include_str!("../golden/nobody-there.ndjson"),
            4,
            "use-default in round 8 came to exit 4: no connection came to be",
        ),
        (include_str!("../golden/broken.ndjson"), 1, "use-default in round 8 came to exit 1: "),
        (include_str!("../golden/use-default.ndjson"), 0, "every run held"),
    ] {
        let lines = with_run(run, &json!([]));
        assert_eq!(lines.last().unwrap()["exit_code"], code, "{says}");
        let told = mailconn_on(&lines, "report", &[]);
        assert!(told.stdout.contains(&format!("exit {code}: {says}")), "{}", told.stdout);
    }
}

/// Findings fail a comparison as they fail a run: each of its runs is judged anew.
#[test]
fn a_finding_of_a_run_fails_by_the_severities_that_are_given() {
    let told = mailconn_on(&stored(), "report", &["--fail-on", "advice"]);
    assert_eq!(told.code, 1, "{}", told.stderr);
    assert!(
        told.stdout.contains("exit 1: use-main in the warm-up came to exit 1: MC050 fails the run"),
        "{}",
        told.stdout
    );
}
