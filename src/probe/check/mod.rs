//! A check: what one connection came to, step by step, from the name's resolution to the goodbye.

mod anonymous;
mod conduct;
mod diagnostics;
mod event;
mod features;
mod json;
mod model;
mod text;

pub use conduct::check;
pub use diagnostics::{Diagnostic, Level};
pub use event::CheckEvent;
pub use features::Feature;
pub use json::{check_json, check_schema};
pub use model::{Check, CheckHeader, Phase, Step};
pub use text::{check_begins, check_ends, check_step};
