//! `mailconn run` on a real server, judged by that server's own log and transcripts.

mod agreement;
mod breakage;
mod certificates;
mod check;
mod limits;
mod limits_probe;
mod locks;
mod modes;
mod passwords;
mod protocols;
mod relay;
mod scenarios;
mod sending;
mod sign_in;
mod signals;
mod tasks;
mod threads;
pub mod tool;
mod verify;
