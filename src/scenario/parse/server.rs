//! What the server is told to do, and to whom.

use std::time::Duration;

use super::values::{number, time};
use super::{Name, Parser};
use crate::protocol::Protocol;
use crate::scenario::error::Wrong;
use crate::scenario::script::{Cut, ServerDeed, Victim, Which};
use crate::scenario::words::Words;

impl<'a> Parser<'a> {
    pub(super) fn server(&mut self, column: usize, words: &mut Words<'a>) -> Result<ServerDeed, Wrong> {
        self.needs_sandbox();
        const WHAT: &str = "what the server does (cuts, stalls, resumes, says, refuses, accepts, limits, lifts, delays, answers, locks or \
             shares)";
        let verb = words.take(WHAT)?;
        if self.block.is_some() {
            return Err(Wrong::at(column, "the server does nothing inside a parallel block; begin steps instead"));
        }
        match verb.text {
            "cuts" => {
                let victim = self.victim(words)?;
                let by = match words.takes("by") {
                    false => Cut::Fin,
                    true => match words.take("fin or rst")? {
                        word if word.text == "fin" => Cut::Fin,
                        word if word.text == "rst" => Cut::Rst,
                        word => return Err(word.is_no("fin or rst")),
                    },
                };
                Ok(ServerDeed::Cut { victim, by })
            }
            "stalls" => Ok(ServerDeed::Stall { victim: self.victim(words)?, stalled: true }),
            "resumes" => Ok(ServerDeed::Stall { victim: self.victim(words)?, stalled: false }),
            "says" => {
                words.must("bye")?;
                words.must("to")?;
                let victim = self.victim(words)?;
                let text = if words.is_over() { "the server is going down" } else { words.take("what it says")?.text };
                Ok(ServerDeed::Bye { victim, text: text.to_owned() })
            }
            "refuses" => words.must("connections").map(|()| ServerDeed::Refuse(true)),
            "accepts" => words.must("connections").map(|()| ServerDeed::Refuse(false)),
            "limits" => {
                words.must("connections")?;
                words.must("to")?;
                Ok(ServerDeed::Limit(Some(number(words, "a number of connections")?)))
            }
            "lifts" => {
                words.must("the")?;
                words.must("limit")?;
                Ok(ServerDeed::Limit(None))
            }
            "delays" => Ok(ServerDeed::Delay(time(words)?)),
            "answers" => {
                words.must("at")?;
                words.must("once")?;
                Ok(ServerDeed::Delay(Duration::ZERO))
            }
            "locks" | "shares" if self.script.protocol != Protocol::Pop3 => Err(Wrong::at(
                verb.column,
                "only POP3 has maildrops: write `protocols: pop3` above, and name such a --server",
            )),
            "locks" => words.must("maildrops").map(|()| ServerDeed::LockMaildrops(true)),
            "shares" => words.must("maildrops").map(|()| ServerDeed::LockMaildrops(false)),
            _ => Err(verb.is_no(WHAT)),
        }
    }

    /// `main`, `k` or `default of T1`, and `on A`.
    fn victim(&self, words: &mut Words<'a>) -> Result<Victim, Wrong> {
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
        Ok(Victim { client: self.client_after(words, usual)?, which })
    }

    pub(super) fn needs_sandbox(&mut self) {
        self.script.needs_sandbox.get_or_insert(self.line);
    }
}
