//! What an end says, beside what the events come to.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::integrity::{Checks, Rule};

/// Every figure that is due must be claimed; words may be others.
pub(super) fn compare<T: Serialize>(checks: &mut Checks, line: Option<u64>, due: &T, claimed: &T) {
    match (serde_json::to_value(due), serde_json::to_value(claimed)) {
        (Ok(due), Ok(claimed)) => compare_at(checks, line, "", &due, &claimed),
        (Err(error), _) | (_, Err(error)) => checks.check(Rule::RunEnd, None, false, || error.to_string()),
    }
}

fn compare_at(checks: &mut Checks, line: Option<u64>, at: &str, due: &Value, claimed: &Value) {
    match due {
        Value::Object(fields) => {
            let besides = claimed.as_object().into_iter().flatten().map(|(name, _)| name);
            let names: BTreeSet<&String> = fields.keys().chain(besides).collect();
            for name in names.into_iter().filter(|name| !["sentence", "evidence"].contains(&name.as_str())) {
                let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                compare_at(checks, line, &path, &due[name], &claimed[name]);
            }
        }
        Value::Array(items) => {
            let found = claimed.as_array().map_or(0, Vec::len);
            checks.check(Rule::RunEnd, line, claimed.is_array() && found == items.len(), || {
                format!("{at}: the events come to {} of them, it has {found}", items.len())
            });
            for (number, due) in items.iter().enumerate() {
                compare_at(checks, line, &format!("{at}[{number}]"), due, &claimed[number]);
            }
        }
        due => checks
            .check(Rule::RunEnd, line, due == claimed, || format!("{at}: the events come to {due}, it says {claimed}")),
    }
}
