//! The rules that `src/rules.md` lists.

use std::collections::BTreeSet;

pub const TEXT: &str = include_str!("../../src/rules.md");

/// A rule, as the file has it.
pub struct Rule {
    pub number: &'static str,
    /// Paragraphs and the list, without Markdown's marks, each on one line.
    pub blocks: Vec<String>,
}

impl Rule {
    /// Whether the program keeps to it already.
    fn is_built(&self) -> bool {
        !self.blocks[0].starts_with("Planned:")
    }
}

/// In the order of the file.
pub fn all() -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut is_within = false;
    for block in TEXT.split("\n\n") {
        if let Some(number) = block.strip_prefix("### ") {
            rules.push(Rule { number, blocks: Vec::new() });
            is_within = true;
        } else if block.starts_with('#') {
            is_within = false;
        } else if let Some(rule) = rules.last_mut().filter(|_| is_within) {
            rule.blocks.push(block.replace(['`', '*'], "").split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    rules
}

/// The numbers of all rules that tests can hold the program to.
pub fn built() -> BTreeSet<String> {
    all().iter().filter(|rule| rule.is_built()).map(|rule| rule.number.to_owned()).collect()
}

/// Whether a word looks like a rule's number.
pub fn is_number(word: &str) -> bool {
    let mut characters = word.chars();
    characters.next().is_some_and(|letter| "KAWCDMHB".contains(letter))
        && word.len() == 2
        && characters.all(|digit| digit.is_ascii_digit())
}
