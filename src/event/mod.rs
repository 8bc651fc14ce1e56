//! What happened, as a stream: events that are their own JSON lines.
//!
//! A run, a stored file and a scenario are the same stream. Whoever judges or counts sees each [`Event`] once, in order, and
//! keeps what it needs. Nothing here knows of a report, a finding or a policy.

mod ahead;
mod codec;
mod comparison;
mod end;
mod file;
mod line;
mod micros;
mod model;
mod named;
mod operations;
mod probe;
mod scenario;
mod schema;
mod stretches;
mod wall;

pub use ahead::Ahead;
pub use codec::{Envelope, Event, LONGEST, NotRead, RunOf, TooLong, What, Within, read, write};
pub use comparison::*;
pub use end::*;
pub use file::{Line, PassedOver, Reader, Unreadable, Writer, started};
pub use micros::{Micros, to_the_microsecond};
pub use model::*;
pub use operations::HALVES;
pub(crate) use operations::OperationName;
pub use probe::*;
pub use scenario::*;
pub use schema::schema;
pub use stretches::{Listed, Stretches, TaskRole, WorkerRole};
pub(crate) use wall::Wall;
pub use wall::wall_clock;

use named::fixed;
