//! Room for the connections a run needs, before it starts.

use anyhow::{Result, bail};

/// What the process needs beside its connections: standard streams, files, resolver, a margin.
const BESIDE: u64 = 64;

/// Raises the limit on open files to what `connections` need: so many each, for our end, the server's if it is in this
/// process, the transcript.
///
/// # Errors
/// The system allows fewer: one line that says how many, and the cure.
pub fn make_room_for(connections: usize, each: u64) -> Result<()> {
    let needed = (connections as u64).saturating_mul(each).saturating_add(BESIDE);
    match rlimit::increase_nofile_limit(needed) {
        Ok(allowed) if allowed < needed => bail!(
            "{connections} connections need {needed} open files, and the system allows {allowed}; raise the limit \
             (ulimit -n {needed}), or use fewer --threads"
        ),
        // Where the limit cannot be read, the run itself shows whether it suffices.
        _ => Ok(()),
    }
}
