//! `mailconn verify`: can what a run's file, or a scenario's, says have been so?

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::args::VerifyArgs;
use super::baseline::BaselineFile;
use super::stored::{gates_fit, open};
use super::{dovecot_log, settings};
use mailconn::event::What;
use mailconn::judge::{AgainstLog, LoggedSession, OurSessions, Passing, Stored, Verification};
use mailconn::report::{Format, Layout, Output, verification_json, verification_text};

/// Checks the file, tells, and says with what code to exit.
///
/// # Errors
/// It cannot be read, or is neither a run's file nor a scenario's, or the report could not be written: one line.
pub fn verify(args: &VerifyArgs, layout: Layout) -> Result<u8> {
    let of_stdin = [Some(&args.trace), args.baseline.baseline.as_ref()].into_iter().flatten();
    ensure!(of_stdin.filter(|file| file.as_os_str() == "-").count() <= 1, "- is standard input, and can be read once");
    let new = settings::new_policy(&args.fail_on, &args.gates)?;
    let baseline = BaselineFile::read(args.baseline.baseline.as_deref(), new.gates.as_deref().unwrap_or_default())?;
    let rawlog = args.rawlog.as_deref();
    let read = |log: &Path| {
        let read = dovecot_log::read(log, rawlog);
        read.with_context(|| format!("reading the server's log {}", log.display()))
    };
    let logged = args.dovecot_log.as_deref().map(read).transpose()?;
    // A scenario's clients have one after the other.
    let mut ours: Vec<OurSessions> = Vec::new();
    let (name, from) = open(&args.trace)?;
    let mut fit = Ok(());
    let stored = Stored::read_for(from, &new, |Passing { line, within, event }| {
        if fit.is_ok() {
            fit = gates_fit(&event.what, within, &new);
        }
        if logged.is_some() {
            if matches!(event.what, What::RunStart(_)) {
                ours.push(OurSessions::default());
            }
            ours.last_mut().into_iter().for_each(|ours| ours.see(line, event));
        }
    });
    let stored = stored.with_context(|| format!("{name} cannot be read"))?;
    fit.with_context(|| name.clone())?;
    let log = logged.as_deref().map(|logged| against(ours, logged, rawlog.is_some()));
    if let Some((log, path)) = log.as_ref().zip(args.dovecot_log.as_deref())
        && let Some(why) = nothing_compared(log, logged.as_deref().unwrap_or_default(), path, rawlog)
    {
        bail!("nothing could be compared: {why}");
    }
    let new = BaselineFile::add(baseline.as_ref(), new, &stored)?;
    let verification = Verification::of(stored, &new, log);
    let bytes = match args.format == Format::Json {
        true => verification_json(&verification),
        false => verification_text(layout, &verification).into_bytes(),
    };
    Output::Stdout.write_whole(&bytes).context("writing the report")?;
    Ok(verification.exit_code())
}

fn against(ours: Vec<OurSessions>, logged: &[LoggedSession], with_transcripts: bool) -> AgainstLog {
    let mut all = AgainstLog { with_transcripts, ..AgainstLog::default() };
    ours.into_iter().for_each(|ours| all.add(ours.against(logged)));
    all
}

/// Why a server's record says nothing about the run, if it does not: then nothing is borne out by it.
fn nothing_compared(
    against: &AgainstLog,
    logged: &[LoggedSession],
    log: &Path,
    rawlog: Option<&Path>,
) -> Option<String> {
    let log = log.display();
    if !against.checks.holds() || against.signed_in == 0 {
        None
    } else if logged.is_empty() {
        Some(format!("{log} shows no sign-in; it must be a Dovecot's log, set up as `mailconn verify --help` says"))
    } else if against.sessions == 0 && logged.iter().all(|it| it.port.is_none() && it.run_id.is_none()) {
        Some(format!(
            "the sign-ins in {log} name neither their port nor their run; it must be set up as `mailconn verify --help` says"
        ))
    } else if against.sessions == 0 {
        Some(format!(
            "none of the {} sessions of the run that signed in is among the {} of {log}; it is of another server or of \
             another time",
            against.signed_in,
            logged.len()
        ))
    } else {
        let rawlog = rawlog.filter(|_| against.transcripts == 0)?.display();
        Some(format!("{rawlog} has no transcript of any session of the run"))
    }
}
