//! What happened, as a stream: events that are their own JSON lines.
//!
//! A run, a stored file and a scenario are the same stream. Whoever judges or counts sees each [`Event`] once, in order, and
//! keeps what it needs. Nothing here knows of a report, a finding or a policy.

mod codec;
mod end;
mod file;
mod micros;
mod model;
mod named;
mod scenario;

pub use codec::{Envelope, Event, LONGEST, NotRead, What, read, wall_clock, write};
pub use end::*;
pub use file::{Line, Reader, Unreadable, Writer, started};
pub use micros::{Micros, to_the_microsecond};
pub use model::*;
pub use scenario::*;

use named::fixed;

/// Wall-clock times, as RFC 3339 to the microsecond.
mod wall {
    use std::time::SystemTime;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_rfc3339_micros(*time))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let said = String::deserialize(deserializer)?;
        humantime::parse_rfc3339(&said).map_err(D::Error::custom)
    }
}
