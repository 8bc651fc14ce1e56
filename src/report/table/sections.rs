//! A row for each mode that was in force, if there were several.

use std::collections::BTreeMap;

use crate::report::layout::{Layout, figures, names, words};
use crate::figures::{SectionRow, Summary, worth_showing};
use crate::report::words::{count, figure, many};

pub(super) fn section(layout: Layout, summary: &Summary, most: Option<usize>) -> String {
    let sections = &summary.sections;
    if sections.len() < 2 {
        return String::new();
    }
    let mut before = Vec::with_capacity(sections.len());
    let mut issued = 0_u64;
    for section in sections {
        before.push(issued);
        issued = issued.saturating_add(section.operations.issued);
    }
    let weight = |index: usize| (sections[index].operations.failed, sections[index].operations.issued);
    let shown = worth_showing(sections.len(), most, weight);
    let columns =
        [figures("after"), names("mode").after(2), figures("ops"), figures("failed"), words("on"), words("reasons")];
    let rows = shown.iter().map(|&index| row(before[index], &sections[index]));
    let mut text = layout.grid(&columns, &[], rows);
    let rest = sections.len() - shown.len();
    if rest > 0 {
        text += &layout.paragraph(&format!("... {} (--format json lists all); shown are the first, and those with most failures",
            many(rest as u64, "more change")
        ));
    }
    text
}

fn row(before: u64, section: &SectionRow) -> Vec<String> {
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for (kind, _) in section.connections.values() {
        *kinds.entry(kind.name()).or_default() += 1;
    }
    let counted = |(name, number): (&&str, &u64)| format!("{} {name}", count(*number));
    let on =
        kinds.iter().map(|(name, number)| if *name == "main" { (*name).to_owned() } else { counted((name, number)) });
    let reasons = section.reasons.iter().map(|(reason, number)| format!("{reason} {}", count(*number)));
    vec![
        figure(before),
        section.mode.to_string(),
        figure(section.operations.issued),
        figure(section.operations.failed),
        on.collect::<Vec<_>>().join(", "),
        reasons.collect::<Vec<_>>().join(", "),
    ]
}
