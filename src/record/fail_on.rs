//! Which findings fail a run.

use crate::event::{Policy, Severity};

/// Which findings fail a run that nothing else fails: hazards, leaks and faults, unless it was told otherwise. A limit and
/// a broken invariant have conclusions of their own, whatever stands here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailOn {
    /// Mail can be read from, or written to, the wrong place.
    pub hazard: bool,
    /// A connection was left behind.
    pub leak: bool,
    /// A connection was discarded in the middle of a reply.
    pub fault: bool,
    /// It works, at more cost than it needs.
    pub advice: bool,
}

impl Default for FailOn {
    fn default() -> Self {
        Self { hazard: true, leak: true, fault: true, advice: false }
    }
}

impl FailOn {
    const fn holds(self, severity: Severity) -> bool {
        match severity {
            Severity::Hazard => self.hazard,
            Severity::Leak => self.leak,
            Severity::Fault => self.fault,
            Severity::Advice => self.advice,
            Severity::Broken | Severity::Limit => false,
        }
    }

    /// The same, as the stream has it.
    #[must_use]
    pub fn policy(self) -> Policy {
        Policy { fail_on: Severity::ALL.into_iter().filter(|severity| self.holds(*severity)).collect() }
    }

    /// And back.
    #[must_use]
    pub fn from_policy(policy: &Policy) -> Self {
        let fails = |severity| policy.fails_on(severity);
        Self {
            hazard: fails(Severity::Hazard),
            leak: fails(Severity::Leak),
            fault: fails(Severity::Fault),
            advice: fails(Severity::Advice),
        }
    }
}
