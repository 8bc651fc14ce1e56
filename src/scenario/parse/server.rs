//! What the server is told to do, and to whom.

use std::time::Duration;

use super::values::{number, time};
use super::{Name, Parser};
use crate::protocol::Protocol;
use crate::scenario::error::Wrong;
use crate::scenario::script::{Cut, Fault, Target, Which};
use crate::scenario::words::Words;

impl<'a> Parser<'a> {
    pub(super) fn fault(&mut self, column: usize, words: &mut Words<'a>) -> Result<Fault, Wrong> {
        self.needs_sandbox();
        const WHAT: &str = "what the server does (cuts, stalls, resumes, says, refuses, accepts, limits, lifts, delays, answers, locks or \
             shares)";
        let verb = words.take(WHAT)?;
        if self.block.is_some() {
            return Err(Wrong::at(column, "the server does nothing inside a parallel block; begin steps instead"));
        }
        match verb.text {
            "cuts" => {
                let target = self.target(words)?;
                let by = match words.takes("by") {
                    false => Cut::Fin,
                    true => match words.take("fin or rst")? {
                        word if word.text == "fin" => Cut::Fin,
                        word if word.text == "rst" => Cut::Rst,
                        word => return Err(word.is_no("fin or rst")),
                    },
                };
                Ok(Fault::Cut { target, by })
            }
            "stalls" => Ok(Fault::Stall { target: self.target(words)?, stalled: true }),
            "resumes" => Ok(Fault::Stall { target: self.target(words)?, stalled: false }),
            "says" => {
                words.must("bye")?;
                words.must("to")?;
                let target = self.target(words)?;
                let text = if words.is_over() { "the server is going down" } else { words.take("what it says")?.text };
                Ok(Fault::Bye { target, text: text.to_owned() })
            }
            "refuses" => words.must("connections").map(|()| Fault::Refuse(true)),
            "accepts" => words.must("connections").map(|()| Fault::Refuse(false)),
            "limits" => {
                words.must("connections")?;
                words.must("to")?;
                Ok(Fault::Limit(Some(number(words, "a number of connections")?)))
            }
            "lifts" => {
                words.must("the")?;
                words.must("limit")?;
                Ok(Fault::Limit(None))
            }
            "delays" => Ok(Fault::Delay(time(words)?)),
            "answers" => {
                words.must("at")?;
                words.must("once")?;
                Ok(Fault::Delay(Duration::ZERO))
            }
            "locks" | "shares" if self.script.protocol != Protocol::Pop3 => Err(Wrong::at(
                verb.column,
                "only POP3 has maildrops: write `protocols: pop3` above, and name such a --server",
            )),
            "locks" => words.must("maildrops").map(|()| Fault::LockMaildrops(true)),
            "shares" => words.must("maildrops").map(|()| Fault::LockMaildrops(false)),
            _ => Err(verb.is_no(WHAT)),
        }
    }

    /// `main`, `k` or `default of T1`, and `on A`.
    fn target(&self, words: &mut Words<'a>) -> Result<Target, Wrong> {
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
