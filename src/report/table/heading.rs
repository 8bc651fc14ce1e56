//! What was asked for, in one paragraph.

use crate::report::layout::{Layout, Tone};
use crate::event::{Asked, Executor, RunStart};
use crate::report::known::Known;
use crate::report::words::{self, count, many, printable, span};

/// What was asked for.
pub(super) fn heading(layout: Layout, start: &RunStart) -> String {
    let (threads, tasks) = (start.workers.len() as u64, start.tasks.len() as u64);
    let asked = match start.asked {
        Some(Asked::Operations(_) | Asked::InAll(_)) => {
            asked_in_all(start).map(|all| format!(", {}", many(all, "operation")))
        }
        Some(Asked::Duration(duration)) => Some(format!(", {}", span(duration))),
        None => None,
    };
    let asked = asked.unwrap_or_default();
    let switches: String =
        start.switches.iter().map(|switch| format!(", {} after {}", switch.mode, count(switch.after))).collect();
    let (server, mode, threads) = (server(start), start.mode, many(threads, "thread"));
    let tasks = match start.executor {
        Executor::Threads => String::new(),
        Executor::Pool => format!(" of a pool, {}", many(tasks, "task")),
        Executor::Tasks => format!(", {}", many(tasks, "asynchronous task")),
    };
    let seed = start.seed.map_or_else(String::new, |seed| format!(", seed {seed}"));
    let heading = layout.paragraph(&format!("{server}, {mode}{switches}, {threads}{tasks}{asked}{seed}"));
    layout.toned(Tone::Name, &heading)
}

/// Which mailconn ran it, as which run, and when; and on which software, if that is known.
pub(super) fn origin(layout: Layout, start: &RunStart, software: Option<&Known>) -> String {
    let software = software.map_or_else(String::new, |known| format!(", on {}", known.name));
    layout.origin(&(words::origin(&start.tool_version, Some(&start.run_id), start.started) + &software))
}

/// The server, and how far away the sandbox was set.
pub(super) fn server(start: &RunStart) -> String {
    let far = start.sandbox.as_ref().and_then(|sandbox| sandbox.rtt_us);
    let far = far.map_or_else(String::new, |rtt| format!(" (rtt {})", span(rtt)));
    printable(&start.server) + &far
}

/// How many operations were asked for, if a number was.
pub(super) fn asked_in_all(start: &RunStart) -> Option<u64> {
    let each_of = if start.tasks.is_empty() { start.workers.len() } else { start.tasks.len() };
    start.asked?.of_all(each_of)
}
