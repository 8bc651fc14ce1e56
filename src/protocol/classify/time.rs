//! Times in the words of servers: their units, and numbers.

/// Whether a number before that word is a time.
#[must_use]
pub fn is_unit_of_time(word: &str) -> bool {
    unit_of(word).is_some()
}

/// The line without the commas of thousands, and with the words and numbers that Chinese and Japanese write together apart.
pub(crate) fn spaced(line: &str) -> String {
    const TOGETHER: [&str; 9] = ["分钟", "分鐘", "秒", "小时", "小時", "天", "后", "後", "请"];
    const DIGITS: &str = "一二三四五六七八九";
    const OF_THINGS: [char; 2] = ['个', '個'];
    let mut spaced = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if let Some(word) = TOGETHER.iter().find(|word| rest.starts_with(**word)) {
            spaced.extend([" ", word, " "]);
            rest = &rest[word.len()..];
            continue;
        }
        let behind = &rest[c.len_utf8()..];
        rest = behind;
        let digit = DIGITS.chars().zip('1'..='9').find(|(written, _)| *written == c && behind.starts_with(OF_THINGS));
        let c = match c {
            '（' => '(',
            '）' => ')',
            '：' => ':',
            c => digit.map_or(c, |(_, digit)| digit),
        };
        let last = spaced.chars().next_back().unwrap_or(' ');
        let is_of_a_number =
            (c == ',' && parts_thousands(&spaced, behind)) || (last.is_ascii_digit() && OF_THINGS.contains(&c));
        if !is_of_a_number {
            let is_between = |digit: char, other: char| digit.is_ascii_digit() && other > '\u{2e7f}';
            spaced.extend((is_between(c, last) || is_between(last, c)).then_some(' '));
            spaced.push(c);
        }
    }
    spaced
}

/// The line in small letters with a word in place of each date, and of the day that a month's name follows: its numbers are no
/// lengths.
pub(super) fn without_dates(line: &str) -> String {
    const MONTHS: [&str; 16] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "mai", "okt", "dez", "mär",
    ];
    let is_month = |word: &str| MONTHS.iter().any(|month| word.starts_with(month));
    let words: Vec<&str> = line.split(' ').collect();
    let bare = |at: usize| words.get(at).map_or("", |word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    let is_day = |word: &str| matches!(word.len(), 1 | 2) && word.bytes().all(|byte| byte.is_ascii_digit());
    let dated = words.iter().enumerate().map(|(at, word)| {
        let is_date = is_date(bare(at)) || (is_day(bare(at)) && is_month(bare(at + 1)));
        if is_date { word.replace(bare(at), "date") } else { (*word).to_owned() }
    });
    dated.collect::<Vec<_>>().join(" ")
}

/// `2026-11-29t12:30:00z`, `20261129`, `29-nov-26`, `29.11.2026`, `29/11`.
fn is_date(word: &str) -> bool {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let is_year = |part: &str| part.len() == 4 && part.starts_with("20") && is_number(part);
    let day = word.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    let parts: Vec<&str> = word.split(['-', '/', '.']).collect();
    match parts[..] {
        [_] => day.len() == 8 && day.starts_with("20"),
        [first, second] if is_number(first) && is_number(second) && word.contains('/') => true,
        [first, .., last] if is_year(first) || is_year(last) => parts.len() > 2 || !word.contains('.'),
        [first, _, last] => is_number(first) && is_number(last) && !word.contains('.'),
        _ => false,
    }
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
