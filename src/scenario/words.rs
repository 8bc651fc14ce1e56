//! A line of a scenario as words, each with its column: what an error message points at.

use super::error::ParseError;

/// The longest line, in characters.
const LONGEST: usize = 1000;

/// One word. `;` and `=>` are words of their own, wherever they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    /// From 1, in characters.
    pub(super) column: usize,
    /// It stood in quotes: a name, whatever it says.
    pub(super) quoted: bool,
}

/// The words of a line, to be taken one after the other.
#[derive(Clone, Debug)]
pub(super) struct Words<'a> {
    words: Vec<Word<'a>>,
    at: usize,
    /// The line without its comment.
    pub(super) text: &'a str,
}

impl<'a> Words<'a> {
    /// Splits a line. A `#` that begins a word begins a comment.
    pub(super) fn of(line: &'a str) -> Result<Self, ParseError> {
        if line.chars().count() > LONGEST {
            return Err(ParseError::at(LONGEST, format!("the line is longer than {LONGEST} characters; split it")));
        }
        let mut words = Vec::new();
        let mut rest = line;
        let column = |rest: &str| line[..line.len() - rest.len()].chars().count() + 1;
        loop {
            rest = rest.trim_start();
            let Some(first) = rest.chars().next() else { break };
            if first == '#' {
                break;
            }
            if first.is_control() {
                return Err(ParseError::at(column(rest), "a control character has no place in a scenario"));
            }
            let (text, after, quoted) = match first {
                ';' => (&rest[..1], &rest[1..], false),
                '"' => {
                    let inside = &rest[1..];
                    let unended = || ParseError::at(column(rest), "the quote is not closed on this line");
                    let end = inside.find('"').ok_or_else(unended)?;
                    (&inside[..end], &inside[end + 1..], true)
                }
                _ if rest.starts_with("=>") => (&rest[..2], &rest[2..], false),
                _ => {
                    let end = rest.find(|c: char| c.is_whitespace() || c == ';' || c == '"').unwrap_or(rest.len());
                    let end = rest.find("=>").map_or(end, |arrow| end.min(arrow));
                    (&rest[..end], &rest[end..], false)
                }
            };
            words.push(Word { text, column: column(rest), quoted });
            rest = after;
        }
        let text = line[..line.len() - rest.len()].trim_end();
        Ok(Self { words, at: 0, text })
    }

    pub(super) fn is_over(&self) -> bool {
        self.at >= self.words.len()
    }

    pub(super) fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).filter(|word| !word.quoted).map(|word| word.text)
    }

    /// The next word, whatever it is; `what` says what should stand there.
    pub(super) fn take(&mut self, what: &str) -> Result<Word<'a>, ParseError> {
        let word = self.words.get(self.at).cloned();
        self.at += 1;
        word.ok_or_else(|| {
            ParseError::at(self.end(), format!("the line ends here; {} is expected", what.trim_end_matches(',')))
        })
    }

    /// Takes the next word if it is that one.
    pub(super) fn takes(&mut self, text: &str) -> bool {
        let taken = self.peek() == Some(text);
        self.at += usize::from(taken);
        taken
    }

    /// The next word must be that one.
    pub(super) fn must(&mut self, text: &str) -> Result<(), ParseError> {
        let word = self.take(&format!("`{text}`"))?;
        if word.text == text && !word.quoted { Ok(()) } else { Err(word.is_no(&format!("`{text}`"))) }
    }

    /// Nothing must be left.
    pub(super) fn must_be_over(&self) -> Result<(), ParseError> {
        match self.words.get(self.at) {
            None => Ok(()),
            Some(word) if word.text == ";" && self.words[..self.at].iter().any(Word::is_arrow) => {
                Err(ParseError::at(word.column, "`=>` and what it expects come last in the line; no action follows it"))
            }
            Some(word) if word.is_arrow() && self.words[..self.at].iter().any(Word::is_arrow) => {
                Err(ParseError::at(word.column, "there is one `=>` in a line; `or` stands between what may come of it"))
            }
            Some(word) if word.is_arrow() => Err(ParseError::at(
                word.column,
                "no expectation can be added here: only what a thread does has a result",
            )),
            Some(word) => {
                Err(ParseError::at(word.column, format!("`{}` is too much: the step is over before it", word.text)))
            }
        }
    }

    /// Where the next word stands, or would.
    pub(super) fn column(&self) -> usize {
        self.words.get(self.at).map_or_else(|| self.end(), |word| word.column)
    }

    /// The line with that in it, where the next word stands.
    pub(super) fn with_here(&self, what: &str) -> String {
        let at = self.text.char_indices().nth(self.column() - 1).map_or(self.text.len(), |(at, _)| at);
        let (before, after) = self.text.split_at(at);
        let line = format!("{} {what} {after}", before.trim_end());
        line.split_whitespace().collect::<Vec<_>>().join(" ").replace(" ;", ";")
    }

    /// Where `=>` stands, in what is left.
    pub(super) fn arrow(&self) -> Option<usize> {
        self.words.iter().skip(self.at).find(|word| word.is_arrow()).map(|word| word.column)
    }

    fn end(&self) -> usize {
        self.text.chars().count() + 1
    }
}

impl Word<'_> {
    /// The error that this word is not what should stand here.
    pub(super) fn is_no(&self, what: &str) -> ParseError {
        let what = what.trim_end_matches(',');
        ParseError::at(self.column, format!("`{}` found; {what} is expected here", self.text))
    }

    fn is_arrow(&self) -> bool {
        self.text == "=>" && !self.quoted
    }
}

#[cfg(test)]
mod tests {
    use super::Words;

    #[test]
    fn words_know_their_columns_and_a_comment_is_none() {
        let mut words = Words::of("  T1 é noop;leave=>main  # why").unwrap();
        let mut seen = Vec::new();
        while !words.is_over() {
            let word = words.take("a word").unwrap();
            seen.push((word.text, word.column));
        }
        assert_eq!(seen, [("T1", 3), ("é", 6), ("noop", 8), (";", 12), ("leave", 13), ("=>", 18), ("main", 20)]);
        assert_eq!(words.text, "  T1 é noop;leave=>main");
    }

    #[test]
    fn a_quoted_word_is_a_name_and_must_end() {
        let mut words = Words::of("fetch \"Sent Items\"").unwrap();
        assert!(words.takes("fetch"));
        assert_eq!((words.peek(), words.take("a mailbox").unwrap().text), (None, "Sent Items"));
        assert_eq!(Words::of("fetch \"Sent").unwrap_err().column, 7);
    }
}
