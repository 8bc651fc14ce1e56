//! The manual's reference of the JSON, made from the schemas.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::support::schemas::{NAMES, events, printed};

const BEGINNING: &str = "\
What `mailconn` writes as JSON, field by field. This page is made from the JSON Schemas that `mailconn schema NAME` prints, with
which other programs can check what they read.

Under one `schema_version` fields are added, and none is renamed or taken away: a reader passes over those that it does not
know. A field is always there unless the table says that it may be missing; null stands for what there is not. Times are whole
microseconds (`_us`) or, by the wall clock, RFC 3339 in UTC. `mailconn explain WORD` says what a word means.
";

/// The types that are documents of their own, by the names under which they are a part of another.
const DOCUMENTS: [(&str, &str); 3] = [("Run", "run"), ("Comparison", "compare"), ("Scenarios", "scenario")];

type Types = BTreeMap<String, Value>;

#[test]
fn the_manual_has_the_reference_that_the_schemas_come_to() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/json.md");
    let due = reference();
    if std::env::var_os("MAILCONN_RENEW").is_some() {
        std::fs::write(&file, &due).unwrap();
    }
    let stands = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = due.lines().zip(stands.lines()).find(|(due, stands)| due != stands);
    assert!(
        due == stands,
        "src/json.md is not what the schemas come to: {differs:?}\n\
         renew it with MAILCONN_RENEW=1 cargo test --test it -- formats::schema::reference, and look at what has changed"
    );
}

fn reference() -> String {
    let mut types = Types::new();
    let schemas: BTreeMap<&str, Value> = NAMES.into_iter().map(|name| (name, printed(name))).collect();
    for schema in schemas.values() {
        for (name, part) in schema["$defs"].as_object().into_iter().flatten() {
            let before = types.insert(name.clone(), part.clone());
            assert!(before.is_none_or(|before| before == *part), "two types are called {name}");
        }
    }
    let mut page = BEGINNING.to_owned();
    for name in NAMES {
        let schema = &schemas[name];
        write!(page, "\n# {name}\n{}", sentence(&schema["title"])).unwrap();
        match name {
            "limits" => page += &beyond(schema, &schemas["run"]),
            "ndjson" => page += &lines(schema, &mut types),
            _ => page += &body(schema),
        }
    }
    page += "\n# Types\n";
    for (name, _) in DOCUMENTS {
        types.remove(name);
    }
    // A table says what these are.
    types.retain(|name, _| name != "Micros");
    for (name, schema) in types {
        write!(page, "\n## {name}\n{}{}", sentence(&schema["description"]), body(&schema)).unwrap();
    }
    page
}

/// As a paragraph; nothing of what says nothing.
fn sentence(says: &Value) -> String {
    let says = says.as_str().unwrap_or_default().trim_end_matches('.');
    if says.is_empty() { String::new() } else { format!("{says}.\n") }
}

/// What a probe's document has beyond a run's.
fn beyond(schema: &Value, of_run: &Value) -> String {
    let (required, usual) = (schema["required"].as_array().unwrap(), of_run["required"].as_array().unwrap());
    let always: Vec<_> =
        required.iter().filter(|field| !usual.contains(field)).map(|it| format!("`{}`", text(it))).collect();
    format!("It is that of [`run`](#run), where these are always there: {}.\n", always.join(", "))
}

/// The fields of all lines, then those of each event.
fn lines(schema: &Value, types: &mut Types) -> String {
    let each: Vec<(String, Value)> =
        events(schema).into_iter().map(|event| (event.clone(), types.remove(&event).unwrap())).collect();
    let fields = |line: &Value| line["properties"].as_object().unwrap().clone();
    let mut common = fields(&each[0].1);
    common.retain(|name, _| each.iter().all(|(_, line)| line["properties"].get(name).is_some()));
    let mut first = each[0].1.clone();
    first["properties"] = Value::Object(common.clone());
    first["properties"]["event"] = serde_json::json!({ "type": "string", "description": "Its name." });
    let mut page = format!("\nEvery line has these fields, before its own:\n\n{}", table(&first));
    for (event, mut line) in each {
        let own: Map<String, Value> =
            fields(&line).into_iter().filter(|(name, _)| !common.contains_key(name)).collect();
        line["properties"] = Value::Object(own);
        write!(page, "\n## Line `{event}`\n{}{}", sentence(&line["description"]), body(&line)).unwrap();
    }
    page
}

/// What a value is: its fields, its words, or the shapes that it may have.
fn body(schema: &Value) -> String {
    let mut page = String::new();
    if schema["properties"].as_object().is_some_and(|fields| !fields.is_empty()) {
        write!(page, "\n{}", table(schema)).unwrap();
    }
    let parts = ["oneOf", "anyOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten();
    for part in parts {
        let (named, says, table) = (named(part), sentence(&part["description"]), table(part));
        let is_in_one_line = table.is_empty();
        if is_in_one_line && !page.lines().last().is_some_and(|line| line.starts_with("- ")) {
            page.push('\n');
        }
        match (part["$ref"].as_str(), part.get("const")) {
            (Some(reference), _) if named.is_empty() => writeln!(page, "- {}", link(reference)),
            (Some(reference), _) => {
                writeln!(page, "- {named}{} Its fields are those of {}.", says.trim_end(), link(reference))
            }
            (None, Some(word)) => writeln!(page, "- `{}`: {}", text(word), says.trim_end()),
            (None, None) if is_in_one_line => write!(page, "- {named}{says}"),
            (None, None) => write!(page, "\n{named}{says}\n{table}"),
        }
        .unwrap();
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> = words.iter().map(|word| format!("`{}`", text(word))).collect();
        writeln!(page, "\nOne of {}.", words.join(", ")).unwrap();
    }
    page
}

/// By which field a shape is known from others: `what` is `ran`.
fn named(shape: &Value) -> String {
    let fields = shape["properties"].as_object().into_iter().flatten();
    let tag = fields.filter_map(|(name, field)| Some((name, field.get("const")?))).next();
    tag.map(|(name, value)| format!("With `{name}` `{}`: ", text(value))).unwrap_or_default()
}

fn table(schema: &Value) -> String {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().map(text).collect();
    let mut rows = String::new();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        if field.get("const").is_some() {
            continue;
        }
        let may_be = if required.contains(&&**name) { "" } else { "; may be missing" };
        let says = field["description"].as_str().unwrap_or_default().replace('|', "\\|");
        writeln!(rows, "| `{name}` | {}{may_be} | {says} |", kind(field)).unwrap();
    }
    // A shape that has nothing but its name.
    if rows.is_empty() { rows } else { format!("| field | what it is | what it says |\n|---|---|---|\n{rows}") }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// In a few words.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return link(reference);
    }
    if let Some(all) = ["anyOf", "oneOf"].iter().find_map(|key| schema[*key].as_array()) {
        return all.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    match &schema["type"] {
        Value::Array(all) => {
            let each = all.iter().map(|name| {
                let mut schema = schema.clone();
                schema["type"] = name.clone();
                kind(&schema)
            });
            each.collect::<Vec<_>>().join(" or ")
        }
        Value::String(name) => match &**name {
            "array" if schema.get("maxItems").is_some() => {
                format!("{} of {}", schema["maxItems"], kind(&schema["items"]))
            }
            "array" => format!("list of {}", kind(&schema["items"])),
            "object" => {
                let of_each = schema["additionalProperties"].as_object().map(|_| &schema["additionalProperties"]);
                let of_some = schema["patternProperties"].as_object().and_then(|all| all.values().next());
                format!("object of {}", kind(of_each.or(of_some).unwrap()))
            }
            other => other.to_owned(),
        },
        _ => "anything".to_owned(),
    }
}

/// To where the type is told of.
fn link(reference: &str) -> String {
    let name = reference.trim_start_matches("#/$defs/");
    match DOCUMENTS.into_iter().find(|(is, _)| *is == name) {
        _ if name == "Micros" => "microseconds".to_owned(),
        Some((_, document)) => format!("[`{document}`](#{document})"),
        None => format!("[{name}](#{})", name.to_lowercase()),
    }
}
