//! What happened, whole: a [`Run`]. All pure.

mod events;
mod from_events;
mod grain;
mod run;

pub use from_events::Entries;
pub use run::{
    Asked, Closed, Command, Dispose, End, Entry, Executor, Header, HowClosed, Leaves, Lock, Names, OpenFailed, Opened,
    Operation, Role, Run, Selection, Switch, TaskId, What, WitnessedCommand, WitnessedSession, WorkerId,
};
