//! The words of the flags and of the report's columns.

use super::Article;

const fn word(
    name: &'static str,
    title: &'static str,
    means: &'static str,
    example: &'static str,
    cure: &'static str,
    rules: &'static [&'static str],
    met: &'static [&'static str],
) -> Article {
    Article { name, title, means, example, cure, rules, met }
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
