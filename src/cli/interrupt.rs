//! Ctrl-C and SIGTERM: the first ends the run in order, the second at once. Once the run is over the first ends the
//! process too.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use mailconn::workload::Control;

/// Listens for signals as long as it lives.
pub struct Interrupts {
    handle: Handle,
    /// The next signal ends the process, whether or not one came before.
    at_once: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl Interrupts {
    /// Hands the first signal to `control`; the second ends the process with that signal's code.
    ///
    /// # Errors
    /// The system refused the handler, or the thread.
    pub fn reach(control: &Arc<Control>) -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let handle = signals.handle();
        let control = Arc::clone(control);
        let at_once = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&at_once);
        let listener = thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                if ends.load(Ordering::SeqCst) || control.interrupted().is_some() {
                    std::process::exit(128 + signal);
                }
                control.interrupt(signal);
            }
        })?;
        Ok(Self { handle, at_once, listener: Some(listener) })
    }

    /// The run is over: from now on the first signal ends the process.
    pub fn end_at_the_next(&self) {
        self.at_once.store(true, Ordering::SeqCst);
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
