//! A stream of events in figures, counted as it goes by.

mod failures;
mod rates;
mod sections;
mod sessions;
mod summary;
mod tasks;
mod times;
mod work;

pub use failures::{FailureRow, Failures};
pub use rates::{Tally, rate};
pub use sections::{SectionRow, Sections};
pub use sessions::{Protection, Refused, Rest, SessionRow, Sessions, WhyOpened};
pub use summary::{Figures, Summary};
pub use tasks::{TaskRow, TaskUse, Tasks, Whose};
pub use times::Times;
pub use work::{Work, WorkerRow};
