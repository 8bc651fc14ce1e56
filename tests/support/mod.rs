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

/// How these begin: variables that configure mailconn, and what a build server says of the build.
const CONFIGURING: [&str; 3] = ["MAILCONN_", "CLICOLOR", "GITHUB_"];

/// Variables of the terminal, the build server and the user that change what a command says, or which files it reads.
const SURROUNDING: [&str; 11] = [
    "CI",
    "COLORTERM",
    "COLUMNS",
    "GITLAB_CI",
    "HOME",
    "LINES",
    "NO_COLOR",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "XDG_CONFIG_HOME",
];

/// Takes from the command whatever would have it behave otherwise than elsewhere, where the tests run: a test that needs one of
/// these sets it afterwards.
pub fn unconfigured(command: &mut Command) -> &mut Command {
    let configures = |name: &str| CONFIGURING.iter().any(|begins| name.starts_with(begins));
    for (name, _) in std::env::vars_os().filter(|(name, _)| configures(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    SURROUNDING.iter().fold(command, |command, name| command.env_remove(name))
}
