//! A scenario: what it came to, its steps, and the lanes of its clients.

use maud::{Markup, html};

use super::findings::{findings, gates};
use super::lanes::Picture;
use super::paint::paints;
use super::run::{capital, chips, lanes};
use super::course::Courses;
use super::signs::{Sign, name, said};
use crate::event::Step;
use crate::report::model::ScenarioReport;
use crate::report::scenario::{in_short, why};
use crate::report::layout::Layout;
use crate::report::table::verdict::{CUT, whose};
use crate::report::words::wall;

/// Its title, and all of it.
pub(super) fn section(report: &ScenarioReport, courses: &Courses, page: &str) -> (String, Markup) {
    let ScenarioReport { start, steps, end, .. } = report;
    let code = end.as_ref().map(|end| end.exit_code);
    let sign = match code {
        Some(0) => Sign::Held,
        Some(_) => Sign::Wrong,
        None => Sign::Look,
    };
    let verdict = report.reason().map_or_else(|| capital(CUT), |reason| capital(&said(&reason)));
    let title = format!("{}: {verdict}", said(&start.name));
    let markup = html! {
        section id=(page) {
            p.eyebrow { "scenario " b { (name(&start.name)) } " · " (name(&start.server)) " · " (start.protocol.name()) }
            h1 { (sign.picture(26)) " " (verdict) }
            @if let Some(code) = code { p.exit { b { "exit " (code) } (whose("scenario", report.told_again, code)) } }
            @for client in end.iter().flat_map(|end| &end.clients) { (chips(&client.findings, &of(page, &client.name), false)) }
            @for (client, course) in courses {
                @let found = end.iter().flat_map(|end| &end.clients).find(|it| it.name == *client);
                @let found = found.map(|it| &*it.findings).unwrap_or_default();
                @let page = of(page, client);
                @let picture = Picture::of(course, &page, &[]);
                @if courses.len() > 1 { h2 { "Client " (name(client)) } }
                (paints(&page))
                (lanes(course, &page, found))
                (findings(found, &page, |number| picture.is_drawn(number)))
            }
            @for client in end.iter().flat_map(|end| &end.clients) { (gates(&client.gates)) }
            h2 { "Steps" }
            div.scroll {
                table.grid.steps cellpadding="3" {
                    @for step in steps { (row(step)) }
                }
            }
            details.text { summary { "The same as text" } pre { (report.text(Layout::PLAIN)) } }
            footer.quiet { "mailconn " (said(&start.tool_version)) ", " (wall(start.started)) }
        }
    };
    (title, markup)
}

/// What names of that client's part begin with.
fn of(page: &str, client: &str) -> String {
    if client.is_empty() { return page.to_owned() }
    let plain: String = client.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '_' }).collect();
    format!("{page}{plain}-")
}

fn row(step: &Step) -> Markup {
    let did: Vec<String> = step.did.iter().map(in_short).filter(|it| !it.is_empty()).collect();
    html! {
        tr {
            td valign="top" align="right" { small.quiet { (step.line) } }
            td valign="top" { @if !step.held { (Sign::Wrong.picture(14)) " " } code { (said(&step.text)) } }
            td valign="top" {
                (did.join("; "))
                @for why in step.did.iter().filter_map(why) { br; small.quiet { (said(&why)) } }
                @if let Some(happened) = &step.happened {
                    br; b { "expected: " (said(step.expected.as_deref().unwrap_or("success"))) "; happened: " (said(happened)) }
                }
            }
        }
    }
}
