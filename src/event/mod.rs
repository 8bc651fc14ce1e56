//! What happened, as a stream: events that are their own JSON lines.
//!
//! A run, a stored file and a scenario are the same stream. Whoever judges or counts sees each [`Event`] once, in order, and
//! keeps what it needs. Nothing here knows of a report, a finding or a policy.

mod ahead;
mod codec;
mod comparison;
mod end;
mod file;
mod line;
mod micros;
mod model;
mod named;
mod probe;
mod scenario;
mod stretches;

pub use ahead::Ahead;
pub use codec::{Envelope, Event, LONGEST, NotRead, RunOf, TooLong, What, Within, read, wall_clock, write};
pub use comparison::*;
pub use end::*;
pub use file::{Line, PassedOver, Reader, Unreadable, Writer, started};
pub use micros::{Micros, to_the_microsecond};
pub use model::*;
pub use probe::*;
pub use scenario::*;
pub use stretches::{Listed, Stretches, TaskRole, WorkerRole};

use named::fixed;

/// Wall-clock times, as RFC 3339 to the microsecond.
pub(crate) mod wall {
    use std::time::SystemTime;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Micros, to_the_microsecond, wall_clock};

    /// A certificate may name a moment that RFC 3339 has no digits for: the nearest is written.
    pub fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&wall_clock(to_the_microsecond(*time), Micros::ZERO))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let said = String::deserialize(deserializer)?;
        humantime::parse_rfc3339(&said).map_err(D::Error::custom)
    }
}
