//! What is no comparison: one line on stderr, with the cure, and nothing is dialled.

use std::process::Command;

use crate::cli::process::{PASSWORD, end, mailconn};
use crate::protocol::scripted::Server;

fn compare<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    mailconn(["compare"].into_iter().chain(args))
}

#[test]
fn what_makes_no_sense_is_one_line_and_nothing_is_dialled() {
    let server = Server::start(|peer| peer.wait_for_close());
    let url = format!("imap://joe@{}", server.address);
    for (args, cure) in [
        (&["--rounds", "8"][..], "give at least 9"),
        (&["--rounds", "5000"], "give at most"),
        (&["--rounds", "7", "--variant", "use-main", "--variant", "use-default"], "give at least 8"),
        (&["--variant", "use-main"], "give another --variant"),
        (&["--mode", "use-main"], "name each with --variant"),
        (&["--variant", "use-nothing", "--variant", "use-main"], "use-nothing"),
        (&["--variant", "use-main -x", "--variant", "use-main"], "-x"),
        (&["--variant", "use-main --server imap://ann@h", "--variant", "use-main"], "--server"),
        (&["--variant", "use-main --seed 3", "--variant", "use-main"], "--seed"),
        (&["--variant", "use-main 'x", "--variant", "use-main"], "a quote is not closed"),
        (&["--variant", "a=use-main", "--variant", "a=use-default"], "two are called a"),
        (&["--variant", "a b.c=use-main", "--variant", "use-default"], "a b.c=use-main"),
        (&["--variant", "b.c=use-main", "--variant", "use-default"], "letters, digits"),
        (&["--variant", "use-default=use-main", "--variant", "use-default"], "give it another name"),
        (&["--variant", "use-main --mode use-default", "--variant", "use-main"], "leave --mode out"),
        (&["--variant", "use-main --default-for w9", "--variant", "use-default"], "w9"),
        (&["--variant", "use-main --rtt 3ms", "--variant", "use-default"], "names a real server"),
        (&["--default-for", "all"], "--default-for"),
        (&["--reference", "nobody"], "there are use-main, use-default, use-main-or-default"),
        (&["--metric", "nonsense"], "--metric"),
        (&["--metric", "operations.asked"], "--metric"),
        (&["--noise", "3"], "write 3% or 0.03"),
        (&["--noise=-1%"], "--noise"),
        (&["--for", "0s"], "longer than 0"),
        (&["--for", "45s", "--pace", "0s"], "a warm-up and the 9 rounds that it takes need 1m at least"),
        (&["--for", "1m", "--pace", "3s", "-n", "1"], "need 1m 27s at least"),
        (&["--for", "3s", "--pace", "0s", "-n", "5", "--pause", "100ms"], "need 12s at least"),
        (
            &["-n", "5", "--metric", "service.p99"],
            "service.p99 needs 100 operations in a run, and a run of use-main has 20",
        ),
        (&["-n", "5", "--metric", "operation[noop].wait.p99.9"], "needs 1000 operations"),
        (&["-n", "50", "--metric", "dial.p95"], "dial.p95 needs 20 dials in a run, and a run of use-main has 1;"),
        (&["-n", "5", "--fail-if", "use-default.service.p99 > 1s"], "a run of use-default has 20"),
        (&["--fail-if", "ratio(use-main) < 1.5"], "use-main is the reference"),
        (&["--fail-if", "ratio(use-default) = 1.5"], "write ratio(VARIANT) OPERATOR NUMBER"),
        (&["--pace", "often"], "a number and a unit"),
        (&["--fail-if", "nonsense"], "--fail-if"),
        (&["--fail-if", "service.p95 > 1s"], "there is no variant"),
        (&["--fail-if", "nobody.service.p95 > 1s"], "nobody"),
        (&["--fail-if", "verdict(use-main) = same"], "use-main is the reference"),
        (&["--ops", "append"], "--allow-writes"),
        (&["-o", "/no/such/directory/file"], "there is no directory"),
    ] {
        let ended = end(compare(args.iter().copied().chain(["--server", &url])).env("MAILCONN_PASSWORD", PASSWORD));
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(cure) && ended.stderr.lines().count() == 1, "{args:?}: {}", ended.stderr);
    }
    assert_eq!(server.accepted(), 0);
}

/// As `mailconn limits` does.
#[test]
fn a_provider_that_blocks_what_looks_unusual_is_left_alone_without_yes() {
    let zoho = ["--server", "imaps://joe@imap.zoho.eu"];
    let ended = end(&mut compare(zoho));
    assert_eq!((ended.code, ended.stderr.lines().count()), (2, 1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("Zoho is known to block accounts") && ended.stderr.contains("add --yes"),
        "{}",
        ended.stderr
    );
    let ended = end(&mut compare(zoho.into_iter().chain(["--yes"])));
    assert!(ended.code == 2 && ended.stderr.contains("no password"), "{}", ended.stderr);
    let ended = end(&mut compare(["--server", "imaps://joe@imap.example.org"]));
    assert!(!ended.stderr.contains("--yes"), "{}", ended.stderr);
}

#[test]
fn a_password_in_a_variant_is_not_repeated() {
    let ended = end(&mut compare(["--variant", "use-main --server imap://joe:secret@h", "--variant", "use-main"]));
    assert_eq!(ended.code, 2);
    assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
}

#[test]
fn its_help_begins_with_the_question_and_has_examples() {
    let ended = end(&mut compare(["--help"]));
    let help = ended.stdout.lines().skip_while(|line| !line.is_empty()).nth(1).unwrap();
    assert!(help.starts_with("Which mode should I use?"), "{}", ended.stdout);
    for part in ["Examples:", "--variant <RUN>", "--rtt <TIME>", "--threads <N>", "--require-decision", "Exit codes:"] {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
}

/// What a figure means depends on the distance, so it stands beside the server.
#[test]
fn the_headings_name_the_distance() {
    let small = "-n 1 -t 1 --rounds 8 --variant use-main --rtt 5ms";
    let same = end(&mut compare(small.split(' ').chain(["--variant", "use-default"])));
    assert!(same.stdout.contains("\n\nsandbox (rtt 5.00 ms), 2 variants in 8 rounds"), "{}", same.stdout);
    let own = end(&mut compare(small.split(' ').chain(["--variant", "use-default --rtt 6ms"])));
    assert!(own.stdout.contains("\n\nsandbox, 2 variants in 8 rounds"), "each has its own: {}", own.stdout);
    let few = "did 1 operation in a run: too few for its rate";
    let own = own.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(own.contains(few), "{own}");
    let enough = end(&mut compare("-n 10 -t 1 --rounds 8 --variant use-main --variant use-default".split(' ')));
    assert!(!enough.stdout.contains("too few for its rate"), "{}", enough.stdout);
    let check = end(&mut mailconn(["check", "sandbox", "--rtt", "5ms"]));
    let heading = check.stdout.lines().next().unwrap();
    assert!(heading.starts_with("check sandbox (imap://") && heading.ends_with(", rtt 5ms)"), "{heading}");
}
