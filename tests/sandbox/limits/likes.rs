//! The words of servers and providers, heard by mailconn: a limit is called one in each protocol, at each stage.

use crate::cli::process::{Ended, failures, list, run};
use crate::support::tool::doubts;

const OF_EXCHANGE: &str = "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more \
                           information. [Hostname=OS0PR01MB6099.jpnprd01.prod.outlook.com]";

/// What each one says: its name, the protocol, a limit, the word and stage of the failure, the line.
const SAID: &[(&str, &str, &str, &str, &str)] = &[
    ("courier", "imap", "address=2@accept", "limit-connections at greeting", ""),
    ("courier", "smtp", "address=2@accept", "limit-connections at greeting", ""),
    ("courier", "pop3", "address=2@accept", "limit-connections at greeting", ""),
    ("cyrus", "imap", "user=2", "limit-connections at auth", "NO Too many open connections (3 of 2 for sandbox)"),
    (
        "cyrus",
        "imap",
        "address=2@sign-in",
        "limit-connections at auth",
        "NO Too many open connections (3 of 2 from 127.0.0.1)",
    ),
    ("cyrus", "pop3", "user=2", "limit-connections at auth", "-ERR Too many open connections (3 of 2 for sandbox)"),
    ("cyrus", "pop3", "user=1/5m", "limit-rate at auth", "-ERR [LOGIN-DELAY] Logins must be at least 5 minutes apart"),
    (
        "dovecot",
        "imap",
        "user+address=2",
        "limit-connections at auth",
        "NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=2)",
    ),
    (
        "dovecot",
        "smtp",
        "user+address=2",
        "limit-connections at auth",
        "421 4.7.0 Maximum number of connections from user+IP exceeded (mail_max_userip_connections=2)",
    ),
    (
        "dovecot",
        "pop3",
        "user+address=2",
        "limit-connections at auth",
        "-ERR [IN-USE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=2)",
    ),
    (
        "exim",
        "smtp",
        "total=2",
        "limit-connections at greeting",
        "421 Too many concurrent SMTP connections; please try again later.",
    ),
    (
        "exim",
        "smtp",
        "address=2",
        "limit-connections at greeting",
        "421 Too many concurrent SMTP connections from this IP address; please try again later.",
    ),
    ("gmail", "imap", "user=2", "limit-connections at auth", "NO [ALERT] Too many simultaneous connections. (Failure)"),
    // They do not say whose connections it counts.
    (
        "gmail",
        "imap",
        "user+address=2",
        "limit-connections at auth",
        "NO [ALERT] Too many simultaneous connections. (Failure)",
    ),
    (
        "gmail",
        "imap",
        "address=2",
        "limit-connections at greeting",
        "* BYE [ALERT] Too many simultaneous connections. (Failure)",
    ),
    (
        "gmail",
        "imap",
        "user=2/60s@after",
        "limit-rate at operation",
        "NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)",
    ),
    (
        "gmail",
        "smtp",
        "user=2/60s",
        "limit-rate at auth",
        "454 4.7.0 Too many login attempts, please try again later. l204sm333464qhl.34 - gsmtp",
    ),
    (
        "mox",
        "imap",
        "address=2",
        "limit-connections at greeting",
        "* BYE too many open connections from your ip or network",
    ),
    (
        "mox",
        "imap",
        "address=2/60s",
        "limit-rate at greeting",
        "* BYE connection rate from your ip or network too high, slow down please",
    ),
    (
        "mox",
        "smtp",
        "address=2",
        "limit-connections at greeting",
        "421 4.7.0 too many open connections from your ip or network",
    ),
    (
        "mox",
        "smtp",
        "address=2/60s",
        "limit-rate at greeting",
        "421 4.7.0 connection rate from your ip or network too high, slow down please",
    ),
    (
        "outlook",
        "imap",
        "user=2@after",
        "limit-connections at operation",
        "BAD User is authenticated but not connected.",
    ),
    ("outlook", "smtp", "user=2", "limit-connections at auth", OF_EXCHANGE),
    ("outlook", "smtp", "user=2@after", "limit-connections at operation", OF_EXCHANGE),
    (
        "outlook",
        "smtp",
        "total=2",
        "limit-connections at greeting",
        "421 4.3.2 The maximum number of concurrent server connections has exceeded a limit, closing transmission channel",
    ),
    (
        "postfix",
        "smtp",
        "address=2",
        "limit-connections at greeting",
        "421 4.7.0 localhost Error: too many connections from 127.0.0.1",
    ),
    // It has the same words for both.
    (
        "postfix",
        "smtp",
        "address=2/60s",
        "limit-connections at greeting",
        "421 4.7.0 localhost Error: too many connections from 127.0.0.1",
    ),
    ("yahoo", "imap", "user=2/60s", "limit-rate at auth", "NO [LIMIT] AUTHENTICATE Rate limit hit."),
    ("yahoo", "imap", "user=2/60s@after", "limit-rate at operation", "NO [LIMIT] NOOP Rate limit hit."),
];

/// Each thread has a connection of its own.
fn run_on(protocol: &str, flags: &str) -> Ended {
    run(&format!("--server sandbox+{protocol} --sandbox-maildrops shared --mode use-default --ops noop {flags}"))
}

/// The word and the stage that the last of three connections meets, and the server's line.
fn refusal(protocol: &str, flags: &str) -> (String, String) {
    let ended = run_on(protocol, &format!("-t 3 -n 1 {flags} --format json"));
    let report = ended.json();
    let failures: Vec<_> = failures(&report).into_keys().filter(|failure| !failure.ends_with(" at wait")).collect();
    assert_eq!((ended.code, failures.len()), (6, 1), "{protocol} {flags}: {report:#}");
    (failures[0].clone(), list(&report["failures"])[0]["server_line"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn each_one_is_heard_in_its_own_words() {
    for &(like, protocol, limit, word, line) in SAID {
        let (failure, heard) = refusal(protocol, &format!("--sandbox-like {like} --sandbox-limit {limit}"));
        assert_eq!((&*failure, &*heard), (word, line), "{like} {protocol} {limit}");
    }
}

/// The short form counts as that server does, and refuses in its words where it would.
#[test]
fn the_short_form_keeps_the_words() {
    for (like, protocol, word, line) in [
        ("courier", "pop3", "limit-connections at greeting", ""),
        ("cyrus", "imap", "limit-connections at auth", "NO Too many open connections (3 of 2 for sandbox)"),
        (
            "exim",
            "smtp",
            "limit-connections at greeting",
            "421 Too many concurrent SMTP connections; please try again later.",
        ),
        ("gmail", "imap", "limit-connections at auth", "NO [ALERT] Too many simultaneous connections. (Failure)"),
        ("mox", "imap", "limit-connections at greeting", "* BYE too many open connections from your ip or network"),
        ("outlook", "imap", "limit-connections at operation", "BAD User is authenticated but not connected."),
        ("outlook", "smtp", "limit-connections at operation", OF_EXCHANGE),
        // Nothing is known of these: they are the sandbox's own.
        (
            "gmail",
            "smtp",
            "limit-connections at greeting",
            "421 4.7.0 localhost Error: too many connections from 127.0.0.1",
        ),
        (
            "yahoo",
            "imap",
            "limit-connections at auth",
            "NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=2)",
        ),
    ] {
        let (failure, heard) = refusal(protocol, &format!("--sandbox-like {like} --sandbox-connections 2"));
        assert_eq!((&*failure, &*heard), (word, line), "{like} {protocol}");
    }
}

#[test]
fn a_throttle_of_exchange_says_how_long_to_wait() {
    let (failure, line) = refusal("imap", "--sandbox-like outlook --sandbox-limit user=2/60s@after");
    assert_eq!(failure, "limit-rate at operation");
    let wait = line.strip_prefix("BAD Request is throttled. Suggested Backoff Time: ").unwrap();
    let wait: u64 = wait.strip_suffix(" milliseconds").unwrap().parse().unwrap();
    assert!((30_000..=60_000).contains(&wait), "{line}");
}

#[test]
fn the_sandbox_s_own_words_are_of_a_limit_at_each_stage() {
    let scopes = [
        ("user", "of this user"),
        ("address", "from this address"),
        ("user+address", "of this user from this address"),
        ("total", ""),
    ];
    for protocol in ["imap", "smtp", "pop3"] {
        for (scope, whose) in scopes {
            for (stage, at) in [("greeting", "greeting"), ("sign-in", "auth"), ("after", "operation")] {
                if scope.starts_with("user") && stage == "greeting" {
                    continue;
                }
                for (window, word) in [("", "limit-connections"), ("/60s", "limit-rate")] {
                    let limit = format!("{scope}=2{window}@{stage}");
                    let (failure, line) = refusal(protocol, &format!("--sandbox-limit {limit}"));
                    assert_eq!(failure, format!("{word} at {at}"), "{protocol} {limit}: {line}");
                    let is_another_s =
                        line.contains("mail_max_userip_connections=2") || line.contains("from 127.0.0.1");
                    assert!(line.contains(whose) || is_another_s, "{protocol} {limit}: {line}");
                }
            }
        }
    }
}

#[test]
fn without_a_limit_of_its_own_it_keeps_the_documented_one() {
    for (like, protocol, most) in [
        ("courier", "imap", 4),
        ("courier", "smtp", 5),
        ("dovecot", "pop3", 10),
        ("exim", "smtp", 20),
        ("gmail", "imap", 15),
        ("mox", "imap", 30),
        ("outlook", "imap", 16),
        ("outlook", "smtp", 3),
        ("postfix", "smtp", 50),
    ] {
        let ended = run_on(protocol, &format!("--sandbox-like {like} -t {} -n 1 --format json", most + 2));
        let report = ended.json();
        assert_eq!((ended.code, &report["operations"]["ok"]), (6, &most.into()), "{like} {protocol}: {report:#}");
    }
}

#[test]
fn whoever_was_the_oldest_hears_why_and_the_file_of_the_run_is_sound() {
    for (protocol, like, words) in [
        ("imap", "", "* BYE [LIMIT] Too many connections: the oldest is ended."),
        ("imap", "--sandbox-like gmail", "* BYE [ALERT] Too many simultaneous connections. (Failure)"),
        ("smtp", "", "421 4.7.0 localhost Error: too many connections: the oldest is ended"),
        ("pop3", "", "-ERR [IN-USE] Too many connections: the oldest is ended."),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.ndjson");
        let args = format!("-t 3 -n 2 --pause 500ms --sandbox-limit user=2,oldest {like} --format ndjson");
        let ended = run_on(protocol, &format!("{args} -o {}", file.display()));
        assert_eq!(ended.code, 6, "{protocol}: {}", ended.stderr);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(words) && text.contains("\"limit-connections\""), "{text}");
        assert_eq!(doubts(text.as_bytes()), [""; 0]);
    }
}
