//! All integration tests, one binary: it links once.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by panicking")]

mod canary;
mod check;
mod cli;
mod compare;
mod compared;
mod event;
mod foreign_servers;
mod formats;
mod fuzz;
mod gates;
mod golden;
mod ledger;
mod limits;
mod observe;
mod operations;
mod protocol;
mod readme;
mod reference;
mod report;
mod sandbox;
mod scenarios;
mod semantics;
mod servers;
mod servers_selftest;
mod support;
mod tidy;
mod verdict;
mod verify;
