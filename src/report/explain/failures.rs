//! The words for failure, and the stages at which things fail.

use super::article::Article;

/// A word with its meaning and its cure.
const fn word(
    name: &'static str,
    title: &'static str,
    means: &'static str,
    cure: &'static str,
    rules: &'static [&'static str],
    met: &'static [&'static str],
) -> Article {
    Article { name, severity: None, title, means, example: "", cure, rules, met }
}

pub(super) const KINDS: [Article; 25] = [
    word(
        "dns",
        "the host name did not resolve",
        "No address came back for the name, or the resolver itself did not answer. No mail server was asked anything.",
        "Check the spelling, then ask the resolver by hand (getent hosts NAME). A name that works elsewhere points at this \
         machine's /etc/resolv.conf.",
        &["B5"],
        &[],
    ),
    word(
        "connect-refused",
        "nobody listens there, or the network cannot reach it",
        "The host answered the TCP connect with a refusal, or a router on the way did.",
        "Check host and port (993 imaps, 143 imap, 465 smtps, 587 smtp, 995 pop3s). On the server: is the service running, and \
         bound to this address?",
        &["B5"],
        &[],
    ),
    word(
        "connect-timeout",
        "no answer to the TCP connect in time",
        "Packets vanish: a firewall that drops instead of refusing, a host that is down, or a server whose queue of new \
         connections is full.",
        "Check the firewall on both ends. If it comes and goes under load, it is the queue: raise the server's listen backlog \
         and its number of login processes.",
        &["B5"],
        &["Mailu/Mailu#3450"],
    ),
    word(
        "connect-reset",
        "the TCP connection was reset while it opened",
        "Somebody accepted it and closed at once: a proxy without its server behind it, tcp wrappers, a fail2ban rule.",
        "Look whether this address is banned on the server (too many failed sign-ins?), and whether a proxy in between has a \
         server to go to.",
        &["B5"],
        &[],
    ),
    word(
        "tls-handshake",
        "TLS could not be agreed on",
        "Not the certificate: versions or ciphers have nothing in common, or the port does not speak TLS at once (143 and 587 \
         want STARTTLS first).",
        "Match scheme and port: imaps:// on 993, imap:// on 143. mailconn check shows what the server speaks.",
        &[],
        &[],
    ),
    word(
        "tls-certificate",
        "the server's certificate is not one to trust for this host",
        "It expired, is for another name, or comes from an authority that this machine does not know. The password was not \
         sent.",
        "Connect by the name that the certificate is for, or trust its authority with --ca-file. --insecure lets anyone on the \
         way read the password: only for a test.",
        &[],
        &[],
    ),
    word(
        "greeting",
        "what came first was not a greeting of the protocol",
        "The port belongs to something else, or to a server that says at once that it will not serve: then its line is shown.",
        "If the line is the protocol's own refusal (554, BYE, -ERR), the server does not want this client: its address may be \
         on a block list, or lack a name. Else match scheme and port; plain text on a TLS port and the reverse look like this.",
        &[],
        &["chatmail/relay#59"],
    ),
    word(
        "auth-invalid",
        "the server refused the user or the password",
        "The server understood the sign-in and said no. mailconn then ends all further sign-ins of the run to that account: a \
         password that is wrong once is wrong eight times, and servers ban addresses for that. A token may have expired: \
         --token-command is run once more, and its token is tried if it is another one.",
        "Check both; some providers want an app password or a token (--token-command). A limit on connections has a word of its \
         own, limit-connections, and is not meant here.",
        &["B6", "B4"],
        &["nextcloud/mail#9156", "thunderbird/thunderbird-android#1694"],
    ),
    word(
        "auth-policy",
        "the server does not let this account in, or not this way",
        "Access by this protocol is switched off, the provider wants a sign-in on its web page, an app password or a token, or \
         the account is blocked, locked, suspended or over quota. The password may be right.",
        "Read the server's line and follow it: allow the protocol in the account's settings, use an app password or \
         --token-command, or ask the provider.",
        &["B6"],
        &["barbushin/php-imap#87", "nodemailer/nodemailer#1714"],
    ),
    word(
        "auth-refused",
        "the server refused the sign-in and does not say why",
        "The words and the code of the refusal name no cause, or name several. The password may be wrong, but nothing proves \
         it. mailconn ends all further sign-ins of the run to that account.",
        "Check the user and the password, then the account's settings with the provider; the server's own log has the cause.",
        &["B6"],
        &[],
    ),
    word(
        "auth-unsupported",
        "client and server share no way to sign in",
        "The server offers no mechanism that the given secret fits, or forbids passwords without TLS (LOGINDISABLED), or wants \
         something that is not there. Or --token-command brought no token: the message says why.",
        "Use TLS; see what is offered with mailconn check; choose a way with --auth. Run the --token-command by hand: it must \
         write the token alone on one line, or JSON with access_token, and end well in time.",
        &["B6"],
        &[],
    ),
    word(
        "server-unavailable",
        "the server has trouble of its own",
        "It is busy, overloaded, or lost its authentication server or its mail store. The user and the password are not the \
         cause.",
        "Try again later. If it lasts, tell the server's operator the line.",
        &["B6"],
        &["mailpile/Mailpile#2242", "neomutt/neomutt#2690", "jstedfast/MailKit#1100"],
    ),
    word(
        "limit-connections",
        "the server allows no more connections",
        "Too many sessions of this user, or from this address, are open. The password is not the matter, though the refusal \
         comes at the sign-in. A POP3 maildrop that another session has open is refused by this word too. A server that \
         counts without a word (Courier's MAXPERIP, tcpserver, a firewall) closes one more before its greeting is complete, \
         or in the TLS handshake, and goes on with the others: that is probably such a limit.",
        "Use fewer connections (use-main, --max-connections), dispose those that idle, or raise the server's limit. See MC030, \
         MC032 and MC033 for which of these it is.",
        &["B4", "W2"],
        &["imapsync/imapsync#61", "mscdex/node-imap#606", "thunderbird/thunderbird-android#1694"],
    ),
    word(
        "limit-rate",
        "the server throttles",
        "Too much in too short a time. Often it says how long to wait. Or one session had too many commands or errors: Exim \
         ends it after ten commands without mail (smtp_accept_max_nonmail), Postfix after about a hundred.",
        "Wait that long, ask for less at a time, keep connections instead of signing in again; of a session, do fewer \
         operations (-n), or send mail. See MC031.",
        &["B4"],
        &["mscdex/node-imap#523", "nodemailer/nodemailer#827"],
    ),
    word(
        "server-no",
        "the command failed, the connection goes on",
        "A tagged NO, a 4xx or 5xx of SMTP, an -ERR of POP3: the server understood and would not. Its line says why.",
        "Read the server's line: no such mailbox, no permission, over quota. The connection is as good as before, unless the \
         server closed it with that, which the message says.",
        &["B1"],
        &[],
    ),
    word(
        "server-bad",
        "the server did not accept the command, the connection goes on",
        "A tagged BAD, a 500 of SMTP: it did not understand, or the command may not come now, such as a FETCH with no mailbox \
         selected (see MC021).",
        "If a session was replaced, select again. Else it is a matter of protocol between the two programs: --transcript DIR \
         shows both sides.",
        &["B3"],
        &["mscdex/node-imap#689"],
    ),
    word(
        "server-bye",
        "the server said goodbye, with its reason",
        "BYE, 421: a timeout for idle sessions, a shutdown, a limit on commands. The session is over; the next operation on \
         that connection opens a new one.",
        "Read its reason. If it is the idle timeout, dispose connections before that, or expect the first operation after a \
         rest to fail, and issue it again.",
        &["B1", "B2"],
        &["lettre/lettre#743", "letsencrypt/boulder#2262"],
    ),
    word(
        "closed",
        "the server closed the connection without a word, or it was reset",
        "The other end of the socket is gone: a restart, a crash, a middlebox that forgot the connection. mailconn notices at \
         the next operation, at once, instead of waiting for a timeout.",
        "Issue the operation again: it gets a new session. If it comes after a rest each time, something on the way drops idle \
         connections; dispose them sooner.",
        &["B1", "B2"],
        &["lettre/lettre#743", "kellylford/QuickMail#268"],
    ),
    word(
        "timeout",
        "no whole answer in time",
        "The deadline covers the whole operation, so a server that drips a byte now and then ends in time too. The connection \
         is discarded: the rest of the reply may still come.",
        "Find out why the server is slow there (MC041); give long operations a longer --timeout.",
        &["B5", "B1"],
        &["chatmail/core#3816", "chatmail/async-imap#63"],
    ),
    word(
        "protocol",
        "the answer is not the protocol, or passes a bound",
        "A reply that cannot be read, answers no command of ours, was there before its command, or is endless. The two sides \
         may be out of step, so the connection is discarded.",
        "--transcript DIR shows what came. Something that rewrites traffic (an antivirus, a proxy) is a usual cause.",
        &["B1"],
        &["chatmail/async-imap#3"],
    ),
    word(
        "wait-timeout",
        "no connection became free in time",
        "Everybody who could give one up still has it, or the cap on connections is reached and none was closed. The server \
         never heard of it.",
        "Raise --max-connections or --wait-timeout, use fewer threads, or find who holds connections without using them.",
        &["W1", "W2"],
        &["nodemailer/nodemailer#261", "jakartaee/mail-api#215"],
    ),
    word(
        "refused",
        "forbidden by the rules of assignment",
        "A second default for a thread, a default where the mode has none, a connection that the thread already holds, one of \
         another client. No server was asked. The message has the rule's number.",
        "mailconn explain NUMBER: each refusal says what to do instead.",
        &["C2", "C3", "W3", "D6"],
        &[],
    ),
    word(
        "disposed",
        "the connection or its client was disposed, or the run was interrupted",
        "Somebody ended what this operation was about to use.",
        "In a run that was interrupted it is what one expects. In code: keep the handle for as long as operations are passed \
         it.",
        &["D2", "D4", "D5"],
        &[],
    ),
    word(
        "local-resources",
        "this machine ran out of descriptors, ports, memory or threads",
        "Each connection is a descriptor here, and with the sandbox two. Nothing is wrong with the server.",
        "Raise the limit (ulimit -n), or use fewer connections.",
        &[],
        &[],
    ),
    word(
        "internal",
        "a fault of mailconn's own",
        "Something happened that cannot happen. The exit code is 7.",
        "Report it, with the run's --format ndjson.",
        &[],
        &[],
    ),
];

pub(super) const STAGES: [Article; 8] = [
    word(
        "resolve",
        "stage: turning the host name into addresses",
        "What fails here is dns. The resolver is asked, no mail server.",
        "getent hosts NAME does the same by hand.",
        &[],
        &[],
    ),
    word(
        "connect",
        "stage: opening the TCP connection",
        "One address after the other is tried, within one deadline for the whole dial.",
        "Host, port, firewall; on the server the listen backlog.",
        &["B5"],
        &[],
    ),
    word(
        "tls",
        "stage: the TLS handshake, and the STARTTLS that asks for it",
        "It is driven to its end when the connection opens, so a bad certificate shows here and not at the first operation.",
        "mailconn check shows version, cipher and certificate.",
        &[],
        &[],
    ),
    word(
        "greeting",
        "stage: waiting for the server's first line",
        "The server is connected and has said nothing yet, or has said that it will not serve: SMTP servers refuse here when \
         too many connections are open.",
        "A slow one may look our address up in vain, or hold the line back against spam. See slow-greeting.",
        &[],
        &["chatmail/relay#60"],
    ),
    word(
        "auth",
        "stage: signing in, and the commands that prepare it",
        "Most limits on connections of a user are said here, because only now the server knows who it is. So a refusal at auth \
         need not be about the password: the word before it says what it is.",
        "limit-connections at auth: fewer connections. auth-invalid at auth: the password.",
        &["B4", "B6"],
        &["thunderbird/thunderbird-android#1694", "stalwartlabs/imap-server#12"],
    ),
    word(
        "wait",
        "stage: waiting for a connection to become free",
        "The operation has no connection yet: it stands in line, or a rule refused it. Nothing was sent.",
        "See wait-timeout and refused.",
        &["W1", "W2"],
        &["jakartaee/mail-api#215"],
    ),
    word(
        "operation",
        "stage: running an operation",
        "From the unit's first command to its last reply.",
        "The server's own line, where there is one, stands beside the word.",
        &["A7", "B1"],
        &[],
    ),
    word(
        "logout",
        "stage: signing out",
        "LOGOUT or QUIT and its answer, within a deadline. What fails here failed no operation, but a session may still count \
         against a limit (MC040).",
        "Look whether the server was restarted at that time, or answers LOGOUT late.",
        &["D3", "D4"],
        &["sweetrb/apple-mail-mcp#109"],
    ),
];
