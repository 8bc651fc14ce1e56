//! Wall-clock times in a document: RFC 3339, to the microsecond.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

use super::micros::{Micros, to_the_microsecond};

/// The last second that RFC 3339 has digits for, since 1970: of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// That moment by the wall clock, as lines write it; a moment after the year 9999 is told as its last second.
#[must_use]
pub fn wall_clock(started: SystemTime, at: Micros) -> String {
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(LAST_SECOND);
    let time = started.checked_add(at.duration()).unwrap_or(last).min(last);
    humantime::format_rfc3339_micros(time).to_string()
}

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
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A moment by the wall clock, in UTC, to the microsecond",
            "type": "string",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
        })
    }
}
