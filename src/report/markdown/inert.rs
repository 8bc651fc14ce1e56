//! Foreign words as Markdown that stays what it is: no markup, no link, no mention, no reference, no picture.
//!
//! In a code span nothing is any of these, on GitHub neither: so each word that could be one stands in one.

use crate::report::words::printable;

/// Where text stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// At the beginning of a line.
    Line,
    /// In a cell of a table, where `|` would end it.
    Cell,
}

/// What means nothing between two words.
const ALONE: [&str; 5] = ["<", ">", "=", "+", "-"];

/// A sentence with foreign words in it.
pub(super) fn prose(text: &str, at: At) -> String {
    own(&printable(text), at)
}

/// Words of our own, however many. They name flags and files, too.
pub(super) fn own(text: &str, at: At) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut foreign: Vec<&str> = Vec::new();
    for word in text.split_whitespace() {
        let begins = at == At::Line && parts.is_empty() && foreign.is_empty();
        if (is_plain(word) || ALONE.contains(&word)) && !(begins && begins_a_block(word)) {
            parts.extend(spanned(&mut foreign, at));
            parts.push(word.to_owned());
        } else {
            foreign.push(word);
        }
    }
    parts.extend(spanned(&mut foreign, at));
    parts.join(" ")
}

/// Foreign text as it is.
pub(super) fn code(text: &str, at: At) -> String {
    let text = printable(text).split_whitespace().collect::<Vec<_>>().join(" ");
    match at {
        At::Line => span(&text),
        // In a table a backslash goes with the bar behind it, in code too. Of two before a bar each renderer makes something
        // else, so that spans part them, with a blank of no width in between.
        At::Cell => {
            let parts = text.replace("\\|", "\\\n|");
            let spans: Vec<String> = parts.split('\n').map(|part| span(&part.replace('|', "\\|"))).collect();
            spans.join("&#8288;")
        }
    }
}

/// Several of them, with the punctuation around them outside.
fn spanned(words: &mut Vec<&str>, at: At) -> Option<String> {
    let text = std::mem::take(words).join(" ");
    let inner = text.trim_start_matches(['(', '"', '\'']);
    let before = &text[..text.len() - inner.len()];
    let closing: &[char] =
        if inner.contains(['(', '"', '\'']) { &['.', ',', ';', ':'] } else { &['.', ',', ';', ':', ')', '"', '\''] };
    let inner = inner.trim_end_matches(closing);
    let after = &text[before.len() + inner.len()..];
    match (text.is_empty(), inner.is_empty()) {
        (true, _) => None,
        (_, true) => Some(code(&text, at)),
        _ => Some(format!("{before}{}{after}", code(inner, at))),
    }
}

fn span(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let longest = text.split(|it| it != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let blank = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{blank}{text}{blank}{fence}")
}

/// Whether it is a word wherever it stands.
fn is_plain(word: &str) -> bool {
    let inner = word.trim_matches(|it: char| it.is_ascii_punctuation() && !"-@#".contains(it));
    let only = |it: char| !it.is_ascii() || it.is_ascii_alphanumeric() || ".,;:!?()'\"%/-".contains(it);
    // GitHub looks for commits, tickets, addresses and short names of pictures: 1a2b3c4, GH-12, www.example.org, :bug:.
    let is_commit = inner.len() >= 7 && inner.bytes().all(|it| it.is_ascii_hexdigit());
    let is_ticket = inner.split_once('-').is_some_and(|(letters, number)| {
        letters.bytes().all(|it| it.is_ascii_alphabetic())
            && !number.is_empty()
            && number.bytes().all(|it| it.is_ascii_digit())
    });
    let is_clock = inner.split(':').all(|it| it.len() == 2 && it.bytes().all(|it| it.is_ascii_digit()));
    let is_flag = inner.starts_with('-');
    let is_address = inner.to_ascii_lowercase().starts_with("www.");
    word.chars().all(only)
        && (!inner.contains(':') || is_clock)
        && !word.starts_with(':')
        && !is_commit
        && !is_ticket
        && !is_flag
        && !is_address
}

/// Whether it would begin a list or a quotation where it begins a line.
fn begins_a_block(word: &str) -> bool {
    ALONE.contains(&word) || word.strip_suffix(['.', ')']).is_some_and(|it| it.bytes().all(|it| it.is_ascii_digit()))
}
