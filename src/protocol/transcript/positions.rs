//! Which part of a line is confidential by where it stands: what a sign-in says, in either direction.

use crate::protocol::classify::without_tag;
use crate::protocol::command::Verb;
use crate::protocol::endpoint::Protocol;
use crate::protocol::secret::{Confidential, Part};

/// How a line is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) confidential: Confidential,
    pub(super) part: Part,
}

/// Follows both sides of one session, as far as that takes.
///
/// In doubt more is hidden: a server that never answers a sign-in leaves every later line of the client's hidden too, and so
/// is a line of the client's that is no command, wherever it stands.
pub(super) struct Positions {
    protocol: Protocol,
    sign_in: Option<SignIn>,
    /// IMAP: the bytes of a literal that are still to come, 0 where the rest of its command is; none between commands.
    literal: Option<u64>,
    /// SMTP: DATA was said.
    said_data: bool,
    /// SMTP: a message is being sent.
    in_message: bool,
    /// SMTP: replies that are still to come, the greeting first.
    owed: u32,
}

/// A sign-in that the server has not answered yet.
struct SignIn {
    /// IMAP: what its answer begins with.
    tag: Vec<u8>,
}

impl Positions {
    pub(super) const fn new(protocol: Protocol) -> Self {
        Self { protocol, sign_in: None, literal: None, said_data: false, in_message: false, owed: 1 }
    }

    /// A line of the client's, its line end included. `length` counts what was left out of a long one, too.
    pub(super) fn said(&mut self, line: &[u8], length: u64) -> Rule {
        let before = self.sign_in.is_some();
        let text = line.trim_ascii_end();
        let (begins, is_command) = match self.protocol {
            Protocol::Imap => match self.is_imap_command(text, length) {
                true => (self.imap_command(text), true),
                false => (Confidential::Nothing, false),
            },
            Protocol::Smtp if before => (Confidential::All, true),
            Protocol::Smtp if self.in_message => {
                self.in_message = text != b".";
                (Confidential::Nothing, false)
            }
            Protocol::Smtp => (self.smtp_command(text), true),
            Protocol::Pop3 => (self.pop3_command(text), true),
        };
        Rule {
            confidential: if before { Confidential::All } else { begins },
            part: if is_command { Part::Command } else { Part::Data },
        }
    }

    /// A line of the server's, its line end included.
    pub(super) fn heard(&mut self, line: &[u8]) -> Rule {
        let text = line.trim_ascii_end();
        let signing_in = self.sign_in.is_some();
        let part = if signing_in || is_sentence(text) { Part::Sentence } else { Part::Data };
        let confidential = match self.protocol {
            Protocol::Imap => self.imap_reply(text),
            Protocol::Smtp => self.smtp_reply(text),
            Protocol::Pop3 => self.pop3_reply(text),
        };
        Rule { confidential: if signing_in { confidential } else { Confidential::Nothing }, part }
    }

    /// Whether the line begins a command: no line within a literal does, nor the rest of a command behind one.
    fn is_imap_command(&mut self, text: &[u8], length: u64) -> bool {
        let begins = self.literal.is_none();
        match self.literal {
            Some(left @ 1..) if length <= left => self.literal = Some(left - length),
            _ => self.literal = announced(text),
        }
        begins
    }

    fn imap_command(&mut self, text: &[u8]) -> Confidential {
        let mut words = text.split(|byte| *byte == b' ');
        let (tag, verb) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let after = if verb.eq_ignore_ascii_case(b"LOGIN") {
            2
        } else if verb.eq_ignore_ascii_case(b"AUTHENTICATE") {
            3
        } else {
            // An answer to a challenge that came together with the end of its exchange.
            return if is_known(verb) { Confidential::Nothing } else { Confidential::All };
        };
        self.sign_in = Some(SignIn { tag: [tag, b" "].concat() });
        Confidential::After(after)
    }

    fn smtp_command(&mut self, text: &[u8]) -> Confidential {
        self.said_data |= text.eq_ignore_ascii_case(b"DATA");
        self.owed = self.owed.saturating_add(1);
        self.begin_with(text, &[(b"AUTH", 2)])
    }

    fn pop3_command(&mut self, text: &[u8]) -> Confidential {
        self.begin_with(text, &[(b"PASS", 1), (b"APOP", 2), (b"AUTH", 2)])
    }

    fn begin_with(&mut self, text: &[u8], verbs: &[(&[u8], usize)]) -> Confidential {
        let verb = text.split(|byte| b" :".contains(byte)).next().unwrap_or_default();
        let Some((_, words)) = verbs.iter().find(|(name, _)| verb.eq_ignore_ascii_case(name)) else {
            return if is_known(verb) { Confidential::Nothing } else { Confidential::All };
        };
        self.sign_in = Some(SignIn { tag: Vec::new() });
        Confidential::After(*words)
    }

    fn imap_reply(&mut self, text: &[u8]) -> Confidential {
        if self.sign_in.as_ref().is_some_and(|sign_in| text.starts_with(&sign_in.tag)) {
            self.sign_in = None;
        }
        text.strip_prefix(b"+").map_or(Confidential::Nothing, challenge)
    }

    fn smtp_reply(&mut self, text: &[u8]) -> Confidential {
        if let Some(rest) = text.strip_prefix(b"334") {
            return challenge(rest);
        }
        if text.starts_with(b"354") {
            self.in_message = std::mem::take(&mut self.said_data);
        } else if text.get(3) != Some(&b'-') {
            self.owed = self.owed.saturating_sub(1);
            if self.owed == 0 {
                // AUTH is the last command of its group (RFC 4954 §4): its reply is the last one, too.
                self.sign_in = None;
            }
        }
        Confidential::Nothing
    }

    fn pop3_reply(&mut self, text: &[u8]) -> Confidential {
        let is = |status: &[u8]| text.get(..status.len()).is_some_and(|start| start.eq_ignore_ascii_case(status));
        if is(b"+OK") || is(b"-ERR") {
            self.sign_in = None;
            return Confidential::Nothing;
        }
        text.strip_prefix(b"+").map_or(Confidential::Nothing, challenge)
    }
}

/// Whether that is a command that we know to be no secret.
fn is_known(verb: &[u8]) -> bool {
    Verb::read(verb) != Verb::OTHER
}

/// Whether a server says that to people: a status with its text, or what it offers. All else is data.
fn is_sentence(text: &[u8]) -> bool {
    let text = without_tag(text);
    let first = text.strip_prefix(b"* ").unwrap_or(text).split(|byte| *byte == b' ').next().unwrap_or_default();
    let is = |word: &&str| first.eq_ignore_ascii_case(word.as_bytes());
    ["OK", "NO", "BAD", "BYE", "PREAUTH", "CAPABILITY", "+OK", "-ERR", "+"].iter().any(is)
        || first.get(..3).is_some_and(|code| code.iter().all(u8::is_ascii_digit))
}

/// What stands behind a `+` or a 334.
fn challenge(rest: &[u8]) -> Confidential {
    match rest {
        [] => Confidential::Nothing,
        [b' ', ..] => Confidential::After(1),
        _ => Confidential::All,
    }
}

/// How long the literal is that a line ends by announcing: `{12}`, or `{12+}`, or `~{12}`.
fn announced(text: &[u8]) -> Option<u64> {
    let inside = text.strip_suffix(b"}")?;
    let start = inside.iter().rposition(|byte| *byte == b'{')?;
    let digits = &inside[start + 1..];
    std::str::from_utf8(digits.strip_suffix(b"+").unwrap_or(digits)).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use Confidential::{After, All, Nothing};

    use super::*;

    /// `C: ` and `S: ` lines, each with what of it must be hidden.
    #[track_caller]
    fn follows(protocol: Protocol, session: &[(&str, Confidential)]) {
        let mut positions = Positions::new(protocol);
        for (line, hidden) in session {
            let (side, text) = line.split_at(3);
            let text = format!("{text}\r\n");
            let rule = match side {
                "C: " => positions.said(text.as_bytes(), text.len() as u64),
                _ => positions.heard(text.as_bytes()),
            };
            assert_eq!(rule.confidential, *hidden, "{line}");
        }
    }

    #[test]
    fn imap_hides_a_login_in_quotes_and_in_literals_until_its_own_reply() {
        follows(
            Protocol::Imap,
            &[
                ("S: * OK hi", Nothing),
                ("C: a1 CAPABILITY", Nothing),
                ("S: + what", Nothing),
                ("C: a2 login {3}", After(2)),
                ("S: + go on", After(1)),
                ("C: joe {6+}", All),
                ("C: s3cret", All),
                ("S: * CAPABILITY IMAP4rev1", Nothing),
                ("S: a1 OK", Nothing),
                ("C: more", All),
                ("S: a2 OK in", Nothing),
                ("C: a3 NOOP", Nothing),
                ("S: + idling", Nothing),
            ],
        );
    }

    #[test]
    fn imap_hides_both_sides_of_an_exchange() {
        follows(
            Protocol::Imap,
            &[
                ("C: a1 AUTHENTICATE SCRAM-SHA-256 biwsbj1qb2U=", After(3)),
                ("S: + cj1yT3ByTkdm", After(1)),
                ("C: Yz1iaXdz", All),
                ("S: +dj1ybUY5", All),
                ("C: ", All),
                ("S: +", Nothing),
                ("S: a11 OK", Nothing),
                ("C: *", All),
                ("S: a1 NO no", Nothing),
                ("C: a2 AUTHENTICATE PLAIN", After(3)),
                ("S: a2 NO no", Nothing),
                ("C: a3 LOGOUT", Nothing),
            ],
        );
    }

    #[test]
    fn what_a_literal_holds_is_no_command() {
        follows(
            Protocol::Imap,
            &[
                ("C: a1 APPEND box {15}", Nothing),
                ("C: a LOGIN b c", Nothing),
                ("C: x ()", Nothing),
                ("C: a2 LOGIN b c", After(2)),
                ("S: a2 OK", Nothing),
                ("C: a3 APPEND box {14}", Nothing),
                ("C: a LOGIN b c", Nothing),
                ("C: a LOGIN behind", Nothing),
                ("C: a4 LOGIN b c", After(2)),
            ],
        );
    }

    #[test]
    fn smtp_hides_an_exchange_even_behind_pipelined_commands_and_no_message() {
        follows(
            Protocol::Smtp,
            &[
                ("S: 220 hi", Nothing),
                ("C: EHLO me", Nothing),
                ("C: auth LOGIN", After(2)),
                ("S: 250-AUTH LOGIN", Nothing),
                ("S: 250 PIPELINING", Nothing),
                ("S: 334 VXNlcm5hbWU6", After(1)),
                ("C: am9l", All),
                ("S: 334 UGFzc3dvcmQ6", After(1)),
                ("C: czNjcmV0", All),
                ("S: 235 in", Nothing),
                ("C: MAIL FROM:<joe@example.org>", Nothing),
                ("C: DATA", Nothing),
                ("S: 250 ok", Nothing),
                ("S: 354 go on", Nothing),
                ("C: AUTH PLAIN is not meant here", Nothing),
                ("C: .", Nothing),
                ("S: 250 ok", Nothing),
                ("C: AUTH PLAIN AGpvZQBzM2NyZXQ=", After(2)),
                ("S: 535 no", Nothing),
                ("C: QUIT", Nothing),
            ],
        );
    }

    #[test]
    fn pop3_hides_pass_apop_and_an_exchange() {
        follows(
            Protocol::Pop3,
            &[
                ("S: +OK hi", Nothing),
                ("C: USER joe", Nothing),
                ("S: +OK", Nothing),
                ("C: pass two words", After(1)),
                ("S: -ERR no", Nothing),
                ("C: APOP joe c4c9334bac560ecc979e58001b3e22fb", After(2)),
                ("S: -ERR no", Nothing),
                ("C: AUTH PLAIN", After(2)),
                ("S: + ", Nothing),
                ("C: AGpvZQBzM2NyZXQ=", All),
                ("S: +OK", Nothing),
                ("C: STAT", Nothing),
            ],
        );
    }
}
