//! Which mail connection does each operation use, why, and at what cost? This crate shares a mail client's connections
//! between threads by a documented rule, writes down what it did, and proves it against the server's own record.
//!
//! A client has one *main* connection, each thread may have a *default* one, and *independent* ones are passed by hand;
//! a [`Mode`](allocator::Mode) decides which of them an operation uses. The rules have numbers: see [`manual`].
//!
//! ```
//! use std::net::TcpListener;
//! use std::time::{Duration, Instant};
//!
//! use mailconn::allocator::{Client, Mode, Reason};
//! use mailconn::protocol::{Endpoint, ImapConnector, ImapOperation, Settings, Secret};
//! use mailconn::sandbox::{Options, Sandbox, User};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A mail server in this process; any other does as well.
//! let users = vec![User::new("ann", "secret")];
//! let server = Sandbox::start(TcpListener::bind("127.0.0.1:0")?, Options { users, ..Options::default() })?;
//!
//! let endpoint = Endpoint::parse(&format!("imap://ann@{}", server.address()), None)?;
//! let connector = ImapConnector::new(Settings::new(endpoint, Secret::new("secret".to_owned()).into()));
//! let client = Client::builder(connector).mode(Mode::UseDefault).build();
//!
//! let mut lease = client.lease()?; // this thread's own connection, to itself until the lease is dropped
//! assert_eq!(lease.assignment().reason, Reason::DefaultCreated);
//! assert_eq!(lease.run(ImapOperation::Fetch, "Archive")?.items, 20);
//! drop(lease);
//!
//! assert_eq!(client.lease()?.assignment().reason, Reason::Default);
//! assert_eq!(client.close(Instant::now() + Duration::from_secs(5)), 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//! - [`allocator`]: the heart. Which connection an operation uses, in [`route`](allocator::route), and the plumbing
//!   around it: places, leases, waiting, disposal. It knows nothing of servers beyond [`Connector`](allocator::Connector).
//! - [`protocol`]: IMAP, SMTP and POP3 on our own socket layer, each a `Connector`; TLS, sign-in, transcripts. It knows
//!   nothing of workloads or reports.
//! - [`workload`]: what is run, and by whom: a thread for each worker, a pool, or asynchronous tasks.
//! - [`scenario`]: scenarios, line by line: the language, and who performs it with the workload's means.
//! - [`event`]: what happened, as a stream: each event is its own line of JSON.
//! - [`ledger`]: what is true now, while a stream goes by; [`figures`]: how much of it there was.
//! - [`judge`]: what a stream proves: the rules, the server's record, the findings, the gates, the exit code. It never asks the
//!   allocator.
//! - [`probe`]: what a few connections find out about a server: a check, and how many connections it gives. The latter has
//!   the workload's client and recorder, so that its stream is a run's.
//! - [`compare`]: several ways to run, in rounds: which run comes when, and when it is enough.
//! - [`report`]: what a judge found, as a table, JSON or lines. It never sees a client.
//! - [`sandbox`]: the mail server in the box. It imports no other room: a witness must not be a relative of the accused.
//! - [`observe`]: what a server saw, as events of a run: the sandbox and the stream know nothing of each other.
//! - `cli`, in the binary: flags in, an exit code out.
//!
//! `tests/tidy.rs` lists the rooms that each room may import, and holds them to it. Above `event` the rooms take the
//! names that events carry (ids, modes, reasons, failures, protocols) from `allocator` and `protocol`, where they are
//! defined: a second name for each in `event` would be one more to keep. Of what these rooms do they use nothing but pure
//! functions over such names: `report` prints the truth table from [`route`](allocator::route) itself, and classifies a
//! pasted line as the protocols would.
//!
//! # Invariants
//! 1. Which connection an operation uses is decided in `allocator/mode.rs` and nowhere else.
//! 2. No lock is held across I/O, across `connect`, or while a connection's destructor runs.
//! 3. The allocator learns of servers only through `Connector`.
//! 4. Nobody but the recorder keeps events, and nobody but the ledger knows who owns what: memory does not grow with the
//!    number of operations.
//! 5. Policy meets facts in `judge/` alone. No analysis reads it; the one event that names it is the end of a run, so that
//!    its exit code can be computed again.
//! 6. The sandbox shares no code with the protocols.
//! 7. Serialised forms live in `event/`, `figures/`, `probe/` and `report/`, never on the allocator's types. A figure has one
//!    form, that of the JSON document; gates read it there.
//! 8. A secret has no `Debug`, no `Display` and no place in arguments, a log or a report.
//! 9. Progress and messages go to stderr, results to stdout.
//! 10. Every wait has a deadline; every queue, cache and crowd of threads has a bound.

pub mod allocator;
pub mod compare;
pub mod event;
pub mod figures;
pub mod judge;
pub mod ledger;
pub mod manual;
pub mod observe;
pub mod probe;
pub mod protocol;
pub mod report;
pub mod sandbox;
pub mod scenario;
pub mod workload;
