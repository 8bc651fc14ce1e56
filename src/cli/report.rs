//! `mailconn report`: stored runs and scenarios, told again.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::args::ReportArgs;
use super::baseline::Against;
use super::settings;
use super::stored::open;
use mailconn::event::{Anew, Event, What};
use mailconn::judge::{Content, Passing, Stored, StoredRun, StoredScenario, first_of};
use mailconn::report::{Format, Output, RunReport, ScenarioReport, Telling, Told};

/// What failed, if the report could not be written.
const WRITING: &str = "writing the report";

/// Reads the files, tells of them in their order, and returns the exit code.
///
/// Each file is told of by itself: the shards of one run become one report when streams can be merged.
///
/// # Errors
/// A file cannot be read, or is neither a run's nor a scenario's, or the report could not be written: one line.
pub fn report(args: &ReportArgs) -> Result<u8> {
    ensure!(
        !args.each || args.format == Format::Table,
        "--each is about the table: --format ndjson holds every operation, --format json counts them"
    );
    ensure!(
        args.files.iter().filter(|file| file.as_os_str() == "-").count() <= 1,
        "- is standard input, and can be read once"
    );
    let written = args.output.as_deref().and_then(identity);
    if let Some(same) = args.files.iter().find(|file| written.is_some() && identity(file) == written) {
        bail!("-o would replace {}, which is to be told; name another file", same.display());
    }
    let anew = settings::judged_anew(&args.fail_on, &args.gates)?;
    let against = Against::of(args.baseline.baseline.as_deref(), anew.gates.as_deref().unwrap_or_default())?;
    let output = settings::output(args.output.as_deref())?;
    let mut teller = Teller { telling: args.format.telling(args.each), output, out: None, written: Ok(()), cut: None };
    let mut exit_code = 0;
    for file in &args.files {
        let code = tell(&mut teller, file, args, &anew, against.as_ref())?;
        exit_code = first_of(exit_code, code);
    }
    let cut = teller.cut.take();
    teller.end().context(WRITING)?;
    if let Some(name) = cut.filter(|_| exit_code == 0) {
        bail!("{name} is cut, so --fail-on cannot pass it, nor can a gate: what it came to is not known");
    }
    Ok(exit_code)
}

/// Which regular file the name stands for, by whatever links: its device and its number there.
fn identity(file: &Path) -> Option<(u64, u64)> {
    fs::metadata(file).ok().filter(fs::Metadata::is_file).map(|file| (file.dev(), file.ino()))
}

/// Tells of one file. Returns its exit code where it is judged anew, else 0.
fn tell(teller: &mut Teller, file: &Path, args: &ReportArgs, anew: &Anew, against: Option<&Against>) -> Result<u8> {
    let (name, from) = open(file)?;
    let stored = Stored::read(from, |Passing { client, event, .. }| {
        if !(args.each && matches!(event.what, What::ScenarioStart(_) | What::Step(_))) {
            teller.see(client, event);
        }
    });
    let stored = stored.with_context(|| format!("{name} cannot be read"))?;
    let anew = &Against::anew(against, anew, &stored)?;
    let is_scenario = matches!(stored.content, Content::Scenarios(_));
    ensure!(!(args.each && is_scenario), "--each is about runs: a scenario lists what each step did");
    let whose = if args.files.len() > 1 { format!("{name}: ") } else { String::new() };
    told_in_part(&stored, &whose);
    let told: Vec<Told> = match stored.content {
        Content::Run(run) => of_run(&run, anew).map(|run| Told::Run(Box::new(run))).into_iter().collect(),
        Content::Scenarios(all) => {
            all.into_iter().map(|scenario| Told::Scenario(Box::new(of_scenario(scenario, anew)))).collect()
        }
    };
    let mut exit_code = 0;
    for told in told {
        match told.exit_code() {
            Some(code) if !anew.is_none() => exit_code = first_of(exit_code, code),
            None if !anew.is_none() => teller.cut = teller.cut.take().or_else(|| Some(name.clone())),
            _ => {}
        }
        teller.over(told);
    }
    Ok(exit_code)
}

/// The run's report, judged so. The file is believed. None if the run never began.
fn of_run(run: &StoredRun, anew: &Anew) -> Option<RunReport> {
    RunReport::of(&run.judge, anew.of(run.policy()))
}

fn of_scenario(scenario: StoredScenario, anew: &Anew) -> ScenarioReport {
    let policy = anew.of(scenario.policy());
    let end = scenario.end.is_some().then(|| scenario.comes_to(&policy));
    let proofs = scenario.clients.iter().map(|(_, run)| run.comes_to(&policy).0.proof).collect();
    let steps = scenario.steps.into_iter().map(|(_, step)| step).collect();
    ScenarioReport { start: *scenario.start, steps, proofs, end }
}

/// Says that a file was cut, or has lines that were passed over.
fn told_in_part(stored: &Stored, whose: &str) {
    if stored.passed_over > 0 {
        let (count, names) = (stored.passed_over, stored.passed_over_names.join(", "));
        let were = if count == 1 { "addition of a later version was" } else { "additions of a later version were" };
        super::stderr::complain(&format!("{whose}{count} {were} passed over: {names}"));
    }
    if !stored.is_whole() {
        super::stderr::complain(&format!(
            "{whose}the file is not whole, or parts of it are not understood: mailconn verify says which"
        ));
    }
}

/// Writes the report. A stream's output is opened with its first line, so that an unreadable FILE replaces no file.
struct Teller {
    telling: Telling,
    output: Output,
    out: Option<BufWriter<Box<dyn Write + Send>>>,
    /// The first file that ends before its run or scenario does.
    cut: Option<String>,
    /// The result of the writes before.
    written: io::Result<()>,
}

impl Teller {
    fn see(&mut self, client: Option<&str>, event: &Event) {
        let text = self.telling.see(client, [event]);
        self.write(&text);
    }

    fn over(&mut self, told: Told) {
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

    /// Writes the rest. A reader that went away is no failure.
    fn end(self) -> io::Result<()> {
        let text = self.telling.end()?;
        let written = match (self.written, self.out) {
            (Ok(()), Some(mut out)) => out.flush(),
            (Ok(()), None) => self.output.write_whole(&text),
            (written, _) => written,
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }
}
