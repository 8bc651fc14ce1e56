//! What is run, and by whom: a [`Plan`], driven through a client by [`run`]; or a [`scenario`].

mod control;
mod executor;
mod gate;
mod issued;
mod plan;
mod reach;
mod recorder;
mod recording;
mod runner;
pub mod scenario;
mod shift;
mod switching;
mod task;
mod worker;

pub use control::Control;
pub use plan::{Mix, MixError, Plan, Step};
pub use runner::{Audience, Ended, RunError, Setup, Source, Tally, run};
