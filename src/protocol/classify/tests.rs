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

/// Planted are another meaning for each row, and the table without it.
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
        // Without the last row the answer is the same: it is what a line means that no row fits.
        if at < last {
            let row = known.rows.remove(at);
            see(&known, "left out");
            known.rows.insert(at, row);
        }
    }
    assert!(unseen.is_empty(), "{}", unseen.join("\n"));
}
