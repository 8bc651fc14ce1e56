//! Numbers in ranges, for rows that are told together.

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
