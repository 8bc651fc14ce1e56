//! `mailconn verify`: can what a run's file says have been so?

use std::fs::File;
use std::io::{self, Read};

use anyhow::{Context, Result};

use super::args::VerifyArgs;
use super::dovecot_log;
use mailconn::record::Audit;
use mailconn::report::{self, Output, Trace, Verification};

/// Checks the file, tells, and says with what code to exit.
///
/// # Errors
/// It cannot be read, or is no run's file, or the report could not be written: one line.
pub fn verify(args: &VerifyArgs) -> Result<u8> {
    let name = if args.trace.as_os_str() == "-" { "standard input".into() } else { args.trace.to_string_lossy() };
    let file: Box<dyn Read> = if args.trace.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(&args.trace).with_context(|| format!("cannot read {name}"))?)
    };
    let trace = Trace::read(file).with_context(|| format!("{name} cannot be verified"))?;
    let mut verification = Verification::of(trace);
    if let Some(log) = &args.dovecot_log {
        let sessions = dovecot_log::read(log, args.rawlog.as_deref()).context("reading the server's log")?;
        let (audit, joined) = Audit::against_log(verification.run(), &sessions);
        verification.join(audit, joined);
    }
    let bytes = if args.format.is_json() {
        report::verification_json(&verification)
    } else {
        report::verification_text(&verification).into_bytes()
    };
    Output::Stdout.write_whole(&bytes).context("writing the report")?;
    Ok(verification.exit_code())
}
