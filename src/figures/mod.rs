//! A stream of events in figures: rows, distributions, rates and counts, each computed here and nowhere else.

pub mod chance;
mod connections;
mod count;
mod failures;
pub mod lists;
mod operations;
pub mod paired;
mod rates;
mod results;
mod sections;
mod sessions;
mod summary;
mod tasks;
mod times;
mod top;
mod work;

pub use connections::{CONNECTION_ROWS, ConnectionRow};
pub use count::count;
pub use failures::{FAILURE_ROWS, FailureRow, Failures};
pub use operations::OperationRow;
pub use rates::{Tally, rate};
pub use results::{Results, Wanted};
pub use sections::{SectionRow, Sections};
pub use sessions::{Protection, Refused, Rest, SESSION_ROWS, SessionRow, Sessions, WhyOpened};
pub use summary::{Figures, Summary};
pub use tasks::{OperationsOn, TaskRow, TaskUse, Tasks, Whose};
pub use times::{NEEDED, Spread, Spreads, Times};
pub use top::worth_showing;
pub use work::{Work, WorkerRow};
