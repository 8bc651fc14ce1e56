//! The lines of a comparison that are its own: its start and its end. Its runs stand between, each a whole stream with its
//! variant and its round in the envelope, one after the other.

use std::time::SystemTime;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::Wall;
use super::end::{Gated, Policy};
use super::micros::Micros;
use crate::protocol::Protocol;

/// The round that warms up: it is told, and counts for nothing.
pub const WARM_UP: u32 = 0;

/// A comparison begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparisonStart {
    /// The version of the lines' form: 6.
    pub schema_version: u32,
    /// The version of mailconn that ran it.
    pub tool_version: String,
    /// When it began, to the microsecond; the times of its own events count from here, those of a run from the run's start.
    #[serde(with = "Wall")]
    pub started: SystemTime,
    /// The server, without secrets.
    pub server: String,
    /// What was spoken.
    pub protocol: Protocol,
    /// What was compared, in the order in which it was named; two at least.
    pub variants: Vec<Variant>,
    /// The name of the variant that the others are compared with.
    pub reference: String,
    /// Rounds asked for, without the one that warms up.
    pub rounds: u32,
    /// Decides the order within each round, and every choice of the runs.
    pub seed: u64,
    /// The metric that carries the verdict: `operations_per_second`.
    pub metric: String,
    /// Other metrics that each run is read for: those of the gates. What fails a comparison its end says, and who reads the
    /// stream has let go of its runs by then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<String>,
    /// Differences so small are none: 0.03 for 3 %.
    pub noise: f64,
    /// The rest between two runs.
    pub pace_us: Micros,
    /// The time for all of it; none without a bound.
    pub bound_us: Option<Micros>,
    /// The most sign-ins that it may make, where it is on a server that is not its own: dials, where nobody signs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_sign_ins: Option<u64>,
}

/// A way to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Variant {
    /// What it is called, in figures and in verdicts; no two are called alike.
    pub name: String,
    /// As it was given: `use-default -t 4`.
    pub arguments: String,
}

/// A comparison is over: what it came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparisonEnd {
    /// From its start to its end.
    pub elapsed_us: Micros,
    /// Whole rounds, without the one that warms up: the verdicts are of these.
    pub rounds: u32,
    /// Why it ended before all rounds were done; none if all were.
    pub stopped: Option<Stopped>,
    /// The number of the signal that ended it early.
    pub interrupted: Option<i32>,
    /// One for each variant but the reference, in the order of the variants.
    pub verdicts: Vec<ComparisonVerdict>,
    /// What its gates came to, in the order of `judged_by`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gated>,
    /// What the exit code was decided by.
    pub judged_by: Policy,
    /// What the process exited with.
    pub exit_code: u8,
}

/// How a comparison ended, before anybody judges it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComparisonEnding {
    /// From its start to its end.
    pub elapsed: Micros,
    /// The number of the signal that ended it early.
    pub interrupted: Option<i32>,
    /// Why it ended before all rounds were done.
    pub stopped: Option<Stopped>,
}

impl ComparisonEnd {
    /// How it ended.
    #[must_use]
    pub fn ending(&self) -> ComparisonEnding {
        ComparisonEnding { elapsed: self.elapsed_us, interrupted: self.interrupted, stopped: self.stopped.clone() }
    }
}

/// Why a comparison ended before all its rounds were done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stopped {
    /// Why.
    pub why: WhyStopped,
    /// The variant whose run it was, where it was one's.
    pub variant: Option<String>,
    /// In that round.
    pub round: u32,
}

/// What ends a comparison early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhyStopped {
    /// The server's limit was met.
    Limit,
    /// A sign-in was refused (rule B6).
    SignIn,
    /// The time for all of it was over.
    Time,
    /// All sign-ins that it may make were made.
    SignIns,
    /// A signal.
    Signal,
    /// A run could not be done to its end: nothing that follows would be comparable.
    Failed,
}

/// How a variant compares with the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparisonVerdict {
    /// Which variant.
    pub variant: String,
    /// What comes of it.
    pub decision: Decision,
    /// Rounds that could be compared: in the others one of the two has no such figure, or neither did anything.
    pub rounds: u32,
    /// How many times the reference's figure its own is: the Hodges-Lehmann median of the rounds. None without a
    /// round, and where it is infinite, since the reference's figure is 0.
    pub ratio: Option<Number>,
    /// The bounds of its interval, at `level`. None with too few rounds, and where they are infinite.
    pub low: Option<Number>,
    /// The upper one.
    pub high: Option<Number>,
    /// The confidence of the interval: 0.99 for one comparison.
    pub level: Number,
    /// The smallest difference that these rounds could have shown, where nothing could be told: 0.08 for 8 %.
    pub could_show: Option<Number>,
    /// How many more rounds would have shown one as small as the noise allows, where nothing could be told and a number would.
    pub more_rounds: Option<u32>,
}

/// What a comparison with the reference comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Better by more than the noise.
    DifferentBetter,
    /// Worse by more than the noise.
    DifferentWorse,
    /// No difference beyond the noise.
    Same,
    /// These rounds do not tell.
    CannotTell,
}

impl Decision {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::DifferentBetter, Self::DifferentWorse, Self::Same, Self::CannotTell];

    /// `different-better`, `different-worse`, `same`, `cannot-tell`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DifferentBetter => "different-better",
            Self::DifferentWorse => "different-worse",
            Self::Same => "same",
            Self::CannotTell => "cannot-tell",
        }
    }
}
