//! What a variant's arguments say of its runs: as far as the first line of a run can contradict it.

use crate::allocator::Mode;
use crate::event::Micros;

use crate::judge::settings::told_time;

/// What a setting is called, its flags, and how a flag's value is told as the setting's.
type Row = (&'static str, &'static [&'static str], fn(&str) -> Option<String>);

const MODE: &str = "mode";
const ROWS: &[Row] = &[
    (MODE, &["--mode"], |value| value.parse::<Mode>().ok().map(|mode| mode.name().to_owned())),
    ("threads", &["-t", "--threads"], number),
    ("max-connections", &["--max-connections"], number),
    ("executor", &["--executor"], |value| Some(value.to_owned())),
    ("lock", &["--lock"], |value| Some(value.to_owned())),
    ("amount", &["-n", "--operations"], |value| number(value).map(|each| format!("{each} operations each"))),
    ("amount", &["--duration"], time),
    ("sandbox's rtt", &["--rtt"], distance),
    ("sandbox's latency", &["--sandbox-latency"], time),
    ("sandbox's connections", &["--sandbox-connections"], number),
];

/// Those that all variants share that say nothing of them: whatever the command line said, it said to each.
pub(super) const SHARED: [&str; 5] = ["threads", "max-connections", "executor", "lock", "sandbox's rtt"];

fn number(value: &str) -> Option<String> {
    value.parse::<u64>().ok().map(|number| number.to_string())
}

fn time(value: &str) -> Option<String> {
    let time = Micros::from(humantime::parse_duration(value).ok()?);
    Some(told_time(time))
}

/// A sandbox that is no way off says nothing of it.
fn distance(value: &str) -> Option<String> {
    let none = told_time(Micros::ZERO);
    time(value).map(|time| if time == none { "none".to_owned() } else { time })
}

/// The settings that the arguments name, each with what it must be; the last of several counts.
pub(super) fn named(arguments: &str) -> Vec<(&'static str, String)> {
    let mut named: Vec<(&'static str, String)> = Vec::new();
    let mut say = |flag: &str, value: &str| {
        for (what, _, told) in ROWS.iter().filter(|(_, flags, _)| flags.contains(&flag)) {
            if let Some(value) = told(value) {
                named.retain(|(other, _)| other != what);
                named.push((what, value));
            }
        }
    };
    let words = shlex::split(arguments).unwrap_or_default();
    if let Some(mode) = words.first().filter(|word| !word.starts_with('-')) {
        say("--mode", mode);
    }
    let mut before = None;
    for word in &words {
        match (word.split_once('='), word.get(..2)) {
            (Some((flag, value)), _) if flag.starts_with('-') => say(flag, value),
            // `-t4`
            (None, Some(flag)) if word.len() > 2 && word.starts_with('-') && !word.starts_with("--") => {
                say(flag, &word[2..]);
            }
            _ => {
                if let Some(flag) = before {
                    say(flag, word);
                }
            }
        }
        before = Some(&**word);
    }
    named
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn what_arguments_say_is_read_as_the_command_line_reads_it() {
        for (arguments, says) in [
            ("use-default", vec![("mode", "use-default")]),
            ("use-default -t 4", vec![("mode", "use-default"), ("threads", "4")]),
            ("use-main -t8 --rtt=20ms", vec![("mode", "use-main"), ("threads", "8"), ("sandbox's rtt", "20ms")]),
            ("--mode use-main --threads=2 -t 3", vec![("mode", "use-main"), ("threads", "3")]),
            ("-n 5 --max-connections 2", vec![("amount", "5 operations each"), ("max-connections", "2")]),
            ("--duration 2s --lock command", vec![("amount", "2s"), ("lock", "command")]),
            ("use-default --ops 'noop=1,fetch=-t' --mailbox '-t 9'", vec![("mode", "use-default")]),
            ("use-main --rtt 0s", vec![("mode", "use-main"), ("sandbox's rtt", "none")]),
            ("use-default -t 'four", vec![]),
            ("", vec![]),
        ] {
            let says: Vec<_> = says.into_iter().map(|(what, value)| (what, value.to_owned())).collect();
            assert_eq!(named(arguments), says, "{arguments}");
        }
    }
}
