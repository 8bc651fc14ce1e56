//! What should come of a step, and what should be true at a line.

use super::values::{mode, number};
use super::{Name, Parser};
use crate::allocator::{Reason, Refusal};
use crate::event::{Expectation, Independent, Wanted};
use crate::judge::ALL;
use crate::protocol::FailureKind;
use crate::scenario::error::ParseError;
use crate::scenario::script::Expected;
use crate::scenario::words::{Word, Words};

impl<'a> Parser<'a> {
    /// `=> …`, if it is there.
    pub(super) fn expected(&self, words: &mut Words<'a>) -> Result<Option<Expected>, ParseError> {
        if !words.takes("=>") {
            return Ok(None);
        }
        let text = words.text.split_once("=>").map_or("", |(_, text)| text.trim()).to_owned();
        let (mut any_of, mut from, mut session) = (vec![self.wanted(words)?], None, None);
        while words.takes("or") {
            any_of.push(self.wanted(words)?);
        }
        loop {
            let column = words.column();
            let twice = |word| Err(ParseError::at(column, format!("`{word}` stands twice in what is expected")));
            if words.takes("from") {
                if from.is_some() {
                    return twice("from");
                }
                from = Some(words.take("a mailbox")?.text.to_owned());
            } else if words.takes("session") {
                if session.is_some() {
                    return twice("session");
                }
                let number = number(words, "a session's number")?;
                session = Some(u32::try_from(number).unwrap_or(u32::MAX));
            } else {
                return Ok(Some(Expected { text, expectation: Expectation::Result { any_of, from, session } }));
            }
        }
    }

    fn wanted(&self, words: &mut Words<'a>) -> Result<Wanted, ParseError> {
        const WHAT: &str = "one of main, default, default-created, explicit, a connection's name, opened, disposed, nothing, \
                            refused, fails, panics, ok";
        let word = words.take(WHAT)?;
        Ok(match word.text {
            "ok" => Wanted::Ok,
            "main" => Wanted::Because { reason: Reason::Main },
            "default" => Wanted::Because { reason: Reason::Default },
            "default-created" => Wanted::Because { reason: Reason::DefaultCreated },
            "explicit" => Wanted::Because { reason: Reason::Explicit },
            "opened" => Wanted::Opened,
            "disposed" => Wanted::Disposed,
            "nothing" => Wanted::Nothing,
            "panics" => Wanted::Panics,
            "refused" => {
                let rules = Refusal::RULES.into_iter().map(|rule| (rule, rule.to_owned()));
                Wanted::Refused { rule: one_of(words, rules, "a rule that refuses")? }
            }
            "fails" => {
                let kinds = FailureKind::ALL.into_iter().map(|kind| (kind.name(), kind));
                Wanted::Fails { kind: one_of(words, kinds, "a word for failure (mailconn explain lists them)")? }
            }
            name => match self.names.get(name) {
                Some(Name::Connection(_)) => Wanted::On { name: name.to_owned() },
                _ => return Err(word.is_no(WHAT)),
            },
        })
    }

    pub(super) fn expect(&mut self, words: &mut Words<'a>) -> Result<Expectation, ParseError> {
        const WHAT: &str =
            "one of open:, sessions:, opened:, sign-ins:, mode, order:, finding, no finding, no findings";
        let word = words.take(WHAT)?;
        match word.text {
            "open:" => self.open(words),
            "sessions:" => Ok(Expectation::Sessions { open: number(words, "a number of sessions")? }),
            "opened:" => {
                let sessions = number(words, "a number of sessions")?;
                Ok(Expectation::Opened { client: self.name_after(words, None)?, sessions })
            }
            "sign-ins:" => {
                let tried = number(words, "a number of sign-ins")?;
                Ok(Expectation::SignIns { client: self.name_after(words, None)?, tried })
            }
            "mode" => {
                let mode = mode(words)?;
                let column = words.column();
                let client = self.client_after(words, None)?;
                self.is_held(client, column)?;
                Ok(Expectation::Mode { client: self.script.clients[client].name.clone(), mode })
            }
            "order:" => {
                let mut threads = Vec::new();
                while !words.is_over() {
                    let thread = self.thread_named(&words.take("a thread")?)?;
                    threads.push(self.script.threads[thread].clone());
                }
                Ok(Expectation::Order { threads })
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
    fn open(&self, words: &mut Words<'a>) -> Result<Expectation, ParseError> {
        const WHAT: &str =
            "one of nothing, main, an independent connection's name, a number of defaults like 2-default";
        let (mut nothing, mut main, mut connections, mut defaults) = (false, false, Vec::new(), 0);
        let mut owner = None;
        let twice = |word: &Word<'_>| Err(ParseError::at(word.column, format!("`{}` is named twice", word.text)));
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
                return Err(ParseError::at(
                    word.column,
                    "`nothing` stands alone: either nothing is open, or what is named",
                ));
            }
        }
        let client = self.name_after(words, owner)?;
        let named = |connection: usize| self.script.connections[connection].clone();
        let independent =
            connections.into_iter().map(|at| Independent { name: named(at), connection: None, open: true });
        Ok(Expectation::Open { client, main, independent: independent.collect(), defaults })
    }

    /// The name of the client that is meant; empty if it has none.
    fn name_after(&self, words: &mut Words<'a>, usual: Option<usize>) -> Result<String, ParseError> {
        self.client_after(words, usual).map(|client| self.script.clients[client].name.clone())
    }
}

/// The next word if it is one of these; none if the expectation goes on, or is over.
fn one_of<T>(
    words: &mut Words<'_>,
    mut known: impl Iterator<Item = (&'static str, T)>,
    what: &str,
) -> Result<Option<T>, ParseError> {
    if words.is_over() || matches!(words.peek(), Some("or" | "from" | "session")) {
        return Ok(None);
    }
    let word = words.take(what)?;
    known.find(|(name, _)| *name == word.text).map(|(_, known)| Some(known)).ok_or_else(|| word.is_no(what))
}

fn finding(words: &mut Words<'_>) -> Result<String, ParseError> {
    let word = words.take("a finding's name, like MC010")?;
    let known: Vec<&str> = ALL.iter().map(|spec| spec.id).collect();
    if known.contains(&word.text) {
        return Ok(word.text.to_owned());
    }
    let message = format!("`{}` is no finding; there are {}", word.text, known.join(", "));
    Err(ParseError::at(word.column, message))
}
