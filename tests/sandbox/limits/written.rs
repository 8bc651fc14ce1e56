//! Limits as they are written, in flags and in what is told of a run.

use std::net::TcpListener;
use std::time::Duration;

use mailconn::sandbox::{Limit, LimitStage, Options, Sandbox, Scope};

use crate::cli::process::{end, mailconn, run};

#[test]
fn a_limit_is_told_as_it_is_read() {
    for (written, told) in [
        ("user=7", "user=7@sign-in"),
        ("address=5", "address=5@greeting"),
        ("total=20@accept", "total=20@accept"),
        ("user+address=3@after", "user+address=3@after"),
        ("user=10/60s", "user=10/1m@sign-in"),
        ("smtp:address=10/90s@accept", "smtp:address=10/1m30s@accept"),
        ("user=7,oldest", "user=7@sign-in,oldest"),
        ("user=7,release=5s", "user=7@sign-in,release=5s"),
        ("user=7,bare-release=5s,oldest", "user=7@sign-in,oldest,bare-release=5s"),
        ("user=7,release=5s,bare-release=0s", "user=7@sign-in,release=5s,bare-release=0s"),
    ] {
        let limit: Limit = written.parse().unwrap();
        assert_eq!((limit.to_string(), limit.to_string().parse()), (told.to_owned(), Ok(limit)), "{written}");
    }
}

#[test]
fn what_is_no_limit_is_refused_in_one_line_that_says_the_cure() {
    const HOW: &str = "write a limit like user=7, address=5@accept or user=10/60s";
    for (written, why) in [
        ("", HOW),
        ("7", HOW),
        ("user", HOW),
        ("users=7", "what is counted is user, address, user+address or total"),
        ("user=many", "the number is a whole one"),
        ("user=-1", "the number is a whole one"),
        ("user=+3", "the number is a whole one, in digits"),
        ("user=0", "it lets nobody in; give at least 1"),
        ("total=0/60s", "it lets nobody in; give at least 1"),
        ("nntp:user=7", "the protocols are imap, smtp and pop3"),
        ("user=7@login", "the stages are accept, greeting, sign-in and after"),
        ("user=7/minute", "a time is a number and a unit"),
        ("user=7/9999999d", "of at most 366d"),
        ("user=7/0s", "a rate needs a time of at least 1ms"),
        ("user=7/1ns", "a rate needs a time of at least 1ms"),
        ("user=7,release=1ns", "a slot is kept taken for at least 1ms"),
        ("user=7,oldest,oldest", "oldest, release and bare-release stand there once each"),
        ("user=7,release=5s,release=6s", "stand there once each"),
        ("user=7,bare-release=5s,release=1s,bare-release=5s", "stand there once each"),
        ("user=7,newest", "behind the comma stands oldest, release=TIME or bare-release=TIME"),
        ("user=7@greeting", "the user is not known before the sign-in; count by address or total there"),
        ("user+address=7@accept", "the user is not known before the sign-in"),
        ("user=7/60s,oldest", "a rate ends no connection; leave oldest out"),
        ("user=7/60s,release=5s", "leave release and bare-release out"),
        ("user=0,oldest", "give at least 1"),
    ] {
        let bad = written.parse::<Limit>().unwrap_err().to_string();
        assert!(bad.contains(why) && !bad.contains('\n'), "{written}: {bad}");
        for flag in [["run", "--sandbox-limit"], ["sandbox", "--limit"]] {
            let ended = end(&mut mailconn(flag.iter().chain(&[written])));
            assert_eq!((ended.code, &*ended.stdout, ended.stderr.lines().count()), (2, "", 1), "{}", ended.stderr);
            assert!(ended.stderr.contains(why), "{}", ended.stderr);
        }
    }
}

#[test]
fn a_server_does_not_start_with_a_limit_that_it_cannot_keep() {
    let limit = Limit { stage: LimitStage::Accept, ..Limit::new(Scope::User, 7) };
    let none_in_no_time = Limit { within: Some(Duration::ZERO), ..Limit::new(Scope::Total, 7) };
    for (limit, why) in [(limit, "not known before the sign-in"), (none_in_no_time, "at least 1ms")] {
        let options = Options { limits: vec![limit], ..Options::default() };
        let refused = Sandbox::start(TcpListener::bind("127.0.0.1:0").unwrap(), options).err().unwrap();
        assert!(refused.to_string().contains(why), "{refused}");
    }
}

#[test]
fn flags_that_make_no_sense_are_refused_in_one_line() {
    const ALL: &str = "courier, cyrus, dovecot, exim, gmail, mox, outlook, postfix, yahoo";
    for (args, why) in [
        ("run --sandbox-like hotmail", ALL),
        ("sandbox --like hotmail", ALL),
        (
            "check imap://u@localhost --sandbox-like gmail",
            "--sandbox-like shapes the sandbox, but URL names a real server",
        ),
        ("check imap://u@localhost --sandbox-limit user=7", "--sandbox-limit shapes the sandbox, but URL names a real"),
        ("run --sandbox-connections 0", "--sandbox-connections 0 refuses every sign-in; give at least 1"),
        ("check sandbox+pop3 --sandbox-connections 0", "give at least 1"),
        ("sandbox --connections 0", "--connections 0 refuses every sign-in; give at least 1"),
        ("limits --sandbox-limit smtp:user=5", "--sandbox-limit smtp:user=5@sign-in is for another protocol than IMAP"),
        ("run --server sandbox+smtps --sandbox-limit imap:user=5", "for another protocol than SMTP"),
        ("check sandbox+pop3 --sandbox-limit imap:user=5", "for another protocol than POP3"),
        ("sandbox --listen imap --listen pop3s --limit smtp:total=5", "no listener speaks that protocol"),
    ] {
        let ended = end(&mut mailconn(args.split(' ')));
        assert_eq!((ended.code, &*ended.stdout, ended.stderr.lines().count()), (2, "", 1), "{args}: {}", ended.stderr);
        assert!(ended.stderr.contains(why), "{args}: {}", ended.stderr);
    }
}

/// Where its words are known, and what its limit is there.
#[test]
fn the_help_says_of_each_one_what_is_known_in_which_protocol() {
    for command in ["run --help", "limits --help", "sandbox --help"] {
        let help = end(&mut mailconn(command.split(' '))).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        for known in [
            "courier: IMAP, POP3: 4 from an address; SMTP: 5;",
            "dovecot: IMAP, SMTP, POP3: 10 of a user",
            "gmail: IMAP: 15 of a user; SMTP: no limit, its words for too many sign-ins; POP3: nothing",
            "outlook: Exchange Online. IMAP: 16 of a user (known are 16 to 20), SMTP: 3;",
            "yahoo: IMAP: no limit;",
        ] {
            assert!(help.contains(known), "{command}: {known}\n{help}");
        }
    }
}

#[test]
fn a_run_says_what_the_sandbox_was_like() {
    let sandbox = |args: &str| run(&format!("-n 1 --format json {args}")).json()["sandbox"].clone();
    let plain = serde_json::json!({"connections": null, "locks_maildrops": true, "latency_us": 0});
    assert_eq!(sandbox(""), plain);
    for (args, connections, limits, like) in [
        ("--sandbox-connections 3", Some(3), &[][..], None),
        (
            "--sandbox-limit user=9 --sandbox-limit imap:total=5",
            None,
            &["user=9@sign-in", "imap:total=5@greeting"],
            None,
        ),
        ("--sandbox-like gmail", None, &["imap:user=15@sign-in"], Some("gmail")),
        ("--sandbox-like gmail --sandbox-limit user=3", None, &["user=3@sign-in"], Some("gmail")),
        ("--sandbox-like gmail --sandbox-connections 3", Some(3), &[], Some("gmail")),
        ("--sandbox-like yahoo", None, &[], Some("yahoo")),
    ] {
        let mut due = plain.clone();
        due["connections"] = connections.into();
        if !limits.is_empty() {
            due["limits"] = limits.into();
        }
        if let Some(like) = like {
            due["like"] = like.into();
        }
        assert_eq!(sandbox(args), due, "{args}");
    }
}
