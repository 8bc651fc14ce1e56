//! Changes of the mode in the course of a run, each after a number of operations.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::allocator::Mode;
use crate::event::Switch;

/// The switches that are still to come.
pub(super) struct Switching {
    /// Held while an operation's mode is decided: what was issued before a switch has the old one, to the last operation.
    left: Mutex<Left>,
    /// None is left: operations need no counting, and do not meet here any more.
    over: AtomicBool,
}

struct Left {
    issued: u64,
    switches: VecDeque<Switch>,
}

impl Switching {
    pub(super) fn of(switches: &[Switch]) -> Self {
        let left = Left { issued: 0, switches: switches.iter().copied().collect() };
        Self { over: AtomicBool::new(left.switches.is_empty()), left: Mutex::new(left) }
    }

    /// Counts an operation that is issued now, sets the mode if it is the first after a switch, and lets `decide` ask for
    /// its mode: no other is set before that has returned.
    pub(super) fn issue<R>(&self, set_mode: impl Fn(Mode), decide: impl FnOnce() -> R) -> R {
        if self.over.load(Ordering::Acquire) {
            return decide();
        }
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let issued = left.issued;
        while let Some(switch) = left.switches.front().copied().filter(|switch| switch.after <= issued) {
            left.switches.pop_front();
            set_mode(switch.mode);
        }
        left.issued += 1;
        self.over.store(left.switches.is_empty(), Ordering::Release);
        decide()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_mode_is_set_by_the_first_operation_after_so_many() {
        let switch = |after, mode| Switch { after, mode };
        let switching = Switching::of(&[switch(2, Mode::UseMain), switch(3, Mode::UseDefault)]);
        let set = Mutex::new(Vec::new());
        let issue = |number| {
            switching.issue(|mode| set.lock().unwrap().push((number, mode)), || ());
        };
        (1..=9).for_each(issue);
        assert_eq!(*set.lock().unwrap(), [(3, Mode::UseMain), (4, Mode::UseDefault)]);
        assert!(switching.over.load(Ordering::Relaxed), "from then on nobody counts");
    }

    #[test]
    fn no_other_mode_is_set_while_an_operation_issued_before_asks_for_its_own() {
        let switching = Switching::of(&[Switch { after: 1, mode: Mode::UseMain }]);
        let happened = Mutex::new(Vec::new());
        let (asks, asked) = mpsc::channel();
        let (issues, issued) = mpsc::channel();
        thread::scope(|scope| {
            let (switching, happened) = (&switching, &happened);
            scope.spawn(move || {
                let decide = || {
                    asks.send(()).unwrap();
                    // The other is on its way: it has time enough to set the mode, if nothing keeps it from that.
                    issued.recv().unwrap();
                    thread::sleep(Duration::from_millis(50));
                    happened.lock().unwrap().push("decided");
                };
                switching.issue(|_| happened.lock().unwrap().push("set too early"), decide);
            });
            asked.recv().unwrap();
            issues.send(()).unwrap();
            switching.issue(|_| happened.lock().unwrap().push("set"), || happened.lock().unwrap().push("decided anew"));
        });
        assert_eq!(*happened.lock().unwrap(), ["decided", "set", "decided anew"]);
    }
}
