//! What happened: a [`Run`], its [`Summary`] in figures and the [`Verdict`] on it; or a [`Check`] of one connection; or
//! a [`Scenario`] with what was expected of it. All pure.

mod agreement;
mod audit;
mod cause;
mod check;
mod events;
mod failures;
mod findings;
mod from_events;
mod grain;
mod rules;
mod run;
mod scenario;
mod sections;
mod steps;
mod summary;
mod tasks;
mod verdict;

pub use crate::event::HALVES;
pub use crate::protocol::{Answer, Failure, Phases, Stage};
pub use audit::{AgainstLog, Audit, Doubt, LoggedSession, RULES, Rule, Tested};
pub(crate) use audit::{CLOCK, LINES, RUN_END, SEQUENCE, WITNESS};
pub use check::{Check, CheckHeader, Concern, Happened, Matter, Step, Weight, When};
pub use events::Stream;
pub use failures::FailureRow;
pub use from_events::Entries;
pub use run::{
    Asked, Closed, Command, Dispose, End, Entry, Executor, Header, HowClosed, Leaves, Lock, Names, OpenFailed, Opened,
    Operation, Role, Run, Selection, Switch, TaskId, What, WitnessedCommand, WitnessedSession, WorkerId,
};
pub use scenario::{Did, FindingExpected, Outcome, Ran, Scenario, StepDone};
pub use sections::SectionRow;
pub use summary::{Counts, CutOff, Latency, SessionRow, Summary, WhyOpened, WorkerRow};
pub use tasks::{TaskRow, TaskUse, Whose};
pub use verdict::{Agreement, Conclusion, FailOn, Finding, Severity, Verdict};
