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

use std::process::Command;

/// Takes from the command whatever configures mailconn where the tests run: variables, and the file in somebody's home.
pub fn unconfigured(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MAILCONN_")) {
        command.env_remove(name);
    }
    command.env_remove("XDG_CONFIG_HOME").env_remove("HOME")
}
