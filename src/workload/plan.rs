//! What each worker is to do: pure, and the same for the same seed.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::allocator::Mode;
use crate::event::{Asked, Dispose, Executor, Lock, Role, Switch};
use crate::protocol::{Operation, Protocol, UnknownOperation};

/// What a run does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is spoken.
    pub protocol: Protocol,
    /// The mode of the client at the start.
    pub mode: Mode,
    /// When it is set anew; ascending.
    pub switches: Vec<Switch>,
    /// How each worker comes by its connection; their number is the number of threads. Where they serve tasks, each has
    /// the role of none.
    pub workers: Vec<Role>,
    /// Who does the work.
    pub executor: Executor,
    /// How each task comes by its connection; empty under [`Executor::Threads`], and only there.
    pub tasks: Vec<Role>,
    /// What becomes of the thread's default connection when a task ends.
    pub dispose: Dispose,
    /// How much they do; tasks are asked for a number of operations.
    pub asked: Asked,
    /// Which operations, how often.
    pub mix: Mix,
    /// The mailboxes they choose from; not empty.
    pub mailboxes: Vec<Arc<str>>,
    /// Decides every choice.
    pub seed: u64,
    /// A worker's rest between two operations.
    pub pause: Duration,
    /// For how long an operation has its connection.
    pub lock: Lock,
}

/// One operation to issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub operation: Operation,
    /// Where: an index into the plan's mailboxes; none if it needs no mailbox.
    pub mailbox: Option<u16>,
}

/// Operations and their weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix {
    weights: Vec<(Operation, u32)>,
    total: u32,
}

/// Why a text is no [`Mix`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MixError {
    /// No such operation.
    #[error(transparent)]
    Unknown(#[from] UnknownOperation),
    /// Not a number.
    #[error("the weight of {operation} must be a whole number from 0 to 1000000, not {weight:?}")]
    Weight {
        /// Whose weight.
        operation: Operation,
        /// What was given.
        weight: String,
    },
    /// Named twice.
    #[error("{0} is named twice; give it one weight")]
    Twice(Operation),
    /// Nothing to do.
    #[error("the weights add up to nothing; give at least one operation a weight above 0")]
    Empty,
}

impl Plan {
    /// What worker or task `number` does, in order; endless: the plan's `asked` says when to stop.
    pub fn steps(&self, number: u32) -> impl Iterator<Item = Step> + use<> {
        // Neighbouring seeds give unrelated sequences: the generator is itself seeded through a hash of both.
        let mut choose = fastrand::Rng::with_seed(self.seed ^ u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (mix, mailboxes) = (self.mix.clone(), u16::try_from(self.mailboxes.len()).unwrap_or(u16::MAX));
        std::iter::from_fn(move || {
            let operation = mix.pick(choose.u32(0..mix.total))?;
            let mailbox = operation.needs_mailbox().then(|| choose.u16(0..mailboxes));
            Some(Step { operation, mailbox })
        })
    }

    /// How many operations all workers together are asked for; none if it is a duration.
    #[must_use]
    pub fn operations(&self) -> Option<u64> {
        self.asked.of_all(self.doers().len())
    }

    /// How many operations that worker or task is asked for; none if it is a duration.
    #[must_use]
    pub fn operations_of(&self, number: u32) -> Option<u64> {
        self.asked.of(number, self.doers().len())
    }

    /// The roles of those who do the work.
    fn doers(&self) -> &[Role] {
        if self.executor == Executor::Threads { &self.workers } else { &self.tasks }
    }

    /// How many connections the plan can have open at once.
    #[must_use]
    pub fn most_connections(&self) -> usize {
        if self.executor != Executor::Threads {
            return self.most_connections_of_tasks();
        }
        let by_need = self.modes().any(|mode| mode == Mode::UseDefault);
        let of = |(number, role): (u32, &Role)| {
            let default = role.creates_default || (by_need && self.operations_of(number) != Some(0));
            usize::from(default) + usize::from(role.creates_independent)
        };
        let main = usize::from(self.modes().any(|mode| mode != Mode::UseDefault));
        (0..).zip(&self.workers).map(of).sum::<usize>() + main
    }

    /// How many sessions the plan opens at most, as long as none breaks.
    #[must_use]
    pub fn most_sessions(&self) -> u64 {
        let count = |all: usize| u64::try_from(all).unwrap_or(u64::MAX);
        let created = |of: fn(&Role) -> bool| count(self.tasks.iter().filter(|role| of(role)).count());
        let by_need = match (self.executor, self.dispose) {
            (Executor::Threads, _) => return count(self.most_connections()),
            (_, Dispose::Never) => return count(self.workers.len()) + created(|role| role.creates_independent) + 1,
            // A pool's thread has a new one for each task; a task that changes threads may need one for each operation.
            (Executor::Pool, Dispose::Task) => count(self.tasks.len()),
            (Executor::Tasks, Dispose::Task) => self.operations().unwrap_or(u64::MAX),
        };
        by_need
            .saturating_add(created(|role| role.creates_default))
            .saturating_add(created(|role| role.creates_independent))
            .saturating_add(1)
    }

    /// Every mode that will be in force.
    fn modes(&self) -> impl Iterator<Item = Mode> {
        std::iter::once(self.mode).chain(self.switches.iter().map(|switch| switch.mode))
    }

    /// A default connection for each thread, and main. A pool's threads do one task each at a time; asynchronous tasks are
    /// all under way at once, each with what it created.
    fn most_connections_of_tasks(&self) -> usize {
        let threads = self.workers.len();
        let independent = self.tasks.iter().filter(|role| role.creates_independent).count();
        let at_once = if self.executor == Executor::Pool { independent.min(threads) } else { independent };
        threads + at_once + 1
    }
}

impl Mix {
    /// Reads `noop=3,status=1,fetch`, operations of that protocol: a bare name counts 1.
    ///
    /// # Errors
    /// What is wrong with it, and what may stand there.
    pub fn parse(protocol: Protocol, text: &str) -> Result<Self, MixError> {
        let mut weights: Vec<(Operation, u32)> = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, weight) = part.split_once('=').map_or((part, None), |(name, weight)| (name, Some(weight)));
            let operation = Operation::parse(protocol, name.trim())?;
            let weight = match weight {
                None => 1,
                Some(text) => text
                    .trim()
                    .parse()
                    .ok()
                    .filter(|weight| *weight <= 1_000_000)
                    .ok_or_else(|| MixError::Weight { operation, weight: text.to_owned() })?,
            };
            if weights.iter().any(|(other, _)| *other == operation) {
                return Err(MixError::Twice(operation));
            }
            weights.push((operation, weight));
        }
        let total = weights.iter().map(|(_, weight)| weight).sum();
        if total == 0 { Err(MixError::Empty) } else { Ok(Self { weights, total }) }
    }

    /// The mix of a run that was given none: little of what costs much, nothing that writes.
    #[must_use]
    pub fn usual(protocol: Protocol) -> Self {
        let all = Operation::all(protocol).map(|operation| (operation, operation.spec().usual_weight));
        let weights: Vec<_> = all.filter(|(_, weight)| *weight > 0).collect();
        let total = weights.iter().map(|(_, weight)| weight).sum();
        Self { weights, total }
    }

    /// The operations that may be picked.
    pub fn operations(&self) -> impl Iterator<Item = Operation> {
        self.weights.iter().filter(|(_, weight)| *weight > 0).map(|(operation, _)| *operation)
    }

    fn pick(&self, mut number: u32) -> Option<Operation> {
        for (operation, weight) in &self.weights {
            if number < *weight {
                return Some(*operation);
            }
            number -= weight;
        }
        None
    }
}

impl std::fmt::Display for Mix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<String> =
            self.weights.iter().map(|(operation, weight)| format!("{}={weight}", operation.name())).collect();
        f.write_str(&parts.join(","))
    }
}
