//! A stream of events in figures, counted as it goes by.

mod failures;
mod sections;
mod sessions;
mod tasks;
mod times;
mod work;

pub use failures::{FailureRow, Failures};
pub use sections::{SectionRow, Sections};
pub use sessions::{Rest, SessionRow, Sessions, WhyOpened};
pub use tasks::{TaskRow, TaskUse, Tasks, Whose};
pub use times::{Latency, Times};
pub use work::{Counts, CutOff, Work, WorkerRow};
