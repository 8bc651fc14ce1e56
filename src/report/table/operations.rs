//! A row for each operation, written as it happens.

use unicode_width::UnicodeWidthStr;

use super::heading::{asked_in_all, heading};
use crate::allocator::{Mode, Reason};
use crate::event::{Operation, RunStart, TaskId, WorkerId};
use crate::protocol;
use crate::report::layout::{Fixed, Layout, Over, Tone};
use crate::report::words::{count, ms, printable};

/// The width of numbers if the number of operations is not known in advance.
const NUMBER: usize = 6;
/// The least width of a column that has to give room, unless all its words are narrower.
const NARROW: usize = 6;
/// The place of the tasks' column, if there are tasks.
const TASK: usize = 2;

/// Rows of operations in columns fixed before the first row. What does not fit continues below.
#[derive(Debug)]
pub(super) struct OperationRows {
    layout: Layout,
    heading: String,
    columns: Vec<Fixed>,
    tasks: bool,
    /// The indent of what has no room in its row.
    below: usize,
}

impl OperationRows {
    /// For the run that begins so.
    pub(super) fn new(layout: Layout, start: &RunStart) -> Self {
        let last = |number: usize| u32::try_from(number.saturating_sub(1)).unwrap_or(u32::MAX);
        let number = asked_in_all(start).map_or(NUMBER, |all| all.to_string().len().min(NUMBER));
        let worker = WorkerId(last(start.workers.len())).to_string().len();
        let task = TaskId(last(start.tasks.len())).to_string().len();
        let mut modes = start.switches.iter().map(|switch| switch.mode).chain([start.mode]);
        let reason = if modes.any(|mode| mode == Mode::UseDefault) { Reason::DefaultCreated } else { Reason::Explicit };
        let mut columns = vec![
            Fixed::figures("no", number).gap(2),
            Fixed::words("worker", worker),
            Fixed::words("op", widest(start)),
            Fixed::words("session", 0),
            Fixed::words("reason", reason.name().len()),
            Fixed::figures("wait", "12.3s".len()),
            Fixed::figures("dial", "12.3s".len()),
            Fixed::figures("service", 0).gap(2),
            Fixed::words("outcome", 0).gap(0),
        ];
        let tasks = !start.tasks.is_empty();
        if tasks {
            columns.insert(TASK, Fixed::words("task", task));
        }
        let op = TASK + usize::from(tasks);
        fit(layout.width(), &mut columns, [op, op + 2]);
        let below = columns.iter().take(op).map(Fixed::whole).sum();
        Self { layout, heading: heading(layout, start), columns, tasks, below }
    }

    /// The request, and the columns' names.
    pub(super) fn begin(&self) -> String {
        let last = self.columns.len() - 2;
        let over = [Over { columns: last - 2..=last, title: "ms" }];
        format!("{}\n{}", self.heading, self.layout.header(&self.columns, &over))
    }

    /// The operation's row.
    pub(super) fn row(&self, operation: &Operation) -> String {
        let none = || "-".to_owned();
        let failure = operation.result().err().map(|it| format!("{} at {}", it.kind.name(), it.stage.name()));
        let room = self.columns.last().map_or(0, |outcome| outcome.width);
        let (outcome, below) = match (operation.result(), failure) {
            (Ok(0), _) => ("ok".to_owned(), None),
            (Ok(items), _) => (format!("ok, {}", count(u64::from(items))), None),
            (Err(_), Some(failure)) if failure.len() > room => ("failed".to_owned(), Some(failure)),
            (Err(_), failure) => (failure.unwrap_or_default(), None),
        };
        let mut cells = vec![
            operation.number.to_string(),
            operation.worker.to_string(),
            match &operation.mailbox {
                None => operation.name.to_owned(),
                Some(mailbox) => format!("{} {}", operation.name, printable(mailbox)),
            },
            operation.session.map_or_else(none, |session| session.to_string()),
            operation.reason.map_or_else(none, |reason| reason.to_string()),
            ms(operation.wait_us),
            if operation.opened { ms(operation.dial_us) } else { none() },
            ms(operation.service_us),
            outcome,
        ];
        if self.tasks {
            cells.insert(TASK, operation.task.map_or_else(none, |task| task.to_string()));
        }
        let mut row = self.layout.row(&self.columns, cells);
        if let Some(failure) = below {
            row += &format!("{:1$}{failure}\n", "", self.below);
        }
        let tone = if operation.result().is_ok() { Tone::Plain } else { Tone::Bad };
        self.layout.toned(tone, &row)
    }
}

/// Makes the columns as wide as a line: the last one takes what is left, or those at `gives` become narrower.
fn fit(line: usize, columns: &mut [Fixed], gives: [usize; 2]) {
    let whole = |columns: &[Fixed]| columns.iter().map(Fixed::whole).sum::<usize>();
    if whole(columns) > line {
        columns.iter_mut().for_each(Fixed::close);
    }
    for at in gives {
        let too_much = whole(columns).saturating_sub(line);
        if let Some(column) = columns.get_mut(at) {
            column.width = column.width.saturating_sub(too_much).max(column.width.min(NARROW));
        }
    }
    let left = line.saturating_sub(whole(columns));
    if let Some(last) = columns.last_mut() {
        last.width += left;
    }
}

/// The widest name of an operation, with its mailbox.
fn widest(start: &RunStart) -> usize {
    let mailbox = start.mailboxes.iter().map(|mailbox| printable(mailbox).width() + 1).max();
    let with_mailbox = |name: &str| match protocol::Operation::parse(start.protocol, name) {
        Ok(operation) if operation.needs_mailbox() => name.len() + mailbox.unwrap_or_default(),
        _ => name.len(),
    };
    let mix = start.mix.as_deref().unwrap_or_default().split(',');
    mix.map(|one| with_mailbox(one.split('=').next().unwrap_or_default().trim())).max().unwrap_or_default()
}
