//! What is tried of very many that are alike.

use std::collections::BTreeMap;
use std::env;

/// Whether everything is tried (`scripts/test all`), not a sample of each kind.
pub fn is_thorough() -> bool {
    env::var_os("MAILCONN_THOROUGH").is_some()
}

/// The places that are tried: of each kind the first and the last, or all.
pub fn places<K: Ord>(kinds: impl IntoIterator<Item = K>) -> Vec<usize> {
    let mut of: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for (at, kind) in kinds.into_iter().enumerate() {
        of.entry(kind).or_default().push(at);
    }
    let tried = of.into_values().flat_map(|mut all| {
        if all.len() > 2 && !is_thorough() {
            all.drain(1..all.len() - 1);
        }
        all
    });
    let mut tried: Vec<usize> = tried.collect();
    tried.sort_unstable();
    tried
}
