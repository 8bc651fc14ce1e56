//! The scenarios in the binary: one for each rule, and incidents that people met.

macro_rules! shipped {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../tests/scenarios/", $name, ".txt")))),*]
    };
}

/// Each with its name, in the order of the list. A test compares them with the folder.
const SHIPPED: &[(&str, &str)] = shipped! {
    "h1-a-pool-thread-hands-its-default-to-the-next-task"
};

/// Other names of some, easier to remember.
const ALIASES: &[(&str, &str)] = &[("pool-hazard", "h1-a-pool-thread-hands-its-default-to-the-next-task")];

/// The text of the one with that name.
pub fn text(name: &str) -> Option<&'static str> {
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    SHIPPED.iter().find(|(shipped, _)| *shipped == name).map(|(_, text)| *text)
}

/// All of them: a line with the name and the protocols, and below it what it shows.
pub fn list() -> String {
    SHIPPED.iter().map(|(name, text)| format!("{name} ({})\n    {}\n", protocols(text), about(text))).collect()
}

/// Its first comment.
fn about(text: &str) -> &str {
    text.lines().next().map_or("", |line| line.trim_start_matches('#').trim())
}

fn protocols(text: &str) -> &str {
    text.lines().find_map(|line| line.strip_prefix("protocols:")).map_or("imap, smtp or pop3", str::trim)
}
