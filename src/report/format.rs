//! The contract of a format. Each format is one file, and one line of the registry in `mod.rs`.
//!
//! A format sees what its form lets it see: the reports at the end, each event as it happens, or both, where what it keeps of
//! the events has bounds of its own.

use std::fmt;
use std::io::{self, Write};

use super::layout::Layout;
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

    /// Nothing more is told.
    fn end(&mut self, text: &mut Vec<u8>) {
        let _ = text;
    }
}

/// Keeps what it needs of the events, and renders it when all is over. What it keeps does not grow with the work.
pub trait Gather: Send {
    /// The next event, as [`Live::see`] has it.
    fn see(&mut self, within: Within<'_>, event: &Event);

    /// A run is over, or a scenario with the runs of its clients. Of several whose events are past, it is the first one that
    /// was not yet over.
    fn over(&mut self, told: &Told);

    /// Writes all of it.
    ///
    /// # Errors
    /// What `out` answers.
    fn render(&mut self, out: &mut dyn Write) -> io::Result<()>;
}

/// A format.
pub struct Spec {
    /// Its name, as in flags.
    pub name: &'static str,
    /// Its purpose, in a few words.
    pub purpose: &'static str,
    /// The ending of files in it; none that stands for it alone.
    pub ending: Option<&'static str>,
    /// Whether it is written at the end or live.
    pub form: Form,
}

/// When a format is written.
#[derive(Clone, Copy)]
pub enum Form {
    /// When all is over.
    Whole(&'static dyn Render),
    /// As things happen: it is a stream.
    Live(fn(Layout) -> Box<dyn Live>),
    /// Either, as is asked for.
    Either(&'static dyn Render, fn(Layout) -> Box<dyn Live>),
    /// When all is over, of the events too.
    Gathering(fn() -> Box<dyn Gather>),
}

/// Tells of runs and scenarios, one after the other, in one format.
pub struct Telling {
    by: By,
}

enum By {
    Live(Box<dyn Live>),
    Whole(&'static dyn Render, Report),
    Gathering(Box<dyn Gather>),
}

impl Telling {
    /// In that form; as things happen if `live` asks for it and the format can. Text for people is laid out so.
    pub(super) fn new(form: Form, live: bool, layout: Layout) -> Self {
        let by = match form {
            Form::Either(_, begin) if live => By::Live(begin(layout)),
            Form::Live(begin) => By::Live(begin(layout)),
            Form::Whole(whole) | Form::Either(whole, _) => By::Whole(whole, Report { layout, told: Vec::new() }),
            Form::Gathering(begin) => By::Gathering(begin()),
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
        match &mut self.by {
            By::Live(live) => events.into_iter().for_each(|event| live.see(within, event, &mut text)),
            By::Gathering(gather) => events.into_iter().for_each(|event| gather.see(within, event)),
            By::Whole(..) => {}
        }
        text
    }

    /// Returns the text to write now that this is over.
    pub fn over(&mut self, told: &Told) -> Vec<u8> {
        let mut text = Vec::new();
        match &mut self.by {
            By::Live(live) => live.over(told, &mut text),
            By::Whole(_, report) => report.told.push(told.clone()),
            By::Gathering(gather) => gather.over(told),
        }
        text
    }

    /// Returns the rest of the text. Nothing can be told afterwards.
    ///
    /// # Errors
    /// It cannot be rendered.
    pub fn end(self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        match self.by {
            By::Live(mut live) => live.end(&mut text),
            By::Whole(whole, report) => whole.render(&report, &mut text)?,
            By::Gathering(mut gather) => gather.render(&mut text)?,
        }
        Ok(text)
    }
}

impl fmt::Debug for Telling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = match self.by {
            By::Live(_) => "live",
            By::Whole(..) => "whole",
            By::Gathering(_) => "gathering",
        };
        write!(f, "Telling({when})")
    }
}
