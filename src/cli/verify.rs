//! `mailconn verify`: can what a run's file, or a scenario's, says have been so?

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::args::VerifyArgs;
use super::dovecot_log;
use mailconn::record::{AgainstLog, Audit, LoggedSession};
use mailconn::report::{self, Format, Output, Recorded, ScenarioTrace, ScenarioVerification, Trace, Verification};

/// Checks the file, tells, and says with what code to exit.
///
/// # Errors
/// It cannot be read, or is neither a run's file nor a scenario's, or the report could not be written: one line.
pub fn verify(args: &VerifyArgs) -> Result<u8> {
    let recorded = recorded(&args.trace)?;
    let rawlog = args.rawlog.as_deref();
    let sessions = args.dovecot_log.as_deref().map(|log| dovecot_log::read(log, rawlog)).transpose();
    let sessions = sessions.context("reading the server's log")?;
    let log = sessions.as_deref().map(|sessions| Log { sessions, transcripts: rawlog.is_some() });
    let mut compared = AgainstLog::default();
    let json = args.format == Format::Json;
    let (bytes, code) = match recorded {
        Recorded::Run(trace) => of_run(*trace, log, &mut compared, json),
        Recorded::Scenarios(all) => {
            let told = all.into_iter().map(|trace| of_scenario(trace, log, &mut compared, json));
            told.fold((Vec::new(), 0), |(mut all, worst), (bytes, code)| {
                if !all.is_empty() && !json {
                    all.push(b'\n');
                }
                all.extend(bytes);
                (all, worst.max(code))
            })
        }
    };
    if let Some((path, sessions)) = args.dovecot_log.as_deref().zip(sessions.as_deref())
        && let Some(why) = nothing_compared(&compared, sessions.len(), path, rawlog)
    {
        bail!("nothing could be compared: {why}");
    }
    Output::Stdout.write_whole(&bytes).context("writing the report")?;
    Ok(code)
}

/// Reads a run's or a scenario's file; `-` is standard input.
///
/// # Errors
/// It cannot be read, or is neither: one line.
pub fn recorded(file: &Path) -> Result<Recorded> {
    let (name, from): (_, Box<dyn Read>) = if file.as_os_str() == "-" {
        ("standard input".into(), Box::new(io::stdin().lock()))
    } else {
        let name = file.to_string_lossy();
        let opened = File::open(file).with_context(|| format!("cannot read {name}"))?;
        (name, Box::new(opened))
    };
    Recorded::read(from).with_context(|| format!("{name} cannot be read"))
}

/// What a server wrote down, read.
#[derive(Clone, Copy)]
struct Log<'a> {
    sessions: &'a [LoggedSession],
    /// Transcripts were to be read too.
    transcripts: bool,
}

fn of_run(trace: Trace, log: Option<Log<'_>>, compared: &mut AgainstLog, json: bool) -> (Vec<u8>, u8) {
    let mut verification = Verification::of(trace);
    if let Some(Log { sessions, transcripts }) = log {
        let against = Audit::against_log(verification.run(), sessions);
        compared.add(against.clone());
        verification.join(against, transcripts);
    }
    let bytes = match json {
        true => report::verification_json(&verification),
        false => report::verification_text(&verification).into_bytes(),
    };
    (bytes, verification.exit_code())
}

fn of_scenario(trace: ScenarioTrace, log: Option<Log<'_>>, compared: &mut AgainstLog, json: bool) -> (Vec<u8>, u8) {
    let mut verification = ScenarioVerification::of(trace);
    if let Some(Log { sessions, transcripts }) = log {
        let mut against = AgainstLog::default();
        verification.runs().for_each(|run| against.add(Audit::against_log(run, sessions)));
        compared.add(against.clone());
        verification.join(against, transcripts);
    }
    let bytes = match json {
        true => report::scenario_verification_json(&verification),
        false => report::scenario_verification_text(&verification).into_bytes(),
    };
    (bytes, verification.exit_code())
}

/// Why a server's record says nothing about the run, if it does not: then nothing is borne out by it.
fn nothing_compared(against: &AgainstLog, logged: usize, log: &Path, rawlog: Option<&Path>) -> Option<String> {
    let log = log.display();
    if !against.audit.holds() {
        None
    } else if logged == 0 {
        Some(format!("{log} shows no sign-in; it must be a Dovecot's log, set up as `mailconn verify --help` says"))
    } else if against.sessions == 0 {
        Some(format!(
            "none of the {} sessions of the run that signed in is among the {logged} of {log}; it is of another server \
             or of another time",
            against.signed_in
        ))
    } else {
        let rawlog = rawlog.filter(|_| against.transcripts == 0)?.display();
        Some(format!("{rawlog} has no transcript of any session of the run"))
    }
}
