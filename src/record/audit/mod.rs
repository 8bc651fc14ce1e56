//! Can it have been so? A record that was changed afterwards, or lost a line, contradicts itself somewhere.
//!
//! Everything is taken from the [`Run`] alone. What each thread did is in its own order; a place is created, opened, used and
//! disposed; the tags of a session leave no hole: whoever takes one event out, puts one in or moves one has to change others
//! too. What the judge says of the two rules that any report rests on, the specification's table and the server's record, is
//! told beside it.

mod ledger;
mod log;
mod order;
mod refusals;
mod selections;
mod steps;
mod switches;

use std::collections::BTreeMap;

use super::run::Run;
use super::scenario::Scenario;
use crate::judge::{Judge, Wrong};

pub use log::{AgainstLog, LoggedSession};

/// A rule that a record is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name in every output.
    pub name: &'static str,
    /// What it says.
    pub says: &'static str,
}

macro_rules! rules {
    ($($(#[$doc:meta])* $id:ident $name:literal $says:literal)+) => {
        /// Every rule, in the order in which they are told of.
        pub const RULES: [Rule; [$($name),+].len()] = [$(Rule { name: $name, says: $says }),+];
        $($(#[$doc])* pub(crate) const $id: &str = $name;)+
    };
}

rules! {
    /// Of the file.
    LINES "lines" "each line is one event, whole and understood, at its place in the file"
    /// Of the file.
    SEQUENCE "sequence" "lines are numbered from 0, without a gap or a repeat"
    /// Of the file.
    CLOCK "clock" "time goes forward, and the wall clock with it"
    /// The specification's table.
    TABLE "A1-A3, A7" "each operation ran on the connection that the table gives it, as one unit"
    /// The server's record.
    WITNESS "witness" "the server's own record agrees, command by command"
    /// What was asked for.
    HEADER "header" "what was done is of the kind that was asked for"
    /// How much was asked for.
    ASKED "asked" "each worker did as much as was asked of it, or said that it stopped"
    /// Operations' numbers.
    NUMBERS "numbers" "operations are numbered from 1, in the order of their ends"
    /// The mode.
    SWITCHES "M1" "the mode changed when it was to, and at no other time"
    /// The order of each thread.
    THREADS "threads" "what one thread did, it did one after the other, in the time it had"
    /// Places.
    CONNECTIONS "connections" "each connection was created, then disposed, once"
    /// Sessions.
    SESSIONS "sessions" "each session was opened before its use, and ended once"
    /// Why sessions came to be.
    DIALS "dials" "each dial was needed by one operation or creation, which says so"
    /// Commands.
    TAGS "tags" "the commands of a session follow each other without a hole"
    /// Exclusive use.
    TURNS "turns" "a session served one operation at a time (A7)"
    /// Traffic.
    BYTES "bytes" "a session carried at least what its commands take"
    /// What a server's line means.
    REFUSALS "B4" "what the server refused is called what its own line means"
    /// Outcomes.
    OUTCOMES "outcomes" "an operation's outcome is one that its course allows"
    /// The cap.
    CAP "W2" "never more connections than --max-connections"
    /// A real server's log.
    LOG "server-log" "the server's log agrees, session by session"
    /// A scenario's steps.
    STEPS "steps" "each step of a scenario did what the record says, and was judged by that"
    /// What the file says of itself.
    RUN_END "run-end" "figures, findings and exit code are those that the events come to"
}

/// How often a rule was checked, and held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tested {
    /// Checked.
    pub checked: u64,
    /// Held.
    pub held: u64,
}

/// Something that cannot have been so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The name of the rule that it breaks.
    pub rule: &'static str,
    /// The entry that breaks it, by its `seq`, where it is one.
    pub entry: Option<u64>,
    /// What should be, and what is there.
    pub sentence: String,
}

/// What checking a record came to.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    tested: BTreeMap<&'static str, Tested>,
    /// What does not hold: of each rule the first few.
    pub doubts: Vec<Doubt>,
}

/// So many doubts of a rule are kept; how many there were its figures say.
const KEPT: u64 = 50;

impl Audit {
    /// What the judge of a run says of the two rules that any report rests on; doubts are of events, by their `seq`.
    #[must_use]
    pub fn judged(judge: &Judge) -> Self {
        let mut audit = Self::default();
        let (rules, witness) = (judge.rules(), judge.witness());
        audit.told(TABLE, rules.agreement.checked, rules.agreement.checked - rules.agreement.held, &rules.wrong);
        if witness.available {
            audit.told(WITNESS, witness.agreement.checked, witness.disagreements, &witness.wrong);
        }
        audit
    }

    /// Checks a record against every other rule that a record alone can be checked against.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        let mut audit = Self::default();
        order::check(run, &mut audit);
        refusals::check(run, &mut audit);
        switches::check(run, &mut audit);
        ledger::check(run, &mut audit);
        selections::check(run, &mut audit);
        audit
    }

    /// Checks what a scenario's steps say against the records of its clients; doubts are of a step, by its place.
    #[must_use]
    pub fn of_steps(scenario: &Scenario) -> Self {
        let mut audit = Self::default();
        steps::check(scenario, &mut audit);
        audit
    }

    /// The same, of entries that have other numbers elsewhere.
    #[must_use]
    pub fn renumbered(mut self, elsewhere: impl Fn(u64) -> u64) -> Self {
        for doubt in &mut self.doubts {
            doubt.entry = doubt.entry.map(&elsewhere);
        }
        self
    }

    /// How often each rule was checked, in the order of [`RULES`]; those that had nothing to check are left out.
    pub fn tested(&self) -> impl Iterator<Item = (Rule, Tested)> {
        RULES.into_iter().filter_map(|rule| self.tested.get(rule.name).map(|tested| (rule, *tested)))
    }

    /// How often that rule was checked.
    #[must_use]
    pub fn of_rule(&self, name: &str) -> Tested {
        self.tested.get(name).copied().unwrap_or_default()
    }

    /// Whether all of it held.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.tested.values().all(|tested| tested.checked == tested.held)
    }

    /// Adds what another one found.
    pub fn add(&mut self, other: Self) {
        for (rule, tested) in other.tested {
            let sum = self.tested.entry(rule).or_default();
            sum.checked += tested.checked;
            sum.held += tested.held;
        }
        self.doubts.extend(other.doubts);
    }

    /// One check of a rule.
    pub(crate) fn check(
        &mut self,
        rule: &'static str,
        entry: Option<u64>,
        holds: bool,
        sentence: impl FnOnce() -> String,
    ) {
        let tested = self.tested.entry(rule).or_default();
        tested.checked += 1;
        if holds {
            tested.held += 1;
        } else if tested.checked - tested.held <= KEPT {
            self.doubts.push(Doubt { rule, entry, sentence: sentence() });
        }
    }

    /// What somebody else checked so often, and found broken so often: the first of it.
    fn told(&mut self, rule: &'static str, checked: u64, broken: u64, wrong: &[Wrong]) {
        if checked.max(broken) > 0 {
            let tested = self.tested.entry(rule).or_default();
            tested.checked += checked.max(broken);
            tested.held += checked.saturating_sub(broken);
        }
        let doubt = |wrong: &Wrong| Doubt { rule, entry: wrong.seq, sentence: wrong.sentence.clone() };
        self.doubts.extend(wrong.iter().map(doubt));
    }
}
