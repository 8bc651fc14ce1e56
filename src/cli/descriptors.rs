//! Room for the connections and threads a run needs, before it starts.

use anyhow::{Result, bail};

/// Where Linux says how many mappings a process may have.
const MAPPINGS: &str = "/proc/sys/vm/max_map_count";
/// A thread's stack and the one for its signals, each with a guard.
const MAPPINGS_OF_A_THREAD: u64 = 4;
/// Mappings that the rest of the process needs: its code, its libraries, its heap.
const MAPPINGS_BESIDE: u64 = 2000;

/// Whether the system gives so many threads their stacks. A thread that has its first stack and not its second cannot even
/// say so: it takes the process with it.
///
/// # Errors
/// It does not: one line with the number it gives.
pub fn make_room_for_threads(workers: u32, of_the_sandbox: usize) -> Result<()> {
    let threads = u64::from(workers) + of_the_sandbox as u64;
    let allowed = std::fs::read_to_string(MAPPINGS).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let Some(allowed) = allowed else { return Ok(()) };
    let most = allowed.saturating_sub(MAPPINGS_BESIDE) / MAPPINGS_OF_A_THREAD;
    if threads > most {
        let beside = if of_the_sandbox > 0 { ", those of the sandbox included" } else { "" };
        bail!(
            "--threads {workers}: that makes {threads} threads{beside}, and this system has room for {most}; use fewer, or \
             raise its limit (sysctl vm.max_map_count, {allowed} now)"
        );
    }
    Ok(())
}

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
