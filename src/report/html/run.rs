//! A run: its verdict, its lanes, what was found, and its ledger.

use maud::{Markup, html};

use super::course::Course;
use super::findings::{findings, gates};
use super::histogram::Histogram;
use super::lanes::{ARROW, CROSS, Picture};
use super::notes::notes;
use super::paint::{self, LOOK, QUIET, Track, WRONG, paints};
use super::signs::{Sign, name, said};
use super::{details, ledger, limits};
use crate::event::{Executor, Finding, HowClosed, Lock, Micros, Severity};
use crate::report::layout::Layout;
use crate::report::model::RunReport;
use crate::report::outline::{self, Outline};
use crate::report::table::table;
use crate::report::table::verdict::whose;
use crate::report::words::{count, many, origin, span};

/// The rows of the tables as text.
const SCREENFUL: usize = 20;

/// Its title, and all of it.
pub(super) fn section(report: &RunReport, course: Option<&Course>, page: &str) -> (String, Markup) {
    let Outline { sign, sentence: verdict } = Outline::of_run(report);
    let start = &report.start;
    let title = format!("{}, {}", said(&start.server), verdict);
    let probed = report.verdict.probed.as_deref();
    let drawn = course.filter(|course| !course.sessions.is_empty() || !course.refusals.is_empty() || course.seen > 0);
    let picture = drawn.map(|course| Picture::of(course, page, &[]));
    let markup = html! {
        section id=(page) {
            (paints(page))
            p.eyebrow { (asked(report)) }
            h1 { (sign.picture(26)) " " (verdict) }
            (exit(report))
            (chips(&report.verdict.findings, page, probed.is_some()))
            @if let Some(probed) = probed { (limits::ramp(report, probed)) }
            @else { (figures(report)) }
            @if let Some(course) = drawn { (lanes(course, page, &report.verdict.findings)) }
            (findings(&report.verdict.findings, page, |number| picture.as_ref().is_some_and(|picture| picture.is_drawn(number))))
            @if !report.verdict.unjudged.is_empty() {
                ul { @for why in &report.verdict.unjudged { li { (said(why)) } } }
            }
            (gates(&report.verdict.gates))
            @if let Some(course) = drawn.filter(|_| probed.is_none()) { (histograms(&course.waits, &course.services)) }
            @if probed.is_none() { (ledger::ledger(report, page)) }
            details.text {
                summary { "The same as text" }
                pre { (table(Layout::PLAIN, report, Some(SCREENFUL))) }
            }
            footer.quiet { (said(&origin(&start.tool_version, Some(&start.run_id), start.started))) }
        }
    };
    (title, markup)
}

/// What was asked for.
fn asked(report: &RunReport) -> Markup {
    let start = &report.start;
    let threads = many(start.workers.len() as u64, "thread");
    html! {
        (name(&start.server)) " · " (start.protocol.name())
        @if report.start.probe.is_none() {
            " · " b { (start.mode.name()) }
            @for switch in &start.switches { ", " b { (switch.mode.name()) } " after " (count(switch.after)) }
            " · " (threads)
            @match start.executor {
                Executor::Threads => {}
                Executor::Pool => { " of a pool, " (many(start.tasks.len() as u64, "task")) }
                Executor::Tasks => { ", " (many(start.tasks.len() as u64, "asynchronous task")) }
            }
            @if start.lock == Lock::Command { " · " b { "lock: command" } }
            @if let Some(seed) = start.seed { " · seed " (seed) }
        }
    }
}

fn exit(report: &RunReport) -> Markup {
    html! {
        p.exit {
            @if let Some(code) = report.exit_code() {
                b { "exit " (code) } ": " (said(&report.reason())) (whose("run", report.told_again, code))
            }
            @if report.start.certificates_verified == Some(false) {
                br; (Sign::Look.picture(14)) " certificates were not verified (--insecure): anyone may have been the server"
            }
        }
    }
}

/// A way to each finding. To a probe a limit is an answer.
pub(super) fn chips(of: &[Finding], page: &str, is_probe: bool) -> Markup {
    html! {
        @if !of.is_empty() {
            p.chips {
                @for finding in of {
                    @let sign = if is_probe && finding.severity == Severity::Limit { Sign::Look } else { Sign::of_severity(finding.severity) };
                    a href=(format!("#{page}{}", finding.id)) { (sign.picture(14)) " " (said(&finding.id)) " " (finding.severity.name()) @if finding.count > 1 { " ×" (count(finding.count)) } }
                    "  "
                }
            }
        }
    }
}

/// The figures that answer most questions.
fn figures(report: &RunReport) -> Markup {
    html! {
        table.figures cellpadding="2" {
            @for (label, figure, beside) in outline::figures(report) {
                tr { th align="left" scope="row" { (label) } td { b { (figure) } } td.quiet { (beside) } }
            }
        }
    }
}

/// The course as lanes, of connections and of workers.
pub(super) fn lanes(course: &Course, page: &str, found: &[Finding]) -> Markup {
    let picture = Picture::of(course, page, found);
    let (by_connection, rows) = picture.by_connection();
    let selected = picture.selected();
    let telling = course.operations.iter().any(super::course::Op::is_telling);
    let is_probe = course.start.as_ref().is_some_and(|start| start.probe.is_some());
    let broken = |it: &super::course::Span| matches!(it.closed, Some((_, HowClosed::Discarded)));
    let broke = !course.refusals.is_empty() || course.sessions.iter().any(broken);
    let waited = course.operations.iter().any(|op| !op.wait.is_zero());
    html! {
        div.course data-course=(page) {
            h2 { "Which connection served whom" }
            p.legend {
                span.quiet { "workers " }
                @for worker in picture.workers.iter().take(12) { span { (swatch(&Track::worker(*worker).paint(page))) " " (name(&picture.called(*worker))) } " " }
                @if picture.workers.len() > 12 { "… " }
                @if !selected.is_empty() {
                    br; span.quiet { "selected mailbox, beneath " }
                    @for (number, mailbox) in selected.iter().take(8) { span { (swatch(paint::mailbox(*number))) " " (name(mailbox)) } " " }
                    @if selected.len() > 8 { "…" }
                }
                br;
                span.quiet { (swatch_thin(QUIET, ".55")) " dialling" } " "
                span.quiet { (swatch_thin(QUIET, ".2")) " connected" } " "
                @if waited { span.quiet { (swatch(LOOK)) " standing in line" } " " }
                @if telling { span.quiet { (swatch(WRONG)) " failed, or answered from the wrong mailbox" } " " }
                @if picture.has_evidence() { span.quiet { (sign(ARROW, LOOK)) " evidence of a finding" } " " }
                @if broke { span.quiet { (sign(CROSS, WRONG)) " refused, or broken" } }
            }
            (by_connection)
            @for note in notes(course) { p.note { (note) } }
            @if !is_probe {
            h2 { "Which connections each worker used" }
            p.legend {
                span.quiet { "connections " }
                @for connection in picture.connections.iter().take(12) { span { (swatch(&picture.track(*connection).paint(page))) " " (connection) " " (name(&picture.kind(*connection))) } " " }
                @if picture.connections.len() > 12 { "…" }
            }
            (picture.by_worker())
            }
            p.detail aria-live="polite" {}
            (details::script(course, &picture, &rows))
        }
    }
}

fn sign(path: &str, colour: &str) -> Markup {
    html! { svg width="9" height="9" viewBox="-4.5 0 9 9" aria-hidden="true" { path d=(path) fill=(colour) stroke=(colour) stroke-width="1.5" {} } }
}

fn swatch(fill: &str) -> Markup {
    html! { svg width="22" height="12" aria-hidden="true" { svg width="22" height="12" viewBox="0 0 2200 12" preserveAspectRatio="none" { rect width="2200" height="12" fill=(fill) {} } } }
}

fn swatch_thin(fill: &str, opacity: &str) -> Markup {
    html! { svg width="22" height="12" aria-hidden="true" { rect width="22" height="12" fill=(fill) fill-opacity=(opacity) {} } }
}

/// How long operations waited and were served.
fn histograms(waits: &Histogram, services: &Histogram) -> Markup {
    html! {
        h2 { "How long it took" }
        table.histograms width="100%" cellpadding="6" {
            tr {
                @for (title, of, colour) in [("Waiting for a connection", waits, LOOK), ("Service, first command to last reply", services, "#4477aa")] {
                    td width="50%" valign="top" { (histogram(title, of, colour)) }
                }
            }
        }
    }
}

fn histogram(title: &str, of: &Histogram, colour: &str) -> Markup {
    let steps = of.steps();
    let most = steps.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let all: u64 = steps.iter().map(|(_, count)| *count).sum();
    // From zero to the first length there may be a long way, on which nothing is.
    let none = steps.first().filter(|(shortest, _)| shortest.is_zero()).map_or(0, |(_, count)| *count);
    let rest: Vec<(Micros, u64)> =
        steps.into_iter().skip_while(|(shortest, count)| shortest.is_zero() || *count == 0).collect();
    let width = 100.0 / rest.len().max(8) as f64;
    html! {
        b { (title) }
        @if all > 0 && none == all { p.quiet { "none: " (many(all, "operation")) " did not wait" } }
        @else {
            svg width="100%" height="112" role="img" aria-label=(title) {
                line x1="0" x2="100%" y1="92.5" y2="92.5" stroke=(QUIET) {}
                @for (at, (shortest, number)) in rest.iter().enumerate() {
                    @let high = if *number == 0 { 0.0 } else { (*number as f64 / most as f64 * 84.0).max(1.5) };
                    rect x=(format!("{:.2}%", at as f64 * width)) y=(format!("{:.1}", 92.0 - high)) width=(format!("{:.2}%", width * 0.88)) height=(format!("{high:.1}")) fill=(colour) {
                        title { "from " (span(*shortest)) ": " (many(*number, "operation")) }
                    }
                    @if at % (rest.len() / 3).max(1) == 0 && at as f64 * width < 85.0 {
                        text x=(format!("{:.2}%", at as f64 * width)) y="106" font-size="10" font-family="sans-serif" fill=(QUIET) { (span(*shortest)) }
                    }
                }
            }
            @if none > 0 { small.quiet { (many(none, "operation")) " took no time" } }
        }
    }
}
