//! The truth table, cell by cell, as the rules give it: every answer is a literal, and each cell has a test that dies
//! alone with it.

use mailconn::allocator::{ConnectionId, Kind, Mode, Reason, Refusal, may_create_default, route};

const PASSED: bool = true;
const NOT_PASSED: bool = false;
const HAS_DEFAULT: bool = true;
const HAS_NONE: bool = false;

macro_rules! cells {
    ($($name:ident: $cell:expr => $answer:expr;)+) => {$(
        #[test]
        fn $name() {
            assert_eq!($cell, $answer);
        }
    )+};
}

cells! {
    a1_use_main_passed_with_a_default: route(Mode::UseMain, HAS_DEFAULT, PASSED) => Reason::Explicit;
    a1_use_main_passed_without_a_default: route(Mode::UseMain, HAS_NONE, PASSED) => Reason::Explicit;
    a1_use_main_with_a_default: route(Mode::UseMain, HAS_DEFAULT, NOT_PASSED) => Reason::Main;
    a1_use_main_without_a_default: route(Mode::UseMain, HAS_NONE, NOT_PASSED) => Reason::Main;

    a2_use_default_passed_with_a_default: route(Mode::UseDefault, HAS_DEFAULT, PASSED) => Reason::Explicit;
    a2_use_default_passed_without_a_default: route(Mode::UseDefault, HAS_NONE, PASSED) => Reason::Explicit;
    a2_use_default_with_a_default: route(Mode::UseDefault, HAS_DEFAULT, NOT_PASSED) => Reason::Default;
    a2_use_default_without_a_default: route(Mode::UseDefault, HAS_NONE, NOT_PASSED) => Reason::DefaultCreated;

    a3_use_main_or_default_passed_with_a_default:
        route(Mode::UseMainOrDefault, HAS_DEFAULT, PASSED) => Reason::Explicit;
    a3_use_main_or_default_passed_without_a_default:
        route(Mode::UseMainOrDefault, HAS_NONE, PASSED) => Reason::Explicit;
    a3_use_main_or_default_with_a_default: route(Mode::UseMainOrDefault, HAS_DEFAULT, NOT_PASSED) => Reason::Default;
    a3_use_main_or_default_without_a_default: route(Mode::UseMainOrDefault, HAS_NONE, NOT_PASSED) => Reason::Main;

    c2_use_main_with_a_default:
        may_create_default(Mode::UseMain, Some(ConnectionId(7))) => Err(Refusal::DefaultUnderUseMain);
    c2_use_main_without_a_default: may_create_default(Mode::UseMain, None) => Err(Refusal::DefaultUnderUseMain);
    c2_use_default_with_a_default:
        may_create_default(Mode::UseDefault, Some(ConnectionId(7))) => Err(Refusal::DefaultUnderUseDefault);
    c2_use_default_without_a_default:
        may_create_default(Mode::UseDefault, None) => Err(Refusal::DefaultUnderUseDefault);
    c2_use_main_or_default_without_a_default: may_create_default(Mode::UseMainOrDefault, None) => Ok(());
    c3_use_main_or_default_with_a_default:
        may_create_default(Mode::UseMainOrDefault, Some(ConnectionId(7)))
            => Err(Refusal::DefaultExists { existing: ConnectionId(7) });
}

#[test]
fn a3_use_main_or_default_is_the_default_mode() {
    assert_eq!(Mode::default(), Mode::UseMainOrDefault);
}

#[test]
fn a6_modes_kinds_and_reasons_are_called_what_the_rules_call_them() {
    let written = |words: &[&dyn ToString]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
    let modes = ["use-main", "use-default", "use-main-or-default"];
    assert_eq!(Mode::ALL.map(Mode::name), modes);
    assert_eq!(written(&[&Mode::UseMain, &Mode::UseDefault, &Mode::UseMainOrDefault]), modes);
    assert_eq!(written(&[&Kind::Main, &Kind::Default, &Kind::Independent]), ["main", "default", "independent"]);
    let reasons = [&Reason::Explicit as &dyn ToString, &Reason::Main, &Reason::Default, &Reason::DefaultCreated];
    assert_eq!(written(&reasons), ["explicit", "main", "default", "default-created"]);
}
