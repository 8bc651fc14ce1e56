//! How often each length of time was met: four steps for each doubling.

use crate::event::Micros;

const STEPS: usize = 4 * 40;

#[derive(Debug)]
pub(super) struct Histogram {
    steps: Box<[u64; STEPS]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { steps: Box::new([0; STEPS]) }
    }
}

impl Histogram {
    pub(super) fn add(&mut self, time: Micros) {
        let step = if time.0 < 1 { 0 } else { ((time.0 as f64).log2() * 4.0) as usize + 1 };
        self.steps[step.min(STEPS - 1)] += 1;
    }

    /// From the first step that has any to the last: the shortest length of each, and how many it has.
    pub(super) fn steps(&self) -> Vec<(Micros, u64)> {
        let first = self.steps.iter().position(|count| *count > 0).unwrap_or(0);
        let last = self.steps.iter().rposition(|count| *count > 0).map_or(0, |at| at + 1);
        let shortest = |step: usize| Micros(if step == 0 { 0 } else { 2_f64.powf((step - 1) as f64 / 4.0).ceil() as u64 });
        (first..last).map(|step| (shortest(step), self.steps[step])).collect()
    }
}
