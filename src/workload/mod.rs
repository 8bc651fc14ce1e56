//! What is run, and by whom: a [`Plan`], driven through a client by [`run`].

mod control;
mod executor;
mod gate;
mod issued;
mod plan;
mod reach;
mod recorder;
mod recording;
mod runner;
mod shift;
mod switching;
mod task;
mod worker;

pub use control::Control;
pub(crate) use issued::{Issued, Issuer, failure_of};
pub use plan::{Mix, MixError, Plan, Step};
pub(crate) use reach::Reach;
pub(crate) use recorder::{Recorder, Serving};
pub(crate) use recording::{Recorded, Recording};
pub use runner::{Audience, Ended, RunError, Setup, Source, run};
