//! Workers and tasks as a run's start lists them. Of many, those that are alike and follow each other are one entry, a stretch:
//! the start does not grow with their number, neither in memory nor as a line.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{Role, TaskId, WorkerId};

/// So few are listed one by one: a small file says of each worker and each task what it was told, and the two lists take no
/// more than two thirds of a line.
const ONE_BY_ONE: usize = 256;
/// There are no more, ten times what a run starts: whoever reads a list of a few bytes makes room for each that it stands for.
const MOST: u32 = 1_000_000;

/// What each worker, or each task, was told to do, in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Stretches<T>(Vec<T>);

/// A worker or a task, or a stretch of them.
pub trait Listed {
    /// What they are: `worker`, `task`.
    const WHAT: &'static str;

    /// One of that number.
    fn one(number: u32, name: Option<String>, role: Role) -> Self;

    /// The numbers of the first and the last that it stands for.
    fn span(&self) -> (u32, u32);

    /// Whether it can stand for the next one too, which has that name and that role; from now on it does.
    fn takes(&mut self, number: u32, name: Option<&str>, role: Role) -> bool;

    /// How it contradicts itself, or what is due there.
    fn odd(&self, due: u32) -> Option<String>;
}

macro_rules! listed {
    ($($(#[$doc:meta])* $list:ident { $field:ident: $id:ident } $what:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub struct $list {
            /// Which; of a stretch the first.
            pub $field: $id,
            /// The last one of a stretch, whose members are alike and have no name; none if it stands for itself.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub to: Option<$id>,
            /// What it is called, where somebody named it.
            pub name: Option<String>,
            /// How it comes by its connection.
            #[serde(flatten)]
            pub role: Role,
        }

        impl Listed for $list {
            const WHAT: &'static str = $what;

            fn one(number: u32, name: Option<String>, role: Role) -> Self {
                Self { $field: $id(number), to: None, name, role }
            }

            fn span(&self) -> (u32, u32) {
                (self.$field.0, self.to.unwrap_or(self.$field).0)
            }

            fn takes(&mut self, number: u32, name: Option<&str>, role: Role) -> bool {
                let alike = self.role == role && self.name.is_none() && name.is_none();
                if alike {
                    self.to = Some($id(number));
                }
                alike
            }

            fn odd(&self, due: u32) -> Option<String> {
                let first = self.$field;
                match self.to {
                    _ if first.0 != due => Some(format!("{first} stands where {} is due", $id(due))),
                    Some(last) if last < first => Some(format!("{first} to {last} is no stretch of {}s", $what)),
                    Some(last) if self.name.is_some() => Some(format!("{first} to {last} have one name")),
                    _ => None,
                }
            }
        }
    )+};
}

listed! {
    /// How a worker comes by its connection, or a stretch of workers.
    WorkerRole { worker: WorkerId } "worker";
    /// How a task comes by its connection, or a stretch of tasks.
    TaskRole { task: TaskId } "task";
}

impl<T: Listed> Stretches<T> {
    /// Of these, from number 0 on.
    #[must_use]
    pub fn of(each: impl ExactSizeIterator<Item = (Option<String>, Role)>) -> Self {
        let many = each.len() > ONE_BY_ONE;
        let mut all: Vec<T> = Vec::new();
        for (number, (name, role)) in (0..).zip(each) {
            if !(many && all.last_mut().is_some_and(|last| last.takes(number, name.as_deref(), role))) {
                all.push(T::one(number, name, role));
            }
        }
        Self(all)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.last().map_or(0, |last| last.span().1 as usize + 1)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was told to the one of that number.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&T> {
        let at = self.0.partition_point(|entry| entry.span().1 < number);
        self.0.get(at)
    }

    /// The entries: of more than a few, a stretch is one.
    pub fn entries(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    /// How its entries contradict each other, or themselves.
    pub(super) fn odd(&self) -> Option<String> {
        let mut due = 0;
        self.0.iter().find_map(|entry| {
            let odd = entry.odd(due);
            due = entry.span().1.saturating_add(1);
            odd.or_else(|| (due > MOST).then(|| format!("there are more than {MOST} {}s", T::WHAT)))
        })
    }
}
