//! Threads, pools and tasks: which thread a line is for, and whether that one is free by then.

use super::names::plain;
use super::values::mode;
use super::{MOST_THREADS, Name, Parser, Task, ThreadState};
use crate::scenario::error::ParseError;
use crate::scenario::script::{ActionKind, StepKind, ThreadStep};
use crate::scenario::words::{Word, Words};

impl<'a> Parser<'a> {
    pub(super) fn pool(&mut self, words: &mut Words<'a>) -> Result<StepKind, ParseError> {
        let name = self.new_name(words, true)?;
        let word = words.take("threads=N")?;
        let threads = word.text.strip_prefix("threads=").and_then(|number| number.parse::<usize>().ok());
        let threads = threads.filter(|threads| *threads >= 1);
        let threads = threads.ok_or_else(|| word.is_no("a number of threads, like threads=2"))?;
        let first = self.threads.len();
        for number in 1..=threads {
            self.add_thread(format!("{name}.{number}"), true, word.column)?;
        }
        self.names.insert(name, Name::Pool(first, threads));
        Ok(StepKind::Named(if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") }))
    }

    pub(super) fn task(&mut self, words: &mut Words<'a>) -> Result<StepKind, ParseError> {
        let name = self.new_name(words, true)?;
        words.must("on")?;
        let word = words.take("a pool")?;
        let (pool, thread) = match self.pool_of(&word)? {
            (pool, Some(thread)) => (pool, thread),
            (pool, None) => (pool, self.free_thread(pool, &word)?),
        };
        self.idle(thread, &word)?;
        let number = self.tasks.len();
        let task = Task { number: self.next_task(name.to_owned()), thread: Some(thread), pool };
        self.tasks.push(task);
        self.threads[thread].task = Some(number);
        self.names.insert(name, Name::Task(number));
        Ok(StepKind::Named(format!("runs on {}", self.script.threads[thread])))
    }

    /// A pool, or one thread of it: `P`, `P.2`.
    fn pool_of(&self, word: &Word<'a>) -> Result<((usize, usize), Option<usize>), ParseError> {
        let (name, number) = word.text.split_once('.').map_or((word.text, None), |(name, no)| (name, Some(no)));
        let Some(Name::Pool(first, threads)) = self.names.get(name).copied() else {
            return Err(word.is_no("a pool, as `pool P threads=2` names it,"));
        };
        let Some(number) = number else { return Ok(((first, threads), None)) };
        let number = number.parse::<usize>().ok().filter(|number| (1..=threads).contains(number));
        let number =
            number.ok_or_else(|| ParseError::at(word.column, format!("{name} has the threads 1 to {threads}")))?;
        Ok(((first, threads), Some(first + number - 1)))
    }

    /// The pool's first thread that has nothing to do; in a parallel block the first of those with the fewest lines in it.
    fn free_thread(&self, (first, threads): (usize, usize), word: &Word<'a>) -> Result<usize, ParseError> {
        let free = (first..first + threads)
            .filter(|&thread| self.threads[thread].task.is_none() && self.threads[thread].begun.is_none());
        free.min_by_key(|&thread| self.threads[thread].lines).ok_or_else(|| {
            let message =
                format!("every thread of {} has a task that has not ended; end one, or give it more", word.text);
            ParseError::at(word.column, message)
        })
    }

    /// That thread can be given something to do.
    fn idle(&self, thread: usize, word: &Word<'a>) -> Result<(), ParseError> {
        let state = &self.threads[thread];
        let name = &self.script.threads[thread];
        if state.exited {
            let message = format!("{name} has exited; a thread that ended does not come back: use another name");
            return Err(ParseError::at(word.column, message));
        }
        match state.begun {
            Some(line) => Err(ParseError::at(
                word.column,
                format!("{name} has not finished what it began in line {line}: write `{} finishes` first", word.text),
            )),
            None => Ok(()),
        }
    }

    /// A line that begins with the name of a thread, pool, task or client.
    pub(super) fn subject(&mut self, first: &Word<'a>, words: &mut Words<'a>) -> Result<StepKind, ParseError> {
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
            self.is_held(client, first.column)?;
            return Ok(StepKind::SetMode { clients: vec![client], mode: mode(words)? });
        }
        if words.takes("finishes") {
            let thread = self.begun_thread(name, first)?;
            self.threads[thread].begun = None;
            return Ok(StepKind::Finish { thread, expected: self.expected(words)? });
        }
        match name {
            Name::Task(task) if words.peek() == Some("moves") => self.moves(task, first, words),
            Name::Task(task) if words.takes("ends") => {
                let thread = self.thread_of(task, first)?;
                self.idle(thread, first)?;
                self.tasks[task].thread = None;
                self.threads[thread].task = None;
                let actions = Vec::new();
                let task = Some(self.tasks[task].number);
                Ok(StepKind::Thread(ThreadStep { thread, task, lets_go: true, ends: true, actions, expected: None }))
            }
            Name::Thread(thread) if words.peek() == Some("exit") => {
                let word = words.take("exit")?;
                self.idle(thread, first)?;
                if self.threads[thread].pooled {
                    return Err(ParseError::at(
                        word.column,
                        "a pool keeps its threads: only a thread of its own exits",
                    ));
                }
                self.threads[thread].exited = true;
                Ok(StepKind::Exit { thread })
            }
            _ => self.actions(name, first, words),
        }
    }

    fn moves(&mut self, task: usize, first: &Word<'a>, words: &mut Words<'a>) -> Result<StepKind, ParseError> {
        words.must("moves")?;
        words.must("to")?;
        let from = self.thread_of(task, first)?;
        self.idle(from, first)?;
        let word = words.take("a thread of its pool, like P.2,")?;
        let (pool, thread) = self.pool_of(&word)?;
        let thread = thread.filter(|_| pool == self.tasks[task].pool);
        let thread = thread.ok_or_else(|| word.is_no("a thread of its pool, like P.2,"))?;
        if self.threads[thread].task.is_some() {
            return Err(ParseError::at(word.column, format!("{} has another task", word.text)));
        }
        self.idle(thread, &word)?;
        self.threads[from].task = None;
        self.threads[thread].task = Some(task);
        self.tasks[task].thread = Some(thread);
        Ok(StepKind::Thread(ThreadStep {
            thread: from,
            task: Some(self.tasks[task].number),
            lets_go: true,
            ends: false,
            actions: Vec::new(),
            expected: None,
        }))
    }

    fn thread_of(&self, task: usize, word: &Word<'a>) -> Result<usize, ParseError> {
        let ended = || ParseError::at(word.column, format!("the task {} has ended", word.text));
        self.tasks[task].thread.ok_or_else(ended)
    }

    /// The thread of that name which began something.
    fn begun_thread(&self, name: Name, word: &Word<'a>) -> Result<usize, ParseError> {
        let (first, threads) = match name {
            Name::Pool(first, threads) => (first, threads),
            Name::Task(task) => (self.thread_of(task, word)?, 1),
            Name::Thread(thread) => (thread, 1),
            Name::Client(_) | Name::Connection(_) => return Err(word.is_no("a thread")),
        };
        let mut begun = (first..first + threads).filter(|&thread| self.threads[thread].begun.is_some());
        match (begun.next(), begun.next()) {
            (Some(thread), None) => Ok(thread),
            (None, _) => Err(ParseError::at(word.column, format!("{} has begun nothing", word.text))),
            _ => Err(ParseError::at(word.column, "several of its threads have begun something: name one, like P.2")),
        }
    }

    /// Actions of one thread.
    fn actions(&mut self, name: Name, first: &Word<'a>, words: &mut Words<'a>) -> Result<StepKind, ParseError> {
        let of_this_line = format!("{}:{}", first.text, self.line);
        let (thread, task, ends) = match name {
            Name::Thread(thread) if !self.threads[thread].pooled => (thread, None, false),
            Name::Thread(thread) => {
                if self.threads[thread].task.is_some() {
                    return Err(ParseError::at(first.column, format!("{} has a task that has not ended", first.text)));
                }
                (thread, Some(self.next_task(of_this_line)), true)
            }
            Name::Pool(from, threads) => {
                (self.free_thread((from, threads), first)?, Some(self.next_task(of_this_line)), true)
            }
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
        if actions.iter().skip(1).any(|action| matches!(action.kind, ActionKind::Scope)) {
            return Err(ParseError::at(first.column, "`scope` comes first in its line: it lasts to the line's end"));
        }
        if self.block.is_some() {
            self.threads[thread].lines += 1;
        }
        let arrow = words.column();
        let expected = self.expected(words)?;
        if begins {
            if self.block.is_some() {
                return Err(ParseError::at(first.column, "what stands in a parallel block is begun at once anyway"));
            }
            if expected.is_some() {
                let message =
                    format!("what comes of it is known when it finishes: write `{} finishes => …`", first.text);
                return Err(ParseError::at(arrow, message));
            }
            self.threads[thread].begun = Some(self.line);
            return Ok(StepKind::Begin(ThreadStep { thread, task, lets_go: ends, ends, actions, expected }));
        }
        if expected.is_some() && !actions.iter().any(|action| action.kind.has_result()) {
            return Err(ParseError::at(arrow, "nothing in this line has a result to be expected"));
        }
        Ok(StepKind::Thread(ThreadStep { thread, task, lets_go: ends, ends, actions, expected }))
    }

    fn next_task(&mut self, name: String) -> u32 {
        self.script.tasks.push(name);
        u32::try_from(self.script.tasks.len() - 1).unwrap_or(u32::MAX)
    }

    /// The thread of that name, or of that task, or of that pool if it has one alone.
    pub(super) fn thread_named(&self, word: &Word<'a>) -> Result<usize, ParseError> {
        if word.text.contains('.') {
            return self.pool_of(word)?.1.ok_or_else(|| word.is_no("a thread"));
        }
        match self.names.get(word.text).copied() {
            Some(Name::Thread(thread) | Name::Pool(thread, 1)) => Ok(thread),
            Some(Name::Task(task)) => self.thread_of(task, word),
            _ => Err(word.is_no("a thread that did something")),
        }
    }

    fn add_thread(&mut self, name: String, pooled: bool, column: usize) -> Result<usize, ParseError> {
        if self.threads.len() == MOST_THREADS {
            return Err(ParseError::at(column, format!("a scenario has at most {MOST_THREADS} threads")));
        }
        self.script.threads.push(name);
        self.threads.push(ThreadState { pooled, ..ThreadState::default() });
        Ok(self.threads.len() - 1)
    }
}
