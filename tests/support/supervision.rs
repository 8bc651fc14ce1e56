//! What a test starts outside of its process ends with it.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A process that runs a command as soon as this value is dropped, or this process has ended, however it does.
#[derive(Debug)]
pub struct AtTheEnd(Child);

impl AtTheEnd {
    /// `script` is for `sh`, which finds `arguments` as `$1`, `$2` …
    pub fn run<'a>(script: &str, arguments: impl IntoIterator<Item = &'a Path>) -> io::Result<Self> {
        // Its standard input ends when the only process that holds the other end has let go of it.
        let script = format!("trap '' INT HUP TERM; cat >/dev/null; {script}");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]).args(arguments).stdin(Stdio::piped()).stdout(Stdio::null());
        // A group of its own: an interrupt from the terminal is not for it.
        command.process_group(0).spawn().map(Self)
    }
}

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        match self.0.wait() {
            Ok(status) if status.success() => {}
            // A panic here would abort a test that is panicking already, and hide its reason.
            ended => eprintln!("at the end of a test: {ended:?}"),
        }
    }
}
