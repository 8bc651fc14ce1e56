//! Text to [`Script`]: every name known, every step possible, before anything is dialled.
//!
//! By hand: the grammar is words on a line. What makes a good message is what the names stand for by then (this task has
//! ended, that thread began something), which no parser's rules know; a crate would bring a second way of failing beside
//! it, and its words.

use std::collections::HashMap;
use std::time::Duration;

use super::error::{ScriptError, Wrong};
use super::script::{Act, Action, ClientPlan, Cut, Deed, LaneStep, Script, ServerDeed, Step, Unit, Victim, Which};
use super::words::{Word, Words};
use crate::allocator::Mode;
use crate::protocol::{Operation, Protocol};

mod expectations;

/// A file may be so long, in bytes.
pub(super) const MOST_BYTES: usize = 256 * 1024;
const MOST_LINES: usize = 2000;
const MOST_THREADS: usize = 64;
const MOST_CLIENTS: usize = 16;
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
struct Lane {
    /// It belongs to a pool.
    pooled: bool,
    exited: bool,
    /// In which line it began what it has not finished.
    begun: Option<usize>,
    /// The named task that has it.
    task: Option<usize>,
    /// Lines it has in this parallel block.
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
    lanes: Vec<Lane>,
    tasks: Vec<Task>,
    line: usize,
    /// The parallel block that is open: its line, and its steps.
    block: Option<(usize, Vec<Step>)>,
    /// Something was done: what speaks of the whole file comes too late.
    begun: bool,
}

impl Script {
    /// Reads a scenario for that protocol; `file` is what it is called in messages.
    ///
    /// # Errors
    /// The first mistake, with its line and column.
    pub fn parse(file: &str, text: &str, protocol: Protocol) -> Result<Self, ScriptError> {
        let wrong =
            |line: usize, Wrong { column, message }| ScriptError { file: file.to_owned(), line, column, message };
        if text.len() > MOST_BYTES {
            let message = format!("a scenario holds at most {MOST_BYTES} bytes, this one {}; split it", text.len());
            return Err(wrong(1, Wrong::at(1, message)));
        }
        let mut parser = Parser::new(file, protocol);
        for (number, line) in (1..).zip(text.lines()) {
            parser.line = number;
            if number > MOST_LINES {
                return Err(wrong(
                    number,
                    Wrong::at(1, format!("a scenario has at most {MOST_LINES} lines; split it")),
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
                tasks: 0,
                steps: Vec::new(),
                needs_sandbox: None,
                writes: false,
            },
            names: HashMap::new(),
            lanes: Vec::new(),
            tasks: Vec::new(),
            line: 0,
            block: None,
            begun: false,
        }
    }

    fn line(&mut self, line: &'a str) -> Result<(), Wrong> {
        let mut words = Words::of(line)?;
        if words.is_over() {
            return Ok(());
        }
        let first = words.take("a step")?;
        let Some(deed) = self.deed(&first, &mut words)? else {
            return words.must_be_over();
        };
        words.must_be_over()?;
        self.begun = true;
        let step = Step { line: self.line, text: words.text.to_owned(), deed };
        match &mut self.block {
            None => self.script.steps.push(step),
            Some((_, steps)) if matches!(step.deed, Deed::Lane(_)) => steps.push(step),
            Some(_) => {
                let message = "only what threads and tasks do stands in a parallel block; close it with `end` first";
                return Err(Wrong::at(first.column, message));
            }
        }
        Ok(())
    }

    /// None for a line that is no step of its own.
    fn deed(&mut self, first: &Word<'a>, words: &mut Words<'a>) -> Result<Option<Deed>, Wrong> {
        let deed = match first.text {
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
                    self.some_client(first.column)?;
                }
                Deed::SetMode { clients: (0..self.script.clients.len()).collect(), mode }
            }
            "close" => Deed::Close { client: self.client_named_or_only(words)? },
            "pause" => Deed::Pause(time(words)?),
            "server" => Deed::Server(self.server(first.column, words)?),
            "expect" => Deed::Expect(self.expect(words)?),
            name if name.starts_with(|c: char| c.is_uppercase()) => self.subject(first, words)?,
            _ => {
                return Err(first.is_no(
                    "the beginning of a step (client, pool, task, parallel, end, all, close, pause, server, expect, or a \
                     thread's name, which begins with a capital letter)",
                ));
            }
        };
        Ok(Some(deed))
    }

    fn protocols(&mut self, first: &Word<'a>, words: &mut Words<'a>) -> Result<(), Wrong> {
        if self.begun {
            return Err(Wrong::at(first.column, "`protocols:` stands before the first step"));
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
        Err(Wrong::at(first.column, message))
    }

    fn open_block(&mut self, first: &Word<'a>) -> Result<(), Wrong> {
        if let Some((line, _)) = self.block {
            return Err(Wrong::at(first.column, format!("the parallel block of line {line} is still open")));
        }
        self.lanes.iter_mut().for_each(|lane| lane.lines = 0);
        self.block = Some((self.line, Vec::new()));
        Ok(())
    }

    fn close_block(&mut self, first: &Word<'a>) -> Result<Deed, Wrong> {
        let (_, steps) = self.block.take().ok_or_else(|| Wrong::at(first.column, "no parallel block is open here"))?;
        Ok(Deed::Parallel(steps))
    }

    fn client(&mut self, words: &mut Words<'a>) -> Result<Deed, Wrong> {
        let column = words.column();
        let named = words.peek().is_some_and(|word| word.starts_with(|c: char| c.is_uppercase()));
        let name = if named { self.new_name(words, true)? } else { "" };
        if (!named || self.script.clients.iter().any(|client| client.name.is_empty()))
            && !self.script.clients.is_empty()
        {
            return Err(Wrong::at(column, "of several clients each has a name: `client A use-main`"));
        }
        if self.script.clients.len() == MOST_CLIENTS {
            return Err(Wrong::at(column, format!("a scenario has at most {MOST_CLIENTS} clients")));
        }
        let mut plan = ClientPlan {
            name: name.to_owned(),
            mode: mode(words)?,
            max_connections: None,
            wait_timeout: None,
            operation_timeout: None,
            connect_timeout: None,
            wrong_password: false,
        };
        while !words.is_over() {
            self.client_setting(words, &mut plan)?;
        }
        let number = self.script.clients.len();
        if named {
            self.names.insert(name, Name::Client(number));
        }
        self.script.clients.push(plan);
        Ok(Deed::MakeClient(number))
    }

    fn client_setting(&mut self, words: &mut Words<'a>, plan: &mut ClientPlan) -> Result<(), Wrong> {
        const WHAT: &str = "a setting (cap=N, wait=TIME, timeout=TIME, connect=TIME or wrong-password)";
        let word = words.take(WHAT)?;
        if word.text == "wrong-password" {
            self.needs_sandbox();
            plan.wrong_password = true;
            return Ok(());
        }
        let (key, value) = word.text.split_once('=').ok_or_else(|| word.is_no(WHAT))?;
        match key {
            "cap" => {
                let cap = value.parse().ok().filter(|cap| *cap >= 1);
                plan.max_connections = Some(cap.ok_or_else(|| word.is_no("a number of connections, like cap=2"))?);
            }
            "wait" => plan.wait_timeout = Some(time_of(&word, value)?),
            "timeout" => plan.operation_timeout = Some(time_of(&word, value)?),
            "connect" => plan.connect_timeout = Some(time_of(&word, value)?),
            _ => return Err(word.is_no(WHAT)),
        }
        Ok(())
    }

    fn pool(&mut self, words: &mut Words<'a>) -> Result<Deed, Wrong> {
        let name = self.new_name(words, true)?;
        let word = words.take("threads=N")?;
        let threads = word.text.strip_prefix("threads=").and_then(|number| number.parse::<usize>().ok());
        let threads = threads.filter(|threads| *threads >= 1);
        let threads = threads.ok_or_else(|| word.is_no("a number of threads, like threads=2"))?;
        let first = self.lanes.len();
        for number in 1..=threads {
            self.add_thread(format!("{name}.{number}"), true, word.column)?;
        }
        self.names.insert(name, Name::Pool(first, threads));
        Ok(Deed::Named(if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") }))
    }

    fn task(&mut self, words: &mut Words<'a>) -> Result<Deed, Wrong> {
        let name = self.new_name(words, true)?;
        words.must("on")?;
        let word = words.take("a pool")?;
        let (pool, thread) = match self.pool_of(&word)? {
            (pool, Some(thread)) => (pool, thread),
            (pool, None) => (pool, self.free_thread(pool, &word)?),
        };
        self.idle(thread, &word)?;
        let number = self.tasks.len();
        let task = Task { number: self.next_task(), thread: Some(thread), pool };
        self.tasks.push(task);
        self.lanes[thread].task = Some(number);
        self.names.insert(name, Name::Task(number));
        Ok(Deed::Named(format!("runs on {}", self.script.threads[thread])))
    }

    /// A pool, or one thread of it: `P`, `P.2`.
    fn pool_of(&self, word: &Word<'a>) -> Result<((usize, usize), Option<usize>), Wrong> {
        let (name, number) = word.text.split_once('.').map_or((word.text, None), |(name, no)| (name, Some(no)));
        let Some(Name::Pool(first, threads)) = self.names.get(name).copied() else {
            return Err(word.is_no("a pool, as `pool P threads=2` names it,"));
        };
        let Some(number) = number else { return Ok(((first, threads), None)) };
        let number = number.parse::<usize>().ok().filter(|number| (1..=threads).contains(number));
        let number = number.ok_or_else(|| Wrong::at(word.column, format!("{name} has the threads 1 to {threads}")))?;
        Ok(((first, threads), Some(first + number - 1)))
    }

    /// The pool's first thread that has nothing to do; in a parallel block the one with the fewest lines in it.
    fn free_thread(&self, (first, threads): (usize, usize), word: &Word<'a>) -> Result<usize, Wrong> {
        let free = (first..first + threads)
            .filter(|&thread| self.lanes[thread].task.is_none() && self.lanes[thread].begun.is_none());
        free.min_by_key(|&thread| self.lanes[thread].lines).ok_or_else(|| {
            let message =
                format!("every thread of {} has a task that has not ended; end one, or give it more", word.text);
            Wrong::at(word.column, message)
        })
    }

    /// That thread can be given something to do.
    fn idle(&self, thread: usize, word: &Word<'a>) -> Result<(), Wrong> {
        let lane = &self.lanes[thread];
        let name = &self.script.threads[thread];
        if lane.exited {
            let message = format!("{name} has exited; a thread that ended does not come back: use another name");
            return Err(Wrong::at(word.column, message));
        }
        match lane.begun {
            Some(line) => Err(Wrong::at(
                word.column,
                format!("{name} has not finished what it began in line {line}: write `{} finishes` first", word.text),
            )),
            None => Ok(()),
        }
    }

    /// A line that begins with the name of a thread, pool, task or client.
    fn subject(&mut self, first: &Word<'a>, words: &mut Words<'a>) -> Result<Deed, Wrong> {
        let pooled = first.text.contains('.').then(|| self.pool_of(first)).transpose()?.and_then(|(_, thread)| thread);
        let name = match pooled {
            Some(thread) => Name::Thread(thread),
            None => match self.names.get(first.text).copied() {
                Some(name) => name,
                None => {
                    plain(first)?;
                    let thread = self.add_thread(first.text.to_owned(), false, first.column)?;
                    self.names.insert(first.text, Name::Thread(thread));
                    Name::Thread(thread)
                }
            },
        };
        if let Name::Client(client) = name {
            words.must("mode")?;
            return Ok(Deed::SetMode { clients: vec![client], mode: mode(words)? });
        }
        if words.takes("finishes") {
            let thread = self.begun_thread(name, first)?;
            self.lanes[thread].begun = None;
            return Ok(Deed::Finish { thread, expected: self.expected(words)? });
        }
        match name {
            Name::Task(task) if words.peek() == Some("moves") => self.moves(task, first, words),
            Name::Task(task) if words.takes("ends") => {
                let thread = self.thread_of(task, first)?;
                self.idle(thread, first)?;
                self.tasks[task].thread = None;
                self.lanes[thread].task = None;
                let actions = Vec::new();
                let task = Some(self.tasks[task].number);
                Ok(Deed::Lane(LaneStep { thread, task, lets_go: true, actions, expected: None }))
            }
            Name::Thread(thread) if words.peek() == Some("exit") => {
                let word = words.take("exit")?;
                self.idle(thread, first)?;
                if self.lanes[thread].pooled {
                    return Err(Wrong::at(word.column, "a pool keeps its threads: only a thread of its own exits"));
                }
                self.lanes[thread].exited = true;
                Ok(Deed::Exit { thread })
            }
            _ => self.lane(name, first, words),
        }
    }

    fn moves(&mut self, task: usize, first: &Word<'a>, words: &mut Words<'a>) -> Result<Deed, Wrong> {
        words.must("moves")?;
        words.must("to")?;
        let from = self.thread_of(task, first)?;
        self.idle(from, first)?;
        let word = words.take("a thread of its pool, like P.2,")?;
        let (pool, thread) = self.pool_of(&word)?;
        let thread = thread.filter(|_| pool == self.tasks[task].pool);
        let thread = thread.ok_or_else(|| word.is_no("a thread of its pool, like P.2,"))?;
        if self.lanes[thread].task.is_some() {
            return Err(Wrong::at(word.column, format!("{} has another task", word.text)));
        }
        self.idle(thread, &word)?;
        self.lanes[from].task = None;
        self.lanes[thread].task = Some(task);
        self.tasks[task].thread = Some(thread);
        Ok(Deed::Lane(LaneStep {
            thread: from,
            task: Some(self.tasks[task].number),
            lets_go: true,
            actions: Vec::new(),
            expected: None,
        }))
    }

    fn thread_of(&self, task: usize, word: &Word<'a>) -> Result<usize, Wrong> {
        let ended = || Wrong::at(word.column, format!("the task {} has ended", word.text));
        self.tasks[task].thread.ok_or_else(ended)
    }

    /// The thread of that name which began something.
    fn begun_thread(&self, name: Name, word: &Word<'a>) -> Result<usize, Wrong> {
        let (first, threads) = match name {
            Name::Pool(first, threads) => (first, threads),
            Name::Task(task) => (self.thread_of(task, word)?, 1),
            Name::Thread(thread) => (thread, 1),
            Name::Client(_) | Name::Connection(_) => return Err(word.is_no("a thread")),
        };
        let mut begun = (first..first + threads).filter(|&thread| self.lanes[thread].begun.is_some());
        match (begun.next(), begun.next()) {
            (Some(thread), None) => Ok(thread),
            (None, _) => Err(Wrong::at(word.column, format!("{} has begun nothing", word.text))),
            _ => Err(Wrong::at(word.column, "several of its threads have begun something: name one, like P.2")),
        }
    }

    /// Actions of one thread.
    fn lane(&mut self, name: Name, first: &Word<'a>, words: &mut Words<'a>) -> Result<Deed, Wrong> {
        let (thread, task, lets_go) = match name {
            Name::Thread(thread) if !self.lanes[thread].pooled => (thread, None, false),
            Name::Thread(thread) => {
                if self.lanes[thread].task.is_some() {
                    return Err(Wrong::at(first.column, format!("{} has a task that has not ended", first.text)));
                }
                (thread, Some(self.next_task()), true)
            }
            Name::Pool(from, threads) => (self.free_thread((from, threads), first)?, Some(self.next_task()), true),
            Name::Task(task) => (self.thread_of(task, first)?, Some(self.tasks[task].number), false),
            Name::Client(_) | Name::Connection(_) => return Err(first.is_no("a thread")),
        };
        self.idle(thread, first)?;
        let begins = words.peek() == Some("begins");
        if begins {
            words.must("begins")?;
        }
        let mut actions = vec![self.action(words)?];
        while words.takes(";") {
            actions.push(self.action(words)?);
        }
        if actions.iter().skip(1).any(|action| matches!(action.what, Act::Scope)) {
            return Err(Wrong::at(first.column, "`scope` comes first in its line: it lasts to the line's end"));
        }
        self.lanes[thread].lines += 1;
        let arrow = words.column();
        let expected = self.expected(words)?;
        if begins {
            if self.block.is_some() {
                return Err(Wrong::at(first.column, "what stands in a parallel block is begun at once anyway"));
            }
            if expected.is_some() {
                let message =
                    format!("what comes of it is known when it finishes: write `{} finishes => …`", first.text);
                return Err(Wrong::at(arrow, message));
            }
            self.lanes[thread].begun = Some(self.line);
            return Ok(Deed::Begin(LaneStep { thread, task, lets_go, actions, expected }));
        }
        if expected.is_some() && !actions.iter().any(|action| action.what.has_result()) {
            return Err(Wrong::at(arrow, "nothing in this line has a result to be expected"));
        }
        Ok(Deed::Lane(LaneStep { thread, task, lets_go, actions, expected }))
    }

    fn next_task(&mut self) -> u32 {
        let number = self.script.tasks;
        self.script.tasks += 1;
        number
    }

    fn action(&mut self, words: &mut Words<'a>) -> Result<Action, Wrong> {
        const WHAT: &str = "an action";
        let verb = words.take(WHAT)?;
        if verb.quoted {
            return Err(verb.is_no(WHAT));
        }
        match verb.text {
            "create" => {
                let name = self.new_name(words, false)?;
                let client = self.client_after(words, None)?;
                let connection = self.script.connections.len();
                self.script.connections.push(name.to_owned());
                self.script.owners.push(client);
                self.names.insert(name, Name::Connection(connection));
                Ok(Action { client, what: Act::Create(connection) })
            }
            "create-default" => {
                let named = words.peek().is_some_and(is_lower_name);
                let name = if named { Some(self.fresh_handle(words)?) } else { None };
                Ok(Action { client: self.client_after(words, None)?, what: Act::CreateDefault(name) })
            }
            "leave" => {
                let named = words.peek().is_some_and(is_lower_name);
                let name = if named { Some(words.take("a default")?.text.to_owned()) } else { None };
                Ok(Action { client: self.client_after(words, None)?, what: Act::Leave(name) })
            }
            "dispose" => {
                let word = words.take("a connection")?;
                let what = match self.names.get(word.text) {
                    Some(Name::Connection(connection)) => Act::Dispose(*connection),
                    _ => Act::DisposeHandle(word.text.to_owned()),
                };
                let owner =
                    if let Act::Dispose(connection) = what { Some(self.script.owners[connection]) } else { None };
                Ok(Action { client: self.client_after(words, owner)?, what })
            }
            "dispose-default" => Ok(Action { client: self.client_after(words, None)?, what: Act::DisposeDefault }),
            "release" => Ok(Action { client: self.client_after(words, Some(0))?, what: Act::Release }),
            "scope" => Ok(Action { client: self.client_after(words, None)?, what: Act::Scope }),
            "mode" => {
                let mode = mode(words)?;
                Ok(Action { client: self.client_after(words, None)?, what: Act::SetMode(mode) })
            }
            "pause" => Ok(Action { client: 0, what: Act::Pause(time(words)?) }),
            "panic" => Ok(Action { client: 0, what: Act::Panic }),
            "hold" => {
                let noop = Operation::parse(self.script.protocol, "noop");
                let noop = noop.map_err(|unknown| Wrong::at(verb.column, unknown.to_string()))?;
                let (client, via) = self.on_which(words)?;
                Ok(Action { client, what: Act::Hold { unit: Unit::Safe(noop, None), via } })
            }
            name => {
                let unit = self.unit(name, &verb, words)?;
                let (client, via) = self.on_which(words)?;
                Ok(Action { client, what: Act::Unit { unit, via } })
            }
        }
    }

    fn unit(&mut self, name: &str, verb: &Word<'a>, words: &mut Words<'a>) -> Result<Unit, Wrong> {
        let imap = self.script.protocol == Protocol::Imap;
        match name {
            "select" if imap => Ok(Unit::Select(self.mailbox(words)?)),
            "fetch-selected" if imap => Ok(Unit::FetchSelected),
            "append" => Err(Wrong::at(
                verb.column,
                "`append` makes a mailbox of its own, and is no step; `mailconn run` has it",
            )),
            _ => {
                let unknown = |_| {
                    let units =
                        Operation::all(self.script.protocol).map(Operation::name).filter(|name| *name != "append");
                    let units: Vec<&str> = units.chain(imap.then_some("select, fetch-selected")).collect();
                    Wrong::at(
                        verb.column,
                        format!(
                            "`{name}` is no action; there are create, create-default, leave, dispose, dispose-default, hold, \
                             release, mode, pause, scope, panic, and with {} {}",
                            self.script.protocol.name(),
                            units.join(", ")
                        ),
                    )
                };
                let operation = Operation::parse(self.script.protocol, name).map_err(unknown)?;
                self.script.writes |= operation.writes();
                let mailbox = operation.needs_mailbox().then(|| self.mailbox(words)).transpose()?;
                Ok(Unit::Safe(operation, mailbox))
            }
        }
    }

    /// The mailbox that is named next, else INBOX.
    fn mailbox(&mut self, words: &mut Words<'a>) -> Result<u16, Wrong> {
        let named = !words.is_over() && !matches!(words.peek(), Some("via" | "on" | ";" | "=>"));
        let (name, column) = if named {
            let word = words.take("a mailbox")?;
            (word.text, word.column)
        } else {
            ("INBOX", words.column())
        };
        if name.is_empty() || name.contains(char::is_control) {
            return Err(Wrong::at(column, "no server has such a mailbox"));
        }
        let known = self.script.mailboxes.iter().position(|mailbox| mailbox == name);
        let index = known.unwrap_or_else(|| {
            self.script.mailboxes.push(name.to_owned());
            self.script.mailboxes.len() - 1
        });
        u16::try_from(index).map_err(|_| Wrong::at(column, "a scenario names fewer mailboxes"))
    }

    /// `via k` and `on A`, in any order.
    fn on_which(&mut self, words: &mut Words<'a>) -> Result<(usize, Option<usize>), Wrong> {
        let mut via = None;
        let mut on = None;
        loop {
            match words.peek() {
                Some("via") if via.is_none() => {
                    words.must("via")?;
                    via = Some(self.connection(words)?);
                }
                Some("on") if on.is_none() => {
                    words.must("on")?;
                    on = Some(self.client_named(words)?);
                }
                _ => break,
            }
        }
        match (on, via) {
            (Some(client), via) => Ok((client, via)),
            (None, Some(connection)) => Ok((self.script.owners[connection], via)),
            (None, None) => Ok((self.some_client(words.column())?, None)),
        }
    }

    fn connection(&self, words: &mut Words<'a>) -> Result<usize, Wrong> {
        const WHAT: &str = "an independent connection, as `create k` names it,";
        let word = words.take(WHAT)?;
        match self.names.get(word.text) {
            Some(Name::Connection(connection)) if !word.quoted => Ok(*connection),
            _ => Err(word.is_no(WHAT)),
        }
    }

    /// The client behind `on`, else `usual`, else the only one.
    fn client_after(&self, words: &mut Words<'a>, usual: Option<usize>) -> Result<usize, Wrong> {
        if words.takes("on") {
            return self.client_named(words);
        }
        usual.filter(|client| *client < self.script.clients.len()).map_or_else(|| self.some_client(words.column()), Ok)
    }

    fn client_named_or_only(&self, words: &mut Words<'a>) -> Result<usize, Wrong> {
        if words.is_over() { self.some_client(words.column()) } else { self.client_named(words) }
    }

    fn client_named(&self, words: &mut Words<'a>) -> Result<usize, Wrong> {
        const WHAT: &str = "a client, as `client A use-main` names it,";
        let word = words.take(WHAT)?;
        match self.names.get(word.text) {
            Some(Name::Client(client)) => Ok(*client),
            _ => Err(word.is_no(WHAT)),
        }
    }

    /// The only client.
    fn some_client(&self, column: usize) -> Result<usize, Wrong> {
        match self.script.clients.len() {
            1 => Ok(0),
            0 => Err(Wrong::at(column, "there is no client yet; begin with one, like `client use-main-or-default`")),
            _ => Err(Wrong::at(column, "there are several clients: say which one, like `on A`")),
        }
    }

    fn server(&mut self, column: usize, words: &mut Words<'a>) -> Result<ServerDeed, Wrong> {
        self.needs_sandbox();
        const WHAT: &str =
            "what the server does (cuts, stalls, resumes, says, refuses, accepts, limits, lifts, locks or shares)";
        let verb = words.take(WHAT)?;
        if self.block.is_some() {
            return Err(Wrong::at(column, "the server does nothing inside a parallel block; begin steps instead"));
        }
        match verb.text {
            "cuts" => {
                let victim = self.victim(words)?;
                let by = match words.takes("by") {
                    false => Cut::Fin,
                    true => match words.take("fin or rst")? {
                        word if word.text == "fin" => Cut::Fin,
                        word if word.text == "rst" => Cut::Rst,
                        word => return Err(word.is_no("fin or rst")),
                    },
                };
                Ok(ServerDeed::Cut { victim, by })
            }
            "stalls" => Ok(ServerDeed::Stall { victim: self.victim(words)?, stalled: true }),
            "resumes" => Ok(ServerDeed::Stall { victim: self.victim(words)?, stalled: false }),
            "says" => {
                words.must("bye")?;
                words.must("to")?;
                let victim = self.victim(words)?;
                let text = if words.is_over() { "the server is going down" } else { words.take("what it says")?.text };
                Ok(ServerDeed::Bye { victim, text: text.to_owned() })
            }
            "refuses" => words.must("connections").map(|()| ServerDeed::Refuse(true)),
            "accepts" => words.must("connections").map(|()| ServerDeed::Refuse(false)),
            "limits" => {
                words.must("connections")?;
                words.must("to")?;
                Ok(ServerDeed::Limit(Some(number(words, "a number of connections")?)))
            }
            "lifts" => {
                words.must("the")?;
                words.must("limit")?;
                Ok(ServerDeed::Limit(None))
            }
            "locks" | "shares" if self.script.protocol != Protocol::Pop3 => Err(Wrong::at(
                verb.column,
                "only POP3 has maildrops: write `protocols: pop3` above, and name such a --server",
            )),
            "locks" => words.must("maildrops").map(|()| ServerDeed::LockMaildrops(true)),
            "shares" => words.must("maildrops").map(|()| ServerDeed::LockMaildrops(false)),
            _ => Err(verb.is_no(WHAT)),
        }
    }

    /// `main`, `k` or `default of T1`, and `on A`.
    fn victim(&self, words: &mut Words<'a>) -> Result<Victim, Wrong> {
        const WHAT: &str = "whose connection (main, default of T1, or an independent one's name)";
        let word = words.take(WHAT)?;
        let (which, usual) = match word.text {
            "main" => (Which::Main, None),
            "default" => {
                words.must("of")?;
                let thread = words.take("a thread")?;
                (Which::DefaultOf(self.thread_named(&thread)?), None)
            }
            name => match self.names.get(name) {
                Some(Name::Connection(connection)) => {
                    (Which::Connection(*connection), Some(self.script.owners[*connection]))
                }
                _ => return Err(word.is_no(WHAT)),
            },
        };
        Ok(Victim { client: self.client_after(words, usual)?, which })
    }

    /// The thread of that name, or of that task, or of that pool if it has one alone.
    fn thread_named(&self, word: &Word<'a>) -> Result<usize, Wrong> {
        if word.text.contains('.') {
            return self.pool_of(word)?.1.ok_or_else(|| word.is_no("a thread"));
        }
        match self.names.get(word.text).copied() {
            Some(Name::Thread(thread) | Name::Pool(thread, 1)) => Ok(thread),
            Some(Name::Task(task)) => self.thread_of(task, word),
            _ => Err(word.is_no("a thread that did something")),
        }
    }

    fn needs_sandbox(&mut self) {
        self.script.needs_sandbox.get_or_insert(self.line);
    }

    fn add_thread(&mut self, name: String, pooled: bool, column: usize) -> Result<usize, Wrong> {
        if self.lanes.len() == MOST_THREADS {
            return Err(Wrong::at(column, format!("a scenario has at most {MOST_THREADS} threads")));
        }
        self.script.threads.push(name);
        self.lanes.push(Lane { pooled, ..Lane::default() });
        Ok(self.lanes.len() - 1)
    }

    /// A name that nothing has yet: with a capital for whoever does something, without for a connection.
    fn new_name(&self, words: &mut Words<'a>, capital: bool) -> Result<&'a str, Wrong> {
        let what = if capital { "a new name, with a capital letter," } else { "a new name, in small letters," };
        let word = words.take(what)?;
        let first_is_right = word.text.starts_with(|c: char| if capital { c.is_uppercase() } else { c.is_lowercase() });
        if word.quoted || !first_is_right {
            return Err(word.is_no(what));
        }
        plain(&word)?;
        if self.names.contains_key(word.text) || RESERVED.contains(&word.text) {
            return Err(Wrong::at(word.column, format!("`{}` already means something else", word.text)));
        }
        Ok(word.text)
    }

    fn fresh_handle(&self, words: &mut Words<'a>) -> Result<String, Wrong> {
        self.new_name(words, false).map(str::to_owned)
    }

    fn end(self) -> Result<Script, (usize, Wrong)> {
        if let Some((line, _)) = self.block {
            return Err((line, Wrong::at(1, "this parallel block is never closed: write `end`")));
        }
        for (lane, name) in self.lanes.iter().zip(&self.script.threads) {
            if let Some(line) = lane.begun {
                let message = format!("what {name} begins here it never finishes: write `{name} finishes`");
                return Err((line, Wrong::at(1, message)));
            }
        }
        if self.script.steps.is_empty() {
            return Err((1, Wrong::at(1, "there is no step in this scenario")));
        }
        Ok(self.script)
    }
}

/// Words that an expectation knows, so that no connection can have them.
const RESERVED: [&str; 20] = [
    "main",
    "default",
    "default-created",
    "explicit",
    "ok",
    "opened",
    "disposed",
    "nothing",
    "panics",
    "refused",
    "fails",
    "from",
    "session",
    "or",
    "on",
    "via",
    "of",
    "by",
    "to",
    "end",
];

impl Act {
    /// Whether something comes of it that can be expected.
    pub(super) const fn has_result(&self) -> bool {
        !matches!(self, Self::Leave(_) | Self::Release | Self::SetMode(_) | Self::Pause(_) | Self::Scope)
    }
}

fn is_lower_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_lowercase()) && word != "on"
}

/// A name is letters, digits, hyphens and underscores.
fn plain(word: &Word<'_>) -> Result<(), Wrong> {
    let fits =
        word.text.chars().count() <= 40 && word.text.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    if fits { Ok(()) } else { Err(word.is_no("a name (letters, digits, - and _, at most 40)")) }
}

fn mode(words: &mut Words<'_>) -> Result<Mode, Wrong> {
    const WHAT: &str = "a mode (use-main, use-default or use-main-or-default)";
    let word = words.take(WHAT)?;
    Mode::ALL.into_iter().find(|mode| mode.name() == word.text).ok_or_else(|| word.is_no(WHAT))
}

fn number(words: &mut Words<'_>, what: &str) -> Result<usize, Wrong> {
    let word = words.take(what)?;
    word.text.parse().map_err(|_| word.is_no(what))
}

fn time(words: &mut Words<'_>) -> Result<Duration, Wrong> {
    let word = words.take("a time, like 20ms")?;
    time_of(&word, word.text)
}

fn time_of(word: &Word<'_>, text: &str) -> Result<Duration, Wrong> {
    let time = humantime::parse_duration(text).ok().filter(|time| !time.is_zero() && *time <= LONGEST);
    time.ok_or_else(|| word.is_no("a time from 1ns to 10m, like 20ms,"))
}
