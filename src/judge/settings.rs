//! What two runs were asked for: the settings in which they differ, and what each does to a comparison.

use serde_json::Value;

use crate::event::{Micros, RunStart};

/// What a difference in a setting does to a comparison of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// It shapes the work: figures are not comparable.
    Refused,
    /// Figures may differ for it: it is told.
    Told,
    /// It changes no figure that it does not change by chance.
    Shown,
}

/// A setting of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    what: String,
    weight: Weight,
    value: String,
}

/// A setting in which two runs differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differs {
    /// What people call it.
    pub what: String,
    /// What that does to a comparison.
    pub weight: Weight,
    /// The one run's.
    pub one: String,
    /// The other's.
    pub other: String,
}

type Row = (&'static str, Weight, fn(&Value) -> String);

const SERVER: &str = "server";
const MAILBOXES: &str = "mailboxes";
const NAMES: &str = "names of mailboxes";
/// Those of which a run has a number.
const COUNTED: [&str; 3] = ["threads", "tasks", MAILBOXES];

/// Each with its words, from a run's first line or its document.
const SETTINGS: &[Row] = {
    use Weight::{Refused, Shown, Told};
    &[
        ("protocol", Refused, |it| text(&it["protocol"])),
        (SERVER, Refused, |it| server(&it["server"])),
        ("TLS", Refused, |it| certificates(&it["certificates_verified"])),
        ("mode", Refused, |it| text(&it["mode"])),
        ("mode switches", Refused, |it| switches(&it["switches"])),
        ("threads", Refused, |it| text(&it["threads"])),
        ("executor", Refused, |it| text(&it["executor"])),
        ("tasks", Refused, |it| stretches(tasks(it)).last().map_or(0, |(_, last, _)| last + 1).to_string()),
        ("dispose", Refused, |it| text(&it["dispose"])),
        ("lock", Refused, |it| text(&it["lock"])),
        ("mix", Refused, |it| mix(&it["mix"])),
        (MAILBOXES, Refused, |it| listed(&it["mailboxes"]).len().to_string()),
        ("defaults by hand", Refused, |it| who(it, "creates_default")),
        ("independent ones", Refused, |it| who(it, "creates_independent")),
        ("amount", Told, |it| amount(&it["asked"])),
        ("max-connections", Told, |it| text(&it["max_connections"])),
        (NAMES, Told, |it| listed(&it["mailboxes"]).iter().map(text).collect::<Vec<_>>().join(", ")),
        ("probe's max", Told, |it| text(&it["probe"]["max"])),
        ("probe's pace", Told, |it| time(&it["probe"]["pace_us"])),
        ("probe's hold", Told, |it| time(&it["probe"]["hold_us"])),
        ("probe's bare close", Told, |it| text(&it["probe"]["bare_close"])),
        ("seed", Shown, |it| text(&it["seed"])),
        ("mailconn", Shown, |it| text(&it["tool_version"])),
    ]
};

impl Differs {
    /// In words, where `one` is called the baseline: `the baseline has 8 threads, this run 4`.
    #[must_use]
    pub fn from_a_baseline(&self) -> String {
        let Self { what, one, other, .. } = self;
        match COUNTED.contains(&&**what) {
            true if one == "1" => format!("the baseline has 1 of {what}, this run {other}"),
            true => format!("the baseline has {one} {what}, this run {other}"),
            false => format!("the baseline's {what}: {one}, this run's: {other}"),
        }
    }
}

/// Of a run that begins so.
pub(super) fn settings_of(start: &RunStart) -> Vec<Setting> {
    settings(&serde_json::to_value(start).unwrap_or_default())
}

/// What that setting is; none where the run has none of it.
pub(super) fn value_of<'a>(settings: &'a [Setting], what: &str) -> Option<&'a str> {
    settings.iter().find(|it| it.what == what).map(|it| &*it.value)
}

/// A time as it is told.
pub(super) fn told_time(time: Micros) -> String {
    if time == Micros::ZERO { "0s".to_owned() } else { time.to_string() }
}

/// Of a run whose document, or first line, says so.
pub(super) fn settings(asked: &Value) -> Vec<Setting> {
    let row = |(what, weight, value): &Row| Setting { what: (*what).to_owned(), weight: *weight, value: value(asked) };
    let sandbox = asked["sandbox"].as_object().into_iter().flatten().map(|(field, value)| Setting {
        what: format!("sandbox's {}", field.trim_end_matches("_us").replace('_', " ")),
        weight: Weight::Refused,
        value: if field.ends_with("_us") { time(value) } else { text(value) },
    });
    SETTINGS.iter().map(row).chain(sandbox).collect()
}

/// In their order: first those that the one has.
pub(super) fn differences(one: &[Setting], other: &[Setting]) -> Vec<Differs> {
    let find = |those: &[Setting], what: &str| those.iter().find(|it| it.what == what).map(|it| it.value.clone());
    let missing = || "none".to_owned();
    let also = other.iter().filter(|it| find(one, &it.what).is_none());
    let all = one.iter().chain(also).map(|Setting { what, weight, .. }| Differs {
        what: what.clone(),
        weight: *weight,
        one: find(one, what).unwrap_or_else(missing),
        other: find(other, what).unwrap_or_else(missing),
    });
    let mut differ: Vec<Differs> = all.filter(|it| it.one != it.other).collect();
    // What follows from another difference is not told beside it.
    let has = |what: &str| differ.iter().any(|it| it.what == what);
    let (servers, mailboxes) = (has(SERVER), has(MAILBOXES));
    differ.retain(|it| !(servers && it.what.starts_with("sandbox's ") || mailboxes && it.what == NAMES));
    differ
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}

fn time(value: &Value) -> String {
    value.as_u64().map_or_else(|| text(value), |time| told_time(Micros(time)))
}

/// Without the user: who signs in is not the server.
fn server(value: &Value) -> String {
    let name = text(value);
    match name.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or(rest)),
        None if name == "sandbox+imap" => "sandbox".to_owned(),
        None => name,
    }
}

fn certificates(value: &Value) -> String {
    match value {
        Value::Bool(true) => "verified".to_owned(),
        Value::Bool(false) => "not verified".to_owned(),
        other => text(other),
    }
}

/// In whatever order it was written.
fn mix(value: &Value) -> String {
    let text = text(value);
    let mut parts: Vec<&str> = text.split(',').collect();
    parts.sort_unstable();
    parts.join(", ")
}

fn listed(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn switches(value: &Value) -> String {
    let each: Vec<String> =
        listed(value).iter().map(|it| format!("{}={}", text(&it["after"]), text(&it["mode"]))).collect();
    if each.is_empty() { "none".to_owned() } else { each.join(", ") }
}

fn amount(asked: &Value) -> String {
    let of = |field: &str| asked[field].as_u64();
    match (of("operations_per_worker"), of("operations_in_all"), asked["duration_us"].as_u64()) {
        (Some(each), ..) => format!("{each} operations each"),
        (_, Some(all), _) => format!("{all} operations in all"),
        (.., Some(duration)) => Micros(duration).to_string(),
        _ => "none".to_owned(),
    }
}

/// What tasks were told. A document has what they did under the name that they have in a run's first line.
fn tasks(asked: &Value) -> &Value {
    if asked["task_roles"].is_array() { &asked["task_roles"] } else { &asked["tasks"] }
}

/// Workers or tasks, each entry with the numbers of its first and its last.
fn stretches(list: &Value) -> impl DoubleEndedIterator<Item = (u64, u64, &Value)> {
    listed(list).iter().filter_map(|entry| {
        let number = |field: &str| entry[field].as_str()?.get(1..)?.parse::<u64>().ok();
        let first = number("worker").or_else(|| number("task"))?;
        Some((first, number("to").unwrap_or(first), entry))
    })
}

/// Those who were told to create one: `w0-w3, w7`.
fn who(asked: &Value, role: &str) -> String {
    let mut all: Vec<(char, u64, u64)> = Vec::new();
    for (sign, list) in [('w', &asked["workers"]), ('t', tasks(asked))] {
        for (first, last, _) in stretches(list).filter(|(.., entry)| entry[role] == true) {
            match all.last_mut() {
                Some((same, _, end)) if *same == sign && *end + 1 == first => *end = last,
                _ => all.push((sign, first, last)),
            }
        }
    }
    let each = all.iter().map(|(sign, first, last)| match first == last {
        true => format!("{sign}{first}"),
        false => format!("{sign}{first}-{sign}{last}"),
    });
    let each: Vec<String> = each.collect();
    if each.is_empty() { "none".to_owned() } else { each.join(", ") }
}
