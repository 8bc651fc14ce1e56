//! The words of the flags and of the report's columns.

use super::article::Article;
use crate::allocator::Mode;

/// Words that people bring along, from the reference and from other clients, in lower case; and what they are called here.
const OTHER_NAMES: [(&str, &str); 25] = [
    ("connectionasgmtmode", "mode"),
    ("connectionasgmttype", "mode"),
    ("modes", "mode"),
    ("createconnection", "create"),
    ("createasdefaultconnection", "create"),
    ("create-connection", "create"),
    ("create-default", "create"),
    ("main-connection", "main"),
    ("default-connection", "default"),
    ("default-connections", "default"),
    ("independent-connection", "independent"),
    ("independent-connections", "independent"),
    ("explicit-connection", "explicit"),
    ("dispose-default", "dispose"),
    ("disposed-default", "dispose"),
    ("dispose-connection", "dispose"),
    ("dispose_default_connection", "dispose"),
    ("thread-scope", "scope"),
    ("thread_scope", "scope"),
    ("thread-pool", "pool"),
    ("threadpool", "pool"),
    ("connectionpool", "pool"),
    ("tasks", "task"),
    ("async", "task"),
    ("truth-table", "rules"),
];

/// What a word is called here, where it is a name from elsewhere: `EmailClient.CreateConnection()`, `UseMainOrDefault`,
/// `default connection`.
pub(super) fn canonical(word: &str) -> Option<&'static str> {
    if let Ok(mode) = word.parse::<Mode>() {
        return Some(mode.name());
    }
    let bare = word.strip_suffix("()").unwrap_or(word);
    let last = bare.rsplit(['.', ':']).next().unwrap_or(bare);
    let plain = last.split_whitespace().collect::<Vec<_>>().join("-").to_lowercase();
    OTHER_NAMES.into_iter().find(|(other, _)| *other == plain).map(|(_, name)| name)
}

const fn word(
    name: &'static str,
    title: &'static str,
    means: &'static str,
    example: &'static str,
    cure: &'static str,
    rules: &'static [&'static str],
    met: &'static [&'static str],
) -> Article {
    Article { name, severity: None, title, means, example, cure, rules, met }
}

pub(super) const MODES: [Article; 3] = [
    word(
        "use-main",
        "mode: every thread shares the main connection",
        "One session for the whole client: the least that a server can be asked for, and threads wait for each other. A thread \
         cannot create a default; an independent connection that is passed is used.",
        "mailconn run --mode use-main --threads 8\nw0-w7  #0 main  main",
        "Right where the server's limit is tight, for POP3 (one owner of a maildrop), and for threads that seldom work. If \
         operations wait longer than they work, the report says so (MC050).",
        &["A1", "C2", "M2"],
        &["jakartaee/mail-api#514"],
    ),
    word(
        "use-default",
        "mode: each thread uses a default connection of its own, created at its first use",
        "No thread waits for another, none can select a mailbox under another's feet, and main is never opened. It costs the \
         server a session for each thread, for as long as the thread lives: with a pool, for as long as the pool does.",
        "mailconn run --mode use-default --threads 8\nw0  #1 default  default 99, default-created 1",
        "Right where threads are few and work much. Count threads times processes times machines against the server's limit \
         (MC030). At the end of a pool's task dispose the default (H1).",
        &["A2", "A4", "C2", "D3"],
        &["imapsync/imapsync#61", "mordak/runt#1"],
    ),
    word(
        "use-main-or-default",
        "mode: a thread's default connection if it created one, else main (the default mode)",
        "Threads that need a connection of their own create one by hand and are served by it; all others share main. Disposing \
         the default brings the thread back to main.",
        "mailconn run --threads 4 --default-for w0\nw0  #1 default  default\nw1-w3  #0 main  main",
        "Right where a few threads work much. Keep a slot for main: it opens at its first use, and may find every one taken \
         (MC032). In a pool, a default that is left serves the next task too (MC010).",
        &["A3", "C2", "C3", "D1", "H1"],
        &[],
    ),
];

pub(super) const WORDS: [Article; 7] = [
    word(
        "main",
        "kind of connection, and reason: the client's one main connection, #0",
        "Its place exists as long as the client; it opens at its first use, and again after it broke (#0.2). Nobody creates, \
         disposes or passes it.",
        "w3  #0 main  main",
        "If it is never used, use-default does without it.",
        &["K1", "A5", "C4"],
        &[],
    ),
    word(
        "default",
        "kind of connection, and reason: the connection of one thread",
        "At most one for each thread and client, found by the thread alone. As a reason: this thread had one already.",
        "w0  #1 default  default",
        "Dispose it, drop its handle, or end the thread. In a pool do it at the end of each task.",
        &["K2", "C5", "D1", "D3"],
        &[],
    ),
    word(
        "independent",
        "kind of connection: belongs to no thread, and is used only when passed",
        "Any number of them, in every mode. The right kind for tasks that change threads.",
        "w7  #5 independent  explicit",
        "Dispose it when its work is done: nobody else will, before the client is closed.",
        &["K3", "C1", "D2"],
        &[],
    ),
    word(
        "explicit",
        "reason: the connection was passed with the operation",
        "Whatever the mode and whatever the thread has, what is passed is used; no default is created for it.",
        "w7  #5 independent  explicit",
        "Nothing is wrong with it.",
        &["A1", "A4", "A6"],
        &[],
    ),
    word(
        "default-created",
        "reason: the thread had no default, and one was created for this operation",
        "Only in use-default, once for each thread, or again after the thread's default was disposed.",
        "w0  #1 default  default 99, default-created 1",
        "If it is there as often as default, connections are not reused: see MC051.",
        &["A2", "C4"],
        &[],
    ),
    word(
        "unit",
        "lock: an operation has its connection to itself from its first command to its last reply",
        "EXAMINE and FETCH are one unit, so nobody selects another mailbox in between.",
        "mailconn run --lock unit",
        "It is what mailconn does unless told otherwise, and what other clients should.",
        &["A7"],
        &["postalsys/imapflow#304"],
    ),
    word(
        "command",
        "lock: each command of an operation takes the connection anew, the naive way",
        "Each command is safe, the operation is not: another one's EXAMINE may come between EXAMINE and FETCH. It is here to be \
         seen failing.",
        "mailconn run --lock command --mode use-main -t 8 --ops fetch --mailbox INBOX --mailbox Sent",
        "Do not build this; see MC020.",
        &["A7"],
        &["postalsys/imapflow#304", "mustang-im/mustang#276"],
    ),
];

/// What programs do with connections, here and in the reference.
pub(super) const OF_PROGRAMS: [Article; 5] = [
    word(
        "mode",
        "flag: which connection an operation uses where none is passed (ConnectionAsgmtMode)",
        "use-main, use-default or use-main-or-default, which is the default; UseMain and so on are taken too. It can be read and \
         set at any time, and decides the next operation.",
        "mailconn run --mode use-default --threads 8",
        "mailconn explain rules shows what each mode does, mailconn explain use-main what it is good for.",
        &["A1", "A2", "A3", "M1"],
        &[],
    ),
    word(
        "create",
        "step, and call of the library: opens a connection by hand (CreateConnection)",
        "An independent one (CreateConnection(), create k in a scenario, --independent-for, Client::create_connection), in every \
         mode; or this thread's default (CreateConnection(true), create-default, --default-for, \
         Client::create_default_connection), only in use-main-or-default, and once. It is open when the call returns.",
        "T1 create k; noop via k; dispose k",
        "Where a default is refused: in use-default leave it out, the first operation makes one; in use-main create an \
         independent one and pass it.",
        &["C1", "C2", "C3", "C4"],
        &[],
    ),
    word(
        "dispose",
        "step, call of the library, and flag: gives up a connection that was created",
        "LOGOUT or QUIT, and the socket is closed. A thread whose default was disposed is as if it never had one; an independent \
         connection cannot be used again. Main goes with the client. Dropping a handle does the same; a default's handle can also \
         be left to its thread (leave). --dispose task does it at the end of each task.",
        "mailconn run --executor pool --default-for all --dispose task",
        "Whoever creates by hand disposes by hand, in a pool at the end of each task.",
        &["D1", "D2", "D3", "D4", "D5"],
        &[],
    ),
    word(
        "scope",
        "step, and call of the library (Client::thread_scope): the thread's default is disposed at its end, even by a panic",
        "What runs in a scope may create a default or be given one; whatever becomes of it, the thread has none when the scope \
         ends. It is the cure of the hazard of pools.",
        "let _scope = client.thread_scope();",
        "Put each task of a pool into one (mailconn run --executor pool --dispose task).",
        &["H1", "D1"],
        &[],
    ),
    word(
        "pool",
        "executor: threads that outlive their tasks",
        "A thread does one task after the other, and what one leaves on it, a default connection above all, is there for the next \
         one: the hazard that the reference warns of (ConnectionPool, Task).",
        "mailconn run --executor pool --threads 4 --tasks 40 --default-for all",
        "Dispose the default at the end of each task: --dispose task, a scope, or dispose; see MC010.",
        &["H1", "D1"],
        &[],
    ),
];

pub(super) const OF_REPORTS: [Article; 7] = [
    word(
        "connection",
        "what an operation is given: #0 is main, #1 and up are defaults and independent ones, in the order of their creation",
        "A place, filled by one session after the other: if it breaks, the place survives (but for an independent one) and the \
         next operation there opens a new session.",
        "w1-w3  #0 main  main",
        "Who opened it and why stands in the sessions' table.",
        &["K1", "K2", "K3", "B2"],
        &[],
    ),
    word(
        "session",
        "one TCP connection to the server, from its dial to its close: #3, and after a break #3.2",
        "A new one knows nothing of the old one: not its selected mailbox, not its transaction. Its label and port are those that \
         the server's log is searched by.",
        "#0.2  main  first  49022",
        "Where there is a .2, find out in the failures why the first one broke.",
        &["B1", "B2", "B3"],
        &[],
    ),
    word(
        "first",
        "why a session was opened: its connection's first use, or the first one after a break",
        "Main and the default of use-default open when an operation needs them, which pays for the dial.",
        "#0  main  first  43538",
        "To pay before the first operation, issue a NOOP first. In use-main-or-default a thread can also create its default by hand.",
        &["C4", "A2"],
        &[],
    ),
    word(
        "hand",
        "why a session was opened: its connection was created by hand",
        "It is open when the call returns, or the call fails and leaves nothing behind.",
        "#1  independent w3  hand   43542",
        "Whoever creates by hand disposes by hand.",
        &["C1", "C2", "C4", "D1"],
        &[],
    ),
    word(
        "task",
        "a piece of work that some thread of a pool, or of an asynchronous runtime, does: t0, t1",
        "The thread outlives it, and so does the default connection that it leaves on the thread. An asynchronous one may go on on \
         another thread, with another default.",
        "mailconn run --executor pool --threads 4 --tasks 40 --default-for all",
        "Dispose the default at the end of the task (--dispose task, Client::thread_scope in the library); see MC010 and MC011.",
        &["H1"],
        &[],
    ),
    word(
        "witness",
        "the server's own record of a run, which each operation's connection is compared with",
        "The sandbox writes down every command that it received, by the client's port. A real server's record is its log: \
         mailconn verify --dovecot-log joins it.",
        "the server's own record agrees for 80 of 80",
        "Where it disagrees, mailconn itself is wrong: MC002. What sent nothing, or broke before the server had read it, could \
         not be compared.",
        &["A6"],
        &[],
    ),
    word(
        "seed",
        "the number from which a run's operations are drawn",
        "The same seed, mix and number of workers issue the same operations; which thread comes first is up to the machine.",
        "sandbox, use-main, 8 threads, 800 operations, seed 681297",
        "Name it when you report what a run did.",
        &[],
        &[],
    ),
];

pub(super) const SEVERITIES: [Article; 6] = [
    word(
        "broken",
        "severity: mailconn contradicts its own rules, or the server's record",
        "Never the server's doing, nor that of the program under study. Exit 7.",
        "MC001 broken: ..",
        "Report it, with the run's NDJSON.",
        &["A1", "A6"],
        &[],
    ),
    word(
        "limit",
        "severity: the server would not have that many connections or sign-ins",
        "Exit 6, whatever --fail-on says: the run could not do what it was asked for.",
        "MC030 limit: ..",
        "Fewer connections: fewer threads, use-main, or --max-connections at the server's limit.",
        &["B4", "W2"],
        &[],
    ),
    word(
        "hazard",
        "severity: nothing failed, and yet mail may be read from the wrong place or by the wrong connection",
        "What no client notices by itself. Exit 1, unless --fail-on leaves it out.",
        "MC010 hazard: ..",
        "Each has a cure of its own: MC010, MC011, MC020, MC021.",
        &["A7", "B3", "H1"],
        &[],
    ),
    word(
        "leak",
        "severity: a connection outlived its use, or ended without a goodbye",
        "The server counts it until its own idle time is over, half an hour in IMAP. Exit 1, unless --fail-on leaves it out. A run \
         closes all that it opened, so what a pool's tasks merely leave behind is MC010; a scenario's expect open: shows what is \
         open at any moment.",
        "MC040 leak: ..",
        "Dispose what is no longer needed (D1), and close the client with a deadline (D4).",
        &["D1", "D3", "D4"],
        &[],
    ),
    word(
        "fault",
        "severity: a connection broke in the middle of a reply",
        "It was discarded: what is left of the reply would be taken for the next one's. Exit 1, unless --fail-on leaves it out.",
        "MC041 fault: ..",
        "The failure's own word says what broke it: timeout, closed, protocol.",
        &["B1"],
        &[],
    ),
    word(
        "advice",
        "severity: all is right, and could be cheaper",
        "Exit 0, unless --fail-on names it.",
        "MC050 advice: ..",
        "MC050 says where threads wait for each other, MC051 and MC052 where connections are hardly used, MC042 where \
         the server hung up on one, MC053 where the mode makes no difference.",
        &["W1"],
        &[],
    ),
];
