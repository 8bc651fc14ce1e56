//! The truth table of the rules, from the code that decides.

use super::articles::{RULES, chapter};
use crate::allocator::{ConnectionId, Mode, Reason, may_create_default, route};
use crate::report::layout::{Layout, names};

/// The truth table: the code that decides, asked for all its inputs.
pub(super) fn table() -> String {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let inputs = Mode::ALL.into_iter().flat_map(|mode| {
        [(true, false), (true, true), (false, true), (false, false)].map(|(passed, has)| (mode, passed, has))
    });
    let uses = inputs.map(|(mode, passed, has)| {
        let reason = route(mode, has, passed);
        vec![mode.name().to_owned(), yes(passed), yes(has), uses(reason).to_owned(), reason.name().to_owned()]
    });
    let inputs = Mode::ALL.into_iter().flat_map(|mode| [None, Some(ConnectionId(1))].map(|existing| (mode, existing)));
    let creates = inputs.map(|(mode, existing)| {
        let answer = match may_create_default(mode, existing) {
            Ok(()) => "created".to_owned(),
            Err(refusal) => format!("refused ({})", refusal.rule()),
        };
        vec![mode.name().to_owned(), yes(existing.is_some()), answer]
    });
    let numbers: Vec<_> = chapter(RULES).map(|rule| rule.name).collect();
    [
        Layout::PLAIN
            .paragraph("Which connection an operation uses (A1-A3): was one passed, and has this thread a default?"),
        Layout::PLAIN.grid(&["mode", "passed", "default", "uses", "reason"].map(names), &[], uses),
        Layout::PLAIN.paragraph("Whether a thread may create a default by hand (C2, C3):"),
        Layout::PLAIN.grid(&["mode", "default", "answer"].map(names), &[], creates),
        Layout::PLAIN.paragraph(&format!("Each rule by its number, mailconn explain A7: {}", numbers.join(" "))),
    ]
    .join("\n")
}

const fn uses(reason: Reason) -> &'static str {
    match reason {
        Reason::Explicit => "the passed one",
        Reason::Main => "main",
        Reason::Default => "that default",
        Reason::DefaultCreated => "a default, created first",
    }
}
