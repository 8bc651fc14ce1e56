//! `--baseline`: the earlier run that gates compare with.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::anonymize::Anonymize;
use super::stderr;
use super::stored::{identity, open_anonymous};
use mailconn::event::{Baseline, NewPolicy, RunStart, What};
use mailconn::judge::{Content, Differs, Earlier, Gate, Stored, Weight};

/// The file of the earlier run, once it was read.
pub struct BaselineFile {
    name: String,
    run: Earlier,
}

impl BaselineFile {
    /// Reads `file` if one of `gates` compares with an earlier run. What is compared with it has the same names in place of its own.
    ///
    /// # Errors
    /// A gate compares, and no file is named; a file is named, and no gate compares; the file does not hold one run.
    pub fn read(file: Option<&Path>, gates: &[String], anonymize: &Anonymize) -> Result<Option<Self>> {
        match (first_that_compares(gates), file) {
            (Some(gate), None) => {
                bail!("{gate:?} compares with an earlier run: name its file with --baseline (a scenario has none)")
            }
            (None, Some(_)) => bail!(
                "--baseline is for gates on what has regressed, and there is none: add one, as in --fail-if \
                 'service.p95 regressed > 10%', or leave it out"
            ),
            (None, None) => Ok(None),
            (Some(_), Some(file)) => {
                let (name, from) = open_anonymous(file, anonymize).context("--baseline")?;
                let run = Earlier::read(from, gates).with_context(|| format!("--baseline {name}"))?;
                if let Some(flaw) = run.flaw() {
                    bail!("--baseline {name}: {flaw}; name the file of a run that is there in full");
                }
                Ok(Some(Self { name, run }))
            }
        }
    }

    /// The figures that `gates` compare with, for the run that begins with `start`. What else differs, and what the baseline itself came to, is said
    /// on stderr.
    ///
    /// # Errors
    /// The runs are not to be compared.
    pub fn figures(&self, start: &RunStart, gates: &[String]) -> Result<Baseline> {
        let (name, differs) = (&self.name, self.run.differs(start));
        let of = |weight| differs.iter().filter(move |it| it.weight == weight).map(Differs::from_a_baseline);
        let refused: Vec<String> = of(Weight::Refused).collect();
        ensure!(refused.is_empty(), "--baseline {name}: {}; compare runs that are alike in this", refused.join("; "));
        let came_to = match self.run.exit_code() {
            Some(0) | None => None,
            Some(code @ (129 | 130 | 143)) => Some(format!("the baseline was interrupted (exit {code})")),
            Some(code) => Some(format!("the baseline itself failed (exit {code})")),
        };
        let told: Vec<String> = of(Weight::Told).chain(came_to).collect();
        if !told.is_empty() {
            stderr::complain(&format!("--baseline {name}: {}", told.join("; ")));
        }
        Ok(self.run.baseline(gates))
    }

    /// What the gates of `new` compare with, of a stored run or scenario that begins with this event; none if it does not.
    pub fn compare(&self, what: &What, new: &NewPolicy) -> Option<Result<Baseline>> {
        match what {
            What::RunStart(start) => Some(self.figures(start, new.gates.as_deref().unwrap_or_default())),
            What::ScenarioStart(_) => Some(Err(anyhow!("--baseline compares runs, and that is a scenario's file"))),
            What::ComparisonStart(_) => Some(Err(anyhow!("--baseline compares runs, and that is a comparison's file"))),
            _ => None,
        }
    }

    /// Adds the figures that the gates of `new` compare with, for the run of `stored`.
    ///
    /// # Errors
    /// `stored` is a scenario, or the two runs differ in a setting.
    pub fn add(file: Option<&Self>, mut new: NewPolicy, stored: &Stored) -> Result<NewPolicy> {
        if let (Some(file), Some(gates)) = (file, &new.gates) {
            let run = match &stored.content {
                Content::Run(run) => run,
                Content::Scenarios(_) => bail!("--baseline compares runs, and that is a scenario's file"),
                Content::Comparison(_) => bail!("--baseline compares runs, and that is a comparison's file"),
            };
            let start = run.judge.known().start().context("the run never began")?;
            new.baseline = Some(file.figures(start, gates)?);
        }
        Ok(new)
    }
}

/// A run does not replace its own baseline.
///
/// # Errors
/// It would.
pub fn no_baseline_of_its_own(baseline: Option<&Path>, output: Option<&Path>) -> Result<()> {
    let written = output.and_then(identity);
    match baseline.filter(|file| written.is_some() && identity(file) == written) {
        Some(same) => bail!("-o would replace {}, the baseline; name another file", same.display()),
        None => Ok(()),
    }
}

/// The first gate that compares with an earlier run.
pub fn first_that_compares(gates: &[String]) -> Option<&String> {
    gates.iter().find(|gate| Gate::parse(gate).is_ok_and(|gate| gate.compares()))
}
