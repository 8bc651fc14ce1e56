//! Dates as clients write them.

/// The command with each one-digit day of a date-time spelt as RFC 3501 has it, `" 1-Jul-2026 …"`: clients write
/// `"1-Jul-2026 …"`, and other servers bear it. None if there is none in its first line.
pub(super) fn as_the_grammar_has_them(command: &[u8]) -> Option<Vec<u8>> {
    let line = command.iter().position(|&byte| byte == b'\n').unwrap_or(command.len());
    let begins = |at: usize| {
        matches!(
            command.get(at..at + 12),
            Some([b'"', day, b'-', a, b, c, b'-', year @ .., b' ']) if day.is_ascii_digit()
                && [a, b, c].iter().all(|letter| letter.is_ascii_alphabetic())
                && year.iter().all(u8::is_ascii_digit)
        )
    };
    let found: Vec<usize> = (0..line).filter(|at| begins(*at)).collect();
    let mut spelt = command.to_vec();
    for at in found.iter().rev() {
        spelt.insert(at + 1, b' ');
    }
    (!found.is_empty()).then_some(spelt)
}
