//! Each row of the table is held by a refusal of the list: with that row wrong, the list is read wrongly.

use super::*;

/// A refusal, and what it means.
struct Said {
    line: &'static str,
    stage: Stage,
    means: FailureKind,
}

fn refusals() -> Vec<Said> {
    let rows = include_str!("../../../tests/protocol/refusals.tsv").lines().skip(1);
    let read = |row: &'static str| {
        let [_, _, stage, line, word] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let stage = Stage::ALL.into_iter().find(|it| it.name() == stage).unwrap();
        Said { line, stage, means: FailureKind::ALL.into_iter().find(|it| it.name() == word).unwrap() }
    };
    rows.map(read).collect()
}

fn read<'known>(known: &'known Known, said: &Said) -> Line<'known> {
    Line::read(known, without_tag(said.line.as_bytes()), &[])
}

/// The refusals that such a table reads wrongly.
fn disagreements<'a>(known: &Known, refusals: impl IntoIterator<Item = &'a Said>) -> impl Iterator<Item = &'a Said> {
    refusals.into_iter().filter(move |said| read(known, said).means(said.stage) != said.means)
}

/// Planted are another meaning, another protocol and fewer stages for each row, and the table without it.
#[test]
fn each_wrong_row_is_seen() {
    let refusals = refusals();
    let lines: Vec<(&Said, Line<'_>)> = refusals.iter().map(|said| (said, read(&KNOWN, said))).collect();
    let mut known = Known::of(table::TABLE);
    let mut unseen: Vec<String> = disagreements(&known, &refusals).map(|said| said.line.to_owned()).collect();
    let last = known.rows.len() - 1;
    for at in 0..=last {
        // A row changes the meaning of nothing that it does not fit.
        let fitting: Vec<&Said> =
            lines.iter().filter(|(_, line)| known.rows[at].says.fits(line)).map(|(said, _)| *said).collect();
        let mut see = |known: &Known, how: &str| {
            if disagreements(known, fitting.iter().copied()).next().is_none() {
                let row = table::TABLE[at];
                unseen.push(format!("row {at}, {:?} {} {:?}: {how}", row.at, row.means, phrases(&row.says).first()));
            }
        };
        let means = std::mem::replace(&mut known.rows[at].of.means, FailureKind::Internal);
        see(&known, "another meaning");
        known.rows[at].of.means = means;
        let row = known.rows[at].of;
        // The last row means the same where it does not hold: no row fits then.
        let narrower: &[At] = match row.at {
            At::Any if at < last => &[At::Dial, At::Later],
            At::Dial => &[At::Greeting, At::SignIn],
            _ => &[],
        };
        for narrower in narrower {
            known.rows[at].of.at = *narrower;
            see(&known, &format!("at {narrower:?} alone"));
        }
        known.rows[at].of.at = row.at;
        for other in Protocol::ALL.into_iter().filter(|it| row.protocol.is_some_and(|own| own != *it)) {
            known.rows[at].of.protocol = Some(other);
            see(&known, &format!("of {other:?}"));
        }
        known.rows[at].of.protocol = row.protocol;
        // Without the last row the answer is the same: it is what a line means that no row fits.
        if at < last {
            let row = known.rows.remove(at);
            see(&known, "left out");
            known.rows.insert(at, row);
        }
    }
    assert!(unseen.is_empty(), "{}", unseen.join("\n"));
}

/// Planted are the lists of words that no row has, without one of their entries.
#[test]
fn each_word_that_is_missing_from_a_list_is_seen() {
    let refusals = refusals();
    let mut known = Known::of(table::TABLE);
    // An entry changes the meaning of no line without its first word.
    let with = |entry: &str| {
        let word = entry.split([' ', '*']).next().unwrap_or_default().to_owned();
        refusals.iter().filter(move |said| said.line.to_lowercase().replace('\'', "").contains(&word))
    };
    let mut unseen = Vec::new();
    for (at, entry) in table::NAMES_FOLLOW.iter().enumerate() {
        let left_out = known.names_follow.remove(at);
        unseen.extend(disagreements(&known, with(entry)).next().is_none().then(|| (*entry).to_owned()));
        known.names_follow.insert(at, left_out);
    }
    for (at, entry) in table::REMARKS.iter().enumerate() {
        let left_out = known.remarks.remove(at);
        unseen.extend(disagreements(&known, with(entry[0])).next().is_none().then(|| entry.join(", ")));
        known.remarks.insert(at, left_out);
    }
    assert!(unseen.is_empty(), "{}", unseen.join("\n"));
}
