//! JUnit's XML, as continuous integration shows it: each promise is a case, and what failed the run is a failure.
//!
//! The last case of a suite is the exit code, so that what exits with another code than 0 is never green. Names stay the same
//! from run to run, and figures stand in what a case says: whoever keeps the history of a case finds it again.

mod cases;
mod comparison;
mod run;
mod scenario;

use std::io::{self, Write};

use super::format::{Form, Render, Spec};
use super::model::{Report, Told};

pub(super) const SPEC: Spec = Spec {
    name: "junit",
    purpose: "JUnit's XML for continuous integration, at the end: rules, findings, gates and steps are cases",
    ending: Some("xml"),
    form: Form::Whole(&Junit),
};

struct Junit;

impl Render for Junit {
    fn render(&self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        let mut all = quick_junit::Report::new("mailconn");
        for told in &report.told {
            let mut suite = match told {
                Told::Run(run) => run::suite(run),
                Told::Scenario(scenario) => scenario::suite(scenario),
                Told::Comparison(comparison) => comparison::suite(comparison),
            };
            suite.add_test_case(cases::outcome(&suite, told));
            all.add_test_suite(suite);
        }
        let text = all.to_string().map_err(io::Error::other)?;
        out.write_all(without_skipped(&text).as_bytes())
    }
}

/// Jenkins' schema knows the number of skipped cases of a suite, and none of all suites.
fn without_skipped(text: &str) -> String {
    let skipped = |it: &&str| it.starts_with("skipped=\"");
    let Some((before, rest)) = text.split_once("<testsuites ") else { return text.to_owned() };
    let Some((tag, after)) = rest.split_once('>') else { return text.to_owned() };
    let tag: Vec<&str> = tag.split(' ').filter(|it| !skipped(it)).collect();
    format!("{before}<testsuites {}>{after}", tag.join(" "))
}
