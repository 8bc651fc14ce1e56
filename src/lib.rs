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
//! - [`probe`]: what a few connections find out about a server: a check.
//! - [`report`]: a run in, bytes out; and a run's file read back. It never sees a client.
//! - [`sandbox`]: the mail server in the box. It imports no other room: a witness must not be a relative of the accused.
//! - [`observe`]: what a server saw, as events of a run: the sandbox and the stream know nothing of each other.
//! - `cli`, in the binary: flags in, an exit code out.
//!
//! # Invariants
//! 1. Which connection an operation uses is decided in `allocator/mode.rs` and nowhere else.
//! 2. No lock is held across I/O, across `connect`, or while a connection's destructor runs.
//! 3. The allocator learns of servers only through `Connector`.
//! 4. Reporters never see a client: they see a run, finished or streaming.
//! 5. The sandbox shares no code with the protocols.
//! 6. Serialised forms live in `event/`, `probe/` and `report/`, never on the allocator's types.
//! 7. A secret has no `Debug`, no `Display` and no place in arguments, a log or a report.
//! 8. Progress and messages go to stderr, results to stdout.
//! 9. Every wait has a deadline; every queue has a bound.

pub mod allocator;
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
