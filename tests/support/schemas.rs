//! What the tool writes, held to the schemas that it prints: `mailconn schema NAME`.
//!
//! The published schemas allow fields that they do not name; here none is allowed, so that a field without a description is
//! found.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::{Map, Value};

pub const NAMES: [&str; 10] =
    ["run", "check", "limits", "compare", "scenario", "verify", "report", "diff", "sandbox", "ndjson"];

/// So many rows of each list, and lines of each event, are looked at: a run has a hundred thousand.
const LOOKED_AT: usize = 20;

/// The schema of that name, as it is printed.
pub fn printed(name: &str) -> Value {
    let printed = Command::new(env!("CARGO_BIN_EXE_mailconn")).args(["schema", name]).output().unwrap();
    assert!(printed.status.success(), "{name}: {}", String::from_utf8_lossy(&printed.stderr));
    serde_json::from_slice(&printed.stdout).unwrap()
}

/// The events that a line can be, by their names.
pub fn events(of_lines: &Value) -> Vec<String> {
    let references = of_lines["oneOf"].as_array().unwrap();
    references.iter().map(|it| it["$ref"].as_str().unwrap().trim_start_matches("#/$defs/").to_owned()).collect()
}

/// The same schema that allows no other field.
pub fn strict(schema: &Value) -> Value {
    closed(schema, true)
}

/// `is_whole`: it is all that is said of its value, and no part of something that says more.
fn closed(schema: &Value, is_whole: bool) -> Value {
    let Value::Object(schema) = schema else { return schema.clone() };
    let each = |schemas: &Map<String, Value>, are_whole| -> Value {
        schemas.iter().map(|(name, schema)| (name.clone(), closed(schema, are_whole))).collect()
    };
    let mut strict = Map::new();
    for (key, value) in schema {
        let value = match (key.as_str(), value) {
            ("properties" | "patternProperties", Value::Object(schemas)) => each(schemas, true),
            ("$defs", Value::Object(schemas)) => each(schemas, false),
            ("items" | "additionalProperties", value) => closed(value, true),
            ("oneOf" | "anyOf" | "allOf", Value::Array(parts)) => {
                parts.iter().map(|part| closed(part, false)).collect()
            }
            (_, value) => value.clone(),
        };
        strict.insert(key.clone(), value);
    }
    if is_whole && ["properties", "$ref", "oneOf", "anyOf"].iter().any(|key| schema.contains_key(*key)) {
        strict.insert("unevaluatedProperties".to_owned(), false.into());
    }
    Value::Object(strict)
}

/// By the names of the documents, and of the events.
fn validators() -> &'static BTreeMap<String, Validator> {
    static VALIDATORS: OnceLock<BTreeMap<String, Validator>> = OnceLock::new();
    VALIDATORS.get_or_init(|| {
        let mut all = BTreeMap::new();
        for name in NAMES {
            let schema = printed(name);
            for event in if name == "ndjson" { events(&schema) } else { Vec::new() } {
                // Tried one by one, a line that is none would be told by all that it could be.
                let mut schema = schema.clone();
                let whole = schema.as_object_mut().unwrap();
                whole.remove("oneOf");
                whole.insert("$ref".to_owned(), format!("#/$defs/{event}").into());
                all.insert(event, jsonschema::validator_for(&strict(&schema)).unwrap());
            }
            all.insert(name.to_owned(), jsonschema::validator_for(&strict(&schema)).unwrap());
        }
        all
    })
}

/// In what the value is not as the schema of that name says.
pub fn faults(name: &str, value: &Value) -> Vec<String> {
    let validator = validators().get(name).unwrap_or_else(|| panic!("{name} has no schema"));
    validator.iter_errors(value).map(|error| format!("{name} {}: {error}", error.instance_path())).collect()
}

#[track_caller]
fn fits(name: &str, value: &Value) {
    let faults = faults(name, value);
    assert!(faults.is_empty(), "{faults:#?}\n{value}");
}

/// Asserts that what a process wrote is as its schema says, if it is JSON.
#[track_caller]
pub fn fit(text: &str) {
    if !text.starts_with('{') {
        return;
    }
    if !text.starts_with("{\n") {
        lines(text);
    } else if let Ok(document) = serde_json::from_str::<Value>(text) {
        let name = name_of(&document);
        if name == "schema" {
            assert!(jsonschema::meta::is_valid(&document), "{text}");
        } else {
            fits(name, &short(&document));
        }
    }
}

/// What the document is, by what only it has.
fn name_of(document: &Value) -> &'static str {
    let told = [
        ("$schema", "schema"),
        ("limits", "limits"),
        ("workers", "run"),
        ("variants", "compare"),
        ("scenarios", "scenario"),
        ("reports", "report"),
        ("matters", "check"),
        ("traces", "verify"),
        ("run_ids", "diff"),
    ];
    let found = told.into_iter().find(|(field, _)| document.get(field).is_some());
    found.unwrap_or_else(|| panic!("no schema is known of it: {document}")).1
}

#[track_caller]
fn lines(text: &str) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for line in text.lines() {
        let event = line.split_once("\"event\":\"").and_then(|(_, rest)| rest.split_once('"'));
        let seen = seen.entry(event.map_or("", |(event, _)| event)).or_default();
        *seen += 1;
        if *seen > LOOKED_AT {
            continue;
        }
        // The last one may have been cut, and a shell may have said something of its own.
        let Ok(line @ Value::Object(_)) = serde_json::from_str(line) else { continue };
        match line["event"].as_str() {
            Some(event) if line.get("seq").is_some() => fits(event, &short(&line)),
            _ => fits("sandbox", &line),
        }
    }
}

/// The same, without the rest of its long lists.
fn short(value: &Value) -> Value {
    match value {
        Value::Array(all) => all.iter().take(LOOKED_AT).map(short).collect(),
        Value::Object(all) => all.iter().map(|(name, value)| (name.clone(), short(value))).collect(),
        other => other.clone(),
    }
}
