//! The manual: the rules of connection assignment, by number, and the choices made where they are silent. [`tour`] shows each
//! command, [`json`] says what each field of the JSON means, [`performance`] what attribution costs.
//!
//! The rules are `src/rules.md`, word for word. This page holds no code: A1 to A3 are
//! [`route`](crate::allocator::route), C2 and C3 are [`may_create_default`](crate::allocator::may_create_default), and
//! nothing else decides. The cure of H1 is [`Client::thread_scope`](crate::allocator::Client::thread_scope).
//!
#![doc = include_str!("rules.md")]
//!
//! # Findings
//! A finding is what a run proves, with its evidence and its cure. Each stands in a file of its own in `src/judge/findings`,
//! with its article; `mailconn explain` lists them, and `mailconn explain MC020` shows the article. Hazards, leaks and faults
//! make the exit code 1, unless `--fail-on` says otherwise.
//!
//! What a check finds, by contrast, has no number: `mailconn check` opens one connection and says in plain sentences what is
//! wrong with it, each under a name for scripts. The names are in the chapter *checks* of the words below.
//!
#![doc = include_str!("words.md")]
//!
//! # What a verification checks
//! `mailconn verify` reads the file of a run or of scenarios (`--format ndjson`) as a stream, and asks whether what it says can
//! have been so. What does not hold is told by rule and line, with both sides. What the events come to is compared with what
//! the last line says: figures, findings by their names, and the exit code by the policy that the line names (`judged_by`).
//! Sentences are not compared. Events that concern neither the same thread nor the same connection may change places within
//! the time that each of them took. A consistently forged file passes: only a server's own record exposes it. A server's log
//! that has no session of the run bears out nothing: that is exit code 2.
//!
//! A file is a stream of events, a line each; `schema_version` in its first line is 6. `seq` numbers the events of a run from
//! 0, and an operation's `issued_after` says how many there were when it was issued. The sandbox's own record stands between
//! the others as it came (`witness-commands`, `witness-session`). No line is longer than 64 KiB. So `run-start` lists up to 256
//! workers, or tasks, one by one; of more, those that are alike and follow each other are one entry (`"task":"t0","to":"t99999"`).
//! A file of version 2 is read too, and what it lacks is not checked; it lists each of them, however many. A later version's
//! additions are passed over, counted and told; in a file of this version what is not known is a fault.
//!
//! The file of a scenario (`scenario --format ndjson`) holds its steps and its clients' runs as they happened: what a client
//! did in a step stands before that step. Each line of a client names it, and each client's events are numbered by
//! themselves; `run-start` says what the scenario calls its workers and tasks. A step's `expectation` is evaluated again,
//! with its clients as they were at its line. What a step says that a thread did has to be in the record of that thread, and
//! nothing in the record without a step. A step that touched no connection leaves no trace elsewhere: if it is taken out,
//! nothing misses it. In a file of version 2 all steps stand first and have no `expectation`.
//!
//! | rule | what it says |
//! |---|---|
//! | `lines` | each line is one event, whole and understood, at its place in the file |
//! | `sequence` | lines are numbered from 0, without a gap or a repeat |
//! | `clock` | time goes forward, and the wall clock with it |
//! | `A1-A3, A7` | each operation ran on the connection that the table gives it, as one unit |
//! | `witness` | the server's own record agrees, command by command |
//! | `header` | what was done is of the kind that was asked for |
//! | `asked` | each worker did as much as was asked of it, or said that it stopped |
//! | `numbers` | operations are numbered from 1, in the order of their ends |
//! | `M1` | the mode changed when it was to, and at no other time |
//! | `threads` | what one thread did, it did one after the other, in the time it had |
//! | `connections` | each connection was created, then disposed, once |
//! | `sessions` | each session was opened before its use, and ended once |
//! | `dials` | each dial was needed by one operation or creation, which says so |
//! | `tags` | the commands of a session follow each other without a hole |
//! | `turns` | a session served one operation at a time (A7) |
//! | `bytes` | a session carried at least what its commands take |
//! | `B4` | what the server refused is called what its own line means |
//! | `outcomes` | an operation's outcome is one that its course allows |
//! | `W2` | never more connections than --max-connections |
//! | `server-log` | the server's log agrees, session by session |
//! | `steps` | each step of a scenario did what the record says, and was judged by that |
//! | `probe` | each step of a probe follows from what was seen before it, dials once at most, and looks at what is open |
//! | `rounds` | a comparison ran each variant once in each round, in the order and on the seeds of its seed, and stopped for what it says |
//! | `run-end` | figures, findings and exit code are those that the events come to |
//!
//! # Gates in a build
#![doc = include_str!("ci.md")]
//!
//! # Choices where the rules are silent
//! - **Which mailbox answered** is read from the reply alone: mail of the sandbox, and of the tests' own Dovecot, names its
//!   mailbox in subject and Message-ID, and a reply proves one where every message of it does so alike. Elsewhere the
//!   UIDVALIDITY of the mailbox that was selected when the reply came is compared with the one that the operation's own
//!   selection had; two mailboxes can have the same, so that finds less.
//! - **Under `--lock command`** each command of fetch and search has a lease of its own, as clients do it that lock a
//!   connection and not a unit (A7). Each lease must be on the connection that A1–A3 give; that others came between is
//!   what such a run shows, and MC020 says what came of it. The rules count A7 as broken only under `--lock unit`.
//! - **An implicit default whose first dial fails** leaves nothing behind, as one created by hand (C4): the thread's
//!   next operation creates one again. A thread would otherwise be left with a default that never was open, and
//!   switching to use-main-or-default would send it there instead of to main.
//! - **Names are never used again**: a connection whose first dial failed has had its `#n`, and the next one is `#n+1`.
//!   A report can then tell one attempt from another.
//! - **A thread's exit** signs out in the exiting thread, 750 ms at most for all clients together. A thread of the
//!   client's own could take longer, but a server that does not answer would then delay the next thread's goodbye.
//!   `std::thread::scope` can return before the threads' own variables are dropped: join the handles, or end the work
//!   in a [`Client::thread_scope`](crate::allocator::Client::thread_scope), where the connections must be gone.
//! - **A lease that is dropped while its thread panics** counts its connection as broken (B1), whatever the connector
//!   says: nobody knows how far the unit came.
//! - **A scope** ([`Client::thread_scope`](crate::allocator::Client::thread_scope)) disposes the default that the thread
//!   has at its end, even if that was there before the scope began: the task leaves the thread as it should have found
//!   it, without one.
//! - **Closing a client** closes idle connections side by side, sixteen at a time, each with its fair part of the
//!   deadline; one that is in use is closed by whoever ends its operation.
//! - **Waiting for room (W2)** happens with the connection's place held: others that want the same place stand in line
//!   behind, and are served in order.
//! - **In a run, a worker whose dial fails stops**: it would fare no better with the next operation, and would only
//!   burden the server. What it did not do is counted as not issued. One that waited in vain for a connection in use
//!   goes on; one that waited in vain for room stops.
//! - **In a run, a server that does not answer** is waited for once: until a session has been opened, the first dial
//!   that had no answer in time fails those that have not begun, too. Eight threads that share main would otherwise
//!   each wait out their deadline, one after the other.
//! - **By POP3, a dial may take 15 s**, not 10: servers wait ten seconds for a maildrop that another connection has locked
//!   before they say so, and that answer is what was asked for.
//! - **A dial that was closed without a word** is told once it is known what the server does with the other connections of
//!   the client: until it has answered something that was asked on one of them afterwards, has left an idle one open for half
//!   a second, or has ended them all; within the dial's own deadline. One that ended with its goodbye while that dial lasted
//!   counts too, where the server answers others afterwards: servers count a session for a moment longer. Nothing is asked
//!   there for that alone: each connection belongs to the unit that has it (A7).
//! - **Behind a refusal** the server may close: that is waited for, 50 ms after the first refusal of a session, 250 ms after
//!   the first of a limit or of the server's own trouble, and no longer than the operation may take. The time is no part of
//!   the operation's.
//! - **A run on a named SMTP server that sends no mail** does eight operations in all, unless `-n` or `--duration` says how
//!   many: Exim ends a session after ten commands without mail (`smtp_accept_max_nonmail`), Postfix after about a hundred.
//!   They are shared out evenly, and the first workers, or tasks, do one more; of more than eight the others do none.
//! - **In a scenario by POP3 the sandbox's maildrops are shared**: the rules speak of several connections, and are to be seen
//!   by POP3 too, as on a Dovecot that was not told to lock. `server locks maildrops` asks for the other. In a run they are
//!   locked, as RFC 1939 says, so that MC033 is met here first; `--sandbox-maildrops` changes either.
//! - **A token** is fetched when a sign-in needs one: the first, one after the token at hand has run out, one after the server
//!   has refused it. One fetch at a time is under way; other dials wait for it, each within its own deadline. After a
//!   refusal the dial that held the token fetches another and is tried again, once, on a new connection and within its one
//!   deadline. If that token is the same, it is not presented. If it is refused too, or is the same, the gate is shut (B6):
//!   dials of the next 1, 2, 4 … 60 s are told so, and one that comes later fetches again. A token that was not refused
//!   opens the gate, to one sign-in at a time.
//! - **A fetch that fails** fails its dial as `auth-unsupported`, and holds the next one back for 1, 2, 4 … 60 s. Dials wait
//!   for that, but after three failures in a row they are told at once. No connection is opened before a token is there,
//!   except for the first: it is fetched when the server has said that it takes tokens.
//! - **A sign-in's first answer** goes with its command where that may carry it (IMAP: where SASL-IR is offered). If the
//!   server does not understand that (BAD, 501), it gets the command alone and then the answer, in the same session. After
//!   NO, or any refusal that has a reason, it never does: that is a refused sign-in (B6).
//! - **A scratch mailbox** is made, filled and removed within each `append`; what could not be removed is named in the
//!   report, and by no later run touched. It is made in the personal namespace, which each dial of such a run asks for where
//!   the server offers NAMESPACE; or under the mailbox of `--scratch-under`, and then each dial asks for the delimiter
//!   (`LIST "" ""`).
//! - **In a scenario** each client is a run of its own, with a name of its own in labels. A handle that a thread keeps
//!   and has not left is dropped when the thread exits, or its task ends or moves: a handle does not leave its thread.
//! - **In a run whose mode is set anew** (`--switch-mode 500=use-main`), 500 operations have the mode before, to the last
//!   one: an operation's mode is decided when it is issued, and one that stands in line then is under way (M1). With
//!   `--duration`, one that ran out of time in that line was counted, and is not reported.
//! - **In a run of tasks** (`--executor pool` or `tasks`), a task that is to create its default and finds one on its thread
//!   is refused (C3) and goes on with what is there: that is evidence of the hazard, and no failure. What is left on a
//!   thread is disposed when the thread ends (D3).
//! - **Asynchronous tasks** run each operation as Tokio's manual wants blocking work, in a `spawn_blocking` of its own, and
//!   await it before the next: the threads with names are the blocking ones, and a task is on any of them from one
//!   operation to the next. A blocking thread is kept for the whole run; Tokio would let it go after ten seconds without
//!   work, and its default with it. `--dispose task` gives each task one blocking section for all of its work: a scope
//!   belongs to its thread, so it cannot be held across an await.
//! - **In a run, a label** goes to the server after the sign-in (ID, RFC 2971): `x-mailconn-run` and
//!   `x-mailconn-session`, so that the server's log can be searched for `#3.2`.

#[doc = include_str!("json.md")]
pub mod json {}

#[doc = include_str!("tour.md")]
pub mod tour {}

#[doc = include_str!("performance.md")]
pub mod performance {}
