//! Times in whole microseconds, as every report writes them: what is said of a run and what its file says of it are then the
//! same to the last digit, and whoever reads the file comes to the same figures.

use std::time::{Duration, SystemTime};

use super::run::{Entry, Run, What};
use crate::protocol::Phases;

impl Run {
    /// The same run, every time in it cut to whole microseconds.
    #[must_use]
    pub fn in_microseconds(mut self) -> Self {
        self.header.started = whole_wall(self.header.started);
        self.entries.iter_mut().for_each(entry);
        cut(&mut self.end.elapsed);
        let commands = self.witness.iter_mut().flatten().flat_map(|session| &mut session.commands);
        commands.filter_map(|command| command.at.as_mut()).for_each(cut);
        self
    }
}

fn entry(entry: &mut Entry) {
    cut(&mut entry.at);
    match &mut entry.what {
        What::Opened(opened) => {
            cut(&mut opened.began);
            cut(&mut opened.signed_in);
            phases(&mut opened.phases);
        }
        What::OpenFailed(failed) => {
            cut(&mut failed.took);
            cut(&mut failed.failed);
            phases(&mut failed.phases);
        }
        What::Operation(operation) => {
            let times = [&mut operation.issued_at, &mut operation.wait, &mut operation.dial, &mut operation.service];
            times.into_iter().for_each(cut);
        }
        What::WorkerEnded { not_begun_wait, .. } => cut(not_begun_wait),
        _ => {}
    }
}

fn phases(phases: &mut Phases) {
    let Phases { resolve, connect, tls, greeting, sign_in } = phases;
    [resolve, connect, tls, greeting, sign_in].into_iter().flatten().for_each(cut);
}

fn cut(time: &mut Duration) {
    *time = Duration::new(time.as_secs(), time.subsec_micros() * 1000);
}

/// A wall-clock time, cut likewise. One before 1970 is of a clock that is wrong anyway.
fn whole_wall(time: SystemTime) -> SystemTime {
    let mut since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    cut(&mut since);
    SystemTime::UNIX_EPOCH + since
}
