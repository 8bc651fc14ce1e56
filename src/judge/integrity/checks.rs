//! What is asked of a stored file, and what does not hold.

use std::collections::BTreeMap;

use crate::judge::Wrong;

/// A rule that a stored file is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name in every output.
    pub name: &'static str,
    /// What it says.
    pub says: &'static str,
}

macro_rules! rules {
    ($($id:ident $name:literal $says:literal)+) => {
        /// Every rule, in the order in which they are told of.
        pub const RULES: [Rule; [$($name),+].len()] = [$(Rule { name: $name, says: $says }),+];
        $(pub(in crate::judge) const $id: &str = $name;)+
    };
}

rules! {
    LINES "lines" "each line is one event, whole and understood, at its place in the file"
    SEQUENCE "sequence" "lines are numbered from 0, without a gap or a repeat"
    CLOCK "clock" "time goes forward, and the wall clock with it"
    TABLE "A1-A3, A7" "each operation ran on the connection that the table gives it, as one unit"
    WITNESS "witness" "the server's own record agrees, command by command"
    HEADER "header" "what was done is of the kind that was asked for"
    ASKED "asked" "each worker did as much as was asked of it, or said that it stopped"
    NUMBERS "numbers" "operations are numbered from 1, in the order of their ends"
    SWITCHES "M1" "the mode changed when it was to, and at no other time"
    THREADS "threads" "what one thread did, it did one after the other, in the time it had"
    CONNECTIONS "connections" "each connection was created, then disposed, once"
    SESSIONS "sessions" "each session was opened before its use, and ended once"
    DIALS "dials" "each dial was needed by one operation or creation, which says so"
    TAGS "tags" "the commands of a session follow each other without a hole"
    TURNS "turns" "a session served one operation at a time (A7)"
    BYTES "bytes" "a session carried at least what its commands take"
    REFUSALS "B4" "what the server refused is called what its own line means"
    OUTCOMES "outcomes" "an operation's outcome is one that its course allows"
    CAP "W2" "never more connections than --max-connections"
    LOG "server-log" "the server's log agrees, session by session"
    STEPS "steps" "each step of a scenario did what the record says, and was judged by that"
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
    /// The line of the file that breaks it, where it is one.
    pub line: Option<u64>,
    /// What should be, and what is there.
    pub sentence: String,
}

/// What checking came to.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    tested: BTreeMap<&'static str, Tested>,
    /// What does not hold: of each rule the first few.
    pub doubts: Vec<Doubt>,
    /// What does not hold unless a signal ended the run: whether one did is known at its end.
    unless_interrupted: Vec<Doubt>,
}

/// So many doubts of a rule are kept; how many there were its figures say.
const KEPT: u64 = 50;

impl Checks {
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

    /// Adds what others came to.
    pub fn add(&mut self, other: Self) {
        for (rule, tested) in other.tested {
            let sum = self.tested.entry(rule).or_default();
            sum.checked += tested.checked;
            sum.held += tested.held;
        }
        self.doubts.extend(other.doubts);
    }

    /// One check of a rule.
    pub(in crate::judge) fn check(
        &mut self,
        rule: &'static str,
        line: Option<u64>,
        holds: bool,
        sentence: impl FnOnce() -> String,
    ) {
        let tested = self.tested.entry(rule).or_default();
        tested.checked += 1;
        if holds {
            tested.held += 1;
        } else if tested.checked - tested.held <= KEPT {
            self.doubts.push(Doubt { rule, line, sentence: sentence() });
        }
    }

    /// What somebody else checked so often, and found broken so often: the first of it.
    pub(in crate::judge) fn told(
        &mut self,
        rule: &'static str,
        checked: u64,
        broken: u64,
        wrong: &[Wrong],
        line_of: impl Fn(u64) -> Option<u64>,
    ) {
        if checked.max(broken) > 0 {
            let tested = self.tested.entry(rule).or_default();
            tested.checked += checked.max(broken);
            tested.held += checked.saturating_sub(broken);
        }
        let doubt = |it: &Wrong| Doubt { rule, line: it.seq.and_then(&line_of), sentence: it.sentence.clone() };
        self.doubts.extend(wrong.iter().map(doubt));
    }
}
