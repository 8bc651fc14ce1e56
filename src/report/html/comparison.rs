//! A comparison: what to choose, each variant's interval against the reference, what it costs.

use maud::{Markup, html};
use serde_json::Number;

use super::findings::gates;
use super::paint::{HELD, LOOK, QUIET, WRONG};
use super::signs::{name, said};
use crate::event::{ComparisonVerdict, Decision};
use crate::judge::VariantFigures;
use crate::report::comparison::{answer, interval, percent, reason, times, verdict};
use crate::report::model::ComparisonReport;
use crate::report::outline::Outline;
use crate::report::layout::Layout;
use crate::report::table::comparison::{headings, range, table};
use crate::report::table::verdict::whose;
use crate::report::words::{count, many, ms, origin, per_second, short, span};

/// How high the row of a variant is, and where its axis begins.
const ROW: f64 = 34.0;
/// Beyond this no picture tells more: a side without a bound ends there too.
const FARTHEST: f64 = 1000.0;

/// Its title, and all of it.
pub(super) fn section(report: &ComparisonReport, page: &str) -> (String, Markup) {
    let ComparisonReport { comparison, rounds, end, .. } = report;
    let start = comparison.start();
    let Outline { sign, sentence: chosen } = Outline::of_comparison(report);
    let (_, behind) = answer(report);
    let code = report.exit_code();
    let title = format!("{} compared: {chosen}", many(start.variants.len() as u64, "variant"));
    let markup = html! {
        section id=(page) {
            p.eyebrow {
                "compare " (said(&start.server)) @if let Some(rtt) = comparison.rtt() { " (rtt " (span(rtt)) ")" } " · " (start.protocol.name()) " · " (many(u64::from(end.rounds), "round")) " · "
                (said(&start.metric)) " · noise " (percent(start.noise)) " · seed " (start.seed) @if report.ended { " · " (span(end.elapsed_us)) }
            }
            h1 { (sign.picture(26)) " " (chosen) }
            @if let Some(code) = code { p.exit { b { "exit " (code) } ": " (said(&reason(comparison, rounds, end))) (whose("comparison", report.told_again, code)) } }
            p { (said(&behind)) }
            @for line in headings(report) { p.note { (said(&line)) } }
            (intervals(report))
            ul.plain { @for it in &end.verdicts { li { (said(&verdict(report, it))) } } }
            @if !rounds.is_empty() { (costs(report)) }
            (gates(&end.gates))
            details.text { summary { "The same as text" } pre { (table(Layout::PLAIN, report)) } }
            footer.quiet { (said(&origin(&start.tool_version, None, start.started))) }
        }
    };
    (title, markup)
}

/// How many times the reference's figure each variant's is: the estimate, and its interval, on a logarithmic axis.
fn intervals(report: &ComparisonReport) -> Markup {
    let (start, all) = (report.comparison.start(), &report.end.verdicts);
    let noise = 1.0 + start.noise;
    let reaches = all.iter().flat_map(|it| bounds(it).into_iter().flatten().chain(ratio(it))).map(|it| it.ln().abs());
    let reach = reaches.fold((noise * noise).ln(), f64::max).max(0.05) * 1.12;
    let x = |ratio: f64| format!("{:.2}%", 50.0 + ratio.clamp(1.0 / FARTHEST, FARTHEST).ln() / reach * 50.0);
    let height = ROW * all.len() as f64;
    html! {
        h2 { "How many times the figure of " (name(&start.reference)) }
        p.legend {
            span.quiet { "the dot is the estimate, the line its interval; the band is what counts as no difference  " }
            (dot(HELD)) " better  " (dot(WRONG)) " worse  " (dot(QUIET)) " the same  " (dot(LOOK)) " cannot be told"
        }
        svg width="100%" height=(height + 26.0) role="img" aria-label="the interval of each variant" {
            rect x=(x(1.0 / noise)) width=(format!("{:.2}%", noise.ln() / reach * 100.0)) y="0" height=(height) fill=(QUIET) fill-opacity=".22" {
                title { "noise: " (percent(start.noise)) }
            }
            line x1="50%" x2="50%" y1="0" y2=(height) stroke=(QUIET) stroke-dasharray="3 4" {}
            @for (at, it) in all.iter().enumerate() {
                @let (y, colour) = (ROW * at as f64 + 22.0, colour(it.decision));
                text x="2" y=(y - 9.0) font-size="12" font-family="sans-serif" fill="currentColor" {
                    (said(&it.variant)) "  " (it.ratio.as_ref().map(times).unwrap_or_default()) " " (interval(it).unwrap_or_default()) "  " (it.decision.name())
                }
                @if let Some((low, high)) = interval(it).and_then(|_| bounds(it)).map(|[low, high]| (low, high)) {
                    line x1=(x(low)) x2=(x(high)) y1=(y) y2=(y) stroke=(colour) stroke-width="3" { title { (said(&verdict(report, it))) } }
                }
                @if let Some(ratio) = ratio(it) { circle cx=(x(ratio)) cy=(y) r="5" fill=(colour) { title { (said(&verdict(report, it))) } } }
            }
            @for (ratio, anchor) in [((-reach * 0.98).exp(), "start"), (1.0, "middle"), ((reach * 0.98).exp(), "end")] {
                text x=(x(ratio)) y=(height + 16.0) text-anchor=(anchor) font-size="11" font-family="sans-serif" fill=(QUIET) { (format!("{ratio:.2}x")) }
            }
        }
    }
}

fn bounds(of: &ComparisonVerdict) -> Option<[f64; 2]> {
    of.ratio.as_ref()?;
    let bound = |it: Option<&Number>, open: f64| it.and_then(Number::as_f64).unwrap_or(open).clamp(1.0 / FARTHEST, FARTHEST);
    Some([bound(of.low.as_ref(), 0.0), bound(of.high.as_ref(), f64::INFINITY)])
}

fn ratio(of: &ComparisonVerdict) -> Option<f64> {
    of.ratio.as_ref().and_then(Number::as_f64).map(|it| it.clamp(1.0 / FARTHEST, FARTHEST))
}

const fn colour(decision: Decision) -> &'static str {
    match decision {
        Decision::DifferentBetter => HELD,
        Decision::DifferentWorse => WRONG,
        Decision::Same => QUIET,
        Decision::CannotTell => LOOK,
    }
}

fn dot(fill: &str) -> Markup {
    html! { svg width="12" height="12" aria-hidden="true" { circle cx="6" cy="6" r="5" fill=(fill) {} } }
}

/// Each variant's speed, and what it costs.
fn costs(report: &ComparisonReport) -> Markup {
    let ComparisonReport { comparison, rounds, .. } = report;
    let time = |time: &Option<crate::event::Micros>| time.map_or_else(|| "-".to_owned(), ms);
    let row = |figures: &VariantFigures| {
        let counts = figures.counts.as_ref().map_or_else(|| vec!["-".to_owned(); 5], |it| it.iter().map(range).collect());
        let [_, wait, _] = figures.wait.each_ref().map(time);
        let [_, service, _] = figures.service.each_ref().map(time);
        let bytes = figures.bytes.map_or_else(|| "-".to_owned(), |(out, back)| format!("{} + {}", short(out), short(back)));
        let findings: Vec<String> = figures.findings.iter().map(|(id, times)| format!("{id} {}", count(*times as u64))).collect();
        let rate = figures.rate.map_or_else(|| "-".to_owned(), per_second);
        let cpu = figures.cpu.map_or_else(|| "-".to_owned(), ms);
        let operations = figures.operations.map_or_else(|| "-".to_owned(), short);
        let mut row = vec![rate, wait, service, operations];
        row.extend(counts);
        row.extend([bytes, cpu, findings.join(", ")]);
        row
    };
    let head = [
        "variant", "operations a second", "wait p95 ms", "service p95 ms", "ops of a run", "opened", "peak", "sign-ins", "wrong", "failed",
        "bytes out + in", "cpu ms", "findings",
    ];
    html! {
        h2 { "What each costs" }
        div.scroll {
            table.grid cellpadding="3" {
                tr { @for title in head { th align="left" { (title) } } }
                @for (at, variant) in comparison.start().variants.iter().enumerate() {
                    tr {
                        td title=(said(&variant.arguments)) { (name(&variant.name)) }
                        @for cell in row(&comparison.figures_of(at, rounds)) { td align="left" { (cell) } }
                    }
                }
            }
        }
    }
}
