//! `mailconn limits`: how many connections a server gives.

mod told;

use std::time::Duration;

use anyhow::{Result, ensure};

use super::anonymize::Anonymize;
use super::args::LimitsArgs;
use super::destinations::destinations;
use super::harness::{Harness, Room, Signals};
use super::providers::{ensure_agreed, provider};
use super::settings::{self, Reach, Reporting, Server};
use super::teller::Teller;
use mailconn::event::{Policy, Probe, Within};
use mailconn::probe::{self, Budget};
use mailconn::report::Layout;
use mailconn::sandbox::Maildrops;
use told::{Attempts, tell_budget};

/// The rest between two connections, or two runs, on a server that is not on this machine.
pub const PACE: Duration = Duration::from_secs(3);

/// Probes, reports, and says with what code to exit.
///
/// # Errors
/// Nothing could be probed, or the report could not be written: one line.
pub fn limits(args: LimitsArgs, layout: Layout) -> Result<u8> {
    let server = settings::unsigned(args.url.as_deref(), "URL", &args.reach)?;
    let probe = probe(&args, &server)?;
    let provider = provider(&server);
    ensure_agreed(&server, args.yes, "a probe")?;
    let told = args.reporting;
    let policy = Policy { need: args.need, ..settings::policy(&told.fail_on, &told.gates)? };
    let anonymize = Anonymize::of(told.output.anonymize, &told.transcripts)?;
    let reporting = Reporting { destinations: destinations(&told.output, layout)?, each: false, anonymize };
    let ehlo = settings::ehlo(&args.reach)?;
    let in_the_box = matches!(server, Server::Sandbox { .. });
    // What is refused asks for no secret.
    let server = server.signed_in(&args.reach)?;
    let reach = Reach {
        ehlo,
        connect_timeout: settings::connect_timeout(&args.reach, server.protocol()),
        operation_timeout: args.reach.timeout,
        // Nobody stands in line: one thread has all connections, any number of them.
        wait_timeout: args.reach.timeout,
        max_connections: None,
        may_dial: None,
        transcripts: told.transcripts.transcript,
        maildrops: Maildrops::Locked,
        server,
    };
    let connections = Budget::of(&probe, reach.server.protocol()).connections;
    let room = Room { workers: 1, connections, fewer: "a smaller --max" };
    reach.server.warn();
    let (harness, account) = Harness::set_up(reach, &room)?;
    let signals = Signals::listen()?;
    tell_budget(&probe, &account, provider, in_the_box);
    let attempts = Attempts::of(&probe, account.endpoint.protocol, provider.is_some(), told.progress);
    let mut teller = Teller::begin(reporting, &signals.control)?;
    let driven = harness.drive(&mut teller, Within::default(), policy, attempts, |setup, source, audience| {
        probe::limits(probe, account, setup, &signals.control, source, audience)
    })?;
    signals.conclude(teller, driven)
}

/// What is asked of the server.
fn probe(args: &LimitsArgs, server: &Server) -> Result<Probe> {
    let LimitsArgs { max, need, hold, .. } = args;
    ensure!(*max >= 1, "--max 0 opens no connection; give at least 1");
    ensure!(*max <= Probe::MOST, "--max {max} is more than any client needs; give at most {}", Probe::MOST);
    if let Some(need) = need {
        ensure!(*need >= 1, "--need 0 is always given; give at least 1, or leave it out");
        ensure!(need <= max, "--need {need} is more than --max {max}, so that no server could give it; raise --max");
    }
    ensure!(
        *hold >= Probe::SHORTEST_HOLD.duration(),
        "--hold {} is too short to tell a rate from a count; give at least {}",
        humantime::format_duration(*hold),
        humantime::format_duration(Probe::SHORTEST_HOLD.duration())
    );
    let pace = args.pace.unwrap_or(if server.is_here() { Duration::ZERO } else { PACE });
    Ok(Probe { max: *max, pace_us: pace.into(), hold_us: (*hold).into(), bare_close: args.bare_close })
}
