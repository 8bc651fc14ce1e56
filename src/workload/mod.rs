//! What is run, and by whom: a [`Plan`], driven through a client by [`run`]; or a [`scenario`].

mod control;
mod executor;
mod floor;
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
pub use executor::RunError;
pub use floor::Setup;
pub use plan::{Mix, MixError, Plan, Step};
pub use runner::{Audience, Ended, Source, Tally, run};
