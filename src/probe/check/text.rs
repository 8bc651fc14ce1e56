//! A check as text: each step as it happens, and at the end what the check comes to.

use super::{Check, CheckEvent, CheckHeader, Diagnostic, Feature, Phase};
use crate::event::{Micros, TlsAgreed};
use crate::judge::Conclusion;
use crate::protocol::{
    Capabilities, Failure, FailureKind, ImapOperation, Operation, Pop3Operation, Protocol, SmtpOperation, TlsDetails,
};
use crate::report::{Layout, Tone, conclusion, day, many, origin, printable, span};

/// The first lines, before anything happens.
#[must_use]
pub fn check_begins(layout: Layout, header: &CheckHeader) -> String {
    let origin = origin(&header.tool_version, Some(&header.run_id), header.started);
    layout.paragraph(&format!("check {}", printable(&header.server))) + &layout.origin(&origin)
}

/// The event that the check has just [seen](Check::see), in one line or more; empty if it is not shown.
#[must_use]
pub fn check_step(layout: Layout, check: &Check, took: Micros, event: &CheckEvent) -> String {
    let Some(text) = text(check, event) else { return String::new() };
    let took = match event {
        CheckEvent::Labelled(_) => String::new(),
        _ => span(took),
    };
    // The columns are as wide in every step: each step is shown before the next is known.
    let tone = if matches!(event, CheckEvent::Failed(_)) { Tone::Bad } else { Tone::Plain };
    layout.marked([(tone, format!("{:<9} {took:>9} ", event.name()), text)])
}

/// What it comes to.
#[must_use]
pub fn check_ends(layout: Layout, check: &Check) -> String {
    let features = check.features();
    let diagnostics = check.diagnostics();
    let mut sections = Vec::new();
    if !features.is_empty() {
        sections.push(
            layout.paragraph("What matters to connections, and whether it is offered:") + &rows(layout, &features),
        );
    }
    if !diagnostics.is_empty() {
        sections.push(layout.paragraph("Findings:") + &layout.marked(diagnostics.iter().map(diagnostic)));
    } else if check.failures().next().is_none() {
        sections.push(layout.paragraph("Findings: none"));
    }
    let outcome = check.conclusion();
    let exit = layout.whole(&format!("exit {}: {}", outcome.exit_code(), comes_to(check, outcome)));
    sections.push(layout.toned(Tone::of(outcome.exit_code() == 0), &exit));
    "\n".to_owned() + &sections.join("\n")
}

fn rows(layout: Layout, features: &[Feature]) -> String {
    let word = |feature: &Feature| match feature.offered {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not known",
    };
    let width = features.iter().map(|feature| word(feature).len()).max().unwrap_or(0).max("yes".len());
    layout.labelled(features.iter().map(|feature| {
        let text = match &feature.value {
            Some(value) => format!("{}; {}", printable(value), feature.why),
            None if feature.offered == Some(true) => feature.why.to_owned(),
            None => format!("if it {}: {}", if feature.offered.is_some() { "were" } else { "is" }, feature.why),
        };
        (format!("  {:<19} {:<width$} ", feature.name, word(feature)), text)
    }))
}

fn diagnostic(diagnostic: &Diagnostic) -> (Tone, String, String) {
    (Tone::Odd, format!("  {:<7} ", diagnostic.level.name()), printable(&diagnostic.sentence))
}

fn comes_to(check: &Check, outcome: Conclusion) -> String {
    match outcome {
        Conclusion::Held => {
            let signed_in = if check.signed_in { "signed in, " } else { "" };
            format!("it works; connected, {signed_in}worked and signed out in {}", span(check.elapsed_us))
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

fn text(check: &Check, event: &CheckEvent) -> Option<String> {
    Some(match event {
        CheckEvent::Resolved(addresses) => {
            addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ")
        }
        CheckEvent::Connected { address, local_port } => {
            format!("{} port {}, from our port {local_port}", address.ip(), address.port())
        }
        CheckEvent::Secured(tls) => secured(check, tls),
        CheckEvent::Greeted(line) => printable(line),
        CheckEvent::Offered(offers) => offered(check, offers),
        CheckEvent::SigningIn(_) => return check.header.by_token.then(|| "fetched".to_owned()),
        CheckEvent::SignedIn => match check.sign_in_tried_by {
            Some(by) => format!("by {by}"),
            None => "not needed, the server has done it already (PREAUTH)".to_owned(),
        },
        CheckEvent::FirstAnswerRefused(line) => {
            let said = line.as_ref().map(|line| format!("\nthe server said: {}", printable(line))).unwrap_or_default();
            let by = check.sign_in_tried_by.unwrap_or_default();
            let name = if check.header.protocol == Protocol::Imap { " (SASL-IR)" } else { "" };
            format!("{by} with its first answer{name} was not understood; once more without{said}")
        }
        CheckEvent::TokenRefused => "the token was refused; once more with a newer one".to_owned(),
        CheckEvent::Labelled(label) => labelled_as(&check.header, label),
        CheckEvent::Ran { operation, mailbox, items } => ran(*operation, mailbox.unwrap_or_default(), *items),
        CheckEvent::SignedOut => format!("by {}", check.header.protocol.goodbye()),
        CheckEvent::Failed(failure) => failed(failure),
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
    let start_tls = check.header.protocol.start_tls();
    let when = match check.phase {
        Phase::BeforeTls => format!("before {start_tls}: "),
        Phase::BeforeSignIn if check.offered(Phase::BeforeTls).is_some() => format!("after {start_tls}: "),
        Phase::BeforeSignIn => String::new(),
        Phase::AfterSignIn => "after the sign-in: ".to_owned(),
    };
    let earlier = check.offers.iter().rev().nth(1).map(|(_, earlier)| earlier);
    let between = if check.header.protocol == Protocol::Imap { " " } else { ", " };
    let list = match offers.iter().collect::<Vec<_>>().join(between) {
        _ if earlier == Some(offers) => "the same".to_owned(),
        _ if offers.is_unsaid() => "not known, the server does not say".to_owned(),
        none if none.is_empty() => "nothing".to_owned(),
        list => list,
    };
    when + &list
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
