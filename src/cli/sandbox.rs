//! `mailconn sandbox`: the mail server in the box, until Ctrl-C.

mod line;
pub mod listen;
mod log;
mod summary;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub use self::line::Line;
use self::listen::Listen;
use self::log::Log;
use super::args::SandboxArgs;
use super::interrupt;
use super::secrets;
use super::stderr;
use mailconn::report::{Format, Output};
use mailconn::sandbox::{Like, Limit, Options, Sandbox, Transcripts, User};

/// The summary is printed within this time, or not at all.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// All sessions are over within this time.
const STOP: Duration = Duration::from_millis(1500);
/// How long a password file that is a pipe may stay silent.
const PATIENCE: Duration = Duration::from_secs(10);
/// What stands as it is in a URL's user (RFC 3986, 2.3).
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Serves until a signal comes; 0 then.
///
/// # Errors
/// It cannot be started as asked: one line.
pub fn serve(args: &SandboxArgs) -> Result<u8> {
    let listens = listen::all(&args.listen, args.starttls, args.expose)?;
    check_names(&args.user)?;
    ensure!(args.connections != Some(0), "--connections 0 refuses every sign-in; give at least 1");
    if let Some(limit) = args.limit.iter().find(|limit| !listens.iter().any(|listen| listen.keeps(limit))) {
        bail!("--limit {limit}: no listener speaks that protocol; add it with --listen, or leave the limit out");
    }
    let given = args.password_file.as_deref().map(password).transpose()?;
    let ca_file = args.ca_file.clone().map(Output::File);
    if let Some(file) = &ca_file {
        ensure!(
            listens.iter().any(Listen::encrypts),
            "--ca-file: no listener speaks TLS; listen on imaps, smtps or pop3s, or add --starttls"
        );
        file.writable()?;
    }
    let password = given.clone().unwrap_or_else(|| format!("{:016x}", fastrand::u64(..)));
    // As many clients as the system lets us have; how many come is their affair.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    // From here on, a signal is a request to stop.
    let mut signals = interrupt::requests_to_end().context("listening for signals")?;
    let transcripts = args.transcript.as_deref().map(Transcripts::create).transpose();
    let transcripts = transcripts.context("--transcript")?.map(Arc::new);
    let json = args.format == Format::Json;
    let log = args.log.then(|| Log::new(json));
    let options = Options {
        users: args.user.iter().map(|name| User::new(name, &password)).collect(),
        limits: all_limits(args.connections, args.like, limits(args.connections, &args.limit, args.like)),
        like: args.like,
        maildrops: args.maildrops,
        latency: args.latency,
        rtt: args.rtt,
        idle_limit: args.idle_limit,
        // Nobody reads it, and clients come and go for days.
        keeps_record: false,
        record_bound: None,
        watch: log.as_ref().map(Log::watch),
        transcripts: transcripts.clone(),
    };
    let listening = listens.iter().map(Listen::bind).collect::<Result<Vec<_>>>()?;
    let sandbox = Sandbox::serve(listening, options).context("starting the sandbox")?;
    if let (Some(file), Some(pem)) = (&args.ca_file, sandbox.ca_pem()) {
        let written = Output::File(file.clone()).write_whole(pem.as_bytes());
        written.with_context(|| format!("--ca-file {}", file.display()))?;
    }
    let announce = if json { announcement_json } else { announcement };
    print(&announce(args, &listens, &sandbox, given.is_none().then_some(password.as_str())))?;
    let writing = log.map(Log::write).transpose().context("starting the log")?;
    signals.forever().next();
    let totals = sandbox.stop_with_totals(STOP);
    if let Some(lost) = writing.and_then(log::Writing::end) {
        stderr::complain(&format!("{lost} line(s) of the log were lost: nobody read them"));
    }
    if let Some(failure) = transcripts.and_then(|transcripts| transcripts.failure()) {
        stderr::complain(&failure);
    }
    let told = if json { summary::json(&totals) } else { summary::text(&totals) };
    print_within(LAST_WORDS, told)?;
    Ok(0)
}

/// Prints it, if standard output has a reader.
fn print_within(time: Duration, text: String) -> Result<()> {
    let (done, printed) = sync_channel(1);
    let writing = thread::Builder::new().name("summary".to_owned()).spawn(move || _ = done.send(print(&text)));
    writing.context("printing the summary")?;
    match printed.recv_timeout(time) {
        Ok(printed) => printed,
        Err(_) => {
            stderr::complain("the summary was not printed: nobody read standard output");
            Ok(())
        }
    }
}

fn print(text: &str) -> Result<()> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        // Who closed it knows where to connect, or will not.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("writing to standard output"),
    }
}

fn announcement_json(args: &SandboxArgs, listens: &[Listen], sandbox: &Sandbox, made_up: Option<&str>) -> String {
    let name = |file: &Option<PathBuf>| file.as_ref().map(|file| file.to_string_lossy().into_owned());
    let line = Line::Listening {
        urls: urls(args, listens, sandbox),
        users: &args.user,
        password: made_up,
        password_file: name(&args.password_file),
        ca_file: name(&args.ca_file),
    };
    line.text()
}

fn urls(args: &SandboxArgs, listens: &[Listen], sandbox: &Sandbox) -> Vec<String> {
    let user = utf8_percent_encode(args.user.first().map(String::as_str).unwrap_or_default(), &UNRESERVED).to_string();
    let addresses = listens.iter().zip(sandbox.addresses());
    addresses.map(|(listen, address)| format!("{}://{user}@{address}", listen.scheme)).collect()
}

/// Where to connect, and as whom. `made_up` is the password, unless it is somebody's own.
fn announcement(args: &SandboxArgs, listens: &[Listen], sandbox: &Sandbox, made_up: Option<&str>) -> String {
    let mut told = String::new();
    for url in urls(args, listens, sandbox) {
        told += &format!("{url}\n");
    }
    for user in &args.user {
        told += &format!("user      {user}\n");
    }
    told += &match (made_up, &args.password_file) {
        (Some(password), _) => format!("password  {password}  (made up for this server, and gone with it)\n"),
        (None, file) => {
            format!(
                "password  as in {}\n",
                stderr::escaped(&file.as_deref().unwrap_or(Path::new("")).to_string_lossy())
            )
        }
    };
    match &args.ca_file {
        Some(file) => told += &format!("ca        {}\n", stderr::escaped(&file.to_string_lossy())),
        None if sandbox.ca_pem().is_some() => {
            told += "ca        not written; give --ca-file FILE to have clients trust it\n";
        }
        None => {}
    }
    told
}

/// The limits that were asked for, beside the short form; if none were, those of the one that it is to be like.
pub fn limits(connections: Option<usize>, asked: &[Limit], like: Option<Like>) -> Vec<Limit> {
    match like {
        Some(like) if asked.is_empty() && connections.is_none() => like.limits(),
        _ => asked.to_vec(),
    }
}

/// Those, and what the short form is short for.
pub fn all_limits(connections: Option<usize>, like: Option<Like>, more: Vec<Limit>) -> Vec<Limit> {
    let counts = |most| like.map_or_else(|| Limit::connections(most), |like| like.connections(most));
    connections.map(counts).into_iter().flatten().chain(more).collect()
}

fn check_names(users: &[String]) -> Result<()> {
    for (at, name) in users.iter().enumerate() {
        ensure!(!name.is_empty(), "--user needs a name");
        ensure!(!name.contains(|c: char| c.is_control()), "--user {name:?} holds a control character");
        ensure!(!users[..at].contains(name), "--user {name}: named twice");
    }
    Ok(())
}

/// The first line of the file, which holds nothing else.
fn password(path: &Path) -> Result<String> {
    let secret = secrets::from_file(path, Instant::now() + PATIENCE);
    secret.map(|secret| secret.expose().to_owned()).with_context(|| format!("--password-file {}", path.display()))
}
