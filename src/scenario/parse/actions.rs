//! What a thread can be told to do.

use super::names::is_lower_name;
use super::values::{mode, time};
use super::{Name, Parser};
use crate::protocol::{FETCH_SELECTED, Operation, OperationSpec, Protocol, SELECT};
use crate::scenario::error::ParseError;
use crate::scenario::script::{Action, ActionKind, Unit};
use crate::scenario::words::{Word, Words};

impl<'a> Parser<'a> {
    pub(super) fn action(&mut self, words: &mut Words<'a>) -> Result<Action, ParseError> {
        let column = words.column();
        let action = self.any_action(words)?;
        if action.kind.asks_the_client() {
            self.is_held(action.client, column)?;
        }
        Ok(action)
    }

    fn any_action(&mut self, words: &mut Words<'a>) -> Result<Action, ParseError> {
        const WHAT: &str = "an action";
        let verb = words.take(WHAT)?;
        if verb.quoted {
            return Err(verb.is_no(WHAT));
        }
        match verb.text {
            "create" => {
                let column = words.column();
                let name = self.new_name(words, false)?;
                if self.handles.contains(name) {
                    return Err(ParseError::at(column, format!("`{name}` already means a default")));
                }
                let client = self.client_after(words, None)?;
                let connection = self.script.connections.len();
                self.script.connections.push(name.to_owned());
                self.script.owners.push(client);
                self.names.insert(name, Name::Connection(connection));
                Ok(Action { client, kind: ActionKind::Create(connection) })
            }
            "create-default" => {
                let named = words.peek().is_some_and(is_lower_name);
                let name = if named { Some(self.fresh_handle(words)?) } else { None };
                Ok(Action { client: self.client_after(words, None)?, kind: ActionKind::CreateDefault(name) })
            }
            "leave" => {
                let named = words.peek().is_some_and(is_lower_name);
                let name = if named {
                    let word = words.take("a default")?;
                    Some(self.handle(&word, "a default, as `create-default d` names it,")?)
                } else {
                    None
                };
                Ok(Action { client: self.client_after(words, None)?, kind: ActionKind::Leave(name) })
            }
            "dispose" => {
                let word = words.take("a connection")?;
                let kind = match self.names.get(word.text) {
                    Some(Name::Connection(connection)) => ActionKind::Dispose(*connection),
                    _ => ActionKind::DisposeHandle(
                        self.handle(&word, "a connection, as `create k` or `create-default d` names it,")?,
                    ),
                };
                let owner = if let ActionKind::Dispose(connection) = kind {
                    Some(self.script.owners[connection])
                } else {
                    None
                };
                Ok(Action { client: self.client_after(words, owner)?, kind })
            }
            "dispose-default" => {
                Ok(Action { client: self.client_after(words, None)?, kind: ActionKind::DisposeDefault })
            }
            "release" => Ok(Action { client: self.client_after(words, Some(0))?, kind: ActionKind::Release }),
            "scope" => Ok(Action { client: self.client_after(words, None)?, kind: ActionKind::Scope }),
            "mode" => {
                let mode = mode(words)?;
                Ok(Action { client: self.client_after(words, None)?, kind: ActionKind::SetMode(mode) })
            }
            "pause" => Ok(Action { client: 0, kind: ActionKind::Pause(time(words)?) }),
            "panic" => Ok(Action { client: 0, kind: ActionKind::Panic }),
            "would" => {
                let (client, via) = self.on_which(words)?;
                Ok(Action { client, kind: ActionKind::Would { via } })
            }
            "hold" => {
                let noop = Operation::parse(self.script.protocol, "noop");
                let noop = noop.map_err(|unknown| ParseError::at(verb.column, unknown.to_string()))?;
                let (client, via) = self.on_which(words)?;
                Ok(Action { client, kind: ActionKind::Unit { unit: Unit::Whole(noop, None), via, hold: true } })
            }
            name => {
                let unit = self.unit(name, &verb, words)?;
                let (client, via) = self.on_which(words)?;
                Ok(Action { client, kind: ActionKind::Unit { unit, via, hold: false } })
            }
        }
    }

    fn unit(&mut self, name: &str, verb: &Word<'a>, words: &mut Words<'a>) -> Result<Unit, ParseError> {
        let protocol = self.script.protocol;
        let half = |half: &OperationSpec| half.protocol == protocol && half.name == name;
        if half(&SELECT) {
            return Ok(Unit::Select(self.mailbox(words)?));
        }
        if half(&FETCH_SELECTED) {
            return Ok(Unit::FetchSelected);
        }
        let operation = Operation::parse(protocol, name).map_err(|_| self.no_unit(name, verb))?;
        if !operation.spec().is_step() {
            let why = format!("`{name}` makes a mailbox of its own, and is no step; `mailconn run` has it");
            return Err(ParseError::at(verb.column, why));
        }
        self.script.writes |= operation.writes();
        let mailbox = operation.needs_mailbox().then(|| self.mailbox(words)).transpose()?;
        Ok(Unit::Whole(operation, mailbox))
    }

    /// The protocol has no unit of that name.
    fn no_unit(&self, name: &str, verb: &Word<'a>) -> ParseError {
        let protocol = self.script.protocol;
        let mut others = Protocol::ALL.into_iter().filter(|other| *other != protocol);
        let why = if let Some(other) = others.find(|other| OperationSpec::named(*other, name).is_some()) {
            let (other, this) = (other.name(), protocol.name());
            format!(
                "`{name}` is an action of {other}, and this scenario is performed by {this}: begin it with `protocols: \
                 {other}`, and name such a --server, like sandbox+{other}"
            )
        } else {
            let units: Vec<&str> = OperationSpec::steps(protocol).map(|spec| spec.name).collect();
            format!(
                "`{name}` is no action; there are create, create-default, leave, dispose, dispose-default, would, hold, release, \
                 mode, pause, scope, panic, and with {} {}",
                protocol.name(),
                units.join(", ")
            )
        };
        ParseError::at(verb.column, why)
    }

    /// The mailbox that is named next, else INBOX.
    fn mailbox(&mut self, words: &mut Words<'a>) -> Result<u16, ParseError> {
        let named = !words.is_over() && !matches!(words.peek(), Some("via" | "on" | ";" | "=>"));
        let (name, column) = if named {
            let word = words.take("a mailbox")?;
            (word.text, word.column)
        } else {
            ("INBOX", words.column())
        };
        if name.is_empty() || name.contains(char::is_control) {
            return Err(ParseError::at(column, "no server has such a mailbox"));
        }
        let known = self.script.mailboxes.iter().position(|mailbox| **mailbox == *name);
        let index = known.unwrap_or_else(|| {
            self.script.mailboxes.push(name.into());
            self.script.mailboxes.len() - 1
        });
        u16::try_from(index).map_err(|_| ParseError::at(column, "a scenario names fewer mailboxes"))
    }

    /// `via k` and `on A`, in any order.
    fn on_which(&mut self, words: &mut Words<'a>) -> Result<(usize, Option<usize>), ParseError> {
        let mut via = None;
        let mut on = None;
        loop {
            match words.peek() {
                Some("via") if via.is_none() => {
                    words.must("via")?;
                    via = Some(self.connection(words)?);
                }
                Some("on") if on.is_none() => {
                    words.must("on")?;
                    on = Some(self.client_named(words)?);
                }
                _ => break,
            }
        }
        match (on, via) {
            (Some(client), via) => Ok((client, via)),
            (None, Some(connection)) => Ok((self.script.owners[connection], via)),
            (None, None) => Ok((self.some_client(words)?, None)),
        }
    }
}
