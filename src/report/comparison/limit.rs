//! The server's limit on connections, where it was met, and what fits into it; where it was not, what others allow.

use crate::allocator::Mode;
use crate::event::Variant;
use crate::judge::{Allowed, Comparison, Trouble};
use crate::report::known;
use crate::report::words::printable;

/// The command that finds a limit.
const PROBE: &str = "mailconn limits";

/// The limit that was met, and what fits into it.
pub(super) fn met(comparison: &Comparison) -> Vec<String> {
    if comparison.met(Trouble::Locked) {
        return vec!["POP3 gives a maildrop to one connection at a time: use-main fits, or one thread".to_owned()];
    }
    let (variants, runs) = (&comparison.start().variants, comparison.runs().iter().enumerate());
    let met = runs.filter(|(at, _)| comparison.trouble(*at) == Some(Trouble::Connections));
    let mut met: Vec<&Variant> = met.filter_map(|(_, run)| variants.get(run.variant)).collect();
    met.sort_by_key(|it| variants.iter().position(|variant| variant.name == it.name));
    met.dedup();
    let server = match met.as_slice() {
        [] => return Vec::new(),
        _ if !variants.iter().any(is_of_its_own) => Server { subject: "this server".to_owned(), there: "" },
        met => {
            let names: Vec<String> = met.iter().map(|it| printable(&it.name)).collect();
            Server { subject: format!("the server of {}", names.join(" and ")), there: " there" }
        }
    };
    said(&server, comparison.allowed().unwrap_or_default(), comparison.is_on_threads())
}

/// Whether it says itself how the one in the box is to behave: then that is another one than those of the others.
fn is_of_its_own(variant: &Variant) -> bool {
    variant.arguments.split_whitespace().any(|it| it.starts_with("--sandbox-"))
}

/// Whose limit it was.
struct Server {
    subject: String,
    there: &'static str,
}

fn said(server: &Server, allowed: Allowed, is_on_threads: bool) -> Vec<String> {
    let Allowed { ours, stated, is_guessed } = allowed;
    let Server { subject, there } = server;
    let this = subject.replacen('t', "T", 1);
    let by_words = |stated: usize| format!("{this} allows {}, by its own words", connections(stated));
    let fit = |most| fit(most, there, is_on_threads);
    match (ours, stated) {
        (Some(ours), Some(stated)) if ours < stated => {
            let beside = if ours == 0 { "none".to_owned() } else { ours.to_string() };
            vec![format!("{}, and refused one more beside {beside} of ours", by_words(stated)), fit(ours)]
        }
        (_, Some(stated)) => vec![by_words(stated), fit(stated)],
        (Some(ours), None) => {
            let refused = ordinal(ours + 1);
            let seen = match is_guessed {
                true => format!("was seen to close the {refused} connection without a word, probably for a limit"),
                false => format!("was seen to refuse the {refused} connection"),
            };
            vec![format!("{this} {seen}"), fit(ours)]
        }
        (None, None) => vec![format!("How many connections {subject} allows, {PROBE} finds")],
    }
}

fn fit(most: usize, there: &str, is_on_threads: bool) -> String {
    match most {
        0 => "Others hold all that it gives: close some".to_owned(),
        1 => format!("One fits{there}: use-main"),
        _ if is_on_threads => format!("{most} fit{there}: {}, {}", threads(most), defaults(most)),
        _ => format!("{most} fit{there}: {}", threads(most)),
    }
}

fn threads(most: usize) -> String {
    format!("use-default with -t {most}")
}

/// Main is one of them, beside the defaults.
fn defaults(most: usize) -> String {
    let last = if most > 2 { format!("-w{}", most - 2) } else { String::new() };
    format!("use-main-or-default with --default-for w0{last}")
}

fn connections(number: usize) -> String {
    if number == 1 { "1 connection".to_owned() } else { format!("{number} connections") }
}

fn ordinal(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (1, it) if it != 11 => "st",
        (2, it) if it != 12 => "nd",
        (3, it) if it != 13 => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// Which servers that are known allow fewer than the chosen one opens, and what would fit there: the one in the box has no limit
/// unless it is given one.
pub(super) fn elsewhere(comparison: &Comparison, peak: u64, mode: Mode) -> Vec<String> {
    if !comparison.is_on_the_sandbox() || comparison.met(Trouble::Connections) || comparison.met(Trouble::Locked) {
        return Vec::new();
    }
    let fewer: Vec<(&str, u64)> = known::allow_fewer(peak, comparison.start().protocol).collect();
    let Some(least) = fewer.iter().map(|(_, most)| *most).min().and_then(|least| usize::try_from(least).ok()) else {
        return Vec::new();
    };
    let each = fewer.iter().map(|(name, most)| format!("{name} {most}")).collect::<Vec<_>>().join(", ");
    let fits = match mode {
        Mode::UseDefault => format!("{} fits each of these", threads(least)),
        Mode::UseMainOrDefault if comparison.is_on_threads() => format!("{} fits each of these", defaults(least)),
        _ => "Use-main without further connections fits each of these".to_owned(),
    };
    vec![
        format!("Not every server allows {peak} connections, unless set otherwise: {each}"),
        format!("{fits}; {PROBE} finds how many yours allows"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn this() -> Server {
        Server { subject: "this server".to_owned(), there: "" }
    }

    #[test]
    fn what_the_server_names_is_told_apart_from_what_was_seen_and_what_fits_is_what_it_gave() {
        let allowed = |ours, stated| Allowed { ours, stated, is_guessed: false };
        let guessed = Allowed { is_guessed: true, ..allowed(Some(4), None) };
        let eleventh = "This server was seen to refuse the 11th connection. 10 fit: use-default with -t 10, use-main-or-default with \
                        --default-for w0-w8";
        for (allowed, says) in [
            (allowed(Some(10), None), eleventh),
            (
                allowed(Some(10), Some(10)),
                "This server allows 10 connections, by its own words. 10 fit: use-default with -t 10, use-main-or-default with \
                 --default-for w0-w8",
            ),
            (
                allowed(Some(2), Some(10)),
                "This server allows 10 connections, by its own words, and refused one more beside 2 of ours. 2 fit: use-default \
                 with -t 2, use-main-or-default with --default-for w0",
            ),
            (
                allowed(Some(0), Some(10)),
                "This server allows 10 connections, by its own words, and refused one more beside none of ours. Others hold all \
                 that it gives: close some",
            ),
            (allowed(Some(1), None), "This server was seen to refuse the 2nd connection. One fits: use-main"),
            (allowed(None, Some(1)), "This server allows 1 connection, by its own words. One fits: use-main"),
            (allowed(None, None), "How many connections this server allows, mailconn limits finds"),
            (
                guessed,
                "This server was seen to close the 5th connection without a word, probably for a limit. 4 fit: use-default with \
                 -t 4, use-main-or-default with --default-for w0-w2",
            ),
        ] {
            assert_eq!(said(&this(), allowed, true).join(". "), says);
        }
        let on_a_pool = said(&this(), allowed(Some(5), None), false).join(". ");
        assert_eq!(on_a_pool, "This server was seen to refuse the 6th connection. 5 fit: use-default with -t 5");
    }
}
