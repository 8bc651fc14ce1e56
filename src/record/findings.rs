//! What else a run shows: limits met, connections left behind, cost without need. Each with its figures and its cure.

mod idle;
mod limits;
mod mailboxes;
mod tasks;
mod unused;

use std::collections::BTreeSet;
use std::time::Duration;

use super::run::{Closed, HowClosed, OpenFailed, Run};
use super::summary::{SessionRow, Summary, WhyOpened};
use super::verdict::{Finding, Severity};
use crate::allocator::Kind;
use crate::protocol::{Failure, FailureKind, Protocol, is_about_a_session};

/// So many pieces of evidence are named for each finding; its count says how many there were.
const EVIDENCE: usize = 5;

pub(super) fn broken(id: &'static str, sentence: &str, evidence: Vec<String>) -> Option<Finding> {
    finding(id, Severity::Broken, sentence.to_owned(), evidence)
}

pub(super) fn find(run: &Run, summary: &Summary) -> Vec<Finding> {
    let found = [
        too_many_connections(run, summary),
        throttled(run, summary),
        main_shut_out(run, summary),
        maildrop_locked(run, summary),
        mailboxes::wrong_mailbox(run),
        mailboxes::state_of_another_session(run),
        left_behind(run, summary),
        cut_short(run),
        idle::hung_up(run),
        waiting(run, summary),
        no_reuse(summary),
        unused::hardly_used(run),
        unused::no_defaults(run),
    ];
    found.into_iter().flatten().chain(tasks::find(run, summary)).collect()
}

fn finding(id: &'static str, severity: Severity, sentence: String, evidence: Vec<String>) -> Option<Finding> {
    let count = u64::try_from(evidence.len()).unwrap_or(u64::MAX);
    let evidence: Vec<String> = evidence.into_iter().take(EVIDENCE).collect();
    (count > 0).then_some(Finding { id, severity, count, sentence, evidence })
}

/// The dials that the server refused because too many connections were open.
fn refused_by_limit(summary: &Summary) -> impl Iterator<Item = (&SessionRow, &OpenFailed)> {
    let failed = summary.sessions.iter().filter_map(|row| row.dial.as_ref().err().map(|failed| (row, failed)));
    failed.filter(|(_, failed)| failed.failure.kind == FailureKind::LimitConnections)
}

fn shuts_main_out(run: &Run, row: &SessionRow, failed: &OpenFailed) -> bool {
    row.kind == Kind::Main && failed.open > 0 && !is_lock(run, failed) && !limits::is_by_deed(failed)
}

/// Whether what stands in the way is the maildrop's one owner (RFC 1939 §3), and not a number of connections. Dovecot has
/// one code for both, `[IN-USE]`: its text tells.
fn is_lock(run: &Run, failed: &OpenFailed) -> bool {
    let line = failed.failure.server_line.as_deref().unwrap_or_default().to_ascii_lowercase();
    run.header.protocol == Protocol::Pop3
        && !line.contains("connections")
        && (line.contains("[in-use]") || line.contains("lock"))
}

fn refusal(row: &SessionRow, failed: &OpenFailed) -> String {
    format!("{} with {} open: {}", row.session, failed.open, said(&failed.failure))
}

fn said(failure: &Failure) -> &str {
    let what = failure.message.split(": probably").next().unwrap_or_default();
    failure.server_line.as_deref().unwrap_or(what)
}

/// MC030.
fn too_many_connections(run: &Run, summary: &Summary) -> Option<Finding> {
    let (mut wordless, refused): (Vec<_>, Vec<_>) = refused_by_limit(summary)
        .filter(|(row, failed)| !shuts_main_out(run, row, failed) && !is_lock(run, failed))
        .partition(|(_, failed)| limits::is_by_deed(failed));
    if refused.is_empty() {
        wordless.extend(limits::closed_without_a_word(run, summary));
    }
    let being_opened = limits::BeingOpened::of(summary);
    let most = |count: &dyn Fn(&OpenFailed) -> usize| {
        refused.iter().chain(&wordless).map(|(_, failed)| count(failed)).max().unwrap_or(0)
    };
    let (open, dialling) = (most(&|failed| failed.open), most(&|failed| failed.dialling));
    // We know of a sign-in later than the server, which may have counted them.
    let at_most = most(&|failed| failed.open + being_opened.at(failed.failed));
    let ours = if at_most == 0 && refused.is_empty() {
        "others of ours were just ending, which it may have counted still".to_owned()
    } else if at_most > open {
        format!("{at_most} of ours were open or being opened")
    } else {
        format!("{open} of ours were open")
    };
    let stated = refused
        .iter()
        .filter_map(|(_, failed)| crate::judge::stated_limit(failed.failure.server_line.as_deref()?))
        .min();
    let stay = |number: u64| {
        format!(
            "stay at {number} connection{} (fewer threads, or use-main), or raise the server's limit; other clients may hold \
             some of it",
            if number == 1 { "" } else { "s" }
        )
    };
    let counted = open as u64;
    let cure = match (stated, at_most) {
        (Some(limit), _) if counted > limit => format!(
            "it names {limit} as its limit: this server lets sign-ins that arrive together past its limit, do not count on \
             more; {}",
            stay(limit)
        ),
        (Some(limit), 0) if dialling == 0 => format!(
            "it names {limit} as its limit, and other clients hold all of it: close some, or raise the server's limit"
        ),
        (Some(limit), most) if counted == limit || most as u64 == limit => stay(limit),
        (Some(limit), _) => format!("it names {limit} as its limit; {}", stay(limit)),
        (None, 0) if refused.is_empty() => {
            "use fewer connections at a time, or keep them for longer, or raise the server's limit".to_owned()
        }
        (None, 0) if dialling > 0 => format!(
            "{dialling} more of ours were being opened, which it counts too: use fewer threads, or raise the server's limit"
        ),
        (None, 0) => "other clients hold its connections: close some, or raise the server's limit".to_owned(),
        (None, most) if most > open => format!(
            "stay at {most} connections at most (fewer threads, or use-main), or raise the server's limit; other clients \
             may hold some of it"
        ),
        (None, _) => stay(counted),
    };
    let went_on = || {
        let first = wordless.iter().map(|(_, failed)| failed.failed).min().unwrap_or_default();
        let answered = limits::answered_after(run, summary, first);
        if answered { "and went on answering these" } else { "and left these open" }
    };
    let sentence = match (refused.len(), wordless.len()) {
        (refused, 0) => format!("the server refused {refused} connection(s) while {ours}; {cure}"),
        (0, closed) => format!(
            "the server closed {closed} connection(s) without a word while {ours}, {}: probably its limit on connections; \
             {cure}",
            went_on()
        ),
        (refused, closed) => format!(
            "the server refused {refused} connection(s), and closed {closed} without a word, probably for the same reason, \
             while {ours}; {cure}"
        ),
    };
    let evidence = refused.iter().chain(&wordless).map(|(row, failed)| refusal(row, failed)).collect();
    finding("MC030", Severity::Limit, sentence, evidence)
}

/// MC031.
fn throttled(run: &Run, summary: &Summary) -> Option<Finding> {
    let throttled = |failure: &Failure| failure.kind == FailureKind::LimitRate;
    let dials = summary.sessions.iter().filter_map(|row| row.dial.as_ref().err());
    let dials = dials.filter(|failed| throttled(&failed.failure));
    let dials = dials.map(|failed| format!("{}: {}", failed.session, said(&failed.failure)));
    let operations = run.operations().filter_map(|(_, operation)| {
        let failure = operation.outcome.as_ref().err().filter(|failure| throttled(failure))?;
        operation.local_port.map(|_| format!("operation {}: {}", operation.number, said(failure)))
    });
    let evidence: Vec<String> = dials.chain(operations).collect();
    let times = evidence.len();
    let sentence = if evidence.iter().all(|it| is_about_a_session(&it.to_lowercase())) {
        format!(
            "the server ended {times} session(s) that had too many commands or errors; do fewer operations a session, or \
             see what it refused before"
        )
    } else {
        format!("the server throttled us {times} time(s); ask less often, and wait as long as it says")
    };
    finding("MC031", Severity::Limit, sentence, evidence)
}

/// MC032.
fn main_shut_out(run: &Run, summary: &Summary) -> Option<Finding> {
    let refused: Vec<_> = refused_by_limit(summary).filter(|(row, failed)| shuts_main_out(run, row, failed)).collect();
    let open = refused.iter().map(|(_, failed)| failed.open).max().unwrap_or(0);
    let sentence = format!(
        "main could not open: {open} other connection(s) of this client hold every slot of the server; use main before \
         creating others, or keep one slot free for it"
    );
    finding("MC032", Severity::Limit, sentence, refused.iter().map(|(row, failed)| refusal(row, failed)).collect())
}

/// MC033.
fn maildrop_locked(run: &Run, summary: &Summary) -> Option<Finding> {
    let refused: Vec<_> = refused_by_limit(summary).filter(|(_, failed)| is_lock(run, failed)).collect();
    let cure = if refused.iter().all(|(_, failed)| failed.open == 0) {
        "and none of ours was open: another client has it; wait for it, or close it"
    } else {
        "so connections of their own cannot work for several threads; share one (use-main), or use one thread"
    };
    let sentence = format!(
        "the maildrop was locked by another connection, {} time(s): POP3 gives it one owner at a time, {cure}",
        refused.len()
    );
    finding("MC033", Severity::Limit, sentence, refused.iter().map(|(row, failed)| refusal(row, failed)).collect())
}

/// MC040.
fn left_behind(run: &Run, summary: &Summary) -> Option<Finding> {
    let opened = summary.sessions.iter().filter(|row| row.dial.is_ok());
    // A server that replies late has not read all there is when an interrupted run ends, or a dial is given up.
    let witness = run.witness.as_deref().filter(|_| run.end.interrupted.is_none()).unwrap_or_default();
    let failed = summary.sessions.iter().filter_map(|row| row.dial.as_ref().err());
    let never_opened = failed.filter_map(|failed| failed.local_port);
    // A goodbye that had no good answer is the server's own affair.
    let unanswered = |closed: &Closed| matches!(closed.how, HowClosed::WithoutLogout(_)) && closed.said_goodbye();
    let goodbyes = opened.clone().filter(|row| row.closed.as_ref().is_some_and(unanswered));
    let not_ours: BTreeSet<u16> =
        goodbyes.filter_map(|row| row.dial.as_ref().ok()).map(|dial| dial.local_port).chain(never_opened).collect();
    let evidence: Vec<String> = opened
        .filter_map(|row| match row.closed.as_ref().map(|closed| (closed, &closed.how)) {
            None => Some(format!("{} was open at the end", row.session)),
            Some((closed, HowClosed::WithoutLogout(failure))) if !closed.said_goodbye() => {
                Some(format!("{} was closed without a goodbye: {failure}", row.session))
            }
            Some(_) => None,
        })
        .chain(witness.iter().filter(|seen| seen.open && !not_ours.contains(&seen.peer_port)).map(|seen| {
            format!(
                "the server still has {} open (port {})",
                seen.label.as_deref().unwrap_or("a session"),
                seen.peer_port
            )
        }))
        .collect();
    let sentence = format!(
        "{} connection(s) were left open or closed without {}; servers count them against the limit until they notice",
        evidence.len(),
        run.header.protocol.goodbye()
    );
    finding("MC040", Severity::Leak, sentence, evidence)
}

/// MC041.
fn cut_short(run: &Run) -> Option<Finding> {
    let evidence: Vec<String> = run
        .operations()
        .filter(|(_, operation)| operation.local_port.is_some())
        .filter_map(|(_, operation)| {
            let failure = operation.outcome.as_ref().err()?;
            let session = operation.session?;
            matches!(failure.kind, FailureKind::Timeout | FailureKind::Protocol)
                .then(|| format!("operation {} on {session}: {failure}", operation.number))
        })
        .collect();
    let sentence = format!(
        "{} connection(s) were discarded in the middle of a reply, as they must be; find out why the server did not finish it",
        evidence.len()
    );
    finding("MC041", Severity::Fault, sentence, evidence)
}

/// MC050.
fn waiting(run: &Run, summary: &Summary) -> Option<Finding> {
    let (wait, service) = (summary.total_wait, summary.total_service);
    if service.is_zero() || wait <= service || wait < Duration::from_millis(1) {
        return None;
    }
    let cure = match run.header.max_connections {
        _ if run.header.protocol == Protocol::Pop3 => {
            "use fewer threads, or connections of their own (use-default) where the server does not lock the maildrop"
                .to_owned()
        }
        Some(max) => format!("use fewer threads, or more than {max} connections if the server allows them"),
        None => "give threads connections of their own (use-default), or use fewer threads".to_owned(),
    };
    let sentence = format!("operations waited {wait:.1?} for their connection and used it {service:.1?}; {cure}");
    finding("MC050", Severity::Advice, sentence, vec![format!("longest wait {:.1?}", summary.wait.max)])
}

/// MC051.
fn no_reuse(summary: &Summary) -> Option<Finding> {
    let carried = usize::try_from(summary.carried()).unwrap_or(usize::MAX);
    // A session that broke, or that the server ended, was not given up by anybody here.
    let again = summary.sessions.iter().filter(|row| row.why == WhyOpened::Again && row.dial.is_ok()).count();
    let by_choice = summary.opened.saturating_sub(again);
    if carried < 2 || by_choice < 2 || by_choice.saturating_mul(2) <= carried {
        return None;
    }
    let sentence = format!(
        "{} connections were opened for {carried} operations: hardly any was used twice; keep connections for longer, or \
         share one (use-main)",
        summary.opened
    );
    let evidence = vec![format!("{} opened, {carried} operations", summary.opened)];
    finding("MC051", Severity::Advice, sentence, evidence)
}
