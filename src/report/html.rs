//! One page for the browser, which loads nothing.
//!
//! Its policy allows its own style and its own script, by their digests, and nothing else. All that it says stands in HTML and in
//! pictures whose colours are attributes, so that it reads well where a stricter policy takes both away. The script only
//! adds: it zooms, and tells of the operation under the pointer.

mod bars;
mod busy;
mod comparison;
mod course;
mod details;
mod findings;
mod histogram;
mod lanes;
mod ledger;
mod limits;
mod notes;
mod paint;
mod run;
mod sample;
mod scenario;
mod signs;
mod texts;

use std::collections::VecDeque;
use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::format::{Form, Gather, Spec};
use super::model::Told;
use crate::event::{Event, What, Within};
use course::{Course, Courses};

pub(super) const SPEC: Spec = Spec {
    name: "html",
    purpose: "One page for the browser, at the end: who used which connection when, as a picture",
    ending: Some("html"),
    form: Form::Gathering(|| Box::<Page>::default()),
};

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

#[derive(Default)]
struct Page {
    /// Of what is not yet over.
    courses: VecDeque<Courses>,
    /// A section for each run or scenario that is over, with its title.
    sections: Vec<(String, Markup)>,
}

impl Gather for Page {
    fn see(&mut self, within: Within<'_>, event: &Event) {
        // What a comparison's runs come to is told at its end; their courses are not drawn.
        if within.run.is_some() {
            return;
        }
        let client = within.client.unwrap_or_default();
        match &event.what {
            What::ScenarioStart(_) => self.courses.push_back(Courses::new()),
            What::RunStart(start) => {
                if within.client.is_none() {
                    self.courses.push_back(Courses::new());
                }
                if let Some(courses) = self.courses.back_mut() {
                    courses.insert(client.to_owned(), Course::of(start));
                }
            }
            _ => {
                if let Some(course) = self.courses.back_mut().and_then(|courses| courses.get_mut(client)) {
                    course.see(event);
                }
            }
        }
    }

    fn over(&mut self, told: &Told) {
        let courses = self.courses.pop_front().unwrap_or_default();
        // What names on the page begin with.
        let page = format!("r{}-", self.sections.len() + 1);
        self.sections.push(match told {
            Told::Run(report) => run::section(report, courses.values().next(), &page),
            Told::Scenario(report) => scenario::section(report, &courses, &page),
            Told::Comparison(report) => comparison::section(report, &page),
        });
    }

    fn render(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(page(&self.sections).into_string().as_bytes())
    }
}

fn page(sections: &[(String, Markup)]) -> Markup {
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        digest(STYLE),
        digest(SCRIPT)
    );
    let title = match sections {
        [(title, _)] => title.clone(),
        several => format!("{} reports", several.len()),
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { "mailconn: " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                @if sections.len() > 1 {
                    nav { ol { @for (at, (title, _)) in sections.iter().enumerate() { li { a href=(format!("#r{}-", at + 1)) { (title) } } } } }
                }
                main { @for (_, section) in sections { (section) } }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// As a policy names what it allows.
fn digest(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes())))
}
