//! Tells of runs and scenarios in the format, and to the place, that were asked for.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::stderr::complain;
use super::writer::{self, Writer};
use mailconn::event::{Event, Within};
use mailconn::report::{Format, Output, Telling, Told};
use mailconn::workload::Control;

/// The most events that are put into words at once.
const AT_ONCE: usize = 1024;

/// Writes what is told: at once where the format tells as things happen, else at the end.
pub struct Teller {
    telling: Telling,
    output: Output,
    control: Arc<Control>,
    /// Whether what it comes to is said on stderr too: what is written is no text that a person sees.
    aside: bool,
    /// The reasons of exit codes, to be said at the end.
    reasons: Vec<String>,
    /// Receives live text. None if the format waits for the end, and after the reader went away.
    out: Option<Box<Writer>>,
    /// The error of the first write that failed.
    failed: Option<io::Error>,
}

impl Teller {
    /// In that format; as things happen if `live` asks for it and the format can.
    ///
    /// # Errors
    /// The output cannot be opened.
    pub fn begin(format: Format, live: bool, output: Output, control: &Arc<Control>) -> Result<Self> {
        let telling = format.telling(live);
        let out = telling.is_live().then(|| Writer::open(&output, control).map(Box::new));
        let out = out.transpose().context("opening the report")?;
        let aside = format != Format::Table || output != Output::Stdout;
        let reasons = Vec::new();
        Ok(Self { telling, output, control: Arc::clone(control), aside, reasons, out, failed: None })
    }

    /// Tells of these events, until a write fails.
    pub fn see(&mut self, within: Within<'_>, events: &[Event]) {
        if self.out.is_some() {
            for some in events.chunks(AT_ONCE) {
                let text = self.telling.see(within, some);
                self.write(&text);
            }
        }
    }

    /// A run, a scenario or a comparison is over.
    pub fn over(&mut self, told: Told) {
        self.reasons.extend(told.undecided());
        self.reasons.extend(told.reason().filter(|_| self.aside));
        let text = self.telling.over(told);
        self.write(&text);
    }

    /// For how long writes have waited for the reader.
    pub fn waited(&self) -> Duration {
        self.out.as_ref().map_or(Duration::ZERO, |out| out.waited())
    }

    fn write(&mut self, text: &[u8]) {
        if let Some(out) = &mut self.out
            && !text.is_empty()
            && let Err(error) = out.write_all(text)
        {
            self.failed = Some(error);
            self.out = None;
        }
    }

    /// Writes the rest. Returns whether the report is complete. Says why the exit code is not 0, where the report says it to
    /// nobody.
    ///
    /// # Errors
    /// It could not be written.
    pub fn end(self) -> Result<bool> {
        let Self { telling, output, control, aside: _, reasons, out, failed } = self;
        reasons.iter().for_each(|reason| complain(reason));
        let is_live = telling.is_live();
        let written = match (failed, out) {
            (Some(error), _) => Err(error),
            (None, Some(out)) => out.finish(),
            (None, None) if is_live => Ok(()),
            (None, None) => telling.end().and_then(|text| writer::write_whole(&output, &text, &control)),
        };
        writer::is_complete(written)
    }
}
