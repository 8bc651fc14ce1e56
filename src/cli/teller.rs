//! Tells of runs and scenarios in the forms, and to the places, that were asked for.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result};

use super::anonymize::Anonymize;
use super::destinations::{Destination, are_seen};
use super::settings::Reporting;
use super::stderr::complain;
use super::writer::{self, Writer};
use mailconn::event::{Event, Within};
use mailconn::report::{Output, Telling, Told};
use mailconn::workload::Control;

/// The most events that are put into words at once.
const AT_ONCE: usize = 1024;

/// Writes what is told: at once where the format tells as things happen, else at the end.
pub struct Teller {
    tellings: Vec<OneTelling>,
    anonymize: Anonymize,
    control: Arc<Control>,
    /// Whether what it comes to is said on stderr too: what is written is no text that a person sees.
    aside: bool,
    /// The reasons of exit codes, to be said at the end.
    reasons: Vec<String>,
}

/// In one form, for one place.
struct OneTelling {
    telling: Telling,
    output: Output,
    /// Receives live text. None if the format waits for the end, and after the reader went away.
    out: Option<Box<Writer>>,
    /// The error of the first write that failed.
    failed: Option<io::Error>,
}

impl Teller {
    /// For those places; as things happen if `each` asks for it and the format can.
    ///
    /// # Errors
    /// An output cannot be opened.
    pub fn begin(reporting: Reporting, control: &Arc<Control>) -> Result<Self> {
        let Reporting { destinations, each, anonymize } = reporting;
        let aside = !are_seen(&destinations);
        let begin = |Destination { format, output, layout }| {
            let telling = format.telling(each, layout);
            let out = telling.is_live().then(|| Writer::open(&output, control).map(Box::new));
            let out = out.transpose().with_context(|| output.writing())?;
            Ok(OneTelling { telling, output, out, failed: None })
        };
        let tellings = destinations.into_iter().map(begin).collect::<Result<_>>()?;
        Ok(Self { tellings, anonymize, control: Arc::clone(control), aside, reasons: Vec::new() })
    }

    /// The events as they are to be judged and told.
    pub fn anonymous<'a>(&self, within: Within<'_>, events: &'a [Event]) -> Cow<'a, [Event]> {
        self.anonymize.events(within, events)
    }

    /// Who replaces names.
    pub const fn anonymize(&self) -> &Anonymize {
        &self.anonymize
    }

    /// Tells of these events, until a write fails.
    pub fn see(&mut self, within: Within<'_>, events: &[Event]) {
        self.tellings.iter_mut().for_each(|one| one.see(within, events));
    }

    /// A run, a scenario or a comparison is over.
    pub fn over(&mut self, told: &Told) {
        self.reasons.extend(told.undecided());
        self.reasons.extend(told.reason().filter(|_| self.aside));
        for one in &mut self.tellings {
            let text = one.telling.over(told);
            one.write(&text);
        }
    }

    /// For how long writes have waited for readers.
    pub fn waited(&self) -> Duration {
        self.tellings.iter().filter_map(|one| one.out.as_ref()).map(|out| out.waited()).sum()
    }

    /// Writes the rest. Returns whether all reports are complete. Says why the exit code is not 0, where no report says it to
    /// anybody.
    ///
    /// # Errors
    /// One could not be written.
    pub fn end(self) -> Result<bool> {
        let Self { tellings, control, reasons, .. } = self;
        let ended: Vec<Result<bool>> = tellings.into_iter().map(|one| one.end(&control)).collect();
        let complete = ended.into_iter().try_fold(true, |all, complete| Ok::<_, Error>(complete? && all))?;
        // A report that could not be written has an exit code of its own.
        reasons.iter().for_each(|reason| complain(reason));
        Ok(complete)
    }
}

impl OneTelling {
    fn see(&mut self, within: Within<'_>, events: &[Event]) {
        if self.telling.is_live() && self.out.is_none() {
            return;
        }
        for some in events.chunks(AT_ONCE) {
            let text = self.telling.see(within, some);
            self.write(&text);
        }
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

    fn end(self, control: &Arc<Control>) -> Result<bool> {
        let Self { telling, output, out, failed } = self;
        let is_live = telling.is_live();
        let text = telling.end();
        let written = match (failed, out) {
            (Some(error), _) => Err(error),
            (None, Some(mut out)) => text.and_then(|text| out.write_all(&text)).and_then(|()| out.finish()),
            (None, None) if is_live => Ok(()),
            (None, None) => text.and_then(|text| writer::write_whole(&output, &text, control)),
        };
        writer::is_complete(written, &output)
    }
}
