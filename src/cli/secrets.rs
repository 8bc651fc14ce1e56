//! Where the secret comes from: a command, a file, standard input, the environment or a question on the terminal.
//!
//! No complaint repeats the secret, nor what a command wrote; and no command inherits the environment's password.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};
use zeroize::Zeroizing;

use super::args::SignInArgs;
use super::stderr;
use mailconn::protocol::{Credentials, Secret, Tokens};

/// The environment variable that holds the password.
pub const PASSWORD: &str = "MAILCONN_PASSWORD";
/// No password or token is longer than this.
const LONGEST: usize = 64 * 1024;
/// How soon the end of a command is noticed that has closed its output, or has left it to a process of its own.
const SLICE: Duration = Duration::from_millis(10);

/// What to sign in with: from the one flag that names a source, else from the environment, else asked for.
///
/// `server` is how the server is called in complaints. `patience` is for how long a source may be waited for; a token is
/// not fetched here, but by the first sign-in.
///
/// # Errors
/// One line: why there is no secret, and the cure.
pub fn credentials(args: &SignInArgs, server: impl Display, user: &str, patience: Duration) -> Result<Credentials> {
    let deadline = Instant::now() + patience;
    if let Some(command) = args.token_command.clone() {
        let fetch = move |deadline, called_off: &dyn Fn() -> bool| {
            let flag = "--token-command";
            let output = output_of(flag, &command, deadline, called_off);
            let token = output.and_then(|output| token(&output).context(flag));
            token.map_err(|error| format!("{error:#}"))
        };
        return Ok(Credentials::Token(Tokens::expiring(fetch)));
    }
    let secret = if let Some(command) = &args.password_command {
        let interrupted = Interrupted::listen().context("listening for signals")?;
        let flag = "--password-command";
        let output = output_of(flag, command, deadline, &|| interrupted.is_set());
        interrupted.end_by_it();
        first_line(&output?).context(flag)?
    } else if let Some(path) = &args.password_file {
        from_file(path, deadline).with_context(|| format!("--password-file {}", path.display()))?
    } else if args.password_stdin {
        from_stdin(deadline).context("--password-stdin")?
    } else if let Some(password) = std::env::var_os(PASSWORD).filter(|password| !password.is_empty()) {
        Secret::new(password.into_string().ok().with_context(|| format!("{PASSWORD} is not UTF-8 text"))?)
    } else {
        ensure!(
            io::stdin().is_terminal(),
            "no password for {server}: set {PASSWORD}, or name a --password-file or --password-command (there is no \
             terminal to ask on)"
        );
        let prompt = format!("Password for {user}: ");
        Secret::new(rpassword::prompt_password(prompt).context("reading the password")?)
    };
    ensure!(!secret.expose().is_empty(), "an empty password signs nobody in");
    Ok(Credentials::Password(secret))
}

/// All that a command writes, which must end well and in time.
fn output_of(
    flag: &str,
    command: &str,
    deadline: Instant,
    called_off: &dyn Fn() -> bool,
) -> Result<Zeroizing<Vec<u8>>> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .env_remove(PASSWORD)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // A group of its own, to be ended as one: what the shell started holds the output open too.
        .process_group(0)
        .spawn()
        .with_context(|| format!("{flag}: no shell to run it"))?;
    let watched = watch(&mut child, deadline, called_off);
    if watched.is_err() {
        // Nobody has waited for it yet, so that its number is still its own. If it is gone, nobody is left to end.
        let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
    }
    let status = child.wait().with_context(|| flag.to_owned())?;
    match watched {
        Ok(output) if status.success() => Ok(output),
        Ok(_) => bail!("{flag} failed ({status}); run it by hand to see why"),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => bail!("{flag} was stopped with the run"),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            bail!("{flag} took longer than --connect-timeout allows, and was stopped")
        }
        Err(error) => Err(error).with_context(|| flag.to_owned()),
    }
}

/// All that a command writes until it ends. What it leaves running may keep its output open.
fn watch(child: &mut Child, deadline: Instant, called_off: &dyn Fn() -> bool) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut output = room();
    let mut stdout = child.stdout.take();
    loop {
        // Asked first: what it wrote before it ended is there to be read now.
        let ended = has_ended(child)?;
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = if ended { Duration::ZERO } else { left.min(SLICE) };
        match &mut stdout {
            Some(open) if await_input(&*open, wait)? => {
                if read_some(open, &mut output)? {
                    stdout = None;
                }
            }
            _ if ended => return Ok(output),
            Some(_) => {}
            None => thread::sleep(wait),
        }
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if called_off() {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
}

/// Whether Ctrl-C or SIGTERM came while a command was waited for: it has a group of its own, which the terminal does not
/// reach, and must be ended first.
struct Interrupted {
    signal: Arc<AtomicUsize>,
    registered: Vec<SigId>,
}

impl Interrupted {
    fn listen() -> io::Result<Self> {
        let signal = Arc::new(AtomicUsize::new(0));
        let mut registered = Vec::new();
        for (number, value) in [(SIGINT, 2), (SIGTERM, 15)] {
            registered.push(signal_hook::flag::register_usize(number, Arc::clone(&signal), value)?);
        }
        Ok(Self { signal, registered })
    }

    fn is_set(&self) -> bool {
        self.signal.load(Ordering::SeqCst) != 0
    }

    /// Ends this process by the signal, if one came.
    fn end_by_it(self) {
        for id in self.registered {
            signal_hook::low_level::unregister(id);
        }
        let number = self.signal.load(Ordering::SeqCst);
        if let Ok(number @ 1..) = u8::try_from(number) {
            std::process::exit(128 + i32::from(number));
        }
    }
}

/// Whether a process has ended, which leaves its number its own.
fn has_ended(child: &Child) -> io::Result<bool> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::Pid(Pid::from_child(child)), look)? {
        // A group that is not the terminal's own is stopped when it reads there, and would be until the deadline.
        Some(state) if state.stopped() => Err(io::Error::other(
            "it was stopped, because it asks on the terminal; let it take the secret from elsewhere, or leave the \
             flag out to be asked",
        )),
        state => Ok(state.is_some()),
    }
}

/// The one line of a file. A warning is said where others can read it.
///
/// # Errors
/// It cannot be read, others can write it, it is empty, or it holds more.
pub fn from_file(path: &Path, deadline: Instant) -> Result<Secret> {
    // A FIFO that nobody writes to would hold the opening up for ever.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    let (is_file, mode) = file.metadata().map(|found| (found.is_file(), found.mode()))?;
    ensure!(!is_file || mode & 0o022 == 0, "other users can write it, so the password may be theirs; chmod 600 it");
    let text = await_text(&mut file, deadline, |_| false)?;
    let line = text.strip_suffix(b"\n").map_or(&**text, |line| line.strip_suffix(b"\r").unwrap_or(line));
    ensure!(!line.is_empty(), "it is empty; put the password on its first line");
    ensure!(!line.contains(&b'\n') && !line.contains(&b'\r'), "it must hold one line, the password, and nothing else");
    let secret = first_line(line)?;
    if is_file && mode & 0o044 != 0 {
        stderr::complain(&format!(
            "WARNING: --password-file {}: other users can read it; chmod 600 it",
            path.display()
        ));
    }
    Ok(secret)
}

fn from_stdin(deadline: Instant) -> Result<Secret> {
    let stdin = io::stdin();
    ensure!(
        !stdin.is_terminal(),
        "standard input is a terminal; leave the flag out to be asked, or write `pass show mail | mailconn …`"
    );
    let mut stdin = File::from(stdin.as_fd().try_clone_to_owned()?);
    first_line(&await_text(&mut stdin, deadline, |text| text.contains(&b'\n'))?)
}

/// All that comes until the end or until it is `enough`.
fn await_text(
    source: &mut (impl Read + AsFd),
    deadline: Instant,
    enough: impl Fn(&[u8]) -> bool,
) -> Result<Zeroizing<Vec<u8>>> {
    let mut text = room();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if await_input(&*source, left)? {
            if read_some(source, &mut text)? || enough(&text) {
                return Ok(text);
            }
        } else {
            ensure!(!left.is_zero(), "nothing more came within --connect-timeout");
        }
    }
}

/// A buffer that never moves, which would leave copies of the secret behind.
fn room() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(LONGEST + 1))
}

/// Whether there is something to read, or an end to see, within that time.
fn await_input(source: &impl AsFd, wait: Duration) -> io::Result<bool> {
    let timeout = Timespec::try_from(wait).map_err(|_| io::ErrorKind::InvalidInput)?;
    match poll(&mut [PollFd::new(source, PollFlags::IN)], Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Reads what is there: whether that was the end.
fn read_some(source: &mut impl Read, text: &mut Vec<u8>) -> io::Result<bool> {
    let held = text.len();
    text.resize((held + 4096).min(LONGEST + 1), 0);
    let read = source.read(&mut text[held..]);
    text.truncate(held + read.as_ref().map_or(0, |read| *read));
    match read {
        Ok(_) if text.len() > LONGEST => Err(io::Error::other("too long for a password or a token")),
        Ok(read) => Ok(read == 0),
        Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The secret is the text's first line.
fn first_line(text: &[u8]) -> Result<Secret> {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    ensure!(!line.is_empty(), "there is no secret on the first line");
    ensure!(!line.contains(&0), "it holds a NUL character; no password or token has one");
    let secret = std::str::from_utf8(line).ok().context("not UTF-8 text")?;
    Ok(Secret::new(secret.to_owned()))
}

/// An answer of a token endpoint (RFC 6749 §5.1), as some tools pass it on.
#[derive(serde::Deserialize)]
struct Answer {
    access_token: String,
    /// In seconds; a number, or one in quotes.
    expires_in: Option<serde_json::Value>,
}

/// The token that a command wrote: one line, or JSON with how long it lasts.
fn token(output: &[u8]) -> Result<(Secret, Option<Duration>)> {
    let output = output.trim_ascii();
    ensure!(!output.is_empty(), "it wrote nothing; it must write the token");
    if output.starts_with(b"{") || output.starts_with(b"[") {
        // What is wrong with it is not quoted: the token may stand there.
        let answer = serde_json::from_slice(output).ok();
        let Answer { access_token, expires_in } = answer.context("it wrote JSON without an access_token (RFC 6749)")?;
        let seconds = expires_in.filter(|lasts| !lasts.is_null()).map(|lasts| {
            let seconds = lasts.as_f64().or_else(|| lasts.as_str()?.trim().parse().ok());
            let lasts = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            lasts.context("it wrote JSON whose expires_in is no number of seconds (RFC 6749)")
        });
        // What has run out already lasts, if it does, for one sign-in.
        return Ok((Secret::new(access_token), seconds.transpose()?));
    }
    ensure!(
        !output.contains(&b'\n'),
        "it wrote more than one line; it must write the token alone, or JSON with an access_token"
    );
    Ok((first_line(output)?, None))
}
