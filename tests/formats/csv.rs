//! The long table: it has each value of the JSON document, once, and no formula.

use std::collections::BTreeMap;

use csv::Reader;
use serde_json::Value;

use super::{HOSTILE, golden, told, told_of_hostile};
use crate::golden::stored;

type Row = BTreeMap<String, String>;

fn rows(text: &str) -> Vec<Row> {
    Reader::from_reader(text.as_bytes()).deserialize().map(|row| row.unwrap()).collect()
}

/// Each value of the document, by its section, row and metric.
fn values(document: &Value, kind: &str) -> BTreeMap<(String, String, String), Value> {
    fn below(at: (&str, &str), metric: &str, value: &Value, all: &mut BTreeMap<(String, String, String), Value>) {
        let named = |name: &str| [metric, name].into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(".");
        match value {
            Value::Object(map) => map.iter().for_each(|(name, value)| below(at, &named(name), value, all)),
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(at_, value)| below(at, &named(&(at_ + 1).to_string()), value, all))
            }
            value => drop(all.insert((at.0.to_owned(), at.1.to_owned(), metric.to_owned()), value.clone())),
        }
    }
    let mut all = BTreeMap::new();
    for (section, value) in document.as_object().unwrap() {
        match value {
            Value::Array(rows) if rows.iter().all(Value::is_object) => {
                rows.iter().enumerate().for_each(|(at, row)| below((section, &(at + 1).to_string()), "", row, &mut all))
            }
            Value::Object(_) => below((section, ""), "", value, &mut all),
            _ => below((kind, ""), section, value, &mut all),
        }
    }
    all
}

#[test]
fn each_value_of_the_document_has_its_row() {
    for file in stored() {
        let name = file.display();
        let rows = rows(&told(&file, "csv"));
        let kind = &rows[0]["kind"];
        let document: Value = serde_json::from_str(&told(&file, "json")).unwrap();
        let documents = match document["scenarios"].as_array() {
            Some(several) => several.clone(),
            None => vec![document],
        };
        let mut of_all: Vec<_> = documents.iter().map(|document| values(document, kind)).collect();
        for row in &rows {
            assert_eq!(row["kind"], *kind, "{name}: {row:?}");
            let values = &mut of_all[row["report"].parse::<usize>().unwrap() - 1];
            let place = (row["section"].clone(), row["row"].clone(), row["metric"].clone());
            let value = values.remove(&place).unwrap_or_else(|| panic!("{name}: nothing is at {place:?}"));
            let told = &row["value"];
            match &value {
                Value::Null | Value::Array(_) | Value::Object(_) => assert_eq!(told, "", "{name}: {row:?}"),
                Value::String(text) => assert_eq!(told.strip_prefix('\'').unwrap_or(told), text, "{name}: {row:?}"),
                // Of a number all digits.
                value => assert_eq!(serde_json::from_str::<Value>(told).unwrap(), *value, "{name}: {row:?}"),
            }
        }
        assert!(of_all.iter().all(BTreeMap::is_empty), "{name}: {of_all:?}");
    }
}

#[test]
fn a_row_says_whose_it_is_and_what_it_is_measured_in() {
    let of = |name: &str| rows(&told(&golden(name), "csv"));
    let find = |rows: &[Row], section: &str, metric: &str, name: &str| {
        let of = |row: &&Row| row["section"] == section && row["metric"] == metric && row["name"] == name;
        rows.iter().find(of).unwrap_or_else(|| panic!("{section} {metric} {name}")).clone()
    };
    let run = of("use-default");
    assert_eq!(find(&run, "workers", "wait_us.max", "w1")["unit"], "us");
    assert_eq!(find(&run, "sessions", "bytes_sent", "#2")["unit"], "bytes");
    assert_eq!(find(&run, "run", "operations_per_second", "")["unit"], "per second");
    assert_eq!(find(&run, "operations", "ok", "")["value"], "15");
    let comparison = of("comparison");
    let rates = comparison.iter().filter(|row| row["section"] == "runs" && row["metric"] == "operations_per_second");
    let rounds: Vec<(&str, &str)> = rates.map(|row| (&*row["variant"], &*row["round"])).collect();
    assert!(rounds.contains(&("use-main", "0")) && rounds.contains(&("use-default", "8")), "{rounds:?}");
    assert!(of("limits-count").iter().all(|row| row["kind"] == "limits"));
}

#[test]
fn several_reports_are_one_table() {
    let files = ["use-main", "scenario-pool-hazard", "comparison"].map(golden);
    let words = ["report", "--format", "csv"].map(str::to_owned).into_iter();
    let words = words.chain(files.iter().map(|file| file.to_str().unwrap().to_owned()));
    let ended = crate::cli::process::end(&mut crate::cli::process::mailconn(words));
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    let rows = rows(&ended.stdout);
    for (report, kind) in [("1", "run"), ("2", "scenario"), ("3", "comparison")] {
        assert!(rows.iter().any(|row| row["report"] == report && row["kind"] == kind), "{kind}");
    }
}

#[test]
fn no_words_of_a_server_are_a_formula() {
    for words in HOSTILE {
        let text = told_of_hostile(words, "csv");
        let parts: Vec<&str> = text.split("report,kind,").filter(|part| !part.is_empty()).collect();
        assert_eq!(parts.len(), 2);
        for part in parts {
            let rows = rows(&format!("report,kind,{part}"));
            assert!(rows.iter().any(|row| row["value"].trim_start_matches('\'') == words), "{words:?} is told");
            for cell in rows.iter().flat_map(|row| row.values()) {
                let is_number = cell.parse::<f64>().is_ok_and(|_| !words.contains(&**cell));
                let begins = |it: char| "=+-@\t\r\n".contains(it);
                assert!(is_number || !cell.starts_with(begins), "{words:?}: {cell:?}");
            }
        }
    }
}
