//! A probe's ramp: each dial, how many connections were open after it, and what to set.

use maud::{Markup, html};

use super::paint::{HELD, QUIET, WRONG};
use super::signs::said;
use crate::event::ProbePhase;
use crate::judge::{Attempt, Probed, has_words};
use crate::report::attempt::came_to;
use crate::report::model::RunReport;
use crate::report::words::{count, many, ms, span};

/// The most attempts that have a column each.
const COLUMNS: usize = 120;
const HEIGHT: f64 = 150.0;

pub(super) fn ramp(report: &RunReport, probed: &Probed) -> Markup {
    let all = &probed.attempts;
    let first = all.len().saturating_sub(COLUMNS);
    let shown = &all[first..];
    let most = shown.iter().map(|it| it.open).max().unwrap_or(0).max(1);
    let width = 100.0 / shown.len().max(8) as f64;
    let advice = report.to_set().unwrap_or_default();
    html! {
        h2 { "Connection after connection" }
        p.legend {
            span.quiet { "each column is an attempt, as high as connections were open after it  " }
            (square(HELD)) " let in  " (square(QUIET)) " not let in, with a red cross"
        }
        svg width="100%" height=(HEIGHT + 28.0) role="img" aria-label="the ramp of connections" {
            @let y = |open: usize| HEIGHT - open as f64 / most as f64 * (HEIGHT - 24.0);
            line x1="0" x2="100%" y1=(HEIGHT + 0.5) y2=(HEIGHT + 0.5) stroke=(QUIET) {}
            line x1="0" x2="100%" y1=(y(most)) y2=(y(most)) stroke=(QUIET) stroke-dasharray="3 4" {}
            text x="2" y=(y(most) - 5.0) font-size="11" font-family="sans-serif" fill=(QUIET) { (many(most as u64, "connection")) " open" }
            @for (at, attempt) in shown.iter().enumerate() {
                @let x = at as f64 * width;
                @let top = y(attempt.open);
                @let refused = attempt.failure.is_some();
                @let begins = at == 0 || shown[at - 1].step.phase != attempt.step.phase;
                rect x=(format!("{x:.2}%")) width=(format!("{:.2}%", width * 0.82)) y=(format!("{top:.1}")) height=(format!("{:.1}", (HEIGHT - top).max(1.0))) fill=(if refused { QUIET } else { HELD }) fill-opacity=(if refused { ".35" } else { "1" }) {
                    title { (attempt.step) ": " (said(&came_to(attempt))) ", " (count(attempt.open as u64)) " open, " (ms(attempt.took_us)) " ms" }
                }
                @if refused {
                    svg x=(format!("{:.2}%", x + width * 0.41)) y=(format!("{:.1}", (top - 10.0).max(0.0))) overflow="visible" width="1" height="1" {
                        path d="m-4.5 -4.5l9 9m0 -9l-9 9" stroke=(WRONG) stroke-width="2.6" { title { (said(&came_to(attempt))) } }
                    }
                }
                @if begins {
                    text x=(format!("{:.2}%", x + width * 0.41)) text-anchor="middle" y=(HEIGHT + 13.0 + if at % 2 == 1 { 11.0 } else { 0.0 }) font-size="10" font-family="sans-serif" fill="currentColor" { (first + at + 1) }
                }
            }
        }
        p.legend { span.quiet { (steps(shown, first).join(" · ")) } }
        @if first > 0 { p.note { "… " (many(first as u64, "earlier attempt")) " not drawn." } }
        p { (many(all.len() as u64, "attempt")) @if report.ended { " in " (span(report.ending.elapsed)) } "." }
        @if let Some(failure) = probed.limits.met.as_ref().and_then(|met| met.failure.as_ref()) {
            @if let Some(line) = failure.server_line.as_ref().filter(|_| has_words(failure)) { p { "The server's words: " code { (said(line)) } } }
        }
        @if !advice.is_empty() {
            h2 { "What to set" }
            ul { @for line in &advice { li { (said(line)) } } }
        }
    }
}

/// What the columns are, by the numbers beneath: `1 to 5 one more each`. So many are not drawn before them.
fn steps(shown: &[Attempt], first: usize) -> Vec<String> {
    let mut number = first;
    let of_one = shown.chunk_by(|one, next| one.step.phase == next.step.phase);
    of_one
        .map(|those| {
            let (from, to) = (number + 1, number + those.len());
            number = to;
            let words = words(those[0].step.phase);
            if from == to { format!("{from} {words}") } else { format!("{from} to {to} {words}") }
        })
        .collect()
}

const fn words(phase: ProbePhase) -> &'static str {
    match phase {
        ProbePhase::Count => "one more each",
        ProbePhase::Hold => "after a hold",
        ProbePhase::Release => "after a sign-out",
        ProbePhase::Confirm => "with nothing given back",
        ProbePhase::Repeat => "after another sign-out",
        ProbePhase::BareClose => "after a bare close",
        ProbePhase::End => "the end",
    }
}

fn square(fill: &str) -> Markup {
    html! { svg width="12" height="12" aria-hidden="true" { rect width="12" height="12" fill=(fill) {} } }
}
