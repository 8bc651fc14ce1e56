//! A stored file, read with other names in it.

use std::io::{self, BufRead, BufReader, Read};

use super::Anonymizer;

/// No line of a stream that can be read is longer.
const LONGEST: u64 = 17 << 20;
/// Nor is a document.
const LONGEST_DOCUMENT: u64 = 256 << 20;

/// Reads lines, and hands on each with other names in it.
pub(super) struct Anonymous<R> {
    from: BufReader<R>,
    names: Anonymizer,
    ready: Vec<u8>,
    given: usize,
    is_begun: bool,
}

impl<R: Read> Anonymous<R> {
    pub(super) fn new(from: R, names: Anonymizer) -> Self {
        Self { from: BufReader::new(from), names, ready: Vec::new(), given: 0, is_begun: false }
    }

    fn next_line(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.given = 0;
        (&mut self.from).take(LONGEST).read_until(b'\n', &mut self.ready)?;
        if !std::mem::replace(&mut self.is_begun, true) && self.ready.trim_ascii() == b"{" {
            // A document of many lines.
            (&mut self.from).take(LONGEST_DOCUMENT).read_to_end(&mut self.ready)?;
        }
        if let Ok(text) = str::from_utf8(&self.ready) {
            self.ready = self.names.json(text).into_bytes();
        }
        Ok(())
    }
}

impl<R: Read> Read for Anonymous<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.ready.len() {
            self.next_line()?;
        }
        let read = (&self.ready[self.given..]).read(into)?;
        self.given += read;
        Ok(read)
    }
}
