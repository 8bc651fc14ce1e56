//! `--baseline`: an earlier run that gates compare with.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::stored::open;
use mailconn::event::{Anew, Baseline, RunStart};
use mailconn::judge::{Content, Earlier, Gate, Stored};

/// The earlier run, and the name of its file.
pub struct Against {
    name: String,
    earlier: Earlier,
}

impl Against {
    /// The run of that file, if those gates compare with one.
    ///
    /// # Errors
    /// They do and there is none, or they don't and there is one; or the file holds no run.
    pub fn of(file: Option<&Path>, gates: &[String]) -> Result<Option<Self>> {
        match (first_that_compares(gates), file) {
            (Some(gate), None) => bail!("{gate:?} compares with an earlier run: name its file with --baseline"),
            (None, Some(_)) => bail!(
                "--baseline is for gates on what has regressed, and there is none: add one, as in --fail-if \
                 'service.p95 regressed > 10%', or leave it out"
            ),
            (None, None) => Ok(None),
            (Some(_), Some(file)) => {
                let (name, from) = open(file).context("--baseline")?;
                let earlier = Earlier::read(from, gates).with_context(|| format!("--baseline {name}"))?;
                Ok(Some(Self { name, earlier }))
            }
        }
    }

    /// What those gates compare with, of a run that begins so.
    ///
    /// # Errors
    /// The runs are not to be compared.
    pub fn baseline(&self, start: &RunStart, gates: &[String]) -> Result<Baseline> {
        if let Some(differs) = self.earlier.differs(start).first() {
            let (name, what) = (&self.name, differs.what);
            bail!(
                "--baseline {name} is of another {what}: {}, and here it is {}; compare runs of one {what}",
                differs.one,
                differs.other
            );
        }
        Ok(self.earlier.baseline(gates))
    }

    /// The policy by which the stored run is judged anew, with what its gates compare with.
    ///
    /// # Errors
    /// The runs are not to be compared.
    pub fn anew(against: Option<&Self>, anew: &Anew, stored: &Stored) -> Result<Anew> {
        let (Some(against), Some(gates)) = (against, &anew.gates) else { return Ok(anew.clone()) };
        let Content::Run(run) = &stored.content else {
            bail!("--baseline compares runs, and that is a scenario's file")
        };
        let start = run.judge.known().start().context("the run never began")?;
        Ok(Anew { baseline: Some(against.baseline(start, gates)?), ..anew.clone() })
    }
}

/// The first gate that compares with an earlier run.
pub fn first_that_compares(gates: &[String]) -> Option<&String> {
    gates.iter().find(|gate| Gate::parse(gate).is_ok_and(|gate| gate.compares()))
}
