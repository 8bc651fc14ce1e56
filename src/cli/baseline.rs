//! `--baseline`: the earlier run that gates compare with.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::stored::open;
use mailconn::event::{Baseline, NewPolicy, RunStart};
use mailconn::judge::{Content, Earlier, Gate, Stored};

/// The file of the earlier run, once it was read.
pub struct BaselineFile {
    name: String,
    run: Earlier,
}

impl BaselineFile {
    /// Reads `file` if one of `gates` compares with an earlier run.
    ///
    /// # Errors
    /// A gate compares, and no file is named; a file is named, and no gate compares; the file does not hold one run.
    pub fn read(file: Option<&Path>, gates: &[String]) -> Result<Option<Self>> {
        match (first_that_compares(gates), file) {
            (Some(gate), None) => bail!("{gate:?} compares with an earlier run: name its file with --baseline"),
            (None, Some(_)) => bail!(
                "--baseline is for gates on what has regressed, and there is none: add one, as in --fail-if \
                 'service.p95 regressed > 10%', or leave it out"
            ),
            (None, None) => Ok(None),
            (Some(_), Some(file)) => {
                let (name, from) = open(file).context("--baseline")?;
                let run = Earlier::read(from, gates).with_context(|| format!("--baseline {name}"))?;
                Ok(Some(Self { name, run }))
            }
        }
    }

    /// The figures that `gates` compare with, for the run that begins with `start`.
    ///
    /// # Errors
    /// The two runs differ in a setting.
    pub fn figures(&self, start: &RunStart, gates: &[String]) -> Result<Baseline> {
        if let Some(differs) = self.run.differs(start).first() {
            let (name, what) = (&self.name, differs.what);
            bail!(
                "--baseline {name} is of another {what}: {}, and here it is {}; compare runs of one {what}",
                differs.one,
                differs.other
            );
        }
        Ok(self.run.baseline(gates))
    }

    /// Adds the figures that the gates of `new` compare with, for the run of `stored`.
    ///
    /// # Errors
    /// `stored` is a scenario, or the two runs differ in a setting.
    pub fn add(file: Option<&Self>, mut new: NewPolicy, stored: &Stored) -> Result<NewPolicy> {
        if let (Some(file), Some(gates)) = (file, &new.gates) {
            let Content::Run(run) = &stored.content else {
                bail!("--baseline compares runs, and that is a scenario's file")
            };
            let start = run.judge.known().start().context("the run never began")?;
            new.baseline = Some(file.figures(start, gates)?);
        }
        Ok(new)
    }
}

/// The first gate that compares with an earlier run.
pub fn first_that_compares(gates: &[String]) -> Option<&String> {
    gates.iter().find(|gate| Gate::parse(gate).is_ok_and(|gate| gate.compares()))
}
