//! Times as flags have them.

use std::time::Duration;

/// A deadline is a moment that the clock must be able to name: longer than any run, and within every clock's reach.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The client's goodbyes have 750 ms, and each takes a round trip.
const FARTHEST: Duration = Duration::from_millis(500);

/// `20ms`, `2s`, `1m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let time =
        humantime::parse_duration(text).map_err(|_| "give a number and a unit, like 20ms, 2s or 1m".to_owned())?;
    if time > LONGEST { Err("give at most 366d".to_owned()) } else { Ok(time) }
}

/// The same, but for 0.
pub(super) fn positive(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time.is_zero() { Err("it must be longer than 0".to_owned()) } else { Ok(time) }
}

/// The same, of what lies between a client and its server.
pub(super) fn round_trip(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time > FARTHEST {
        Err("give at most 500ms: a session's goodbye takes a round trip, and has 750ms".to_owned())
    } else {
        Ok(time)
    }
}
