//! `mailconn verify`: can what a run's file, or a scenario's, says have been so?

use std::fs::File;
use std::io::{self, Read};

use anyhow::{Context, Result};

use super::args::VerifyArgs;
use super::dovecot_log;
use mailconn::record::{Audit, LoggedSession};
use mailconn::report::{self, Output, Recorded, ScenarioTrace, ScenarioVerification, Trace, Verification};

/// Checks the file, tells, and says with what code to exit.
///
/// # Errors
/// It cannot be read, or is neither a run's file nor a scenario's, or the report could not be written: one line.
pub fn verify(args: &VerifyArgs) -> Result<u8> {
    let name = if args.trace.as_os_str() == "-" { "standard input".into() } else { args.trace.to_string_lossy() };
    let file: Box<dyn Read> = if args.trace.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(&args.trace).with_context(|| format!("cannot read {name}"))?)
    };
    let recorded = Recorded::read(file).with_context(|| format!("{name} cannot be verified"))?;
    let log = args.dovecot_log.as_deref().map(|log| dovecot_log::read(log, args.rawlog.as_deref())).transpose();
    let log = log.context("reading the server's log")?;
    let (bytes, code) = match recorded {
        Recorded::Run(trace) => of_run(*trace, log.as_deref(), args.format.is_json()),
        Recorded::Scenarios(all) => {
            let told = all.into_iter().map(|trace| of_scenario(trace, log.as_deref(), args.format.is_json()));
            told.fold((Vec::new(), 0), |(mut all, worst), (bytes, code)| {
                if !all.is_empty() && !args.format.is_json() {
                    all.push(b'\n');
                }
                all.extend(bytes);
                (all, worst.max(code))
            })
        }
    };
    Output::Stdout.write_whole(&bytes).context("writing the report")?;
    Ok(code)
}

fn of_run(trace: Trace, log: Option<&[LoggedSession]>, json: bool) -> (Vec<u8>, u8) {
    let mut verification = Verification::of(trace);
    if let Some(sessions) = log {
        let (audit, joined) = Audit::against_log(verification.run(), sessions);
        verification.join(audit, joined);
    }
    let bytes = match json {
        true => report::verification_json(&verification),
        false => report::verification_text(&verification).into_bytes(),
    };
    (bytes, verification.exit_code())
}

fn of_scenario(trace: ScenarioTrace, log: Option<&[LoggedSession]>, json: bool) -> (Vec<u8>, u8) {
    let mut verification = ScenarioVerification::of(trace);
    if let Some(sessions) = log {
        let compared: Vec<_> = verification.runs().map(|run| Audit::against_log(run, sessions)).collect();
        for (audit, joined) in compared {
            verification.join(audit, joined);
        }
    }
    let bytes = match json {
        true => report::scenario_verification_json(&verification),
        false => report::scenario_verification_text(&verification).into_bytes(),
    };
    (bytes, verification.exit_code())
}
