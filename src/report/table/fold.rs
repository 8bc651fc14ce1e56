//! Which rows are worth a screen: the first ones show what is usual, the others what is not.

/// The rows to show, in their order: all, if they are few; else half of them those of the greatest weight, the others the
/// first. One row too many is shown all the same: to say that it is missing would take its line.
pub(super) fn fold<W: Ord>(total: usize, most: Option<usize>, weight: impl Fn(usize) -> W) -> Vec<usize> {
    let Some(most) = most.filter(|most| total > most.saturating_add(1)) else { return (0..total).collect() };
    let mut shown = vec![false; total];
    let mut heaviest: Vec<usize> = (0..total).collect();
    heaviest.sort_by_cached_key(|&row| std::cmp::Reverse(weight(row)));
    for &row in heaviest.iter().take(most / 2) {
        shown[row] = true;
    }
    let mut left = most - most / 2;
    for row in &mut shown {
        if left > 0 && !*row {
            *row = true;
            left -= 1;
        }
    }
    (0..total).filter(|&row| shown[row]).collect()
}

/// `w0-w3, w7`: numbers in ascending order behind their letter, neighbours together; beyond a dozen pieces only how many
/// more.
pub(super) fn ranges(letter: char, numbers: impl IntoIterator<Item = u32>) -> String {
    const MOST: usize = 12;
    let mut pieces: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match pieces.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(number) => *end = number,
            _ => pieces.push((number, number)),
        }
    }
    let rest: u64 = pieces.iter().skip(MOST).map(|&(start, end)| u64::from(end - start) + 1).sum();
    let mut shown: Vec<String> = pieces
        .iter()
        .take(MOST)
        .map(|&(start, end)| match end - start {
            0 => format!("{letter}{start}"),
            1 => format!("{letter}{start}, {letter}{end}"),
            _ => format!("{letter}{start}-{letter}{end}"),
        })
        .collect();
    if rest > 0 {
        shown.push(format!("{} more", super::count(rest)));
    }
    shown.join(", ")
}
