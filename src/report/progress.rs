//! What is shown on stderr while a run lasts.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::str::FromStr;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

use super::words::{count, many, per_second, span};
use crate::figures::{Tally, rate};

/// The time between two plain lines.
const EVERY: Duration = Duration::from_secs(5);

/// Whether progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProgressKind {
    /// A live line on a terminal; else a plain line every few seconds, so that a short run shows none.
    #[default]
    Auto,
    /// None.
    Never,
}

impl ProgressKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Auto, Self::Never];

    /// The kind's name, as in flags: `auto`, `never`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Never => "never",
        }
    }
}

impl FromStr for ProgressKind {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, &'static str> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or("progress is auto or never")
    }
}

/// Shows how far a run has come: on stderr, since stdout is for results, and without colour.
#[derive(Debug)]
pub struct Progress {
    view: View,
    /// Which of several runs it is, where there are several.
    part: Option<String>,
    asked: Option<u64>,
    started: Instant,
    /// The rate is that of the last second or more, not the average of the run.
    stretch: Stretch,
}

#[derive(Debug)]
struct Stretch {
    began: Instant,
    operations: u64,
    rate: Option<String>,
}

enum View {
    None,
    Live(ProgressBar),
    Lines { sink: Box<dyn Write + Send>, every: Duration, next: Instant },
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Live(_) => "Live",
            Self::Lines { .. } => "Lines",
        })
    }
}

impl Progress {
    /// `asked` is the number of operations asked for; none if a duration was.
    #[must_use]
    pub fn new(kind: ProgressKind, asked: Option<u64>) -> Self {
        match kind {
            ProgressKind::Never => Self::with(View::None, asked),
            ProgressKind::Auto if can_redraw() => Self::with(View::Live(live_line()), asked),
            ProgressKind::Auto => Self::lines(Box::new(io::stderr()), EVERY, asked),
        }
    }

    /// Shows plain lines on `sink`, one each `every`.
    #[must_use]
    pub fn lines(sink: Box<dyn Write + Send>, every: Duration, asked: Option<u64>) -> Self {
        Self::with(View::Lines { sink, every, next: Instant::now() + every }, asked)
    }

    fn with(view: View, asked: Option<u64>) -> Self {
        let started = Instant::now();
        Self { view, part: None, asked, started, stretch: Stretch { began: started, operations: 0, rate: None } }
    }

    /// The next of several runs begins: which one it is, and the number of operations asked of it. A plain line says what is
    /// over, if something is, and none how far a run has come.
    pub fn begin(&mut self, part: String, asked: Option<u64>, over: Option<String>) {
        self.part = Some(part);
        self.asked = asked;
        self.stretch = Stretch { began: Instant::now(), operations: 0, rate: None };
        if let Some(over) = over {
            self.line(&over);
        }
    }

    /// Writes a plain line where one is due.
    fn line(&mut self, text: &str) {
        if let View::Lines { sink, every, next } = &mut self.view
            && Instant::now() >= *next
        {
            let after = span(self.started.elapsed());
            // A closed stderr is no error: the user does not want progress.
            let _ = writeln!(sink, "mailconn: after {after}: {text}").and_then(|()| sink.flush());
            *next = Instant::now() + *every;
        }
    }

    /// Shows how far the run has come. Most calls draw nothing, and are cheap.
    pub fn update(&mut self, tally: &Tally) {
        let now = Instant::now();
        let due = match &self.view {
            View::None => return,
            View::Live(_) => true,
            View::Lines { next, .. } => now >= *next && self.part.is_none(),
        };
        if !due {
            return;
        }
        let stretch = now - self.stretch.began;
        if stretch >= Duration::from_secs(1) {
            let rate = rate(tally.operations.saturating_sub(self.stretch.operations), stretch).map(per_second);
            self.stretch = Stretch { began: now, operations: tally.operations, rate };
        }
        let text = self.text(tally);
        match &mut self.view {
            View::None => {}
            View::Live(bar) => bar.set_message(text),
            View::Lines { .. } => self.line(&text),
        }
    }

    /// Clears the live line; the report follows.
    pub fn finish(&mut self) {
        if let View::Live(bar) = std::mem::replace(&mut self.view, View::None) {
            bar.finish_and_clear();
        }
    }

    fn text(&self, tally: &Tally) -> String {
        let operations = match self.asked {
            Some(asked) => format!("{} of {}", count(tally.operations), many(asked, "operation")),
            None => many(tally.operations, "operation"),
        };
        let rate = self.stretch.rate.as_ref().map_or_else(String::new, |rate| format!(", {rate}/s"));
        let part = self.part.as_ref().map_or_else(String::new, |part| format!("{part}: "));
        format!("{part}{operations}{rate}, {} open, {} failed", count(tally.open as u64), count(tally.failed))
    }
}

/// A dumb terminal cannot move its cursor back. NO_COLOR asks for less than we do: no view has colour.
fn can_redraw() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// Clears itself when it is dropped, by a panic too: the next line must not be appended to it.
fn live_line() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_finish(ProgressFinish::AndClear);
    match ProgressStyle::with_template("{wide_msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
