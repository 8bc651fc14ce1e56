//! Which variant comes when, on which seed, and when it is enough.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use mailconn::compare::{Budget, Halt, Needs, Rounds, Turn, conduct, rounds_of};
use mailconn::event::WhyStopped;
use mailconn::judge::{order, seed_of};
use mailconn::workload::Control;

const ROUNDS: Rounds = Rounds { variants: 3, rounds: 12, seed: 7, pace: Duration::ZERO, bound: None };

/// The turns that are taken, and where it ends; a run comes to what `run` says.
fn taken(rounds: &Rounds, mut run: impl FnMut(Turn) -> Option<WhyStopped>) -> (Vec<Turn>, Option<Halt>) {
    let mut turns = Vec::new();
    let ended = conduct(rounds, &Control::default(), |turn| {
        turns.push(turn);
        Ok::<_, Infallible>(run(turn))
    });
    (turns, ended.unwrap())
}

#[test]
fn each_variant_has_each_place_equally_often() {
    for variants in 2..=6 {
        for seed in 0..50 {
            for rounds in 1..=24 {
                for place in 0..variants {
                    let at =
                        |variant| (1..=rounds).filter(|round| order(seed, variants, *round)[place] == variant).count();
                    let counts: Vec<usize> = (0..variants).map(at).collect();
                    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
                    let spread = usize::from(!(rounds as usize).is_multiple_of(variants));
                    assert!(most - least <= spread, "{counts:?}: {rounds} rounds of {variants}, seed {seed}");
                }
            }
        }
    }
}

#[test]
fn the_order_is_shuffled_by_the_seed_and_the_same_for_the_same_seed() {
    let whole = |seed| (0..=12).map(|round| order(seed, 3, round)).collect::<Vec<_>>();
    assert_eq!(whole(1), whole(1));
    assert!((0..100).map(whole).collect::<BTreeSet<_>>().len() > 90);
    let orders = (1..=100).map(|round| order(1, 3, round)).collect::<BTreeSet<_>>();
    assert_eq!(orders.len(), 6, "a variant does not always follow the same other one");
    assert_eq!(order(1, 3, 0), [0, 1, 2], "the warm-up is as they were named");
}

#[test]
fn a_round_does_every_variant_once_on_one_seed() {
    let (turns, halt) = taken(&ROUNDS, |_| None);
    assert_eq!((turns.len(), halt), (39, None));
    for (round, of_round) in turns.chunks(3).enumerate() {
        let seed = seed_of(ROUNDS.seed, round as u32);
        assert!(of_round.iter().all(|turn| (turn.round as usize, turn.seed) == (round, seed)), "{of_round:?}");
        assert_eq!(of_round.iter().map(|turn| turn.variant).collect::<BTreeSet<_>>().len(), 3);
    }
    assert_eq!(turns.iter().map(|turn| turn.seed).collect::<BTreeSet<_>>().len(), 13, "each round has another");
}

#[test]
fn it_ends_where_a_run_says_so() {
    for why in [WhyStopped::Limit, WhyStopped::SignIn, WhyStopped::Failed, WhyStopped::Time, WhyStopped::Signal] {
        let (turns, halt) = taken(&ROUNDS, |turn| (turn.round == 4 && turn.place == 1).then_some(why));
        let variant = Some(order(ROUNDS.seed, 3, 4)[1]);
        assert_eq!((turns.len(), halt), (14, Some(Halt { why, variant, round: 4 })));
    }
}

#[test]
fn a_round_that_might_not_end_in_time_is_not_begun() {
    // Three rounds, and time to spare: a fourth would be over too late. A busy machine sleeps longer.
    let bound = Duration::from_millis(2200);
    let rounds = Rounds { bound: Some(bound), ..ROUNDS };
    let began = Instant::now();
    let (turns, halt) = taken(&rounds, |_| {
        std::thread::sleep(Duration::from_millis(200));
        None
    });
    let halt = halt.unwrap();
    assert_eq!((turns.len() % 3, halt.why, halt.variant), (0, WhyStopped::Time, None));
    assert_eq!(halt.round as usize, turns.len() / 3, "the round that was not begun");
    assert!(turns.len() <= 9, "{}", turns.len());
    assert!(turns.iter().all(|turn| turn.until.is_some_and(|until| until >= began)));
}

#[test]
fn a_rest_lasts_no_longer_than_all_of_it_may() {
    let rounds = Rounds { pace: Duration::from_secs(60), bound: Some(Duration::from_millis(200)), ..ROUNDS };
    let began = Instant::now();
    let (turns, halt) = taken(&rounds, |_| None);
    assert_eq!((turns.len(), halt), (1, Some(Halt { why: WhyStopped::Time, variant: None, round: 0 })));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_signal_ends_the_rest_between_two_runs() {
    let control = Control::default();
    let rounds = Rounds { pace: Duration::from_secs(60), ..ROUNDS };
    let began = Instant::now();
    let halt = conduct(&rounds, &control, |_| {
        control.interrupt(2);
        Ok::<_, Infallible>(None)
    });
    assert_eq!(halt.unwrap(), Some(Halt { why: WhyStopped::Signal, variant: None, round: 0 }));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_ends_a_run_does_not_end_the_comparison_and_the_other_way_round_it_does() {
    let all = Control::default();
    let first = Control::of_the_next(&all);
    first.interrupt(14);
    assert_eq!((first.signal(), all.signal()), (Some(14), None));
    let second = Control::of_the_next(&all);
    assert_eq!(second.signal(), None);
    all.interrupt(15);
    assert_eq!(second.signal(), Some(15));
    assert_eq!(Control::of_the_next(&all).signal(), Some(15), "one that begins later does not begin");
}

#[test]
fn the_budget_counts_the_warm_up() {
    let needs = |connections, sessions| Needs { connections, sessions };
    let budget = Budget::of(12, Duration::from_secs(3), &[needs(1, 1), needs(4, 8), needs(1, 1)]);
    let rests = Duration::from_secs(38 * 3);
    assert_eq!(budget, Budget { runs: 39, sign_ins: 130, most: 143, connections: 4, rests });
}

#[test]
fn the_fewest_rounds_are_those_that_can_decide() {
    let fewest = |variants| *rounds_of(variants).start();
    assert_eq!([2, 3, 4, 5, 6].map(fewest), [8, 9, 10, 10, 10]);
}
