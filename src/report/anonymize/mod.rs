//! Reports for others: users, hosts, mailboxes and addresses by other names, before anybody judges or tells.
//!
//! What is judged and told is a stream of events, and an event is its JSON line. So the names are replaced there, in every string
//! that is not of a fixed list: all that is made of the stream is without them, whatever its form. What is made of usual words
//! alone says nothing of anybody and stays, as do providers that everybody knows: a server's refusal means what it meant.

mod fields;
mod json;
mod labels;
mod names;
mod reader;
mod shapes;
mod steps;
mod text;

use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::event::{self, Event, Within};
use fields::Field;
use names::Names;
use reader::Anonymous;

/// Replaces names, each by the same one every time. Its clones know the same names.
#[derive(Clone, Debug, Default)]
pub struct Anonymizer(Arc<Mutex<Names>>);

impl Anonymizer {
    fn names(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The event with other names in it. None if it cannot be read then, which is a defect: it is not told at all.
    #[must_use]
    pub fn event(&self, within: Within<'_>, event: &Event) -> Option<Event> {
        let mut line = Vec::new();
        event::write(event, SystemTime::UNIX_EPOCH, within, &mut line);
        let line = self.json(str::from_utf8(&line).ok()?);
        event::read(line.trim_end().as_bytes()).ok().map(|(event, ..)| event)
    }

    /// A name by which lines refer to each other: that of a client, or of a thread.
    #[must_use]
    pub fn label(&self, label: &str) -> String {
        let mut names = self.names();
        let called = names.label(label);
        names.settle_labels(false);
        called
    }

    /// What is measured, and of whom: only labels are replaced.
    #[must_use]
    pub fn measure(&self, measure: &str) -> String {
        self.names().measure(measure)
    }

    /// A server, by its address or by what it is called.
    #[must_use]
    pub fn server(&self, server: &str) -> String {
        let mut names = self.names();
        names.server(server).unwrap_or_else(|| names.text(server))
    }

    /// A host, by its name or its address.
    #[must_use]
    pub fn host(&self, host: &str) -> String {
        self.names().host(host)
    }

    /// A text.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.names().text(text)
    }

    /// A stored file, as it is read.
    pub fn read<R: Read + Send>(&self, from: R) -> impl Read + Send + use<R> {
        Anonymous::new(from, self.clone())
    }

    /// A line of a stream, or a document.
    fn json(&self, text: &str) -> String {
        let mut names = self.names();
        loop {
            let known = names.len();
            let replaced = names.json(text);
            // What one of its strings has shown to be a name is one in all of them.
            let again = names.len() > known;
            names.settle_labels(again);
            if !again {
                return replaced;
            }
        }
    }
}

impl Names {
    fn json(&mut self, text: &str) -> String {
        let mut event = String::new();
        json::replaced(text, |path, string| {
            if matches!(path, [name] if name == "event") {
                event = string.to_owned();
            }
            self.string(fields::of(&event, path), string)
        })
    }

    fn string(&mut self, field: Field, string: &str) -> String {
        match field {
            Field::Closed => string.to_owned(),
            Field::Server => self.server(string).unwrap_or_else(|| self.text(string)),
            Field::Host => self.host(string),
            Field::Mailbox => self.mailbox(string),
            Field::Label => self.label(string),
            Field::File => self.known_in(string.rsplit('/').next().unwrap_or_default()),
            Field::Arguments => self.arguments(string),
            Field::Measure => self.measure(string),
            Field::Step => self.step(string),
            Field::Text => self.text(string),
        }
    }
}
