//! What `mailconn` costs beside its peers; run by `scripts/bench`, which brings the mail server.
//!
//! Everything is measured in one run, repetition by repetition, each peer in each of them: on a machine that is never
//! quite idle only such ratios mean something. Nothing here fails because a figure is bad.

mod client;
mod gate;
mod lease;
mod machine;
mod mail;
mod send;
mod spread;
mod table;

use std::io::{IsTerminal, Write, stderr, stdout};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};

/// The figures of one run, or one client of them.
#[derive(Parser)]
#[command(name = "peers")]
struct Args {
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
    /// How often everything is measured
    #[arg(long, default_value_t = 20)]
    repetitions: usize,
    /// Each measurement is a quarter as long
    #[arg(long)]
    short: bool,
    #[command(subcommand)]
    only: Option<Only>,
}

#[derive(Subcommand)]
enum Only {
    /// Be one of the clients that are measured: a process of its own
    Client {
        peer: client::Peer,
        /// Of each thread
        operations: u32,
    },
    /// Measure the leases alone; needs no server
    Lease,
    /// Be stock lettre that sends to the sink
    Lettre {
        /// Of each thread
        messages: u32,
    },
}

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(Only::Client { peer, operations }) = args.only {
        return client::run(peer, operations);
    }
    if let Some(Only::Lettre { messages }) = args.only {
        return send::lettre(messages);
    }
    if !args.bench && args.only.is_none() {
        // `cargo test --all-targets` comes by here.
        println!("a benchmark: scripts/bench runs it, and starts the mail server that it needs");
        return Ok(());
    }
    ensure!(args.repetitions >= 1, "--repetitions 0 measures nothing");
    let shorter = if args.short { 4 } else { 1 };
    let lease_only = matches!(args.only, Some(Only::Lease));
    let servers = if lease_only { None } else { Some((mail::Server::from_environment()?, send::sink()?)) };
    let machine = machine::Machine::look();
    let (mut mail, mut sent) = (Vec::new(), Vec::new());
    let mut leases = lease::Figures::default();
    if let Some((server, sink)) = &servers {
        mail::round(server, 0, 4).context("the round that warms up")?;
        send::round(sink, 0, 4).context("the round that warms up")?;
    }
    for repetition in 0..args.repetitions {
        if stderr().is_terminal() {
            eprint!("\rrepetition {} of {}", repetition + 1, args.repetitions);
        }
        if let Some((server, sink)) = &servers {
            mail.push(mail::round(server, repetition, shorter)?);
            sent.push(send::round(sink, repetition, shorter)?);
        }
        leases.round(repetition, shorter)?;
    }
    if stderr().is_terminal() {
        eprintln!();
    }
    let report = table::report(&machine, args.repetitions, &mail, &sent, &leases)?;
    stdout().write_all(report.as_bytes())?;
    Ok(())
}
