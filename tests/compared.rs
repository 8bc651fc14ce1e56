//! A comparison's stream, judged and told: what its runs come to, and what a changed one betrays.

mod gates;
mod open;
mod read;
mod told;
mod written;
