//! The findings, each with its evidence and its cure, and the gates.

use maud::{Markup, html};

use super::lanes::numbers;
use super::signs::{Sign, said};
use crate::event::{Finding, Gated};
use crate::report::outline::article;
use crate::report::words::{count, evidence};

/// The findings. `is_drawn` says whether an operation has a mark to go to.
pub(super) fn findings(of: &[Finding], page: &str, is_drawn: impl Fn(u64) -> bool) -> Markup {
    html! {
        @if !of.is_empty() {
            h2 { "Findings" }
            @for finding in of { (one(finding, page, &is_drawn)) }
        }
    }
}

fn one(finding: &Finding, page: &str, is_drawn: &impl Fn(u64) -> bool) -> Markup {
    html! {
        article.finding id=(format!("{page}{}", finding.id)) {
            h3 {
                (Sign::of_severity(finding.severity).picture(16)) " "
                (said(&finding.id)) " " small.quiet { (finding.severity.name()) @if finding.count > 1 { ", " (count(finding.count)) " times" } }
            }
            p { (said(&finding.sentence)) }
            @if !finding.evidence.is_empty() {
                ul.evidence {
                    @for (piece, raw) in evidence(&finding.evidence).zip(&finding.evidence) {
                        li {
                            (piece)
                            @for number in numbers(raw).filter(|number| is_drawn(*number)).take(2) {
                                " " a href=(format!("#{page}o{number}")) data-op=(number) { "show " (number) }
                            }
                        }
                    }
                }
            }
            @if let Some(article) = article(finding) {
                details {
                    summary { "What it means, and the cure" }
                    p { (article.means) }
                    p { b { "Cure " } (article.cure) }
                    p.quiet {
                        @if !article.rules.is_empty() { "Rules " (article.rules.join(", ")) ". " }
                        "More: " code { "mailconn explain " (finding.id) }
                    }
                }
            }
        }
    }
}

/// What each gate came to.
pub(super) fn gates(of: &[Gated]) -> Markup {
    html! {
        @if !of.is_empty() {
            h2 { "Gates" }
            ul.plain {
                @for gated in of {
                    li { (if gated.failed { Sign::Wrong } else { Sign::Held }.picture(14)) " " b { (if gated.failed { "FAILED" } else { "passed" }) } " " (said(&gated.sentence)) }
                }
            }
        }
    }
}
