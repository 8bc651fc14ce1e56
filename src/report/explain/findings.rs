//! The findings of a run, one by one.

use super::Article;

pub(super) const FINDINGS: [Article; 17] = [
    Article {
        name: "MC001",
        title: "broken: an operation did not run on the connection that the rules give it",
        means: "mailconn knows the table of the rules twice: once where connections are assigned, once where a run is judged. \
                For each operation the judge takes what the rule looks at (the mode, whether the thread had a default, what \
                was passed) and compares the connection it is due with the socket that carried its bytes. They differ, or the \
                commands of one operation were not one unit. This is a fault of mailconn's own, whatever the server did.",
        example: "MC001 broken: operations did not run on the connection that the rules give them; this is mailconn's own \
                  fault\n- operation 17 of w3: use-default wants its thread's default #4, it ran on #2 (default of w1)",
        cure: "Do not trust the rest of the report. Run it again with --format ndjson, keep that file, and report it: each line \
               holds what the rule looked at, so the fault can be found from it. The exit code is 7.",
        rules: &["A1", "A2", "A3", "A7"],
        met: &["redis/redis-py#2632", "vert-x3/vertx-redis-client#394"],
    },
    Article {
        name: "MC002",
        title: "broken: the server's own record disagrees with ours",
        means: "The server in the box writes down every command of every connection, and shares no code with the client. The \
                two records are joined by the client's port and the command's tag: each command of ours must be there once, \
                with its verb, in its mailbox, at its time, and nothing else may be. Something between the two mixed \
                connections up (a proxy, a load balancer), or one of the records is wrong.",
        example: "MC002 broken: the server's own record disagrees with ours; something between us and the server mixed \
                  connections up, or one of the records is wrong\n- operation 9 of w0: it asked for Archive, the server ran a12 \
                  FETCH in Sent",
        cure: "Take what is between out of the way and run it again. If it stays, keep the run's --format ndjson and report it. \
               The exit code is 7.",
        rules: &["A6", "A7"],
        met: &["phpredis/phpredis#2336"],
    },
    Article {
        name: "MC010",
        title: "hazard: a task ran on a default connection that an earlier task had left to the thread",
        means: "A default connection belongs to a thread. In a pool the thread outlives the task, so the next task there finds \
                the connection of the one before: with whatever that one selected, signed in as whoever it was. Nothing \
                fails. A task that creates its own default is refused by C3, because the thread has one already.",
        example: "MC010 hazard, 360 times: 360 operation(s) of 36 task(s) ran on 4 default connection(s) that another task had \
                  created before: a thread outlives its task and keeps its default for the next one (H1); 36 of these tasks \
                  asked for one of their own and were refused (C3); dispose the default at the end of the task that created \
                  it (--dispose task; in code Client::thread_scope), or pass independent connections\n- t4: 10 operation(s) \
                  (numbers 41 to 62) on #1, created on w0 by t0; refused one of its own by C3",
        cure: "Dispose the default at the end of the task that created it, even when the task panics: in code \
               Client::thread_scope, in a run --dispose task. Or pass an independent connection to each operation. Whoever \
               runs the mail server sees the hazard as sessions that outlive the work they were opened for.",
        rules: &["H1", "C3", "D1"],
        met: &["thehyve/fairspace#1582", "chinabugotech/hutool#292", "orientechnologies/orientdb#3006"],
    },
    Article {
        name: "MC011",
        title: "hazard: one task's operations ran on several default connections, because it changed threads",
        means: "An asynchronous task may go on on another thread after each wait. A default connection is found by thread \
                alone, so the task finds another connection there, or none, and what it knew of the first (a selected \
                mailbox, an open transaction) is not true of the second.",
        example: "MC011 hazard, 12 times: 120 operation(s) of 12 task(s) were spread over several default connections, up to 3 \
                  for one task: it changed threads between operations, and a default belongs to a thread (H1); do a task's \
                  operations in one blocking section (--dispose task does), or pass an independent connection along with the \
                  task\n- t3: 6 operation(s) (numbers 31 to 44) on #1 on w0, 4 operation(s) (numbers 33 to 47) on #3 on w2",
        cure: "Give the task an independent connection and pass it with each operation: it goes where the task goes. Or do all \
               operations of the task in one blocking section, on one thread.",
        rules: &["H1", "K2", "K3"],
        met: &["django/django#18408", "PostHog/posthog#57839"],
    },
    Article {
        name: "MC020",
        title: "hazard: a reply came from a mailbox other than the one its unit selected",
        means: "In IMAP a connection has one selected mailbox, and FETCH and SEARCH read whichever that is. If two threads share \
                the connection and it is locked for each command only, the other's EXAMINE comes between ours and our FETCH: \
                the reply is complete, well-formed, and from the wrong mailbox. A client that stores it has filed mail under \
                the wrong folder. The proof is in the reply: mail of the sandbox names its mailbox; elsewhere the UIDVALIDITY \
                of the selection tells.",
        example: "MC020 hazard, 501 times: 501 of the 800 replies that show their mailbox came from a mailbox other than the one that was \
                  asked for, and nothing failed; hold the connection for the whole unit, from its EXAMINE to its last reply \
                  (--lock unit), or give each thread a connection of its own (use-default)\n- operation 3 of w7 on #0 asked for \
                  Sent, each message of its reply says that it is in Archive; operation 8 of w2 had selected Archive there in \
                  between",
        cure: "Hold the connection from the unit's first command to its last reply: one lease, one lock, one transaction. Or \
               give each thread a connection of its own (use-default), which costs the server more sessions. To see it happen: \
               mailconn run --lock command --mode use-main -t 8 --ops fetch --mailbox INBOX --mailbox Archive.",
        rules: &["A7"],
        met: &["postalsys/imapflow#304", "mustang-im/mustang#276", "overseers-desk/courier#82", "ikvk/imap_tools#131"],
    },
    Article {
        name: "MC021",
        title: "hazard: a new session took the place of a broken one, and the operation relied on the old one's state",
        means: "When a connection breaks, the next operation there opens a new session: #0 goes on as #0.2. The server knows \
                nothing of the old one: no mailbox is selected. An operation that relies on an earlier SELECT is refused if all \
                goes well. If something else has selected INBOX there by then, another thread or the library's own reconnect, it \
                silently reads INBOX instead. The same befalls a thread whose connection is another one since, for the mode was \
                changed, or its default was created or disposed. Whoever selects anew on the new session relies on nothing old, \
                and is not found.",
        example: "MC021 hazard: 1 operation(s) relied on what an earlier session had selected, and ran on another one, which \
                  knows nothing of it; select again whenever the session has changed, or make it one unit (--lock unit)\n- operation 9 of w1 had Archive selected on #0 and ran on #0.2: BAD No mailbox selected.",
        cure: "Tie what you know of a session to that session: compare Assignment::session before you rely on it, and select \
               again when it has changed. Or select in each unit, as every operation of mailconn does.",
        rules: &["B3", "B2", "A7"],
        met: &["lefcha/imapfilter#2", "neomutt/neomutt#1038", "neomutt/neomutt#1248", "mscdex/node-imap#155"],
    },
    Article {
        name: "MC030",
        title: "limit: the server refused a connection because too many are open",
        means: "Servers count the connections of a user, an address, or both, and refuse the next one: at the sign-in in IMAP, \
                in the greeting in SMTP. It has nothing to do with the password, though many programs say so. The figure is how \
                many of ours were open, or also being opened where the server may have let these in by then; other clients of \
                the same user (a phone, another machine) may hold the rest. Known limits: Gmail 15 an account, \
                Exchange Online 16, Dovecot 10 a user and address (mail_max_userip_connections), Courier 4 an address \
                (MAXPERIP), which closes one more without a word: it is probably a limit where others of ours go on.",
        example: "MC030 limit, 5 times: the server refused 5 connection(s) while 3 of ours were open; stay at 3 connections \
                  (fewer threads, or use-main), or raise the server's limit; other clients may hold some of it\n- #7 with 3 \
                  open: NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=3)",
        cure: "Client: cap it (max_connections waits instead of dialling), share one connection (use-main), close what idles. \
               Administrator: Dovecot counts by user and address, so a webmail host or an office behind one address needs \
               more; a limit on sign-in rates is another thing and does not help. The exit code is 6.",
        rules: &["B4", "W2"],
        met: &[
            "imapsync/imapsync#61",
            "MailCore/mailcore2#587",
            "mscdex/node-imap#606",
            "docker-mailserver/docker-mailserver#1165",
            "Mailu/Mailu#894",
            "zammad/zammad#3651",
        ],
    },
    Article {
        name: "MC031",
        title: "limit: the server throttled",
        means: "The server answers, and says that this client asks too much or too often: Exchange Online's \"Request is \
                throttled. Suggested Backoff Time: N milliseconds\", a 4.7.0 of SMTP. A new connection does not help; signing \
                in again and again is often the cause. Or it ends a session that had too many commands without mail, as Exim \
                does after ten (smtp_accept_max_nonmail), or too many errors: there a new connection helps, and fewer \
                operations a session.",
        example: "MC031 limit, 2 times: the server throttled us 2 time(s); ask less often, and wait as long as it says\n- \
                  operation 40: BAD Request is throttled. Suggested Backoff Time: 60000 milliseconds",
        cure: "Wait as long as the server says before anything else is sent, and keep connections open instead of signing in \
               for each operation. Administrator: look at sign-ins for each operation in the log before raising a quota. The \
               exit code is 6.",
        rules: &["B4", "B6"],
        met: &["mscdex/node-imap#523", "mscdex/node-imap#689", "jstedfast/MailKit#1494", "imapsync/imapsync#212"],
    },
    Article {
        name: "MC032",
        title: "limit: main could not open, because other connections of this client hold every slot",
        means: "Main opens at its first use. If the defaults and independent connections of the same client have taken all that \
                the server allows by then, main is refused: the client has locked itself out, and every thread without a \
                default fails. It stands in place of MC030.",
        example: "MC032 limit: main could not open: 3 other connection(s) of this client hold every slot of the server; use main \
                  before creating others, or keep one slot free for it\n- #0 with 3 open: NO [LIMIT] Maximum number of \
                  connections from user+IP exceeded (mail_max_userip_connections=3)",
        cure: "Run one operation on main before other connections are created, or create one fewer than the limit. Where \
               nobody needs main, use-default never opens it. The exit code is 6.",
        rules: &["C4", "A4", "B4"],
        met: &["mscdex/node-imap#882", "maathimself/mailflow#384"],
    },
    Article {
        name: "MC033",
        title: "limit: a POP3 maildrop is locked by another connection",
        means: "POP3 gives a maildrop to one session at a time (RFC 1939 section 3): the second one is refused, -ERR [IN-USE], \
                often after the server has waited some seconds for the lock. So a connection for each thread cannot work, \
                however generous the server is otherwise. Not every server locks: Dovecot does if pop3_lock_session is \
                yes. It stands in place of MC030.",
        example: "MC033 limit, 2 times: the maildrop was locked by another connection, 2 time(s): POP3 gives it one owner at a \
                  time, so connections of their own cannot work for several threads; share one (use-main), or use one \
                  thread\n- #3 with 1 open: -ERR [IN-USE] Mailbox is locked by another POP3 session.",
        cure: "Share one connection (use-main) or work with one thread. If nobody else should have it open, look for a client \
               that vanished without QUIT: the lock goes when the server notices. For several readers at a time, use IMAP. \
               The exit code is 6.",
        rules: &["A1", "B4"],
        met: &["horms/perdition#4", "cyrusimap/cyrus-imapd#706"],
    },
    Article {
        name: "MC040",
        title: "leak: a healthy connection was left open, or closed without LOGOUT or QUIT",
        means: "A server counts a session until it is told that it is over, or notices: half an hour of silence in IMAP (RFC \
                3501 says at least that), two hours of TCP keep-alive. Leave enough of them behind and the next sign-in is \
                refused (MC030) while nothing seems to be open. The sandbox's record is asked too: what it still has open is \
                named.",
        example: "MC040 leak: 1 connection(s) were left open or closed without LOGOUT; servers count them against the limit \
                  until they notice\n- #2 was open at the end",
        cure: "Dispose what you create on every path, also where something fails: a handle that goes out of scope does so here. \
               End threads by joining them, and close the client with a deadline. Administrator: doveadm who shows who holds \
               sessions that no program knows of.",
        rules: &["D1", "D3", "D4"],
        met: &["apache/jmeter#198", "MarimerLLC/calendar-mcp#69", "sweetrb/apple-mail-mcp#109", "mscdex/node-imap#882"],
    },
    Article {
        name: "MC041",
        title: "fault: a connection was discarded in the middle of a reply",
        means: "The server did not finish a reply in time, or what came was not the protocol. The rest of it may still arrive: \
                whoever used the connection again would read it as the answer to the next command, which is how one caller \
                gets another one's mail. So mailconn discards it, as it must. The finding is about why the server did not \
                finish.",
        example: "MC041 fault: 1 connection(s) were discarded in the middle of a reply, as they must be; find out why the \
                  server did not finish it\n- operation 31 on #0: timeout at operation: no whole answer in time; the server or \
                  the network is slow, or it hangs",
        cure: "Client: never use a connection again after a timeout, whatever the library offers. Find the slow command with \
               --transcript DIR, and give long ones a longer --timeout. Administrator: look for the session by its label or \
               port at that time; a search without an index and a full disk are usual.",
        rules: &["B1", "B5"],
        met: &["overseers-desk/courier#82", "chatmail/core#3816", "chatmail/core#3827", "chatmail/async-imap#3"],
    },
    Article {
        name: "MC042",
        title: "advice: the server hung up on connections that nobody used",
        means: "A server ends what lies idle for too long: after 30 minutes in IMAP (RFC 9051 allows no less), 5 to 10 in SMTP \
                and POP3, often sooner behind a firewall. Some say so (BYE, 421), some just close. It is found when the \
                connection is wanted next: the operation then fails as server-bye or closed, and a goodbye has nobody to \
                be said to. So the time that is named is an upper bound.",
        example: "MC042 advice: the server hung up on 2 connection(s) that nobody used, after 3.0s at most; use them more often \
                  than that (a NOOP does), or close what lies idle and open it when it is needed\n- #1 after 3.0s at most: BYE \
                  Autologout; idle for too long",
        cure: "Client: open a connection when there is work and dispose it when there is none, or let each say NOOP more often \
               than the server's time. Whoever uses one that lay idle must be ready to open it again. It fails no run unless \
               --fail-on has advice.",
        rules: &["B1", "B2"],
        met: &["lettre/lettre#743"],
    },
    Article {
        name: "MC050",
        title: "advice: operations spent more time waiting for their connection than using it",
        means: "Threads that share a connection stand in line for it, first come, first served. Here the line cost more than \
                the work: more threads make it longer, not faster.",
        example: "MC050 advice: operations waited 3.7s for their connection and used it 483.3ms; give threads connections of \
                  their own (use-default), or use fewer threads\n- longest wait 12.6ms",
        cure: "Give threads connections of their own (use-default) as far as the server's limit allows, allow more \
               (--max-connections), or use fewer threads. It fails no run unless --fail-on has advice.",
        rules: &["W1", "W2"],
        met: &["jakartaee/mail-api#514", "mustang-im/mustang#276"],
    },
    Article {
        name: "MC051",
        title: "advice: connections were opened for hardly more than an operation each",
        means: "Opening a connection costs several round trips (TCP, TLS, greeting, sign-in), and on the server a process and a \
                password check: ten to a hundred times an operation. Here hardly any connection was used twice. To a server's \
                log it looks like an attack, and some throttle it (MC031).",
        example: "MC051 advice: 3 connections were opened for 3 operations: hardly any was used twice; keep connections for \
                  longer, or share one (use-main)\n- 3 opened, 3 operations",
        cure: "Keep a connection for as long as there is work, and dispose it then; in a pool, one for each thread, not one for \
               each task, where the account is always the same. It fails no run unless --fail-on has advice.",
        rules: &["C4", "D1"],
        met: &[
            "nextcloud/mail#10039",
            "nextcloud/mail#6175",
            "s-morgan-jeffries/apple-mail-fast-mcp#75",
            "asherp/nostr-mail#78",
        ],
    },
    Article {
        name: "MC052",
        title: "advice: connections were held and hardly used",
        means: "Each connection costs the server a process or its like, and one of the account's few places, whether it is used \
                or not. Of those held here most lay idle most of the time, so that fewer would have served as well. It is \
                looked for in runs of two seconds and more: a connection counts as held from its opening to its last use, and \
                so many would have done as were in use at once, but for one hundredth of the time.",
        example: "MC052 advice: 8 connections were held for most of 10.0s and used for 0.3 % of that time; more than 1 at once \
                  for hardly any of it: one that is shared would have done (use-main)\n- 8 held, 3 in use at once at most",
        cure: "Share one (use-main), give a connection of its own only to threads that are busy, or dispose a default when its \
               thread rests. It fails no run unless --fail-on has advice.",
        rules: &["A1", "A2", "D1"],
        met: &["nextcloud/mail#10039"],
    },
    Article {
        name: "MC053",
        title: "advice: use-main-or-default without any default connection behaves as use-main does",
        means: "Under use-main-or-default a thread has a connection of its own only after it created one by hand; all others use \
                main, one operation at a time. Here no thread created one. Who expected connections side by side, as the name \
                of the mode suggests, has none.",
        example: "MC053 advice: the mode is use-main-or-default, and no thread created a default connection: it behaved as \
                  use-main does; create defaults where threads are to work side by side (--default-for all; in code \
                  create_default_connection), or say use-main\n- 40 operation(s) on main",
        cure: "Create a default connection on each thread that is to have one (C2), choose use-default, which creates them by \
               itself, or leave it: sharing main is right where there is little to do.",
        rules: &["A3", "C2"],
        met: &[],
    },
];
