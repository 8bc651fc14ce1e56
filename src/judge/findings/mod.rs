//! The findings: a file each, and a line each here.

use super::finding::Spec;

macro_rules! findings {
    ($($finding:ident)+) => {
        $(mod $finding;)+

        /// All that a run can have.
        pub const ALL: &[Spec] = &[$($finding::SPEC,)+];
    };
}

findings! {
    mc001
    mc002
    mc010
    mc011
    mc020
    mc021
    mc030
    mc031
    mc032
    mc033
    mc040
    mc041
    mc042
    mc050
    mc051
    mc052
    mc053
}

pub(super) use mc042::is_for_idling;

/// The limit on connections.
pub(super) const OF_THE_RECORD: &str = mc002::SPEC.id;
pub(super) const CONNECTIONS: &str = mc030::SPEC.id;
/// Main had no room.
pub(super) const MAIN_SHUT_OUT: &str = mc032::SPEC.id;
/// A maildrop has one owner.
pub(super) const LOCKED: &str = mc033::SPEC.id;
/// A reply came from another mailbox.
pub(super) const OTHER_MAILBOX: &str = mc020::SPEC.id;
/// The limit on how much and how often.
pub(super) const THROTTLED: &str = mc031::SPEC.id;
