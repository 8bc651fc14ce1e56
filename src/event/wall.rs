//! Wall-clock times in a document: RFC 3339, to the microsecond.

use std::time::SystemTime;

use schemars::{JsonSchema, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

use super::{Micros, to_the_microsecond, wall_clock};

/// How a [`SystemTime`] is written: `#[serde(with = "Wall")]`.
pub(crate) struct Wall;

impl Wall {
    /// A certificate may name a moment that RFC 3339 has no digits for: the nearest is written.
    pub fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&wall_clock(to_the_microsecond(*time), Micros::ZERO))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let said = String::deserialize(deserializer)?;
        humantime::parse_rfc3339(&said).map_err(D::Error::custom)
    }
}

impl JsonSchema for Wall {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        json_schema!({
            "description": "A moment by the wall clock, in UTC, to the microsecond",
            "type": "string",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
        })
    }
}
