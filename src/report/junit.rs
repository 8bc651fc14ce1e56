//! JUnit's XML, as continuous integration shows it.

use std::io::{self, Write};

use chrono::DateTime;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::cases::{Case, How, Suite, suites};
use super::format::{Form, Render, Spec};
use super::model::Report;
use super::words::wall;

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
        all.add_test_suites(suites(report).map(in_xml));
        let text = all.to_string().map_err(io::Error::other)?;
        out.write_all(without_skipped(&text).as_bytes())
    }
}

fn in_xml(Suite { name, started, properties, took, cases }: Suite) -> TestSuite {
    // A dot would end the name of a package.
    let class = format!("mailconn.{}", name.replace('.', "_"));
    let mut suite = TestSuite::new(name);
    if let Ok(started) = DateTime::parse_from_rfc3339(&wall(started)) {
        suite.set_timestamp(started);
    }
    suite.add_properties(properties.into_iter().map(|(name, value)| (name.to_owned(), value)));
    suite.set_time(took);
    suite.add_test_cases(cases.into_iter().map(|case| case_in_xml(&class, case)));
    suite
}

fn case_in_xml(class: &str, Case { name, how, took, .. }: Case) -> TestCase {
    let mut told = None;
    let status = match how {
        How::Held(more) => {
            told = Some(more).filter(|more| !more.is_empty());
            TestCaseStatus::success()
        }
        How::Found { message, more, .. } => {
            told = Some(format!("{message}\n{more}"));
            TestCaseStatus::success()
        }
        How::Skipped(why) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(why);
            status
        }
        How::Failed { kind, message, more } => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type(kind).set_message(message);
            if !more.is_empty() {
                status.set_description(more);
            }
            status
        }
        How::Cut(why) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_type("cut").set_message(why);
            status
        }
    };
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    if let Some(told) = told {
        case.set_system_out(told);
    }
    if let Some(took) = took {
        case.set_time(took);
    }
    case
}

/// Jenkins' schema knows the number of skipped cases of a suite, and none of all suites.
fn without_skipped(text: &str) -> String {
    let skipped = |it: &&str| it.starts_with("skipped=\"");
    let Some((before, rest)) = text.split_once("<testsuites ") else { return text.to_owned() };
    let Some((tag, after)) = rest.split_once('>') else { return text.to_owned() };
    let tag: Vec<&str> = tag.split(' ').filter(|it| !skipped(it)).collect();
    format!("{before}<testsuites {}>{after}", tag.join(" "))
}
