//! Flags as mailboxes keep them.

use imap_codec::imap_types::ToStatic;
use imap_codec::imap_types::flag::Flag;

use crate::sandbox::mailbox::Letter;

/// Flags as they are kept, or the one that a client may not set.
pub(super) fn storable<'a, 'b>(flags: &'a [Flag<'b>]) -> Result<Vec<Flag<'static>>, &'a Flag<'b>> {
    let mut kept = Vec::with_capacity(flags.len());
    for flag in flags {
        if matches!(flag, Flag::Extension(_)) {
            return Err(flag);
        }
        add(&mut kept, &flag.to_static());
    }
    Ok(kept)
}

pub(super) fn add(flags: &mut Vec<Flag<'static>>, flag: &Flag<'static>) {
    if !flags.iter().any(|present| same(present, flag)) {
        flags.push(flag.clone());
    }
}

/// Keywords are the same in capitals and small letters.
pub(super) fn same(one: &Flag<'_>, other: &Flag<'_>) -> bool {
    match (one, other) {
        (Flag::Keyword(one), Flag::Keyword(other)) => one.as_ref().eq_ignore_ascii_case(other.as_ref()),
        _ => one == other,
    }
}

pub(super) fn keywords(letters: &[Letter]) -> Vec<Flag<'static>> {
    let mut keywords = Vec::new();
    for flag in letters.iter().flat_map(|letter| &letter.flags).filter(|flag| matches!(flag, Flag::Keyword(_))) {
        add(&mut keywords, flag);
    }
    keywords
}
