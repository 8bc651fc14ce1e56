//! The commands of each operation's unit (A7), as the judge knows them.
//!
//! A second opinion: these rows are written by hand, from the manual, and none is made of the table of operations. A test says
//! where the two differ. An operation that has no row here yet is judged by that table.

use crate::protocol::OperationSpec;
use crate::protocol::Protocol::{self, Imap, Pop3, Smtp};

/// An operation's unit.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    /// Whose operation it is.
    pub protocol: Protocol,
    /// The operation.
    pub name: &'static str,
    /// Its commands, in order.
    pub verbs: &'static [&'static str],
    /// Whether the first of them can be all: there is nothing to read then.
    pub may_find_nothing: bool,
    /// What can come in place of the last of them, where the server does not know that.
    pub in_place_of_last: Option<&'static str>,
    /// What follows a refusal, so that the session forgets what was under way.
    pub after_a_refusal: Option<&'static str>,
}

/// Every unit.
pub static UNITS: &[Unit] = &[
    unit(Imap, "noop", &["NOOP"]),
    unit(Imap, "list", &["LIST"]),
    unit(Imap, "status", &["STATUS"]),
    Unit { may_find_nothing: true, ..unit(Imap, "fetch", &["EXAMINE", "FETCH"]) },
    unit(Imap, "search", &["EXAMINE", "SEARCH"]),
    unit(Imap, "append", &["CREATE", "APPEND", "DELETE"]),
    unit(Imap, "select", &["EXAMINE"]),
    unit(Imap, "fetch-selected", &["FETCH"]),
    unit(Smtp, "noop", &["NOOP"]),
    unit(Smtp, "verify", &["RSET"]),
    Unit { after_a_refusal: Some("RSET"), ..unit(Smtp, "send", &["MAIL", "RCPT", "DATA"]) },
    unit(Pop3, "noop", &["NOOP"]),
    unit(Pop3, "stat", &["STAT"]),
    unit(Pop3, "list", &["LIST"]),
    Unit { may_find_nothing: true, in_place_of_last: Some("RETR"), ..unit(Pop3, "retrieve", &["STAT", "TOP"]) },
];

/// A unit of just these commands.
const fn unit(protocol: Protocol, name: &'static str, verbs: &'static [&'static str]) -> Unit {
    Unit { protocol, name, verbs, may_find_nothing: false, in_place_of_last: None, after_a_refusal: None }
}

impl Unit {
    /// The unit of the protocol's operation of that name; none if there is no such operation.
    pub(super) fn of(protocol: Protocol, name: &str) -> Option<Self> {
        let row = UNITS.iter().find(|unit| unit.protocol == protocol && unit.name == name).copied();
        row.or_else(|| OperationSpec::named(protocol, name).map(Self::by_its_spec))
    }

    fn by_its_spec(spec: &OperationSpec) -> Self {
        Self { may_find_nothing: spec.selects, ..unit(spec.protocol, spec.name, spec.verbs) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Operation;

    #[test]
    fn an_operation_that_has_no_row_is_judged_by_its_spec() {
        for spec in Operation::ALL.iter().map(|operation| operation.spec()) {
            let unit = Unit::by_its_spec(spec);
            assert_eq!((unit.protocol, unit.name, unit.verbs), (spec.protocol, spec.name, spec.verbs));
            assert_eq!((unit.in_place_of_last, unit.after_a_refusal), (None, None), "nothing is excused");
            assert_eq!(unit.may_find_nothing, spec.selects);
        }
        assert!(Unit::of(Protocol::Pop3, "fetch").is_none());
    }
}
