//! The table of operations: what is said of them is read off it, each does what its row says, and the judge's own copy of
//! their commands differs from it only where that is said here.

use mailconn::judge::{UNITS, Unit};
use mailconn::protocol::{Operation, OperationSpec, Protocol};
use serde_json::Value;

use crate::cli::process::{end, events, list, mailconn, of_kind, run};

/// Every operation of every protocol, and the halves of them that scenarios have.
fn specs() -> Vec<&'static OperationSpec> {
    let mut all: Vec<_> = Operation::ALL.iter().map(|operation| operation.spec()).collect();
    for spec in Protocol::ALL.into_iter().flat_map(OperationSpec::steps) {
        if !all.iter().any(|known| known.protocol == spec.protocol && known.name == spec.name) {
            all.push(spec);
        }
    }
    all
}

fn names(are_meant: impl Fn(&OperationSpec) -> bool) -> Vec<String> {
    let meant = Operation::ALL.iter().map(|operation| operation.spec()).filter(|spec| are_meant(spec));
    meant.map(|spec| format!("{} {}", spec.protocol, spec.name)).collect()
}

/// Where such a copy of the judge's says something else than the table, or more.
fn differences(units: &[Unit]) -> Vec<String> {
    let mut found = Vec::new();
    for spec in specs() {
        let name = format!("{} {}", spec.protocol, spec.name);
        let rows: Vec<_> =
            units.iter().filter(|unit| unit.protocol == spec.protocol && unit.name == spec.name).collect();
        let [unit] = *rows else {
            found
                .push(format!("{name}: the judge has {} rows of its own; write one in src/judge/units.rs", rows.len()));
            continue;
        };
        let (ours, first, last) = (spec.verbs.join(" "), spec.verbs[0], spec.verbs[spec.verbs.len() - 1]);
        if unit.verbs != spec.verbs {
            found.push(format!("{name}: the judge wants {}, the table has {ours}", unit.verbs.join(" ")));
        }
        if unit.may_find_nothing {
            found.push(format!("{name}: {first} may be all"));
        }
        found.extend(unit.in_place_of_last.map(|verb| format!("{name}: {verb} may come in place of {last}")));
        found.extend(unit.after_a_refusal.map(|verb| format!("{name}: {verb} may follow a refusal")));
    }
    for unit in units {
        if !specs().iter().any(|spec| spec.protocol == unit.protocol && spec.name == unit.name) {
            found.push(format!("{} {}: only the judge has it", unit.protocol, unit.name));
        }
    }
    found
}

const EXPECTED: [&str; 4] = [
    "IMAP fetch: EXAMINE may be all",
    "SMTP send: RSET may follow a refusal",
    "POP3 retrieve: STAT may be all",
    "POP3 retrieve: RETR may come in place of TOP",
];

#[test]
fn the_judges_copy_differs_from_the_table_only_here() {
    assert_eq!(differences(UNITS), EXPECTED);
}

/// Every field of every row is made wrong, each command is left out or becomes another, and the row is left out or doubled.
#[test]
fn each_wrong_cell_of_the_judges_copy_is_seen() {
    for (at, unit) in UNITS.iter().enumerate() {
        let other = |verb: Option<&str>| if verb == Some("NOOP") { None } else { Some("NOOP") };
        let mut wrong = vec![
            vec![],
            vec![*unit; 2],
            vec![Unit { protocol: Protocol::ALL.into_iter().find(|other| *other != unit.protocol).unwrap(), ..*unit }],
            vec![Unit { name: "juggle", ..*unit }],
            vec![Unit { may_find_nothing: !unit.may_find_nothing, ..*unit }],
            vec![Unit { in_place_of_last: other(unit.in_place_of_last), ..*unit }],
            vec![Unit { after_a_refusal: other(unit.after_a_refusal), ..*unit }],
            vec![Unit { verbs: [unit.verbs, &["NOOP"]].concat().leak(), ..*unit }],
        ];
        for verb in 0..unit.verbs.len() {
            let (mut left_out, mut another) = (unit.verbs.to_vec(), unit.verbs.to_vec());
            left_out.remove(verb);
            another[verb] = "XYZZY";
            wrong.extend([left_out, another].map(|verbs| vec![Unit { verbs: verbs.leak(), ..*unit }]));
        }
        for wrong in wrong {
            let mut units = UNITS.to_vec();
            units.splice(at..=at, wrong);
            let seen: Vec<String> = differences(&units).into_iter().filter(|it| !EXPECTED.contains(&&**it)).collect();
            let gone = EXPECTED.iter().filter(|it| !differences(&units).contains(&(**it).to_owned()));
            let seen = seen.into_iter().chain(gone.map(|it| (*it).to_owned())).collect::<Vec<_>>();
            assert!(
                !seen.is_empty() && seen.iter().all(|it| it.contains(unit.name) || it.contains("juggle")),
                "{seen:?}"
            );
        }
    }
}

#[test]
fn a_row_is_whole() {
    let all = specs();
    for spec in &all {
        let same = all.iter().filter(|other| other.protocol == spec.protocol && other.name == spec.name);
        assert_eq!(same.count(), 1, "{spec:?}");
        assert!(!spec.about.is_empty() && !spec.verbs.is_empty(), "{spec:?}");
        assert!(!(spec.writes && spec.usual_weight > 0), "nothing is written unasked: {spec:?}");
        assert!(!(spec.shares && (spec.selects || spec.writes)), "rule A8: {spec:?}");
    }
    for spec in Operation::ALL.iter().map(|operation| operation.spec()).filter(|spec| spec.selects) {
        assert!(spec.needs_mailbox() && spec.verbs[0] == "EXAMINE", "rule A7: {spec:?}");
    }
    assert_eq!(names(|spec| spec.shares), ["IMAP noop", "IMAP status"], "rule A8 names them, and no other");
    assert_eq!(names(|spec| spec.writes), ["IMAP append", "SMTP send"]);
}

/// In each protocol, every operation is known to a run, sends what its row says, and fails no rule.
#[test]
fn each_operation_sends_the_commands_of_its_row() {
    for operation in Operation::ALL {
        let spec = operation.spec();
        let server = format!("--server sandbox+{}", spec.protocol.name());
        let ended = run(&format!("{server} -n 1 -t 1 --ops {operation} --allow-writes --format ndjson"));
        assert_eq!(ended.code, 0, "{operation:?}: {}{}", ended.stdout, ended.stderr);
        let events = events(&ended.stdout);
        let [done] = of_kind(&events, "operation").collect::<Vec<_>>()[..] else { panic!("{operation:?}: not one") };
        let sent: Vec<&str> = list(&done["commands"]).iter().map(|command| command["verb"].as_str().unwrap()).collect();
        assert_eq!((sent.as_slice(), &done["outcome"]), (spec.verbs, &Value::from("ok")), "{operation:?}");
    }
}

#[test]
fn a_run_without_a_mix_has_the_usual_weights() {
    for (protocol, mix) in [
        (Protocol::Imap, "noop=3,status=1,fetch=1"),
        (Protocol::Smtp, "noop=3,verify=1"),
        (Protocol::Pop3, "noop=3,stat=1,list=1"),
    ] {
        let ended = run(&format!("--server sandbox+{} --mode use-main -n 1 -t 1 --format ndjson", protocol.name()));
        assert_eq!(of_kind(&events(&ended.stdout), "run-start").next().unwrap()["mix"], mix);
    }
}

#[test]
fn the_help_and_the_complaints_name_every_operation() {
    let help = end(&mut mailconn(["run", "--help"])).stdout;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for spec in Operation::ALL.iter().map(|operation| operation.spec()) {
        assert!(help.contains(&format!("{} {}", spec.name, spec.about)), "{spec:?}: {help}");
    }
    for said in
        ["operations that write: append and send", "append and send need --allow-writes", "and fetch or search."]
    {
        assert!(help.contains(said), "{said}: {help}");
    }
    for (protocol, there_are) in [
        (Protocol::Imap, "noop, list, status, fetch, search, append"),
        (Protocol::Smtp, "noop, verify, send"),
        (Protocol::Pop3, "noop, stat, list, retrieve"),
    ] {
        let ended = run(&format!("--server sandbox+{} --ops juggle", protocol.name()));
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(there_are), "{}", ended.stderr);
    }
}

#[test]
fn a_scenario_that_has_another_protocols_step_is_told_whose_it_is() {
    for (protocol, step, whose) in [("imap", "stat", "pop3"), ("smtp", "select", "imap"), ("pop3", "verify", "smtp")] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("protocols: {protocol}\nclient use-main\nT1 {step}\n")).unwrap();
        let ended = end(&mut mailconn(["scenario", file.path().to_str().unwrap()]));
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("`{step}` is an action of {whose}")), "{}", ended.stderr);
    }
}
