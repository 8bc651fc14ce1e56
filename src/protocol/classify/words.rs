//! The words of a server's line, however they are spelt.

use std::ops::Range;

/// Stands where something was left out: no pattern reaches across it.
const HOLE: char = '\u{1}';
/// Stands where a sentence ends.
const STOP: char = '\u{2}';

/// A text as words: small letters, no plurals, nothing between them. Names of hosts, addresses and paths are left out:
/// anybody may have chosen them.
pub(super) struct Text {
    letters: String,
    /// Where each word begins, and the text's end.
    begins: Vec<usize>,
}

impl Text {
    pub(super) fn of(text: &str) -> Self {
        let mut words = Self { letters: String::with_capacity(text.len()), begins: Vec::new() };
        text.split_whitespace().for_each(|chunk| words.chunk(chunk));
        words.begins.push(words.letters.len());
        words
    }

    fn chunk(&mut self, chunk: &str) {
        let chunk = chunk.trim_start_matches(['<', '(', '[', '{', '"', '\'', '`', '‘', '“']);
        let bare = chunk.trim_end_matches(['>', ')', ']', '}', '"', '\'', '`', '’', '”']);
        let ends = bare.ends_with(['.', ';', '!', '?', '。']);
        let bare = bare.trim_end_matches(|c: char| !c.is_alphanumeric());
        if bare.contains("://") || bare.contains('@') || bare.starts_with(['/', '\\', '*']) {
            self.mark(HOLE);
        } else {
            for part in bare.split([':', '=', ',', ';', '<', '>', '(', ')', '[', ']']) {
                self.part(part);
            }
        }
        if ends {
            self.mark(STOP);
        }
    }

    fn part(&mut self, part: &str) {
        if let Some(words) = part.strip_prefix("ERR.") {
            // NetEase's codes: `ERR.LOGIN.REQCODE`.
            return self.words(&format!("err-{}", words.replace('.', "-")));
        }
        let dots = part.match_indices('.').map(|(at, _)| at);
        let mut from = 0;
        for at in dots {
            let before = part[..at].chars().next_back();
            let after = part[at + 1..].chars().next();
            // `failed.Please` is two sentences, `mx.example.org` is no word.
            let sentences =
                before.is_some_and(char::is_lowercase) && after.is_some_and(|c| c.is_uppercase() || !c.is_ascii());
            if sentences {
                self.words(&part[from..at]);
                self.mark(STOP);
                from = at + 1;
            } else if before.is_some_and(char::is_alphanumeric) && after.is_some_and(char::is_alphanumeric) {
                self.mark(HOLE);
                return;
            }
        }
        self.words(&part[from..]);
    }

    fn words(&mut self, part: &str) {
        let mut word = String::new();
        let mut was_small = false;
        for c in part.chars().filter(|c| !matches!(c, '\'' | '’')) {
            // `SubmissionQuotaExceeded` is three words.
            if !c.is_alphanumeric() || (was_small && c.is_uppercase()) || !c.is_ascii() {
                self.word(&std::mem::take(&mut word));
            }
            was_small = c.is_lowercase();
            if c.is_alphanumeric() {
                word.extend(c.to_lowercase());
            }
        }
        self.word(&word);
    }

    fn word(&mut self, word: &str) {
        if !word.is_empty() {
            self.begins.push(self.letters.len());
            self.letters.push_str(singular(word));
        }
    }

    fn mark(&mut self, mark: char) {
        self.begins.push(self.letters.len());
        self.letters.push(mark);
    }

    /// The first place where the pattern stands, in words.
    pub(super) fn find(&self, pattern: &Pattern) -> Option<Range<usize>> {
        let last = self.begins.len() - 1;
        (0..last).find_map(|first| self.fits(first, &pattern.pieces).map(|end| first..end))
    }

    pub(super) fn holds(&self, pattern: &Pattern) -> bool {
        self.find(pattern).is_some()
    }

    /// What stands before that word.
    pub(super) fn truncate(&mut self, word: usize) {
        self.letters.truncate(self.begins[word]);
        self.begins.truncate(word + 1);
    }

    fn fits(&self, word: usize, pieces: &[Piece]) -> Option<usize> {
        let Some((piece, rest)) = pieces.split_first() else { return Some(word) };
        for gap in 0..=piece.gap {
            let at = word + gap;
            let begin = *self.begins.get(at)?;
            if self.letters[begin..].starts_with(piece.letters.as_str()) {
                let end = begin + piece.letters.len();
                let next = self.begins.partition_point(|begin| *begin < end);
                let whole = self.begins.get(next) == Some(&end);
                if (whole || piece.open)
                    && let Some(end) = self.fits(next, rest)
                {
                    return Some(end);
                }
            }
            if self.letters[begin..].starts_with([STOP, HOLE]) {
                return None;
            }
        }
        None
    }
}

/// Words to look for.
pub(super) struct Pattern {
    pieces: Vec<Piece>,
}

/// Words that follow each other.
struct Piece {
    /// How many other words may stand before it.
    gap: usize,
    letters: String,
    /// Whether the last word may go on.
    open: bool,
}

/// How many words a `*` stands for.
const GAP: usize = 3;

impl Pattern {
    pub(super) fn of(words: &str) -> Self {
        let mut pieces = Vec::new();
        let mut piece = Piece { gap: 0, letters: String::new(), open: false };
        for word in words.split(' ') {
            if word == "*" {
                pieces.push(std::mem::replace(&mut piece, Piece { gap: GAP, letters: String::new(), open: false }));
                continue;
            }
            if piece.open {
                pieces.push(std::mem::replace(&mut piece, Piece { gap: 0, letters: String::new(), open: false }));
            }
            match word.strip_suffix('*') {
                Some(begin) => {
                    piece.letters.push_str(begin);
                    piece.open = true;
                }
                None => piece.letters.push_str(singular(word)),
            }
        }
        pieces.push(piece);
        pieces.retain(|piece| !piece.letters.is_empty());
        Self { pieces }
    }
}

/// Without the ending of a plural; the same for any word that looks like one.
pub(super) fn singular(word: &str) -> &str {
    let sibilant = ["xes", "ches", "shes", "sses"].iter().any(|end| word.ends_with(end));
    let stem = if sibilant { word.strip_suffix("es") } else { word.strip_suffix('s') };
    stem.filter(|stem| stem.len() > 2 && !stem.ends_with('s') || sibilant).unwrap_or(word)
}
