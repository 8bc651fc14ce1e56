//! The truth table, cell by cell, as the rules give it: every answer is a literal. A table with one wrong cell disagrees in
//! that cell alone.

use mailconn::allocator::Mode::{UseDefault, UseMain, UseMainOrDefault};
use mailconn::allocator::{ConnectionId, Kind, Mode, Reason, Refusal, may_create_default, route};

/// All that `allocator/mode.rs` decides and names.
#[derive(Clone, Copy)]
struct Table<'a> {
    route: &'a dyn Fn(Mode, bool, bool) -> Reason,
    may_create: &'a dyn Fn(Mode, Option<ConnectionId>) -> Result<(), Refusal>,
    name: &'a dyn Fn(Named) -> &'static str,
    shown: &'a dyn Fn(Named) -> String,
    default: Mode,
    all: [Mode; 3],
}

fn real() -> Table<'static> {
    Table {
        route: &route,
        may_create: &may_create_default,
        name: &Named::name,
        shown: &Named::shown,
        default: Mode::default(),
        all: Mode::ALL,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Mode(Mode),
    Kind(Kind),
    Reason(Reason),
}

impl Named {
    fn name(self) -> &'static str {
        match self {
            Self::Mode(mode) => mode.name(),
            Self::Kind(kind) => kind.name(),
            Self::Reason(reason) => reason.name(),
        }
    }

    fn shown(self) -> String {
        match self {
            Self::Mode(mode) => mode.to_string(),
            Self::Kind(kind) => kind.to_string(),
            Self::Reason(reason) => reason.to_string(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Route(Mode, bool, bool),
    MayCreate(Mode, Option<ConnectionId>),
    Name(Named),
    Shown(Named),
    Default,
    All,
}

const PASSED: bool = true;
const NOT_PASSED: bool = false;
const HAS_DEFAULT: bool = true;
const HAS_NONE: bool = false;
const ITS_DEFAULT: Option<ConnectionId> = Some(ConnectionId(7));

#[rustfmt::skip]
const ROUTE: [(Mode, bool, bool, Reason); 12] = [
    (UseMain,          HAS_DEFAULT, PASSED,     Reason::Explicit),
    (UseMain,          HAS_NONE,    PASSED,     Reason::Explicit),
    (UseMain,          HAS_DEFAULT, NOT_PASSED, Reason::Main),
    (UseMain,          HAS_NONE,    NOT_PASSED, Reason::Main),
    (UseDefault,       HAS_DEFAULT, PASSED,     Reason::Explicit),
    (UseDefault,       HAS_NONE,    PASSED,     Reason::Explicit),
    (UseDefault,       HAS_DEFAULT, NOT_PASSED, Reason::Default),
    (UseDefault,       HAS_NONE,    NOT_PASSED, Reason::DefaultCreated),
    (UseMainOrDefault, HAS_DEFAULT, PASSED,     Reason::Explicit),
    (UseMainOrDefault, HAS_NONE,    PASSED,     Reason::Explicit),
    (UseMainOrDefault, HAS_DEFAULT, NOT_PASSED, Reason::Default),
    (UseMainOrDefault, HAS_NONE,    NOT_PASSED, Reason::Main),
];

#[rustfmt::skip]
const MAY_CREATE: [(Mode, Option<ConnectionId>, Result<(), Refusal>); 6] = [
    (UseMain,          ITS_DEFAULT, Err(Refusal::DefaultUnderUseMain)),
    (UseMain,          None,        Err(Refusal::DefaultUnderUseMain)),
    (UseDefault,       ITS_DEFAULT, Err(Refusal::DefaultUnderUseDefault)),
    (UseDefault,       None,        Err(Refusal::DefaultUnderUseDefault)),
    (UseMainOrDefault, ITS_DEFAULT, Err(Refusal::DefaultExists { existing: ConnectionId(7) })),
    (UseMainOrDefault, None,        Ok(())),
];

const NAMES: [(Named, &str); 10] = [
    (Named::Mode(UseMain), "use-main"),
    (Named::Mode(UseDefault), "use-default"),
    (Named::Mode(UseMainOrDefault), "use-main-or-default"),
    (Named::Kind(Kind::Main), "main"),
    (Named::Kind(Kind::Default), "default"),
    (Named::Kind(Kind::Independent), "independent"),
    (Named::Reason(Reason::Explicit), "explicit"),
    (Named::Reason(Reason::Main), "main"),
    (Named::Reason(Reason::Default), "default"),
    (Named::Reason(Reason::DefaultCreated), "default-created"),
];

/// The cells in which the table is not what the rules say.
fn disagreements(table: &Table<'_>) -> Vec<Cell> {
    let mut wrong = Vec::new();
    let mut hold = |holds: bool, cell: Cell| wrong.extend((!holds).then_some(cell));
    for (mode, has_default, passed, due) in ROUTE {
        hold((table.route)(mode, has_default, passed) == due, Cell::Route(mode, has_default, passed));
    }
    for (mode, existing, due) in MAY_CREATE {
        hold((table.may_create)(mode, existing) == due, Cell::MayCreate(mode, existing));
    }
    for (named, due) in NAMES {
        hold((table.name)(named) == due, Cell::Name(named));
        hold((table.shown)(named) == due, Cell::Shown(named));
    }
    hold(table.default == UseMainOrDefault, Cell::Default);
    hold(table.all == [UseMain, UseDefault, UseMainOrDefault], Cell::All);
    wrong
}

/// That the real table is right in these cells.
fn holds(is_meant: impl Fn(Cell) -> bool) {
    let wrong: Vec<Cell> = disagreements(&real()).into_iter().filter(|cell| is_meant(*cell)).collect();
    assert_eq!(wrong, []);
}

#[test]
fn a1_use_main_uses_the_passed_one_or_main() {
    holds(|cell| matches!(cell, Cell::Route(UseMain, ..)));
}

#[test]
fn a2_use_default_uses_the_passed_one_or_the_threads_default_which_it_creates() {
    holds(|cell| matches!(cell, Cell::Route(UseDefault, ..)));
}

#[test]
fn a3_use_main_or_default_uses_the_passed_one_or_the_threads_default_or_main() {
    holds(|cell| matches!(cell, Cell::Route(UseMainOrDefault, ..)));
}

#[test]
fn a3_use_main_or_default_is_the_default_mode() {
    holds(|cell| cell == Cell::Default);
}

#[test]
fn a6_modes_kinds_and_reasons_are_called_what_the_rules_call_them() {
    holds(|cell| matches!(cell, Cell::Name(_) | Cell::Shown(_) | Cell::All));
}

#[test]
fn c2_a_default_is_created_by_hand_only_in_use_main_or_default() {
    holds(|cell| matches!(cell, Cell::MayCreate(UseMain | UseDefault, _) | Cell::MayCreate(UseMainOrDefault, None)));
}

#[test]
fn c3_a_second_default_is_refused() {
    holds(|cell| cell == Cell::MayCreate(UseMainOrDefault, ITS_DEFAULT));
}

const REASONS: [Reason; 4] = [Reason::Explicit, Reason::Main, Reason::Default, Reason::DefaultCreated];

const ANSWERS: [Result<(), Refusal>; 5] = [
    Ok(()),
    Err(Refusal::DefaultUnderUseMain),
    Err(Refusal::DefaultUnderUseDefault),
    Err(Refusal::DefaultExists { existing: ConnectionId(7) }),
    Err(Refusal::DefaultExists { existing: ConnectionId(8) }),
];

/// Every other answer of every cell is planted.
#[test]
fn each_wrong_cell_is_seen_and_no_other() {
    let mut planted = 0;
    let mut dies = |table: Table<'_>, cell: Cell| {
        assert_eq!(disagreements(&table), [cell]);
        planted += 1;
    };
    for (mode, has, passed, due) in ROUTE {
        for wrong in REASONS.into_iter().filter(|wrong| *wrong != due) {
            let route = |m, h, p| if (m, h, p) == (mode, has, passed) { wrong } else { route(m, h, p) };
            dies(Table { route: &route, ..real() }, Cell::Route(mode, has, passed));
        }
    }
    for (mode, existing, due) in MAY_CREATE {
        for wrong in ANSWERS.into_iter().filter(|wrong| *wrong != due) {
            let may_create = |m, e| if (m, e) == (mode, existing) { wrong } else { may_create_default(m, e) };
            dies(Table { may_create: &may_create, ..real() }, Cell::MayCreate(mode, existing));
        }
    }
    for (named, _) in NAMES {
        let name = |it: Named| if it == named { "anything" } else { it.name() };
        dies(Table { name: &name, ..real() }, Cell::Name(named));
        let shown = |it: Named| if it == named { String::new() } else { it.shown() };
        dies(Table { shown: &shown, ..real() }, Cell::Shown(named));
    }
    for default in [UseMain, UseDefault] {
        dies(Table { default, ..real() }, Cell::Default);
    }
    for all in [[UseDefault, UseMain, UseMainOrDefault], [UseMain, UseMainOrDefault, UseDefault]] {
        dies(Table { all, ..real() }, Cell::All);
    }
    assert_eq!(planted, 12 * 3 + 6 * 4 + 10 * 2 + 2 + 2);
}
