//! What the script knows of each operation: once, as JSON.

use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};
use serde::Serialize;

use super::course::Course;
use super::lanes::{Picture, Rows};
use super::signs::said;
use crate::protocol::Failure;

/// An operation, in the order of the script's own names: number, worker, connection (-1 for none), row, issued, wait, dial,
/// service, then the places of words: operation, mailbox, reason, mode, session, task, where it came from, failure; 0 is none.
type Row = (u64, u32, i64, usize, [u64; 4], [usize; 8]);

#[derive(Serialize)]
struct Details<'a> {
    end: u64,
    words: Vec<&'a str>,
    workers: BTreeMap<u32, String>,
    operations: Vec<Row>,
}

/// The most bytes of words in which failures are told in full: a server may word each of them anew.
const MOST: usize = 300_000;

/// Words, each once.
#[derive(Default)]
struct Words {
    places: BTreeMap<String, usize>,
    length: usize,
}

impl Words {
    fn place(&mut self, word: Option<String>) -> usize {
        let next = self.places.len() + 1;
        word.map_or(0, |word| {
            *self.places.entry(word).or_insert_with_key(|word| {
                self.length += word.len();
                next
            })
        })
    }

    fn failure(&mut self, failure: &Failure) -> usize {
        let full = said(&failure.to_string());
        match self.places.contains_key(&full) || self.length + full.len() <= MOST {
            true => self.place(Some(full)),
            false => self.place(Some(format!(
                "{} at {} (in words that this page has no room for)",
                failure.kind, failure.stage
            ))),
        }
    }
}

pub(super) fn script(course: &Course, picture: &Picture<'_>, rows: &Rows) -> Markup {
    let mut words = Words::default();
    let mut operations = Vec::with_capacity(course.operations.len());
    for op in &course.operations {
        let connection = op.connection.filter(|_| op.session.is_some()).map_or(-1, |it| i64::from(it.0));
        let places = [
            words.place(Some(op.name.to_owned())),
            words.place(op.mailbox.as_deref().map(said)),
            words.place(op.reason.map(|reason| reason.to_string())),
            words.place(Some(op.mode.name().to_owned())),
            words.place(op.session.map(|session| session.to_string())),
            words.place(op.task.and_then(|task| Some(said(&course.start.as_ref()?.task_name(task).to_string())))),
            words.place(op.elsewhere.as_deref().map(said)),
            op.failure.as_ref().map_or(0, |failure| words.failure(failure)),
        ];
        let row = rows.get(&op.number).copied().unwrap_or(0);
        let times = [op.issued, op.wait, op.dial, op.service].map(|it| it.0);
        operations.push((op.number, op.worker.0, connection, row, times, places));
    }
    let mut in_order: Vec<(&str, usize)> = words.places.iter().map(|(word, place)| (&**word, *place)).collect();
    in_order.sort_by_key(|(_, place)| *place);
    let workers = picture.workers.iter().map(|worker| (worker.0, said(&picture.called(*worker)))).collect();
    let words = in_order.into_iter().map(|(word, _)| word).collect();
    let details = Details { end: course.end.0, words, workers, operations };
    let json = serde_json::to_string(&details).unwrap_or_default();
    // In a script nothing but its end tag, and what could be mistaken for a comment, is read as markup.
    html! { script type="application/json" { (PreEscaped(json.replace('<', "\\u003c"))) } }
}
