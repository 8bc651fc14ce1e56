//! The figures as text, at most 80 columns wide.

use std::fmt::Write as _;

use anyhow::Result;

use super::lease::{self, Figures};
use super::machine::{Machine, version_of};
use super::mail::{Cost, Round, Row};
use super::send;
use super::spread::Spread;

/// `mailconn run` issues at least so many operations for each of the bare loop's.
const RUN_TARGET: f64 = 0.90;
/// It sends at least as many messages as Postfix's own generator of load.
const SEND_TARGET: f64 = 1.0;
/// A lease costs at most so many nanoseconds, with 1,000 threads too.
const LEASE_TARGET: f64 = 30.0;

pub fn report(
    machine: &Machine,
    repetitions: usize,
    mail: &[Round],
    sent: &[send::Round],
    leases: &Figures,
) -> Result<String> {
    let mut text = String::new();
    let out = &mut text;
    writeln!(out, "scripts/bench, {}: {repetitions} repetitions, interleaved;", machine.date)?;
    writeln!(out, "median (quartiles). Load when it began: {}", machine.load)?;
    writeln!(out, "{}, {} cores, Linux {}", machine.cpu, machine.cores, machine.kernel)?;
    writeln!(
        out,
        "Dovecot {}, rustc {}, mailconn {}, imap {}, lettre {}, r2d2 {}",
        machine.dovecot,
        machine.rustc,
        version_of("mailconn"),
        version_of("imap"),
        version_of("lettre"),
        version_of("r2d2"),
    )?;
    if !mail.is_empty() {
        own(out, mail)?;
        shared(out, mail)?;
        sending(out, sent)?;
    }
    lease_table(out, leases)?;
    targets(out, mail, sent, leases)?;
    Ok(text)
}

fn own(out: &mut String, mail: &[Round]) -> Result<()> {
    writeln!(
        out,
        "\n{:<32}{:>8}{:>21}{:>18}",
        "NOOP, 8 threads, 8 connections", "ops/s", "of raw", "client CPU us/op"
    )?;
    for (row, name) in [
        (Row::Raw, "raw blocking loop"),
        (Row::Bare, "bare imap crate loop"),
        (Row::RunDefault, "mailconn run --mode use-default"),
        (Row::RunDefaultNdjson, "  ... --format ndjson"),
    ] {
        mail_row(out, mail, row, name, Row::Raw)?;
    }
    Ok(())
}

fn shared(out: &mut String, mail: &[Round]) -> Result<()> {
    writeln!(
        out,
        "\n{:<32}{:>8}{:>21}{:>18}",
        "NOOP, 8 threads, 1 connection", "ops/s", "of the fair gate", "client CPU us/op"
    )?;
    let rows = [
        (Row::SharedFair, "imap crate loop, fair gate"),
        (Row::SharedMutex, "imap crate loop, std Mutex"),
        (Row::RunMain, "mailconn run --mode use-main"),
    ];
    for (row, name) in rows {
        mail_row(out, mail, row, name, Row::SharedFair)?;
    }
    let [fair, mutex, run] =
        rows.map(|(row, _)| Spread::of(each(mail, row, |cost| cost.longest_wait.as_secs_f64() * 1e3)).median);
    writeln!(out, "  longest wait of a thread, ms: fair gate {fair:.1}, Mutex {mutex:.1}, mailconn {run:.1}")?;
    Ok(())
}

fn sending(out: &mut String, sent: &[send::Round]) -> Result<()> {
    writeln!(out, "\n{:<33}{:>10}{:>21}", "Messages to smtp-sink, 8 threads", "messages/s", "of smtp-source")?;
    for (row, name) in [
        (send::Row::SmtpSource, "Postfix's smtp-source -d"),
        (send::Row::Run, "mailconn run --ops send"),
        (send::Row::Lettre, "stock lettre, its pool"),
    ] {
        let rate = Spread::of(sent.iter().map(|round| rate_of(round, row))).median;
        let ratio = match row {
            send::Row::SmtpSource => "1".to_owned(),
            row => format!("{:.2}", sent_ratio(sent, row)),
        };
        writeln!(out, "{name:<33}{rate:>10.0}{ratio:>21}")?;
    }
    Ok(())
}

fn rate_of(round: &send::Round, row: send::Row) -> f64 {
    round[send::Row::ALL.iter().position(|other| *other == row).unwrap_or_default()]
}

fn sent_ratio(sent: &[send::Round], row: send::Row) -> Spread {
    Spread::of(sent.iter().map(|round| rate_of(round, row) / rate_of(round, send::Row::SmtpSource)))
}

fn mail_row(out: &mut String, mail: &[Round], row: Row, name: &str, floor: Row) -> Result<()> {
    let rate = Spread::of(each(mail, row, |cost| cost.operations_per_second)).median;
    let cpu = Spread::of(each(mail, row, |cost| cost.cpu_us));
    let ratio = if row == floor {
        "1".to_owned()
    } else {
        format!("{:.2}", ratio(mail, row, floor, |cost| cost.operations_per_second))
    };
    writeln!(out, "{name:<32}{rate:>8.0}{ratio:>21}{:>18}", format!("{cpu:.1}"))?;
    Ok(())
}

fn lease_table(out: &mut String, leases: &Figures) -> Result<()> {
    let [a, b, c] = lease::THREADS.map(|threads| format!("{threads} thread{}", if threads == 1 { "" } else { "s" }));
    writeln!(out, "\n{:<24}{a:>17}{b:>19}{c:>20}", "Lease of a thread's own")?;
    for (row, name) in [
        (lease::Row::Lease, "mailconn, Client::lease"),
        (lease::Row::R2d2, "r2d2, get and return"),
        (lease::Row::CachedMutex, "a cached Arc<Mutex<_>>"),
    ] {
        let [a, b, c] = lease::THREADS.map(|threads| {
            let spread = nanoseconds(leases, row, threads);
            if spread.median < 100.0 { format!("{spread:.1}") } else { format!("{spread:.0}") }
        });
        writeln!(out, "{name:<24}{a:>17}{b:>19}{c:>20}")?;
    }
    Ok(())
}

fn targets(out: &mut String, mail: &[Round], sent: &[send::Round], leases: &Figures) -> Result<()> {
    writeln!(out)?;
    let met = |met: bool| if met { "met" } else { "MISSED" };
    if !mail.is_empty() {
        for (run, bare, name) in
            [(Row::RunDefault, Row::Bare, "use-default"), (Row::RunMain, Row::SharedFair, "use-main")]
        {
            let rate = ratio(mail, run, bare, |cost| cost.operations_per_second);
            let cpu = ratio(mail, run, bare, |cost| cost.cpu_us);
            let verdict = met(rate.median >= RUN_TARGET);
            writeln!(out, "{name:<12} run / imap loop: ops/s {rate:.2}; target {RUN_TARGET:.2}: {verdict}")?;
            // Other work on the machine can only slow a client down: the best rate of each is the least disturbed one.
            let best = |row| each(mail, row, |cost| cost.operations_per_second).fold(0.0, f64::max);
            let best = best(run) / best(bare);
            writeln!(out, "{:<12} the best of each {best:.2}; client CPU of an operation {cpu:.2}", "")?;
        }
    }
    if !sent.is_empty() {
        let ratio = sent_ratio(sent, send::Row::Run);
        let verdict = met(ratio.median >= SEND_TARGET);
        writeln!(out, "send         run / smtp-source -d: messages/s {ratio:.2}; target {SEND_TARGET:.2}: {verdict}")?;
    }
    let alone = nanoseconds(leases, lease::Row::Lease, 1).median;
    let most = lease::THREADS.map(|threads| nanoseconds(leases, lease::Row::Lease, threads).median);
    let most = most.into_iter().fold(alone, f64::max);
    let mutex = nanoseconds(leases, lease::Row::CachedMutex, 1).median;
    let verdict = met(most <= LEASE_TARGET);
    writeln!(out, "a lease      {alone:.0} to {most:.0} ns of CPU; target {LEASE_TARGET:.0}: {verdict}")?;
    writeln!(out, "{:<12} {:.1} times a cached mutex", "", alone / mutex)?;
    Ok(())
}

fn ratio(mail: &[Round], row: Row, floor: Row, figure: impl Fn(&Cost) -> f64) -> Spread {
    Spread::of(each(mail, row, &figure).zip(each(mail, floor, &figure)).map(|(of_row, of_floor)| of_row / of_floor))
}

fn each(mail: &[Round], row: Row, figure: impl Fn(&Cost) -> f64) -> impl Iterator<Item = f64> {
    let place = Row::ALL.iter().position(|other| *other == row).unwrap_or_default();
    mail.iter().map(move |round| figure(&round[place]))
}

fn nanoseconds(leases: &Figures, row: lease::Row, threads: usize) -> Spread {
    Spread::of(leases.of(row, threads).iter().copied())
}
