//! What a part is made of: headings, paragraphs, lists and tables.

use super::inert::{At, code, own, prose};
use crate::event::{Finding, Gated};
use crate::report::layout::Sheet;
use crate::report::outline::{Outline, Sign, article};
use crate::report::words::{count, evidence};

/// The verdict, as a heading.
pub(super) fn heading(outline: &Outline) -> String {
    let sign = match outline.sign {
        Sign::Held => "✅",
        Sign::Look => "⚠️",
        Sign::Wrong => "❌",
    };
    format!("### {sign} {}\n", prose(&outline.sentence, At::Line))
}

/// A paragraph of text that was laid out for a terminal.
pub(super) fn paragraph(text: &str) -> String {
    format!("\n{}\n", own(text, At::Line))
}

pub(super) fn exit(code: Option<u8>, reason: &str, whose: &str) -> String {
    match code {
        Some(code) => format!("\n**exit {code}**: {}\n", prose(&format!("{reason}{whose}"), At::Line)),
        None => String::new(),
    }
}

pub(super) fn list(items: impl IntoIterator<Item = String>) -> String {
    let items: String = items.into_iter().map(|item| format!("- {}\n", prose(&item, At::Line))).collect();
    if items.is_empty() { items } else { format!("\n{items}") }
}

/// What is to be opened first.
pub(super) fn details(summary: &str, text: &str, open: bool) -> String {
    let open = if open { " open" } else { "" };
    format!("<details{open}><summary>{summary}</summary>\n{text}\n</details>\n")
}

/// A table, of cells that are Markdown. Figures stand to the right.
pub(super) fn table(
    headers: impl IntoIterator<Item = (String, bool)>,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let (names, kinds): (Vec<String>, Vec<bool>) = headers.into_iter().unzip();
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let kinds: Vec<String> = kinds.iter().map(|number| if *number { "---:" } else { "---" }.to_owned()).collect();
    let rows: String = rows.into_iter().map(|row| line(&row)).collect();
    format!("\n{}{}{rows}", line(&names), line(&kinds))
}

pub(super) fn headers<const N: usize>(names: [&str; N]) -> impl Iterator<Item = (String, bool)> {
    names.into_iter().map(|name| (name.to_owned(), false))
}

/// The rows of a text's table, and below them what is said there.
pub(super) fn sheet(of: &Sheet) -> String {
    let mut text = String::new();
    if !of.rows.is_empty() {
        text += &table(of.headers(), of.rows.iter().map(|row| row.iter().map(|it| prose(it, At::Cell)).collect()));
    }
    let mut below: Vec<String> = Vec::new();
    for line in of.below.lines() {
        match below.last_mut().filter(|_| line.starts_with(' ')) {
            Some(last) => *last += line,
            None => below.push(line.to_owned()),
        }
    }
    text + &below.iter().map(|it| paragraph(it)).collect::<String>()
}

/// The findings, each with its evidence and its cure to be opened.
pub(super) fn findings<'a>(of: impl IntoIterator<Item = &'a Finding>) -> String {
    of.into_iter().map(finding).collect()
}

fn finding(of: &Finding) -> String {
    let times = if of.count > 1 { format!(", {} times", count(of.count)) } else { String::new() };
    let said =
        format!("\n**{}** {}{times}: {}\n", code(&of.id, At::Line), of.severity.name(), prose(&of.sentence, At::Line));
    let mut more = list(evidence(&of.evidence));
    if let Some(article) = article(of) {
        more += &format!("\n{}\n\n**Cure**: {}\n", own(article.means, At::Line), own(article.cure, At::Line));
        more += &format!("\nMore: `mailconn explain {}`\n", of.id);
    }
    if more.is_empty() {
        said
    } else {
        format!("{said}\n{}", details("Evidence, what it means, and the cure", &more, false))
    }
}

pub(super) fn gates<'a>(of: impl IntoIterator<Item = &'a Gated>) -> String {
    let rows: Vec<Vec<String>> = of
        .into_iter()
        .map(|it| {
            let how = if it.failed { "❌ FAILED" } else { "✅ passed" };
            vec![how.to_owned(), code(&it.gate, At::Cell), prose(&it.sentence, At::Cell)]
        })
        .collect();
    if rows.is_empty() {
        String::new()
    } else {
        format!("#### Gates\n{}", table(headers(["", "fails if", "is"]), rows))
    }
}

/// What the report is of, in small letters.
pub(super) fn foot(text: &str) -> String {
    format!("<sub>{}</sub>\n", prose(text, At::Line))
}
