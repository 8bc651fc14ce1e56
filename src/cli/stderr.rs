//! What is said on standard error.

use std::fmt::Display;
use std::io::{self, Write};

use mailconn::report::push_visible;

/// Said where certificates are not verified.
pub(super) const UNVERIFIED: &str = "WARNING: certificates are not verified (--insecure): anyone may be the server";

/// One line on stderr, whatever it repeats: a file's name may hold a line's end, or what moves the cursor.
pub(super) fn complain(line: &str) {
    say(format_args!("mailconn: {}\n", escaped(line.trim_end())));
}

/// Text for a terminal: control characters, and those that turn the direction of writing, are shown and not obeyed.
pub(super) fn escaped(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    text.chars().for_each(|character| push_visible(&mut clean, character));
    clean
}

pub(super) fn say(text: impl Display) {
    // A closed stderr is no error: the exit code says the same.
    let _ = write!(io::stderr(), "{text}");
}
