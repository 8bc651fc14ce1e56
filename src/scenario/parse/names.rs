//! Names: what may be one, and which client or connection it stands for.

use super::{Name, Parser};
use crate::scenario::error::ParseError;
use crate::scenario::words::{Word, Words};

/// Words that an expectation knows, so that no connection can have them.
const RESERVED: [&str; 20] = [
    "main",
    "default",
    "default-created",
    "explicit",
    "ok",
    "opened",
    "disposed",
    "nothing",
    "panics",
    "refused",
    "fails",
    "from",
    "session",
    "or",
    "on",
    "via",
    "of",
    "by",
    "to",
    "end",
];

impl<'a> Parser<'a> {
    /// A name that nothing has yet: with a capital letter, or in small letters as connections have it.
    pub(super) fn new_name(&self, words: &mut Words<'a>, capital: bool) -> Result<&'a str, ParseError> {
        let what = if capital { "a new name, with a capital letter," } else { "a new name, in small letters," };
        let word = words.take(what)?;
        let first_is_right = word.text.starts_with(|c: char| if capital { c.is_uppercase() } else { c.is_lowercase() });
        if word.quoted || !first_is_right {
            return Err(word.is_no(what));
        }
        plain(&word)?;
        if self.names.contains_key(word.text) || RESERVED.contains(&word.text) {
            return Err(ParseError::at(word.column, format!("`{}` already means something else", word.text)));
        }
        Ok(word.text)
    }

    /// The name of a default's handle: new, or another thread's handle has it too.
    pub(super) fn fresh_handle(&mut self, words: &mut Words<'a>) -> Result<String, ParseError> {
        let name = self.new_name(words, false)?;
        self.handles.insert(name);
        Ok(name.to_owned())
    }

    /// The name of a default's handle, as a line above gives it.
    pub(super) fn handle(&self, word: &Word<'a>, what: &str) -> Result<String, ParseError> {
        match self.handles.get(word.text) {
            Some(name) if !word.quoted => Ok((*name).to_owned()),
            _ => Err(word.is_no(what)),
        }
    }

    pub(super) fn connection(&self, words: &mut Words<'a>) -> Result<usize, ParseError> {
        const WHAT: &str = "the name of an independent connection (`create k` gives one)";
        let word = words.take(WHAT)?;
        match self.names.get(word.text) {
            Some(Name::Connection(connection)) if !word.quoted => Ok(*connection),
            _ if ["main", "default"].contains(&word.text) || self.handles.contains(word.text) => {
                let message = format!("{WHAT} is expected here: no handle passes main or a default (A5)");
                Err(ParseError::at(word.column, format!("`{}` found; {message}", word.text)))
            }
            _ => Err(word.is_no(WHAT)),
        }
    }

    /// The client behind `on`, else `usual`, else the only one.
    pub(super) fn client_after(&self, words: &mut Words<'a>, usual: Option<usize>) -> Result<usize, ParseError> {
        if words.takes("on") {
            return self.client_named(words);
        }
        usual.filter(|client| *client < self.script.clients.len()).map_or_else(|| self.some_client(words), Ok)
    }

    pub(super) fn client_named(&self, words: &mut Words<'a>) -> Result<usize, ParseError> {
        const WHAT: &str = "a client, as `client A use-main` names it,";
        let word = words.take(WHAT)?;
        match self.names.get(word.text) {
            Some(Name::Client(client)) => Ok(*client),
            _ => Err(word.is_no(WHAT)),
        }
    }

    /// The only client.
    pub(super) fn some_client(&self, words: &Words<'a>) -> Result<usize, ParseError> {
        let column = words.column();
        match &self.script.clients[..] {
            [_] => Ok(0),
            [] => {
                Err(ParseError::at(column, "there is no client yet; begin with one, like `client use-main-or-default`"))
            }
            [first, ..] => {
                let message = "there are several clients: say which one, like";
                Err(ParseError::at(column, format!("{message} `{}`", words.with_here(&format!("on {}", first.name)))))
            }
        }
    }

    /// The client that a `close` or a `drop` names, or the only one.
    pub(super) fn client_to_end(&self, verb: &str, words: &mut Words<'a>) -> Result<usize, ParseError> {
        let column = words.column();
        let client = match &self.script.clients[..] {
            [first, _, ..] if words.is_over() => {
                let message = format!("there are several clients: say which one, like `{verb} {}`", first.name);
                return Err(ParseError::at(column, message));
            }
            _ if words.is_over() => self.some_client(words)?,
            _ => self.client_named(words)?,
        };
        self.is_held(client, column).map(|()| client)
    }

    /// Somebody has that client still, and can ask it.
    pub(super) fn is_held(&self, client: usize, column: usize) -> Result<(), ParseError> {
        match self.dropped.get(&client) {
            None => Ok(()),
            Some(line) => {
                let whose = self.script.whose(client).unwrap_or_else(|| "the client".to_owned());
                let message = format!("nobody holds {whose} any more, so nobody can ask it: line {line} drops it");
                Err(ParseError::at(column, message))
            }
        }
    }
}

/// A name is letters, digits, hyphens and underscores.
pub(super) fn plain(word: &Word<'_>) -> Result<(), ParseError> {
    let fits =
        word.text.chars().count() <= 40 && word.text.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    if fits { Ok(()) } else { Err(word.is_no("a name (letters, digits, - and _, at most 40)")) }
}

pub(super) fn is_lower_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_lowercase()) && word != "on"
}
