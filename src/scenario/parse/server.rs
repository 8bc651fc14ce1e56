//! What the server is told to do, and to whom.

use std::time::Duration;

use super::values::{number, time};
use super::{Name, Parser};
use crate::protocol::Protocol;
use crate::scenario::error::ParseError;
use crate::scenario::faults::{ServerFault, SessionFault};
use crate::scenario::script::{Fault, Target, Which};
use crate::scenario::words::Words;

impl<'a> Parser<'a> {
    pub(super) fn fault(&mut self, column: usize, words: &mut Words<'a>) -> Result<Fault, ParseError> {
        self.needs_sandbox();
        const WHAT: &str = "what the server does (cuts, stalls, resumes, says, refuses, accepts, limits, lifts, delays, answers, locks or \
             shares)";
        let verb = words.take(WHAT)?;
        if self.block.is_some() {
            return Err(ParseError::at(column, "the server does nothing inside a parallel block; begin steps instead"));
        }
        let server = Fault::Server;
        match verb.text {
            "cuts" => {
                let target = self.target(words)?;
                let fault = match words.takes("by") {
                    false => SessionFault::Close,
                    true => match words.take("fin or rst")? {
                        word if word.text == "fin" => SessionFault::Close,
                        word if word.text == "rst" => SessionFault::Reset,
                        word => return Err(word.is_no("fin or rst")),
                    },
                };
                Ok(Fault::Session(target, fault))
            }
            "stalls" => Ok(Fault::Session(self.target(words)?, SessionFault::Stall)),
            "resumes" => Ok(Fault::Session(self.target(words)?, SessionFault::Resume)),
            "says" => {
                words.must("bye")?;
                words.must("to")?;
                let target = self.target(words)?;
                let text = if words.is_over() { "the server is going down" } else { words.take("what it says")?.text };
                Ok(Fault::Session(target, SessionFault::Bye(text.to_owned())))
            }
            "refuses" => words.must("connections").map(|()| server(ServerFault::RefuseConnections(true))),
            "accepts" => words.must("connections").map(|()| server(ServerFault::RefuseConnections(false))),
            "limits" => {
                words.must("connections")?;
                words.must("to")?;
                let limit = number(words, "a number of connections")?;
                Ok(server(ServerFault::LimitConnections(Some(limit))))
            }
            "lifts" => {
                words.must("the")?;
                words.must("limit")?;
                Ok(server(ServerFault::LimitConnections(None)))
            }
            "delays" => Ok(server(ServerFault::Delay(time(words)?))),
            "answers" => {
                words.must("at")?;
                words.must("once")?;
                Ok(server(ServerFault::Delay(Duration::ZERO)))
            }
            "locks" | "shares" if self.script.protocol != Protocol::Pop3 => Err(ParseError::at(
                verb.column,
                "only POP3 has maildrops: write `protocols: pop3` above, and name such a --server",
            )),
            "locks" => words.must("maildrops").map(|()| server(ServerFault::LockMaildrops(true))),
            "shares" => words.must("maildrops").map(|()| server(ServerFault::LockMaildrops(false))),
            _ => Err(verb.is_no(WHAT)),
        }
    }

    /// `main`, `k` or `default of T1`, and `on A`.
    fn target(&self, words: &mut Words<'a>) -> Result<Target, ParseError> {
        const WHAT: &str = "whose connection (main, default of T1, or an independent one's name)";
        let word = words.take(WHAT)?;
        let (which, usual) = match word.text {
            "main" => (Which::Main, None),
            "default" => {
                words.must("of")?;
                let thread = words.take("a thread")?;
                (Which::DefaultOf(self.thread_named(&thread)?), None)
            }
            name => match self.names.get(name) {
                Some(Name::Connection(connection)) => {
                    (Which::Connection(*connection), Some(self.script.owners[*connection]))
                }
                _ => return Err(word.is_no(WHAT)),
            },
        };
        Ok(Target { client: self.client_after(words, usual)?, which })
    }

    pub(super) fn needs_sandbox(&mut self) {
        self.script.needs_sandbox.get_or_insert(self.line);
    }
}
