//! The scenarios in the binary pass on the server in the box, over each protocol that they can speak.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use mailconn::protocol::Protocol;
use mailconn::scenario::Script;
use serde_json::Value;

use crate::cli::process::{Ended, end, list, mailconn, number};
use crate::support::rules;
use crate::support::tool::doubts;

/// A shipped scenario.
pub struct Shipped {
    pub name: String,
    pub text: String,
}

impl Shipped {
    /// Those in the folder.
    pub fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut all: Vec<Self> = files
            .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
            .map(|path| Self {
                name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
                text: fs::read_to_string(&path).unwrap(),
            })
            .collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        assert!(all.len() >= 48, "a scenario for each rule and fifteen incidents: {}", all.len());
        all
    }

    pub fn speaks(&self, protocol: &str) -> bool {
        let line = self.text.lines().find_map(|line| line.strip_prefix("protocols:"));
        let line = line.unwrap_or_else(|| panic!("{} does not say its protocols", self.name));
        line.split_whitespace().any(|name| name == protocol)
    }

    /// The rule that it shows, if it is a rule's.
    pub fn rule(&self) -> Option<String> {
        let rule = self.name.split('-').next().unwrap().to_uppercase();
        (rule.len() == 2 && rule.ends_with(|c: char| c.is_ascii_digit())).then_some(rule)
    }

    pub fn needs_sandbox(&self) -> bool {
        let protocol = Protocol::ALL.into_iter().find(|protocol| self.speaks(protocol.name())).unwrap();
        let script = Script::parse(&self.name, &self.text, protocol).unwrap();
        // On a real server the URL names the one user that there is a password for.
        script.needs_sandbox().is_some() || script.users().next().is_some()
    }
}

/// The NDJSON of several scenarios in one call: each ends as expected, by the rules, and as the witness says if there is one;
/// and it is sound.
#[track_caller]
pub fn all_held(stdout: &str, scenarios: &[&str], witnessed: bool) {
    assert_eq!(doubts(stdout.as_bytes()), [""; 0]);
    let events: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_kind = |kind: &str| events.iter().filter(|event| event["event"] == kind).cloned().collect::<Vec<_>>();
    let names: Vec<Value> = of_kind("scenario-start").iter().map(|event| event["name"].clone()).collect();
    assert_eq!(names, scenarios, "each was performed, in this order");
    for step in of_kind("step") {
        assert_eq!(step["held"], true, "{step:#}");
    }
    let ends = of_kind("scenario-end");
    assert_eq!(ends.len(), scenarios.len());
    for (end, name) in ends.iter().zip(scenarios) {
        assert_eq!((&end["exit_code"], &end["failed"]), (&0.into(), &0.into()), "{name}: {end:#}");
        for client in list(&end["clients"]) {
            assert_eq!(client["rules"]["checked"], client["rules"]["held"], "{name}: {end:#}");
            assert_eq!(client["still_open"], 0, "{name}: {end:#}");
            assert_eq!(client["witness"].is_null(), !witnessed, "{name}: {end:#}");
            if witnessed {
                assert_eq!(client["witness"]["checked"], client["witness"]["held"], "{name}: {end:#}");
            }
        }
    }
}

fn in_the_box(protocol: &str) {
    let all = Shipped::all();
    let names: Vec<&str> = all.iter().filter(|it| it.speaks(protocol)).map(|it| it.name.as_str()).collect();
    assert!(names.len() >= 40, "{names:?}");
    let server = format!("sandbox+{protocol}");
    let flags = ["--server", &server, "--format", "ndjson"];
    let Ended { code, stdout, stderr, .. } =
        end(&mut mailconn(["scenario"].into_iter().chain(names.clone()).chain(flags)));
    all_held(&stdout, &names, true);
    assert_eq!((code, stderr.as_str()), (0, ""));
}

#[test]
fn every_shipped_scenario_passes_in_the_sandbox_over_imap() {
    in_the_box("imap");
}

#[test]
fn every_shipped_scenario_passes_in_the_sandbox_over_smtp() {
    in_the_box("smtp");
}

#[test]
fn every_shipped_scenario_passes_in_the_sandbox_over_pop3() {
    in_the_box("pop3");
}

#[test]
fn the_list_names_what_is_in_the_folder_and_what_it_shows() {
    let Ended { code, stdout, .. } = end(&mut mailconn(["scenario", "--list"]));
    assert_eq!(code, 0);
    let listed: BTreeSet<&str> = stdout.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let all = Shipped::all();
    assert_eq!(listed, all.iter().map(|it| it.name.as_str()).chain(["pool-hazard"]).collect());
    assert!(stdout.contains("  the same as h1-a-pool-thread-hands-its-default-to-the-next-task  "), "{stdout}");
    for shipped in &all {
        let mut comment = shipped.text.lines().map_while(|line| line.strip_prefix("# "));
        let first = comment.next().unwrap();
        let rest: Vec<&str> = comment.take_while(|line| line.starts_with(|it: char| it.is_ascii_lowercase())).collect();
        let about = [&[first], &*rest].concat().join(" ");
        assert!(stdout.contains(&format!("  {about}  ")), "{}: its whole title", shipped.name);
        match shipped.rule() {
            Some(rule) => {
                assert!(about.starts_with(&format!("{rule}: ")), "{}: it cites its rule: {about}", shipped.name)
            }
            None => {
                let cited = about.split(['#', ':', ',']).nth(1).unwrap();
                assert!(
                    cited.bytes().all(|byte| byte.is_ascii_digit()),
                    "{}: it cites its incident: {about}",
                    shipped.name
                );
                assert!(shipped.name.contains(&format!("-{cited}-")), "{}: {about}", shipped.name);
            }
        }
    }
}

#[test]
fn there_is_a_shipped_scenario_for_each_rule_that_is_built_and_fifteen_incidents() {
    let all = Shipped::all();
    assert_eq!(all.iter().filter_map(Shipped::rule).collect::<BTreeSet<_>>(), rules::built());
    assert!(all.iter().filter(|it| it.rule().is_none()).count() >= 15);
}

#[test]
fn each_step_is_counted() {
    let Ended { stdout, .. } = end(&mut mailconn(["scenario", "pool-hazard", "--format", "ndjson"]));
    let events: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The lines of the scenario itself, and those of each client.
    let mut next: BTreeMap<Option<&str>, u64> = BTreeMap::new();
    for event in &events {
        let next = next.entry(event["client"].as_str()).or_default();
        assert_eq!(event["seq"], *next, "{event}");
        *next += 1;
    }
    assert_eq!(next.len(), 2);
    let last = events.last().unwrap();
    let steps = events.iter().filter(|event| event["event"] == "step").count();
    assert_eq!(number(&last["steps"]), steps as u64);
}
