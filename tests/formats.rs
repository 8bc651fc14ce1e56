//! Reports for other readers than a person at a terminal: several at once, pages, traces.

mod browser;
mod color;
mod html;
mod schema;
mod several;
mod trace_events;

use std::path::Path;

use crate::cli::process::{Ended, end, mailconn};

/// The command in that directory.
fn within(directory: &Path, args: &str) -> Ended {
    end(mailconn(args.split_whitespace()).current_dir(directory))
}

fn written(directory: &Path, name: &str) -> String {
    std::fs::read_to_string(directory.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
