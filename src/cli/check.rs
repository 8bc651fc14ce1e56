//! `mailconn check`: one connection, told step by step.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result};
use humantime::format_duration;

use super::anonymize::Anonymize;
use super::args::CheckArgs;
use super::interrupt::Interrupts;
use super::settings::{self, Server};
use super::stderr;
use super::target::Target;
use super::writer::{self, Writer};
use mailconn::probe::{self, CheckHeader, Stop};
use mailconn::protocol::{self, Credentials, Transcripts};
use mailconn::report::{Format, Layout, Output};
use mailconn::sandbox::Maildrops;
use mailconn::workload::Control;

/// Checks, tells, and says with what code to exit.
///
/// # Errors
/// Nothing could be checked, or the report could not be written: one line.
pub fn check(args: &CheckArgs, layout: Layout) -> Result<u8> {
    let server = settings::server(args.url.as_deref(), "URL", &args.reach)?;
    let anonymize = Anonymize::of(args.anonymize, &args.transcripts)?;
    let ehlo = settings::ehlo(&args.reach)?;
    let connect_timeout = settings::connect_timeout(&args.reach, server.protocol());
    let by_token = matches!(&server, Server::Real { credentials: Some(Credentials::Token(_)), .. });
    let run_id = format!("{:012x}", fastrand::u64(..1 << 48));
    let directory = args.transcripts.transcript.as_deref();
    let transcripts = directory.map(|directory| Transcripts::create(directory, &run_id));
    let transcripts = transcripts.transpose().context("--transcript")?.map(Arc::new);
    let Target { account, name, sandbox } = Target::of(server, Maildrops::Locked)?;
    if account.tls.as_ref().is_some_and(|tls| !tls.verifies()) {
        stderr::complain(stderr::UNVERIFIED);
    }
    let endpoint = &account.endpoint;
    let far = args.reach.shape.rtt.filter(|rtt| !rtt.is_zero());
    let far = far.map_or_else(String::new, |rtt| format!(", rtt {}", format_duration(rtt)));
    let header = CheckHeader {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        run_id,
        started: SystemTime::now(),
        server: if sandbox.is_some() { format!("{name} ({endpoint}{far})") } else { name },
        protocol: endpoint.protocol,
        security: endpoint.security,
        signs_in: endpoint.signs_in(),
        by_token,
    };
    let header = match anonymize.anonymizer() {
        Some(names) => header.anonymous(names),
        None => header,
    };
    let control = Arc::new(Control::default());
    let _interrupts = Interrupts::reach(&control).context("listening for signals")?;
    let mut screen = (args.format != Format::Json).then(|| Screen::open(&control)).transpose()?;
    if let Some(screen) = &mut screen {
        screen.show(&probe::check_begins(layout, &header));
    }
    let settings = protocol::Settings {
        connect_timeout,
        operation_timeout: args.reach.timeout,
        run_id: header.run_id.clone(),
        ehlo,
        transcripts: transcripts.clone(),
        ..account
    };
    let stop = || control.interrupted().map(|since| Stop { since, signal: control.signal() });
    let check = probe::check(header, settings, anonymize.anonymizer(), stop, |check, took, event| {
        if let Some(screen) = &mut screen {
            screen.show(&probe::check_step(layout, check, took, event));
        }
    });
    let check = check.context("starting the check's thread")?;
    match screen {
        Some(mut screen) => {
            screen.show(&probe::check_ends(layout, &check));
            screen.close()?;
        }
        None => {
            let written = writer::write_whole(&Output::Stdout, &probe::check_json(&check), &control);
            writer::is_complete(written, &Output::Stdout)?;
        }
    }
    if let Some(failure) = transcripts.and_then(|transcripts| transcripts.failure()) {
        stderr::complain(&failure);
    }
    Ok(check.conclusion().exit_code())
}

/// Standard output, written to as things happen.
pub(super) struct Screen {
    /// None once writing failed: what goes on has been told to end, and ends in order.
    out: Option<Writer>,
    failed: Option<io::Error>,
}

impl Screen {
    pub(super) fn open(control: &Arc<Control>) -> Result<Self> {
        let out = Writer::open(&Output::Stdout, control).with_context(|| Output::Stdout.writing())?;
        Ok(Self { out: Some(out), failed: None })
    }

    pub(super) fn show(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some(out) = &mut self.out
            && let Err(error) = out.write_all(text.as_bytes())
        {
            self.out = None;
            self.failed = Some(error);
        }
    }

    /// Waits until all is written.
    pub(super) fn close(self) -> Result<()> {
        let written = match (self.failed, self.out) {
            (Some(error), _) => Err(error),
            (None, Some(out)) => out.finish(),
            (None, None) => Ok(()),
        };
        writer::is_complete(written, &Output::Stdout).map(drop)
    }
}
