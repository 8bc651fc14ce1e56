//! Connections being dialled count as those that are open do (W2).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::checks::{Checks, Rule};
use super::seen::{GRAIN, Seen, began};
use crate::event::{Micros, RunStart, What};

/// After so many dials those are counted before which none can have begun that is told of later.
const COUNT_AFTER: usize = 256;

/// Dials and ends that are not counted yet.
#[derive(Debug, Default)]
pub(super) struct Cap {
    /// When dials began, and their events.
    begun: BinaryHeap<Reverse<(Micros, u64)>>,
    /// When room was given back.
    over: VecDeque<Micros>,
    /// How many more dials than ends were counted.
    taken: usize,
}

impl Cap {
    pub(super) fn see(&mut self, seen: &mut Seen<'_>) {
        let Some(max) = seen.start.max_connections else { return };
        let began = began(seen.at, seen.what);
        match seen.what {
            What::SessionOpened(_) => self.begun.push(Reverse((began, seen.seq))),
            // Reckoned, so to within that.
            What::SessionRefused(_) => {
                self.begun.push(Reverse((began + GRAIN, seen.seq)));
                self.over.push_back(seen.at);
            }
            What::SessionClosed(_) => self.over.push_back(seen.at),
            _ => return,
        }
        if self.begun.len() >= COUNT_AFTER && self.begun.len().is_power_of_two() {
            let horizon = seen.known.horizon().at;
            self.count(max, horizon, seen.checks);
        }
    }

    pub(super) fn end(&mut self, start: &RunStart, checks: &mut Checks) {
        if let Some(max) = start.max_connections {
            self.count(max, Micros(u64::MAX), checks);
        }
    }

    fn count(&mut self, max: usize, horizon: Micros, checks: &mut Checks) {
        while let Some(Reverse((at, seq))) = self.begun.peek().copied().filter(|Reverse((at, _))| *at < horizon) {
            self.begun.pop();
            self.taken += 1;
            // In the order of events they are by time.
            while self.taken > 0 && self.over.front().is_some_and(|over| *over <= at) {
                self.over.pop_front();
                self.taken -= 1;
            }
            let taken = self.taken;
            checks.check(Rule::Cap, seq, taken <= max, || {
                format!("a dial began at {at}: then {taken} were open or being dialled, {max} are allowed")
            });
        }
    }
}
