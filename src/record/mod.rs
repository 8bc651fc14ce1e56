//! What happened, whole: a [`Run`], a [`Check`] of one connection. All pure.

mod check;
mod events;
mod from_events;
mod grain;
mod run;

pub use check::{Check, CheckHeader, Concern, Happened, Matter, Step, Weight, When};
pub use from_events::Entries;
pub use run::{
    Asked, Closed, Command, Dispose, End, Entry, Executor, Header, HowClosed, Leaves, Lock, Names, OpenFailed, Opened,
    Operation, Role, Run, Selection, Switch, TaskId, What, WitnessedCommand, WitnessedSession, WorkerId,
};
