//! GitHub's annotations: a workflow command a line, for what failed and what was found.
//!
//! GitHub shows ten annotations of each level for a step. The first are the exit codes; the last says how many more there are.

use std::io::{self, Write};

use super::cases::{How, OUTCOME, suites};
use super::format::{Form, Render, Spec};
use super::model::Report;
use super::words::printable;
use crate::event::Severity;

pub(super) const SPEC: Spec = Spec {
    name: "github",
    purpose: "GitHub's annotations, at the end: what failed, and what was found, for the log of a step",
    ending: None,
    form: Form::Whole(&Github),
};

/// The most annotations of one level.
const SHOWN: usize = 10;
/// The most lines of an annotation.
const LINES: usize = 20;

struct Github;

impl Render for Github {
    fn render(&self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        let all: Vec<Annotation> = annotations(report);
        for level in [Level::Error, Level::Warning, Level::Notice] {
            let of_level: Vec<&Annotation> = all.iter().filter(|it| it.level == level).collect();
            let room = if of_level.len() > SHOWN { SHOWN - 1 } else { SHOWN };
            for annotation in of_level.iter().take(room) {
                annotation.write(out)?;
            }
            if of_level.len() > room {
                let more = format!("{} more: the report has them all", of_level.len() - room);
                Annotation { level, is_outcome: false, title: "mailconn".to_owned(), message: more }.write(out)?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Error,
    Warning,
    Notice,
}

struct Annotation {
    level: Level,
    /// Whether it is what a suite came to.
    is_outcome: bool,
    title: String,
    message: String,
}

/// What each suite came to, then its other cases in their order.
fn annotations(report: &Report) -> Vec<Annotation> {
    let mut all = Vec::new();
    for (suite, told) in suites(report).zip(&report.told) {
        for case in suite.cases {
            let (level, message, more) = match case.how {
                How::Held(_) | How::Skipped(_) => continue,
                How::Failed { message, more, .. } => (Level::Error, message, more),
                How::Cut(why) => (Level::Error, why.to_owned(), String::new()),
                How::Found { severity: Severity::Advice, message, more } => (Level::Notice, message, more),
                How::Found { message, more, .. } => (Level::Warning, message, more),
            };
            let text = format!("{message}\n{more}");
            let lines: Vec<&str> = text.trim_end().lines().take(LINES).collect();
            // A case promises that there is no such finding.
            let name = case.name.strip_prefix("no ").unwrap_or(&case.name);
            let title = format!("{}: {name}", suite.name);
            let is_outcome = case.name == OUTCOME;
            all.push(Annotation { level, is_outcome, title, message: lines.join("\n") });
        }
        let undecided = told.undecided().into_iter().map(|said| printable(&said));
        let title = || suite.name.clone();
        all.extend(undecided.map(|message| Annotation {
            level: Level::Warning,
            is_outcome: false,
            title: title(),
            message,
        }));
    }
    all.sort_by_key(|it| !it.is_outcome);
    all
}

impl Annotation {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Notice => "notice",
        };
        let title = escaped(&self.title).replace(':', "%3A").replace(',', "%2C");
        writeln!(out, "::{level} title={title}::{}", escaped(&self.message))
    }
}

/// Text as a workflow command has it.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}
