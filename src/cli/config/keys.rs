//! What can be configured: the flags of the commands that dial, but for those that are to be typed each time.

use clap::{Arg, Command, CommandFactory};

use crate::cli::args::Cli;

/// The setting that names the server. Some commands take it by its place, as URL.
pub const SERVER: &str = "server";

/// What each variable begins with.
pub const PREFIX: &str = "MAILCONN_";

const WRITES: &str = "it names what is written";
const ALLOWS: &str = "it allows what a configuration must not";
const EXPOSES: &str = "without it nobody on the way sees the password";

/// The flags that are typed each time, and why.
pub const TYPED: [(&str, &str); 10] = [
    ("output", WRITES),
    ("trace-events", WRITES),
    ("transcript", WRITES),
    ("allow-writes", ALLOWS),
    ("yes", ALLOWS),
    ("insecure", EXPOSES),
    ("plaintext", EXPOSES),
    ("list", "it is another command"),
    ("help", "it is another command"),
    ("config", "it names this file"),
];

/// What the flag is called where it is configured.
pub fn key(arg: &Arg) -> Option<&str> {
    if arg.get_id() == "url" { Some(SERVER) } else { arg.get_long() }
}

/// The variable that configures it.
pub fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('-', "_"))
}

/// Whether the command dials a server: others have flags of the same names that mean something else.
pub fn takes_settings(command: &Command) -> bool {
    command.get_arguments().any(|arg| key(arg) == Some(SERVER))
}

/// The flags of a command that can be configured.
pub fn settable(command: &Command) -> impl Iterator<Item = &Arg> {
    let is_typed = |arg: &&Arg| key(arg).is_none_or(|key| TYPED.iter().any(|(typed, _)| *typed == key));
    command.get_arguments().filter(move |arg| !is_typed(arg))
}

/// Whether the flag says where the password or the token comes from.
pub fn is_source_of_secret(command: &Command, arg: &Arg) -> bool {
    command
        .get_groups()
        .filter(|group| group.get_id() == "secret")
        .flat_map(|group| group.get_args())
        .any(|id| id == arg.get_id())
}

/// Every key, and whether it says where the password or the token comes from.
pub fn all() -> Vec<(String, bool)> {
    let mut whole = Cli::command();
    whole.build();
    let mut keys = Vec::new();
    for command in whole.get_subcommands().filter(|command| takes_settings(command)) {
        for arg in settable(command) {
            if let Some(key) = key(arg)
                && !keys.iter().any(|(known, _)| known == key)
            {
                keys.push((key.to_owned(), is_source_of_secret(command, arg)));
            }
        }
    }
    keys
}

/// What may have been meant, if at least half of it is right: the end of a complaint.
pub fn meant<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let alike = |name: &str| strsim::normalized_damerau_levenshtein(word, name);
    let nearest = names.into_iter().max_by(|one, other| alike(one).total_cmp(&alike(other)));
    nearest.filter(|name| alike(name) >= 0.5)
}
