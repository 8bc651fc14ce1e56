//! The few colours of the page, and the patterns beside them. Each colour reads on white and on black, and no two are alike to
//! the colour-blind. They are attributes, since a strict policy takes no style.

use maud::{Markup, html};

use crate::allocator::{ConnectionId, Kind};
use crate::event::WorkerId;

/// What is wrong.
pub(super) const WRONG: &str = "#e0393e";
/// What to look at.
pub(super) const LOOK: &str = "#c98500";
/// What held.
pub(super) const HELD: &str = "#2f9e63";
/// What is there, and tells nothing.
pub(super) const QUIET: &str = "#8a9099";

/// Of workers, and of connections: a colour, and that of a word on it. None is near red, which tells what is wrong.
const TRACKS: [(&str, &str); 8] = [
    ("#4477aa", "#ffffff"),
    ("#ddaa33", "#000000"),
    ("#3aa57a", "#000000"),
    ("#aa4499", "#ffffff"),
    ("#66ccee", "#000000"),
    ("#8a6d1f", "#ffffff"),
    ("#b9c4d0", "#000000"),
    ("#7b68c8", "#ffffff"),
];

/// Of the main connection.
const MAIN: &str = "#66707d";

/// Of mailboxes.
const MAILBOXES: [&str; 6] = ["#a3a8ae", "#00838f", "#b0703c", "#6a5acd", "#7d8a3c", "#c77daa"];

pub(super) const fn mailbox(number: usize) -> &'static str {
    MAILBOXES[number % MAILBOXES.len()]
}

/// What tells a worker, or a connection, from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Track {
    /// The main connection, which is nobody's.
    Main,
    /// A worker, and its default connection; an independent one has a number beyond.
    Number(usize),
}

impl Track {
    pub(super) const fn worker(worker: WorkerId) -> Self {
        Self::Number(worker.0 as usize)
    }

    /// A default connection looks as its owner does, so that what a worker does elsewhere stands out.
    pub(super) fn connection(connection: ConnectionId, kind: Option<Kind>, owner: Option<WorkerId>) -> Self {
        match (kind, owner) {
            _ if connection == ConnectionId::MAIN => Self::Main,
            (Some(Kind::Default), Some(owner)) => Self::worker(owner),
            _ => Self::Number(TRACKS.len() + connection.0 as usize),
        }
    }

    /// The paint of its operations.
    pub(super) fn paint(self, page: &str) -> String {
        match self {
            Self::Main => format!("url(#{page}pm)"),
            Self::Number(number) => format!("url(#{page}p{})", number % PAINTS),
        }
    }

    /// The colour of words on it.
    pub(super) const fn ink(self) -> &'static str {
        match self {
            Self::Main => "#ffffff",
            Self::Number(number) => TRACKS[number % TRACKS.len()].1,
        }
    }
}

/// So many tracks can be told apart: by colour, then by pattern too.
const PAINTS: usize = TRACKS.len() * 6;

/// All paints of a page. No two are told apart by colour alone.
pub(super) fn paints(page: &str) -> Markup {
    html! {
        svg.paints width="0" height="0" aria-hidden="true" {
            defs {
                pattern id=(format!("{page}pm")) width="800" height="12" patternUnits="userSpaceOnUse" { rect width="800" height="12" fill=(MAIN) {} }
                @for number in 0..PAINTS {
                    pattern id=(format!("{page}p{number}")) width="800" height="12" patternUnits="userSpaceOnUse" {
                        rect width="800" height="12" fill=(TRACKS[number % TRACKS.len()].0) {}
                        @let lines = lines(number);
                        @if !lines.is_empty() {
                            path d=(lines) fill="none" stroke=(TRACKS[number % TRACKS.len()].1) stroke-opacity=".5" stroke-width="1.6" vector-effect="non-scaling-stroke" {}
                        }
                    }
                }
            }
        }
    }
}

/// The pattern of a track: a tile is 800 units long and 12 pixels high.
const fn lines(number: usize) -> &'static str {
    match (number + number / TRACKS.len()) % 8 {
        1 => "m0 12L800 0",
        2 => "m0 3.5H800",
        3 => "m400 0V12",
        4 => "m0 0L800 12",
        5 => "m0 3h800m-800 6h800",
        6 => "m0 12l800 -12m-800 0l800 12",
        7 => "m0 6H400",
        _ => "",
    }
}
