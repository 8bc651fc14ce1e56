//! The lists of rows in a run's document, as metrics speak of them.

/// Rows of one kind.
#[derive(Clone, Copy, Debug)]
pub struct List {
    /// What a metric calls one of them: `worker` in `worker[w0].operations.ok`.
    pub row: &'static str,
    /// Their field in the document.
    pub name: &'static str,
    /// The field of each that is its key. Empty: the key of a row is its place, or its own name.
    pub key: &'static str,
}

/// A row for each kind of operation.
pub const OPERATIONS: List = List { row: "operation", name: "by_operation", key: "operation" };
/// A row for each worker.
pub const WORKERS: List = List { row: "worker", name: "workers", key: "worker" };
/// A row for each connection that has one.
pub const CONNECTIONS: List = List { row: "connection", name: "by_connection", key: "connection" };
/// A row for each task.
pub const TASKS: List = List { row: "task", name: "tasks", key: "task" };
/// A row for each stretch between two changes of the mode.
pub const SECTIONS: List = List { row: "section", name: "sections", key: "" };
/// A row for each session that has one.
pub const SESSIONS: List = List { row: "session", name: "sessions", key: "session" };
/// What was found.
pub const FINDINGS: List = List { row: "findings", name: "findings", key: "id" };
/// A row for each way of failing; several have one key.
pub const FAILURES: List = List { row: "failures", name: "failures", key: "kind" };
/// In a row: how many operations had each reason.
pub const REASONS: List = List { row: "reasons", name: "reasons", key: "" };
/// In a row: how many operations each connection was given to.
pub const GIVEN: List = List { row: "connections", name: "connections", key: "" };
