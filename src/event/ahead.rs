//! A stream that is read ahead: one thread reads its lines while another one judges them.

use std::io::BufRead;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Builder};
use std::vec;

use super::codec::Event;
use super::file::{BATCH, Line, Reader, Unreadable};

/// So many batches wait to be taken, at most.
const WAITING: usize = 4;

type Batch = Result<Vec<Line>, Unreadable>;

/// The lines that are read.
#[derive(Debug)]
pub struct Ahead {
    batches: Receiver<Batch>,
    lines: vec::IntoIter<Line>,
    /// Events that were judged, on their way back.
    spent: Vec<Event>,
    back: SyncSender<Vec<Event>>,
}

impl Ahead {
    /// Reads lines on a thread of its own while `judge` takes them. That thread ends with the stream, or when `judge` returns
    /// and nothing more comes to be read.
    ///
    /// # Errors
    /// There is no room for a thread, or what `judge` answers.
    pub fn of<R: BufRead + Send, T>(
        reader: &mut Reader<R>,
        judge: impl FnOnce(&mut Self) -> Result<T, Unreadable>,
    ) -> Result<T, Unreadable> {
        thread::scope(|scope| {
            let (to, batches) = sync_channel(WAITING);
            let (back, spent) = sync_channel(WAITING);
            Builder::new().name("reader".to_owned()).spawn_scoped(scope, move || read(reader, &to, &spent))?;
            judge(&mut Self { batches, lines: Vec::new().into_iter(), spent: Vec::new(), back })
        })
    }

    /// The next line; none at the end.
    ///
    /// # Errors
    /// As of [`Reader::next_line`].
    pub fn next_line(&mut self) -> Result<Option<Line>, Unreadable> {
        loop {
            match self.lines.next() {
                None => match self.batches.recv() {
                    Ok(batch) => self.lines = batch?.into_iter(),
                    Err(_) => return Ok(None),
                },
                line => return Ok(line),
            }
        }
    }
}

impl Ahead {
    /// Takes back an event that was judged. The reader's thread drops it, where it was allocated: two threads at one heap
    /// stand in each other's way.
    pub fn spend(&mut self, event: Event) {
        self.spent.push(event);
        if self.spent.len() >= BATCH {
            // A reader that is behind, or done, need not have it.
            let _ = self.back.try_send(std::mem::take(&mut self.spent));
        }
    }
}

/// Ends early if nobody takes what is read.
fn read<R: BufRead>(reader: &mut Reader<R>, to: &SyncSender<Batch>, spent: &Receiver<Vec<Event>>) {
    loop {
        spent.try_iter().for_each(drop);
        let mut batch = Vec::with_capacity(BATCH);
        let read = reader.next_lines(&mut batch);
        let taken = to.send(Ok(batch));
        match (taken, read) {
            (Ok(()), Ok(true)) => {}
            (Ok(()), Err(error)) => return to.send(Err(error)).unwrap_or_default(),
            _ => return,
        }
    }
}
