//! What stands in which field. A field that is not named here is text: one that is added later is covered.

/// What a string is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// A word of a fixed list, a number, a time: it stays.
    Closed,
    /// The server's address.
    Server,
    /// A host's name or address.
    Host,
    /// A mailbox.
    Mailbox,
    /// A name by which one line refers to another: that of a client, a thread, a variant.
    Label,
    /// What was performed, by its file.
    File,
    /// The flags of a variant.
    Arguments,
    /// What is measured, and by whose name: only labels stand in it.
    Measure,
    /// A line of a scenario.
    Step,
    /// Anything in words.
    Text,
}

const CLOSED: [&str; 48] = [
    "cause",
    "cipher",
    "closed",
    "connection",
    "decision",
    "dispose",
    "event",
    "executor",
    "existing",
    "failed_command",
    "fail_on",
    "id",
    "kept_by",
    "kind",
    "like",
    "limits",
    "lock",
    "mix",
    "mode",
    "not_after",
    "not_before",
    "operation",
    "outcome",
    "passed",
    "phase",
    "protocol",
    "reason",
    "rule",
    "run_id",
    "run_ids",
    "scopes",
    "security",
    "session",
    "severity",
    "sign_in_tried_by",
    "signed_in_by",
    "silent",
    "stage",
    "started",
    "step",
    "tag",
    "time",
    "tool_version",
    "unit",
    "verb",
    "version",
    "what",
    "why",
];

/// What a string is that those names of fields lead to, in an event of that name.
pub(super) fn of(event: &str, path: &[String]) -> Field {
    let Some(name) = path.last() else { return Field::Text };
    let is_in = |field: &str| path.iter().any(|it| it == field);
    if is_in("gates") || is_in("judged_by") {
        return Field::Measure;
    }
    match name.as_str() {
        "server" => Field::Server,
        "server_name" | "names" => Field::Host,
        "mailbox" | "mailboxes" | "selected" => Field::Mailbox,
        "from" | "to" if event == "mode-changed" => Field::Closed,
        "from" => Field::Mailbox,
        "worker" => Field::Closed,
        "task" if event != "step" => Field::Closed,
        "to" if path.len() > 1 => Field::Closed,
        "name" if event == "scenario-start" => Field::File,
        "client" | "variant" | "reference" | "thread" | "threads" | "task" | "name" => Field::Label,
        "text" if event == "step" && path.len() == 1 => Field::Step,
        "arguments" => Field::Arguments,
        "figures" | "metric" => Field::Measure,
        name if CLOSED.contains(&name) => Field::Closed,
        _ => Field::Text,
    }
}
