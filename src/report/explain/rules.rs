//! The rules by number, in the manual's own words, and the truth table from the code that decides.

use std::fmt::Write;

use crate::allocator::{ConnectionId, Mode, Reason, may_create_default, route};
use crate::report::table::grid::{grid, names, paragraph};

/// The one place where the rules are written.
const MANUAL: &str = include_str!("../../manual.rs");

/// What a rule is good for, beside the manual's words.
pub(super) struct Practice {
    pub(super) number: &'static str,
    pub(super) means: &'static str,
    /// The findings, words and flags that it is behind.
    pub(super) see: &'static [&'static str],
    pub(super) met: &'static [&'static str],
}

const fn practice(
    number: &'static str,
    means: &'static str,
    see: &'static [&'static str],
    met: &'static [&'static str],
) -> Practice {
    Practice { number, means, see, met }
}

pub(super) const RULES: [Practice; 33] = [
    practice(
        "K1",
        "One session carries everything that no thread has a connection of its own for.",
        &["main", "MC032"],
        &[],
    ),
    practice("K2", "It costs the server one session for each such thread.", &["default", "use-default"], &[]),
    practice("K3", "The only kind that a task can take along when it changes threads.", &["independent", "MC011"], &[]),
    practice(
        "A1",
        "Cheapest for the server: one session. Threads wait for each other.",
        &["use-main", "MC050"],
        &["jakartaee/mail-api#514"],
    ),
    practice(
        "A2",
        "Nobody waits; the server sees a session for each thread.",
        &["use-default", "MC030"],
        &["imapsync/imapsync#61"],
    ),
    practice(
        "A3",
        "Threads that need their own connection create one, the others share main.",
        &["use-main-or-default"],
        &[],
    ),
    practice(
        "A4",
        "An application that counts its connections against the server's limit need not count one for main.",
        &["use-default", "MC032"],
        &[],
    ),
    practice(
        "A5",
        "Nobody can use another thread's connection under its feet.",
        &["refused"],
        &["ikvk/imap_tools#131"],
    ),
    practice(
        "A6",
        "Whether a setting has any effect can be read from the report.",
        &["MC001", "rules"],
        &["MailCore/mailcore2#1285"],
    ),
    practice(
        "A7",
        "A lock for each command is not enough: what was selected must still be selected when it is read.",
        &["MC020", "unit", "command"],
        &["postalsys/imapflow#304", "mustang-im/mustang#276"],
    ),
    practice(
        "W1",
        "No thread starves, however busy the others are.",
        &["wait-timeout", "MC050"],
        &["jakartaee/mail-api#514"],
    ),
    practice(
        "W2",
        "A cap that is kept even while connections open and close.",
        &["wait-timeout", "MC030"],
        &["MailCore/mailcore2#1285"],
    ),
    practice(
        "W3",
        "A mistake in one thread is an error message and no standstill.",
        &["refused"],
        &["mustang-im/mustang#1013"],
    ),
    practice("C1", "Passing a connection works the same in every mode.", &["independent"], &[]),
    practice(
        "C2",
        "Where the mode makes defaults itself or has none, one by hand would never be what one thinks.",
        &["refused"],
        &[],
    ),
    practice(
        "C3",
        "In a pool this refusal is how a task learns that another left its default there.",
        &["MC010", "refused"],
        &[],
    ),
    practice(
        "C4",
        "A failed creation leaves nothing behind. Main opens late, and may find no slot left.",
        &["MC032", "limit-connections"],
        &[],
    ),
    practice("C5", "Two accounts on one thread never get each other's connection.", &["default"], &[]),
    practice(
        "D1",
        "The way back: what a thread had can be given up, and the thread goes on.",
        &["MC010", "MC040"],
        &[],
    ),
    practice("D2", "Use after disposal is an error here, not a second connection.", &["disposed"], &[]),
    practice(
        "D3",
        "Threads that come and go leave no sessions behind on the server.",
        &["MC040"],
        &["apache/jmeter#198"],
    ),
    practice(
        "D4",
        "Nothing is left open when the client is closed, and closing ends in time.",
        &["MC040", "logout"],
        &["sweetrb/apple-mail-mcp#109"],
    ),
    practice("D5", "Nobody's operation is cut off by another's disposal.", &["disposed"], &[]),
    practice("D6", "One account's operation never reads another account's mail.", &["refused"], &[]),
    practice("M1", "A change of mode is safe while operations run.", &["use-main", "use-default"], &[]),
    practice("M2", "Switching back and forth opens no second set of connections.", &["use-main"], &[]),
    practice("H1", "The hazard of pools and of asynchronous tasks, and its cure.", &["MC010", "MC011"], &[]),
    practice(
        "B1",
        "A connection that failed may hold the rest of a reply, for the next caller to read as its own.",
        &["MC041", "closed", "timeout"],
        &["overseers-desk/courier#82", "chatmail/async-imap#3"],
    ),
    practice(
        "B2",
        "After a break the next operation simply gets a new session.",
        &["MC021", "closed"],
        &["nodemailer/nodemailer#261"],
    ),
    practice(
        "B3",
        "A retry that nobody asked for can send a mail twice; a session that pretends to be another reads the wrong mailbox.",
        &["MC021"],
        &["neomutt/neomutt#1248", "lefcha/imapfilter#2"],
    ),
    practice(
        "B4",
        "Users who are told \"wrong password\" change it, and are still locked out.",
        &["MC030", "limit-connections"],
        &["thunderbird/thunderbird-android#1694"],
    ),
    practice(
        "B5",
        "Whatever the server does, every call ends.",
        &["timeout"],
        &["chatmail/core#3816", "chatmail/core#3827"],
    ),
    practice(
        "B6",
        "A wrong password is tried once, so that no address is banned for it.",
        &["auth-invalid"],
        &["nextcloud/mail#9156"],
    ),
];

/// A rule in the manual's words: for A1 to A3 their row of the table.
pub(super) fn text(number: &str) -> Option<String> {
    let mark = format!("**{number}**");
    let mut lines =
        MANUAL.lines().map(|line| line.strip_prefix("//!").unwrap_or(line)).skip_while(|line| !line.contains(&mark));
    let first = lines.next()?.trim();
    if let Some(row) = first.strip_prefix('|') {
        let mut cells = row.split('|').map(str::trim);
        let mode = cells.next()?.trim_start_matches(&mark).trim();
        let (passed, has, none) = (cells.next()?, cells.next()?, cells.next()?);
        let text = format!(
            "{mode}: if one was passed, {passed}; if this thread has a default, {has}; if it has none, {none}."
        );
        return Some(plain(&text));
    }
    let mut text = first.trim_start_matches("- ").trim_start_matches(&mark).trim().to_owned();
    for line in lines.take_while(|line| line.starts_with("   ")) {
        text.push(' ');
        text.push_str(line.trim());
    }
    Some(plain(&text))
}

/// Markdown as a terminal shows it: links by their text, nothing in back quotes.
fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        shown.push_str(before);
        rest = after.split_once(')').map_or("", |(_, behind)| behind);
    }
    shown.push_str(rest);
    shown.replace(['[', '`'], "").replace('*', "")
}

/// The truth table: the code that decides, asked for all its inputs.
pub(super) fn table() -> String {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let inputs = Mode::ALL.into_iter().flat_map(|mode| {
        [(true, false), (true, true), (false, true), (false, false)].map(|(passed, has)| (mode, passed, has))
    });
    let rows = inputs.map(|(mode, passed, has)| {
        let reason = route(mode, has, passed);
        vec![mode.name().to_owned(), yes(passed), yes(has), uses(reason).to_owned(), reason.name().to_owned()]
    });
    let columns = [names("mode"), names("passed"), names("default"), names("uses"), names("reason")];
    let mut text =
        paragraph("Which connection an operation uses (A1-A3): was one passed, and has this thread a default?");
    text += "\n";
    text += &grid(&columns, &[], rows);
    text += "\n";
    text += &paragraph("Whether a thread may create a default by hand (C2, C3):");
    text += "\n";
    let rows = Mode::ALL
        .into_iter()
        .flat_map(|mode| [None, Some(ConnectionId(1))].map(|existing| (mode, existing)))
        .map(|(mode, existing)| {
            let answer = match may_create_default(mode, existing) {
                Ok(()) => "created".to_owned(),
                Err(refusal) => format!("refused ({})", refusal.rule()),
            };
            vec![mode.name().to_owned(), yes(existing.is_some()), answer]
        });
    text += &grid(&[names("mode"), names("default"), names("answer")], &[], rows);
    text += "\n";
    let mut all = String::new();
    for rule in &RULES {
        let _ = write!(all, " {}", rule.number);
    }
    text + &paragraph(&format!("Each rule by its number, mailconn explain A7:{all}"))
}

const fn uses(reason: Reason) -> &'static str {
    match reason {
        Reason::Explicit => "the passed one",
        Reason::Main => "main",
        Reason::Default => "that default",
        Reason::DefaultCreated => "a default, created first",
    }
}
