//! The lines for a build: the manual's own text.

use super::articles::plain;
use crate::report::layout::Layout;

/// What it is called.
pub(super) const NAMES: [&str; 5] = ["ci", "github", "gitlab", "kubernetes", "k8s"];

/// Paragraphs as a terminal shows them, and the lines of builds as they are.
pub(super) fn lines() -> String {
    let mut parts = Vec::new();
    for (at, part) in include_str!("../../ci.md").split("```").enumerate() {
        if at % 2 == 1 {
            let (_, code) = part.split_once('\n').unwrap_or_default();
            parts
                .extend([code.lines().map(|line| format!("    {line}\n").replace("    \n", "\n")).collect::<String>()]);
        } else {
            parts.extend(
                part.split("\n\n")
                    .map(plain)
                    .filter(|text| !text.is_empty())
                    .map(|text| Layout::PLAIN.paragraph(&text)),
            );
        }
    }
    parts.join("\n")
}
