//! Limits that the sandbox hides, found by probing it.

use std::sync::Mutex;
use std::thread;

use serde_json::{Value, json};

use super::run::{found, limits};

/// So many probes at a time: they rest more than they work.
const AT_ONCE: usize = 8;

/// Probes each, and checks what it finds.
fn each<T: Send>(cases: Vec<T>, check: impl Fn(T) + Sync) {
    let cases = Mutex::new(cases.into_iter());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = { cases.lock().unwrap().next() } {
                    check(case);
                }
            });
        }
    });
}

/// A probe of a sandbox with these flags: what it finds.
#[track_caller]
fn probed(flags: &str) -> Value {
    let ended = limits(&format!("{flags} --progress never --format ndjson"));
    let found = found(&ended);
    assert_eq!(ended.code, 0, "{flags}: {found:#}");
    found
}

fn met<'a>(found: &'a Value, what: &str) -> &'a str {
    found["met"][what].as_str().unwrap_or_default()
}

#[test]
fn each_limit_is_found_alone() {
    let mut cases = Vec::new();
    for (server, what) in [
        ("sandbox", &["user", "address", "user+address", "total"][..]),
        ("sandbox+smtp", &["address", "total"]),
        ("sandbox+pop3 --sandbox-maildrops shared", &["user", "address", "user+address", "total"]),
    ] {
        for what in what {
            for stage in ["accept", "greeting", "sign-in"] {
                // Before the sign-in no user is known.
                if what.starts_with("user") && stage != "sign-in" {
                    continue;
                }
                cases.push((server, format!("{what}=4@{stage}"), stage));
            }
        }
    }
    each(cases, |(server, limit, stage)| {
        let flags = format!("{server} --sandbox-limit {limit} --hold 6s");
        let found = probed(&flags);
        assert_eq!((&found["given"], &found["ended"]), (&json!(4), &json!(0)), "{flags}: {found:#}");
        assert_eq!((met(&found, "kind"), met(&found, "kept_by")), ("count", "refusing-newest"), "{flags}: {found:#}");
        let due = if stage == "sign-in" { "auth" } else { "greeting" };
        assert_eq!(met(&found, "stage"), due, "{flags}: {found:#}");
    });
}

#[test]
fn a_limit_at_the_first_command_is_found() {
    let cases = [
        ("--sandbox-limit user=4@after", 4),
        ("--sandbox-like outlook --max 24", 16),
        ("sandbox+smtp --sandbox-limit user=4@after", 4),
        ("sandbox+pop3 --sandbox-maildrops shared --sandbox-limit user=4@after", 4),
    ];
    each(cases.to_vec(), |(flags, most)| {
        let flags = format!("{flags} --hold 6s");
        let found = probed(&flags);
        assert_eq!((&found["given"], &found["ended"]), (&json!(most), &json!(0)), "{flags}: {found:#}");
        assert_eq!((met(&found, "kind"), met(&found, "kept_by")), ("count", "refusing-newest"), "{flags}: {found:#}");
        assert_eq!(met(&found, "stage"), "operation", "{flags}: {found:#}");
    });
}

#[test]
fn a_rate_is_told_from_a_count() {
    let servers = ["sandbox", "sandbox+smtp", "sandbox+pop3 --sandbox-maildrops shared"];
    let cases = servers.into_iter().flat_map(|server| {
        ["address=5/2s@accept", "address=5/2s@greeting", "total=5/2s@sign-in"].map(|limit| (server, limit))
    });
    each(cases.collect(), |(server, limit)| {
        let flags = format!("{server} --sandbox-limit {limit} --hold 3s");
        let found = probed(&flags);
        // A close without a word is believed when it is seen twice.
        let refused = if limit.ends_with("@accept") { 2 } else { 1 };
        assert_eq!((&found["given"], &found["refused"]), (&json!(5), &json!(refused)), "{flags}: {found:#}");
        assert_eq!(met(&found, "kind"), "rate", "{flags}: {found:#}");
    });
}

#[test]
fn a_server_that_ends_the_oldest_is_known_by_that() {
    let servers = ["sandbox", "sandbox+smtp", "sandbox+pop3 --sandbox-maildrops shared"];
    each(servers.to_vec(), |server| {
        let flags = format!("{server} --sandbox-limit address=4,oldest");
        let found = probed(&flags);
        assert_eq!((&found["given"], &found["refused"]), (&json!(4), &json!(0)), "{flags}: {found:#}");
        assert_eq!((met(&found, "kind"), met(&found, "kept_by")), ("count", "ending-oldest"), "{flags}: {found:#}");
    });
}

/// Of two limits the probe finds the one that it meets first, and says nothing of the other.
#[test]
fn of_two_limits_the_one_that_is_met_first_is_found() {
    // What each is, as a flag without its number, and as the probe tells it.
    let all = [
        ("user", "", "count", "refusing-newest"),
        ("address", "@accept", "count", "refusing-newest"),
        ("total", "@greeting", "count", "refusing-newest"),
        ("user", "/2s", "rate", "refusing-newest"),
        ("address", "/2s@accept", "rate", "refusing-newest"),
        ("total", ",oldest", "count", "ending-oldest"),
    ];
    let pairs = all.iter().enumerate().flat_map(|(one, first)| {
        all.iter().enumerate().filter(move |(other, _)| *other != one).map(move |(_, second)| (*first, *second))
    });
    each(pairs.collect(), |((counts, how, kind, kept_by), (other, other_how, ..))| {
        let flags = format!("--sandbox-limit {counts}=3{how} --sandbox-limit {other}=6{other_how} --hold 6s");
        let found = probed(&flags);
        assert_eq!(found["given"], 3, "{flags}: {found:#}");
        assert_eq!((met(&found, "kind"), met(&found, "kept_by")), (kind, kept_by), "{flags}: {found:#}");
    });
}

/// The second is met by the next one already.
#[test]
fn the_oldest_is_ended_before_the_next_limit_is_met() {
    let cases = ["user=4,oldest address=5/60s", "total=4,oldest user=5/60s", "address=4,oldest total=5/60s"];
    each(cases.to_vec(), |limits| {
        let flags = format!("--sandbox-limit {} --hold 1s", limits.replace(' ', " --sandbox-limit "));
        let found = probed(&flags);
        assert_eq!(found["given"], 4, "{flags}: {found:#}");
        assert_eq!((met(&found, "kind"), met(&found, "kept_by")), ("count", "ending-oldest"), "{flags}: {found:#}");
    });
}

#[test]
fn how_soon_a_slot_comes_free_is_measured() {
    let second = |found: &Value, which: &str, what: &str| found[which][what].as_u64().map(|time| time / 1_000_000);
    let cases = [
        // After a goodbye; and after none.
        ("user+address=3,release=5s", "", "count", (Some(30), Some(2)), None),
        ("user+address=3,bare-release=5s", "--bare-close", "count", (Some(2), None), Some((Some(30), Some(2)))),
        ("user+address=3,bare-release=60s", "--bare-close", "count", (Some(2), None), Some((None, Some(30)))),
        // A slot that comes free too late could as well be a rate that is longer than the hold; a rate says that it is one, and
        // is not met again and again.
        ("user=3,release=60s", "--bare-close", "unclear", (None, Some(30)), None),
        ("user=3/60s", "", "rate", (None, None), None),
    ];
    each(cases.to_vec(), |(limit, flags, kind, release, bare_close)| {
        let flags = format!("--sandbox-limit {limit} {flags} --hold 1s");
        let found = probed(&flags);
        assert_eq!((&found["given"], met(&found, "kind")), (&json!(3), kind), "{flags}: {found:#}");
        let of = |which| (second(&found, which, "free_after_us"), second(&found, which, "taken_after_us"));
        assert_eq!(of("release"), release, "{flags}: {found:#}");
        assert_eq!(of("bare_close"), bare_close.unwrap_or_default(), "{flags}: {found:#}");
    });
}
