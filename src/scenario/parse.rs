//! Text to [`Script`]: every name known, every step possible, before anything is dialled.
//!
//! Written by hand: the grammar is words on a line, and a good message depends on what the names stand for at that line (this
//! task has ended, that thread began something). A parser crate does not know that, and would add a second kind of message.

mod actions;
mod clients;
mod expectations;
mod names;
mod server;
mod threads;
mod values;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use self::values::{mode, time};
use super::error::{ParseError, ScriptError};
use super::script::{Script, Step, StepKind};
use super::words::{Word, Words};
use crate::protocol::Protocol;

/// The longest file, in bytes.
pub(super) const MOST_BYTES: usize = 256 * 1024;
const MOST_LINES: usize = 2000;
const MOST_THREADS: usize = 64;
const MOST_CLIENTS: usize = 16;
/// Some editors begin every file with a mark of its encoding, which nobody sees.
const MARK: char = '\u{feff}';
/// The longest pause or deadline.
const LONGEST: Duration = Duration::from_secs(600);

/// What a name stands for.
#[derive(Clone, Copy)]
enum Name {
    Client(usize),
    /// Its first thread, and how many.
    Pool(usize, usize),
    Thread(usize),
    Task(usize),
    Connection(usize),
}

/// Where a thread stands at this line.
#[derive(Clone, Copy, Default)]
struct ThreadState {
    /// It belongs to a pool.
    pooled: bool,
    exited: bool,
    /// In which line it began what it has not finished.
    begun: Option<usize>,
    /// The named task that has it.
    task: Option<usize>,
    /// Lines it has in the parallel block that is open.
    lines: usize,
}

/// A named task.
struct Task {
    number: u32,
    /// None once it has ended.
    thread: Option<usize>,
    pool: (usize, usize),
}

pub(super) struct Parser<'a> {
    script: Script,
    names: HashMap<&'a str, Name>,
    /// Names of defaults' handles: threads may have handles of the same name.
    handles: HashSet<&'a str>,
    /// Clients that were dropped, with the lines that did.
    dropped: HashMap<usize, usize>,
    threads: Vec<ThreadState>,
    tasks: Vec<Task>,
    line: usize,
    /// The parallel block that is open: its line, and its steps.
    block: Option<(usize, Vec<Step>)>,
    /// Something was done: what speaks of the whole file comes too late.
    begun: bool,
}

impl Script {
    /// The first protocol that its text says it can speak, if it says so; the text may be wrong otherwise.
    #[must_use]
    pub fn first_protocol(text: &str) -> Option<Protocol> {
        let text = text.strip_prefix(MARK).unwrap_or(text);
        let named = text.lines().find_map(|line| line.trim_start().strip_prefix("protocols:"))?;
        let first = named.split_whitespace().next()?;
        Protocol::ALL.into_iter().find(|protocol| protocol.name() == first)
    }

    /// Reads a scenario for that protocol; messages call it `file`.
    ///
    /// # Errors
    /// The first mistake, with its line and column.
    pub fn parse(file: &str, text: &str, protocol: Protocol) -> Result<Self, ScriptError> {
        let wrong =
            |line: usize, ParseError { column, message }| ScriptError { file: file.to_owned(), line, column, message };
        if text.len() > MOST_BYTES {
            let message = format!("a scenario holds at most {MOST_BYTES} bytes, this one {}; split it", text.len());
            return Err(wrong(1, ParseError::at(1, message)));
        }
        let mut parser = Parser::new(file, protocol);
        let text = text.strip_prefix(MARK).unwrap_or(text);
        for (number, line) in (1..).zip(text.lines()) {
            parser.line = number;
            if number > MOST_LINES {
                return Err(wrong(
                    number,
                    ParseError::at(1, format!("a scenario has at most {MOST_LINES} lines; split it")),
                ));
            }
            parser.line(line).map_err(|why| wrong(number, why))?;
        }
        parser.end().map_err(|(line, why)| wrong(line, why))
    }
}

impl<'a> Parser<'a> {
    fn new(file: &str, protocol: Protocol) -> Self {
        Self {
            script: Script {
                name: file.to_owned(),
                protocol,
                threads: Vec::new(),
                clients: Vec::new(),
                connections: Vec::new(),
                owners: Vec::new(),
                mailboxes: Vec::new(),
                tasks: Vec::new(),
                steps: Vec::new(),
                needs_sandbox: None,
                writes: false,
                users: Vec::new(),
            },
            names: HashMap::new(),
            handles: HashSet::new(),
            dropped: HashMap::new(),
            threads: Vec::new(),
            tasks: Vec::new(),
            line: 0,
            block: None,
            begun: false,
        }
    }

    fn line(&mut self, line: &'a str) -> Result<(), ParseError> {
        let mut words = Words::of(line)?;
        if words.is_over() {
            return Ok(());
        }
        let first = words.take("a step")?;
        let Some(kind) = self.kind(&first, &mut words)? else {
            return words.must_be_over();
        };
        words.must_be_over()?;
        self.begun = true;
        let step = Step { line: self.line, text: words.text.to_owned(), kind };
        match &mut self.block {
            None => self.script.steps.push(step),
            Some((_, steps)) if matches!(step.kind, StepKind::Thread(_)) => steps.push(step),
            Some(_) => {
                let message = "only what threads and tasks do stands in a parallel block; close it with `end` first";
                return Err(ParseError::at(first.column, message));
            }
        }
        Ok(())
    }

    /// None for a line that is no step of its own.
    fn kind(&mut self, first: &Word<'a>, words: &mut Words<'a>) -> Result<Option<StepKind>, ParseError> {
        let takes_none =
            ["client", "pool", "task", "all", "close", "drop", "pause", "server", "expect"].contains(&first.text);
        if let Some(arrow) = words.arrow().filter(|_| takes_none && !first.quoted) {
            let message = format!("`{}` takes no expectation: only what a thread does has a result", first.text);
            return Err(ParseError::at(arrow, message));
        }
        let kind = match first.text {
            _ if first.quoted => return Err(first.is_no("the beginning of a step")),
            "protocols:" => return self.protocols(first, words).map(|()| None),
            "parallel" => return self.open_block(first).map(|()| None),
            "end" => self.close_block(first)?,
            "client" => self.client(words)?,
            "pool" => self.pool(words)?,
            "task" => self.task(words)?,
            "all" => {
                words.must("mode")?;
                let mode = mode(words)?;
                if self.script.clients.is_empty() {
                    self.some_client(words)?;
                }
                let clients = 0..self.script.clients.len();
                StepKind::SetMode {
                    clients: clients.filter(|client| !self.dropped.contains_key(client)).collect(),
                    mode,
                }
            }
            "close" => StepKind::Close { client: self.client_to_end("close", words)? },
            "drop" => {
                let client = self.client_to_end("drop", words)?;
                self.dropped.insert(client, self.line);
                StepKind::Drop { client }
            }
            "pause" => StepKind::Pause(time(words)?),
            "server" => StepKind::Fault(self.fault(first.column, words)?),
            "expect" => StepKind::Expect(self.expect(words)?),
            name if name.starts_with(|c: char| c.is_uppercase()) => self.subject(first, words)?,
            _ => {
                return Err(first.is_no(
                    "the beginning of a step (client, pool, task, parallel, end, all, close, drop, pause, server, expect; or \
                     the name of a thread, which has a capital letter)",
                ));
            }
        };
        Ok(Some(kind))
    }

    fn protocols(&mut self, first: &Word<'a>, words: &mut Words<'a>) -> Result<(), ParseError> {
        if self.begun {
            return Err(ParseError::at(first.column, "`protocols:` stands before the first step"));
        }
        let mut all = Vec::new();
        while !words.is_over() {
            let word = words.take("a protocol")?;
            let known = Protocol::ALL.into_iter().find(|protocol| protocol.name() == word.text);
            all.push(known.ok_or_else(|| word.is_no("a protocol (imap, smtp or pop3)"))?);
        }
        if all.contains(&self.script.protocol) {
            return Ok(());
        }
        let names: Vec<&str> = all.iter().map(|protocol| protocol.name()).collect();
        let message = format!(
            "this scenario is for {}, and the server speaks {}; name another --server, like sandbox+{}",
            names.join(", "),
            self.script.protocol.name(),
            names.first().copied().unwrap_or("imap")
        );
        Err(ParseError::at(first.column, message))
    }

    fn open_block(&mut self, first: &Word<'a>) -> Result<(), ParseError> {
        if let Some((line, _)) = self.block {
            return Err(ParseError::at(first.column, format!("the parallel block of line {line} is still open")));
        }
        self.block = Some((self.line, Vec::new()));
        Ok(())
    }

    fn close_block(&mut self, first: &Word<'a>) -> Result<StepKind, ParseError> {
        let (_, steps) =
            self.block.take().ok_or_else(|| ParseError::at(first.column, "no parallel block is open here"))?;
        self.threads.iter_mut().for_each(|thread| thread.lines = 0);
        Ok(StepKind::Parallel(steps))
    }

    fn end(self) -> Result<Script, (usize, ParseError)> {
        if let Some((line, _)) = self.block {
            return Err((line, ParseError::at(1, "this parallel block is never closed: write `end`")));
        }
        for (thread, name) in self.threads.iter().zip(&self.script.threads) {
            if let Some(line) = thread.begun {
                let message = format!("what {name} begins here it never finishes: write `{name} finishes`");
                return Err((line, ParseError::at(1, message)));
            }
        }
        if self.script.steps.is_empty() {
            return Err((1, ParseError::at(1, "there is no step in this scenario")));
        }
        Ok(self.script)
    }
}
