//! Room for the connections and threads a run needs, before it starts.

use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use anyhow::{Result, bail};
use rlimit::{INFINITY, Resource};

/// Where Linux says how many mappings a process may have.
const MAPPINGS: &str = "/proc/sys/vm/max_map_count";
/// A thread's stack and the one for its signals, each with a guard.
const MAPPINGS_OF_A_THREAD: u64 = 4;
/// Mappings that the rest of the process needs: its code, its libraries, its heap.
const MAPPINGS_BESIDE: u64 = 2000;

/// Whether the system gives that number of threads their stacks; `fewer` is the cure. A thread with its first stack alone cannot even
/// say so: it takes the process with it.
///
/// # Errors
/// It does not: one line with the number it gives.
pub fn make_room_for_threads(workers: u32, of_the_sandbox: usize, fewer: &str) -> Result<()> {
    let threads = u64::from(workers) + of_the_sandbox as u64;
    let allowed = std::fs::read_to_string(MAPPINGS).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let Some(allowed) = allowed else { return Ok(()) };
    let most = allowed.saturating_sub(MAPPINGS_BESIDE) / MAPPINGS_OF_A_THREAD;
    if threads > most {
        let beside = if of_the_sandbox > 0 { ", those of the sandbox included" } else { "" };
        bail!(
            "{workers} workers make {threads} threads{beside}, and this system has room for {most}; use {fewer}, or \
             raise its limit (sysctl vm.max_map_count, {allowed} now)"
        );
    }
    Ok(())
}

/// Where Linux says how many pages a process has: all of them first, and sixth those that it can write to.
const MEMORY: &str = "/proc/self/statm";
/// A thread's stack (as std makes it), that of a session of the sandbox, and what else each takes from the system.
const STACK: usize = 2 << 20;
const STACK_OF_A_SESSION: usize = 512 << 10;
const BESIDE_A_STACK: usize = 256 << 10;
/// glibc gives a thread that begins a piece of the address space of its own, if there is one, and else none.
const ARENA: usize = 64 << 20;
/// What a thread's work takes from the heap, and what all else does.
const HEAP_OF_A_THREAD: usize = 128 << 10;
const HEAP: usize = 8 << 20;

/// Where the process's memory is limited, tries whether it suffices for that number of threads at once, and for their
/// work. Allocating has no errors in Rust, and a thread that does not get its second stack takes the process with it: later
/// there would be nobody to say so.
///
/// # Errors
/// It does not: one line.
pub fn make_room_in_memory(threads: usize, of_the_sandbox: usize, fewer: &str) -> Result<()> {
    let is_limited = |resource: Resource| resource.get_soft().is_ok_and(|most| most != INFINITY);
    if !is_limited(Resource::AS) && !is_limited(Resource::DATA) {
        return Ok(());
    }
    let asked = threads + of_the_sandbox;
    let stacks = std::iter::repeat_n(STACK, threads).chain(std::iter::repeat_n(STACK_OF_A_SESSION, of_the_sandbox));
    // None of them ends before all are there.
    let gate = Mutex::new(());
    let began = thread::scope(|scope| {
        let _shut = gate.lock().unwrap_or_else(PoisonError::into_inner);
        for (began, stack) in stacks.enumerate() {
            let takes_the_last = has_room_for(stack + ARENA) && !has_room_for(stack + ARENA + BESIDE_A_STACK);
            if takes_the_last || !has_room_for(stack + BESIDE_A_STACK) {
                return began;
            }
            let (tells, begins) = mpsc::sync_channel(1);
            let gate = &gate;
            let stands = move || {
                // The caller waits for it.
                let _ = tells.send(());
                drop(gate.lock());
            };
            if thread::Builder::new().stack_size(stack).spawn_scoped(scope, stands).is_err() || begins.recv().is_err() {
                return began;
            }
        }
        if has_room_for(HEAP + asked * HEAP_OF_A_THREAD) { asked } else { asked - 1 }
    });
    if began < asked {
        let beside = if of_the_sandbox > 0 { ", those of the sandbox included" } else { "" };
        bail!(
            "the system gave only {began} of {asked} threads the memory they need{beside}; use {fewer}, or raise \
             its limit (ulimit -v)"
        );
    }
    Ok(())
}

/// Whether the process may still have so much. Asked of the system: an allocator may have it in stock.
fn has_room_for(bytes: usize) -> bool {
    let used = std::fs::read_to_string(MEMORY).unwrap_or_default();
    let used: Vec<u64> = used.split(' ').filter_map(|pages| pages.trim().parse().ok()).collect();
    [(Resource::AS, 0), (Resource::DATA, 5)].into_iter().all(|(resource, field)| {
        let pages = used.get(field).copied().unwrap_or_default();
        let used = pages.saturating_mul(rustix::param::page_size() as u64);
        resource.get_soft().map_or(true, |most| most.saturating_sub(used) >= bytes as u64)
    })
}

/// What the process needs beside its connections: standard streams, files, resolver, a margin.
const BESIDE: u64 = 64;

/// Raises the limit on open files to what `connections` need, `each` one its number: for our end, for the server's
/// if it is in this process, for the transcript.
///
/// # Errors
/// The system allows fewer: one line that says how many, and the cure.
pub fn make_room_for(connections: usize, each: u64, fewer: &str) -> Result<()> {
    let needed = (connections as u64).saturating_mul(each).saturating_add(BESIDE);
    match rlimit::increase_nofile_limit(needed) {
        Ok(allowed) if allowed < needed => bail!(
            "{connections} connections need {needed} open files, and the system allows {allowed}; raise the limit \
             (ulimit -n {needed}), or use {fewer}"
        ),
        // Where the limit cannot be read, the run itself shows whether it suffices.
        _ => Ok(()),
    }
}
