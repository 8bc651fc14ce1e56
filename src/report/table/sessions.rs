//! A row for each session: those that were opened, and those that could not be.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fold::fold;
use super::grid::{Over, figures, grid, paragraph, words};
use crate::record::{HowClosed, OpenFailed, Opened, SessionRow, Stage, Summary, WhyOpened};
use crate::report::words::{count, figure, many, ms, short};

/// Where TLS has its column, if any session has TLS: else it would hold nothing, and others need the room.
const TLS: usize = 5;

pub(super) fn sections(summary: &Summary, most: Option<usize>) -> [String; 2] {
    let (mut opened, mut failed) = (Vec::new(), Vec::new());
    for row in &summary.sessions {
        match &row.dial {
            Ok(dial) => opened.push((row, dial)),
            Err(dial) => failed.push((row, dial)),
        }
    }
    opened.sort_by_key(|(row, _)| row.session);
    [open_section(&opened, most), failed_section(&failed, most)]
}

fn open_section(sessions: &[(&SessionRow, &Opened)], most: Option<usize>) -> String {
    if sessions.is_empty() {
        return String::new();
    }
    let shown = fold(sessions.len(), most, |index| {
        let (row, dial) = sessions[index];
        (!logged_out(row) || row.session.number > 1, connect(dial) + setup(dial))
    });
    let tls = sessions.iter().any(|(_, dial)| dial.phases.tls.is_some());
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
    grid(&columns, &over, rows) + &folded(sessions, &shown) + &protection(sessions)
}

/// What TLS agreed on and how they signed in: the same for nearly all, so it stands below and not in each row.
fn protection(sessions: &[(&SessionRow, &Opened)]) -> String {
    let mut tls: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
    let mut signed_in: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, dial) in sessions {
        if let Some(details) = &dial.tls {
            let (all, resumed) = tls.entry((&details.version, &details.cipher)).or_default();
            *all += 1;
            *resumed += u64::from(details.resumed);
        }
        *signed_in.entry(dial.signed_in_by.unwrap_or("nobody")).or_default() += 1;
    }
    let mut text = String::new();
    for ((version, cipher), (all, resumed)) in tls {
        let of = many(all, "session");
        text += &paragraph(&format!("{version}, {cipher}: {of}, {} resumed (r)", count(resumed)));
    }
    if signed_in.keys().all(|by| *by == "nobody") {
        return text + &paragraph("nobody signed in");
    }
    let by: Vec<String> = signed_in.iter().map(|(by, sessions)| format!("{by} ({})", count(*sessions))).collect();
    text + &paragraph(&format!("signed in by {}", by.join(", ")))
}

fn row((row, dial): (&SessionRow, &Opened)) -> Vec<String> {
    let closed = row.closed.as_ref();
    vec![
        row.session.to_string(),
        kind(row),
        why(row.why).to_owned(),
        dial.local_port.to_string(),
        ms(connect(dial)),
        phase(dial.phases.tls) + if dial.tls.as_ref().is_some_and(|tls| tls.resumed) { "r" } else { "" },
        phase(dial.phases.greeting),
        phase(dial.phases.sign_in),
        figure(row.operations),
        closed.map_or_else(|| "-".to_owned(), |closed| short(closed.sent)),
        closed.map_or_else(|| "-".to_owned(), |closed| short(closed.received)),
        match closed.map(|closed| (&closed.how, closed.said_goodbye())) {
            Some((HowClosed::LoggedOut, _)) => "logout",
            Some((HowClosed::WithoutLogout(_), true)) => "logout failed",
            Some((HowClosed::WithoutLogout(_), false)) => "no logout",
            Some((HowClosed::HungUp(_), _)) => "hung up",
            Some((HowClosed::Discarded, _)) => "broken",
            None => "open",
        }
        .to_owned(),
    ]
}

/// To find the server is part of reaching it.
fn connect(dial: &Opened) -> Duration {
    dial.phases.resolve.unwrap_or_default() + dial.phases.connect.unwrap_or_default()
}

fn setup(dial: &Opened) -> Duration {
    [dial.phases.tls, dial.phases.greeting, dial.phases.sign_in].into_iter().flatten().sum()
}

fn phase(phase: Option<Duration>) -> String {
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
    row.closed.as_ref().is_some_and(|closed| matches!(closed.how, HowClosed::LoggedOut))
}

fn folded(sessions: &[(&SessionRow, &Opened)], shown: &[usize]) -> String {
    let mut next = shown.iter().copied().peekable();
    let (mut rows, mut operations, mut others) = (0, 0_u64, 0);
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
    paragraph(&format!("... {rows}: {operations}, {ended} (--format json lists all)"))
}

fn failed_section(sessions: &[(&SessionRow, &OpenFailed)], most: Option<usize>) -> String {
    if sessions.is_empty() {
        return String::new();
    }
    let shown = fold(sessions.len(), most, |index| sessions[index].1.took);
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
            ms(dial.took),
            could_not(dial),
        ]
    });
    let mut text = grid(&columns, &[], rows);
    let rest = sessions.len() - shown.len();
    if rest > 0 {
        let rest = many(rest as u64, "more dial");
        text += &paragraph(&format!("... {rest} that failed (--format json lists all)"));
    }
    text
}

/// Why a dial failed. One that stopped before the sign-in, since an earlier one was refused, cost the account nothing.
fn could_not(dial: &OpenFailed) -> String {
    let spared = if dial.failure.stage == Stage::Auth && !dial.sign_in_attempted { ", not tried" } else { "" };
    format!("{} at {}{spared}", dial.failure.kind.name(), dial.failure.stage.name())
}
