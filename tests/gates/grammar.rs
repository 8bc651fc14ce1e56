//! What is a gate, and what is said of what is none.

use std::fs;

use mailconn::judge::{Gate, METRICS, MetricUnit, Worse};

use crate::cli::process::{Ended, end, mailconn};

/// What is no gate, and how the complaint goes on behind it.
const BAD: &[(&str, &str)] = &[
    ("", "write METRIC OPERATOR NUMBER, like 'service.p95 > 200ms'"),
    ("service.p95", "write METRIC OPERATOR NUMBER"),
    ("> 200ms", "write METRIC OPERATOR NUMBER"),
    ("service.p95 = 200ms", "\"= 200ms\" begins with no operator; there are >= <= == != > <"),
    ("service.p95 200ms", "\"200ms\" begins with no operator"),
    ("service.p95 above 200ms", "begins with no operator"),
    ("service.p95 >", "is a time: give a number and a unit, like 20ms, 2s or 1m"),
    ("service.p95 > 200", "service.p95 is a time: give a number and a unit"),
    ("service.p95 > 200 potatoes", "is a time: give a number and a unit"),
    ("service.p95 > -1ms", "is a time: give a number and a unit"),
    ("connections.peak > 10ms", "connections.peak is a count: give a number, like 10"),
    ("connections.peak > ten", "is a count: give a number"),
    ("connections.peak > -1", "is a count: give a number"),
    ("connections.peak > inf", "is a count: give a number"),
    ("connections.peak > nan", "is a count: give a number"),
    ("service.p95 regressed", "begins with no operator"),
    ("service.p95 regressed > 10", "service.p95 regressed: give per cent, like 10%"),
    ("service.p95 regressed > 10ms", "regressed: give per cent, like 10%"),
    ("service.p95 regressed 10%", "to compare with an earlier run, write 'service.p95 regressed > 10%'"),
    ("service.p95 > 10%", "write 'service.p95 regressed > 10%'"),
    ("service.p95 worse > 10%", "write 'service.p95 regressed > 10%'"),
    ("service.p95 increased by 10%", "write 'service.p95 regressed > 10%'"),
    ("connections.peak>=0.5%", "write 'connections.peak regressed > 0.5%'"),
    ("operations_per_second < 10%", "write 'operations_per_second regressed > 10%'"),
    ("service.n > 10%", "service.n is a count: give a number"),
    (
        "service.n regressed > 10%",
        "service.n is neither better nor worse for being more; give the figure itself a bound",
    ),
    ("operations.asked regressed > 10%", "is neither better nor worse"),
    ("session[#1].bytes_sent regressed > 10%", "is neither better nor worse"),
    ("connections.peak > 10 20", "is a count: give a number"),
    ("operations_per_second < 5ms", "is a rate: give the number in a second"),
    ("servce.p95 > 200ms", "there is no metric \"servce.p95\"; did you mean service.p95,"),
    ("p95 > 200ms", "did you mean wait.p95, dial.p95, service.p95, operation[fetch].wait.p95,"),
    ("service > 200ms", "did you mean service.n, service.p50, service.p90, service.p95, service.p99, service.p99.9?"),
    ("xyzzy > 1", "there is no metric \"xyzzy\" (mailconn explain metrics lists all)"),
    ("operation[fetch] > 1", "did you mean operation[fetch].operations.issued,"),
    ("operation[fetsch].service.p95 > 1s", "there is no operation[fetsch]; there are append, "),
    (
        "operation.service.p95 > 1s",
        "there is no metric \"operation.service.p95\"; did you mean operation[fetch].service.p95",
    ),
    ("findings.count > 0", "did you mean findings[MC030].count"),
    ("findings[MC020] > 0", "did you mean findings[MC020].count?"),
    ("findings[mc020] > 0", "did you mean findings[MC020].count?"),
    ("findings.MC020.count > 0", "did you mean findings[MC020].count?"),
    ("findings.MC020 > 0", "did you mean findings[MC020].count?"),
    ("finding[MC020].count > 0", "did you mean findings[MC020].count?"),
    ("MC020 > 0", "did you mean findings[MC020].count?"),
    ("MC020.count > 0", "did you mean findings[MC020].count?"),
    ("limit-rate > 0", "did you mean failures[limit-rate].count?"),
    ("failures.limit-rate > 0", "did you mean failures[limit-rate].count?"),
    ("findings[limit-rate].count > 0", "there is no findings[limit-rate]; did you mean failures[limit-rate].count?"),
    ("findings[limit-rate] > 0", "did you mean failures[limit-rate].count?"),
    ("failures[MC020].count > 0", "there is no failures[MC020]; did you mean findings[MC020].count?"),
    ("worker[w3].service > 1s", "did you mean worker[w3].service.n, worker[w3].service.p50,"),
    ("operation[append].servce.p95 > 1s", "did you mean operation[append].service.p95,"),
    ("findings[MC999].count > 0", "there is no findings[MC999]; there are MC001, MC002, "),
    ("failures[limit].count > 0", "there is no failures[limit]; there are dns, "),
    ("worker[0].operations.ok > 0", "worker[0]: write worker[w0]"),
    ("worker[w01].operations.ok > 0", "worker[w01]: write worker[w0]"),
    (
        "worker[w0].reasons[luck] > 0",
        "there is no reasons[luck]; there are explicit, main, default, default-created, refused",
    ),
    ("connection[1].operations > 0", "connection[1]: write connection[#0]"),
    ("session[1].bytes_sent > 0", "session[1]: write session[#1] or session[#1.2]"),
    ("session[#+0].bytes_sent > 0", "session[#+0]: write session[#1] or session[#1.2]"),
    ("session[#00].bytes_sent > 0", "write session[#1]"),
    ("session[#0.1].bytes_sent > 0", "write session[#1]"),
    ("session[#1.2.3].bytes_sent > 0", "write session[#1]"),
    ("connection[main.operations > 0", "there is no metric"),
    ("connection]main[.operations > 0", "there is no metric"),
    ("service.p95\u{7} > 200ms", "there is no metric"),
    ("operation[\u{1b}x].service.p95 > 1s", "there is no operation[\\u{1b}x]; there are append, "),
    ("worker[\u{7}].operations.ok > 0", "worker[\\u{7}]: write worker[w0]"),
    (
        "service.p95 >                                                                                                              1s",
        "a gate has at most 120 bytes",
    ),
];

fn refused(args: &[&str]) -> Ended {
    // Nothing is read, nothing is dialled: what is wrong with the gate is said first.
    let ended = end(&mut mailconn(args));
    assert_eq!((ended.code, &*ended.stdout, ended.stderr.lines().count()), (2, "", 1), "{args:?}: {}", ended.stderr);
    assert!(!ended.stderr.chars().any(|c| c.is_control() && c != '\n'), "{:?}", ended.stderr);
    ended
}

#[test]
fn what_is_no_gate_is_refused_in_one_line_with_the_cure() {
    for (bad, due) in BAD {
        let no = Gate::parse(bad).unwrap_err().to_string();
        assert!(no.contains(due), "{bad}: {no}");
        assert!(!no.contains('\n'), "{no}");
    }
    for command in [&["run"][..], &["scenario", "pool-hazard"], &["verify", "none"], &["report", "none"]] {
        for (bad, due) in [BAD[0], BAD[3], BAD[17], BAD[25], BAD[34]] {
            let said = refused(&[command, &["--fail-if", bad]].concat()).stderr;
            assert!(said.contains(due) && said.contains("--fail-if"), "{bad}: {said}");
        }
        // Words of reports are known, as they are to explain.
        let said = refused(&[command, &["--fail-if", "throttled > 0"]].concat()).stderr;
        assert!(said.contains("there is no metric \"throttled\"; did you mean failures[limit-rate].count?"), "{said}");
    }
}

#[test]
fn each_metric_takes_each_operator_and_a_number_of_its_unit() {
    for metric in METRICS.iter() {
        let compared = Gate::parse(&format!("{} regressed > 5%", metric.example()));
        assert_eq!(compared.is_err(), metric.worse == Worse::Neither, "{}", metric.name);
        let number = if metric.unit == MetricUnit::Time { "1s 5ms" } else { "5.5" };
        for operator in [">", ">=", "<", "<=", "==", "!="] {
            for gate in [
                format!("{} {operator} {number}", metric.example()),
                format!("  {}{operator}{number}  ", metric.example()),
            ] {
                Gate::parse(&gate).unwrap_or_else(|error| panic!("{gate}: {error}"));
            }
        }
        assert!(!metric.means.is_empty() && !metric.example().contains("[]"), "{}", metric.name);
    }
}

#[test]
fn a_file_has_a_gate_a_line_and_comments() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gates");
    let gates = file.to_str().unwrap();
    let stored = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/use-main.ndjson");
    fs::write(
        &file,
        "\u{feff}# what this build promises\n\n  connections.peak > 1\r\n\t# service.p50 > 1us\noperations.failed > 0\n",
    )
    .unwrap();
    let told = end(&mut mailconn(["report", stored, "--gates", gates, "--fail-if", "connections.opened != 1"]));
    assert_eq!((told.code, &*told.stderr), (0, ""), "{}", told.stdout);
    let due = "gate passed: connections.opened is 1 (fails if != 1)\n\
               gate passed: connections.peak is 1 (fails if > 1)\n\
               gate passed: operations.failed is 0 (fails if > 0)\nexit 0: ";
    assert!(told.stdout.contains(due), "{}", told.stdout);
    for (text, due) in [
        (
            "connections.peak > 1\n# fine\nconnections.peek > 1\n",
            "gates:3: there is no metric \"connections.peek\"; did you mean connections.peak",
        ),
        ("# nothing\n\n", "gates holds no gate, so nothing would fail; write one a line, or leave it out"),
        (&"connections.peak > 1\n".repeat(101), "--gates: give at most 100 gates"),
        (&"#".repeat(70_000), "gates is too big for gates: more than 65536 bytes"),
    ] {
        fs::write(&file, text).unwrap();
        let said = refused(&["run", "--gates", gates]).stderr;
        assert!(said.contains(due), "{said}");
    }
    fs::write(&file, [0xff, 0xfe]).unwrap();
    refused(&["run", "--gates", gates]);
    let missing = folder.path().join("none");
    let said = refused(&["report", stored, "--gates", missing.to_str().unwrap()]).stderr;
    assert!(said.contains("--gates: reading ") && said.contains("No such file"), "{said}");
}
