use std::time::{Duration, Instant};

use mailconn::protocol::FailureKind::{
    AuthInvalid, AuthPolicy, AuthRefused, LimitConnections, LimitRate, ServerNo, ServerUnavailable,
};
use mailconn::protocol::Stage::{Auth, Greeting, Operation};
use mailconn::protocol::{FailureKind, Stage, printable, refusal, refusal_of, stated_wait};

#[test]
fn a_maildrop_with_another_owner_is_a_limit_in_every_servers_words_horms_perdition_4() {
    for line in [
        "-ERR [IN-USE] Unable to lock maildrop: Mailbox is locked by POP server",
        "-ERR [IN-USE] mailbox already in use by pid 12345",
        "-ERR [IN-USE] Couldn't open INBOX: Timeout while waiting for lock",
        "-ERR [IN-USE] Mailbox Locked",
        "-ERR [IN-USE] /var/spool/pop/.joe.pop lock busy!  Is another session active? (11)",
        "-ERR Maildrop already locked",
        "-ERR maildrop already locked",
        "-ERR unable to lock maildrop",
        "-ERR unable to lock mailbox",
        "-ERR Your mailbox is already locked",
        "-ERR [IN-USE] Mailbox is already locked. POP access denied",
        "-ERR [IN-USE] Mailbox is locked by another POP3 session.",
        "-ERR Maildrop lock busy!  Is another session active?",
    ] {
        let failure = refusal(line.as_bytes(), Auth);
        assert_eq!(failure.kind, LimitConnections, "{line}");
        assert!(failure.message.contains("one owner at a time"), "{failure}");
    }
    // Dovecot has one code for both.
    let many = b"-ERR [IN-USE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)";
    assert!(!refusal(many, Auth).message.contains("owner"));
}

#[test]
fn what_to_do_fits_where_it_was_said() {
    for (line, stage, said) in [
        ("554 5.7.1 No SMTP service here", Greeting, "does not serve us"),
        ("550 5.1.1 no such user", Operation, "the connection goes on"),
        ("-ERR some deleted messages not removed", Stage::Logout, "when the session was signed out"),
        ("454 4.7.0 Temporary authentication failure", Auth, "not for the password"),
        ("530 5.7.0 Authentication required", Operation, "wants TLS or a sign-in"),
        ("421 4.4.2 Idle timeout", Operation, "ended the session"),
    ] {
        let failure = refusal(line.as_bytes(), stage);
        assert!(failure.message.contains(said), "{failure}");
        assert_eq!(failure.message.contains("goes on"), said.contains("goes on"), "{failure}");
    }
}

/// Each distinct refusal with its source: a thread, a server's code or its documentation, or what it was written to show.
#[test]
fn every_refusal_of_the_list_means_what_it_says() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for row in include_str!("refusals.tsv").lines().skip(1) {
        let [source, _, stage, line, word] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let stage = Stage::ALL.into_iter().find(|it| it.name() == stage).unwrap_or_else(|| panic!("{row}"));
        assert!(!source.is_empty(), "{row}");
        let failure = refusal(line.as_bytes(), stage);
        if failure.kind.name() != word {
            wrong.push(format!("{} at {stage}, not {word}: {line}", failure.kind));
        }
        if failure.kind != AuthInvalid {
            assert!(!failure.message.contains("check both"), "no wrong password: {failure}");
        }
        checked += 1;
    }
    assert!(checked > 400, "{checked}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn spelling_makes_no_difference() {
    for line in [
        "NO rate limit exceeded",
        "NO Rate-Limit exceeded",
        "NO rate_limit exceeded",
        "NO RATELIMIT EXCEEDED",
        "NO Rate limits exceeded",
        "NO you are rate-limited",
        "NO RateLimitExceeded",
        "NO [AUTHENTICATIONFAILED] Temporary authentication failure (rate-limit)",
    ] {
        assert_eq!(refusal(line.as_bytes(), Auth).kind, LimitRate, "{line}");
    }
    // What anybody may have chosen is no word.
    for line in [
        "535 5.7.8 rate-limit.example.org: authentication failed",
        "535 5.7.8 <rate-limit@example.org>: authentication failed",
        "535 5.7.8 authentication failed, see https://example.org/rate-limit",
    ] {
        assert_eq!(refusal(line.as_bytes(), Auth).kind, AuthInvalid, "{line}");
    }
}

#[test]
fn causes_to_choose_from_are_none_and_are_named() {
    for (line, causes) in [
        (
            "NO Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited, or \
             system is busy. More information at https://help.example/",
            "what the account may do, the user or the password, a limit, trouble of its own",
        ),
        (
            "NO [AUTHENTICATIONFAILED] LOGIN Invalid credentials or IMAP is disabled",
            "the user or the password, what the",
        ),
        ("NO Possible causes: wrong password, account locked", "the user or the password, what the account may do"),
        ("-ERR [AUTH] Wrong password or too many attempts", "the user or the password, a limit"),
        (
            "NO account is abnormal, service is not open, password is incorrect, login frequency limited",
            "what the account may do, the user or the password, a limit",
        ),
        ("NO wrong password/account locked", "the user or the password, what the account may do"),
        ("NO wrong password; account locked", "the user or the password, what the account may do"),
        ("NO incorrect password and/or account locked", "the user or the password, what the account may do"),
        ("NO incorrect password (or account locked)", "the user or the password, what the account may do"),
        (
            "NO 帐号异常、服务未开启、密码错误或登录频率限制",
            "what the account may do, the user or the password, a limit",
        ),
        ("535 5.7.8 unknown user, or the account is locked", "the user or the password, what the account may do"),
    ] {
        let failure = refusal(line.as_bytes(), Auth);
        assert_eq!(failure.kind, AuthRefused, "{failure}");
        assert!(failure.message.contains("does not say which"), "{failure}");
        assert!(failure.message.contains(causes), "{failure}");
    }
    // One cause said in several words, and one that follows from the other.
    for (line, kind) in [
        ("NO Incorrect username, password or access token.", AuthInvalid),
        ("-ERR Invalid login or password", AuthInvalid),
        ("NO Account locked or suspended", AuthPolicy),
        ("NO Too many login failures, try again", LimitRate),
        ("NO Too many login failures, account locked, try again in 15 minutes", LimitRate),
        ("NO authentication failed: password incorrect", AuthInvalid),
        ("NO invalid credentials, see https://example.org/account/locked/policy", AuthInvalid),
        ("NO bad user/pass", AuthInvalid),
        ("NO Too many IMAP/POP3 login attempts, account locked", LimitRate),
        ("NO Too many failed attempts, your account is locked", LimitRate),
        ("NO LOGIN failed. Your account is disabled. Reset your password or contact us.", AuthPolicy),
        ("535 Error: authentication failed, system busy", ServerUnavailable),
    ] {
        assert_eq!(refusal(line.as_bytes(), Auth).kind, kind, "{line}");
    }
}

#[test]
fn a_stated_wait_is_read_whatever_its_unit() {
    for (line, seconds, shown) in [
        ("NO Too many login failures, try again in 15 minutes", 900.0, "15 min"),
        ("NO Too many login failures; wait 900 seconds", 900.0, "900 s"),
        ("NO rate limit, retry in 90s", 90.0, "90 s"),
        ("NO rate limit, retry after 2 hours", 7200.0, "2 h"),
        ("NO account locked for an hour, come back later", 3600.0, "1 h"),
        ("BAD Request is throttled. Suggested Backoff Time: 43000 milliseconds", 43.0, "43000 ms"),
        ("450 4.2.0 <a@b.org>: Recipient address rejected: Greylisted; try again in 00:04:59", 299.0, "4 min 59 s"),
        ("451 4.7.1 Greylisting in action, please come back in 5min", 300.0, "5 min"),
        ("450 4.2.0 <a@b.org>: Recipient address: Greylisted for 300 seconds", 300.0, "300 s"),
        ("NO Retry-After: 120", 120.0, "120 s"),
        ("NO Please wait 1.5 minutes", 90.0, "1.5 min"),
        ("-ERR [LOGIN-DELAY] Logins must be at least 5 minutes apart", 300.0, "5 min"),
        ("-ERR login allowed only every 15 minutes", 900.0, "15 min"),
        ("NO try again in 1 day", 86400.0, "1 d"),
        ("NO Too many logins, try again in 1,800 seconds", 1800.0, "1800 s"),
        ("NO rate limit, try again in 1 hour 30 minutes", 5400.0, "1 h 30 min"),
        ("NO rate limit, try again in 5 minutes and 30 seconds", 330.0, "5 min 30 s"),
        ("NO rate limit, try again in 1 h, 5 min", 3900.0, "1 h 5 min"),
        ("NO rate limit, try again in 5m30s", 330.0, "5 min 30 s"),
        ("NO rate limit, try again in half an hour", 1800.0, "30 min"),
        ("NO rate limit, try again in forty-five minutes", 2700.0, "45 min"),
        ("NO rate limit, try again in 2 weeks", 1_209_600.0, "2 weeks"),
        ("NO rate limit, retry after PT15M", 900.0, "15 min"),
        ("NO rate limit, retry after PT1H30M", 5400.0, "1 h 30 min"),
        ("NO rate limit, bitte warten Sie 300 Sekunden", 300.0, "300 s"),
        ("NO rate limit, bitte in 300 Sekunden erneut versuchen", 300.0, "300 s"),
        ("NO rate limit, повторите через 15 мин", 900.0, "15 min"),
        ("NO 登录过于频繁,请15分钟后再试", 900.0, "15 min"),
        ("NO 登录过于频繁,15分钟后重试", 900.0, "15 min"),
        ("NO Too many logins, blocked for 10 minutes", 600.0, "10 min"),
        ("NO Too many logins: your address is banned for the next 10 minutes", 600.0, "10 min"),
        ("NO Too many logins, you are locked out for 1 hour", 3600.0, "1 h"),
        ("NO Too many logins, account locked due to too many failures for 15 minutes", 900.0, "15 min"),
        ("NO Too many logins, account is locked out (15 minutes)", 900.0, "15 min"),
        ("NO Too many logins, please hold off for 5 minutes", 300.0, "5 min"),
        ("NO Too many logins, next attempt in 30 seconds", 30.0, "30 s"),
        ("NO Too many logins, für 15 Minuten gesperrt", 900.0, "15 min"),
        ("NO Too many logins, gesperrt für 15 Minuten", 900.0, "15 min"),
        ("NO Too many logins; next login allowed after 5 minutes", 300.0, "5 min"),
        ("NO Too many logins (try again in approx. 5 minutes)", 300.0, "5 min"),
        ("NO Too many logins; idle sessions end after 10 minutes; wait 2 minutes", 120.0, "2 min"),
        ("NO Too many logins. Try again in 2 minutes. Sessions end after 10 minutes.", 120.0, "2 min"),
        ("NO Too many logins, wait 2 minutes; idle sessions end after 10 minutes", 120.0, "2 min"),
        ("NO Too many logins, wait 2 minutes. Idle sessions end after 10 minutes", 120.0, "2 min"),
        ("NO 登录过于频繁,请等待15分钟", 900.0, "15 min"),
        ("NO [LIMIT] Too many logins, please wait at least 30 seconds between logins", 30.0, "30 s"),
    ] {
        let wait = stated_wait(line).unwrap_or_else(|| panic!("{line}"));
        assert_eq!((wait.duration.as_secs_f64(), wait.shown.as_str()), (seconds, shown), "{line}");
        for stage in [Auth, Operation] {
            let failure = refusal(line.as_bytes(), stage);
            assert!(failure.message.contains(&format!("wait {shown}")), "{failure}");
        }
    }
    for line in [
        "NO Mailbox doesn't exist: x (0.001 + 0.000 secs).",
        "-ERR Exceeded the login limit for a 15 minute period. Reduce the frequency of requests",
        "550 You have sent 100 messages per 1 hour",
        "NO too many attempts in the last 15 minutes",
        "NO try again later",
        "NO too many logins, account locked until 14:30:00 UTC",
        "NO too many logins, blocked until 2026-11-28 15:00:00",
        "NO too many logins, try again after 14:30:00 UTC",
        "421 4.7.0 Try again later. a7d85f3m20s 98m5dpjb",
        "NO Too many attempts in 5 minutes, try again later",
        "NO wait 99999999999999999999999 days",
        "NO [LIMIT] Too many simultaneous logins; idle sessions end after 10 minutes",
        "NO Too many connections. Please try again later. Idle sessions are closed after 30 minutes",
        "NO Too many connections, please wait; unused ones are dropped after 10 minutes",
        "NO Too many connections, please wait for an idle session to end after 10 minutes",
        "NO Too many connections, try again later (they time out after 30 minutes)",
        "NO Too many connections, retry; sessions expire in 10 minutes",
        "NO Too many connections, each is disconnected after 30 minutes of inactivity",
        "NO Zu viele Verbindungen, inaktive Sitzungen enden nach 10 Minuten",
        "NO Too many connections, сессии закрываются через 10 минут",
        "NO 连接过多,空闲会话10分钟后结束",
        "NO 连接过多,请注意空闲会话10分钟后结束",
        "NO Blocked: 5 failures in 10 minutes",
        "NO account disabled after 90 days",
        "NO Password must be at least 2 days old",
        "NO The longest session is 30 minutes",
        "NO Too many connections, retry after 2026-11-29T12:30:00Z",
        "NO Too many connections, retry after 2026-11-29 00:30:00",
        "NO Too many connections, retry after 20261129",
        "NO Too many connections, retry after 20261129T123000Z",
        "NO Too many connections, retry after 29 Nov 2026 12:30:00 +0000",
        "NO Too many connections (Retry-After: Sun, 29 Nov 2026 12:30:00 GMT)",
        "NO Too many connections (Retry-After: 29-Nov-26 12:30:00 GMT)",
        "NO Too many connections, retry after 30.11.2026",
        "NO Too many connections, retry after 30.11.",
        "NO Too many connections, retry after 11/30/2026",
        "NO Too many connections, retry after 30/11",
    ] {
        assert_eq!(stated_wait(line), None, "{line}");
    }
}

#[test]
fn what_the_command_carried_says_nothing() {
    let carried: Vec<String> =
        ["rate limit", "too many connections", "busy@example.org", "busy"].map(str::to_owned).into();
    for (line, stage, kind) in [
        ("a5 NO rate limit: not a mailbox of yours", Operation, ServerNo),
        ("a5 NO Cannot select \"Rate Limit\".", Operation, ServerNo),
        ("550 5.7.1 too many connections is nobody here", Operation, ServerNo),
        ("a1 NO busy may not", Auth, AuthRefused),
        ("535 5.7.8 busy@example.org: authentication failed", Auth, AuthInvalid),
        // As a part of other words it is nothing that was carried.
        ("a1 NO rate limited", Auth, LimitRate),
    ] {
        assert_eq!(refusal_of(line.as_bytes(), stage, &carried).kind, kind, "{line}");
    }
}

#[test]
fn a_failure_is_one_line_with_kind_stage_and_the_servers_own_words() {
    let failure = refusal(b"a1 NO [LIMIT] Too many connections", Auth);
    assert!(
        failure.to_string().starts_with("limit-connections at auth: NO [LIMIT] Too many connections; "),
        "{failure}"
    );
    assert_eq!(failure.server_line.as_deref(), Some("NO [LIMIT] Too many connections"));
    let failure = refusal(b"a9 BAD Request is throttled. Suggested Backoff Time: 43000 milliseconds", Operation);
    assert!(failure.message.contains("43000 ms"), "{}", failure.message);
}

#[test]
fn a_servers_line_cannot_write_to_the_terminal() {
    assert_eq!(
        printable(b"* BYE \x1b[2J\x07caf\xc3\xa9 \xff\xe2\x80\xae"),
        "* BYE \\u{1b}[2J\\u{7}café \\xff\\u{202e}"
    );
    assert_eq!(printable(&[b'x'; 9000]).chars().count(), 500);
}

#[test]
fn the_names_are_the_words_of_the_taxonomy() {
    let names: Vec<_> = FailureKind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(
        names.join(" "),
        "dns connect-refused connect-timeout connect-reset tls-handshake tls-certificate greeting auth-invalid \
         auth-policy auth-refused auth-unsupported server-unavailable limit-connections limit-rate server-no server-bad server-bye closed timeout protocol \
         wait-timeout refused disposed local-resources internal"
    );
    let names: Vec<_> = Stage::ALL.iter().map(|stage| stage.name()).collect();
    assert_eq!(names.join(" "), "resolve connect tls greeting auth wait operation logout");
}

#[test]
fn a_refusal_of_megabytes_is_judged_in_time() {
    let line = format!("554 {}", "account blocked or something else, ".repeat(100_000));
    let began = Instant::now();
    assert_eq!(refusal(line.as_bytes(), Operation).kind, ServerNo);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
