//! How many connections a server gives: opened one after the other, each signed in and signed out again.
//!
//! A probe is a run of one worker whose steps are decided one by one, from what it saw so far. The judge has the rule for that:
//! it holds a stored probe against the same one, and says what was found out, from the events alone.

mod conduct;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use conduct::{Conductor, waits_for_ends};

use crate::allocator::Mode;
use crate::event::{Probe, ServerGreeted, WorkerId};
use crate::judge::{most_attempts, most_looks, most_refused, releases};
use crate::protocol::{self, DialEvent, MailConnector, Protocol};
use crate::workload::{
    Audience, Breaker, Control, Driver, Ended, Issuer, Recorder, Recording, RunError, Setup, Source, client,
};

/// The only worker of a probe.
const WORKER: WorkerId = WorkerId(0);

/// The most that a probe asks of a server, known before it dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Connections that are open at once.
    pub connections: usize,
    /// Sign-ins, refused ones included.
    pub sign_ins: usize,
    /// Refused attempts.
    pub refused: usize,
    /// Looks at open connections, a NOOP each.
    pub commands: usize,
    /// What it rests in all, without the time that the server takes.
    pub rests: Duration,
}

impl Budget {
    /// Of that probe, over that protocol.
    #[must_use]
    pub fn of(probe: &Probe, protocol: Protocol) -> Self {
        let refused = most_refused(probe.bare_close);
        let paces = u32::try_from(probe.max).unwrap_or(u32::MAX);
        let rests = probe.pace_us.duration().saturating_mul(paces).saturating_add(probe.hold_us.duration());
        let sign_ins = most_attempts(probe.max, probe.bare_close);
        let commands = match protocol {
            Protocol::Imap => sign_ins.saturating_add(most_looks(probe.max)),
            Protocol::Smtp | Protocol::Pop3 => sign_ins,
        };
        Self {
            connections: probe.max,
            sign_ins,
            refused,
            commands,
            rests: rests.saturating_add(releases(probe).duration()).saturating_add(waits_for_ends(probe)),
        }
    }
}

/// Probes the server of `settings`, to its end or until `control` interrupts it. What `source` saw becomes part of the
/// stream. When it returns, its thread has ended and every connection is closed.
///
/// # Errors
/// Its thread cannot be started, or the run's start is longer than a line; then nothing was dialled.
pub fn limits(
    probe: Probe,
    settings: protocol::Settings,
    setup: &Setup,
    control: &Arc<Control>,
    source: Option<&mut dyn Source>,
    audience: &mut dyn Audience,
) -> Result<Ended, RunError> {
    let protocol = settings.endpoint.protocol;
    let mode = Mode::UseMainOrDefault;
    let mut start = setup.scripted(protocol, mode, 1, source.is_some());
    start.probe = Some(probe);
    start.fits(None)?;
    let recorder = Arc::new(Recorder::new(setup.clock, start));
    let connector = Arc::new(MailConnector::new(protocol::Settings {
        // The probe has a pace of its own.
        holds_back: false,
        watch: Some(watch(&recorder)),
        ..settings
    }));
    let recording = Recording {
        connector: Arc::clone(&connector),
        recorder: Arc::clone(&recorder),
        breaker: Breaker::of_a_script(),
    };
    let client = client(recording, mode, setup.wait_timeout, setup.max_connections);
    let work = {
        let (client, recorder, control) = (client.clone(), Arc::clone(&recorder), Arc::clone(control));
        move || {
            let issuer = Issuer { client: &client, recorder: &recorder, control: &control, worker: WORKER, task: None };
            Conductor::new(probe, protocol, issuer, Instant::now()).conduct()
        }
    };
    Driver::of(client, connector, recorder, Arc::clone(control), 1).drive_one(WORKER, source, audience, work)
}

/// Writes down the first greeting.
fn watch(recorder: &Arc<Recorder>) -> protocol::DialWatch {
    let (recorder, greeted) = (Arc::clone(recorder), AtomicBool::new(false));
    Arc::new(move |event| {
        if let DialEvent::Greeted(line) = event
            && !greeted.swap(true, Ordering::Relaxed)
        {
            recorder.record(ServerGreeted { line: line.to_owned() });
        }
    })
}
