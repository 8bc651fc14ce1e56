//! What paired measurements show: the Hodges-Lehmann median of their differences, with its exact interval by Wilcoxon's
//! signed ranks (Hollander, Wolfe, Chicken: Nonparametric Statistical Methods, 3rd edition, 3.2 and 3.3).
//!
//! A round measures two variants under the same conditions, so what counts is its own log ratio: a slow minute slows both.
//! The interval assumes that log ratios scatter as much above their middle as below it, and nothing else of their distribution.

/// The most rounds that `compare` should be given: its time grows with their cube. It plans no more than these, either.
pub const MOST_ROUNDS: u32 = 500;

/// How often at most one of all intervals misses the true ratio.
const ERROR: f64 = 0.01;

/// An interval wider by this factor is left behind by nine estimates in ten that follow: it allows for the next estimate's
/// own scatter, 1.28 standard errors where the interval reaches 2.81 or more.
const NINE_IN_TEN: f64 = 1.5;

/// Stands for an infinite log ratio: far beyond what any ratio of numbers can be, and two opposite ones still have a mean.
const BEYOND: f64 = 1e6;

/// How a variant compares with its reference. Ratios are the variant's figure over the reference's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Rounds that could be compared: in the others neither of the two did anything.
    pub rounds: usize,
    /// The estimated ratio; none without a round.
    pub ratio: Option<f64>,
    /// The ratios that the rounds leave possible, from the least to the greatest; none if the rounds are too few for one. 0 and
    /// infinity are no bound: there were rounds in which one of the two did nothing.
    pub interval: Option<(f64, f64)>,
    /// What follows.
    pub decision: Decision,
}

/// What the rounds decide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decision {
    /// All ratios in the interval are beyond the noise, on the same side of it.
    Different,
    /// None of them is.
    Same,
    /// The interval reaches across a border of the noise, or there is none.
    CannotTell {
        /// The smallest difference (0.08: 8 %) that as many rounds, of such a spread, show nine times in ten. None without an
        /// interval, and if that has no bound.
        could_show: Option<f64>,
        /// About how many more rounds decide it nine times in ten, if ratio and spread are what they seem. None without an
        /// interval, and if `MOST_ROUNDS` are not enough.
        more_rounds: Option<u32>,
    },
}

/// How a variant compares with its reference, by the log ratio of each round, as one of that many comparisons.
///
/// The intervals of all comparisons together miss a true ratio at most once in a hundred times. The noise is from
/// `1 / (1 + noise)` to `1 + noise`, borders included: that is the same in both directions, whichever of the two is the
/// reference.
///
/// An infinite log ratio, of a round in which one of the two did nothing, counts as greater than all others. A round in which
/// neither did anything (NaN) shows nothing and is left out. Equal log ratios and zeros are as good as any: they make the
/// interval miss less often.
#[must_use]
pub fn compare(log_ratios: &[f64], comparisons: u32, noise: f64) -> Comparison {
    let differences: Vec<f64> =
        log_ratios.iter().filter(|ratio| !ratio.is_nan()).map(|ratio| ratio.clamp(-BEYOND, BEYOND)).collect();
    let (means, error) = (pair_means(&differences), error(comparisons));
    let noise = noise.max(0.0).ln_1p();
    let (mut ranks, rounds) = (SignedRanks::default(), differences.len());
    while ranks.rounds < rounds {
        ranks.add();
    }
    let interval = ranks.outside(error).map(|place| (means[place - 1], means[means.len() - place]));
    let decision = match interval {
        None => Decision::CannotTell { could_show: None, more_rounds: None },
        Some((low, high)) if low > noise || high < -noise => Decision::Different,
        Some((low, high)) if -noise <= low && high <= noise => Decision::Same,
        Some((low, high)) => {
            let middle = quantile(&means, 0.5);
            let reach = noise + NINE_IN_TEN * (middle - low).max(high - middle);
            let could_show = Some(reach.exp_m1()).filter(|difference| difference.is_finite());
            Decision::CannotTell { could_show, more_rounds: more_rounds(&means, ranks, error, noise) }
        }
    };
    let ratio = (rounds > 0).then(|| quantile(&means, 0.5).exp());
    let interval = interval.map(|(low, high)| (low.exp(), high.exp()));
    Comparison { rounds, ratio, interval, decision }
}

/// The fewest rounds that can decide anything in that many comparisons: with fewer, not even the interval between the least
/// and the greatest log ratio misses the true one as rarely as it must.
#[must_use]
pub fn fewest_rounds(comparisons: u32) -> u32 {
    let error = error(comparisons);
    (1..).find(|&rounds| 2.0 * 0.5_f64.powf(f64::from(rounds)) <= error).unwrap_or(u32::MAX)
}

/// How often one of that many intervals may miss.
fn error(comparisons: u32) -> f64 {
    ERROR / f64::from(comparisons.max(1))
}

/// The means of all pairs, each difference with itself among them, in ascending order: their middle is the estimate, and the
/// interval reaches from one of them to another.
fn pair_means(differences: &[f64]) -> Vec<f64> {
    let pairs =
        differences.iter().enumerate().flat_map(|(at, one)| differences[at..].iter().map(move |other| (one, other)));
    let mut means: Vec<f64> = pairs.map(|(one, other)| f64::midpoint(*one, *other)).collect();
    means.sort_by(f64::total_cmp);
    means
}

/// The value below which that part of them lies, between two of them if need be. They ascend and are not none.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// How many more rounds bring an interval to one side of a border. The means of pairs that were seen stand for those of any
/// number of rounds: of more rounds, a smaller part of them is inside.
fn more_rounds(means: &[f64], mut ranks: SignedRanks, error: f64, noise: f64) -> Option<u32> {
    let (began, middle) = (ranks.rounds, quantile(means, 0.5));
    while ranks.rounds < MOST_ROUNDS as usize {
        ranks.add();
        let part = ranks.outside(error)? as f64 / ranks.pairs() as f64;
        let low = middle - NINE_IN_TEN * (middle - quantile(means, part));
        let high = middle + NINE_IN_TEN * (quantile(means, 1.0 - part) - middle);
        if low > noise || high < -noise || (-noise <= low && high <= noise) {
            return u32::try_from(ranks.rounds - began).ok();
        }
    }
    None
}

/// The distribution of the sum of those ranks, of 1 to as many as there are rounds, whose sign is positive, where both signs
/// are equally likely.
struct SignedRanks {
    rounds: usize,
    /// The probability of each sum.
    chances: Vec<f64>,
}

impl Default for SignedRanks {
    fn default() -> Self {
        Self { rounds: 0, chances: vec![1.0] }
    }
}

impl SignedRanks {
    /// One more round: its rank is in the sum or is not.
    fn add(&mut self) {
        self.rounds += 1;
        let without = self.chances.len();
        self.chances.resize(without + self.rounds, 0.0);
        for sum in (0..self.chances.len()).rev() {
            let with = sum.checked_sub(self.rounds).map_or(0.0, |less| self.chances[less]);
            self.chances[sum] = f64::midpoint(self.chances[sum], with);
        }
    }

    /// How many pairs there are, each round with itself among them.
    const fn pairs(&self) -> usize {
        self.rounds * (self.rounds + 1) / 2
    }

    /// The place, from either end, of the mean at which an interval ends that misses at most as often as `error` says. None if
    /// not even the outermost do.
    fn outside(&self, error: f64) -> Option<usize> {
        let mut below = 0.0;
        let outside = self.chances.iter().take_while(|chance| {
            below += **chance;
            below <= error / 2.0
        });
        Some(outside.count()).filter(|&outside| outside > 0)
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test that cannot go on says so by panicking")]
mod tests {
    use super::*;

    /// The estimate and its interval, on the differences' own scale.
    fn shift(differences: &[f64], error: f64) -> (f64, f64, f64) {
        let (means, mut ranks) = (pair_means(differences), SignedRanks::default());
        differences.iter().for_each(|_| ranks.add());
        let place = ranks.outside(error).expect("there are enough of them");
        (quantile(&means, 0.5), means[place - 1], means[means.len() - place])
    }

    #[test]
    fn it_agrees_with_published_figures() {
        // Hollander and Wolfe (1973), 29f, the depression scores in R's help of wilcox.test; R with conf.int = TRUE:
        // (pseudo)median 0.46, 95 percent confidence interval 0.010 to 0.786.
        let before = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30];
        let after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];
        let differences: Vec<f64> = before.iter().zip(after).map(|(before, after)| before - after).collect();
        let (median, low, high) = shift(&differences, 0.05);
        assert_eq!([median, low, high].map(|it| (it * 1e3).round() / 1e3), [0.46, 0.01, 0.786]);
    }
}
