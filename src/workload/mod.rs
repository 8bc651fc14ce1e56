//! What is run, and by whom: a [`Plan`], driven through a client by [`run`].

mod barrier;
mod breaker;
mod context;
mod control;
mod driver;
mod executor;
mod issued;
mod operations;
mod plan;
mod recorder;
mod recording;
mod runner;
mod switching;
mod task;
mod worker;

pub(crate) use breaker::Breaker;
pub use context::Setup;
pub use control::Control;
pub use driver::{Audience, Ended, Source};
pub(crate) use driver::{Driver, GRACE};
pub use executor::RunError;
pub(crate) use issued::{Issued, Issuer, failure_of};
pub use plan::{Mix, MixError, Plan, Step};
pub(crate) use recorder::{Recorder, Serving};
pub(crate) use recording::{Recorded, Recording, client};
pub use runner::{run, start};
