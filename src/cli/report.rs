//! `mailconn report`: a stored run, or stored scenarios, told again.

use anyhow::{Context, Result, ensure};

use super::args::{ReportArgs, ReportFormatArg};
use super::run::SCREENFUL;
use super::settings;
use super::verify::recorded;
use mailconn::report::{self, Recorded, ScenarioReport, ScenarioTrace, ScenarioVerification, Trace};

/// Reads the file, tells, and says with what code to exit.
///
/// # Errors
/// The file cannot be read, or is neither a run's nor a scenario's, or the report could not be written: one line.
pub fn report(args: &ReportArgs) -> Result<u8> {
    let json = args.format == ReportFormatArg::Json;
    ensure!(
        !(args.each && json),
        "--each is about the table: the JSON document counts operations, the file lists them"
    );
    let output = settings::output(args.output.as_deref())?;
    let bytes = match recorded(&args.file)? {
        Recorded::Run(trace) => of_run(*trace, args),
        Recorded::Scenarios(all) => of_scenarios(all, args)?,
    };
    output.write_whole(&bytes).context("writing the report")?;
    Ok(0)
}

fn of_run(trace: Trace, args: &ReportArgs) -> Vec<u8> {
    told_in_part(trace.is_whole(), trace.passed_over.as_deref());
    let Trace { run, report, .. } = trace;
    match args.format {
        ReportFormatArg::Table => {
            let each = if args.each { report::each(&run) } else { String::new() };
            let rows = (!args.each).then_some(SCREENFUL);
            (each + &report::table(&report, rows)).into_bytes()
        }
        ReportFormatArg::Json => report::json(&report),
    }
}

fn of_scenarios(all: Vec<ScenarioTrace>, args: &ReportArgs) -> Result<Vec<u8>> {
    ensure!(!args.each, "--each is about runs: a scenario lists what each step did");
    let passed_over = all.iter().find_map(|trace| trace.passed_over.as_deref());
    told_in_part(all.iter().all(ScenarioTrace::is_whole), passed_over);
    let all: Vec<ScenarioReport> = all.into_iter().map(|trace| ScenarioVerification::of(trace).report()).collect();
    Ok(match args.format {
        ReportFormatArg::Table => {
            let texts: Vec<String> = all.iter().map(ScenarioReport::text).collect();
            texts.concat().into_bytes()
        }
        ReportFormatArg::Json => report::scenarios_json(&all),
    })
}

/// Said of a file that was cut, or has lines that were passed over.
fn told_in_part(whole: bool, passed_over: Option<&str>) {
    if let Some(passed_over) = passed_over {
        super::complain(passed_over);
    }
    if !whole {
        super::complain("the file is not whole, or parts of it are not understood: mailconn verify says which");
    }
}
