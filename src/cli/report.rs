//! `mailconn report`: stored runs and scenarios, told again.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::anonymize::Anonymize;
use super::args::ReportArgs;
use super::baseline::{BaselineFile, no_baseline_of_its_own};
use super::destinations;
use super::settings;
use super::stored::{gates_fit, open, open_anonymous};
use mailconn::event::{Baseline, Event, NewPolicy, PassedOver, What, Within};
use mailconn::judge::{Content, Passing, Stored, StoredComparison, StoredRun, StoredScenario, first_of};
use mailconn::report::{ComparisonReport, Format, Layout, Output, RunReport, ScenarioReport, Telling, Told};

/// Reads the files, tells of them in their order, and returns the exit code.
///
/// Each file is told of by itself: the shards of one run become one report when streams can be merged.
///
/// # Errors
/// A file cannot be read, or is neither a run's nor a scenario's, or the report could not be written: one line.
pub fn report(args: &ReportArgs, layout: Layout) -> Result<u8> {
    let destinations = destinations::destinations(&args.output, layout)?;
    let aside = !destinations::are_seen(&destinations);
    ensure!(
        !args.each || destinations::include(&destinations, Format::Table),
        "--each is about the table: --format ndjson holds every operation, --format json counts them"
    );
    ensure!(
        !destinations::include(&destinations, Format::Ndjson) || args.files.len() == 1,
        "--format ndjson tells one FILE again: a stream holds one run"
    );
    for written in destinations::files(&args.output) {
        no_baseline_of_its_own(args.baseline.baseline.as_deref(), Some(written))?;
    }
    destinations::replace_none_of(&args.files, "to be told", &args.output)?;
    let of_stdin = args.files.iter().chain(&args.baseline.baseline).filter(|file| file.as_os_str() == "-").count();
    ensure!(of_stdin <= 1, "- is standard input, and can be read once");
    let new = settings::new_policy(&args.fail_on, &args.gates)?;
    let anonymize = Anonymize::of_stored(args.output.anonymize);
    let gates = new.gates.as_deref().unwrap_or_default();
    let baseline = BaselineFile::read(args.baseline.baseline.as_deref(), gates, &anonymize)?;
    let tellings = destinations.into_iter().map(|it| OneRetelling {
        telling: it.format.telling(args.each, it.layout),
        output: it.output,
        out: None,
        written: Ok(()),
    });
    let mut retelling = Retelling { tellings: tellings.collect(), unknown: None, reasons: Vec::new() };
    args.files.iter().try_for_each(|file| is_there(file))?;
    let mut exit_code = 0;
    for file in &args.files {
        let code = tell(&mut retelling, file, (args, &anonymize), &new, baseline.as_ref())?;
        exit_code = first_of(exit_code, code);
    }
    let reasons = std::mem::take(&mut retelling.reasons);
    let unknown = retelling.unknown.take();
    retelling.end()?;
    // Say the reason of the exit code, if the report does not say it to a person.
    reasons.iter().filter(|_| aside).for_each(|reason| super::stderr::complain(reason));
    if let Some(name) = unknown.filter(|_| exit_code == 0) {
        bail!("{name} is not whole, so --fail-on cannot pass it, nor can a gate: what it came to is not known");
    }
    Ok(exit_code)
}

/// Nothing is told if one of the files is not there to be read. What is no regular file can be opened once.
fn is_there(file: &Path) -> Result<()> {
    if file.as_os_str() == "-" {
        return Ok(());
    }
    let name = file.display();
    let kind = fs::metadata(file).with_context(|| format!("cannot read {name}"))?;
    ensure!(!kind.is_dir(), "cannot read {name}: it is a directory");
    if kind.is_file() { open(file).map(drop) } else { Ok(()) }
}

/// Tells of one file. Returns its exit code by a new policy; 0 if there is none.
fn tell(
    retelling: &mut Retelling,
    file: &Path,
    (args, anonymize): (&ReportArgs, &Anonymize),
    new: &NewPolicy,
    baseline: Option<&BaselineFile>,
) -> Result<u8> {
    let (name, from) = open_anonymous(file, anonymize)?;
    let mut compared: Option<Result<Baseline>> = None;
    let mut fit = Ok(());
    let stored = Stored::read_for(from, new, |Passing { within, event, .. }| {
        if fit.is_ok() {
            fit = gates_fit(&event.what, within, new);
        }
        if fit.is_err() {
            return;
        }
        // What may not be compared replaces no file.
        if let Some(baseline) = baseline.filter(|_| compared.is_none()) {
            compared = baseline.compare(&event.what, new);
        }
        if matches!(compared, Some(Err(_))) {
            return;
        }
        if !(args.each && matches!(event.what, What::ScenarioStart(_) | What::Step(_))) {
            retelling.see(within, event);
        }
    });
    let stored = stored.with_context(|| format!("{name} cannot be read"))?;
    fit.with_context(|| name.clone())?;
    let new = &match compared {
        Some(figures) => NewPolicy { baseline: Some(figures?), ..new.clone() },
        None => new.clone(),
    };
    let kind = match stored.content {
        Content::Run(_) => None,
        Content::Scenarios(_) => Some("a scenario lists what each step did"),
        Content::Comparison(_) => Some("of a comparison's runs only --format ndjson holds each operation"),
    };
    if let Some(instead) = kind.filter(|_| args.each) {
        bail!("--each is about runs: {instead}");
    }
    let whose = if args.files.len() > 1 { format!("{name}: ") } else { String::new() };
    told_in_part(&stored, &whose);
    let is_whole = stored.is_whole() && !stored.content.is_partial();
    let told: Vec<Told> = match stored.content {
        Content::Run(run) => of_run(&run, new).map(|run| Told::Run(Box::new(run))).into_iter().collect(),
        Content::Scenarios(all) => {
            all.into_iter().map(|scenario| Told::Scenario(Box::new(of_scenario(scenario, new)))).collect()
        }
        Content::Comparison(comparison) => vec![Told::Comparison(Box::new(of_comparison(*comparison, new)))],
    };
    let codes: Vec<Option<u8>> = told.iter().map(Told::exit_code).collect();
    let reasons: Vec<String> = told.iter().filter_map(Told::reason).map(|why| format!("{whose}{why}")).collect();
    told.iter().flat_map(Told::undecided).for_each(|it| super::stderr::complain(&format!("{whose}{it}")));
    told.iter().for_each(|told| retelling.over(told));
    if new.is_none() {
        return Ok(0);
    }
    retelling.reasons.extend(reasons);
    if !is_whole || codes.is_empty() || codes.contains(&None) {
        retelling.unknown.get_or_insert(name);
    }
    Ok(codes.into_iter().flatten().fold(0, first_of))
}

/// The run's report, judged so. The file is believed. None if the run never began.
fn of_run(run: &StoredRun, new: &NewPolicy) -> Option<RunReport> {
    let report = RunReport::of(&run.judge, new.over(run.policy()))?;
    Some(RunReport { told_again: new.is_none(), ..report })
}

fn of_scenario(scenario: StoredScenario, new: &NewPolicy) -> ScenarioReport {
    let policy = new.over(scenario.policy());
    let (end, runs) = scenario.comes_to(&scenario.summaries(), &policy);
    let end = scenario.end.is_some().then_some(end);
    let proofs = runs.into_iter().map(|(verdict, _)| verdict.proof).collect();
    let steps = scenario.steps.into_iter().map(|(_, step)| step).collect();
    ScenarioReport { start: *scenario.start, steps, proofs, end, told_again: new.is_none() }
}

fn of_comparison(stored: StoredComparison, new: &NewPolicy) -> ComparisonReport {
    let policy = new.over(stored.policy());
    let ending = stored.end.as_ref().map(|end| end.ending()).unwrap_or_default();
    let report = ComparisonReport::new(stored.judged().clone(), &ending, &policy);
    ComparisonReport { ended: stored.end.is_some(), told_again: new.is_none(), ..report }
}

/// Says that a file was cut, or has lines that were passed over.
fn told_in_part(stored: &Stored, whose: &str) {
    let PassedOver { count, names } = &stored.passed_over;
    if *count > 0 {
        let names = names.join(", ");
        let were = if *count == 1 { "addition of a later version was" } else { "additions of a later version were" };
        super::stderr::complain(&format!("{whose}{count} {were} passed over: {names}"));
    }
    if stored.content.is_partial() {
        super::stderr::complain(&format!(
            "{whose}events are in words of a later version, and the report is of the others alone: let that version tell it"
        ));
    }
    if !stored.is_whole() {
        super::stderr::complain(&format!(
            "{whose}the file is not whole, or parts of it are not understood: mailconn verify says which"
        ));
    }
}

/// Writes the reports.
struct Retelling {
    tellings: Vec<OneRetelling>,
    /// Why what is judged anew comes to other codes than 0.
    reasons: Vec<String>,
    /// The first file that does not say all that its run or scenario came to.
    unknown: Option<String>,
}

/// Writes one report. A stream's output is opened with its first line, so that an unreadable FILE replaces no file.
struct OneRetelling {
    telling: Telling,
    output: Output,
    out: Option<BufWriter<Box<dyn Write + Send>>>,
    /// The result of the writes before.
    written: io::Result<()>,
}

impl Retelling {
    fn see(&mut self, within: Within<'_>, event: &Event) {
        self.tellings.iter_mut().for_each(|one| one.see(within, event));
    }

    fn over(&mut self, told: &Told) {
        self.tellings.iter_mut().for_each(|one| one.over(told));
    }

    /// Writes the rest. A reader that went away is no failure.
    fn end(self) -> Result<()> {
        self.tellings.into_iter().map(OneRetelling::end).fold(Ok(()), Result::and)
    }
}

impl OneRetelling {
    fn see(&mut self, within: Within<'_>, event: &Event) {
        let text = self.telling.see(within, [event]);
        self.write(&text);
    }

    fn over(&mut self, told: &Told) {
        let text = self.telling.over(told);
        self.write(&text);
    }

    fn write(&mut self, text: &[u8]) {
        if !text.is_empty() && self.written.is_ok() {
            self.written = self.opened().and_then(|out| out.write_all(text));
        }
    }

    fn opened(&mut self) -> io::Result<&mut impl Write> {
        let opened = match self.out.take() {
            Some(out) => out,
            None => BufWriter::new(self.output.stream()?),
        };
        Ok(self.out.insert(opened))
    }

    fn end(self) -> Result<()> {
        let Self { telling, output, out, written } = self;
        let written = written.and_then(|()| telling.end()).and_then(|rest| match out {
            Some(mut out) => out.write_all(&rest).and_then(|()| out.flush()),
            None => output.write_whole(&rest),
        });
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.with_context(|| output.writing()),
        }
    }
}
