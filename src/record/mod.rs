//! What happened, whole: a [`Run`], a [`Check`] of one connection, a [`Scenario`] with what was expected of it. All pure.

mod check;
mod events;
mod from_events;
mod grain;
mod run;
mod scenario;
mod steps;

pub use check::{Check, CheckHeader, Concern, Happened, Matter, Step, Weight, When};
pub use from_events::Entries;
pub use run::{
    Asked, Closed, Command, Dispose, End, Entry, Executor, Header, HowClosed, Leaves, Lock, Names, OpenFailed, Opened,
    Operation, Role, Run, Selection, Switch, TaskId, What, WitnessedCommand, WitnessedSession, WorkerId,
};
pub use scenario::{Did, FindingExpected, Outcome, Ran, Scenario, StepDone};
