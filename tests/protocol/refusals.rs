use mailconn::protocol::FailureKind::{
    AuthInvalid, AuthUnsupported, LimitConnections, LimitRate, ServerBad, ServerBye, ServerNo,
};
use mailconn::protocol::Stage::{Auth, Greeting, Operation};
use mailconn::protocol::{FailureKind, Stage, printable, refusal};

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
        ("a1 NO [UNAVAILABLE] Temporary authentication failure. [mx:2026-11-22]", Auth, ServerNo),
        ("a1 NO [AUTHENTICATIONFAILED] Authentication failed.", Auth, AuthInvalid),
        ("a1 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", Auth, AuthInvalid),
        ("a1 NO [ALERT] Application-specific password required", Auth, AuthInvalid),
        ("* BYE [AUTHENTICATIONFAILED] go away", Auth, AuthInvalid),
        ("a1 NO LOGIN failed.", Auth, AuthInvalid),
        ("a1 NO [PRIVACYREQUIRED] Plaintext authentication disallowed", Auth, AuthUnsupported),
        ("a1 BAD Error in IMAP command", Auth, ServerBad),
        ("a4 NO [INUSE] Mailbox in use", Operation, ServerNo),
        ("a4 NO [LIMIT] Too many flags", Operation, ServerNo),
        ("a4 NO [NONEXISTENT] Unknown Mailbox", Operation, ServerNo),
        ("a4 BAD Error in IMAP command", Operation, ServerBad),
        ("* BYE Server shutting down.", Operation, ServerBye),
        // SMTP and POP3, whose rooms will ask the same table.
        ("421 4.7.0 mx.example.org Error: too many connections from 192.0.2.1", Greeting, LimitConnections),
        ("432 4.3.2 Concurrent connections limit exceeded", Auth, LimitConnections),
        ("421 4.4.2 Idle timeout", Operation, ServerBye),
        ("535 5.7.8 Error: authentication failed", Auth, AuthInvalid),
        ("-ERR [IN-USE] Unable to lock maildrop", Auth, LimitConnections),
        ("-ERR [AUTH] Authentication failed.", Auth, AuthInvalid),
    ];
    for (line, stage, kind) in table {
        assert_eq!(refusal(line.as_bytes(), *stage).kind, *kind, "{line}");
    }
}

#[test]
fn a_code_that_names_the_reason_counts_for_more_than_the_text() {
    for (line, kind) in [
        ("a1 NO [AUTHENTICATIONFAILED] Too many failed login attempts", AuthInvalid),
        ("a1 NO [AUTHENTICATIONFAILED] Wrong, try again later", AuthInvalid),
        ("a1 NO [EXPIRED] Too many requests", AuthInvalid),
        ("a1 NO [PRIVACYREQUIRED] use TLS", AuthUnsupported),
        ("a1 NO [THROTTLED] slowly", LimitRate),
        // These leave the reason open, and the text tells it.
        ("a1 NO [LIMIT] LOGIN Rate limit hit", LimitRate),
        ("a1 NO [LIMIT] not now", LimitConnections),
        ("a1 NO [UNAVAILABLE] Too many concurrent connections", LimitConnections),
        ("a1 NO [UNAVAILABLE] Authentication failed", ServerNo),
        ("a1 NO Too many failed login attempts", LimitRate),
    ] {
        assert_eq!(refusal(line.as_bytes(), Auth).kind, kind, "{line}");
    }
}

#[test]
fn the_name_of_a_mailbox_is_no_limit() {
    for (line, kind) in [
        ("a5 NO Mailbox doesn't exist: connection limit (0.001 + 0.000 secs).", ServerNo),
        ("a5 NO Mailbox doesn't exist: rate limit", ServerNo),
        ("a5 NO [NONEXISTENT] Too many simultaneous connections", ServerNo),
        ("a5 NO Mailbox doesn't exist: [IN-USE] User is authenticated but not connected.", ServerNo),
        ("a5 NO no Request is throttled. Suggested Backoff Time: 5 milliseconds", ServerNo),
        ("a5 BAD Unknown: too many requests", ServerBad),
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
         auth-unsupported limit-connections limit-rate server-no server-bad server-bye closed timeout protocol \
         wait-timeout refused disposed local-resources internal"
    );
    let names: Vec<_> = Stage::ALL.iter().map(|stage| stage.name()).collect();
    assert_eq!(names.join(" "), "resolve connect tls greeting auth wait operation logout");
}
