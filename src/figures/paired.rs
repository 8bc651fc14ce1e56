//! What paired measurements show: the Hodges-Lehmann median of their differences, with its exact interval by Wilcoxon's
//! signed ranks (Hollander, Wolfe, Chicken: Nonparametric Statistical Methods, 3rd edition, 3.2 and 3.3).
//!
//! A round measures two variants under the same conditions, so what counts is its own log ratio: a slow minute slows both.
//! The interval assumes that log ratios scatter as much above their middle as below it, and nothing else of their distribution.

/// The most rounds that `compare` should be given: its time grows with their cube. It plans no more than these, either.
pub const MOST_ROUNDS: u32 = 500;

/// How often one of all intervals together may miss its true ratio.
const ERROR: f64 = 0.01;

/// By how many half widths of the interval a true ratio must be off a border to be found there nine times in ten. One is the
/// interval's own. The other half is for the estimate, which is off by 1.28 standard errors then; a half width has 2.58.
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
    let (rounds, means, noise) = (differences.len(), pair_means(&differences), noise.max(0.0).ln_1p());
    let ratio = (rounds > 0).then(|| quantile(&means, 0.5).exp());
    let Some(place) = place(rounds, error(comparisons)) else {
        let decision = Decision::CannotTell { could_show: None, more_rounds: None };
        return Comparison { rounds, ratio, interval: None, decision };
    };
    let (low, high) = (means[place - 1], means[means.len() - place]);
    let decision = if low > noise || high < -noise {
        Decision::Different
    } else if -noise <= low && high <= noise {
        Decision::Same
    } else {
        let middle = quantile(&means, 0.5);
        let reach = noise + NINE_IN_TEN * (middle - low).max(high - middle);
        let could_show = Some(reach.exp_m1()).filter(|difference| difference.is_finite());
        Decision::CannotTell { could_show, more_rounds: more_rounds(&means, rounds, place, noise) }
    };
    Comparison { rounds, ratio, interval: Some((low.exp(), high.exp())), decision }
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

/// How many more rounds bring the interval to one side of each border. The means of pairs that were seen stand for those of any
/// number of rounds. The more rounds, the closer to the middle are those at which the interval ends: in the same proportion as
/// the rank sum's standard deviation to the number of pairs.
fn more_rounds(means: &[f64], rounds: usize, place: usize, noise: f64) -> Option<u32> {
    let deviation = |rounds: f64| ((2.0 * rounds + 1.0) / (6.0 * rounds * (rounds + 1.0))).sqrt();
    let off_middle = (0.5 - place as f64 / means.len() as f64) / deviation(rounds as f64);
    let middle = quantile(means, 0.5);
    let decide = |rounds: &u32| {
        let part = 0.5 - off_middle * deviation(f64::from(*rounds));
        let [low, high] = [part, 1.0 - part].map(|part| middle + NINE_IN_TEN * (quantile(means, part) - middle));
        low > noise || high < -noise || (-noise <= low && high <= noise)
    };
    let rounds = u32::try_from(rounds).ok()?;
    (rounds + 1..=MOST_ROUNDS).find(decide).map(|enough| enough - rounds)
}

/// The place, from either end, of the mean at which an interval ends that misses at most as often as `error` says; none if
/// not even the outermost do.
///
/// So many means lie beyond a true shift of nought as the sum of those ranks, of 1 to `rounds`, whose sign is positive, and both
/// signs of each are equally likely.
fn place(rounds: usize, error: f64) -> Option<usize> {
    // How likely each sum is.
    let mut chances = vec![0.0; rounds * (rounds + 1) / 2 + 1];
    chances[0] = 1.0;
    for rank in 1..=rounds {
        for sum in (0..chances.len()).rev() {
            let with = sum.checked_sub(rank).map_or(0.0, |without| chances[without]);
            chances[sum] = f64::midpoint(chances[sum], with);
        }
    }
    let mut below = 0.0;
    let sums = chances.iter().take_while(|chance| {
        below += **chance;
        below <= error / 2.0
    });
    Some(sums.count()).filter(|place| *place > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The estimate and its interval, on the differences' own scale.
    fn shift(differences: &[f64], error: f64) -> [f64; 3] {
        let means = pair_means(differences);
        let place = place(differences.len(), error).expect("there are enough of them");
        [quantile(&means, 0.5), means[place - 1], means[means.len() - place]]
    }

    #[test]
    fn it_agrees_with_published_intervals() {
        // Hollander, Wolfe, Chicken, example 3.1 (depression scores before and after a tranquilizer): estimate -0.46, 96 percent
        // interval -0.786 to -0.010. R's wilcox.test with conf.int says the same of its 95 percent.
        let differences = [-0.952, 0.147, -1.022, -0.430, -0.620, -0.590, -0.490, 0.080, -0.010];
        for error in [0.04, 0.05] {
            assert_eq!(shift(&differences, error).map(|it| (it * 1e3).round() / 1e3), [-0.46, -0.786, -0.01]);
        }
        // R's wilcox.test of these at 99 percent, by its normal approximation: 4.400028, 3.450018 to 5.499933
        // (stats.stackexchange.com, question 270889). Several are equal.
        let values = [
            2.10, 2.35, 2.35, 3.10, 3.10, 3.15, 3.90, 3.90, 4.00, 4.80, 5.00, 5.00, 5.15, 5.35, 5.50, 6.00, 6.00, 6.25,
            6.45,
        ];
        let ours = shift(&values, 0.01);
        assert!(
            ours.iter().zip([4.400028, 3.450018, 5.499933]).all(|(ours, of_r)| (ours - of_r).abs() < 0.051),
            "{ours:?}"
        );
    }

    #[test]
    fn the_interval_ends_where_published_tables_have_the_critical_value() {
        // The largest sum of ranks that is significant at 5 %, 2 % and 1 %, two-sided: McCornack, Journal of the American
        // Statistical Association 60 (1965), 864-871. An interval ends at the mean behind that many.
        let table = [
            (6, [Some(0), None, None]),
            (7, [Some(2), Some(0), None]),
            (8, [Some(3), Some(1), Some(0)]),
            (9, [Some(5), Some(3), Some(1)]),
            (10, [Some(8), Some(5), Some(3)]),
            (11, [Some(10), Some(7), Some(5)]),
            (12, [Some(13), Some(9), Some(7)]),
            (13, [Some(17), Some(12), Some(9)]),
            (14, [Some(21), Some(15), Some(12)]),
            (15, [Some(25), Some(19), Some(15)]),
            (16, [Some(29), Some(23), Some(19)]),
            (17, [Some(34), Some(27), Some(23)]),
            (18, [Some(40), Some(32), Some(27)]),
            (19, [Some(46), Some(37), Some(32)]),
            (20, [Some(52), Some(43), Some(37)]),
            (25, [Some(89), Some(76), Some(68)]),
            (30, [Some(137), Some(120), Some(109)]),
            (40, [Some(264), Some(238), Some(220)]),
            (50, [Some(434), Some(397), Some(373)]),
        ];
        for (rounds, critical) in table {
            let ours = [0.05, 0.02, 0.01].map(|error| place(rounds, error).map(|place| place - 1));
            assert_eq!(ours, critical, "{rounds}");
        }
    }

    #[test]
    fn fewer_rounds_than_an_interval_needs_decide_nothing() {
        let needed: Vec<u32> = (0..=6).map(fewest_rounds).collect();
        assert_eq!(needed, [8, 8, 9, 10, 10, 10, 11]);
        for comparisons in 1..=40 {
            let fewest = fewest_rounds(comparisons);
            let all = vec![1.0; fewest as usize];
            let [enough, few] = [&all[..], &all[1..]].map(|rounds| compare(rounds, comparisons, 0.03));
            assert_eq!((enough.rounds, enough.decision), (all.len(), Decision::Different), "{comparisons}");
            let nothing = Decision::CannotTell { could_show: None, more_rounds: None };
            assert_eq!((few.ratio, few.interval, few.decision), (Some(1_f64.exp()), None, nothing), "{comparisons}");
        }
    }

    #[test]
    fn the_borders_of_the_noise_are_the_same_in_both_directions() {
        for (ratio, due) in [(1.0, Decision::Same), (1.0299, Decision::Same), (1.0301, Decision::Different)] {
            for ratio in [ratio, 1.0 / ratio] {
                let Comparison { interval, decision, .. } = compare(&[f64::ln(ratio); 8], 1, 0.03);
                let (low, high) = interval.expect("there are enough rounds");
                assert!(
                    decision == due && [low, high].iter().all(|end| (end - ratio).abs() < 1e-9),
                    "{ratio}: {low}, {high}"
                );
            }
        }
        let ratios = [0.049, -0.067, 0.008, 0.016, 0.006, 0.023, 0.028, 0.041, 0.014, 0.029, 0.056, 0.024];
        let [one, other] = [ratios, ratios.map(|ratio| -ratio)].map(|ratios| compare(&ratios, 2, 0.03));
        let ((low, high), (from, to)) = (one.interval.expect("enough"), other.interval.expect("enough"));
        assert!((low * to - 1.0).abs() < 1e-9 && (high * from - 1.0).abs() < 1e-9, "{one:?} {other:?}");
        let told = |it: &Comparison| match it.decision {
            Decision::CannotTell { could_show: Some(least), more_rounds: Some(more) } => ((least * 1e9).round(), more),
            _ => panic!("{it:?}"),
        };
        assert_eq!(told(&one), told(&other));
    }

    #[test]
    fn rounds_in_which_somebody_did_nothing_are_extreme_or_left_out() {
        let (nan, most) = (f64::NAN, f64::INFINITY);
        assert_eq!(compare(&[], 1, 0.03), compare(&[nan; 20], 1, 0.03));
        let all = compare(&[-most; 12], 1, 0.03);
        assert_eq!((all.ratio, all.interval, all.decision), (Some(0.0), Some((0.0, 0.0)), Decision::Different));
        // One of twelve makes two that are alike neither different nor the same.
        let mut one = vec![0.0; 11];
        one.extend([most, nan]);
        let one = compare(&one, 1, 0.03);
        assert_eq!((one.rounds, one.ratio, one.interval), (12, Some(1.0), Some((1.0, most))));
        assert!(matches!(one.decision, Decision::CannotTell { could_show: None, more_rounds: Some(_) }), "{one:?}");
        let both = compare(&[most, -most, most, -most, most, -most, most, -most], 1, 0.03);
        assert_eq!((both.ratio, both.interval), (Some(1.0), Some((0.0, most))));
    }

    #[test]
    fn a_noise_that_is_none_leaves_only_equality_the_same() {
        for noise in [0.0, -1.0, f64::NAN] {
            assert_eq!(compare(&[0.0; 8], 1, noise).decision, Decision::Same);
            assert_eq!(compare(&[1e-9; 8], 0, noise).decision, Decision::Different);
        }
        assert_eq!(compare(&[9.0; 8], 1, f64::INFINITY).decision, Decision::Same);
    }

    /// That many log ratios of two variants of this true ratio, the figures of both of which scatter so.
    fn rounds(random: &mut fastrand::Rng, number: u32, ratio: f64, spread: f64) -> Vec<f64> {
        // Box and Muller's.
        let mut normal = || (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos();
        (0..number).map(|_| ratio.ln() + spread * (normal() - normal())).collect()
    }

    /// Which part of as many experiments, of one comparison, decide that.
    fn part(
        random: &mut fastrand::Rng,
        experiments: u32,
        number: u32,
        (ratio, spread): (f64, f64),
        due: Decision,
    ) -> f64 {
        let decides = |_: &u32| compare(&rounds(random, number, ratio, spread), 1, 0.03).decision == due;
        f64::from((0..experiments).filter(decides).count() as u32) / f64::from(experiments)
    }

    #[test]
    fn of_ten_thousand_experiments_few_are_wrong_and_most_find_what_was_planted() {
        let mut random = fastrand::Rng::with_seed(15);
        let mut different = |ratio| part(&mut random, 5_000, 12, (ratio, 0.03), Decision::Different);
        let on_the_border = [1.03, 1.0 / 1.03].map(&mut different);
        assert!(on_the_border.iter().all(|part| *part <= 0.015), "{on_the_border:?}");
        let planted = [1.1, 0.9].map(different);
        assert!(planted.iter().all(|part| *part >= 0.95), "{planted:?}");
    }

    #[test]
    #[ignore = "slow: many thousand experiments with many rounds"]
    fn what_is_promised_is_kept_nine_times_in_ten() {
        let mut random = fastrand::Rng::with_seed(16);
        for (ratio, spread) in [(1.06, 0.03), (1.2, 0.1), (1.0, 0.02), (1.01, 0.02)] {
            for number in [12, 20] {
                let (mut could, mut promised, mut kept) = (Vec::new(), 0, 0);
                for _ in 0..300 {
                    let mut ratios = rounds(&mut random, number, ratio, spread);
                    let Decision::CannotTell { could_show, more_rounds } = compare(&ratios, 1, 0.03).decision else {
                        continue;
                    };
                    could.extend(could_show);
                    let Some(more) = more_rounds else { continue };
                    promised += 1;
                    ratios.extend(rounds(&mut random, more, ratio, spread));
                    kept += i32::from(!matches!(compare(&ratios, 1, 0.03).decision, Decision::CannotTell { .. }));
                }
                assert!(
                    f64::from(kept) >= 0.9 * f64::from(promised),
                    "{ratio} {spread} {number}: {kept} of {promised}"
                );
                could.sort_by(f64::total_cmp);
                let shown = (1.0 + could[could.len() / 2], spread);
                let shown = part(&mut random, 300, number, shown, Decision::Different);
                assert!(shown >= 0.9, "{ratio} {spread} {number}: {shown}");
            }
        }
    }
}
