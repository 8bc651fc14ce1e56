//! How a report that is one JSON object begins, whatever it reports, and how it is put down.

use std::time::SystemTime;

use serde::Serialize;

use super::words::wall;
use crate::protocol::Protocol;

/// The version of the JSON formats' shape. Fields may be added under one number; none is renamed or taken away.
pub const SCHEMA_VERSION: u32 = 1;

/// A report as one JSON object, with a newline at its end.
pub(crate) fn indented(report: &impl Serialize) -> Vec<u8> {
    #[expect(
        clippy::expect_used,
        reason = "string keys and plain numbers: nothing in these shapes can fail to serialise"
    )]
    let mut bytes = serde_json::to_vec_pretty(report).expect("the report serialises");
    bytes.push(b'\n');
    bytes
}

/// How a report that stands alone begins, whatever it reports.
#[derive(Serialize)]
pub(super) struct Head<'a> {
    schema_version: u32,
    tool_version: &'a str,
    run_id: &'a str,
    started: String,
    server: &'a str,
    protocol: &'static str,
}

impl<'a> Head<'a> {
    pub(super) fn new(
        tool_version: &'a str,
        run_id: &'a str,
        started: SystemTime,
        server: &'a str,
        protocol: Protocol,
    ) -> Self {
        let (started, protocol) = (wall(started), protocol.name());
        Self { schema_version: SCHEMA_VERSION, tool_version, run_id, started, server, protocol }
    }
}
