//! How a scenario makes a client, closes it, and lets go of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::context::Shared;
use super::interpreter::{CLOSE, ClientSetup, Interpreter, Outcome, Setup};
use super::script::{ClientPlan, Script};
use crate::allocator::Mode;
use crate::event::{self, Dispose, Executor, Lock, Role, RunStart, Stretches};
use crate::workload::{self, Breaker, Recorder, Recording};

/// What a thread keeps is closed when it lets go: there is nothing to wait for.
const CLOSE_WHAT_IS_FREE: Duration = Duration::from_millis(200);

impl Interpreter<'_, '_> {
    pub(super) fn make(&mut self, number: usize) -> Outcome {
        let Some(plan) = self.context.script.clients.get(number) else { return Outcome::noted("") };
        let run_id = self.run_id(number);
        let connector = Arc::new((self.setup.connector)(&ClientSetup {
            run_id: &run_id,
            user: plan.user.as_deref(),
            wrong_password: plan.wrong_password,
            connect_timeout: plan.connect_timeout.unwrap_or(self.setup.connect_timeout),
            operation_timeout: plan.operation_timeout.unwrap_or(self.setup.operation_timeout),
        }));
        let recorder =
            Arc::new(Recorder::new(self.setup.clock, run_start(&self.context.script, self.setup, plan, &run_id)));
        let recording = Recording {
            connector: Arc::clone(&connector),
            recorder: Arc::clone(&recorder),
            breaker: Breaker::of_a_script(),
        };
        let wait_timeout = plan.wait_timeout.unwrap_or(self.setup.wait_timeout);
        let client = workload::client(recording, plan.mode, wait_timeout, plan.max_connections);
        self.stream.follow(number, &plan.name, run_id, &recorder);
        if let Some(place) = self.context.clients.get(number) {
            // Each client has one line.
            let _ = place.set(Shared::new(client, recorder, connector));
        }
        Outcome::noted("")
    }

    /// Each client is a run of its own, so that servers and the verdict can tell them apart.
    fn run_id(&self, client: usize) -> String {
        if client == 0 {
            return self.setup.run_id.clone();
        }
        let first = u64::from_str_radix(&self.setup.run_id, 16).unwrap_or_default();
        format!("{:012x}", first.wrapping_add(client as u64) & ((1 << 48) - 1))
    }

    pub(super) fn set_mode(&self, clients: &[usize], mode: Mode) -> Outcome {
        let clients = clients.iter().filter_map(|client| self.context.client(*client));
        clients.filter_map(Shared::client).for_each(|client| client.set_mode(mode));
        Outcome::noted(mode.to_string())
    }

    pub(super) fn close(&self, client: usize) -> Outcome {
        let found = self.context.client(client).and_then(|shared| Some((shared, shared.client()?)));
        let Some((shared, client)) = found else { return Outcome::noted("nothing") };
        let held = shared.held.load(Ordering::SeqCst);
        let patience = if held > 0 { CLOSE_WHAT_IS_FREE } else { CLOSE };
        let open = client.close(Instant::now() + patience);
        let text = if open == 0 { "closed".to_owned() } else { format!("closed but for {open} in use") };
        Outcome::noted(text.clone()).unless(open <= held, "all closed", text)
    }

    /// The thread that uses it then is its last holder; without one, this closes it.
    pub(super) fn let_go_of(&mut self, client: usize) -> Outcome {
        let Some(shared) = self.context.client(client) else { return Outcome::noted("nothing") };
        let mine = shared.let_go();
        let (held, users) = (shared.held.load(Ordering::SeqCst), shared.users.load(Ordering::SeqCst));
        drop(mine);
        let open = self.stream.judge(client).map_or(0, |judge| judge.known().open());
        let (text, held) = match open {
            _ if users > 0 => ("let go; a thread holds it still".to_owned(), true),
            0 => ("let go, and closed".to_owned(), true),
            open => (format!("let go, and closed but for {open} in use"), open <= held),
        };
        Outcome::noted(text.clone()).unless(held, "all closed", text)
    }
}

/// How the run of that client begins.
pub(super) fn run_start(script: &Script, setup: &Setup<'_>, plan: &ClientPlan, run_id: &str) -> RunStart {
    let named = |name: &String| (Some(name.clone()), Role::default());
    RunStart {
        schema_version: event::SCHEMA_VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        run_id: run_id.to_owned(),
        started: setup.started,
        server: setup.server.clone(),
        sandbox: None,
        protocol: script.protocol,
        certificates_verified: setup.tls.then_some(!setup.insecure),
        mode: plan.mode,
        threads: script.threads.len(),
        // Nothing was asked in advance: the scenario says what to do.
        seed: None,
        asked: None,
        mix: None,
        mailboxes: script.mailboxes.clone(),
        max_connections: plan.max_connections,
        lock: Lock::Unit,
        workers: Stretches::of(script.threads.iter().map(named)),
        executor: if script.tasks.is_empty() { Executor::Threads } else { Executor::Pool },
        dispose: Dispose::Never,
        tasks: Stretches::of(script.tasks.iter().map(named)),
        switches: Vec::new(),
        scripted: true,
        witnessed: setup.faults.is_some(),
        probe: None,
    }
}
