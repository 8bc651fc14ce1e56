//! The lines of a scenario: they name mailboxes and users before anything is done to them.

use super::names::Names;

/// A mailbox may stand behind these words.
const BEFORE_MAILBOXES: [&str; 5] = ["status", "fetch", "search", "select", "from"];

impl Names {
    /// A line of a scenario, with other names in it.
    pub(super) fn step(&mut self, line: &str) -> String {
        let words: Vec<&str> = words(line).collect();
        for user in words.iter().filter_map(|word| word.strip_prefix("user=")) {
            self.user(user);
        }
        for pair in words.windows(2).filter(|pair| BEFORE_MAILBOXES.contains(&pair[0]) && pair[1] != "=>") {
            self.mailbox(pair[1]);
        }
        self.text(line)
    }
}

/// Its words; what stands between quotes is one.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').enumerate().flat_map(|(number, part)| {
        let is_quoted = number % 2 == 1;
        part.split(move |c: char| !is_quoted && (c.is_whitespace() || c == ';')).filter(|word| !word.is_empty())
    })
}
