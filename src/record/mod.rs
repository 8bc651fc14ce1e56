//! A [`Check`] of one connection: what happened, step by step, and what it means.

mod check;

pub use check::{Check, CheckHeader, Concern, Happened, Matter, Step, Weight, When};
