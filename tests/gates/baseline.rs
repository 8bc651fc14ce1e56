//! Figures against an earlier run: gates on what has regressed, and two runs side by side.

use std::fs;
use std::path::{Path, PathBuf};

use mailconn::judge::{Earlier, METRICS};
use serde_json::Value;

use crate::cli::process::{end, mailconn};
use crate::golden;
use crate::support::tool::doubts;

/// A run of that many operations, stored in that format.
fn stored(folder: &Path, name: &str, args: &str) -> PathBuf {
    let file = folder.join(name);
    let format = if name.ends_with("ndjson") { "ndjson" } else { "json" };
    let args = ["run", "-t", "2", "--progress", "never", "--format", format, "-o", file.to_str().unwrap()]
        .into_iter()
        .chain(args.split_whitespace());
    let ended = end(&mut mailconn(args));
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    file
}

#[test]
fn a_figure_that_is_worse_than_in_the_baseline_fails_the_run_and_its_file_says_as_much() {
    let folder = tempfile::tempdir().unwrap();
    for baseline in ["earlier.json", "earlier.ndjson"] {
        let baseline = stored(folder.path(), baseline, "-n 10");
        let baseline = baseline.to_str().unwrap();
        let file = folder.path().join("now.ndjson");
        let now = file.to_str().unwrap();
        let gates = [
            "--baseline",
            baseline,
            "--fail-if",
            "operations.ok regressed > 10%",
            "--fail-if",
            "connections.peak regressed > 0%",
        ];
        let args = ["run", "-t", "2", "-n", "12", "--progress", "never", "--format", "ndjson", "-o", now];
        let ended = end(&mut mailconn(args.iter().chain(&gates)));
        assert_eq!((ended.code, &*ended.stderr), (3, ""), "{}", ended.stdout);
        assert_eq!(doubts(&fs::read(&file).unwrap()), [""; 0]);
        fs::remove_file(baseline).unwrap();
        let told = end(&mut mailconn(["report", now]));
        let due = "gate FAILED: operations.ok is 24, and was 20: 20.0 % worse (fails if regressed > 10%)\n\
                   gate passed: connections.peak is 1, and was 1 (fails if regressed > 0%)\n\
                   exit 3: a gate failed: operations.ok is 24, and was 20: 20.0 % worse (fails if regressed > 10%) \
                   (the run's exit code; this report's is 0)\n";
        assert!(told.stdout.ends_with(due), "{}", told.stdout);
        let json: Value =
            serde_json::from_str(&end(&mut mailconn(["report", now, "--format", "json"])).stdout).unwrap();
        assert_eq!((&json["gates"][0]["value"], &json["gates"][0]["was"]), (&Value::from(24), &Value::from(20)));
        assert_eq!(json["baseline"]["figures"]["operations.ok"], 20);
    }
}

#[test]
fn a_stored_run_is_compared_too_and_a_rate_is_worse_where_it_is_lower() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one.json", "two.ndjson"].map(|name| stored(folder.path(), name, "-n 10"));
    let slower = fs::read_to_string(&one).unwrap();
    let rate = slower.lines().find(|line| line.contains("operations_per_second")).unwrap();
    let [slow, fast] = ["1.0", "1e9"].map(|rate| format!("  \"operations_per_second\": {rate},"));
    for (rate_then, due) in [(slow, 0), (fast, 3)] {
        fs::write(&one, slower.replace(rate, &rate_then)).unwrap();
        for command in ["report", "verify"] {
            let args = [command, two.to_str().unwrap(), "--baseline", one.to_str().unwrap()];
            let told = end(&mut mailconn(args.iter().chain(&["--fail-if", "operations_per_second regressed > 10%"])));
            assert_eq!((told.code, &*told.stderr), (due, ""), "{}", told.stdout);
        }
    }
    fs::write(&one, slower.replace(rate, "  \"operations_per_second\": null,")).unwrap();
    let args = ["report", two.to_str().unwrap(), "--baseline", one.to_str().unwrap()];
    let told = end(&mut mailconn(args.iter().chain(&["--fail-if", "operations_per_second regressed > 10%"])));
    assert!(told.code == 3 && told.stdout.contains("and the baseline has no such"), "{}", told.stdout);
}

#[test]
fn a_run_of_other_settings_is_refused_by_naming_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    let baseline = stored(folder.path(), "earlier.json", "-n 2");
    let gate =
        ["--progress", "never", "--fail-if", "service.p50 regressed > 10%", "--baseline", baseline.to_str().unwrap()];
    for (args, due) in [
        (
            "-t 2 --server sandbox+pop3 --mode use-main",
            "protocol: imap, and here it is pop3; compare runs of one protocol",
        ),
        ("-t 2 --server sandbox+imaps", "server: sandbox, and here it is sandbox+imaps;"),
        (
            "-t 2 --sandbox-connections 9",
            "sandbox's options: connections none, latency_us 0, locks_maildrops true, and here it is connections 9,",
        ),
        ("-t 2 --sandbox-latency 1ms", "sandbox's options: "),
        ("-t 2 --sandbox-limit total=9", "sandbox's options: "),
        ("-t 2 --sandbox-like yahoo", "sandbox's options: "),
        ("-t 2 --mode use-main", "mode: use-main-or-default, and here it is use-main;"),
        ("-t 3", "threads: 2, and here it is 3;"),
        ("-t 2 --ops noop", "mix: noop=3,status=1,fetch=1, and here it is noop=1;"),
    ] {
        let ended = end(&mut mailconn(["run"].into_iter().chain(args.split_whitespace()).chain(gate)));
        assert_eq!((ended.code, &*ended.stdout, ended.stderr.lines().count()), (2, "", 1), "{args}: {}", ended.stderr);
        assert!(ended.stderr.contains(&format!("earlier.json is of another {due}")), "{}", ended.stderr);
    }
    // Whoever signs in is no setting; TLS is.
    let imaps = golden::stored().into_iter().find(|file| file.ends_with("imaps.ndjson")).unwrap();
    let text = fs::read_to_string(&imaps).unwrap().replacen("\"sandbox+imaps\"", "\"imaps://u1@localhost:993\"", 1);
    let [imaps, other] = ["imaps.ndjson", "other.ndjson"].map(|name| folder.path().join(name));
    fs::write(&imaps, &text).unwrap();
    for (from, to, due) in [
        ("imaps://u1@", "imaps://u2@", None),
        (":993", ":1993", Some("is of another server: imaps://localhost:993, and here it is imaps://localhost:1993")),
        (
            "\"certificates_verified\":true",
            "\"certificates_verified\":false",
            Some("is of another TLS: verified, and here it is not verified"),
        ),
    ] {
        let changed = text.replacen(from, to, 1);
        fs::write(&other, &changed).unwrap();
        let args = [
            "report",
            other.to_str().unwrap(),
            "--fail-if",
            "service.p50 regressed > 10%",
            "--baseline",
            imaps.to_str().unwrap(),
        ];
        let told = end(&mut mailconn(args));
        match due {
            None => assert_eq!(told.code, 0, "{}", told.stderr),
            Some(due) => assert!(told.code == 2 && told.stderr.contains(due) && changed != text, "{}", told.stderr),
        }
    }
}

#[test]
fn what_is_no_baseline_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("it");
    let path = file.to_str().unwrap();
    let compares = ["--fail-if", "service.p95 regressed > 10%"];
    let with = ["--baseline", path];
    let scenario = end(&mut mailconn(["scenario", "pool-hazard", "--format", "ndjson"])).stdout;
    let reports = "{\"reports\": []}".to_owned();
    for (text, due) in [
        (String::new(), "it is neither the JSON nor the NDJSON of a run"),
        ("{}".to_owned(), "it is neither the JSON nor the NDJSON of a run"),
        ("[1, 2".to_owned(), "it is neither the JSON nor the NDJSON of a run"),
        (reports, "it is not of one run; name the file of one"),
        (scenario, "it is not of one run; name the file of one"),
    ] {
        fs::write(&file, text).unwrap();
        let ended = end(&mut mailconn(["run"].iter().chain(&compares).chain(&with)));
        assert_eq!((ended.code, &*ended.stdout, ended.stderr.lines().count()), (2, "", 1), "{}", ended.stderr);
        assert!(ended.stderr.contains(due) && ended.stderr.contains("--baseline"), "{}", ended.stderr);
    }
    for (args, due) in [
        (
            ["run"].iter().chain(&compares).collect::<Vec<_>>(),
            "compares with an earlier run: name its file with --baseline",
        ),
        (
            ["run"].iter().chain(&with).collect(),
            "--baseline is for gates on what has regressed, and there is none: add one",
        ),
        (["scenario", "pool-hazard"].iter().chain(&compares).collect(), "compares runs, and a scenario is none"),
        (["run", "--baseline", "no-such-file"].iter().chain(&compares).collect(), "cannot read no-such-file"),
    ] {
        let ended = end(&mut mailconn(args));
        assert_eq!((ended.code, &*ended.stdout, ended.stderr.lines().count()), (2, "", 1), "{}", ended.stderr);
        assert!(ended.stderr.contains(due), "{}", ended.stderr);
    }
}

#[test]
fn a_document_gives_the_figures_that_its_stream_gives() {
    let folder = tempfile::tempdir().unwrap();
    let gates = METRICS.iter().map(|metric| format!("{} regressed > 0%", metric.example()));
    let gates: Vec<String> = gates.collect();
    let mut read = 0;
    for file in golden::stored() {
        let Ok(stream) = Earlier::read(fs::File::open(&file).unwrap(), &gates) else { continue };
        let document = folder.path().join("it.json");
        let path = document.to_str().unwrap();
        let told = end(&mut mailconn(["report", file.to_str().unwrap(), "--format", "json", "-o", path]));
        assert_eq!(told.code, 0, "{}", told.stderr);
        let document = Earlier::read(fs::File::open(path).unwrap(), &gates).unwrap();
        assert_eq!(stream.differs_from(&document), [], "{}", file.display());
        assert_eq!(stream.baseline(&gates), document.baseline(&gates), "{}", file.display());
        read += 1;
    }
    assert!(read > 30, "{read}");
}

#[test]
fn two_runs_stand_side_by_side_with_the_settings_in_which_they_differ_first() {
    let golden = |name: &str| format!("{}/tests/golden/{name}.ndjson", env!("CARGO_MANIFEST_DIR"));
    let told = |args: &[&str]| end(&mut mailconn(["diff"].iter().chain(args)));
    let text = told(&[&golden("use-main"), &golden("use-default")]);
    assert_eq!((text.code, &*text.stderr), (0, ""));
    insta::assert_snapshot!(text.stdout);
    assert!(text.stdout.lines().all(|line| line.chars().count() <= 80), "{}", text.stdout);
    let json = told(&[&golden("use-main"), &golden("use-default"), "--format", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["differs"][0]["setting"], "mode");
    let peak = json["figures"].as_array().unwrap().iter().find(|it| it["metric"] == "connections.peak").unwrap();
    assert_eq!(peak["values"][0], 1.0);
    let same = told(&[&golden("use-main"), &golden("use-main")]).stdout;
    assert!(same.contains("\nboth of the same protocol, server, TLS, mode, threads and mix\n"), "{same}");
    let refused = told(&["-", "-"]);
    assert_eq!((refused.code, refused.stderr.lines().count()), (2, 1));
    let refused = told(&["Cargo.toml", &golden("use-main")]);
    assert!(
        refused.code == 2 && refused.stderr.contains("Cargo.toml: it is neither the JSON nor"),
        "{}",
        refused.stderr
    );
}
