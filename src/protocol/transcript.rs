//! What went over each session, line by line and readable later: time-stamped, both directions, no secret in it.
//!
//! One file a session, one line a line, made for `grep`:
//! ```text
//! 2026-11-24T06:20:01.123456Z -- connected to 127.0.0.1:143 from port 41210
//! 2026-11-24T06:20:01.124102Z S: * OK ready
//! 2026-11-24T06:20:01.124230Z C: a1 LOGIN ***
//! 2026-11-24T06:20:02.000417Z -- closed by us; 31 bytes sent, 80 received
//! ```
//! `C:` is what we wrote, `S:` what the server wrote, both as they are above TLS, and `--` what happened. The times are
//! UTC and never go back; a line has the time at which its end was read or written. Control characters and bytes that
//! are no text are escaped; of a long line the rest is counted.

mod positions;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use chrono::{DateTime, Utc};

use super::endpoint::Protocol;
use super::failure::{escaped, printable};
use super::secret::{Confidential, Mask, Part};
use super::stream::TlsDetails;
use positions::{Positions, Rule};

/// So many bytes of a line are kept.
const MAX_LINE: usize = 4096;
/// The longest transcript, in bytes.
const MAX_FILE: u64 = 64 << 20;
/// What is not written yet is at most about so long.
const BUFFER: usize = 64 << 10;
/// A name that is taken gets a number, up to this one.
const MAX_NUMBER: u32 = 1000;

/// The directory of a run's transcripts.
///
/// A transcript never gets in the way of its session: one that cannot be written ends there, the session goes on, and
/// [`failure`](Self::failure) says so.
pub struct Transcripts {
    directory: PathBuf,
    run_id: String,
    failed: Mutex<Failed>,
}

#[derive(Default)]
struct Failed {
    first: Option<String>,
    others: u64,
}

/// Transcripts cannot be written there. One line.
#[derive(Debug, thiserror::Error)]
#[error("no transcript can be written to {}: {error}", directory.display())]
pub struct TranscriptsError {
    directory: PathBuf,
    error: io::Error,
}

impl Transcripts {
    /// Makes sure that files can be created in the directory, which is made if it is missing, for its owner alone.
    ///
    /// A file is named after the run and the session, here #3.2: `f51a5eb98edb-c3-2.txt`.
    ///
    /// # Errors
    /// [`TranscriptsError`] with the operating system's reason.
    pub fn create(directory: &Path, run_id: &str) -> Result<Self, TranscriptsError> {
        let possible = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .and_then(|()| tempfile::tempfile_in(directory).map(drop));
        possible.map_err(|error| TranscriptsError { directory: directory.to_owned(), error })?;
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        let run_id = run_id.chars().map(|letter| if is_plain(letter) { letter } else { '_' }).collect();
        Ok(Self { directory: directory.to_owned(), run_id, failed: Mutex::default() })
    }

    /// Why transcripts are missing or incomplete, in one line, if any is.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let first = failed.first.as_ref()?;
        Some(match failed.others {
            0 => first.clone(),
            others => format!("{first}; and {others} more"),
        })
    }

    fn failed(&self, path: &Path, error: &io::Error) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.first.is_some() {
            failed.others += 1;
        } else {
            failed.first = Some(format!("the transcript {} is incomplete: {error}", path.display()));
        }
    }

    /// A file of that name, or of that name and a number: what is there already is never written to.
    fn file(&self, name: &str) -> Option<(PathBuf, File)> {
        let mut number = 1;
        loop {
            let numbered = if number == 1 { String::new() } else { format!("-{number}") };
            let path = self.directory.join(format!("{}-{name}{numbered}.txt", self.run_id));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Some((path, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < MAX_NUMBER => number += 1,
                Err(error) => {
                    self.failed(&path, &error);
                    return None;
                }
            }
        }
    }
}

/// The transcript of one session. Dropped, it is complete.
pub(super) struct Transcript {
    transcripts: Arc<Transcripts>,
    path: PathBuf,
    /// None once nothing more is written.
    file: Option<File>,
    buffer: Vec<u8>,
    written: u64,
    started: Instant,
    started_at: DateTime<Utc>,
    /// Finds the account's secrets, wherever they stand. What a sign-in says is hidden without it, too.
    mask: Arc<Mask>,
    positions: Positions,
    /// The client's last command that was no sign-in: what it names is no secret.
    command: [String; 1],
    client: Side,
    server: Side,
    closed_by_server: bool,
}

/// A line under way, and how much there was before it.
#[derive(Default)]
struct Side {
    line: Vec<u8>,
    /// The bytes of the line that were not kept.
    more: u64,
    total: u64,
}

#[derive(Clone, Copy)]
enum From {
    Client,
    Server,
}

impl Transcript {
    /// A transcript under that name, if its file can be made.
    pub(super) fn begin(
        transcripts: &Arc<Transcripts>,
        name: &str,
        protocol: Protocol,
        mask: Arc<Mask>,
    ) -> Option<Self> {
        let (path, file) = transcripts.file(name)?;
        Some(Self {
            transcripts: Arc::clone(transcripts),
            path,
            file: Some(file),
            buffer: Vec::new(),
            written: 0,
            started: Instant::now(),
            started_at: SystemTime::now().into(),
            mask,
            positions: Positions::new(protocol),
            command: [String::new()],
            client: Side::default(),
            server: Side::default(),
            closed_by_server: false,
        })
    }

    pub(super) fn connected(&mut self, address: SocketAddr, local_port: u16) {
        self.event(&format!("connected to {address} from port {local_port}"));
    }

    pub(super) fn secured(&mut self, tls: &TlsDetails) {
        let verified = if tls.verified { "verified" } else { "NOT verified" };
        let resumed = if tls.resumed { ", resumed" } else { "" };
        self.event(&format!("{} {}, {} {verified}{resumed}", tls.version, tls.cipher, tls.server_name));
    }

    pub(super) fn broke(&mut self, what: &str, why: &str) {
        self.event(&format!("{what} failed: {}", printable(why.as_bytes())));
    }

    pub(super) fn closed_by_server(&mut self) {
        if !self.closed_by_server {
            self.closed_by_server = true;
            self.event("closed by the server");
        }
    }

    /// We wrote that.
    pub(super) fn said(&mut self, bytes: &[u8]) {
        self.lines(From::Client, bytes);
    }

    /// The server wrote that; `last`: nothing more of it is here yet.
    pub(super) fn heard(&mut self, bytes: &[u8], last: bool) {
        self.lines(From::Server, bytes);
        if last {
            self.flush();
        }
    }

    const fn side(&mut self, from: From) -> &mut Side {
        match from {
            From::Client => &mut self.client,
            From::Server => &mut self.server,
        }
    }

    fn lines(&mut self, from: From, bytes: &[u8]) {
        self.side(from).total += bytes.len() as u64;
        if self.file.is_none() {
            return;
        }
        let now = self.now();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let side = self.side(from);
            let kept = piece.len().min(MAX_LINE.saturating_sub(side.line.len()));
            side.line.extend_from_slice(&piece[..kept]);
            side.more += (piece.len() - kept) as u64;
            if piece.ends_with(b"\n") {
                self.line(from, &now);
            }
        }
    }

    /// The line under way is complete.
    fn line(&mut self, from: From, now: &str) {
        let side = self.side(from);
        let (mut line, more) = (std::mem::take(&mut side.line), std::mem::take(&mut side.more));
        let length = line.len() as u64 + more;
        let (mark, Rule { confidential, part }) = match from {
            From::Client => ("C:", self.positions.said(&line, length)),
            From::Server => ("S:", self.positions.heard(&line)),
        };
        if part == Part::Command && confidential == Confidential::Nothing {
            self.command[0] = String::from_utf8_lossy(&line).into_owned();
        }
        if more == 0 {
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            line.truncate(text.strip_suffix(b"\r").unwrap_or(text).len());
        }
        // The last bytes of a line that was cut may be the first ones of a secret.
        let shown = self.mask.transcribe(&line, confidential, part, more > 0, &self.command);
        let mut text = escaped(&shown, usize::MAX);
        if more > 0 {
            text.push_str(&format!(" … ({more} more bytes)"));
        }
        self.write(&format!("{now} {mark} {text}\n"));
        line.clear();
        self.side(from).line = line;
    }

    /// Lines under way are shown as far as they came: what happens now stands behind them.
    fn event(&mut self, text: &str) {
        let now = self.now();
        for from in [From::Client, From::Server] {
            if !self.side(from).line.is_empty() {
                self.line(from, &now);
            }
        }
        self.write(&format!("{now} -- {text}\n"));
        self.flush();
    }

    /// The wall clock as it was at the start and the time since: whoever sets the clock back does not turn the lines round.
    fn now(&self) -> String {
        let moment = self.started_at + self.started.elapsed();
        moment.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
    }

    fn write(&mut self, line: &str) {
        if self.file.is_none() {
            return;
        }
        self.written += line.len() as u64;
        if self.written > MAX_FILE {
            let cut = format!("{} -- cut here: a transcript holds at most 64 MiB\n", self.now());
            self.buffer.extend_from_slice(cut.as_bytes());
            self.flush();
            self.file = None;
            return;
        }
        self.buffer.extend_from_slice(line.as_bytes());
        if self.buffer.len() >= BUFFER {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let Some(file) = &mut self.file else { return };
        if let Err(error) = file.write_all(&self.buffer) {
            self.file = None;
            self.transcripts.failed(&self.path, &error);
        }
        self.buffer.clear();
    }
}

impl Drop for Transcript {
    fn drop(&mut self) {
        let (sent, received) = (self.client.total, self.server.total);
        let closed = if self.closed_by_server { "" } else { "closed by us; " };
        self.event(&format!("{closed}{sent} bytes sent, {received} received"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(directory: &Path) -> (Arc<Transcripts>, Transcript) {
        let transcripts = Arc::new(Transcripts::create(directory, "run").unwrap());
        let transcript = Transcript::begin(&transcripts, "c3-2", Protocol::Imap, Arc::default()).unwrap();
        (transcripts, transcript)
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["run-c3-2.txt", "run-c3-2-2.txt", "run-c3-2-3.txt"] {
            let (_, mut transcript) = transcript(directory.path());
            assert_eq!(transcript.path, directory.path().join(name));
            transcript.said(format!("a1 EXAMINE {name}").as_bytes());
            drop(transcript);
        }
        let first = std::fs::read_to_string(directory.path().join("run-c3-2.txt")).unwrap();
        assert!(first.contains("C: a1 EXAMINE run-c3-2.txt\n"), "{first}");
    }

    #[test]
    fn a_full_disk_ends_the_transcript_and_is_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let (transcripts, mut transcript) = transcript(directory.path());
        transcript.file = Some(OpenOptions::new().write(true).open("/dev/full").unwrap());
        for _ in 0..3 {
            transcript.heard(b"* OK\r\n", true);
        }
        drop(transcript);
        let failure = transcripts.failure().unwrap();
        assert!(failure.ends_with("run-c3-2.txt is incomplete: No space left on device (os error 28)"), "{failure}");
    }

    #[test]
    fn a_transcript_that_grows_too_long_says_where_it_was_cut() {
        let directory = tempfile::tempdir().unwrap();
        let (transcripts, mut transcript) = transcript(directory.path());
        transcript.written = MAX_FILE - 100;
        for _ in 0..10 {
            transcript.heard(b"* 23 EXISTS\r\n", true);
        }
        let path = transcript.path.clone();
        drop(transcript);
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.ends_with("Z -- cut here: a transcript holds at most 64 MiB\n"), "{text}");
        assert!(text.matches("EXISTS").count() == 2 && transcripts.failure().is_none(), "{text}");
    }

    #[test]
    fn lines_are_whole_however_they_were_cut_on_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let (_, mut transcript) = transcript(directory.path());
        for piece in ["a1 LOG", "IN joe s3c", "ret\r", "\na2 NOOP\r\n"] {
            transcript.said(piece.as_bytes());
        }
        transcript.heard(b"a1 ", true);
        transcript.heard(b"OK\r\n\r\n", false);
        let path = transcript.path.clone();
        drop(transcript);
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<_> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        assert_eq!(
            lines,
            ["C: a1 LOGIN ***", "C: ***", "S: a1 OK", "S: ", "-- closed by us; 30 bytes sent, 9 received"],
            "a command before the reply to a sign-in may belong to it"
        );
    }
}
