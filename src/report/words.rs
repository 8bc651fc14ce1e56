//! Words and figures that reports share.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

pub(super) use crate::figures::count;
use crate::judge::{Conclusion, Verdict, failed_gates};

/// A conclusion in words.
pub(crate) fn conclusion(conclusion: Conclusion) -> String {
    match conclusion {
        Conclusion::Interrupted(number) => format!("interrupted by {}", signal(number)),
        other => other.sentence().to_owned(),
    }
}

/// A conclusion with its reason, and the gates that failed beside another one.
pub(super) fn concluded(verdict: &Verdict) -> String {
    let why = verdict.because.clone().unwrap_or_else(|| conclusion(verdict.conclusion));
    let gates = failed_gates(&verdict.gates).filter(|_| verdict.conclusion != Conclusion::GateFailed);
    [why].into_iter().chain(gates).collect::<Vec<_>>().join("; ")
}

/// A signal's name.
pub(super) fn signal(number: i32) -> String {
    match number {
        1 => "SIGHUP".to_owned(),
        2 => "SIGINT".to_owned(),
        15 => "SIGTERM".to_owned(),
        other => format!("signal {other}"),
    }
}

/// A wall-clock time in RFC 3339, UTC, with microseconds.
pub(super) fn wall(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(written(time)).to_string()
}

/// The nearest time that `humantime` writes, which has the years 1970 to 9999: a wrong clock must not cause a panic.
fn written(time: SystemTime) -> SystemTime {
    const LAST: u64 = 253_402_300_799;
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + since.min(Duration::from_secs(LAST))
}

/// Which mailconn a report is of, and when what it tells of began: `mailconn 0.1.0, run 5f0c3d9a1b2e, 2026-11-24 11:14:18 UTC`.
/// The version and the run's name are as a file has them.
pub(crate) fn origin(tool_version: &str, run_id: Option<&str>, started: SystemTime) -> String {
    let run = run_id.map_or_else(String::new, |run| format!(", run {run}"));
    let began = humantime::format_rfc3339_seconds(written(started)).to_string().replace('T', " ").replace('Z', " UTC");
    format!("mailconn {tool_version}{run}, {began}")
}

/// The day of a wall-clock time, UTC.
pub(crate) fn day(time: SystemTime) -> String {
    let mut day = wall(time);
    day.truncate("2026-11-24".len());
    day
}

/// Pieces of evidence, made safe for a terminal. What stands behind the first colon, a server's line for one, is not said
/// anew where it is the same.
pub(super) fn evidence(pieces: &[String]) -> impl Iterator<Item = String> {
    let mut last = None;
    pieces.iter().map(move |piece| match piece.split_once(": ") {
        Some((whose, what)) if last == Some(what) => format!("{}: the same", printable(whose)),
        said => {
            last = said.map(|(_, what)| what);
            printable(piece)
        }
    })
}

/// `1,984 workers`: a count of things that take an `s`.
pub(crate) fn many(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A count in a column, exact up to five digits.
pub(super) fn figure(number: u64) -> String {
    if number < 100_000 { number.to_string() } else { short(number) }
}

/// `999`, `1.2k`, `88k`, `1.2M`: a size in four characters.
pub(super) fn short(number: u64) -> String {
    if number < 1000 {
        return number.to_string();
    }
    let mut value = number as f64;
    let mut unit = "";
    for next in ["k", "M", "G", "T", "P", "E"] {
        value /= 1000.0;
        unit = next;
        if value < 999.5 {
            break;
        }
    }
    if value < 9.95 { format!("{value:.1}{unit}") } else { format!("{value:.0}{unit}") }
}

/// Milliseconds in a column, three digits of them: `0.12`, `12.3`, `1234`; from ten seconds on `12.3s`.
pub(super) fn ms(duration: impl Into<Duration>) -> String {
    let duration = duration.into();
    let ms = duration.as_secs_f64() * 1e3;
    if duration.is_zero() {
        "0".to_owned()
    } else if ms < 9.995 {
        format!("{ms:.2}")
    } else if ms < 99.95 {
        format!("{ms:.1}")
    } else if ms < 9999.5 {
        format!("{ms:.0}")
    } else if ms < 99_950.0 {
        format!("{:.1}s", ms / 1e3)
    } else {
        format!("{}s", short(duration.as_secs()))
    }
}

/// A length of time in a sentence: `512 ms`, `1.23 s`, `2 min 3 s`, `1 h 5 min`.
pub(crate) fn span(duration: impl Into<Duration>) -> String {
    let duration = duration.into();
    let seconds = duration.as_secs_f64();
    if seconds < 0.0095 {
        format!("{:.2} ms", seconds * 1e3)
    } else if seconds < 0.9995 {
        format!("{:.0} ms", seconds * 1e3)
    } else if seconds < 59.995 {
        format!("{seconds:.2} s")
    } else {
        let (whole, unit, rest, of_it) = match duration.as_secs() {
            seconds @ 0..3600 => (seconds / 60, "min", seconds % 60, "s"),
            seconds => (seconds / 3600, "h", seconds % 3600 / 60, "min"),
        };
        match rest {
            0 => format!("{} {unit}", count(whole)),
            rest => format!("{} {unit} {rest} {of_it}", count(whole)),
        }
    }
}

/// A rate: `8.3`, `1,234`.
pub(super) fn per_second(rate: f64) -> String {
    if rate < 9.95 { format!("{rate:.1}") } else { count(rate.round() as u64) }
}

/// Adds the character, or its escape if it is invisible or would change how others are shown. A mark that combines with the
/// letter before it is neither.
pub fn push_visible(text: &mut String, character: char) {
    // Of a string only the first character is escaped for combining with what is before.
    let is_mark = !character.is_ascii() && format!("a{character}").escape_debug().count() == 2;
    match character {
        '"' | '\'' | '\\' => text.push(character),
        _ if is_mark => text.push(character),
        other => text.extend(other.escape_debug()),
    }
}

/// Whether the mark that comes next would begin a command to the service that runs a build, `::error::` or `##[group]`, if a
/// line of its log began here. `::1` is an address, `Client::close` a name.
fn begins_a_command(before: &str, mark: char, rest: &str) -> bool {
    let name = &rest[..rest.find(|it: char| !it.is_ascii_alphabetic() && it != '-').unwrap_or(rest.len())];
    match mark {
        ':' => {
            let begins_a_word = |before: &str| !before.ends_with(char::is_alphanumeric);
            let is_name = name.bytes().any(|byte| !byte.is_ascii_hexdigit());
            // A line may end within a word; a command needs a second pair of colons.
            let begins = |before| begins_a_word(before) || rest.contains("::");
            is_name && before.strip_suffix(':').is_some_and(begins)
        }
        '#' => before.ends_with('#') && rest[name.len()..].starts_with('['),
        _ => false,
    }
}

/// Foreign text (a server's line, a name) made safe for a terminal, and for the log of a build: it cannot move the cursor,
/// change a colour, turn the direction of writing or give a command, wherever its lines end, and it has a longest length.
pub(crate) fn printable(text: &str) -> String {
    const MOST: usize = 600;
    let mut clean = String::with_capacity(text.len());
    let mut characters = text.trim_end().chars();
    for _ in 0..MOST {
        let Some(character) = characters.next() else { break };
        if begins_a_command(&clean, character, characters.as_str()) {
            clean.extend(character.escape_unicode());
        } else {
            push_visible(&mut clean, character);
        }
    }
    let rest = characters.count();
    if rest > 0 {
        let _ = write!(clean, " ... ({} more characters)", count(rest as u64));
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn foreign_text_gives_no_command_to_the_service_that_runs_a_build() {
        for (text, shown) in [
            ("NO ::error::x", r"NO :\u{3a}error::x"),
            ("NO ::add-mask::secret", r"NO :\u{3a}add-mask::secret"),
            ("::stop-commands::x", r":\u{3a}stop-commands::x"),
            ("a:::ERROR file=x::y", r"a::\u{3a}ERROR file=x::y"),
            ("longname::warning::x", r"longname:\u{3a}warning::x"),
            ("##[add-mask]x", r"#\u{23}[add-mask]x"),
            ("##vso[task.complete]", r"#\u{23}vso[task.complete]"),
            ("##teamcity[x]", r"#\u{23}teamcity[x]"),
        ] {
            assert_eq!(printable(text), shown);
            assert_eq!(printable(shown), shown, "once is enough");
        }
        for same in [
            "from ::1",
            "::ffff:192.0.2.1",
            "fe80::abcd%eth0",
            "2001:db8::a port 25",
            "at 12::",
            "in code Client::close",
            "## 1",
            "#1 [x]",
        ] {
            assert_eq!(printable(same), same);
        }
    }
}
