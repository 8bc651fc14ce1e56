//! Times in the words of servers: their units, and numbers.

/// Whether a number before that word is a time.
#[must_use]
pub fn is_unit_of_time(word: &str) -> bool {
    unit_of(word).is_some()
}

/// The line without the commas of thousands, and with the words that Chinese writes together apart.
pub(super) fn spaced(line: &str) -> String {
    const TOGETHER: [&str; 9] = ["分钟", "分鐘", "秒", "小时", "小時", "天", "后", "後", "请"];
    let mut spaced = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if let Some(word) = TOGETHER.iter().find(|word| rest.starts_with(**word)) {
            spaced.extend([" ", word, " "]);
            rest = &rest[word.len()..];
            continue;
        }
        let behind = &rest[c.len_utf8()..];
        if c != ',' || !parts_thousands(&spaced, behind) {
            let from_other = c.is_ascii_digit() && spaced.chars().next_back().is_some_and(|last| last > '\u{2e7f}');
            spaced.extend(from_other.then_some(' '));
            spaced.push(c);
        }
        rest = behind;
    }
    spaced
}

/// Whether a comma between these two parts thousands.
fn parts_thousands(before: &str, behind: &str) -> bool {
    let count = behind.bytes().take_while(u8::is_ascii_digit).count();
    before.ends_with(|c: char| c.is_ascii_digit()) && count == 3
}

/// The number that a word says.
#[must_use]
pub fn written_number(word: &str) -> Option<f64> {
    Some(match word {
        "a" | "an" | "one" => 1.0,
        "two" => 2.0,
        "three" => 3.0,
        "four" => 4.0,
        "five" => 5.0,
        "six" => 6.0,
        "seven" => 7.0,
        "eight" => 8.0,
        "nine" => 9.0,
        "ten" => 10.0,
        "twelve" => 12.0,
        "fifteen" => 15.0,
        "twenty" => 20.0,
        "thirty" => 30.0,
        "forty" => 40.0,
        "fifty" => 50.0,
        "sixty" => 60.0,
        "ninety" => 90.0,
        _ => return None,
    })
}

/// The unit as it is shown, and its seconds.
pub(super) fn unit_of(word: &str) -> Option<(&'static str, f64)> {
    Some(match word {
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" | "millis" => ("ms", 0.001),
        "s" | "sec" | "secs" | "second" | "seconds" | "sekunde" | "sekunden" | "sek" | "seconde" | "secondes"
        | "segundos" | "сек" | "секунд" | "секунды" | "秒" => ("s", 1.0),
        "m" | "min" | "mins" | "minute" | "minutes" | "minuten" | "minutos" | "мин" | "минут" | "минуты" | "минуту"
        | "分钟" | "分鐘" => ("min", 60.0),
        "h" | "hr" | "hrs" | "hour" | "hours" | "stunde" | "stunden" | "heure" | "heures" | "hora" | "horas"
        | "час" | "часа" | "часов" | "小时" | "小時" => ("h", 3600.0),
        "d" | "day" | "days" | "tag" | "tage" | "tagen" | "天" => ("d", 86400.0),
        "w" | "week" | "weeks" | "woche" | "wochen" => ("week", 604_800.0),
        _ => return None,
    })
}
