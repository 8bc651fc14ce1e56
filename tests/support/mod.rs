//! What several tests need: real servers, and their own record of what was done to them; files of runs, and the tool that
//! tells of them; the list of rules.

pub mod certificates;
pub mod dovecot;
pub mod dovecot_log;
pub mod folded;
pub mod foreign;
pub mod postfix_log;
pub mod rules;
pub mod sample;
pub mod schemas;
pub mod supervision;
pub mod tokens;
pub mod tool;
pub mod written;
