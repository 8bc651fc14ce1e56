//! What a variant's arguments say of its runs: as far as the first line of a run can contradict it.

use crate::allocator::Mode;
use crate::event::Micros;

use crate::judge::settings::told_time;

/// The name of a setting, its flags, and how their values read as the setting's value.
type Row = (&'static str, &'static [&'static str], fn(&[&str]) -> Option<String>);

const MODE: &str = "mode";
const ROWS: &[Row] = &[
    (MODE, &["--mode"], |all| mode(last(all)?)),
    ("mode switches", &["--switch-mode"], |all| each(all, switch)),
    ("threads", &["-t", "--threads"], |all| number(last(all)?)),
    ("tasks", &["--tasks"], |all| number(last(all)?)),
    ("dispose", &["--dispose"], named_so),
    ("max-connections", &["--max-connections"], |all| number(last(all)?)),
    ("executor", &["--executor"], named_so),
    ("lock", &["--lock"], named_so),
    ("mix", &["--ops"], |all| mix(last(all)?)),
    ("names of mailboxes", &["--mailbox"], |all| each(all, |name| Some(name.to_owned()))),
    ("defaults by hand", &["--default-for"], |all| listed(last(all)?)),
    ("independent ones", &["--independent-for"], |all| listed(last(all)?)),
    ("amount", &["-n", "--operations"], |all| number(last(all)?).map(|each| format!("{each} operations each"))),
    ("amount", &["--duration"], |all| time(last(all)?)),
    ("sandbox's rtt", &["--rtt"], |all| distance(last(all)?)),
    ("sandbox's latency", &["--sandbox-latency"], |all| time(last(all)?)),
    ("sandbox's connections", &["--sandbox-connections"], |all| number(last(all)?)),
    ("sandbox's like", &["--sandbox-like"], named_so),
    ("sandbox's locks maildrops", &["--sandbox-maildrops"], |all| match last(all)? {
        "locked" => Some("yes".to_owned()),
        "shared" => Some("no".to_owned()),
        _ => None,
    }),
];
/// Those that no first line tells of, as far as it could contradict them.
const UNTOLD: &[&str] =
    &["--allow-writes", "--from", "--pause", "--sandbox-limit", "--scratch-under", "--to", "--wait-timeout"];

/// Those that all variants share that say nothing of them: whatever the command line said, it said to each.
pub(super) const SHARED: [&str; 5] = ["threads", "max-connections", "executor", "lock", "sandbox's rtt"];

/// Whether a variant of a comparison can have that flag.
#[must_use]
pub fn is_flag_of_a_variant(flag: &str) -> bool {
    UNTOLD.contains(&flag) || ROWS.iter().any(|(_, flags, _)| flags.contains(&flag))
}

fn last<'a>(all: &[&'a str]) -> Option<&'a str> {
    all.last().copied()
}

fn named_so(all: &[&str]) -> Option<String> {
    last(all).map(str::to_owned)
}

fn each(all: &[&str], told: fn(&str) -> Option<String>) -> Option<String> {
    all.iter().map(|one| told(one)).collect::<Option<Vec<_>>>().map(|all| all.join(", "))
}

fn mode(name: &str) -> Option<String> {
    name.parse::<Mode>().ok().map(|mode| mode.name().to_owned())
}

fn switch(text: &str) -> Option<String> {
    let (after, name) = text.split_once('=')?;
    Some(format!("{}={}", number(after)?, mode(name)?))
}

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

/// A bare operation counts 1.
fn mix(text: &str) -> Option<String> {
    let part = |part: &str| {
        let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
        Some(format!("{}={}", name.trim(), number(weight.trim())?))
    };
    let mut parts = text.split(',').map(part).collect::<Option<Vec<_>>>()?;
    parts.sort_unstable();
    Some(parts.join(", "))
}

/// One worker or task, or one stretch of them; how many all or half are depends on how many there are.
fn listed(list: &str) -> Option<String> {
    match list.trim() {
        "none" => Some("none".to_owned()),
        "all" | "half" => None,
        list if list.contains(',') => None,
        list => Some(list.to_owned()),
    }
}

/// The settings that the arguments name, each with what it must be.
pub(super) fn named(arguments: &str) -> Vec<(&'static str, String)> {
    let words = shlex::split(arguments).unwrap_or_default();
    let mut named: Vec<(&Row, Vec<&str>)> = Vec::new();
    for (flag, value) in given(&words) {
        let Some((row, value)) = ROWS.iter().find(|(_, flags, _)| flags.contains(&flag)).zip(value) else { continue };
        // The one takes the place of the other: a number of operations, and a time.
        named.retain(|(other, _)| std::ptr::eq(*other, row) || other.0 != row.0);
        match named.iter_mut().find(|(other, _)| std::ptr::eq(*other, row)) {
            Some((_, values)) => values.push(value),
            None => named.push((row, vec![value])),
        }
    }
    named.into_iter().filter_map(|((what, _, told), values)| Some((*what, told(&values)?))).collect()
}

/// The first flag, or mode, that no variant can have, or not with that value.
pub(super) fn unknown(arguments: &str) -> Option<String> {
    let words = shlex::split(arguments).unwrap_or_default();
    let is_known = |(flag, value): &(&str, Option<&str>)| match (*flag, *value) {
        ("--mode", Some(name)) => mode(name).is_some(),
        ("--pause" | "--wait-timeout", value) => value.and_then(time).is_some(),
        ("--allow-writes", _) => true,
        (flag, value) => is_flag_of_a_variant(flag) && value.is_some(),
    };
    let unknown = given(&words).into_iter().find(|it| !is_known(it));
    unknown.map(|(flag, value)| if flag == "--mode" { value.unwrap_or_default() } else { flag }.to_owned())
}

/// Each flag with its value: the word behind it, or what stands with it in one word.
fn given(words: &[String]) -> Vec<(&str, Option<&str>)> {
    let mut given: Vec<(&str, Option<&str>)> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        match (word.split_once('='), word.get(..2)) {
            _ if !word.starts_with('-') => match given.last_mut() {
                None if at == 0 => given.push(("--mode", Some(word))),
                Some((_, value @ None)) => *value = Some(word),
                _ => {}
            },
            (Some((flag, value)), _) if flag.starts_with("--") => given.push((flag, Some(value))),
            // `-t4`, `-t=4`
            (_, Some(flag)) if word.len() > 2 && flag != "--" => {
                given.push((flag, Some(word[2..].trim_start_matches('='))));
            }
            _ => given.push((word, None)),
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use super::{named, unknown};

    #[test]
    fn what_arguments_say_is_read_as_the_command_line_reads_it() {
        for (arguments, says) in [
            ("use-default", vec![("mode", "use-default")]),
            ("use-default -t 4", vec![("mode", "use-default"), ("threads", "4")]),
            ("use-main -t8 --rtt=20ms", vec![("mode", "use-main"), ("threads", "8"), ("sandbox's rtt", "20ms")]),
            ("--mode use-main --threads=2 -t 3", vec![("mode", "use-main"), ("threads", "3")]),
            ("-n 5 --max-connections 2", vec![("amount", "5 operations each"), ("max-connections", "2")]),
            ("--duration 2s --lock command", vec![("amount", "2s"), ("lock", "command")]),
            (
                "use-default --ops 'noop=1,fetch=-t' --mailbox=-t9",
                vec![("mode", "use-default"), ("names of mailboxes", "-t9")],
            ),
            ("use-main --ops status,fetch=3", vec![("mode", "use-main"), ("mix", "fetch=3, status=1")]),
            ("--mailbox A --mailbox 'B C'", vec![("names of mailboxes", "A, B C")]),
            (
                "--switch-mode 5=use-main --switch-mode=9=use-default",
                vec![("mode switches", "5=use-main, 9=use-default")],
            ),
            (
                "--executor pool --tasks 8 --dispose task",
                vec![("executor", "pool"), ("tasks", "8"), ("dispose", "task")],
            ),
            ("--default-for half --independent-for w0-w3", vec![("independent ones", "w0-w3")]),
            (
                "--sandbox-like gmail --sandbox-maildrops shared",
                vec![("sandbox's like", "gmail"), ("sandbox's locks maildrops", "no")],
            ),
            ("--allow-writes -t 4", vec![("threads", "4")]),
            ("-n 5 --duration 2s", vec![("amount", "2s")]),
            ("use-main --rtt 0s", vec![("mode", "use-main"), ("sandbox's rtt", "none")]),
            ("use-default -t 'four", vec![]),
            ("", vec![]),
        ] {
            let says: Vec<_> = says.into_iter().map(|(what, value)| (what, value.to_owned())).collect();
            assert_eq!(named(arguments), says, "{arguments}");
        }
    }

    #[test]
    fn what_no_variant_can_say_is_found() {
        for (arguments, first) in [
            ("use-main -t4 --rtt=2ms --allow-writes --pause 1s", None),
            ("use-default --mailbox INBOX --sandbox-limit 7/user", None),
            ("use-never", Some("use-never")),
            ("use-main --nonsense 4", Some("--nonsense")),
            ("--server imaps://elsewhere.test", Some("--server")),
            ("use-main -x", Some("-x")),
            ("use-main --pause nonsense", Some("--pause")),
            ("use-main --wait-timeout", Some("--wait-timeout")),
            ("use-main --mailbox", Some("--mailbox")),
        ] {
            assert_eq!(unknown(arguments).as_deref(), first, "{arguments}");
        }
    }
}
