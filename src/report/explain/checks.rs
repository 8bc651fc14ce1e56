//! What a check finds, one by one.

use super::article::Article;

const fn concern(name: &'static str, title: &'static str, means: &'static str, cure: &'static str) -> Article {
    Article { name, severity: None, title, means, example: "", cure, rules: &[], met: &[] }
}

pub(super) const CONCERNS: [Article; 23] = [
    concern(
        "limit-met",
        "warning of a check: the server refused for a limit",
        "A check opens one connection and asks for little: what used the limit up is somebody else's, of the same account or \
         from the same address. See limit-connections and limit-rate.",
        "Close other clients, or wait as long as the server says, and check again; or have the limit raised.",
    ),
    concern(
        "password-in-the-clear",
        "warning of a check, advice on loopback: a password was said without TLS",
        "Everybody on the way could read it: the network's owner, the provider, whoever shares a wireless network.",
        "Change it, and use imaps://, smtps:// or pop3s://, or leave --plaintext out so that STARTTLS is required.",
    ),
    concern(
        "token-in-the-clear",
        "warning of a check, advice on loopback: a token was said without TLS",
        "Everybody on the way could read it, and use it until it expires or is revoked.",
        "Have it revoked, and use imaps://, smtps:// or pop3s://, or leave --plaintext out so that STARTTLS is required.",
    ),
    concern(
        "password-before-tls",
        "warning of a check: the server would take a password before STARTTLS",
        "A client that does not insist on TLS can be made to say the password in the clear by whoever is on the way: it only \
         has to hide that STARTTLS is offered.",
        "Administrator: Dovecot auth_allow_cleartext = no (before 2.4: disable_plaintext_auth = yes); Postfix \
         smtpd_tls_auth_only = yes. Client: require STARTTLS, or use TLS from the first byte.",
    ),
    concern(
        "starttls-unused",
        "warning of a check: STARTTLS was offered and not used",
        "The server can protect the connection, and the client did not ask it to.",
        "Leave --plaintext out.",
    ),
    concern(
        "login-disabled",
        "warning of a check: the server takes no password without TLS (LOGINDISABLED)",
        "The server protects its users: the sign-in is refused whatever the password.",
        "Use imaps://, or imap:// with --starttls.",
    ),
    concern(
        "first-answer-refused",
        "warning of a check: the server did not understand a sign-in with the client's first answer",
        "Where IMAP's SASL-IR is offered, and always in SMTP and POP3, the command that begins a sign-in may carry the first \
         answer. This server answers that with BAD (SMTP: 501), and takes the answer when it comes on a line of its own. \
         mailconn then does that, in the same session; after NO it never does, which is a refused sign-in.",
        "Nothing is to be done here. Administrator: do not offer SASL-IR, or update the server. Other clients: switch the first \
         answer off, or use the LOGIN command (mailconn: --auth user-pass).",
    ),
    concern(
        "certificate-not-verified",
        "warning of a check: nobody verified the certificate (--insecure)",
        "The connection is encrypted, but to whom is not known: whoever is on the way may have answered, and read the password or token.",
        "Leave --insecure out; trust the server's own authority with --ca-file.",
    ),
    concern(
        "certificate-expires",
        "warning under 14 days, advice under 30: the certificate ends soon",
        "From its last second on no client that verifies connects any more, all at the same time. Certificates that renew \
         themselves do so a month ahead: one that has less left did not.",
        "Renew it, then have every service load it: IMAP, SMTP and POP3 may each hold an old one.",
    ),
    concern(
        "tls-1.2",
        "advice of a check: the server speaks no newer TLS than 1.2",
        "Each connection costs a round trip more than with 1.3, which is felt where connections are opened often.",
        "Administrator: allow TLS 1.3. Client: keep connections open.",
    ),
    concern(
        "no-auth",
        "warning of a check: a user is to sign in by SMTP, and there is no AUTH",
        "Port 25 is for mail between servers and often takes no users; elsewhere AUTH may be offered only after STARTTLS.",
        "Use 465 (smtps://) or 587 (smtp://).",
    ),
    concern(
        "nobody-signed-in",
        "advice of a check: SMTP without a user",
        "A server may take mail without a sign-in from this address, or refuse it only when there is some.",
        "Name a user, smtp://user@host, to check the sign-in too.",
    ),
    concern(
        "address-without-answer",
        "warning of a check: the host's first address did not answer, another did",
        "Every connection of every client loses time on the first address, up to a timeout: often IPv6 that is in DNS and not \
         on the server.",
        "Have the server listen there, or take the address out of DNS.",
    ),
    concern(
        "no-goodbye",
        "warning of a check: LOGOUT or QUIT had no answer",
        "Clients that wait for it lose the time, and nobody knows whether the session still counts against a limit (MC040).",
        "Administrator: look what the server does at the end of a session at that time. Client: give the goodbye a deadline.",
    ),
    concern(
        "no-label",
        "advice of a check: IMAP sessions cannot name themselves by ID",
        "With ID (RFC 2971) a session tells the server's log its name, and the two records can be joined. Without it only \
         the port does.",
        "Search the log by our port. In Dovecot, imap_id_log = * writes the names down.",
    ),
    concern(
        "no-pipelining",
        "advice of a check: SMTP commands cannot be sent in groups",
        "Each message costs three round trips instead of two.",
        "With many messages use more connections, within the server's limit. If other servers of the same kind offer it, \
         something on the way hides it.",
    ),
    concern(
        "login-delay",
        "warning of a check: POP3 sign-ins must keep a distance",
        "The server may refuse a sign-in that comes too soon after the last one of the same user (LOGIN-DELAY, RFC 2449).",
        "Keep one connection (use-main) instead of opening one for each operation.",
    ),
    concern(
        "one-owner",
        "advice of a check: a POP3 maildrop has one owner at a time",
        "A second session is refused while the first has the maildrop open (MC033).",
        "One connection: use-main, or one thread.",
    ),
    concern(
        "slow-resolve",
        "warning of a check: the name's resolution took longer than a second",
        "A resolver in the system's list may be dead: each name waits for it first.",
        "Look at /etc/resolv.conf, and ask each resolver there by hand.",
    ),
    concern(
        "slow-connect",
        "warning of a check: the TCP connect took longer than a second",
        "A first packet was lost, the way is long, or the server's queue of new connections is full.",
        "Check again: if it is always so it is the way, if it comes with load it is the queue.",
    ),
    concern(
        "slow-tls",
        "warning of a check: the TLS handshake took longer than two seconds",
        "The server is short of CPU, or looks something up first.",
        "Administrator: watch its load during sign-ins. Client: keep connections open, so that it is paid once.",
    ),
    concern(
        "slow-greeting",
        "warning of a check: the greeting took longer than five seconds",
        "SMTP servers hold it back on purpose, against spam; others look our address up in vain, or have no process free.",
        "Administrator: check reverse DNS and the number of login processes. Client: a longer --connect-timeout, and fewer \
         connections.",
    ),
    concern(
        "slow-sign-in",
        "warning of a check: the sign-in took longer than two seconds",
        "Servers delay it after failed ones from the same address; a slow user database or an expensive password hash does too.",
        "Keep connections open instead of signing in often.",
    ),
];
