//! What a run's workers and tasks share.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::barrier::Barrier;
use super::control::Control;
use super::plan::Plan;
use super::recorder::Recorder;
use super::recording::Recording;
use super::switching::Switching;
use crate::allocator::{Client, Mode};
use crate::event::{self, Dispose, Executor, Lock, Role, RunStart, SandboxOptions, Stretches};
use crate::protocol::{Protocol, Stationery};

/// How the client of a run is set up, beyond its plan.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Names the run in labels and reports.
    pub run_id: String,
    /// The server's name in the report.
    pub server: String,
    /// How the sandbox is to behave, where it is the server.
    pub sandbox: Option<SandboxOptions>,
    /// When the run begins: every time in its record counts from here.
    pub clock: Instant,
    /// The same by the wall clock.
    pub started: SystemTime,
    /// How long an operation may wait for its connection.
    pub wait_timeout: Duration,
    /// The cap on connections.
    pub max_connections: Option<usize>,
    /// What operations that write are to send; the plan may hold such operations only with it.
    pub letters: Option<Stationery>,
    /// The server is spoken to under TLS.
    pub tls: bool,
    /// Certificates are not verified, as was asked for.
    pub insecure: bool,
}

impl Setup {
    /// The start of a run of which nothing is asked in advance: what its workers do is said step by step.
    pub(crate) fn scripted(&self, protocol: Protocol, mode: Mode, threads: usize, witnessed: bool) -> RunStart {
        RunStart {
            schema_version: event::SCHEMA_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            run_id: self.run_id.clone(),
            started: event::to_the_microsecond(self.started),
            server: self.server.clone(),
            sandbox: self.sandbox.clone(),
            protocol,
            certificates_verified: self.tls.then_some(!self.insecure),
            mode,
            threads,
            seed: None,
            asked: None,
            mix: None,
            mailboxes: Vec::new(),
            max_connections: self.max_connections,
            lock: Lock::Unit,
            workers: Stretches::of((0..threads).map(|_| (None, Role::default()))),
            executor: Executor::Threads,
            dispose: Dispose::Never,
            tasks: Stretches::of(std::iter::empty()),
            switches: Vec::new(),
            scripted: true,
            witnessed,
            probe: None,
        }
    }
}

/// What all workers of a run share.
pub(super) struct Context {
    pub(super) plan: Plan,
    pub(super) setup: Setup,
    pub(super) client: Client<Recording>,
    pub(super) switching: Switching,
    pub(super) recorder: Arc<Recorder>,
    pub(super) control: Arc<Control>,
    /// Of workers, or of tasks where these do the work.
    pub(super) barrier: Arc<Barrier>,
}
