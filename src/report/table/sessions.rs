//! A row for each session that was opened, and one for each that could not be.

use crate::report::layout::{Layout, Over, figures, words};
use crate::event::{HowClosed, Micros, SessionOpened, SessionRefused};
use crate::figures::{Protection, SessionRow, Summary, WhyOpened, worth_showing};
use crate::protocol::Stage;
use crate::report::words::{count, figure, many, ms, short};

/// The place of TLS's column. Without TLS it is left out, since others need the room.
const TLS: usize = 5;

pub(super) fn sections(layout: Layout, summary: &Summary, most: Option<usize>) -> [String; 2] {
    let (mut opened, mut failed) = (Vec::new(), Vec::new());
    for row in &summary.sessions {
        match &row.dial {
            Ok(dial) => opened.push((row, dial)),
            Err(dial) => failed.push((row, &**dial)),
        }
    }
    opened.sort_by_key(|(row, _)| row.session);
    let refused = summary.refused.saturating_sub(failed.len()) as u64;
    let rest = Rest {
        sessions: summary.connections.opened.saturating_sub(opened.len()) as u64,
        not_logged_out: summary.rest.bad.saturating_sub(refused),
        operations: summary.rest.operations,
    };
    [open_section(layout, &opened, rest, &summary.protection, most), failed_section(layout, &failed, refused, most)]
}

/// The sums of the opened sessions without a row.
#[derive(Clone, Copy)]
struct Rest {
    sessions: u64,
    not_logged_out: u64,
    operations: u64,
}

fn open_section(layout: Layout, 
    sessions: &[(&SessionRow, &SessionOpened)],
    rest: Rest,
    protection: &Protection,
    most: Option<usize>,
) -> String {
    if sessions.is_empty() {
        return String::new();
    }
    let shown = worth_showing(sessions.len(), most, |index| {
        let (row, dial) = sessions[index];
        (!logged_out(row) || row.session.number > 1, connect(dial) + setup(dial))
    });
    let tls = sessions.iter().any(|(_, dial)| dial.dial_us.tls.is_some());
    let mut columns =
        vec![words("session"), words("kind"), words("why"), figures("port"), figures("conn").after(2), figures("tls")];
    columns.extend([
        figures("greet"),
        figures("login"),
        figures("ops").after(2),
        figures("out"),
        figures("in"),
        words("closed"),
    ]);
    if !tls {
        columns.remove(TLS);
    }
    let shift = usize::from(tls);
    let over =
        [Over { columns: 4..=6 + shift, title: "dial ms" }, Over { columns: 8 + shift..=9 + shift, title: "bytes" }];
    let rows = shown.iter().map(|&index| {
        let mut cells = row(sessions[index]);
        if !tls {
            cells.remove(TLS);
        }
        cells
    });
    layout.grid(&columns, &over, rows) + &folded(layout, sessions, &shown, rest) + &protected(layout, protection)
}

/// TLS and the way to sign in are the same for nearly all sessions, so they stand below the rows.
fn protected(layout: Layout, Protection { tls, signed_in_by }: &Protection) -> String {
    let mut text = String::new();
    for ((version, cipher), (all, resumed)) in tls {
        let of = many(*all, "session");
        text += &layout.paragraph(&format!("{version}, {cipher}: {of}, {} resumed (r)", count(*resumed)));
    }
    if signed_in_by.keys().all(Option::is_none) {
        return text + &layout.paragraph("nobody signed in");
    }
    let mut by: Vec<(&str, u64)> =
        signed_in_by.iter().map(|(by, sessions)| (by.unwrap_or("nobody"), *sessions)).collect();
    by.sort_unstable();
    let by: Vec<String> = by.iter().map(|(by, sessions)| format!("{by} ({})", count(*sessions))).collect();
    text + &layout.paragraph(&format!("signed in by {}", by.join(", ")))
}

fn row((row, dial): (&SessionRow, &SessionOpened)) -> Vec<String> {
    let closed = row.closed.as_ref();
    vec![
        row.session.to_string(),
        kind(row),
        why(row.why).to_owned(),
        dial.local_port.to_string(),
        ms(connect(dial)),
        phase(dial.dial_us.tls) + if dial.tls.as_ref().is_some_and(|tls| tls.resumed) { "r" } else { "" },
        phase(dial.dial_us.greeting),
        phase(dial.dial_us.sign_in),
        figure(row.operations),
        closed.map_or_else(|| "-".to_owned(), |closed| short(closed.bytes_sent)),
        closed.map_or_else(|| "-".to_owned(), |closed| short(closed.bytes_received)),
        match closed.map(|closed| (closed.closed, closed.said_goodbye())) {
            Some((HowClosed::LoggedOut, _)) => "logout",
            Some((HowClosed::NoLogout, true)) => "logout failed",
            Some((HowClosed::NoLogout, false)) => "no logout",
            Some((HowClosed::HungUp, _)) => "hung up",
            Some((HowClosed::Discarded, _)) => "broken",
            None => "open",
        }
        .to_owned(),
    ]
}

/// The connect time includes the name's resolution.
fn connect(dial: &SessionOpened) -> Micros {
    dial.dial_us.resolve.unwrap_or_default() + dial.dial_us.connect.unwrap_or_default()
}

fn setup(dial: &SessionOpened) -> Micros {
    [dial.dial_us.tls, dial.dial_us.greeting, dial.dial_us.sign_in].into_iter().flatten().sum()
}

fn phase(phase: Option<Micros>) -> String {
    phase.map_or_else(|| "-".to_owned(), ms)
}

fn kind(row: &SessionRow) -> String {
    match row.owner {
        Some(owner) => format!("{} {owner}", row.kind),
        None => row.kind.to_string(),
    }
}

const fn why(why: WhyOpened) -> &'static str {
    match why {
        WhyOpened::FirstUse => "first",
        WhyOpened::ByHand => "hand",
        WhyOpened::Again => "again",
    }
}

fn logged_out(row: &SessionRow) -> bool {
    row.closed.as_ref().is_some_and(|closed| closed.closed == HowClosed::LoggedOut)
}

fn folded(layout: Layout, sessions: &[(&SessionRow, &SessionOpened)], shown: &[usize], rest: Rest) -> String {
    let mut next = shown.iter().copied().peekable();
    let Rest { sessions: mut rows, mut operations, not_logged_out: mut others } = rest;
    for (index, (row, _)) in sessions.iter().enumerate() {
        if next.next_if_eq(&index).is_none() {
            rows += 1;
            operations = operations.saturating_add(row.operations);
            others += u64::from(!logged_out(row));
        }
    }
    if rows == 0 {
        return String::new();
    }
    let ended = match others {
        0 => "all ended by logout".to_owned(),
        others => format!("{} not ended by logout", count(others)),
    };
    let (rows, operations) = (many(rows, "more session"), many(operations, "operation"));
    layout.paragraph(&format!(
        "... {rows}: {operations}, {ended} ({}); shown are the first, and those that ended otherwise, came again or took \
         longest to dial",
        listed(rest.sessions)
    ))
}

/// Which formats list the sessions that are not shown. `without_row` of them have no row in any document.
const fn listed(without_row: u64) -> &'static str {
    match without_row {
        0 => "--format json lists all",
        _ => "--format json lists the worst and the newest, --format ndjson all",
    }
}

fn failed_section(layout: Layout, sessions: &[(&SessionRow, &SessionRefused)], without_row: u64, most: Option<usize>) -> String {
    if sessions.is_empty() {
        return String::new();
    }
    let shown = worth_showing(sessions.len(), most, |index| sessions[index].1.took_us);
    let columns = [
        words("dialled"),
        words("kind"),
        words("why"),
        figures("port"),
        figures("open"),
        figures("ms"),
        words("could-not-open"),
    ];
    let rows = shown.iter().map(|&index| {
        let (row, dial) = sessions[index];
        vec![
            row.session.to_string(),
            kind(row),
            why(row.why).to_owned(),
            dial.local_port.map_or_else(|| "-".to_owned(), |port| port.to_string()),
            figure(dial.open as u64),
            ms(dial.took_us),
            could_not(dial),
        ]
    });
    let mut text = layout.grid(&columns, &[], rows);
    let rest = (sessions.len() - shown.len()) as u64 + without_row;
    if rest > 0 {
        let rest = many(rest, "more dial");
        text += &layout.paragraph(&format!(
            "... {rest} that failed ({}); shown are the first, and those that took longest",
            listed(without_row)
        ));
    }
    text
}

/// Why a dial failed. `not tried`: it stopped before the sign-in, because an earlier one was refused.
fn could_not(dial: &SessionRefused) -> String {
    let spared = if dial.failure.stage == Stage::Auth && !dial.sign_in_attempted { ", not tried" } else { "" };
    format!("{} at {}{spared}", dial.failure.kind.name(), dial.failure.stage.name())
}
