//! Ctrl-C and SIGTERM: the first ends the run in order, the second at once.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use mailconn::workload::Control;

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
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let handle = signals.handle();
        let control = Arc::clone(control);
        let listener = thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                if control.interrupted().is_some() {
                    std::process::exit(128 + signal);
                }
                control.interrupt(signal);
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
