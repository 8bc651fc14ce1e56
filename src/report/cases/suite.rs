//! A suite and its cases: how each went, and what there is to know of it.

use std::time::{Duration, SystemTime};

use crate::event::{Finding, Gated, Proof, Severity};
use crate::protocol::Endpoint;
use crate::report::table::verdict::{rules, witness};
use crate::report::words::{evidence, printable};

/// The cases of one run, scenario or comparison.
pub(in crate::report) struct Suite {
    pub(in crate::report) name: String,
    pub(in crate::report) started: SystemTime,
    /// What there is to know of it as a whole.
    pub(in crate::report) properties: Vec<(&'static str, String)>,
    pub(in crate::report) took: Duration,
    pub(in crate::report) cases: Vec<Case>,
}

/// A promise, and how it went.
pub(in crate::report) struct Case {
    pub(in crate::report) name: String,
    pub(in crate::report) how: How,
    pub(in crate::report) took: Option<Duration>,
}

/// How a case went.
pub(in crate::report) enum How {
    /// With what there is to know of it, or nothing.
    Held(String),
    /// It holds, though something of that severity was found.
    Found { severity: Severity, message: String, more: String },
    /// It was not judged.
    Skipped(String),
    /// It failed.
    Failed { kind: String, message: String, more: String },
    /// It is not known: the file ends too early.
    Cut(&'static str),
}

impl How {
    pub(super) fn failed(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Failed { kind: kind.into(), message: message.into(), more: String::new() }
    }

    pub(super) const fn held() -> Self {
        Self::Held(String::new())
    }
}

impl Suite {
    pub(super) fn new<const N: usize>(name: &str, started: SystemTime, properties: [(&'static str, &str); N]) -> Self {
        let properties = properties.map(|(name, value)| (name, printable(value))).into();
        Self { name: printable(name), started, properties, took: Duration::ZERO, cases: Vec::new() }
    }

    pub(super) fn add(&mut self, name: &str, how: How) -> &mut Case {
        self.cases.push(Case { name: printable(name), how, took: None });
        let last = self.cases.len() - 1;
        &mut self.cases[last]
    }

    /// The rules and the server's own record.
    pub(super) fn add_checked(&mut self, whose: &str, proof: Proof, is_probe: bool) {
        let (of, said) = (proof.rules, rules(proof.rules, is_probe));
        let how = match of.checked {
            0 => How::Skipped(said),
            all if of.held == all => How::Held(said),
            _ => How::failed("broken", said),
        };
        self.add(&format!("{whose}rules"), how);
        let (of, said) = (proof.witness, witness(proof.witness));
        let how = match (of.available, of.checked) {
            (false, _) | (_, 0) => How::Skipped(said),
            (true, all) if of.agreed == all => How::Held(said),
            _ => How::failed("broken", said),
        };
        self.add(&format!("{whose}the server's own record"), how);
    }

    pub(super) fn add_gates(&mut self, whose: &str, gates: &[Gated]) {
        for Gated { gate, sentence, failed, .. } in gates {
            let said = printable(sentence);
            let how = if *failed { How::failed("gate", said) } else { How::Held(said) };
            self.add(&format!("{whose}gate {gate}"), how);
        }
    }
}

/// The server, as names have it: without its account, and without a port, which may be another one each time.
pub(super) fn on(server: &str) -> String {
    Endpoint::parse(server, None).map_or_else(|_| server.to_owned(), |endpoint| endpoint.host)
}

/// What was found, with its evidence.
pub(super) fn finding(of: &Finding, fails: bool) -> How {
    let message = format!("{}: {}", of.severity.name(), printable(&of.sentence));
    let more: String = evidence(&of.evidence).map(|piece| format!("- {piece}\n")).collect();
    match fails {
        true => How::Failed { kind: of.severity.name().to_owned(), message, more },
        false => How::Found { severity: of.severity, message, more },
    }
}
