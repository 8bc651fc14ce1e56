//! A check, told step by step while it goes on, and what it comes to at its end.

mod json;

use super::table::grid::{labelled, paragraph};
use super::words::{conclusion, day, many, printable, span};
use crate::event::TlsAgreed;
use crate::judge::Conclusion;
use crate::protocol::{
    Capabilities, Failure, FailureKind, ImapOperation, Operation, Pop3Operation, Protocol, SmtpOperation, Stage,
    TlsDetails,
};
use crate::record::{Check, CheckHeader, Concern, Happened, Matter, Step, When};

pub use json::check_json;

/// The first line, before anything happens.
#[must_use]
pub fn check_begins(header: &CheckHeader) -> String {
    paragraph(&format!("check {}", printable(&header.server)))
}

/// The last step, a line or more; empty if it is nothing to be shown.
#[must_use]
pub fn check_step(check: &Check) -> String {
    let Some(step) = check.steps.last() else { return String::new() };
    let Some(text) = text(check, step) else { return String::new() };
    let took = match step.happened {
        Happened::Labelled(_) => String::new(),
        _ => span(step.took),
    };
    // Whatever stands in them, the columns are as wide in every step: each is shown before the next is known.
    labelled([(format!("{:<9} {took:>9} ", word(&step.happened)), text)])
}

/// What it comes to.
#[must_use]
pub fn check_ends(check: &Check) -> String {
    let matters = check.matters();
    let concerns = check.concerns();
    let mut sections = Vec::new();
    if !matters.is_empty() {
        sections.push(paragraph("What matters to connections, and whether it is offered:") + &rows(&matters));
    }
    if !concerns.is_empty() {
        sections.push(paragraph("Findings:") + &labelled(concerns.iter().map(concern)));
    } else if check.failures().next().is_none() {
        sections.push(paragraph("Findings: none"));
    }
    let outcome = check.conclusion();
    sections.push(paragraph(&format!("exit {}: {}", outcome.exit_code(), comes_to(check, outcome))));
    "\n".to_owned() + &sections.join("\n")
}

fn rows(matters: &[Matter]) -> String {
    let word = |matter: &Matter| match matter.offered {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not known",
    };
    let width = matters.iter().map(|matter| word(matter).len()).max().unwrap_or(0).max("yes".len());
    labelled(matters.iter().map(|matter| {
        let text = match &matter.value {
            Some(value) => format!("{}; {}", printable(value), matter.why),
            None if matter.offered == Some(true) => matter.why.to_owned(),
            None => format!("if it {}: {}", if matter.offered.is_some() { "were" } else { "is" }, matter.why),
        };
        (format!("  {:<19} {:<width$} ", matter.name, word(matter)), text)
    }))
}

fn concern(concern: &Concern) -> (String, String) {
    (format!("  {:<7} ", concern.weight.name()), printable(&concern.sentence))
}

fn comes_to(check: &Check, outcome: Conclusion) -> String {
    match outcome {
        Conclusion::Held => {
            let signed_in = if check.is_signed_in() { "signed in, " } else { "" };
            format!("it works; connected, {signed_in}worked and signed out in {}", span(check.elapsed))
        }
        Conclusion::Interrupted(_) => conclusion(outcome),
        Conclusion::Failed => "it connects, but an operation or the goodbye failed".to_owned() + &first_failure(check),
        // No connection was refused where it objects to how often, or how much, alone.
        Conclusion::Limited if !check.failures().any(|failure| failure.kind == FailureKind::LimitConnections) => {
            "throttled by the server".to_owned() + &first_failure(check)
        }
        other => conclusion(other) + &first_failure(check),
    }
}

fn first_failure(check: &Check) -> String {
    check.failures().next().map(|failure| format!(" ({} at {})", failure.kind, failure.stage)).unwrap_or_default()
}

/// What a step is called, in every form of the report.
fn word(happened: &Happened) -> &'static str {
    match happened {
        Happened::Resolved(_) => "resolve",
        Happened::Connected { .. } => "connect",
        Happened::Secured(_) => "tls",
        Happened::Greeted(_) => "greeting",
        Happened::Offered(_) => "offers",
        Happened::SigningIn(_) => "token",
        Happened::SignedIn | Happened::TokenRefused | Happened::FirstAnswerRefused(_) => "sign-in",
        Happened::Labelled(_) => "label",
        Happened::Ran { .. } => "operation",
        Happened::SignedOut => "logout",
        Happened::Failed(failure) => match failure.stage {
            Stage::Auth => "sign-in",
            stage => stage.name(),
        },
    }
}

fn text(check: &Check, step: &Step) -> Option<String> {
    Some(match &step.happened {
        Happened::Resolved(addresses) => {
            addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ")
        }
        Happened::Connected { address, local_port } => {
            format!("{} port {}, from our port {local_port}", address.ip(), address.port())
        }
        Happened::Secured(tls) => secured(check, tls),
        Happened::Greeted(line) => printable(line),
        Happened::Offered(offers) => offered(check, offers),
        Happened::SigningIn(_) => return check.header.by_token.then(|| "fetched".to_owned()),
        Happened::SignedIn => match check.tried_by() {
            Some(by) => format!("by {by}"),
            None => "not needed, the server has done it already (PREAUTH)".to_owned(),
        },
        Happened::FirstAnswerRefused(line) => {
            let said = line.as_ref().map(|line| format!("\nthe server said: {}", printable(line))).unwrap_or_default();
            let by = check.tried_by().unwrap_or_default();
            let name = if check.header.protocol == Protocol::Imap { " (SASL-IR)" } else { "" };
            format!("{by} with its first answer{name} was not understood; once more without{said}")
        }
        Happened::TokenRefused => "the token was refused; once more with a newer one".to_owned(),
        Happened::Labelled(label) => labelled_as(&check.header, label),
        Happened::Ran { operation, mailbox, items } => ran(*operation, mailbox.unwrap_or_default(), *items),
        Happened::SignedOut => format!("by {}", check.header.protocol.goodbye()),
        Happened::Failed(failure) => failed(failure),
    })
}

fn secured(check: &Check, tls: &TlsDetails) -> String {
    const NAMES: usize = 4;
    let mut text = TlsAgreed::from(tls).to_string();
    if tls.resumed {
        text += ", an earlier session taken up again";
    }
    if let Some(certificate) = &tls.certificate {
        let mut names: Vec<String> = certificate.names.iter().take(NAMES).map(|name| printable(name)).collect();
        match certificate.names.len() {
            0 => names.push("no name".to_owned()),
            all if all > NAMES => names.push(format!("{} more", all - NAMES)),
            _ => {}
        }
        let left = match check.certificate_days() {
            Some(days) => format!("{} left", many(days, "day")),
            None => "expired".to_owned(),
        };
        text += &format!("\ncertificate for {}, from {}", names.join(", "), printable(&certificate.issuer));
        text += &format!("\nvalid until {} ({left})", day(certificate.not_after));
    }
    if !tls.verified {
        text += "\nNOT VERIFIED (--insecure): anybody may have answered";
    }
    text
}

fn offered(check: &Check, offers: &Capabilities) -> String {
    let lists: Vec<(When, &Capabilities)> = check.offers().collect();
    let Some((when, _)) = lists.last() else { return String::new() };
    let start_tls = check.header.protocol.start_tls();
    let then = match when {
        When::BeforeTls => format!("before {start_tls}: "),
        // A dial that begins anew, with a newer token, has a list of its own.
        When::BeforeSignIn if lists.iter().any(|(when, _)| *when == When::BeforeTls) => format!("after {start_tls}: "),
        When::BeforeSignIn => String::new(),
        When::AfterSignIn => "after the sign-in: ".to_owned(),
    };
    let earlier = lists.iter().rev().nth(1).map(|(_, earlier)| *earlier);
    let between = if check.header.protocol == Protocol::Imap { " " } else { ", " };
    let list = match offers.iter().collect::<Vec<_>>().join(between) {
        _ if earlier == Some(offers) => "the same".to_owned(),
        _ if offers.is_unsaid() => "not known, the server does not say".to_owned(),
        none if none.is_empty() => "nothing".to_owned(),
        list => list,
    };
    then + &list
}

fn labelled_as(header: &CheckHeader, label: &str) -> String {
    match header.protocol {
        Protocol::Imap => format!(
            "x-mailconn-session={label}, x-mailconn-run={}: by these the server's log can be searched, if it holds what \
             clients say with ID (Dovecot: imap_id_log = *)",
            header.run_id
        ),
        Protocol::Smtp | Protocol::Pop3 => format!("{}: by this the server's log can be searched", printable(label)),
    }
}

fn ran(operation: Operation, mailbox: &str, items: u32) -> String {
    let messages = || many(items.into(), "message");
    match operation {
        Operation::Imap(ImapOperation::Status) => format!("{operation} of {}: {}", printable(mailbox), messages()),
        Operation::Pop3(Pop3Operation::Stat) => format!("{operation}: {}", messages()),
        Operation::Smtp(SmtpOperation::Verify) => format!("{operation} (RSET)"),
        other => other.to_string(),
    }
}

fn failed(failure: &Failure) -> String {
    if failure.kind == FailureKind::Disposed {
        return "interrupted".to_owned();
    }
    let mut text = format!("FAILED: {}", failure.kind);
    if let Some(line) = &failure.server_line {
        text += &format!("\nthe server said: {}", printable(line));
    }
    for further in &failure.further_lines {
        text += &format!("\nand with it: {}", printable(further));
    }
    text + "\n" + &printable(&failure.message)
}
