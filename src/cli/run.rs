//! `mailconn run`: one run, from its settings to its report.

use anyhow::Result;

use super::harness::Signals;
use super::settings::{Reporting, Settings};
use super::stderr;
use super::teller::Teller;
use mailconn::event::Within;
use mailconn::report::Progress;
use mailconn::workload;

/// Runs, reports, and says with what code to exit.
///
/// # Errors
/// Nothing could be run, or the report could not be written: one line.
pub fn run(settings: Settings) -> Result<u8> {
    let Settings { work, reach, reporting, policy, progress } = settings;
    reach.server.warn();
    let (harness, connector) = work.set_up(reach)?;
    let signals = Signals::listen()?;
    if let Some(note) = &work.note {
        stderr::complain(note);
    }
    let progress = Progress::new(progress, work.plan.operations());
    let Reporting { format, output, each } = reporting;
    let mut teller = Teller::begin(format, each, output, &signals.control)?;
    let driven = harness.drive(&mut teller, Within::default(), policy, progress, |setup, source, audience| {
        workload::run(&work.plan, &connector, setup, &signals.control, source, audience)
    })?;
    signals.conclude(teller, driven)
}
