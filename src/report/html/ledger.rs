//! The ledger: workers, sessions, kinds of operations and failures, in tables.

use maud::{Markup, html};

use super::paint::Track;
use super::signs::{name, said};
use crate::event::{HowClosed, Micros};
use crate::figures::{Spread, Summary, WhyOpened, worth_showing};
use crate::report::model::RunReport;
use crate::report::words::{count, many, ms, short};

/// The most rows of a table.
const ROWS: usize = 40;

pub(super) fn ledger(report: &RunReport, page: &str) -> Markup {
    let summary = &report.summary;
    html! {
        (failures(summary))
        (workers(report, page))
        (sessions(summary, page))
        (operations(summary))
    }
}

fn swatch(page: &str, track: Track) -> Markup {
    html! { svg width="12" height="12" aria-hidden="true" { svg width="12" height="12" viewBox="0 0 1200 12" preserveAspectRatio="none" { rect width="1200" height="12" fill=(track.paint(page)) {} } } }
}

fn grid(title: &str, head: &[&str], rows: &[Vec<Markup>], rest: usize) -> Markup {
    html! {
        h2 { (title) }
        div.scroll {
            table.grid cellpadding="3" {
                thead { tr { @for (at, cell) in head.iter().enumerate() { th scope="col" align=(if at == 0 { "left" } else { "right" }) { (cell) } } } }
                tbody { @for row in rows { tr { @for (at, cell) in row.iter().enumerate() { td align=(if at == 0 { "left" } else { "right" }) { (cell) } } } } }
            }
        }
        @if rest > 0 { p.note { "… " (count(rest as u64)) " more (--format json lists them); shown are the first, and those with most to tell." } }
    }
}

fn cell(text: impl AsRef<str>) -> Markup {
    html! { (text.as_ref()) }
}

/// A percentile of too few is none.
fn spread(of: Spread) -> Markup {
    let figure = |it: Option<Micros>| it.map_or_else(|| "-".to_owned(), ms);
    html! { (figure(of.p50)) " / " (figure(of.p99)) " / " (figure(of.max)) }
}

fn workers(report: &RunReport, page: &str) -> Markup {
    let all = &report.summary.workers;
    let shown = worth_showing(all.len(), Some(ROWS), |at| (all[at].operations.failed, all[at].spreads.wait.max));
    let rows = shown.iter().map(|&at| {
        let row = &all[at];
        let connections: Vec<Markup> = row
            .connections
            .iter()
            .take(4)
            .map(|(connection, kind)| html! { (swatch(page, Track::connection(*connection, Some(*kind), Some(row.worker)))) " " (connection) " " small.quiet { (kind.name()) } " " })
            .collect();
        let more = row.connections.len().saturating_sub(4);
        let reasons: Vec<String> = row.reasons.iter().map(|(reason, number)| format!("{reason} {}", count(*number))).collect();
        vec![
            html! { (swatch(page, Track::worker(row.worker))) " " (name(&report.start.worker_name(row.worker).to_string())) },
            html! { @for connection in connections { (connection) } @if more > 0 { "and " (count(more as u64)) " more" } },
            cell(reasons.join(", ")),
            cell(count(row.operations.issued)),
            cell(count(row.operations.failed)),
            spread(row.spreads.wait),
            spread(row.spreads.service),
        ]
    });
    let head = ["worker", "used", "because", "operations", "failed", "wait ms: half, 99 %, most", "service ms"];
    grid("Workers", &head, &rows.collect::<Vec<_>>(), all.len() - shown.len())
}

fn sessions(summary: &Summary, page: &str) -> Markup {
    let all = &summary.sessions;
    let shown = worth_showing(all.len(), Some(ROWS), |at| (all[at].is_bad(), all[at].operations));
    let rows = shown.iter().map(|&at| {
        let row = &all[at];
        let why = match row.why {
            WhyOpened::FirstUse => "first use",
            WhyOpened::ByHand => "by hand",
            WhyOpened::Again => "again",
        };
        let (port, dial, end) = match &row.dial {
            Ok(dial) => {
                let times = dial.dial_us;
                let all = [times.resolve, times.connect, times.tls, times.greeting, times.sign_in].into_iter().flatten().sum::<Micros>();
                let end = row.closed.as_ref().map_or_else(|| cell("never seen to end"), |it| match it.closed {
                    HowClosed::LoggedOut => cell("signed out"),
                    other => html! { b { (other.name()) } },
                });
                (dial.local_port.to_string(), ms(all), end)
            }
            Err(refused) => {
                let port = refused.local_port.map(|port| port.to_string()).unwrap_or_default();
                (port, ms(refused.took_us), html! { b { "refused: " (refused.failure.kind.name()) } })
            }
        };
        let bytes = row.closed.as_ref().map(|it| format!("{} / {}", short(it.bytes_sent), short(it.bytes_received)));
        vec![
            html! { (swatch(page, Track::connection(row.session.connection, Some(row.kind), row.owner))) " " (row.session) " " small.quiet { (row.kind.name()) @if let Some(owner) = row.owner { " of " (owner) } } },
            cell(why),
            cell(port),
            cell(dial),
            cell(count(row.operations)),
            cell(bytes.unwrap_or_default()),
            end,
        ]
    });
    let rows: Vec<Vec<Markup>> = rows.collect();
    let head = ["session", "opened", "port", "dial ms", "operations", "bytes out / in", "end"];
    html! { @if !rows.is_empty() { (grid("Sessions", &head, &rows, all.len() - shown.len() + summary.rest.sessions as usize)) } }
}

fn operations(summary: &Summary) -> Markup {
    let rows = summary.by_operation.iter().map(|row| {
        vec![
            cell(row.name),
            cell(count(row.operations.issued)),
            cell(count(row.operations.failed)),
            spread(row.spreads.wait),
            spread(row.spreads.service),
        ]
    });
    let head = ["operation", "issued", "failed", "wait ms: half, 99 %, most", "service ms"];
    let rows: Vec<Vec<Markup>> = rows.collect();
    html! { @if !rows.is_empty() { (grid("Operations", &head, &rows, 0)) } }
}

fn failures(summary: &Summary) -> Markup {
    let all = &summary.failures;
    html! {
        @if !all.is_empty() {
            h2 { "Failures" }
            ul.failures {
                @for row in all.iter().take(ROWS) {
                    li {
                        b { (count(row.count)) "× " (row.kind.name()) } " at " (row.stage.name())
                        @if let Some(operation) = row.operation { ", " (operation) }
                        @if let Some(mailbox) = &row.mailbox { " of " (name(mailbox)) }
                        @if !row.message.is_empty() { br; (said(&row.message)) }
                        @if let Some(line) = &row.server_line { br; code { (said(line)) } }
                    }
                }
            }
            @if all.len() > ROWS || summary.other_failures > 0 {
                p.note { "… " (many((all.len().saturating_sub(ROWS)) as u64 + summary.other_failures, "more failure")) " in other ways." }
            }
        }
    }
}
