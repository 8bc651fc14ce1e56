//! The public face: a mail client that shares its connections between threads by the rule of its mode.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::closing;
use super::connector::Connector;
use super::error::{Error, Refusal};
use super::event::{Disposal, Observer};
use super::handle::{Connection, DefaultConnection, ThreadScope};
use super::id::ConnectionId;
use super::lease::{self, Assignment, Decision, Lease};
use super::mode::{Kind, Mode, Reason, may_create_default, route};
use super::shared::{Member, Shared, put_down};
use super::slot::Slot;
use super::sync::{Arc, Patience, ThreadId, Weak};
use super::thread::{self, Own, Place};

/// A mail client: one main connection, at most one default connection for each thread, any number of independent ones.
///
/// Cloning it gives another handle to the same client. When the last one goes, the client is closed (rule D4): that drop
/// takes [`Builder::close_timeout`] at most, and what a lease has in use then is closed when the lease ends.
pub struct Client<C: Connector> {
    owner: Arc<Owner<C>>,
}

struct Owner<C: Connector> {
    /// Main's place lives exactly as long as the client (K1).
    main: Arc<Member<C>>,
}

/// How a [`Client`] is made.
#[must_use]
pub struct Builder<C: Connector> {
    connector: C,
    mode: Mode,
    observer: Option<Box<dyn Observer>>,
    wait_timeout: Duration,
    close_timeout: Duration,
    max_connections: Option<usize>,
}

impl<C: Connector> Builder<C> {
    /// The mode to begin with; [`Mode::UseMainOrDefault`] unless set.
    pub const fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Who hears of the events; nobody unless set.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// How long a request may stand in line, for a connection and for room together (rules W1, W2); 60 s unless set.
    pub const fn lease_timeout(mut self, timeout: Duration) -> Self {
        self.wait_timeout = timeout;
        self
    }

    /// How long a disposal may take to sign out; 5 s unless set. A thread that ends takes less than a second in all
    /// (D3), and [`Client::close`] has a deadline of its own.
    pub const fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// How many connections may be open or being dialled at once (rule W2); no cap unless set. A cap of 0 lets none be.
    pub const fn max_connections(mut self, max: usize) -> Self {
        self.max_connections = Some(max);
        self
    }

    /// The client. Nothing is dialled yet: main opens at its first use (C4).
    pub fn build(self) -> Client<C> {
        let shared = Arc::new(Shared::new(
            self.connector,
            self.observer,
            self.mode,
            self.wait_timeout,
            self.close_timeout,
            self.max_connections,
        ));
        let main = Arc::new(Member { slot: Arc::new(Slot::new(ConnectionId::MAIN, Kind::Main)), shared });
        Client { owner: Arc::new(Owner { main }) }
    }
}

impl<C: Connector> Client<C> {
    /// Starts to make a client whose connections come from `connector`.
    pub const fn builder(connector: C) -> Builder<C> {
        Builder {
            connector,
            mode: Mode::UseMainOrDefault,
            observer: None,
            wait_timeout: Duration::from_secs(60),
            close_timeout: Duration::from_secs(5),
            max_connections: None,
        }
    }

    /// The mode that will decide the next operation.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.shared().mode()
    }

    /// Sets the mode, from any thread: it decides the next operation, never one under way (M1).
    pub fn set_mode(&self, mode: Mode) {
        self.shared().set_mode(mode);
    }

    /// The connector that was given to [`Client::builder`].
    #[must_use]
    pub fn connector(&self) -> &C {
        &self.shared().connector
    }

    /// How many connections are open or being dialled right now, of every kind.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.shared().capacity.taken()
    }

    /// How many requests stand in line right now, for a connection that others use (W1) or for room under
    /// `max_connections` (W2). One that is being dialled waits for the server, and stands in no line.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.owner.main.slot.waiting() + self.shared().waiting() + self.shared().capacity.waiting()
    }

    /// Creates an independent connection (C1), open when the call returns (C4).
    ///
    /// # Errors
    /// The dial failed, no room came free in time, or the client is closed. Nothing is left behind.
    pub fn create_connection(&self) -> Result<Connection<C>, Error<C::Error>> {
        let thread = thread::id();
        let newborn = self.add(Kind::Independent, thread, true)?;
        self.open_by_hand(&newborn.member, thread)?;
        Ok(Connection::new(&newborn.keep()))
    }

    /// Creates this thread's default connection by hand, open when the call returns (C2–C4).
    ///
    /// # Errors
    /// The mode forbids it, this thread has one already, the dial failed, no room came free in time, or the client is
    /// closed. Nothing is left behind: the thread may try again.
    pub fn create_default_connection(&self) -> Result<DefaultConnection<C>, Error<C::Error>> {
        let (thread, existing) = self.look()?;
        may_create_default(self.mode(), existing.map(|own| own.slot.id))
            .map_err(|refusal| self.shared().refuse(refusal, thread))?;
        let newborn = self.add_default(thread, true)?;
        self.open_by_hand(&newborn.member, thread)?;
        Ok(DefaultConnection::new(&newborn.keep()))
    }

    /// Disposes this thread's default connection, however it was created, and says which it was; none if it has none.
    ///
    /// From now on the thread is as if it never had one (D1).
    pub fn dispose_default_connection(&self) -> Option<ConnectionId> {
        let (_, own) = self.look().ok()?;
        let own = own?;
        self.shared().dispose(&own.slot, Disposal::ByHand, self.shared().close_by()).then_some(own.slot.id)
    }

    /// A scope at whose end this thread's default connection is disposed, for tasks on threads that outlive them (H1).
    pub const fn thread_scope(&self) -> ThreadScope<'_, C> {
        ThreadScope::new(self)
    }

    /// What the rule would look at, and answer, for this thread's next operation; `passed` says whether a connection
    /// will be passed with it. Nothing is opened or used, and whether the connection is free is not asked.
    ///
    /// # Errors
    /// The client is closed (D4), or the thread is ending.
    pub fn decide(&self, passed: bool) -> Result<Decision, Error<C::Error>> {
        // Main's place lives as long as the client (K1).
        if self.owner.main.slot.is_disposed() {
            return Err(Refusal::ClientClosed.into());
        }
        self.rule(passed)
    }

    /// The same of a closed client too, for a record of the operation: it says what the rule looked at, whatever refuses it.
    ///
    /// # Errors
    /// The thread is ending.
    pub fn rule(&self, passed: bool) -> Result<Decision, Error<C::Error>> {
        let (_, default) = self.look()?;
        let (mode, had_default) = (self.mode(), default.is_some());
        Ok(Decision { mode, had_default, reason: route(mode, had_default, passed) })
    }

    /// The same for an operation with which `on` will be passed.
    ///
    /// # Errors
    /// Those of [`Client::decide`]; `on` is another client's (D6), or it was disposed (D2).
    pub fn decide_on(&self, on: &Connection<C>) -> Result<Decision, Error<C::Error>> {
        let decided = self.decide(true)?;
        self.passed(on).map_err(|refusal| self.shared().first_rule(refusal))?;
        Ok(decided)
    }

    /// The connection that the mode assigns to this thread's next operation (A1–A3), to itself until the lease ends.
    ///
    /// # Errors
    /// Refused by a rule, not free in time, or not to be opened.
    #[inline]
    pub fn lease(&self) -> Result<Lease<C>, Error<C::Error>> {
        self.lease_under(self.mode())
    }

    /// The same under `mode`, whatever the mode is by now: for an operation that was issued, and decided
    /// ([`Client::decide`]), before another mode was set (M1).
    ///
    /// # Errors
    /// Those of [`Client::lease`].
    #[inline]
    pub fn lease_under(&self, mode: Mode) -> Result<Lease<C>, Error<C::Error>> {
        let (thread, default) = self.look()?;
        let had_default = default.is_some();
        let reason = route(mode, had_default, false);
        let inputs = Inputs { thread, mode, had_default, passed: None, reason };
        let home = match (reason, default) {
            (Reason::Default, Some(own)) => lease::Home::Own(own),
            (Reason::DefaultCreated, _) => return self.lease_newborn(inputs),
            _ => lease::Home::Common(Arc::clone(&self.owner.main.slot)),
        };
        self.lease_at(home, inputs)
    }

    #[cold]
    fn lease_newborn(&self, inputs: Inputs) -> Result<Lease<C>, Error<C::Error>> {
        let newborn = self.add_default(inputs.thread, false)?;
        let lease = self.lease_at(lease::Home::Common(Arc::clone(&newborn.member.slot)), inputs)?;
        newborn.keep();
        Ok(lease)
    }

    /// The connection that is passed (first column of A1–A3), to this thread alone until the lease ends.
    ///
    /// # Errors
    /// It was disposed (D2) or is another client's (D6), this thread holds it already (W3), or it was not free in time.
    pub fn lease_on(&self, on: &Connection<C>) -> Result<Lease<C>, Error<C::Error>> {
        let (thread, default) = self.look()?;
        let mode = self.mode();
        let had_default = default.is_some();
        let inputs =
            Inputs { thread, mode, had_default, passed: Some(on.id()), reason: route(mode, had_default, true) };
        let member = self.passed(on).map_err(|refusal| self.shared().refuse(refusal, thread))?;
        self.lease_at(lease::Home::Common(Arc::clone(&member.slot)), inputs)
    }

    /// Runs one unit of work on the connection that the mode assigns; see [`Client::lease`].
    ///
    /// # Errors
    /// Those of [`Client::lease`]; then `unit` did not run.
    pub fn with<R>(&self, unit: impl FnOnce(&mut C::Connection) -> R) -> Result<R, Error<C::Error>> {
        Ok(unit(&mut *self.lease()?))
    }

    /// Runs one unit of work on the connection that is passed; see [`Client::lease_on`].
    ///
    /// # Errors
    /// Those of [`Client::lease_on`]; then `unit` did not run.
    pub fn with_connection<R>(
        &self,
        on: &Connection<C>,
        unit: impl FnOnce(&mut C::Connection) -> R,
    ) -> Result<R, Error<C::Error>> {
        Ok(unit(&mut *self.lease_on(on)?))
    }

    /// Closes the client (D4): main, every thread's default connection and every independent one are signed out and
    /// closed, side by side; whoever waits is refused, and so is every later use, by D4 before any other rule. A
    /// connection in use is closed when its operation ends (D5), which is waited for until `deadline`.
    ///
    /// Returns how many connections were still in use or closing then: 0 if all are closed.
    pub fn close(self, deadline: Instant) -> usize {
        self.owner.close(deadline);
        let capacity = &self.shared().capacity;
        if capacity.wait_until_empty(deadline) { 0 } else { capacity.taken() }
    }

    /// The place of a connection that is passed.
    fn passed(&self, on: &Connection<C>) -> Result<Arc<Member<C>>, Refusal> {
        let connection = on.id();
        if !on.is_of(self.shared()) {
            return Err(Refusal::ForeignConnection { connection });
        }
        on.member().filter(|member| !member.slot.is_disposed()).ok_or(Refusal::Disposed { connection })
    }

    fn shared(&self) -> &Arc<Shared<C>> {
        &self.owner.main.shared
    }

    /// This thread, and the default connection it has here (C5).
    #[inline]
    fn look(&self) -> Result<thread::Looked<C>, Error<C::Error>> {
        thread::look(self.shared().address())
            .map_err(|thread::Ending| self.shared().refuse(Refusal::ThreadEnding, thread::id()))
    }

    fn add(&self, kind: Kind, thread: ThreadId, by_hand: bool) -> Result<Newborn<C>, Error<C::Error>> {
        let member = self.shared().add(kind, thread, by_hand).map_err(|no| self.shared().refuse(no, thread))?;
        Ok(Newborn { member, kept: false })
    }

    fn add_default(&self, thread: ThreadId, by_hand: bool) -> Result<Newborn<C>, Error<C::Error>> {
        let newborn = self.add(Kind::Default, thread, by_hand)?;
        let place: Weak<Member<C>> = Arc::downgrade(&newborn.member);
        let own = Rc::new(Own { slot: Arc::clone(&newborn.member.slot) });
        thread::remember(self.shared().address(), own, place as Weak<dyn Place>)
            .map_err(|thread::Ending| self.shared().refuse(Refusal::ThreadEnding, thread))?;
        Ok(newborn)
    }

    fn open_by_hand(&self, member: &Member<C>, thread: ThreadId) -> Result<(), Error<C::Error>> {
        let (seat, _) = self.shared().seat(&member.slot, thread, &mut Patience::new(self.shared().wait_timeout))?;
        put_down(&member.slot, seat);
        // The client may have been closed during the dial; then the connection was closed just now, unused (D5).
        if member.slot.is_disposed() {
            return Err(self.shared().refuse(Refusal::Disposed { connection: member.slot.id }, thread));
        }
        Ok(())
    }

    #[inline]
    fn lease_at(&self, home: lease::Home<C>, inputs: Inputs) -> Result<Lease<C>, Error<C::Error>> {
        let Inputs { thread, mode, had_default, passed, reason } = inputs;
        let mut patience = Patience::new(self.shared().wait_timeout);
        let slot = home.slot();
        let (seat, opened) = self.shared().seat(slot, thread, &mut patience)?;
        let session = seat.session_id(slot.id);
        let kind = slot.kind;
        let waited = patience.waited();
        Ok(Lease::new(home, seat, Assignment { mode, had_default, passed, reason, kind, session, opened, waited }))
    }
}

/// What the rule looked at, and what it answered.
struct Inputs {
    thread: ThreadId,
    mode: Mode,
    had_default: bool,
    passed: Option<ConnectionId>,
    reason: Reason,
}

/// A place whose first session is being dialled: unless it is kept, nothing of it stays behind (C4), by a panic either.
struct Newborn<C: Connector> {
    member: Arc<Member<C>>,
    kept: bool,
}

impl<C: Connector> Newborn<C> {
    fn keep(mut self) -> Arc<Member<C>> {
        self.kept = true;
        Arc::clone(&self.member)
    }
}

impl<C: Connector> Drop for Newborn<C> {
    fn drop(&mut self) {
        if !self.kept {
            self.member.dispose(Disposal::NeverOpened, self.member.shared.close_by());
        }
    }
}

impl<C: Connector> Owner<C> {
    fn close(&self, deadline: Instant) {
        let shared = &self.main.shared;
        let mut members = shared.close_places();
        members.push(Arc::clone(&self.main));
        shared.capacity.close();
        closing::close_all(shared, &members, deadline);
    }
}

impl<C: Connector> Drop for Owner<C> {
    fn drop(&mut self) {
        self.close(self.main.shared.close_by());
    }
}

impl<C: Connector> Clone for Client<C> {
    fn clone(&self) -> Self {
        Self { owner: Arc::clone(&self.owner) }
    }
}

impl<C: Connector> fmt::Debug for Client<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("mode", &self.mode()).finish_non_exhaustive()
    }
}

impl<C: Connector> fmt::Debug for Builder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl<C: Connector> Place for Member<C> {
    fn thread_ends(self: Arc<Self>, deadline: Instant) {
        self.dispose(Disposal::ThreadExit, deadline);
    }
}
