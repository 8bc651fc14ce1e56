use std::time::{Duration, Instant};

use mailconn::protocol::FailureKind::{
    AuthInvalid, AuthPolicy, AuthRefused, AuthUnsupported, LimitConnections, LimitRate, ServerBad, ServerBye, ServerNo,
    ServerUnavailable,
};
use mailconn::protocol::Stage::{Auth, Greeting, Operation};
use mailconn::protocol::{FailureKind, Stage, printable, refusal, refusal_of, stated_wait};

#[test]
fn real_servers_refusals_mean_what_they_say() {
    let table: &[(&str, Stage, FailureKind)] = &[
        // Dovecot; shown as a wrong password in thunderbird-android#1694.
        (
            "a1 NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
            Auth,
            LimitConnections,
        ),
        ("* BYE [LIMIT] Too many connections", Greeting, LimitConnections),
        // Gmail: imapsync/imapsync#61, MailCore/mailcore2#587.
        ("a3 NO [ALERT] Too many simultaneous connections. (Failure)", Auth, LimitConnections),
        ("* BYE [ALERT] Too many simultaneous connections. (Failure)", Operation, LimitConnections),
        // Exchange Online: node-imap#523.
        ("a3 BAD User is authenticated but not connected.", Operation, LimitConnections),
        ("a9 BAD Request is throttled. Suggested Backoff Time: 43000 milliseconds", Operation, LimitRate),
        ("a2 NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)", Operation, LimitRate),
        ("* BYE Disconnected: Connection queue full", Greeting, LimitConnections),
        ("a1 NO [UNAVAILABLE] Temporary authentication failure. [mx:2026-11-22]", Auth, ServerUnavailable),
        ("a1 NO [AUTHENTICATIONFAILED] Authentication failed.", Auth, AuthInvalid),
        ("a1 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", Auth, AuthInvalid),
        ("a1 NO [ALERT] Application-specific password required", Auth, AuthPolicy),
        ("* BYE [AUTHENTICATIONFAILED] go away", Auth, AuthInvalid),
        ("a1 NO LOGIN failed.", Auth, AuthRefused),
        ("a1 NO [PRIVACYREQUIRED] Plaintext authentication disallowed", Auth, AuthUnsupported),
        ("a1 BAD Error in IMAP command", Auth, ServerBad),
        ("a4 NO [INUSE] Mailbox in use", Operation, ServerNo),
        ("a4 NO [LIMIT] Too many flags", Operation, ServerNo),
        ("a4 NO [NONEXISTENT] Unknown Mailbox", Operation, ServerNo),
        ("a4 BAD Error in IMAP command", Operation, ServerBad),
        ("* BYE Server shutting down.", Operation, ServerBye),
    ];
    mean(table);
}

#[track_caller]
fn mean(table: &[(&str, Stage, FailureKind)]) {
    for (line, stage, kind) in table {
        let failure = refusal(line.as_bytes(), *stage);
        assert_eq!(failure.kind, *kind, "{line}");
        let is_limit = matches!(kind, LimitConnections | LimitRate);
        assert!(!is_limit || !failure.message.contains("check both"), "a limit is no wrong password: {failure}");
    }
}

#[test]
fn limits_of_smtp_servers_are_limits_simple_java_mail_387() {
    mean(&[
        // Postfix: smtpd_client_connection_count_limit and its kin.
        ("421 4.7.0 mx.example.org Error: too many connections from 192.0.2.1", Greeting, LimitConnections),
        ("450 4.7.1 Error: too much mail from 192.0.2.1", Operation, LimitRate),
        ("450 4.7.1 Error: too many recipients from 192.0.2.1", Operation, LimitRate),
        ("450 4.7.0 Error: too many AUTH commands from 192.0.2.1", Auth, LimitRate),
        ("421 4.7.0 mx.example.org Error: too many errors", Operation, LimitRate),
        // Exim: in2code-de/luxletter#247.
        ("421 Too many concurrent SMTP connections; please try again later.", Greeting, LimitConnections),
        (
            "421 mx.example.org: Too many concurrent SMTP connections; please try again later.",
            Greeting,
            LimitConnections,
        ),
        // Exchange Online: nodemailer/nodemailer#1613, sabuhish/fastapi-mail#75.
        (
            "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more \
             information. [Hostname=OS0PR01MB6099.jpnprd01.prod.outlook.com]",
            Operation,
            LimitConnections,
        ),
        ("432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", Operation, LimitConnections),
        ("432 4.3.2 Concurrent connections limit exceeded", Auth, LimitConnections),
        (
            "421 4.3.2 The maximum number of concurrent server connections has exceeded a limit, closing transmission \
             channel",
            Greeting,
            LimitConnections,
        ),
        ("421 4.4.2 Message submission rate for this client has exceeded the configured limit", Operation, LimitRate),
        ("554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed", Operation, LimitRate),
        // Gmail.
        ("421 4.7.0 Too many login attempts, please try again later.", Auth, LimitRate),
        ("454 4.7.0 Too many login attempts, please try again later. gsmtp", Auth, LimitRate),
        (
            "421 4.7.28 Our system has detected an unusual rate of unsolicited mail originating from your IP address.",
            Operation,
            LimitRate,
        ),
        ("550 5.4.5 Daily user sending limit exceeded. For more information on Gmail", Operation, LimitRate),
        (
            "450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages",
            Operation,
            LimitRate,
        ),
        // Yahoo.
        (
            "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints",
            Greeting,
            LimitRate,
        ),
        // Dovecot's submission service.
        (
            "421 4.7.0 Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
            Auth,
            LimitConnections,
        ),
        // Stalwart, of a sender and of a recipient.
        ("451 4.4.5 Rate limit exceeded, try again later.", Operation, LimitRate),
        ("452 4.4.5 Rate limit exceeded, try again later.", Operation, LimitRate),
        ("421 4.3.0 Too many authentication errors, disconnecting.", Auth, LimitRate),
        // Sendmail.
        ("421 4.4.5 Too many SMTP sessions for this host", Greeting, LimitConnections),
    ]);
}

#[test]
fn sign_ins_that_smtp_servers_refuse_mean_what_they_say() {
    mean(&[
        ("535 5.7.8 Error: authentication failed: UGFzc3dvcmQ6", Auth, AuthInvalid),
        ("535 5.7.8 Username and Password not accepted. For more information, go to Google", Auth, AuthInvalid),
        ("535 5.7.3 Authentication unsuccessful", Auth, AuthRefused),
        ("535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.", Auth, AuthInvalid),
        ("535 Incorrect authentication data", Auth, AuthInvalid),
        ("535 5.7.0 (#MBR1212) Incorrect username or password.", Auth, AuthInvalid),
        ("534 5.7.9 Application-specific password required. Learn more at Google", Auth, AuthPolicy),
        ("534 5.7.14 Please log in via your web browser and then try again.", Auth, AuthPolicy),
        // simonrob/email-oauth2-proxy#193, nodemailer/nodemailer#189.
        (
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit \
             https://aka.ms/smtp_auth_disabled for more information.",
            Auth,
            AuthPolicy,
        ),
        ("535 5.7.139 Authentication unsuccessful, basic authentication is disabled.", Auth, AuthPolicy),
        ("504 5.7.4 Unrecognized authentication type", Auth, AuthUnsupported),
        ("503 5.5.1 Error: authentication not enabled", Auth, AuthUnsupported),
        ("503 AUTH command used when not advertised", Auth, AuthUnsupported),
        ("534 5.7.9 Authentication mechanism is too weak", Auth, AuthUnsupported),
        ("538 5.7.11 Encryption required for requested authentication mechanism", Auth, AuthUnsupported),
        ("530 5.7.0 Must issue a STARTTLS command first", Auth, AuthUnsupported),
        ("530 5.7.0 Must issue a STARTTLS command first", Operation, AuthUnsupported),
        ("530 5.7.57 Client not authenticated to send mail.", Operation, AuthUnsupported),
        ("530 5.5.1 Authentication Required. For more information, go to Google", Operation, AuthUnsupported),
        (
            "454 4.7.0 Temporary authentication failure: Connection lost to authentication server",
            Auth,
            ServerUnavailable,
        ),
        ("454 4.7.0 Cannot authenticate due to a temporary system problem. Try again later", Auth, ServerUnavailable),
        ("435 Unable to authenticate at present", Auth, ServerUnavailable),
        ("451 4.7.0 Temporary server error. Please try again later. PRX4", Auth, ServerUnavailable),
        ("500 5.5.2 Error: bad syntax", Auth, ServerBad),
        ("501 5.5.4 Syntax: AUTH mechanism", Auth, ServerBad),
    ]);
}

#[test]
fn what_is_refused_of_a_message_is_no_more_than_that() {
    mean(&[
        ("550 5.1.1 <connection.limit@example.org>: Recipient address rejected: User unknown", Operation, ServerNo),
        ("550 5.1.1 <x@too-many-connections.org>: too many connections", Operation, ServerNo),
        ("553 5.7.1 <a@b.org>: Sender address rejected: not owned by user joe", Operation, ServerNo),
        ("550 5.7.60 SMTP; Client does not have permissions to send as this sender", Operation, ServerNo),
        ("554 5.2.252 SendAsDenied; joe@example.org not allowed to send as ann@example.org", Operation, ServerNo),
        ("501 5.1.3 Bad recipient address syntax", Operation, ServerNo),
        ("504 5.5.2 <x>: Sender address rejected: need fully-qualified address", Operation, ServerNo),
        ("452 4.2.2 The email account that you tried to reach is over quota.", Operation, ServerNo),
        ("452 4.5.3 Error: too many recipients", Operation, ServerNo),
        ("451 4.3.0 Error: queue file write error", Operation, ServerNo),
        ("571 5.7.1 Delivery not authorized, message refused", Operation, ServerNo),
        ("502 5.5.2 Error: command not recognized", Operation, ServerBad),
        ("554 5.7.1 No SMTP service here", Greeting, FailureKind::Greeting),
    ]);
}

#[test]
fn a_goodbye_is_one_in_each_protocol_lettre_743() {
    mean(&[
        ("421 4.4.2 mx.example.org Error: timeout exceeded", Operation, ServerBye),
        ("421 4.4.2 Disconnected for inactivity.", Operation, ServerBye),
        ("421 4.3.2 Service not available, closing transmission channel", Greeting, ServerUnavailable),
        ("451 4.4.2 Timeout - closing connection.", Operation, ServerBye),
        ("451 timeout (#4.4.2)", Operation, ServerBye),
        ("-ERR Disconnected for inactivity.", Operation, ServerBye),
        ("-ERR Disconnected: Shutting down", Greeting, ServerUnavailable),
        ("-ERR Connection is closed. 13", Operation, ServerBye),
        ("-ERR timeout", Operation, ServerBye),
        ("-ERR Idle timeout, closing connection", Operation, ServerBye),
        ("-ERR message 3 has been disconnected from its thread", Operation, ServerNo),
    ]);
}

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
fn refusals_of_pop3_servers_mean_what_they_say() {
    mean(&[
        // Dovecot.
        ("-ERR [AUTH] Authentication failed.", Auth, AuthInvalid),
        ("-ERR [SYS/TEMP] Temporary authentication failure. [mx:2026-11-22]", Auth, ServerUnavailable),
        ("-ERR [IN-USE] Temporary authentication failure. [mx:2026-11-22]", Auth, ServerUnavailable),
        ("-ERR [IN-USE] Internal login failure. Refer to server log for more information.", Auth, ServerUnavailable),
        ("-ERR [AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.", Auth, AuthUnsupported),
        (
            "-ERR [IN-USE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
            Auth,
            LimitConnections,
        ),
        // Gmail, Outlook, Exchange, Yahoo.
        ("-ERR [AUTH] Username and password not accepted.", Auth, AuthInvalid),
        ("-ERR [AUTH] Application-specific password required", Auth, AuthPolicy),
        ("-ERR [SYS/PERM] Your account is not enabled for POP access.", Auth, AuthPolicy),
        ("-ERR [SYS/TEMP] Temporary system problem. Please try again later.", Auth, ServerUnavailable),
        ("-ERR Logon failure: unknown user name or bad password.", Auth, AuthInvalid),
        ("-ERR Exceeded the login limit for a 15 minute period. Reduce the frequency of requests", Auth, LimitRate),
        ("-ERR [SYS/TEMP] Server error - Please try again later.", Auth, ServerUnavailable),
        ("-ERR [AUTH] (#MBR1212) Incorrect username or password.", Auth, AuthInvalid),
        // Courier, Cyrus, qmail-pop3d, qpopper.
        ("-ERR Login failed.", Auth, AuthRefused),
        ("-ERR [AUTH] Invalid login", Auth, AuthInvalid),
        ("-ERR authorization failed", Auth, AuthRefused),
        ("-ERR aack, child crashed", Auth, ServerUnavailable),
        ("-ERR [LOGIN-DELAY] Logins must be at least 5 minutes apart", Auth, LimitRate),
        ("-ERR [SYS/PERM] Fatal error: word too long", Auth, ServerUnavailable),
        ("-ERR Too many connections from your IP address", Greeting, LimitConnections),
        ("-ERR no such message", Operation, ServerNo),
        ("-ERR [SYS/TEMP] mailbox is locked", Operation, ServerNo),
    ]);
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

#[test]
fn words_that_name_the_reason_count_for_more_than_the_code() {
    for (line, kind) in [
        // Servers put the code of a wrong password before anything.
        ("a1 NO [AUTHENTICATIONFAILED] Too many failed login attempts", LimitRate),
        ("a1 NO [AUTHENTICATIONFAILED] Too many login failures, try again in 15 minutes", LimitRate),
        ("a1 NO [AUTHENTICATIONFAILED] Wrong, try again later", AuthInvalid),
        ("a1 NO [EXPIRED] Too many requests", LimitRate),
        ("a1 NO [PRIVACYREQUIRED] use TLS", AuthUnsupported),
        ("a1 NO [THROTTLED] slowly", LimitRate),
        // These leave the reason open, and the text tells it.
        ("a1 NO [LIMIT] LOGIN Rate limit hit", LimitRate),
        ("a1 NO [LIMIT] not now", LimitConnections),
        ("a1 NO [UNAVAILABLE] Too many concurrent connections", LimitConnections),
        ("a1 NO [UNAVAILABLE] Authentication failed", ServerUnavailable),
        ("a1 NO Too many failed login attempts", LimitRate),
    ] {
        assert_eq!(refusal(line.as_bytes(), Auth).kind, kind, "{line}");
    }
}

#[test]
fn what_is_said_beside_the_cause_is_no_cause() {
    mean(&[
        ("NO Wrong password. Your account will be locked after 3 more attempts", Auth, AuthInvalid),
        ("NO credentials invalid. 3 attempts left before account is blocked", Auth, AuthInvalid),
        ("NO Invalid password, 2 attempts remaining before lockout", Auth, AuthInvalid),
        ("NO Invalid password - 2 attempts left before your account is locked", Auth, AuthInvalid),
        ("NO Invalid password: 3 attempts remaining", Auth, AuthInvalid),
        ("NO Wrong password. After 3 more failures your account is blocked", Auth, AuthInvalid),
        ("NO Invalid password. Forgot it? Use webmail to reset", Auth, AuthInvalid),
        ("NO Invalid password. See our privacy policy", Auth, AuthInvalid),
        ("NO invalid password (maximum number of attempts is 5)", Auth, AuthInvalid),
        ("535 5.7.0 authentication server says: invalid password", Auth, AuthInvalid),
        ("NO user is unknown to the LDAP server", Auth, AuthInvalid),
        ("535 Authentication failed. Restarting authentication process.", Auth, AuthRefused),
        ("535 5.7.8 Authentication failed. Restarting authentication process.", Auth, AuthInvalid),
        ("NO Account locked after too many attempts", Auth, LimitRate),
        ("NO lost connection to the authentication server", Auth, ServerUnavailable),
        ("NO the LDAP server is down", Auth, ServerUnavailable),
    ]);
}

#[test]
fn what_a_message_or_a_mailbox_holds_is_no_throttle() {
    mean(&[
        ("NO [OVERQUOTA] message quota exceeded", Operation, ServerNo),
        ("NO [OVERQUOTA] too many messages", Operation, ServerNo),
        ("552 5.2.2 message quota exceeded", Operation, ServerNo),
        ("452 4.2.2 too many messages", Operation, ServerNo),
        ("554 5.6.0 Too many MIME errors", Operation, ServerNo),
        ("554 5.7.1 Message rejected: too many errors in HTML", Operation, ServerNo),
        ("554 5.7.1 excessive use of capital letters", Operation, ServerNo),
        ("NO Too many errors in search program", Operation, ServerNo),
        ("NO [SERVERBUG] Too many failures in index", Operation, ServerUnavailable),
        ("550 5.7.1 Message date is in the past", Operation, ServerNo),
        ("NO too many errors in the last hour", Operation, LimitRate),
    ]);
}

#[test]
fn a_quota_of_sending_or_of_requests_is_a_rate() {
    mean(&[
        ("550 5.7.1 You have exceeded the maximum number of messages you may send per hour", Operation, LimitRate),
        ("550 5.7.1 message limit reached for today", Operation, LimitRate),
        ("450 4.7.1 You have exceeded the number of recipients per day", Operation, LimitRate),
        ("450 4.7.1 too many recipients per day", Operation, LimitRate),
        ("NO Download quota exceeded", Operation, LimitRate),
        ("NO You exceeded your bandwidth quota", Operation, LimitRate),
        ("NO Download quota exceeded", Auth, LimitRate),
        ("NO 登录过于频繁", Auth, LimitRate),
        ("NO Session quota exceeded", Auth, LimitConnections),
        ("-ERR Your account is currently accessed by another client", Auth, LimitConnections),
    ]);
}

#[test]
fn who_is_in_trouble_and_what_is_not_allowed_is_told_by_the_words_around() {
    mean(&[
        ("554 5.7.1 Connection refused from [127.0.0.1]: rejected by policy", Greeting, FailureKind::Greeting),
        ("* BYE Connection refused", Greeting, FailureKind::Greeting),
        ("* BYE connect to backend: connection refused", Greeting, ServerUnavailable),
        ("NO connect to imap-backend failed: Connection refused", Auth, ServerUnavailable),
        ("NO server under heavy load", Auth, ServerUnavailable),
        ("* BYE server under heavy load", Greeting, ServerUnavailable),
        ("NO 系统异常", Auth, ServerUnavailable),
        ("NO Mail store is down", Auth, ServerUnavailable),
        ("550 5.7.30 Basic authentication is not supported for Client Submission.", Auth, AuthPolicy),
        ("BAD [CLIENTBUG] command not allowed in this state", Auth, ServerBad),
        ("BAD command not allowed in this state", Auth, ServerBad),
        ("BAD LOGIN command not allowed before STARTTLS", Auth, AuthUnsupported),
        ("451 4.7.0 Temporary authentication failure", Auth, AuthRefused),
        ("455 4.7.0 Temporary authentication failure", Auth, AuthRefused),
        ("421 4.7.0 Temporary authentication failure", Auth, ServerUnavailable),
    ]);
}

/// Each distinct refusal that people were met with, with its source: a thread, a server's code or its documentation.
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
    ] {
        assert_eq!(stated_wait(line), None, "{line}");
    }
}

#[test]
fn the_name_of_a_mailbox_is_no_limit() {
    for (line, kind) in [
        ("a5 NO Mailbox doesn't exist: connection limit (0.001 + 0.000 secs).", ServerNo),
        ("a5 NO Mailbox doesn't exist: rate limit", ServerNo),
        ("a5 NO [NONEXISTENT] Too many simultaneous connections", ServerNo),
        ("a5 NO Mailbox doesn't exist: [IN-USE] User is authenticated but not connected.", ServerNo),
        ("a5 NO [IN-USE] locked", LimitConnections),
        ("a5 NO User is authenticated but not connected.", LimitConnections),
        ("a5 NO Request is throttled. Suggested Backoff Time: 5 milliseconds", LimitRate),
        // A goodbye is about the session.
        ("* BYE connection limit", LimitConnections),
        ("421 4.7.28 rate limit", LimitRate),
    ] {
        assert_eq!(refusal(line.as_bytes(), Operation).kind, kind, "{line}");
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
