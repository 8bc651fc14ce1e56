//! What a picture leaves out, in sentences.

use super::course::{Course, LANES};
use crate::report::words::{count, many, span};

pub(super) fn notes(course: &Course) -> Vec<String> {
    let operations = (!course.is_whole()).then(|| operations(course));
    let until = course.selected_until.map(|until| {
        format!("What was selected is drawn until {}: there are more changes than are kept.", span(until))
    });
    let kept = (course.sessions.len() as u64, course.refusals.len() as u64);
    let sessions = spread(kept.0, course.opened, "sessions");
    let refusals = spread(kept.1, course.refused, "refused connections");
    operations.into_iter().chain(until).chain(sessions).chain(refusals).collect()
}

fn operations(course: &Course) -> String {
    let drawn = course.operations.len() as u64;
    let telling = course.operations.iter().filter(|op| op.is_telling()).count() as u64;
    let (others, all_others) = (count(drawn - telling), count(course.seen - course.telling));
    let others = format!("{others} of the {all_others} others, spread over the run, the slowest among them");
    let which = match course.telling {
        0 => "some that are spread over the run, and the slowest".to_owned(),
        all if all == telling => format!("all {} that failed or came from the wrong mailbox, and {others}", count(all)),
        all => {
            let telling = count(telling);
            format!(
                "{telling} of the {} that failed or came from the wrong mailbox, spread over the run, and {others}",
                count(all)
            )
        }
    };
    let counted = if course.of_connections.is_full(LANES) || course.of_workers.is_full(LANES) {
        format!(" of the first {LANES}")
    } else {
        String::new()
    };
    format!(
        "{} of {} are drawn one by one: {which}. The grey behind them shows how busy each lane{counted} was with all of them.",
        count(drawn),
        many(course.seen, "operation")
    )
}

fn spread(kept: u64, all: u64, what: &str) -> Option<String> {
    (kept < all).then(|| format!("{} of the {} {what} are drawn, spread over the run.", count(kept), count(all)))
}
