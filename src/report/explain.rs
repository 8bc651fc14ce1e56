//! What the words of the reports mean: findings, rules, modes, failures; each with what to do about it.
//!
//! All of it is plain data; the rules are those of `src/rules.md`. A test holds it complete: whatever word mailconn can say
//! of a run or a check can be explained.

mod article;
mod checks;
mod failures;
mod lines;
mod rules;
mod words;

use thiserror::Error;

use super::table::grid::{labelled, paragraph};
use crate::judge;
use crate::protocol::{Protocol, Stage};

pub use lines::{Unclassified, explain_line};

use article::{Article, row};

/// No such word is explained.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("nothing is called \"{word}\"{} mailconn explain lists all there is", meant(.nearest))]
pub struct Unexplained {
    /// The word that was asked for, fit to be shown.
    pub word: String,
    /// Those that begin like it, or else the one that looks most like it, if there is one.
    pub nearest: Vec<&'static str>,
}

fn meant(nearest: &[&'static str]) -> String {
    if nearest.is_empty() { ";".to_owned() } else { format!("; did you mean {}?", nearest.join(" or ")) }
}

/// The truth table of the rules.
const RULES: &str = "rules";

/// What a word means: a finding's id, a rule's number, a mode, a failure's word or stage, or `rules` for the truth table.
/// Upper and lower case are the same. Plain text, no line wider than 80 columns.
///
/// # Errors
/// There is no such word.
pub fn explain(word: &str) -> Result<String, Unexplained> {
    let asked = words::canonical(word.trim()).unwrap_or(word.trim());
    if asked.eq_ignore_ascii_case(RULES) {
        return Ok(rules::table());
    }
    if let Some(rule) = rules::all().find(|rule| rule.number.eq_ignore_ascii_case(asked)) {
        return Ok(rule_article(&rule));
    }
    // A word can be two things: greeting is a failure, and the stage at which others happen.
    let found: Vec<String> =
        articles().filter(|it| it.name.eq_ignore_ascii_case(asked)).map(|it| article(&it)).collect();
    if !found.is_empty() {
        return Ok(found.join("\n"));
    }
    Err(Unexplained { word: printable(asked), nearest: nearest(&asked.to_lowercase()) })
}

/// Why a text cannot be explained.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unexplainable {
    /// As a word.
    #[error(transparent)]
    Word(#[from] Unexplained),
    /// As a server's line.
    #[error(transparent)]
    Line(#[from] Unclassified),
}

/// What a word means, or else a server's line that was pasted. `protocol` and `stage` narrow what a line can mean.
///
/// # Errors
/// There is no such word and it looks like no line, or the line refuses nothing.
pub fn explain_text(text: &str, protocol: Option<Protocol>, stage: Option<Stage>) -> Result<String, Unexplainable> {
    if let Some(both) = failure_at_stage(text) {
        return Ok(both);
    }
    match explain(text) {
        Err(_) if lines::looks_like_a_line(text.trim()) => Ok(explain_line(text, protocol, stage)?),
        explained => Ok(explained?),
    }
}

/// `limit-connections at auth, not tried`, as reports say it: the failure and its stage.
fn failure_at_stage(text: &str) -> Option<String> {
    let (kind, rest) = text.trim().split_once(" at ")?;
    let stage = rest.split([',', ':', ' ']).next()?;
    let failure = failures::KINDS.iter().find(|it| it.name == kind)?;
    let stage = failures::STAGES.iter().find(|it| it.name == stage)?;
    Some(article(failure) + "\n" + &article(stage))
}

/// What begins with that, up to six words; else the nearest one, if at least half of it is right.
fn nearest(lower: &str) -> Vec<&'static str> {
    let begin_so: Vec<_> = explained().filter(|name| name.to_lowercase().starts_with(lower)).collect();
    if !lower.is_empty() && (1..=6).contains(&begin_so.len()) {
        return begin_so;
    }
    let alike = |name: &&str| strsim::normalized_damerau_levenshtein(lower, &name.to_lowercase());
    let nearest = explained().min_by(|one, other| alike(other).total_cmp(&alike(one)));
    nearest.filter(|name| alike(name) >= 0.5).into_iter().collect()
}

/// Every word that can be explained, kind by kind.
#[must_use]
pub fn explained_words() -> String {
    let list = |names: &mut dyn Iterator<Item = &'static str>| names.collect::<Vec<_>>().join(" ");
    let of = |articles: &'static [Article]| list(&mut articles.iter().map(|article| article.name));
    let findings = findings().map(|article| (article.name.to_owned() + " ", article.titled()));
    let others = [
        ("rules ", format!("(the truth table) {}", list(&mut rules::all().map(|rule| rule.number)))),
        ("modes ", of(&words::MODES)),
        ("words ", of(&words::WORDS)),
        ("of programs ", of(&words::OF_PROGRAMS)),
        ("severities ", of(&words::SEVERITIES)),
        ("of reports ", of(&words::OF_REPORTS)),
        ("failures ", of(&failures::KINDS)),
        ("stages ", of(&failures::STAGES)),
        ("of a check ", of(&checks::CONCERNS)),
    ];
    paragraph(
        "mailconn explain WORD explains one of these, mailconn explain 'LINE' what a server said; nothing is dialled.",
    ) + "\n"
        + &labelled(findings)
        + "\n"
        + &labelled(others.map(|(label, text)| (label.to_owned(), text)))
}

fn articles() -> impl Iterator<Item = Article> {
    let words = words::MODES.iter().chain(&words::WORDS).chain(&words::OF_PROGRAMS);
    let words = words.chain(&words::SEVERITIES).chain(&words::OF_REPORTS);
    let words = words.chain(&failures::KINDS).chain(&failures::STAGES).chain(&checks::CONCERNS);
    findings().chain(words.copied())
}

/// The judge has the articles of what it finds.
fn findings() -> impl Iterator<Item = Article> {
    judge::ALL.iter().map(|spec| {
        let judge::Article { title, means, example, cure, rules, met } = spec.article;
        Article { name: spec.id, severity: Some(spec.severity), title, means, example, cure, rules, met }
    })
}

fn explained() -> impl Iterator<Item = &'static str> {
    let rules = rules::all().map(|rule| rule.number);
    articles().map(|article| article.name).chain(rules).chain([RULES])
}

fn article(article: &Article) -> String {
    let mut rows = vec![row("it means", article.means)];
    if !article.example.is_empty() {
        rows.push(row("looks like", article.example));
    }
    rows.push(row("what to do", article.cure));
    let mut label = if article.rules.len() == 1 { "rule" } else { "rules" };
    for number in article.rules {
        rows.push(row(label, &format!("{number}: {}", rules::text(number).unwrap_or_default())));
        label = "";
    }
    rows.extend(met(article.met));
    paragraph(&format!("{}  {}", article.name, article.titled())) + "\n" + &labelled(rows)
}

fn rule_article(rule: &rules::Rule) -> String {
    let mut parts = rule.paragraphs();
    let mut text = paragraph(&format!("{}  {}", rule.number, parts.next().unwrap_or_default()));
    for part in parts {
        text += &format!("\n  {}", paragraph(&part));
    }
    text + "\n" + &labelled(rule.list().map(|(label, text)| row(&label.to_lowercase(), &text)))
}

fn met(threads: &[&str]) -> Option<(String, String)> {
    (!threads.is_empty()).then(|| row("met in", &threads.join(", ")))
}

/// A word of the command line, fit to be repeated.
fn printable(word: &str) -> String {
    super::words::printable(word).chars().take(60).collect()
}
