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
        let baseline = stored(folder.path(), baseline, "-n 15");
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
        assert_eq!(ended.code, 3, "{}", ended.stdout);
        // What shapes no work is told, and why the code is what it is.
        let due = format!(
            "mailconn: --baseline {baseline}: the baseline's amount: 15 operations each, this run's: 12 operations each\n\
             mailconn: exit 3: a gate failed: operations.ok is 24, and was 30: 20.0 % worse (fails if regressed > 10%)\n"
        );
        assert_eq!(ended.stderr, due);
        assert_eq!(doubts(&fs::read(&file).unwrap()), [""; 0]);
        fs::remove_file(baseline).unwrap();
        let told = end(&mut mailconn(["report", now]));
        let due = "gate FAILED: operations.ok is 24, and was 30: 20.0 % worse (fails if regressed > 10%)\n\
                   gate passed: connections.peak is 1, and was 1 (fails if regressed > 0%)\n\
                   exit 3: a gate failed: operations.ok is 24, and was 30: 20.0 % worse (fails if regressed > 10%) \
                   (the run's exit code; this report's is 0)\n";
        assert!(told.stdout.ends_with(due), "{}", told.stdout);
        let json: Value =
            serde_json::from_str(&end(&mut mailconn(["report", now, "--format", "json"])).stdout).unwrap();
        assert_eq!((&json["gates"][0]["value"], &json["gates"][0]["was"]), (&Value::from(24), &Value::from(30)));
        assert_eq!(json["baseline"]["figures"]["operations.ok"], 30);
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
            "the baseline's protocol: imap, this run's: pop3; the baseline's server: sandbox, this run's: sandbox+pop3; ",
        ),
        (
            "-t 2 --server sandbox+imaps",
            "the baseline's server: sandbox, this run's: sandbox+imaps; the baseline's TLS: ",
        ),
        (
            "-t 2 --sandbox-connections 9",
            "the baseline's sandbox's connections: none, this run's: 9; compare runs that are alike in this",
        ),
        ("-t 2 --sandbox-latency 1ms", "the baseline's sandbox's latency: 0s, this run's: 1ms; compare"),
        ("-t 2 --sandbox-limit total=9", "the baseline's sandbox's "),
        ("-t 2 --sandbox-like yahoo", "the baseline's sandbox's "),
        ("-t 2 --mode use-main", "the baseline's mode: use-main-or-default, this run's: use-main; compare"),
        ("-t 3", "the baseline has 2 threads, this run 3; compare"),
        ("-t 2 --ops noop", "the baseline's mix: fetch=1, noop=3, status=1, this run's: noop=1; compare"),
        (
            "-t 2 --lock command --ops noop=3,status=1,fetch=1",
            "the baseline's lock: unit, this run's: command; compare",
        ),
        (
            "-t 2 --executor pool --tasks 4",
            "the baseline's executor: threads, this run's: pool; the baseline has 0 tasks, this run 4; compare",
        ),
        ("-t 2 --switch-mode 2=use-main", "the baseline's mode switches: none, this run's: 2=use-main; compare"),
        ("-t 2 --mailbox INBOX --mailbox Archive", "the baseline has 1 of mailboxes, this run 2; compare"),
        ("-t 2 --default-for w0", "the baseline's defaults by hand: none, this run's: w0; compare"),
        ("-t 2 --independent-for all", "the baseline's independent ones: none, this run's: w0-w1; compare"),
        ("-t 3 --mode use-main", "the baseline's mode: use-main-or-default, this run's: use-main; the baseline has 2"),
    ] {
        let ended = end(&mut mailconn(["run"].into_iter().chain(args.split_whitespace()).chain(gate)));
        assert_eq!((ended.code, &*ended.stdout, ended.stderr.lines().count()), (2, "", 1), "{args}: {}", ended.stderr);
        assert!(ended.stderr.contains(&format!("earlier.json: {due}")), "{args}: {}", ended.stderr);
    }
    // The same by other names, and what shapes no work: that is told, if it may change a figure.
    for (args, due) in [
        ("-t 2 -n 2 --server sandbox+imap --ops status=1,fetch=1,noop=3 --seed 7", ""),
        ("-t 2 -n 3", "the baseline's amount: 2 operations each, this run's: 3 operations each\n"),
        ("-t 2 -n 2 --max-connections 9", "the baseline's max-connections: none, this run's: 9\n"),
        ("-t 2 -n 2 --mailbox Archive", "the baseline's names of mailboxes: INBOX, this run's: Archive\n"),
        (
            "-t 2 --duration 10ms --max-connections 9",
            "the baseline's amount: 2 operations each, this run's: 10ms; the baseline's max-connections: none, this run's: 9\n",
        ),
    ] {
        let ended = end(&mut mailconn(["run"].into_iter().chain(args.split_whitespace()).chain(gate)));
        let said = ended
            .stderr
            .lines()
            .find(|line| line.contains("--baseline"))
            .map_or(String::new(), |line| format!("{}\n", line.split_once("earlier.json: ").unwrap().1));
        assert!(ended.code != 2 && said == due, "{args}: {}", ended.stderr);
    }
    // Whoever signs in is no setting; TLS is.
    let imaps = golden::stored().into_iter().find(|file| file.ends_with("imaps.ndjson")).unwrap();
    let text = fs::read_to_string(&imaps).unwrap().replacen("\"sandbox+imaps\"", "\"imaps://u1@localhost:993\"", 1);
    let [imaps, other] = ["imaps.ndjson", "other.ndjson"].map(|name| folder.path().join(name));
    fs::write(&imaps, &text).unwrap();
    for (from, to, due) in [
        ("imaps://u1@", "imaps://u2@", None),
        (":993", ":1993", Some("the baseline's server: imaps://localhost:993, this run's: imaps://localhost:1993;")),
        (
            "\"certificates_verified\":true",
            "\"certificates_verified\":false",
            Some("the baseline's TLS: verified, this run's: not verified;"),
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

/// A baseline that says not all is none; one that came to nothing good is, and it is said.
#[test]
fn a_baseline_is_whole_and_what_it_came_to_is_told() {
    let golden = |name: &str| format!("{}/tests/golden/{name}.ndjson", env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("it");
    let path = file.to_str().unwrap();
    let whole = fs::read_to_string(golden("use-main")).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let json = end(&mut mailconn(["report", &golden("use-main"), "--format", "json"])).stdout;
    let cut_json = json.replacen("\"exit_code\": 0", "\"exit_code\": null", 1);
    assert_ne!(cut_json, json);
    for (text, due) in [
        (lines[..lines.len() - 1].join("\n"), "it is not whole: "),
        (lines[..lines.len() - 4].join("\n"), "it is not whole: "),
        (whole.replacen(lines[3], "{\"garbage\": true", 1), "it is not whole: line 4: "),
        (format!("{whole}{whole}"), "it is not whole: line "),
        (cut_json, "it is not whole: the run's end is not in it"),
    ] {
        fs::write(&file, text).unwrap();
        let gate = ["--fail-if", "service.p50 regressed > 10%", "--baseline", path];
        let told = end(&mut mailconn(["report", &golden("use-main")].iter().chain(&gate)));
        assert_eq!((told.code, &*told.stdout, told.stderr.lines().count()), (2, "", 1), "{}", told.stderr);
        assert!(told.stderr.contains(due) && told.stderr.contains("--baseline"), "{}", told.stderr);
        // Two runs are shown, and it is said.
        let told = end(&mut mailconn(["diff", path, &golden("use-main")]));
        assert_eq!((told.code, told.stderr.lines().count()), (0, 1), "{}", told.stderr);
        assert!(told.stderr.contains(&format!("{path}: {due}")), "{}", told.stderr);
    }
    for (name, due) in [
        ("interrupted", "the baseline was interrupted (exit 130)"),
        ("limit", "the baseline itself failed (exit 6)"),
        ("use-main", ""),
    ] {
        let gate = ["--fail-if", "service.p50 regressed > 10%", "--baseline", &golden(name)];
        let told = end(&mut mailconn(["report", &golden(name)].iter().chain(&gate)));
        let due =
            if due.is_empty() { String::new() } else { format!("mailconn: --baseline {}: {due}\n", golden(name)) };
        assert_eq!(told.stderr, due);
    }
}

/// Nothing is replaced by what is refused, nor is what is compared with.
#[test]
fn a_refused_comparison_replaces_no_file_and_a_run_not_its_baseline() {
    let folder = tempfile::tempdir().unwrap();
    let [baseline, out, scenario] = ["baseline", "out", "scenario"].map(|name| folder.path().join(name));
    let golden = |name: &str| format!("{}/tests/golden/{name}.ndjson", env!("CARGO_MANIFEST_DIR"));
    fs::copy(golden("use-main"), &baseline).unwrap();
    fs::copy(golden("scenario-pool-hazard"), &scenario).unwrap();
    fs::write(&out, "precious").unwrap();
    let [baseline, out, scenario] = [baseline, out, scenario].map(|path| path.to_str().unwrap().to_owned());
    let gate = ["--fail-if", "service.p50 regressed > 10%", "--baseline", &baseline];
    for file in [&golden("use-default"), &scenario] {
        for format in ["ndjson", "json", "table"] {
            let told = end(&mut mailconn(["report", file, "--format", format, "-o", &out].iter().chain(&gate)));
            assert_eq!((told.code, told.stderr.lines().count()), (2, 1), "{}", told.stderr);
            assert_eq!(fs::read_to_string(&out).unwrap(), "precious");
        }
    }
    let before = fs::read_to_string(&baseline).unwrap();
    for args in [vec!["run", "-t", "1", "-n", "1"], vec!["report", &scenario], vec!["run", "--format", "ndjson"]] {
        let told = end(&mut mailconn(args.iter().chain(&["-o", &baseline]).chain(&gate)));
        assert_eq!((told.code, told.stderr.lines().count()), (2, 1), "{}", told.stderr);
        assert!(told.stderr.contains("-o would replace ") && told.stderr.contains(", the baseline"), "{}", told.stderr);
        assert_eq!(fs::read_to_string(&baseline).unwrap(), before);
    }
    // No secret is asked for, and no directory made, for what is refused.
    let [secret, transcripts] = ["secret", "transcripts"].map(|name| folder.path().join(name));
    let [asks, into] = [format!("touch {}", secret.display()), transcripts.to_str().unwrap().to_owned()];
    let args = ["run", "--server", "imaps://joe@127.0.0.1:1", "--password-command", &asks, "--transcript", &into];
    let told = end(&mut mailconn(args.iter().chain(&gate)));
    assert_eq!((told.code, told.stderr.lines().count()), (2, 1), "{}", told.stderr);
    assert!(
        told.stderr.contains("the baseline's server: sandbox, this run's: imaps://127.0.0.1:1; "),
        "{}",
        told.stderr
    );
    assert!(!secret.exists() && !transcripts.exists());
    for command in ["verify", "report"] {
        let told = end(&mut mailconn([command, "-", "--baseline", "-", "--fail-if", "service.p50 regressed > 10%"]));
        assert_eq!((told.code, told.stderr.lines().count()), (2, 1), "{}", told.stderr);
        assert!(told.stderr.contains("- is standard input, and can be read once"), "{}", told.stderr);
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
            "compares with an earlier run: name its file with --baseline (a scenario has none)",
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
    assert_eq!(json["outcomes"], serde_json::json!([{"name": "findings[MC050].count", "values": ["1", "0"]}]));
    let peak = json["figures"].as_array().unwrap().iter().find(|it| it["metric"] == "connections.peak").unwrap();
    assert_eq!(peak["values"][0], 1.0);
    let same = told(&[&golden("use-main"), &golden("use-main")]).stdout;
    let due = "both came to exit 0, with the same findings and failures\nall settings are the same\n";
    assert!(same.contains(due), "{same}");
    // What matters most stands first: what they came to, and each setting in which they differ.
    let json = told(&[&golden("use-main"), &golden("lock-command"), "--format", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    let due = serde_json::json!([
        {"name": "exit_code", "values": ["0", "1"]},
        {"name": "findings[MC020].count", "values": ["0", "14"]},
    ]);
    assert_eq!(json["outcomes"], due);
    let settings: Vec<&str> =
        json["differs"].as_array().unwrap().iter().map(|it| it["setting"].as_str().unwrap()).collect();
    assert_eq!(settings, ["threads", "lock", "mix", "amount"]);
    let text = told(&[&golden("use-main"), &golden("lock-command")]).stdout;
    assert!(text.contains("\nexit_code ") && text.find("findings[MC020].count") < text.find("lock "), "{text}");
    let pools = told(&[&golden("pool-use-default"), &golden("limit"), "--format", "json"]).stdout;
    for setting in ["executor", "tasks", "failures[limit-connections].count", "exit_code"] {
        assert!(pools.contains(&format!("\"{setting}\"")), "{setting}: {pools}");
    }
    let refused = told(&["-", "-"]);
    assert_eq!((refused.code, refused.stderr.lines().count()), (2, 1));
    let refused = told(&["Cargo.toml", &golden("use-main")]);
    assert!(
        refused.code == 2 && refused.stderr.contains("Cargo.toml: it is neither the JSON nor"),
        "{}",
        refused.stderr
    );
}
