//! Drives a plan through a client: what was asked for, who does it, and the client that they share.

use std::sync::Arc;

use super::breaker::Breaker;
use super::context::{Context, Setup};
use super::control::Control;
use super::driver::{Audience, Driver, Ended, Source};
use super::executor::{RunError, execute};
use super::plan::Plan;
use super::recorder::Recorder;
use super::recording::{Recording, client};
use super::switching::Switching;
use crate::event::{Executor, Role, RunStart, Stretches};
use crate::protocol::MailConnector;

/// Runs the plan to its end, or until `control` interrupts it. What `source` saw becomes part of the stream. When it returns,
/// every thread it started has ended and every connection is closed.
///
/// # Errors
/// The workers could not all be started, or the run's start is longer than a line; then nothing was dialled.
pub fn run(
    plan: &Plan,
    connector: &Arc<MailConnector>,
    setup: &Setup,
    control: &Arc<Control>,
    source: Option<&mut dyn Source>,
    audience: &mut dyn Audience,
) -> Result<Ended, RunError> {
    let start = start(plan, setup, source.is_some());
    start.fits(None)?;
    let recorder = Arc::new(Recorder::new(setup.clock, start));
    let recording =
        Recording { connector: Arc::clone(connector), recorder: Arc::clone(&recorder), breaker: Breaker::default() };
    let client = client(recording, plan.mode, setup.wait_timeout, setup.max_connections);
    let doers = if plan.executor == Executor::Threads { plan.workers.len() } else { plan.tasks.len() };
    let driver = Driver::of(client.clone(), Arc::clone(connector), Arc::clone(&recorder), Arc::clone(control), doers);
    let context = Arc::new(Context {
        plan: plan.clone(),
        setup: setup.clone(),
        client,
        switching: Switching::of(&plan.switches),
        recorder,
        control: Arc::clone(control),
        barrier: Arc::clone(driver.barrier()),
    });
    driver.drive(source, audience, |collect| execute(&context, collect))
}

/// How the run begins: what was asked for.
#[must_use]
pub fn start(plan: &Plan, setup: &Setup, witnessed: bool) -> RunStart {
    let unnamed = |role: &Role| (None, *role);
    RunStart {
        seed: Some(plan.seed),
        asked: Some(plan.asked),
        mix: Some(plan.mix.to_string()),
        mailboxes: plan.mailboxes.clone(),
        lock: plan.lock,
        workers: Stretches::of(plan.workers.iter().map(unnamed)),
        executor: plan.executor,
        dispose: plan.dispose,
        tasks: Stretches::of(plan.tasks.iter().map(unnamed)),
        switches: plan.switches.clone(),
        scripted: false,
        ..setup.scripted(plan.protocol, plan.mode, plan.workers.len(), witnessed)
    }
}
