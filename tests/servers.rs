//! `mailconn run` on a real server, judged by that server's own log and transcripts.

mod agreement;
mod breakage;
mod limits;
mod modes;
mod passwords;
mod relay;
mod signals;
mod threads;
mod tool;
