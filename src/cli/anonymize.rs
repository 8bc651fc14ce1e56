//! `--anonymize`: who replaces the names, if that was asked for.

use std::borrow::Cow;
use std::io::Read;

use anyhow::{Result, ensure};

use super::args::{AnonymizeArgs, TranscriptArgs};
use super::stderr;
use mailconn::event::{Event, Within};
use mailconn::report::Anonymizer;

const LOST: &str = "an event could not be told without its names and is left out; this is a defect of mailconn";

/// Who replaces names; none where they stay.
#[derive(Clone, Debug, Default)]
pub struct Anonymize(Option<Anonymizer>);

impl Anonymize {
    /// Of a report of what is stored.
    pub fn of_stored(args: AnonymizeArgs) -> Self {
        Self(args.anonymize.then(Anonymizer::default))
    }

    /// Of a report of what is done now.
    ///
    /// # Errors
    /// There are to be transcripts too.
    pub fn of(args: AnonymizeArgs, transcripts: &TranscriptArgs) -> Result<Self> {
        ensure!(
            !args.anonymize || transcripts.transcript.is_none(),
            "--transcript keeps what goes over the wire, names too, and --anonymize is to keep none: leave out one of them"
        );
        Ok(Self::of_stored(args))
    }

    /// Who does it.
    pub const fn anonymizer(&self) -> Option<&Anonymizer> {
        self.0.as_ref()
    }

    /// The events as they are to be judged and told.
    pub fn events<'a>(&self, within: Within<'_>, events: &'a [Event]) -> Cow<'a, [Event]> {
        match &self.0 {
            Some(names) => {
                let told = events.iter().map(|event| names.event(within, event));
                told.inspect(|event| {
                    if event.is_none() {
                        stderr::complain(LOST)
                    }
                })
                .flatten()
                .collect()
            }
            None => events.into(),
        }
    }

    /// A client of a scenario as it is to be called.
    pub fn label<'a>(&self, label: &'a str) -> Cow<'a, str> {
        self.0.as_ref().map_or(label.into(), |names| names.label(label).into())
    }

    /// A stored file as it is to be read.
    pub fn read(&self, from: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
        match &self.0 {
            Some(names) => Box::new(names.read(from)),
            None => from,
        }
    }
}
