//! A suite and its cases: how each went, and what there is to know of it.

use std::time::SystemTime;

use chrono::DateTime;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use crate::event::{Finding, Gated, Proof};
use crate::report::model::Told;
use crate::report::table::verdict::{CUT, rules, witness};
use crate::report::words::{evidence, printable, wall};

/// A suite that began then.
pub(super) fn suite(name: &str, started: SystemTime, properties: &[(&str, &str)]) -> TestSuite {
    let mut suite = TestSuite::new(printable(name));
    if let Ok(started) = DateTime::parse_from_rfc3339(&wall(started)) {
        suite.set_timestamp(started);
    }
    suite.add_properties(properties.iter().map(|(name, value)| ((*name).to_owned(), printable(value))));
    suite
}

/// How a case went.
pub(super) enum How {
    /// With what there is to know of it, or nothing.
    Held(String),
    Skipped(String),
    Failed {
        kind: &'static str,
        message: String,
        more: String,
    },
}

impl How {
    pub(super) fn failed(kind: &'static str, message: impl Into<String>) -> Self {
        Self::Failed { kind, message: message.into(), more: String::new() }
    }

    pub(super) fn held() -> Self {
        Self::Held(String::new())
    }
}

pub(super) fn case(suite: &TestSuite, name: &str, how: How) -> TestCase {
    let (status, more) = match how {
        How::Held(more) => (TestCaseStatus::success(), more),
        How::Skipped(why) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(why);
            (status, String::new())
        }
        How::Failed { kind, message, more } => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type(kind).set_message(message);
            if !more.is_empty() {
                status.set_description(more);
            }
            (status, String::new())
        }
    };
    let mut case = TestCase::new(printable(name), status);
    case.set_classname(class(suite));
    if !more.is_empty() {
        case.set_system_out(more);
    }
    case
}

/// The class of a suite's cases. A dot would end the name of a package.
fn class(suite: &TestSuite) -> String {
    format!("mailconn.{}", suite.name.as_str().replace('.', "_"))
}

/// What the process came to. Where that is not known all of it is an error.
pub(super) fn outcome(suite: &TestSuite, told: &Told) -> TestCase {
    let mut case = TestCase::new("exit code", TestCaseStatus::success());
    match (told.exit_code(), told.reason()) {
        (Some(0), _) => {}
        (Some(code), reason) => {
            case.status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let reason = reason.map_or_else(|| format!("exit {code}"), |reason| printable(&reason));
            case.status.set_type(format!("exit {code}")).set_message(reason);
        }
        (None, _) => {
            case.status = TestCaseStatus::non_success(NonSuccessKind::Error);
            case.status.set_type("cut").set_message(CUT);
        }
    }
    case.set_classname(class(suite));
    case
}

/// The rules and the server's own record.
pub(super) fn checked(suite: &mut TestSuite, whose: &str, proof: Proof, is_probe: bool) {
    let (of, said) = (proof.rules, rules(proof.rules, is_probe));
    let how = match of.checked {
        0 => How::Skipped(said),
        all if of.held == all => How::Held(said),
        _ => How::failed("broken", said),
    };
    suite.add_test_case(case(suite, &format!("{whose}rules"), how));
    let (of, said) = (proof.witness, witness(proof.witness));
    let how = match (of.available, of.checked) {
        (false, _) | (_, 0) => How::Skipped(said),
        (true, all) if of.agreed == all => How::Held(said),
        _ => How::failed("broken", said),
    };
    suite.add_test_case(case(suite, &format!("{whose}the server's own record"), how));
}

/// What was found, with its evidence.
pub(super) fn finding(of: &Finding, fails: bool) -> How {
    let said = format!("{}: {}", of.severity.name(), printable(&of.sentence));
    let more: String = evidence(&of.evidence).map(|piece| format!("- {piece}\n")).collect();
    match fails {
        true => How::Failed { kind: of.severity.name(), message: said, more },
        false => How::Held(format!("{said}\n{more}")),
    }
}

pub(super) fn gate(of: &Gated) -> How {
    let said = printable(&of.sentence);
    if of.failed { How::failed("gate", said) } else { How::Held(said) }
}
