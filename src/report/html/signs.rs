//! Foreign words made safe, and the signs beside them.

use maud::{Markup, html};

use super::paint::{HELD, LOOK, WRONG};
pub(super) use crate::report::outline::Sign;
use crate::report::words::printable;

/// Foreign text, with nothing in it that could turn the direction of writing.
pub(super) fn said(text: &str) -> String {
    printable(text)
}

/// A foreign name between others' words, in its own direction.
pub(super) fn name(text: &str) -> Markup {
    html! { bdi { (said(text)) } }
}

impl Sign {
    pub(in crate::report::html) fn picture(self, size: u32) -> Markup {
        let (colour, path, word) = match self {
            Self::Held => (HELD, "m6 12.5l4.5 4.5l7.5 -9", "held"),
            Self::Look => (LOOK, "m12 6v8m0 2.8v1.2", "look"),
            Self::Wrong => (WRONG, "m7.5 7.5l9 9m0 -9l-9 9", "wrong"),
        };
        html! {
            svg.sign width=(size) height=(size) viewBox="0 0 24 24" role="img" aria-label=(word) {
                circle cx="12" cy="12" r="11" fill=(colour) {}
                path d=(path) fill="none" stroke="#ffffff" stroke-width="2.6" {}
            }
        }
    }
}
