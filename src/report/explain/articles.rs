//! Every article: those of the judge's findings, of the rules (`src/rules.md`) and of the words (`src/words.md`).

use std::sync::LazyLock;

use crate::judge;

/// The chapters that code knows. The others have the names that `src/words.md` gives them.
pub(super) const FINDINGS: &str = "findings";
pub(super) const RULES: &str = "rules";
pub(super) const FAILURES: &str = "failures";
pub(super) const STAGES: &str = "stages";

/// What one word means. A word with several senses has several articles.
pub(super) struct Article {
    pub(super) chapter: &'static str,
    pub(super) name: &'static str,
    /// The first is its title.
    pub(super) paragraphs: Vec<String>,
    /// Text behind a label: `What to do`.
    pub(super) items: Vec<(&'static str, String)>,
}

/// Findings first, then rules, then words.
pub(super) fn all() -> &'static [Article] {
    static ALL: LazyLock<Vec<Article>> = LazyLock::new(|| {
        let mut rules = read(include_str!("../../rules.md"));
        rules.iter_mut().for_each(|rule| rule.chapter = RULES);
        findings().chain(rules).chain(read(include_str!("../../words.md"))).collect()
    });
    &ALL
}

/// The articles of one chapter.
pub(super) fn chapter(chapter: &str) -> impl Iterator<Item = &'static Article> {
    all().iter().filter(move |article| article.chapter == chapter)
}

impl Article {
    /// Its title, in one paragraph.
    pub(super) fn title(&self) -> &str {
        self.paragraphs.first().map_or("", String::as_str)
    }

    /// The text behind that label, or nothing.
    pub(super) fn item(&self, label: &str) -> &str {
        self.items.iter().find(|(other, _)| *other == label).map_or("", |(_, text)| text)
    }

    /// The metric that counts it, of a finding or a failure: their chapters are called as their rows are.
    pub(super) fn count(&self) -> String {
        format!("{}[{}].count", self.chapter, self.name)
    }

    /// Its name and its other names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.item("Also called").split(", ").filter(|name| !name.is_empty()).chain([self.name])
    }

    /// Whether that is one of its names. Upper and lower case are the same.
    pub(super) fn is_called(&self, word: &str) -> bool {
        self.names().any(|name| name.eq_ignore_ascii_case(word))
    }
}

fn findings() -> impl Iterator<Item = Article> {
    judge::ALL.iter().map(|spec| {
        let (severity, article) = (spec.severity.name(), spec.article);
        let mut items = vec![
            ("It means", article.means.to_owned()),
            ("Looks like", format!("{} {severity}: {}", spec.id, (article.example)())),
            ("What to do", article.cure.to_owned()),
            ("Rules", article.rules.join(", ")),
            ("Met in", article.met.join(", ")),
        ];
        items.retain(|(_, text)| !text.is_empty());
        let paragraphs = vec![format!("{severity}: {}", article.title)];
        Article { chapter: FINDINGS, name: spec.id, paragraphs, items }
    })
}

/// `## chapter`, `### name`, then paragraphs, and lists of `- Label: text`, with an empty line between them.
fn read(file: &'static str) -> Vec<Article> {
    let mut chapter = "";
    let mut articles: Vec<Article> = Vec::new();
    for block in file.split("\n\n").map(str::trim) {
        if let Some(name) = block.strip_prefix("### ") {
            articles.push(Article { chapter, name, paragraphs: Vec::new(), items: Vec::new() });
        } else if let Some(title) = block.strip_prefix("## ") {
            chapter = title;
        } else if let Some(article) = articles.last_mut().filter(|article| article.chapter == chapter) {
            match block.strip_prefix("- ") {
                Some(list) => {
                    let items = list.split("\n- ").filter_map(|item| item.split_once(": "));
                    article.items.extend(items.map(|(label, text)| (label, plain(text))));
                }
                None => article.paragraphs.push(plain(block)),
            }
        }
    }
    articles
}

/// Markdown as a terminal shows it. The files have no links.
pub(super) fn plain(text: &str) -> String {
    text.replace(['`', '*'], "").split_whitespace().collect::<Vec<_>>().join(" ")
}
