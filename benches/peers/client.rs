//! The clients that `mailconn run` is held against: one process each, as it is one.
//!
//! A client starts [`THREADS`] threads, signs in as often as it has connections, issues its NOOPs, signs out, and prints
//! the longest wait for a shared connection in microseconds.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use imap::Session;

use super::gate::{FairGate, Turn};
use super::mail::Server;

/// Threads of every client.
pub const THREADS: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// A connection for each thread: a command formatted once, a scan for the tagged line.
    Raw,
    /// A connection for each thread: the `imap` crate's own call.
    Bare,
    /// One connection for all, the `imap` crate's own call, in turn.
    SharedFair,
    /// One connection for all, the `imap` crate's own call, behind std's mutex.
    SharedMutex,
}

pub fn run(peer: Peer, operations: u32) -> Result<()> {
    let server = Server::from_environment()?;
    let longest_wait = match peer {
        Peer::Raw => each_thread(|| raw(&server, operations))?,
        Peer::Bare => each_thread(|| bare(&server, operations))?,
        Peer::SharedFair => shared_fair(&server, operations)?,
        Peer::SharedMutex => shared_mutex(&server, operations)?,
    };
    println!("{}", longest_wait.as_micros());
    Ok(())
}

/// The longest wait of all threads.
fn each_thread(work: impl Fn() -> Result<Duration> + Sync) -> Result<Duration> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(&work)).collect();
        threads.into_iter().try_fold(Duration::ZERO, |longest, thread| {
            let waited = thread.join().map_err(|_| anyhow!("a thread panicked"))??;
            Ok(longest.max(waited))
        })
    })
}

fn raw(server: &Server, operations: u32) -> Result<Duration> {
    let mut stream = connect(server)?;
    let mut buffer = [0; 4096];
    read_until(&mut stream, &mut buffer, |read| read.ends_with(b"\r\n"))?;
    let login = format!("a LOGIN {} {}\r\n", server.user, server.password);
    raw_command(&mut stream, &mut buffer, login.as_bytes())?;
    for _ in 0..operations {
        raw_command(&mut stream, &mut buffer, b"a NOOP\r\n")?;
    }
    raw_command(&mut stream, &mut buffer, b"a LOGOUT\r\n")?;
    Ok(Duration::ZERO)
}

fn raw_command(stream: &mut TcpStream, buffer: &mut [u8], command: &[u8]) -> Result<()> {
    stream.write_all(command)?;
    let is_tagged = |line: &[u8]| line.starts_with(b"a ");
    let read =
        read_until(stream, buffer, |read| read.ends_with(b"\r\n") && read.split(|byte| *byte == b'\n').any(is_tagged))?;
    let ok = buffer[..read].split(|byte| *byte == b'\n').any(|line| line.starts_with(b"a OK"));
    if ok { Ok(()) } else { bail!("the server refused: {}", String::from_utf8_lossy(&buffer[..read])) }
}

fn read_until(stream: &mut TcpStream, buffer: &mut [u8], done: impl Fn(&[u8]) -> bool) -> Result<usize> {
    let mut filled = 0;
    while !done(&buffer[..filled]) {
        let count = stream.read(&mut buffer[filled..])?;
        if count == 0 {
            bail!("the server closed, or said too much");
        }
        filled += count;
    }
    Ok(filled)
}

fn bare(server: &Server, operations: u32) -> Result<Duration> {
    let mut session = sign_in(server)?;
    for _ in 0..operations {
        session.noop()?;
    }
    session.logout()?;
    Ok(Duration::ZERO)
}

fn shared_fair(server: &Server, operations: u32) -> Result<Duration> {
    let gate = FairGate::default();
    // The gate alone lets threads in; this lock is never waited for, and stands in for the unsafe that a gate with its
    // content inside would have.
    let session = Mutex::new(sign_in(server)?);
    let longest = each_thread(|| {
        let turn = Turn::of_this_thread();
        let mut longest = Duration::ZERO;
        for _ in 0..operations {
            let asked = Instant::now();
            gate.enter(&turn);
            longest = longest.max(asked.elapsed());
            let done = session.lock().unwrap_or_else(PoisonError::into_inner).noop();
            gate.leave();
            done?;
        }
        Ok(longest)
    })?;
    session.into_inner().unwrap_or_else(PoisonError::into_inner).logout()?;
    Ok(longest)
}

fn shared_mutex(server: &Server, operations: u32) -> Result<Duration> {
    let session = Mutex::new(sign_in(server)?);
    let longest = each_thread(|| {
        let mut longest = Duration::ZERO;
        for _ in 0..operations {
            let asked = Instant::now();
            let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
            longest = longest.max(asked.elapsed());
            session.noop()?;
        }
        Ok(longest)
    })?;
    session.into_inner().unwrap_or_else(PoisonError::into_inner).logout()?;
    Ok(longest)
}

fn connect(server: &Server) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", server.port)).context("connecting")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn sign_in(server: &Server) -> Result<Session<TcpStream>> {
    let mut client = imap::Client::new(connect(server)?);
    client.read_greeting()?;
    client.login(&server.user, &server.password).map_err(|(error, _)| anyhow!("signing in: {error}"))
}
