//! `mailconn schema`: what it prints is true of all that is written, and says what each field means.

mod reference;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cli::process::{end, mailconn};
use crate::golden::stored;
use crate::support::schemas::{NAMES, events, faults, fit, printed};

/// Each part of a schema, with where it stands.
fn parts<'a>(schema: &'a Value, at: &str, see: &mut impl FnMut(&str, &'a Value)) {
    see(at, schema);
    match schema {
        Value::Object(all) => all.iter().for_each(|(name, part)| parts(part, &format!("{at}/{name}"), see)),
        Value::Array(all) => all.iter().for_each(|part| parts(part, at, see)),
        _ => {}
    }
}

#[test]
fn every_schema_is_one_and_describes_each_field() {
    for name in NAMES {
        let schema = printed(name);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
        assert!(jsonschema::meta::validate(&schema).is_ok(), "{name}");
        let mut fields = 0;
        parts(&schema, name, &mut |at, part| {
            let Some(of) = part.get("properties").and_then(Value::as_object) else { return };
            for (field, says) in of {
                let names_itself = says.get("const").is_some() || at.contains("/Asked/oneOf");
                assert!(names_itself || says["description"].is_string(), "{at}: {field} is not described");
                fields += 1;
            }
        });
        assert!(fields > 10, "{name}: {fields}");
        parts(&schema, name, &mut |at, part| {
            let says = part["description"].as_str().unwrap_or_default();
            assert!(!says.contains("[`") && !says.contains('\n'), "{at}: {says} is for readers of the code");
            // Strict validators know no formats but the standard's, and many not even those.
            assert!(!part["format"].is_string(), "{at}");
        });
    }
    let run = end(&mut mailconn(["schema"])).stdout;
    assert_eq!(serde_json::from_str::<Value>(&run).unwrap(), printed("run"), "a run's is the one without a name");
}

#[test]
fn every_stored_line_is_as_the_schema_says() {
    let mut seen = BTreeSet::new();
    for file in stored() {
        let text = std::fs::read_to_string(&file).unwrap();
        fit(&text);
        seen.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].to_string()));
    }
    let all = events(&printed("ndjson"));
    assert_eq!(seen, all.iter().map(|event| format!("{event:?}")).collect(), "there is a line of each event");
}

#[test]
fn what_is_not_as_a_schema_says_is_found_and_more_fields_are_allowed() {
    let told = end(&mut mailconn(["run", "-n", "1", "-t", "1", "--format", "json"])).stdout;
    let run: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(faults("run", &run), [""; 0]);
    let with = |field: &str, value: Value| {
        let mut run = run.clone();
        *run.pointer_mut(field).unwrap() = value;
        run
    };
    let mut without = run.clone();
    without.as_object_mut().unwrap().remove("mode");
    let wrong = [
        with("/mode", json!("use-none")),
        with("/threads", json!(-1)),
        with("/started", json!("today")),
        with("/sessions/0/session", json!("3")),
        without,
    ];
    let published = jsonschema::validator_for(&printed("run")).unwrap();
    for run in &wrong {
        assert!(!published.is_valid(run), "{run}");
    }
    let mut more = run.clone();
    more["workers"][0]["later"] = json!(1);
    assert!(published.is_valid(&more));
    assert_eq!(faults("run", &more).len(), 1, "{:?}", faults("run", &more));
}

#[test]
fn every_kind_of_document_is_as_its_schema_says() {
    let file = |name: &str| format!("{}/tests/golden/{name}.ndjson", env!("CARGO_MANIFEST_DIR"));
    let (run, scenario) = (file("many"), file("scenario-main-finds-no-room"));
    let commands: [&[&str]; 6] = [
        &["check", "sandbox"],
        &["check", "sandbox+smtps"],
        &["verify", &run],
        &["diff", &run, &file("cap")],
        &["report", &run, &scenario],
        &["report", &scenario, &scenario],
    ];
    for command in commands {
        let ended = end(mailconn(command).args(["--format", "json"]));
        // It fits, or it would not have ended.
        assert!(ended.stdout.starts_with("{\n"), "{command:?}: {}", ended.stderr);
    }
}
