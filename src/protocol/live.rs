//! The sockets that are open now, so that another thread can end what blocks on them, and see what others of ours go
//! through.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::failure::{Failure, FailureKind, Stage};

/// An idle connection that the server leaves open for so long after it closed another is one that it serves.
const SETTLED: Duration = Duration::from_millis(500);
/// How often the others are looked at.
const LOOK: Duration = Duration::from_millis(5);
/// So soon a server closes that ends a session with its refusal: after the first of a session, after the first of a limit or of
/// its own trouble, and after any other once it has left the session open with one.
const CLOSES: Duration = Duration::from_millis(50);
const CLOSES_AS_SAID: Duration = Duration::from_millis(250);
const CLOSES_AGAIN: Duration = Duration::from_millis(2);

/// Cancels every dial and every connection of one connector.
///
/// It holds each socket weakly: the descriptor closes when its connection goes, and costs no second one.
#[derive(Default)]
pub(super) struct Live {
    cancelled: AtomicBool,
    /// Dead entries are pruned when the list has doubled since the last pruning.
    sockets: Mutex<Sockets>,
    marks: Arc<Marks>,
}

/// What all connections together went through, as moments in nanoseconds; 0 is never.
#[derive(Default)]
struct Marks {
    /// When the latest thing began that the server answered: a unit, a goodbye, a dial.
    answered: AtomicU64,
    /// When the latest session ended with its goodbye.
    ended: AtomicU64,
}

/// A moment as a mark.
fn mark(moment: Instant) -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let since = moment.saturating_duration_since(*START).as_nanos();
    u64::try_from(since).unwrap_or(u64::MAX).saturating_add(1)
}

#[derive(Default)]
struct Sockets {
    all: Vec<Arc<Link>>,
    prune_at: usize,
}

/// One connection, as others of the same connector may look at it.
pub(super) struct Link {
    socket: Weak<TcpStream>,
    connected: Instant,
    course: Mutex<Course>,
    marks: Arc<Marks>,
}

/// What a connection went through.
#[derive(Default)]
struct Course {
    /// Its dial is over: it is a session.
    is_open: bool,
    /// When the unit under way began.
    asked: Option<Instant>,
    /// When the last one began that the server answered, so that the session went on; the dial and the goodbye are two.
    answered: Option<Instant>,
    /// The line with which the server refused the last unit.
    refusal: Option<String>,
    /// Whether the server was seen to refuse, and not to close with that.
    stayed: Stayed,
    /// How long the last unit's end was waited for, when all was said.
    lingered: Duration,
}

/// A refusal that was waited out: a server that did not close with it is not waited for as long again.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stayed {
    #[default]
    Never,
    /// At one that is of no limit, and no trouble of the server's own.
    AtAnyOther,
    /// At one that is.
    AtALimit,
}

/// Other connections that go on where one was closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Others {
    /// How many; 0 where one had just ended.
    pub(super) count: usize,
    /// The server was seen to answer there; else it leaves them open.
    pub(super) answer: bool,
}

impl Course {
    fn is_idle(&self) -> bool {
        self.is_open && self.asked.is_none()
    }
}

impl Link {
    fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_idle(&self) -> bool {
        self.course().is_idle()
    }

    fn is_open(&self) -> bool {
        self.course().is_open
    }

    fn is_alive(&self) -> bool {
        self.socket.strong_count() > 0
    }

    /// A unit begins.
    pub(super) fn asks(&self) {
        let mut course = self.course();
        course.asked = Some(Instant::now());
        course.lingered = Duration::ZERO;
    }

    /// A unit, or the dial, has ended and the session goes on. `failure` is what the server refused.
    pub(super) fn goes_on(&self, failure: Option<&Failure>) {
        let mut course = self.course();
        let asked = course.asked.take().unwrap_or(self.connected);
        course.is_open = true;
        course.answered = course.answered.max(Some(asked));
        self.marks.answered.fetch_max(mark(asked), Ordering::Relaxed);
        course.refusal = failure.and_then(|failure| failure.server_line.clone());
    }

    /// The session has ended, and the server said goodbye.
    pub(super) fn ends(&self) {
        self.goes_on(None);
        self.marks.ended.fetch_max(mark(Instant::now()), Ordering::Relaxed);
    }

    /// Whether the server closes with that refusal: it does so at once, or a moment later, and by the deadline.
    pub(super) fn closes_with(&self, refusal: &Failure, deadline: Instant) -> bool {
        use FailureKind::{LimitConnections, LimitRate, ServerUnavailable};
        if refusal.server_line.is_none() {
            return false;
        }
        let ends = matches!(refusal.kind, LimitConnections | LimitRate | ServerUnavailable);
        let patience = match self.course().stayed {
            Stayed::Never if ends => CLOSES_AS_SAID,
            Stayed::Never => CLOSES,
            Stayed::AtAnyOther if ends => CLOSES_AS_SAID,
            Stayed::AtAnyOther | Stayed::AtALimit => CLOSES_AGAIN,
        };
        let began = Instant::now();
        let closes = self.closes_within(patience.min(deadline.saturating_duration_since(began)));
        let mut course = self.course();
        if !closes {
            course.stayed = course.stayed.max(if ends { Stayed::AtALimit } else { Stayed::AtAnyOther });
        }
        course.lingered += began.elapsed();
        closes
    }

    /// How long the last unit waited to see whether the server closes.
    pub(super) fn lingered(&self) -> Duration {
        self.course().lingered
    }

    /// A close that was found when the next unit began belongs to the refusal before it.
    pub(super) fn told(&self, mut failure: Failure) -> Failure {
        let is_bare = failure.kind == FailureKind::Closed && failure.server_line.is_none();
        if let Some(line) = self.course().refusal.as_ref().filter(|_| is_bare) {
            failure.message =
                format!("the server closed the connection after it had refused the operation before: {line}");
        }
        failure
    }

    /// Whether the other side has closed.
    pub(super) fn is_closed(&self) -> bool {
        self.closes_within(Duration::ZERO)
    }

    /// The same, or whether it has sent what nobody took.
    pub(super) fn has_news(&self) -> bool {
        self.comes_to(PollFlags::IN | PollFlags::RDHUP, Duration::ZERO)
    }

    /// Whether the other side closes within that time; it may have before.
    fn closes_within(&self, patience: Duration) -> bool {
        // What is there to read says nothing: a reply may stand before the end.
        self.comes_to(PollFlags::RDHUP, patience)
    }

    /// Whether the socket comes to that within that time, or breaks.
    fn comes_to(&self, what: PollFlags, patience: Duration) -> bool {
        let Some(socket) = self.socket.upgrade() else { return true };
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).ok();
            let mut ready = [PollFd::new(&*socket, what)];
            match poll(&mut ready, timeout.as_ref()) {
                Ok(0) => return false,
                Err(rustix::io::Errno::INTR) => {}
                Ok(_) | Err(_) => return true,
            }
        }
    }
}

impl Live {
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        let sockets = std::mem::take(&mut *self.sockets());
        for socket in sockets.all.iter().filter_map(|link| link.socket.upgrade()) {
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
        self.sockets().all.iter().filter(|link| link.is_alive()).count()
    }

    /// Registers a socket; refuses it if the cancellation came first.
    pub(super) fn register(&self, socket: &Arc<TcpStream>, stage: Stage) -> Result<Arc<Link>, Failure> {
        let link = Arc::new(Link {
            socket: Arc::downgrade(socket),
            connected: Instant::now(),
            course: Mutex::default(),
            marks: Arc::clone(&self.marks),
        });
        {
            let mut sockets = self.sockets();
            if sockets.all.len() >= sockets.prune_at {
                sockets.all.retain(|link| link.is_alive());
                sockets.prune_at = (sockets.all.len() * 2).max(64);
            }
            sockets.all.push(Arc::clone(&link));
        }
        // Asked after the registration: a cancellation in between finds the socket in the list, or is seen here.
        self.check(stage).map(|()| link)
    }

    /// Whether the server goes on with connections that are open now, after it closed one at `since`: it answers what is
    /// asked there afterwards, or leaves those open that ask for nothing. Waits until one of the two is seen, the last of
    /// them has ended, or the deadline comes. One that ended well while that one was dialled, from `began` on, counts too, if
    /// the server answers others afterwards.
    pub(super) fn others_go_on(&self, began: Instant, since: Instant, deadline: Instant) -> Option<Others> {
        let mut others: Vec<_> = self.sockets().all.iter().filter(|link| link.is_alive()).cloned().collect();
        loop {
            let answered = |link: &Arc<Link>| link.course().answered.is_some_and(|asked| asked > since);
            if others.iter().any(answered) {
                let count = others.iter().filter(|link| link.is_open() && (link.is_alive() || answered(link))).count();
                return Some(Others { count, answer: true });
            }
            let one_ended = self.marks.ended.load(Ordering::Relaxed) >= mark(began);
            if one_ended && self.marks.answered.load(Ordering::Relaxed) > mark(since) {
                return Some(Others { count: 0, answer: true });
            }
            let now = Instant::now();
            let is_settled = now >= since + SETTLED;
            // Whoever uses one finds out by itself that it has ended.
            others.retain(|link| {
                link.is_alive() && !(is_settled && link.is_idle() && link.closes_within(Duration::ZERO))
            });
            if is_settled && others.iter().any(|link| link.is_idle()) {
                let count = others.iter().filter(|link| link.is_open()).count();
                return Some(Others { count, answer: false });
            }
            let is_over = others.is_empty() && (is_settled || !one_ended);
            if is_over || self.is_cancelled() || now >= deadline {
                return None;
            }
            thread::sleep(LOOK.min(deadline - now));
        }
    }

    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn cancelled(stage: Stage) -> Failure {
    Failure::new(FailureKind::Disposed, stage, "cancelled: the connections were told to end")
}
