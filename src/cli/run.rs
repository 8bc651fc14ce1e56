//! `mailconn run`: one run, from its settings to its report.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::harness::{Harness, Room, Signals};
use super::settings::{Reporting, Settings};
use super::stderr;
use super::teller::Teller;
use super::work::Work;
use mailconn::event::Within;
use mailconn::protocol::{self, MailConnector, Operation, Stationery};
use mailconn::report::Progress;
use mailconn::workload;

/// Runs, reports, and says with what code to exit.
///
/// # Errors
/// Nothing could be run, or the report could not be written: one line.
pub fn run(settings: Settings) -> Result<u8> {
    let Settings { work, reach, reporting, policy, progress } = settings;
    let room = Room { workers: work.workers(), connections: work.most_connections(), fewer: "fewer --threads" };
    reach.server.warn();
    let (mut harness, account) = Harness::set_up(reach, &room)?;
    let signals = Signals::listen()?;
    let Work { plan, from, to, scratch, note, .. } = work;
    if let Some(note) = note {
        stderr::complain(&note);
    }
    if plan.mix.operations().any(Operation::writes) {
        let letters = Stationery::new(&account.endpoint, from.as_deref(), to.as_deref(), &account.run_id);
        harness.setup.letters = Some(letters.context(
            "what is sent needs an address for its sender and its recipient: name them with --from and --to",
        )?);
    }
    let connector = Arc::new(MailConnector::new(protocol::Settings { scratch, ..account }));
    let progress = Progress::new(progress, plan.operations());
    let Reporting { format, output, each } = reporting;
    let mut teller = Teller::begin(format, each, output, &signals.control)?;
    let driven = harness.drive(&mut teller, Within::default(), policy, progress, |setup, source, audience| {
        workload::run(&plan, &connector, setup, &signals.control, source, audience)
    })?;
    signals.conclude(teller, driven)
}
