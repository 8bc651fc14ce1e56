//! A client, and how it is to be made.

use std::collections::HashSet;

use super::values::{mode, time_of};
use super::{MOST_CLIENTS, Name, Parser};
use crate::allocator::Mode;
use crate::scenario::error::ParseError;
use crate::scenario::script::{ClientPlan, StepKind};
use crate::scenario::words::Words;

impl<'a> Parser<'a> {
    pub(super) fn client(&mut self, words: &mut Words<'a>) -> Result<StepKind, ParseError> {
        let column = words.column();
        // `UseMain` is a mode too.
        let is_name = |word: &str| word.starts_with(|c: char| c.is_uppercase()) && word.parse::<Mode>().is_err();
        let named = words.peek().is_some_and(is_name);
        let name = if named { self.new_name(words, true)? } else { "" };
        if (!named || self.script.clients.iter().any(|client| client.name.is_empty()))
            && !self.script.clients.is_empty()
        {
            return Err(ParseError::at(column, "of several clients each has a name: `client A use-main`"));
        }
        if self.script.clients.len() == MOST_CLIENTS {
            return Err(ParseError::at(column, format!("a scenario has at most {MOST_CLIENTS} clients")));
        }
        let mut plan = ClientPlan {
            name: name.to_owned(),
            mode: mode(words)?,
            max_connections: None,
            wait_timeout: None,
            operation_timeout: None,
            connect_timeout: None,
            wrong_password: false,
            user: None,
        };
        let mut set = HashSet::new();
        while !words.is_over() {
            let column = words.column();
            let setting = self.client_setting(words, &mut plan)?;
            if !set.insert(setting) {
                return Err(ParseError::at(column, format!("`{setting}` is set twice; a client has one of it")));
            }
        }
        let number = self.script.clients.len();
        if named {
            self.names.insert(name, Name::Client(number));
        }
        self.script.clients.push(plan);
        Ok(StepKind::MakeClient(number))
    }

    /// What is set, by its name.
    fn client_setting(&mut self, words: &mut Words<'a>, plan: &mut ClientPlan) -> Result<&'a str, ParseError> {
        const WHAT: &str = "a setting (user=NAME, cap=N, wait=TIME, timeout=TIME, connect=TIME or wrong-password)";
        let word = words.take(WHAT)?;
        if word.text == "wrong-password" {
            self.needs_sandbox();
            plan.wrong_password = true;
            return Ok(word.text);
        }
        let (key, value) = word.text.split_once('=').ok_or_else(|| word.is_no(WHAT))?;
        match key {
            "cap" => {
                let cap = value.parse().ok().filter(|cap| *cap >= 1);
                plan.max_connections = Some(cap.ok_or_else(|| word.is_no("a number of connections, like cap=2"))?);
            }
            "user" => {
                if value.is_empty() || value.contains(char::is_control) {
                    return Err(word.is_no("a user's name, like user=u2"));
                }
                plan.user = Some(value.to_owned());
                self.script.users.push((self.line, value.to_owned()));
            }
            "wait" => plan.wait_timeout = Some(time_of(&word, value)?),
            "timeout" => plan.operation_timeout = Some(time_of(&word, value)?),
            "connect" => plan.connect_timeout = Some(time_of(&word, value)?),
            _ => return Err(word.is_no(WHAT)),
        }
        Ok(key)
    }
}
