//! Texts by a grammar.

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::random::Random;

/// What each name stands for: one of these.
///
/// In a file: `name = form ¦ form`, and a line that begins with a space goes on with the one before. Escapes are those of
/// Rust, and `\s` for a space at an end; `ε` is the empty form. In a form `«name»` stands for one of that name's,
/// `«+name»` for that as a literal that asks for nobody's consent, `«{name»` for one that does, `«=name»` for that in
/// base64, `«#»` for a number, `«?»` for a byte. The first form is taken where others would nest too deep.
pub struct Grammar(HashMap<String, Vec<String>>);

pub static MESSAGE: LazyLock<Grammar> = LazyLock::new(|| Grammar::read(include_str!("grammars/message.txt")));
pub static TO_IMAP: LazyLock<Grammar> = LazyLock::new(|| Grammar::read(include_str!("grammars/imap-commands.txt")));
pub static TO_SMTP: LazyLock<Grammar> = LazyLock::new(|| Grammar::read(include_str!("grammars/smtp-commands.txt")));
pub static TO_POP3: LazyLock<Grammar> = LazyLock::new(|| Grammar::read(include_str!("grammars/pop3-commands.txt")));
pub static OF_IMAP: LazyLock<Grammar> = LazyLock::new(|| Grammar::read(include_str!("grammars/imap-replies.txt")));
pub static OF_SMTP: LazyLock<Grammar> = LazyLock::new(|| Grammar::read(include_str!("grammars/smtp-replies.txt")));
pub static OF_POP3: LazyLock<Grammar> = LazyLock::new(|| Grammar::read(include_str!("grammars/pop3-replies.txt")));

const DEEPEST: usize = 12;

/// Numbers that readers stumble over.
pub const HUGE: [&str; 8] = [
    "4294967295",
    "4294967296",
    "2147483648",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999",
    "00000000000000000000000000000001",
    "-1",
];

impl Grammar {
    fn read(file: &str) -> Self {
        let rules = file.replace("\n ", " ");
        let rule = |line: &str| {
            let (name, forms) = line.split_once(" = ").unwrap_or_else(|| panic!("no rule: {line}"));
            (name.to_owned(), forms.split('¦').map(|form| unescaped(form.trim_matches(' '))).collect())
        };
        Self(rules.lines().map(rule).collect())
    }

    fn forms(&self, name: &str) -> &[String] {
        self.0.get(name).unwrap_or_else(|| panic!("nothing is called {name}"))
    }

    /// The form of a name that says what is expected.
    pub fn usual(&self, name: &str) -> &[u8] {
        self.forms(name)[0].as_bytes()
    }

    pub fn text(&self, name: &str, random: &mut Random) -> Vec<u8> {
        let mut out = Vec::new();
        self.expand(name, 0, random, &mut out);
        out
    }

    fn expand(&self, name: &str, depth: usize, random: &mut Random, out: &mut Vec<u8>) {
        let forms = self.forms(name);
        let mut rest = if depth > DEEPEST { &forms[0] } else { random.pick(forms) }.as_str();
        while let Some((before, after)) = rest.split_once('«') {
            let (name, after) = after.split_once('»').expect("a name has an end");
            out.extend_from_slice(before.as_bytes());
            rest = after;
            let inner = |name: &str, random: &mut Random| {
                let mut inner = Vec::new();
                self.expand(name, depth + 1, random, &mut inner);
                inner
            };
            let (mark, marked) = name.split_at(1);
            match mark {
                "#" => out.extend_from_slice(number(random).as_bytes()),
                "?" => out.push(random.byte()),
                "+" | "{" => {
                    let content = inner(marked, random);
                    let mark = if mark == "+" { "+" } else { "" };
                    out.extend_from_slice(format!("{{{}{mark}}}\r\n", content.len()).as_bytes());
                    out.extend(content);
                }
                "=" => out.extend_from_slice(STANDARD.encode(inner(marked, random)).as_bytes()),
                _ => self.expand(name, depth + 1, random, out),
            }
        }
        out.extend_from_slice(rest.as_bytes());
    }
}

fn unescaped(form: &str) -> String {
    let mut text = String::new();
    let mut rest = form.chars();
    while let Some(letter) = rest.next() {
        text.push(match letter {
            'ε' => continue,
            '\\' => match rest.next() {
                Some('r') => '\r',
                Some('n') => '\n',
                Some('t') => '\t',
                Some('0') => '\0',
                Some('s') => ' ',
                Some('\\') => '\\',
                Some('u') => {
                    let digits: String = rest.by_ref().skip(1).take_while(|&digit| digit != '}').collect();
                    u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).expect("a character's number")
                }
                other => panic!("no escape: {other:?} in {form}"),
            },
            letter => letter,
        });
    }
    text
}

fn number(random: &mut Random) -> String {
    match random.below(8) {
        0 => "0".to_owned(),
        1 => (*random.pick(&HUGE)).to_owned(),
        2 => random.below(100_000).to_string(),
        _ => (1 + random.below(9)).to_string(),
    }
}
