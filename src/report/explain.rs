//! What the words of the reports mean, and what to do about it.
//!
//! The articles are data: a word has one in `src/words.md`, a rule in `src/rules.md`, a finding in its own file. A test
//! holds them complete: each word that mailconn says of a run or a check has an article.

mod articles;
mod lines;
mod metrics;
mod pages;
mod rules;

use std::collections::BTreeSet;

use thiserror::Error;

use self::articles::{Article, FAILURES, FINDINGS, RULES, STAGES, all, chapter};
use super::known::{self, Known};
use super::layout::Layout;
use crate::protocol::{Protocol, Stage};

pub use lines::explain_line;

/// The item behind which a gate's is shown.
const CURE: &str = "What to do";

/// What the table of metrics is called.
const METRICS: [&str; 2] = ["metrics", "metric"];

/// Why a text cannot be explained.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unexplained {
    /// No word is called so. `word` is fit to be shown; `nearest` are those that begin like it, or else the most similar one.
    #[error("nothing is called \"{word}\"{} mailconn explain lists all there is", meant(.nearest))]
    Word {
        /// The word that was asked for.
        word: String,
        /// What may have been meant.
        nearest: Vec<&'static str>,
    },
    /// Several words that are neither a word of the reports nor a server's line. `text` is fit to be shown.
    #[error(
        "\"{text}\" is no word of the reports and no server's line{} a line begins with its tag, *, a code, -ERR or [CODE], \
         or speaks of a failure; --protocol takes any text for one", meant(.nearest)
    )]
    Phrase {
        /// What was asked for.
        text: String,
        /// What may have been meant.
        nearest: Vec<&'static str>,
    },
    /// No metric has that in its name. `part` is fit to be shown.
    #[error("no metric has the word \"{part}\" in its name; mailconn explain metrics lists all")]
    Metric {
        /// What was asked for.
        part: String,
    },
    /// The line says that the server does what was asked.
    #[error("the line refuses nothing: \"{0}\"; paste a NO, BAD or BYE, an -ERR, a 4xx or 5xx reply")]
    Accepts(String),
    /// No server speaks at that stage.
    #[error("no server says anything at stage {0}; choose greeting, tls, auth, operation or logout")]
    Unsaid(Stage),
}

/// The metric that counts what that word means: a finding, or a failure.
#[must_use]
pub fn counted_as(word: &str) -> Option<String> {
    let counted = |it: &&Article| [FINDINGS, FAILURES].contains(&it.chapter) && it.is_called(word);
    all().iter().find(counted).map(Article::count)
}

fn meant(nearest: &[&'static str]) -> String {
    if nearest.is_empty() { ";".to_owned() } else { format!("; did you mean {}?", nearest.join(" or ")) }
}

/// What a word means, in each of its senses; `rules` is the truth table, `metrics` what gates can be about; `ci` and `tour`
/// are pages of the manual. Upper and lower case are the same. Plain text, no line wider than 80 columns.
///
/// # Errors
/// There is no such word.
pub fn explain(word: &str) -> Result<String, Unexplained> {
    let asked = word.trim();
    for spelling in [asked, &bare(asked)] {
        if [RULES, "truth-table"].iter().any(|name| name.eq_ignore_ascii_case(spelling)) {
            return Ok(rules::table());
        }
        if let Some(part) = of_metrics(spelling) {
            return metrics::table(part).ok_or_else(|| Unexplained::Metric { part: fit(part) });
        }
        if let Some(page) = pages::ALL.iter().find(|page| page.is_called(spelling)) {
            return Ok(page.shown());
        }
        let senses: Vec<String> = all().iter().filter(|it| it.is_called(spelling)).map(shown).collect();
        if !senses.is_empty() {
            return Ok(senses.join("\n"));
        }
        let servers: Vec<String> = known::called(spelling).into_iter().map(server).collect();
        if !servers.is_empty() {
            return Ok(servers.join("\n"));
        }
    }
    Err(Unexplained::Word { word: fit(asked), nearest: nearest(&asked.to_lowercase()) })
}

/// Fit to be shown.
fn fit(text: &str) -> String {
    super::words::printable(text).chars().take(60).collect()
}

/// Which of the metrics are asked for: `metrics`, or `metrics service`.
fn of_metrics(text: &str) -> Option<&str> {
    let (first, part) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    METRICS.iter().any(|name| name.eq_ignore_ascii_case(first)).then_some(part.trim())
}

/// The name alone, of `EmailClient.CreateConnection()`, `Client::thread_scope` and `count#5`; of several words one: `hung-up`.
fn bare(word: &str) -> String {
    let word = word.trim_end_matches(':');
    let word = match word.split_once('#') {
        Some((step, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => step,
        _ => word,
    };
    let (path, name) = word.split_at(word.rfind(['.', ':']).map_or(0, |last| last + 1));
    let is_path = !path.contains(char::is_whitespace) && !name.starts_with(char::is_whitespace);
    let name = if is_path { name } else { word };
    name.trim_end_matches("()").split_whitespace().collect::<Vec<_>>().join("-")
}

/// What a word means, or a server's line that was pasted. `protocol` and `stage` narrow what a line can mean; with one of
/// them, any text of several words is a line.
///
/// # Errors
/// It is neither, or the line refuses nothing.
pub fn explain_text(text: &str, protocol: Option<Protocol>, stage: Option<Stage>) -> Result<String, Unexplained> {
    if let Some(both) = failure_at_stage(text) {
        return Ok(both);
    }
    let text = text.trim();
    let unknown = match explain(text) {
        Err(unknown) => unknown,
        explained => return explained,
    };
    let several = text.contains(char::is_whitespace);
    let is_line = lines::has_the_form_of_a_line(text) || several && (protocol.is_some() || stage.is_some());
    match begins_with_a_name(text) {
        _ if is_line => explain_line(text, protocol, stage),
        Some(name) => explain(name),
        None if lines::speaks_of_a_failure(text) => explain_line(text, protocol, stage),
        None => Err(if several { unknown.of_a_phrase(text) } else { unknown }),
    }
}

/// `3x limit-connections at auth, not tried` and `FAILED: closed`, as reports say it: the failure, and its stage.
fn failure_at_stage(text: &str) -> Option<String> {
    let failure = |name: &str| chapter(FAILURES).find(|it| it.name == name);
    if let Some(name) = text.trim().strip_prefix("FAILED: ") {
        return failure(name).map(shown);
    }
    let (kind, rest) = text.trim().split_once(" at ")?;
    let times = kind.split_once("x ").filter(|(times, _)| times.bytes().all(|byte| byte.is_ascii_digit()));
    let stage = rest.split([',', ':', ' ']).next()?;
    let failure = failure(times.map_or(kind, |(_, kind)| kind.trim()))?;
    let stage = chapter(STAGES).find(|it| it.name == stage)?;
    Some(shown(failure) + "\n" + &shown(stage))
}

/// A line of a report: the finding, the rule or the name of several words that it begins with. One that is an everyday
/// word, such as `no`, says nothing of what it stands in.
fn begins_with_a_name(text: &str) -> Option<&'static str> {
    let begins = |name: &str| {
        let telling = name.contains(|letter: char| letter == '-' || letter.is_ascii_digit());
        let rest =
            hyphenated(text).strip_prefix(&hyphenated(name)).map(|rest| rest.is_empty() || rest.starts_with('-'));
        telling && rest == Some(true)
    };
    all().iter().flat_map(Article::names).filter(|name| begins(name)).max_by_key(|name| name.len())
}

/// `Rules held for 4` is `rules-held-for-4`.
fn hyphenated(text: &str) -> String {
    let words =
        text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '\'').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

impl Unexplained {
    /// The same of several words: what one of them means may help.
    fn of_a_phrase(self, text: &str) -> Self {
        let Self::Word { word, mut nearest } = self else { return self };
        if nearest.is_empty() {
            let words: Vec<_> =
                text.split_whitespace().map(|word| word.trim_matches(|it: char| it.is_ascii_punctuation())).collect();
            let named = |it: &&Article| it.name.len() > 3 && words.iter().any(|word| it.is_called(word));
            let names: BTreeSet<_> = all().iter().filter(named).map(|article| article.name).collect();
            nearest = names.into_iter().take(3).collect();
        }
        Self::Phrase { text: word, nearest }
    }
}

/// What begins with that, up to six words; else the nearest one, if at least half of it is right.
fn nearest(lower: &str) -> Vec<&'static str> {
    let pages = pages::ALL.iter().filter_map(|page| page.names.first().copied());
    let names: BTreeSet<_> = all()
        .iter()
        .map(|article| article.name)
        .chain([RULES, METRICS[0]])
        .chain(pages)
        .chain(known::names())
        .collect();
    let begin_so: Vec<_> = names.iter().copied().filter(|name| name.to_lowercase().starts_with(lower)).collect();
    if !lower.is_empty() && (1..=6).contains(&begin_so.len()) {
        return begin_so;
    }
    let alike = |name: &&str| strsim::normalized_damerau_levenshtein(lower, &name.to_lowercase());
    let nearest = names.into_iter().min_by(|one, other| alike(other).total_cmp(&alike(one)));
    nearest.filter(|name| alike(name) >= 0.5).into_iter().collect()
}

/// Every word that can be explained, chapter by chapter.
#[must_use]
pub fn explained_words() -> String {
    let findings = chapter(FINDINGS).map(|it| (it.name.to_owned() + " ", it.title().to_owned()));
    let others = all().chunk_by(|one, next| one.chapter == next.chapter).filter_map(|articles| {
        let chapter = articles.first()?.chapter;
        let names: Vec<_> = articles.iter().map(|article| article.name).collect();
        (chapter != FINDINGS).then(|| (format!("{chapter} "), names.join(" ")))
    });
    Layout::PLAIN.paragraph(
        "mailconn explain WORD explains one of these, mailconn explain 'LINE' what a server said, mailconn explain rules the \
         truth table of the rules, mailconn explain metrics what a gate can be about, mailconn explain ci the lines for a build, \
         mailconn explain tour all that mailconn can do by example; nothing is dialled.",
    ) + "\n"
        + &Layout::PLAIN.labelled(findings)
        + "\n"
        + &Layout::PLAIN.labelled(others.chain([("servers ".to_owned(), known::names().collect::<Vec<_>>().join(", "))]))
}

fn shown(article: &Article) -> String {
    let mut text = Layout::PLAIN.paragraph(&format!("{}  {}", article.name, article.title()));
    for more in article.paragraphs.iter().skip(1) {
        text += &format!("\n  {}", Layout::PLAIN.paragraph(more));
    }
    let is_counted = [FINDINGS, FAILURES].contains(&article.chapter);
    let gate = is_counted.then(|| row("as a gate", &format!("{} > 0", article.count())));
    let rows = article.items.iter().map(|(label, text)| match *label {
        "Rules" => text.split(", ").map(|number| row("rule", &rule(number))).collect::<Vec<_>>(),
        CURE => [row("what to do", text)].into_iter().chain(gate.clone()).collect(),
        label => vec![row(&label.to_lowercase(), text)],
    });
    text + "\n" + &Layout::PLAIN.labelled(rows.flatten())
}

/// A rule's number and its first paragraph, which says what it demands.
fn rule(number: &str) -> String {
    let title = chapter(RULES).find(|rule| rule.name == number).map_or("", Article::title);
    format!("{number}: {title}")
}

/// What is known of a server or a provider.
fn server(known: &Known) -> String {
    let documented = known.all_documented().map(|text| row("it allows", &text));
    let settings = known.all_settings().map(|text| row("setting", &text));
    let to_do = row("what to do", lines::COUNTED);
    Layout::PLAIN.paragraph(&format!("{}  {}", known.name, known.what()))
        + "\n"
        + &Layout::PLAIN.labelled(documented.chain(settings).chain([to_do]))
}

fn row(label: &str, text: &str) -> (String, String) {
    (format!("{label:<11} "), text.to_owned())
}
