//! Whether chance alone deals out as much: the exact binomial test, one-sided.

/// How likely it is that at least `least` of `all` events fall to one, if each falls to it with that chance, whatever becomes of
/// the others.
#[must_use]
pub fn at_least(least: u64, all: u64, chance: f64) -> f64 {
    match least {
        0 => return 1.0,
        _ if least > all || chance <= 0.0 => return 0.0,
        _ if chance >= 1.0 => return 1.0,
        _ => {}
    }
    let (number, odds) = (all as f64, chance / (1.0 - chance));
    // In logarithms: the parts are too large and too small for any number.
    let ways = (1..=least).map(|it| ((all - least + it) as f64 / it as f64 * chance).ln()).sum::<f64>();
    let exactly = (ways + (all - least) as f64 * (-chance).ln_1p()).exp();
    let upwards = |at: u64| (number - at as f64) / (at as f64 + 1.0) * odds;
    let downwards = |at: u64| at as f64 / (number - at as f64 + 1.0) / odds;
    // From the middle on each is less likely than the one before it, on either side.
    if least as f64 > number * chance {
        exactly * (1.0 + sum((least..all).map(upwards)))
    } else {
        1.0 - exactly * sum((1..=least).rev().map(downwards))
    }
}

/// What the likelihoods come to of which each is that many times as likely as the one before it, the last ones aside that no
/// longer count.
fn sum(factors: impl Iterator<Item = f64>) -> f64 {
    let likelihoods = factors.scan(1.0, |likelihood, factor| {
        *likelihood *= factor;
        Some(*likelihood)
    });
    likelihoods.take_while(|likelihood| *likelihood > f64::EPSILON / 1e3).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values are sums of all outcomes in whole fractions, made with Python:
    /// `sum(comb(n, k) * p**k * (1 - p)**(n - k) for k in range(least, n + 1))` of `p = Fraction(chance)`.
    #[test]
    fn it_agrees_with_the_sum_of_all_outcomes() {
        for (least, all, chance, due) in [
            (0, 7, 0.5, 1.0),
            (1, 1, 0.5, 0.5),
            (2, 4, 0.5, 0.6875),
            (8, 8, 0.5, 0.00390625),
            (7, 8, 0.5, 0.03515625),
            (4, 4, 0.3333333333333333, 0.012345679012345677),
            (5, 6, 0.3333333333333333, 0.017832647462277088),
            (3, 3, 0.2, 0.008000000000000002),
            (1, 3, 0.2, 0.48800000000000004),
            (2, 400, 0.001, 0.06147138888545569),
            (30, 40, 0.5, 0.0011107168866146822),
            (27, 40, 0.5, 0.01923865414210013),
            (26, 40, 0.5, 0.0403452338759962),
            (60, 100, 0.5, 0.028443966820490395),
            (64, 100, 0.5, 0.003318560257963063),
            (5, 100, 0.05, 0.5640186993142882),
            (12, 100, 0.05, 0.004274182466365915),
            (199, 200, 0.995, 0.7357596526067373),
            (150, 200, 0.75, 0.5379058245387899),
            (600, 1000, 0.5, 1.3642320780330092e-10),
            (520, 1000, 0.5, 0.10872414660207047),
            (900, 1000, 0.99, 1.0),
            (1, 1000, 1e-06, 0.000999500666125591),
            (5, 4, 0.5, 0.0),
            (3, 3, 1.0, 1.0),
            (1, 9, 0.0, 0.0),
        ] {
            let ours = at_least(least, all, chance);
            assert!((ours - due).abs() <= 1e-9 * due.max(1e-12), "{least} of {all} at {chance}: {ours} and {due}");
        }
    }
}
