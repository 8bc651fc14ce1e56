//! A run's file written by hand, line after line.

use std::time::Duration;

use serde_json::{Value, json};

use super::folded::unfold;
use super::tool;

const STARTED: &str = "2026-09-21T14:13:20.250000Z";

/// Its lines but the last, `run-end`, which follows from them.
pub struct Written {
    pub lines: Vec<Value>,
    /// How the run ended.
    pub interrupted: Option<i32>,
    pub still_open: u64,
    /// The severities of findings that fail it.
    pub fail_on: Value,
}

impl Written {
    /// A run of two threads in that mode.
    pub fn new(mode: &str) -> Self {
        let start = json!({
            "event": "run-start", "at_us": 0, "schema_version": 5, "tool_version": "0.1.0", "run_id": "0123456789ab",
            "started": STARTED, "server": "by hand", "protocol": "imap", "certificates_verified": null, "mode": mode,
            "threads": 0, "seed": 42, "asked": {"duration_us": 1_000_000},
            "mix": "noop=1", "mailboxes": ["INBOX"], "max_connections": null, "lock": "unit",
            "workers": [], "executor": "threads", "dispose": "never",
            "tasks": [], "scripted": false, "witnessed": false, "switches": [],
        });
        let mut written =
            Self { lines: vec![start], interrupted: None, still_open: 0, fail_on: json!(["hazard", "leak", "fault"]) };
        written.threads(2);
        written
    }

    /// What was asked for.
    pub fn start(&mut self) -> &mut Value {
        &mut self.lines[0]
    }

    pub fn threads(&mut self, threads: u32) {
        let role = |number| json!({"worker": format!("w{number}"), "name": null, "creates_default": false, "creates_independent": false});
        self.lines[0]["workers"] = (0..threads).map(role).collect();
        if threads > 256 {
            let mut all = role(0);
            all["to"] = json!(format!("w{}", threads - 1));
            self.lines[0]["workers"] = json!([all]);
        }
        self.lines[0]["threads"] = json!(threads);
    }

    /// How many events there were so far: what an operation that is issued now knows of.
    pub fn known(&self) -> u64 {
        self.lines.len() as u64
    }

    /// The next event, a millisecond after the one before.
    pub fn enter(&mut self, event: &str, mut line: Value) -> &mut Value {
        let last = self.lines.last().map_or(0, |line| line["at_us"].as_u64().unwrap());
        line["event"] = json!(event);
        line["at_us"] = json!(last + if self.lines.len() == 1 { 0 } else { 1000 });
        self.lines.push(line);
        self.lines.last_mut().unwrap()
    }

    pub fn create(&mut self, connection: u32, kind: &str, worker: u32, by_hand: bool) -> &mut Value {
        let worker = format!("w{worker}");
        let connection = format!("#{connection}");
        let line = json!({"connection": connection, "kind": kind, "worker": worker, "task": null, "by_hand": by_hand});
        self.enter("connection-created", line)
    }

    pub fn dispose(&mut self, connection: u32, cause: &str) -> &mut Value {
        self.enter("connection-disposed", json!({"connection": format!("#{connection}"), "cause": cause}))
    }

    pub fn open(&mut self, connection: u32) -> &mut Value {
        let name = format!("#{connection}");
        let line = self.enter(
            "session-opened",
            json!({
                "connection": name, "session": name, "worker": "w0", "began_us": 0, "local_port": port(connection),
                "label": null, "tls": null, "signed_in_by": null, "signed_in_us": 0,
                "dial_us": dial(), "commands": [],
            }),
        );
        line["signed_in_us"] = line["at_us"].clone();
        line
    }

    /// `logged-out` or `discarded`.
    pub fn close(&mut self, connection: u32, how: &str) -> &mut Value {
        let name = format!("#{connection}");
        self.enter(
            "session-closed",
            json!({
                "connection": name, "session": name, "closed": how, "bytes_sent": 1, "bytes_received": 1,
                "commands": [], "carried": 1, "failure": null,
            }),
        )
    }

    /// `no-logout` or `hung-up`.
    pub fn close_by(&mut self, connection: u32, how: &str, failure: Value) -> &mut Value {
        let line = self.close(connection, how);
        line["failure"] = failure;
        line
    }

    /// The dial of that session failed when so many others were open.
    pub fn refused(&mut self, connection: u32, number: u32, open: u32, kind: &str) -> &mut Value {
        let line = self.enter(
            "session-refused",
            json!({
                "connection": format!("#{connection}"), "session": session(connection, number), "worker": "w0",
                "local_port": null, "dial_us": dial(), "took_us": 7000, "sign_in_attempted": true, "open": open,
                "dialling": 0, "failed_us": 0, "failure": failure(kind, "auth", "refused", Some("NO because")),
            }),
        );
        line["failed_us"] = line["at_us"].clone();
        line
    }

    pub fn operate(&mut self, operation: Value) -> &mut Value {
        self.enter("operation", operation)
    }

    /// The lines of one kind.
    pub fn of(&mut self, event: &str) -> impl Iterator<Item = &mut Value> {
        self.lines.iter_mut().filter(move |line| line["event"] == event)
    }

    /// The whole file.
    pub fn file(&self) -> Vec<Value> {
        let mut lines = self.lines.clone();
        lines[0]["witnessed"] = json!(self.lines.iter().any(|line| line["event"] == "witness-session"));
        let elapsed = &self.lines.last().unwrap()["at_us"];
        let end = json!({
            "event": "run-end", "at_us": elapsed, "elapsed_us": elapsed, "interrupted": self.interrupted,
            "connections": {"still_open": self.still_open}, "judged_by": {"fail_on": self.fail_on},
        });
        let mut lines = numbered(lines.into_iter().chain([end]).collect());
        tool::end(&mut lines);
        lines
    }
}

/// Numbers the lines, and gives each the wall-clock time that goes with its other one.
pub fn numbered(mut lines: Vec<Value>) -> Vec<Value> {
    let started = humantime::parse_rfc3339(lines[0]["started"].as_str().unwrap()).unwrap();
    for (seq, line) in lines.iter_mut().enumerate() {
        let at = Duration::from_micros(line["at_us"].as_u64().unwrap());
        line["seq"] = json!(seq);
        line["time"] = json!(humantime::format_rfc3339_micros(started + at).to_string());
    }
    lines
}

pub fn bytes(lines: &[Value]) -> Vec<u8> {
    unfold(lines).iter().flat_map(|line| format!("{line}\n").into_bytes()).collect()
}

pub fn session(connection: u32, number: u32) -> String {
    if number == 1 { format!("#{connection}") } else { format!("#{connection}.{number}") }
}

pub fn port(connection: u32) -> u32 {
    1000 + connection
}

/// No phase of a dial was measured.
pub fn dial() -> Value {
    json!({"resolve": null, "connect": null, "tls": null, "greeting": null, "sign_in": null})
}

pub fn failure(kind: &str, stage: &str, message: &str, server_line: Option<&str>) -> Value {
    json!({"kind": kind, "stage": stage, "message": message, "server_line": server_line, "further_lines": []})
}

/// A NOOP of w0 on that connection.
pub fn operation(connection: u32, issued_after: u64, mode: &str, reason: &str) -> Value {
    let name = format!("#{connection}");
    json!({
        "number": 1, "worker": "w0", "task": null, "operation": "noop", "mailbox": null, "mode": mode,
        "had_default": false, "passed": null, "reason": reason, "connection": name, "session": name, "opened": false,
        "local_port": port(connection), "commands": [{"tag": "a9", "verb": "NOOP"}], "failed_command": null,
        "issued_after": issued_after, "issued_at_us": 0, "wait_us": 0, "dial_us": 0, "service_us": 9,
        "outcome": "ok", "items": 0, "failure": null, "answered_by": null, "relied_on": null,
    })
}

/// The same, failed.
pub fn failed(mut operation: Value, failure: Value) -> Value {
    (operation["outcome"], operation["items"], operation["failure"]) = (json!("failed"), Value::Null, failure);
    operation
}
