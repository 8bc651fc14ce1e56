//! What several tests need: real servers, and their own record of what was done to them.

pub mod dovecot;
pub mod dovecot_log;
pub mod postfix_log;
