//! Ctrl-C, SIGTERM and a terminal that is closed: the first signal ends the run in order, its report included; the second
//! ends the process at once. What else the system might do to the process is dealt with here too.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rlimit::Resource;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::{Handle, Signals};

use mailconn::report::Output;
use mailconn::workload::Control;

/// The same signal within that time is the same Ctrl-C: the terminal sends it, and a parent passes it on.
const ECHO: Duration = Duration::from_millis(200);
/// Where the kernel says what it does with a core dump.
const CORE_PATTERN: &str = "/proc/sys/kernel/core_pattern";
/// Where the kernel says which signals this process was started to ignore.
const STATUS: &str = "/proc/self/status";

/// Lets no core dump be made, since it would hold passwords, and lets a file that grows beyond its limit be an error of
/// writing instead of the end of the process.
pub fn shield() {
    // A program that takes core dumps gets them at a limit of 0 too. At 1 there is none (core(5)).
    let piped = std::fs::read_to_string(CORE_PATTERN).is_ok_and(|pattern| pattern.starts_with('|'));
    let most = u64::from(piped);
    // A limit that is lower already stays as it is.
    let _ = Resource::CORE.set(most, most);
    // A handler, not "ignore": a program that is started from here has the usual behaviour again.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// The signals that ask the process to end. SIGHUP is none of them where the process was started to ignore it (nohup).
///
/// # Errors
/// The system refused the handler.
pub fn requests_to_end() -> io::Result<Signals> {
    let status = std::fs::read_to_string(STATUS).unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    let hangs_up = (ignored & (1 << (SIGHUP - 1)) == 0).then_some(SIGHUP);
    Signals::new([SIGINT, SIGTERM].into_iter().chain(hangs_up))
}

/// Listens for signals as long as it lives.
pub struct Interrupts {
    handle: Handle,
    listener: Option<JoinHandle<()>>,
}

impl Interrupts {
    /// Hands the first signal to `control`; the second ends the process with that signal's code.
    ///
    /// # Errors
    /// The system refused the handler, or the thread.
    pub fn reach(control: &Arc<Control>) -> io::Result<Self> {
        let mut signals = requests_to_end()?;
        let handle = signals.handle();
        let control = Arc::clone(control);
        let listener = thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let mut first = None;
            for signal in signals.forever() {
                if first.is_some_and(|(same, at): (_, Instant)| same == signal && at.elapsed() < ECHO) {
                    continue;
                }
                if control.signal().is_some() {
                    Output::discard_unfinished();
                    std::process::exit(128 + signal);
                }
                control.interrupt(signal);
                first = Some((signal, Instant::now()));
            }
        })?;
        Ok(Self { handle, listener: Some(listener) })
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(listener) = self.listener.take() {
            // It ends when its signals are closed; a panic in it has nothing left to break.
            let _ = listener.join();
        }
    }
}
