//! A scenario: what it came to, its steps, and the lanes of its clients.

use maud::{Markup, html};

use super::findings::{findings, gates};
use super::lanes::Picture;
use super::paint::paints;
use super::run::{chips, lanes};
use super::course::Courses;
use super::signs::{Sign, name, said};
use crate::event::Step;
use crate::report::model::ScenarioReport;
use crate::report::outline::Outline;
use crate::report::scenario::{beside, why};
use crate::report::layout::Layout;
use crate::report::table::verdict::whose;
use crate::report::words::origin;

/// Its title, and all of it.
pub(super) fn section(report: &ScenarioReport, courses: &Courses, page: &str) -> (String, Markup) {
    let ScenarioReport { start, steps, end, .. } = report;
    let code = end.as_ref().map(|end| end.exit_code);
    let Outline { sign, sentence: verdict } = Outline::of_scenario(report);
    let title = format!("{}: {verdict}", said(&start.name));
    let markup = html! {
        section id=(page) {
            p.eyebrow { "scenario " b { (name(&start.name)) } " · " (name(&start.server)) " · " (start.protocol.name()) }
            h1 { (sign.picture(26)) " " (verdict) }
            @if let Some(code) = code { p.exit { b { "exit " (code) } ": " (said(&report.reason().unwrap_or_default())) (whose("scenario", report.told_again, code)) } }
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
            footer.quiet { (said(&origin(&start.tool_version, None, start.started))) }
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
    html! {
        tr {
            td valign="top" align="right" { small.quiet { (step.line) } }
            td valign="top" { @if !step.held { (Sign::Wrong.picture(14)) " " } code { (said(&step.text)) } }
            td valign="top" {
                (beside(step))
                @for why in step.did.iter().filter_map(why) { br; small.quiet { (said(&why)) } }
                @if let Some(happened) = &step.happened {
                    br; b { "expected: " (said(step.expected.as_deref().unwrap_or("success"))) "; happened: " (said(happened)) }
                }
            }
        }
    }
}
