//! What happened, whole: a [`Run`], a [`Scenario`] with what was expected of it. All pure.

mod audit;
mod events;
mod from_events;
mod grain;
mod run;
mod scenario;
mod steps;

pub use audit::{AgainstLog, Audit, Doubt, LoggedSession, RULES, Rule, Tested};
pub(crate) use audit::{CLOCK, LINES, RUN_END, SEQUENCE, WITNESS};
pub use from_events::Entries;
pub use run::{
    Asked, Closed, Command, Dispose, End, Entry, Executor, Header, HowClosed, Leaves, Lock, Names, OpenFailed, Opened,
    Operation, Role, Run, Selection, Switch, TaskId, What, WitnessedCommand, WitnessedSession, WorkerId,
};
pub use scenario::{Did, FindingExpected, Outcome, Ran, Scenario, StepDone};
