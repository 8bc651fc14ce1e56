//! The contract of a format. Each format is one file, and one line of the registry in `mod.rs`.

use std::fmt;
use std::io::{self, Write};

use super::model::{Report, Told};
use crate::event::{Event, Within};

/// Renders a report when all that it tells of is over.
pub trait Render: Sync {
    /// Writes all of it.
    ///
    /// # Errors
    /// What `out` answers.
    fn render(&self, report: &Report, out: &mut dyn Write) -> io::Result<()>;
}

/// Tells of each event as it happens. What it writes goes to `text`, and on from there at once.
pub trait Live: Send {
    /// The next event: of a scenario's client, or of a comparison's run, where `within` names one.
    fn see(&mut self, within: Within<'_>, event: &Event, text: &mut Vec<u8>);

    /// A run is over, or a scenario with the runs of its clients.
    fn over(&mut self, told: &Told, text: &mut Vec<u8>);
}

/// A format.
pub struct Spec {
    /// Its name, as in flags.
    pub name: &'static str,
    /// Its purpose, in a few words.
    pub purpose: &'static str,
    /// Whether it is written at the end or live.
    pub form: Form,
}

/// When a format is written.
#[derive(Clone, Copy)]
pub enum Form {
    /// When all is over.
    Whole(&'static dyn Render),
    /// As things happen: it is a stream.
    Live(fn() -> Box<dyn Live>),
    /// Either, as is asked for.
    Either(&'static dyn Render, fn() -> Box<dyn Live>),
}

/// Tells of runs and scenarios, one after the other, in one format.
pub struct Telling {
    by: By,
}

enum By {
    Live(Box<dyn Live>),
    Whole(&'static dyn Render, Report),
}

impl Telling {
    /// In that form; as things happen if `live` asks for it and the format can.
    pub(super) fn new(form: Form, live: bool) -> Self {
        let by = match form {
            Form::Either(_, begin) if live => By::Live(begin()),
            Form::Live(begin) => By::Live(begin()),
            Form::Whole(whole) | Form::Either(whole, _) => By::Whole(whole, Report::default()),
        };
        Self { by }
    }

    /// Whether it tells as it happens.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self.by, By::Live(_))
    }

    /// Returns the text to write now for these events.
    pub fn see<'a>(&mut self, within: Within<'_>, events: impl IntoIterator<Item = &'a Event>) -> Vec<u8> {
        let mut text = Vec::new();
        if let By::Live(live) = &mut self.by {
            events.into_iter().for_each(|event| live.see(within, event, &mut text));
        }
        text
    }

    /// Returns the text to write now that this is over.
    pub fn over(&mut self, told: Told) -> Vec<u8> {
        let mut text = Vec::new();
        match &mut self.by {
            By::Live(live) => live.over(&told, &mut text),
            By::Whole(_, report) => report.told.push(told),
        }
        text
    }

    /// Returns the rest of the text. Nothing can be told afterwards.
    ///
    /// # Errors
    /// It cannot be rendered.
    pub fn end(self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        if let By::Whole(whole, report) = self.by {
            whole.render(&report, &mut text)?;
        }
        Ok(text)
    }
}

impl fmt::Debug for Telling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_live() { "Telling(live)" } else { "Telling(whole)" })
    }
}
