//! What is asked of a stored file, and what does not hold.

use std::mem::take;

use crate::judge::Wrong;

macro_rules! rules {
    ($($rule:ident $name:literal $says:literal)+) => {
        /// A rule that a stored file is checked against.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Rule {
            $(#[doc = $says] $rule,)+
        }

        impl Rule {
            /// Every rule, in the order in which they are told of.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$rule),+];

            /// Its name in every output.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$rule => $name,)+
                }
            }

            /// What it says.
            #[must_use]
            pub const fn says(self) -> &'static str {
                match self {
                    $(Self::$rule => $says,)+
                }
            }
        }
    };
}

rules! {
    Lines "lines" "each line is one event, whole and understood, at its place in the file"
    Sequence "sequence" "lines are numbered from 0, without a gap or a repeat"
    Clock "clock" "time goes forward, and the wall clock with it"
    Table "A1-A3, A7" "each operation ran on the connection that the table gives it, as one unit"
    Witness "witness" "the server's own record agrees, command by command"
    Header "header" "what was done is of the kind that was asked for"
    Asked "asked" "each worker did as much as was asked of it, or said that it stopped"
    Numbers "numbers" "operations are numbered from 1, in the order of their ends"
    Switches "M1" "the mode changed when it was to, and at no other time"
    Threads "threads" "what one thread did, it did one after the other, in the time it had"
    Connections "connections" "each connection was created, then disposed, once"
    Sessions "sessions" "each session was opened before its use, and ended once"
    Dials "dials" "each dial was needed by one operation or creation, which says so"
    Tags "tags" "the commands of a session follow each other without a hole"
    Turns "turns" "a session served one operation at a time (A7)"
    Bytes "bytes" "a session carried at least what its commands take"
    Refusals "B4" "what the server refused is called what its own line means"
    Outcomes "outcomes" "an operation's outcome is one that its course allows"
    Cap "W2" "never more connections than --max-connections"
    Log "server-log" "the server's log agrees, session by session"
    Steps "steps" "each step of a scenario did what the record says, and was judged by that"
    Probe "probe" "each step of a probe follows from what was seen before it, dials once at most, and looks at what is open"
    Rounds "rounds" "a comparison ran each variant once in each round, in the order and on the seeds of its seed, and stopped for what it says"
    RunEnd "run-end" "figures, findings and exit code are those that the events come to"
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
    /// The rule that it breaks.
    pub rule: Rule,
    /// The line of the file that breaks it, where it is one; while a run is read, its event's number.
    pub line: Option<u64>,
    /// What should be, and what is there.
    pub sentence: String,
}

/// What checking came to.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    tested: [Tested; Rule::ALL.len()],
    /// What does not hold: of each rule the first few.
    pub doubts: Vec<Doubt>,
    /// What does not hold unless a signal ended the run: whether one did is known at its end.
    unless_interrupted: Vec<Doubt>,
}

/// So many doubts of a rule are kept; how many there were its figures say.
const KEPT: u64 = 50;

impl Checks {
    /// How often that rule was checked, and held.
    #[must_use]
    pub const fn of(&self, rule: Rule) -> Tested {
        self.tested[rule as usize]
    }

    /// Whether all of it held.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.tested.iter().all(|tested| tested.checked == tested.held)
    }

    /// Adds what others came to.
    pub fn add(&mut self, other: Self) {
        for (sum, more) in self.tested.iter_mut().zip(other.tested) {
            sum.checked += more.checked;
            sum.held += more.held;
        }
        self.doubts.extend(other.doubts);
    }

    /// One check of a rule.
    pub(in crate::judge) fn check(
        &mut self,
        rule: Rule,
        line: impl Into<Option<u64>>,
        holds: bool,
        sentence: impl FnOnce() -> String,
    ) {
        let tested = &mut self.tested[rule as usize];
        tested.checked += 1;
        if holds {
            tested.held += 1;
        } else if tested.checked - tested.held <= KEPT {
            self.doubts.push(Doubt { rule, line: line.into(), sentence: sentence() });
        }
    }

    /// The same of what an interruption excuses.
    pub(in crate::judge) fn check_unless_interrupted(
        &mut self,
        rule: Rule,
        line: impl Into<Option<u64>>,
        holds: bool,
        sentence: impl FnOnce() -> String,
    ) {
        self.check(rule, None, true, String::new);
        if !holds && self.unless_interrupted.len() < 4 * KEPT as usize {
            self.unless_interrupted.push(Doubt { rule, line: line.into(), sentence: sentence() });
        }
    }

    /// Whether a signal ended the run is known now.
    pub(in crate::judge) fn settle(&mut self, interrupted: bool) {
        for doubt in take(&mut self.unless_interrupted).into_iter().filter(|_| !interrupted) {
            self.tested[doubt.rule as usize].held -= 1;
            self.doubts.push(doubt);
        }
    }

    /// What somebody else checked so often, and found broken so often: the first of it.
    pub(in crate::judge) fn told(&mut self, rule: Rule, checked: u64, broken: u64, wrong: &[Wrong]) {
        let tested = &mut self.tested[rule as usize];
        tested.checked += checked.max(broken);
        tested.held += checked.saturating_sub(broken);
        let doubt = |it: &Wrong| Doubt { rule, line: it.seq, sentence: it.sentence.clone() };
        self.doubts.extend(wrong.iter().map(doubt));
    }

    /// The same, where events stand in lines.
    pub(in crate::judge) fn placed(mut self, line_of: impl Fn(u64) -> Option<u64>) -> Self {
        for doubt in &mut self.doubts {
            doubt.line = doubt.line.and_then(&line_of);
        }
        self
    }
}
