//! The end of a client (rule D4): every connection signs out, side by side, within one deadline.

use std::time::Instant;

use super::connector::Connector;
use super::event::Disposal;
use super::shared::{Member, Shared};
use super::slot::{Disposed, Session};
use super::sync::atomic::{AtomicUsize, Ordering};
use super::sync::{Arc, Mutex, fair_share, lock, spawn_scoped, thread};

/// So many sign out at a time: one server that does not answer must not keep the others from being told.
const CLOSERS: usize = 16;

pub(super) fn close_all<C: Connector>(shared: &Shared<C>, members: &[Arc<Member<C>>], deadline: Instant) {
    let idle = members.iter().filter_map(|member| match member.retire(Disposal::ClientClosed) {
        Disposed::Now { idle } => idle,
        Disposed::Before => None,
    });
    let idle: Vec<Mutex<Option<Box<Session<C>>>>> = idle.map(|session| Mutex::new(Some(session))).collect();
    let next = AtomicUsize::new(0);
    let closers = CLOSERS.min(idle.len());
    let close_some = |closers: usize| {
        while let Some(place) = idle.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Some(session) = lock(place).take() else { continue };
            let left = idle.len().saturating_sub(next.load(Ordering::Relaxed)) + 1;
            shared.close_session(*session, fair_share(deadline, left.div_ceil(closers)));
        }
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..closers).map_while(|_| spawn_scoped(scope, move || close_some(closers))).collect();
        close_some(1 + others.len());
        for other in others {
            if let Err(panic) = other.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}
