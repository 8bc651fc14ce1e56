//! What should come of a step, and what should be true at a line.

use super::values::{mode, number};
use super::{Name, Parser};
use crate::allocator::Refusal;
use crate::judge::ALL;
use crate::protocol::FailureKind;
use crate::scenario::error::Wrong;
use crate::scenario::script::{Expectation, Expected, Wanted};
use crate::scenario::words::{Word, Words};

impl<'a> Parser<'a> {
    /// `=> …`, if it is there.
    pub(super) fn expected(&self, words: &mut Words<'a>) -> Result<Option<Expected>, Wrong> {
        if !words.takes("=>") {
            return Ok(None);
        }
        let text = words.text.split_once("=>").map_or("", |(_, text)| text.trim()).to_owned();
        let mut expected = Expected { text, any_of: vec![self.wanted(words)?], from: None, session: None };
        while words.takes("or") {
            expected.any_of.push(self.wanted(words)?);
        }
        loop {
            let column = words.column();
            let twice = |word| Err(Wrong::at(column, format!("`{word}` stands twice in what is expected")));
            if words.takes("from") {
                if expected.from.is_some() {
                    return twice("from");
                }
                expected.from = Some(words.take("a mailbox")?.text.to_owned());
            } else if words.takes("session") {
                if expected.session.is_some() {
                    return twice("session");
                }
                let session = number(words, "a session's number")?;
                expected.session = Some(u32::try_from(session).unwrap_or(u32::MAX));
            } else {
                return Ok(Some(expected));
            }
        }
    }

    fn wanted(&self, words: &mut Words<'a>) -> Result<Wanted, Wrong> {
        const WHAT: &str = "one of main, default, default-created, explicit, a connection's name, opened, disposed, nothing, \
                            refused, fails, panics, ok";
        let word = words.take(WHAT)?;
        Ok(match word.text {
            "ok" => Wanted::Ok,
            "main" => Wanted::Main,
            "default" => Wanted::Default,
            "default-created" => Wanted::DefaultCreated,
            "explicit" => Wanted::Explicit,
            "opened" => Wanted::Opened,
            "disposed" => Wanted::Disposed,
            "nothing" => Wanted::Nothing,
            "panics" => Wanted::Panics,
            "refused" => Wanted::Refused(one_of(
                words,
                Refusal::RULES.into_iter().map(|rule| (rule, rule)),
                "a rule that refuses",
            )?),
            "fails" => {
                let kinds = FailureKind::ALL.into_iter().map(|kind| (kind.name(), kind));
                Wanted::Fails(one_of(words, kinds, "a word for failure (mailconn explain lists them)")?)
            }
            name => match self.names.get(name) {
                Some(Name::Connection(connection)) => Wanted::Connection(*connection),
                _ => return Err(word.is_no(WHAT)),
            },
        })
    }

    pub(super) fn expect(&mut self, words: &mut Words<'a>) -> Result<Expectation, Wrong> {
        const WHAT: &str =
            "one of open:, sessions:, opened:, sign-ins:, mode, order:, finding, no finding, no findings";
        let word = words.take(WHAT)?;
        match word.text {
            "open:" => self.open(words),
            "sessions:" => Ok(Expectation::Sessions(number(words, "a number of sessions")?)),
            "opened:" => {
                let sessions = number(words, "a number of sessions")?;
                Ok(Expectation::Opened { client: self.client_after(words, None)?, sessions })
            }
            "sign-ins:" => {
                let tried = number(words, "a number of sign-ins")?;
                Ok(Expectation::SignIns { client: self.client_after(words, None)?, tried })
            }
            "mode" => {
                let mode = mode(words)?;
                let column = words.column();
                let client = self.client_after(words, None)?;
                self.is_held(client, column)?;
                Ok(Expectation::Mode { client, mode })
            }
            "order:" => {
                let mut threads = Vec::new();
                while !words.is_over() {
                    threads.push(self.thread_named(&words.take("a thread")?)?);
                }
                Ok(Expectation::Order(threads))
            }
            "finding" => Ok(Expectation::Finding { id: finding(words)?, there: true }),
            "no" => match words.take("finding or findings")? {
                word if word.text == "findings" => Ok(Expectation::NoFindings),
                word if word.text == "finding" => Ok(Expectation::Finding { id: finding(words)?, there: false }),
                word => Err(word.is_no("finding or findings")),
            },
            _ => Err(word.is_no(WHAT)),
        }
    }

    /// `nothing`, or any of `main`, independent connections' names and `2-default`.
    fn open(&self, words: &mut Words<'a>) -> Result<Expectation, Wrong> {
        const WHAT: &str =
            "one of nothing, main, an independent connection's name, a number of defaults like 2-default";
        let (mut nothing, mut main, mut connections, mut defaults) = (false, false, Vec::new(), 0);
        let mut owner = None;
        let twice = |word: &Word<'_>| Err(Wrong::at(word.column, format!("`{}` is named twice", word.text)));
        if words.is_over() {
            words.take(WHAT)?;
        }
        while !words.is_over() && words.peek() != Some("on") {
            let word = words.take(WHAT)?;
            let count = word.text.strip_suffix("-default").or_else(|| word.text.strip_suffix("-defaults"));
            match (word.text, count.and_then(|count| count.parse::<usize>().ok())) {
                ("nothing", _) if nothing => return twice(&word),
                ("nothing", _) => nothing = true,
                ("main", _) if main => return twice(&word),
                ("main", _) => main = true,
                ("default", _) => defaults += 1,
                (_, Some(count)) => defaults += count,
                (name, None) => match self.names.get(name) {
                    Some(Name::Connection(connection)) if connections.contains(connection) => return twice(&word),
                    Some(Name::Connection(connection)) => {
                        owner = owner.or(Some(self.script.owners[*connection]));
                        connections.push(*connection);
                    }
                    _ => return Err(word.is_no(WHAT)),
                },
            }
            if nothing && (main || defaults > 0 || !connections.is_empty()) {
                return Err(Wrong::at(word.column, "`nothing` stands alone: either nothing is open, or what is named"));
            }
        }
        let client = self.client_after(words, owner)?;
        Ok(Expectation::Open { client, main, connections, defaults })
    }
}

/// The next word if it is one of these; none if the expectation goes on, or is over.
fn one_of<T>(
    words: &mut Words<'_>,
    mut known: impl Iterator<Item = (&'static str, T)>,
    what: &str,
) -> Result<Option<T>, Wrong> {
    if words.is_over() || matches!(words.peek(), Some("or" | "from" | "session")) {
        return Ok(None);
    }
    let word = words.take(what)?;
    known.find(|(name, _)| *name == word.text).map(|(_, known)| Some(known)).ok_or_else(|| word.is_no(what))
}

fn finding(words: &mut Words<'_>) -> Result<String, Wrong> {
    let word = words.take("a finding's name, like MC010")?;
    let known: Vec<&str> = ALL.iter().map(|spec| spec.id).collect();
    if known.contains(&word.text) {
        return Ok(word.text.to_owned());
    }
    let message = format!("`{}` is no finding; there are {}", word.text, known.join(", "));
    Err(Wrong::at(word.column, message))
}
