//! A command line, taken apart (RFC 1939, 3).

/// A command with its arguments, as far as they make sense.
pub(super) enum Command<'a> {
    Capa,
    Stls,
    /// The mechanism, and what came with it.
    Auth(&'a [u8], Option<&'a [u8]>),
    User(&'a [u8]),
    Pass(&'a [u8]),
    Stat,
    List(Option<usize>),
    Uidl(Option<usize>),
    Retr(usize),
    /// The message, and how many lines of its body.
    Top(usize, usize),
    Dele(usize),
    Noop,
    Rset,
    Quit,
    /// A command of that name, with other arguments than it takes.
    Broken(&'static str),
    Unknown,
}

impl<'a> Command<'a> {
    /// Reads one line, with its line end.
    pub fn read(line: &'a [u8]) -> Self {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (word, rest) = match line.iter().position(|&byte| byte == b' ') {
            Some(space) => (&line[..space], Some(&line[space + 1..])),
            None => (line, None),
        };
        let Some(verb) = VERBS.into_iter().find(|verb| word.eq_ignore_ascii_case(verb.as_bytes())) else {
            return Self::Unknown;
        };
        let understood = match (verb, rest) {
            // A password may hold spaces, at its end too.
            ("PASS", Some(password)) => Some(Self::Pass(password)),
            (verb, rest) => Self::of_words(verb, rest.unwrap_or_default().trim_ascii()),
        };
        understood.unwrap_or(Self::Broken(verb))
    }

    fn of_words(verb: &str, rest: &'a [u8]) -> Option<Self> {
        let mut words = rest.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
        let words = (words.next(), words.next(), words.next());
        Some(match (verb, words) {
            ("CAPA", (None, ..)) => Self::Capa,
            ("STLS", (None, ..)) => Self::Stls,
            ("AUTH", (Some(mechanism), response, None)) => Self::Auth(mechanism, response),
            ("USER", (Some(_), ..)) => Self::User(rest),
            ("STAT", (None, ..)) => Self::Stat,
            ("LIST", (None, ..)) => Self::List(None),
            ("LIST", (Some(message), None, _)) => Self::List(Some(number(message)?)),
            ("UIDL", (None, ..)) => Self::Uidl(None),
            ("UIDL", (Some(message), None, _)) => Self::Uidl(Some(number(message)?)),
            ("RETR", (Some(message), None, _)) => Self::Retr(number(message)?),
            ("TOP", (Some(message), Some(lines), None)) => Self::Top(number(message)?, number(lines)?),
            ("DELE", (Some(message), None, _)) => Self::Dele(number(message)?),
            ("NOOP", (None, ..)) => Self::Noop,
            ("RSET", (None, ..)) => Self::Rset,
            ("QUIT", (None, ..)) => Self::Quit,
            _ => return None,
        })
    }

    pub fn verb(&self) -> &'static str {
        match self {
            Self::Capa => "CAPA",
            Self::Stls => "STLS",
            Self::Auth(..) => "AUTH",
            Self::User(_) => "USER",
            Self::Pass(_) => "PASS",
            Self::Stat => "STAT",
            Self::List(_) => "LIST",
            Self::Uidl(_) => "UIDL",
            Self::Retr(_) => "RETR",
            Self::Top(..) => "TOP",
            Self::Dele(_) => "DELE",
            Self::Noop => "NOOP",
            Self::Rset => "RSET",
            Self::Quit => "QUIT",
            Self::Broken(verb) => verb,
            Self::Unknown => "UNKNOWN",
        }
    }
}

const VERBS: [&str; 14] =
    ["CAPA", "STLS", "AUTH", "USER", "PASS", "STAT", "LIST", "UIDL", "RETR", "TOP", "DELE", "NOOP", "RSET", "QUIT"];

/// A number too long to be one is no message's; it is understood all the same.
fn number(word: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(word).ok().filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some(digits.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_all_there_is_behind_the_space() {
        assert!(matches!(Command::read(b"pass  two words \r\n"), Command::Pass(b" two words ")));
        assert!(matches!(Command::read(b"PASS \r\n"), Command::Pass(b"")));
        assert!(matches!(Command::read(b"PASS\r\n"), Command::Broken("PASS")));
    }

    #[test]
    fn arguments_are_as_many_as_a_command_takes_and_numbers_are_numbers() {
        for line in
            ["STAT 1", "LIST x", "LIST -1", "LIST 1 2", "RETR", "TOP 1", "TOP 1 2 3", "DELE +1", "QUIT now", "AUTH"]
        {
            let command = Command::read(line.as_bytes());
            assert!(matches!(command, Command::Broken(verb) if line.starts_with(verb)), "{line}");
        }
        assert!(matches!(Command::read(b"retr 99999999999999999999999\r\n"), Command::Retr(usize::MAX)));
        assert!(matches!(Command::read(b"top  1  0 \r\n"), Command::Top(1, 0)));
        assert!(matches!(Command::read(b"STATUS\r\n"), Command::Unknown));
        assert!(matches!(Command::read(b"\r\n"), Command::Unknown));
    }
}
