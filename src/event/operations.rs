//! The names that operations have in streams and documents.

use std::borrow::Cow;
use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::protocol::{self, Operation, Protocol};

/// A scenario's halves of an IMAP unit: to select, and to read what is selected.
pub const HALVES: [&str; 2] = [protocol::SELECT.name, protocol::FETCH_SELECTED.name];

/// Every operation's name; some have one by several protocols.
pub(super) fn operations() -> impl Iterator<Item = &'static str> {
    Protocol::ALL.into_iter().flat_map(Operation::all).map(Operation::name).chain(HALVES)
}

/// Stands for such a name where a schema is made.
pub(crate) struct OperationName;

impl JsonSchema for OperationName {
    fn schema_name() -> Cow<'static, str> {
        "OperationName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An operation, by its protocol's word for it; `select` and `fetch-selected` are a scenario's halves of one",
            "type": "string",
            "enum": operations().collect::<BTreeSet<_>>(),
        })
    }
}
