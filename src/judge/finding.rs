//! What a finding is made of: who detects it, and what `explain` says of it.

use std::fmt::Debug;

use super::{Rules, Witness};
use crate::event::{Finding, Severity};
use crate::figures::{Refused, Summary};
use crate::ledger::{Analysis, Ledger};

/// The most pieces of evidence that a finding names; its count has all.
pub(super) const NAMED: usize = 5;

/// One finding that a run can have.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its stable name.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What `explain` says of it.
    pub article: Article,
    /// Makes who detects it.
    pub detector: fn() -> Box<dyn Detector>,
}

/// What `explain` says of a finding.
#[derive(Clone, Copy, Debug)]
pub struct Article {
    /// Its title, in one line, without its severity.
    pub title: &'static str,
    /// What it means.
    pub means: &'static str,
    /// What the detector says of sample values.
    pub example: fn() -> String,
    /// What to do about it.
    pub cure: &'static str,
    /// The rules behind it, by number.
    pub rules: &'static [&'static str],
    /// Public threads of people who met it: `owner/repository#number`.
    pub met: &'static [&'static str],
}

/// Detects one finding.
pub trait Detector: Analysis + Debug + Send {
    /// A dial was refused, and how many sessions were open to the server then is known for good.
    fn refused(&mut self, dial: &Refused, known: &Ledger) {
        let _ = (dial, known);
    }

    /// What was found so far.
    fn finding(&self, proven: &Proven<'_>) -> Option<Found>;

    /// What the refusals show of the server's limit on connections; none where it shows nothing of one.
    fn allowed(&self) -> Option<Allowed> {
        None
    }

    /// What could not be judged, and why.
    fn unjudged(&self) -> Option<String> {
        None
    }
}

/// The knowledge of the run that a detector words its finding with.
#[derive(Clone, Copy, Debug)]
pub struct Proven<'a> {
    /// What is true now.
    pub known: &'a Ledger,
    /// The figures.
    pub summary: &'a Summary,
    /// Whether the rules held.
    pub rules: &'a Rules,
    /// Whether the server's own record agrees.
    pub witness: &'a Witness,
}

/// What refusals show of a server's limit on connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// How many connections the server gave this client at once, and no more; none where the refusals do not show it.
    pub ours: Option<usize>,
    /// How many it allows by its own words.
    pub stated: Option<usize>,
    /// It refused without a word: that it counts is a guess.
    pub is_guessed: bool,
}

impl Allowed {
    /// What both show: the most that was given, and the least that was stated.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            ours: self.ours.max(other.ours),
            stated: self.stated.into_iter().chain(other.stated).min(),
            is_guessed: self.is_guessed && other.is_guessed,
        }
    }
}

/// What a detector found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// With figures, and the cure.
    pub sentence: String,
    /// Where.
    pub evidence: Evidence,
}

/// Pieces of evidence: how many, and the first of them in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// How many there were.
    pub count: u64,
    /// The first of them.
    pub named: Vec<String>,
}

impl Evidence {
    /// One more. `name` is asked only while there is room.
    pub fn add(&mut self, name: impl FnOnce() -> String) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(name());
        }
    }

    /// Adds what came after.
    pub fn join(&mut self, later: &Self) {
        self.count += later.count;
        self.named.extend(later.named.iter().take(NAMED.saturating_sub(self.named.len())).cloned());
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The finding, if there is any evidence of it.
    pub fn says(&self, sentence: impl FnOnce() -> String) -> Option<Found> {
        (!self.is_empty()).then(|| Found { sentence: sentence(), evidence: self.clone() })
    }
}

impl Extend<String> for Evidence {
    fn extend<I: IntoIterator<Item = String>>(&mut self, pieces: I) {
        pieces.into_iter().for_each(|piece| self.add(|| piece));
    }
}

impl Spec {
    /// That finding.
    #[must_use]
    pub fn found(&self, found: Found) -> Finding {
        let Found { sentence, evidence } = found;
        Finding {
            id: self.id.to_owned(),
            severity: self.severity,
            count: evidence.count,
            sentence,
            evidence: evidence.named,
        }
    }
}
