//! The sockets that are open now, so that another thread can end what blocks on them.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::failure::{Failure, FailureKind, Stage};

/// Cancels every dial and every connection of one connector.
///
/// It holds each socket weakly: the descriptor closes when its connection goes, and costs no second one.
#[derive(Default)]
pub(super) struct Live {
    cancelled: AtomicBool,
    /// Dead entries are pruned when the list has doubled since the last pruning.
    sockets: Mutex<Sockets>,
}

#[derive(Default)]
struct Sockets {
    all: Vec<Weak<TcpStream>>,
    prune_at: usize,
}

impl Live {
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        let sockets = std::mem::take(&mut *self.sockets.lock().unwrap_or_else(PoisonError::into_inner));
        for socket in sockets.all.iter().filter_map(Weak::upgrade) {
            // Already closed by the other side: nothing blocks on it then.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    pub(super) fn check(&self, stage: Stage) -> Result<(), Failure> {
        if self.is_cancelled() { Err(cancelled(stage)) } else { Ok(()) }
    }

    /// How many sockets are open.
    pub(super) fn open(&self) -> usize {
        let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.all.iter().filter(|socket| socket.strong_count() > 0).count()
    }

    /// Registers a socket; refuses it if the cancellation came first.
    pub(super) fn register(&self, socket: &Arc<TcpStream>, stage: Stage) -> Result<(), Failure> {
        {
            let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
            if sockets.all.len() >= sockets.prune_at {
                sockets.all.retain(|socket| socket.strong_count() > 0);
                sockets.prune_at = (sockets.all.len() * 2).max(64);
            }
            sockets.all.push(Arc::downgrade(socket));
        }
        // Asked after the registration: a cancellation in between finds the socket in the list, or is seen here.
        self.check(stage)
    }
}

pub(super) fn cancelled(stage: Stage) -> Failure {
    Failure::new(FailureKind::Disposed, stage, "cancelled: the connections were told to end")
}
