//! Names by which lines refer to each other: what one is called once, it is called always.

use std::collections::HashMap;

use super::names::{Names, Spelling};
use crate::allocator::Mode;
use crate::protocol::are_usual;

/// So many bytes of them are kept.
const MOST: usize = 1 << 20;
/// What stands behind these flags of a variant names mailboxes, or users.
const OF_MAILBOXES: [&str; 2] = ["--mailbox", "--scratch-under"];
const OF_USERS: [&str; 2] = ["--from", "--to"];

/// The labels that were met.
#[derive(Debug, Default)]
pub(super) struct Labels {
    called: HashMap<String, String>,
    /// Those that were met in this line.
    fresh: Vec<String>,
    renamed: Vec<Spelling>,
    last: String,
    bytes: usize,
}

impl Names {
    /// A label, with other names in it.
    pub(super) fn label(&mut self, label: &str) -> String {
        label.clone_into(&mut self.labels.last);
        if let Some(called) = self.labels.called.get(label) {
            return called.clone();
        }
        let called = self.text(label);
        if self.labels.bytes + label.len() <= MOST {
            self.labels.fresh.push(label.to_owned());
            self.labels.call(label, &called);
        }
        called
    }

    /// The line is read once more, now that more names are known; or it is done with.
    pub(super) fn settle_labels(&mut self, again: bool) {
        for label in std::mem::take(&mut self.labels.fresh).into_iter().filter(|_| again) {
            self.labels.called.remove(&label);
            self.labels.renamed.retain(|known| known.name != label);
            self.labels.bytes -= label.len();
        }
    }

    /// The flags of the variant whose name was read last. A name that was made of private ones is replaced as a whole.
    pub(super) fn arguments(&mut self, arguments: &str) -> String {
        let words = shlex::split(arguments).unwrap_or_default();
        let mut flag = None;
        for word in &words {
            let (name, value) = match (flag.take(), word.split_once('=')) {
                (Some(flag), _) => (flag, word.as_str()),
                (None, Some((name, value))) => (name, value),
                (None, None) => {
                    flag = word.starts_with("--").then_some(word.as_str());
                    continue;
                }
            };
            if OF_MAILBOXES.contains(&name) {
                self.mailbox(value);
            } else if OF_USERS.contains(&name) {
                self.user(value);
            }
        }
        let told = self.text(arguments);
        let name = std::mem::take(&mut self.labels.last);
        if told != arguments && !are_usual(&name) && name.parse::<Mode>().is_err() {
            let alias = self.variant(&name);
            self.labels.fresh.retain(|fresh| *fresh != name);
            self.labels.call(&name, &alias);
        }
        told
    }

    /// What is measured, of whom.
    pub(super) fn measure(&self, text: &str) -> String {
        self.labels.renamed.iter().fold(text.to_owned(), |text, label| text.replace(&label.name, &label.alias))
    }
}

impl Labels {
    fn call(&mut self, label: &str, called: &str) {
        if self.called.insert(label.to_owned(), called.to_owned()).is_none() {
            self.bytes += label.len();
        }
        self.renamed.retain(|known| known.name != label);
        if label != called {
            self.renamed.push(Spelling { name: label.to_owned(), alias: called.to_owned() });
            self.renamed.sort_by_key(|known| std::cmp::Reverse(known.name.len()));
        }
    }
}
