//! The scenarios in the binary: one for each rule, and incidents that people met.

use mailconn::report::Layout;

macro_rules! shipped {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../tests/scenarios/", $name, ".txt")))),*]
    };
}

/// Each with its name, in the order of the list. A test compares them with the folder.
const SHIPPED: &[(&str, &str)] = shipped! {
    "k1-main-is-one-connection-for-every-thread"
    "k2-a-default-belongs-to-one-thread"
    "k3-an-independent-connection-is-used-only-when-passed"
    "a1-use-main-uses-main-whoever-asks"
    "a2-use-default-creates-one-for-the-thread"
    "a3-use-main-or-default-uses-what-the-thread-has"
    "a4-use-default-never-opens-main"
    "a5-nobody-can-pass-main-or-anothers-default"
    "a6-the-reason-is-part-of-the-answer"
    "a6-what-would-be-used-can-be-asked"
    "a7-a-unit-has-its-connection-to-itself"
    "a7-what-a-thread-selected-is-known-by-connection"
    "w1-first-come-first-served"
    "w1-who-waits-too-long-leaves-the-line"
    "w2-the-cap-is-kept-and-the-server-never-hears-of-it"
    "w3-a-thread-that-asks-for-what-it-holds-is-refused"
    "c1-independent-connections-in-every-mode"
    "c2-a-default-is-created-by-hand-in-one-mode-alone"
    "c3-a-second-default-is-refused"
    "c4-created-by-hand-is-open-at-once"
    "c4-a-creation-that-fails-leaves-nothing-behind"
    "c5-two-clients-on-one-thread"
    "d1-a-disposed-default-is-as-if-it-never-was"
    "d2-a-disposed-connection-cannot-be-used"
    "d3-a-thread-that-ends-takes-its-default-with-it"
    "d4-closing-the-client-closes-everything"
    "d4-comes-before-any-other-rule"
    "d4-the-last-holders-letting-go-closes-the-client"
    "d5-disposal-waits-for-the-operation"
    "d6-another-clients-connection-is-refused"
    "d6-another-accounts-mail-is-not-read"
    "m1-the-mode-decides-the-next-operation"
    "m2-defaults-wait-out-use-main"
    "h1-a-pool-thread-hands-its-default-to-the-next-task"
    "h1-a-scope-cures-the-pool"
    "h1-a-task-that-changes-threads-loses-its-default"
    "b1-a-broken-connection-is-never-used-again"
    "b2-places-survive-their-sessions"
    "b3-a-new-session-never-pretends-to-be-the-old-one"
    "b4-a-limit-is-no-wrong-password"
    "b4-a-maildrop-has-one-owner"
    "b5-no-operation-waits-for-ever"
    "b5-a-deadline-covers-the-whole-unit"
    "b6-one-refused-sign-in-ends-them-all"
    "imapsync-61-gmail-refuses-the-sixteenth"
    "mailcore2-1285-the-knob-that-has-an-effect"
    "node-imap-606-the-refusal-names-who-was-refused"
    "node-imap-882-connections-that-are-not-given-back"
    "thunderbird-android-1694-a-limit-shown-as-a-wrong-password"
    "thunderbird-android-4412-two-threads-one-folder"
    "imapflow-304-the-inbox-for-the-sent-mail"
    "mustang-276-a-connection-each-is-the-other-cure"
    "courier-82-a-timed-out-workers-reply"
    "lettre-743-the-server-had-hung-up"
    "angus-mail-193-a-closed-connection-out-of-the-pool"
    "simple-java-mail-430-the-server-cuts-first"
    "core-3816-no-timeout-no-end"
    "mail-api-215-a-lock-that-waits-for-itself"
    "net-imap-14-a-deadlock-at-the-end"
    "nodemailer-261-a-pool-that-never-came-back"
    "simple-java-mail-387-threads-that-leak-after-a-421"
    "calendar-mcp-69-a-sign-in-for-each-operation"
};

/// Other names of some, easier to remember.
const ALIASES: &[(&str, &str)] = &[("pool-hazard", "h1-a-pool-thread-hands-its-default-to-the-next-task")];

/// The text of the one with that name.
pub fn text(name: &str) -> Option<&'static str> {
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    SHIPPED.iter().find(|(shipped, _)| *shipped == name).map(|(_, text)| *text)
}

/// All of them, the other names first. For people, on a terminal of that layout: a line with the name and the protocols, and
/// below it what it shows; else a line each, for programs.
pub fn list(for_people: Option<Layout>) -> String {
    let listed = |name: &str, text: &str, about: &str| match (for_people, protocols(text)) {
        (Some(layout), protocols) => {
            format!("{name} ({protocols})\n{}", layout.labelled([("   ".to_owned(), about.to_owned())]))
        }
        (None, protocols) => format!("{name}  {about}  ({protocols})\n"),
    };
    let aliases =
        ALIASES.iter().filter_map(|(alias, name)| Some(listed(alias, text(name)?, &format!("the same as {name}"))));
    aliases.chain(SHIPPED.iter().map(|(name, text)| listed(name, text, &about(text)))).collect()
}

/// The first sentence of its comment. A line that begins with a small letter goes on with it.
fn about(text: &str) -> String {
    let mut comment = text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim);
    let first = comment.next().unwrap_or_default().to_owned();
    comment.take_while(|line| line.starts_with(char::is_lowercase)).fold(first, |about, line| about + " " + line)
}

fn protocols(text: &str) -> &str {
    text.lines().find_map(|line| line.strip_prefix("protocols:")).map_or("imap, smtp or pop3", str::trim)
}
