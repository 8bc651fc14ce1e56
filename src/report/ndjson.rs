//! A run's file as it grows: its stream, a JSON object on each line.

use std::io::{self, Write};

use crate::event::{Event, What, Writer};
use crate::record::{Entry, Header, Run, Stream};

/// Writes a run as it happens, each line an event with `seq`, `event`, `at_us` (since the start, monotonic) and `time`
/// (wall).
///
/// `seq` counts the run's events from 0, its `run-start`. An operation's `issued_after` counts the events there were when it
/// was issued: their numbers are smaller. A file without `run-end` is that of a run which did not end.
#[derive(Debug)]
pub struct Ndjson<W> {
    file: Writer<W>,
    stream: Stream,
}

impl<W: Write> Ndjson<W> {
    /// Begins the file with `run-start`: all that was asked for.
    ///
    /// # Errors
    /// What `out` answers; whether a reader that has gone away matters is the caller's to say.
    pub fn start(out: W, header: &Header) -> io::Result<Self> {
        let mut file = Self { file: Writer::new(out, header.started, None), stream: Stream::of(header) };
        file.file.write([&file.stream.start(header)])?;
        Ok(file)
    }

    /// Adds what happened since, and flushes it.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn entries(&mut self, entries: &[Entry]) -> io::Result<()> {
        let events: Vec<Event> = entries.iter().map(|entry| self.stream.event(entry)).collect();
        self.file.write(&events)
    }

    /// Ends the file: the server's own record, where it can be had, then `run-end`.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn end(mut self, run: &Run) -> io::Result<W> {
        let is_last =
            |event: &&Event| matches!(event.what, What::WitnessCommands(_) | What::WitnessSession(_) | What::RunEnd(_));
        self.file.write(run.events().iter().filter(is_last))?;
        Ok(self.file.into_inner())
    }
}
