//! What must happen, by the specification alone: no threads, no I/O, and nothing of the client but the modes' names.

use std::collections::BTreeMap;

use mailconn::allocator::Mode;

use super::scenario::{Outcome, Session, Step, Victim};

#[derive(Default)]
pub struct Model {
    pub clients: Vec<Client>,
    /// Independent connections by the order of their creation: whose, and its number there. A creation that failed has none.
    pub named: BTreeMap<usize, (usize, u32)>,
    /// Handles of defaults that were created by hand: on which thread, of which client, and its number there.
    pub handles: BTreeMap<usize, (usize, usize, u32)>,
    /// New connections are refused.
    pub refuses: bool,
}

pub struct Client {
    pub mode: Mode,
    pub closed: bool,
    /// Numbers given so far: main has 0.
    created: u32,
    pub places: BTreeMap<u32, Place>,
}

pub struct Place {
    pub kind: Kind,
    /// Sessions dialled for it.
    pub dialled: u32,
    pub state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Main,
    /// The thread it belongs to.
    Default(usize),
    Independent,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    Unopened,
    Open,
    /// The server has ended it, and nobody has asked for it since.
    Cut,
    Disposed,
}

impl Client {
    pub fn new(mode: Mode) -> Self {
        // K1
        let main = Place { kind: Kind::Main, dialled: 0, state: State::Unopened };
        Self { mode, closed: false, created: 0, places: BTreeMap::from([(0, main)]) }
    }

    fn add(&mut self, kind: Kind) -> u32 {
        self.created += 1;
        self.places.insert(self.created, Place { kind, dialled: 0, state: State::Unopened });
        self.created
    }

    /// C5
    pub fn default_of(&self, thread: usize) -> Option<u32> {
        let its = |place: &Place| place.kind == Kind::Default(thread) && place.state != State::Disposed;
        self.places.iter().find(|(_, place)| its(place)).map(|(number, _)| *number)
    }

    fn place(&mut self, number: u32) -> &mut Place {
        self.places.get_mut(&number).unwrap()
    }

    fn dispose(&mut self, number: u32) {
        self.place(number).state = State::Disposed;
    }

    /// Dials; a place that came into being for this is gone again if nobody answers (C4).
    fn open(&mut self, number: u32, refused: bool, new: bool) -> Result<Session, Outcome> {
        let place = self.place(number);
        place.dialled += 1;
        let session = Session { connection: number, number: place.dialled };
        match (refused, new) {
            (false, _) => place.state = State::Open,
            (true, true) => place.state = State::Disposed,
            (true, false) => {}
        }
        if refused { Err(Outcome::NotOpened(session)) } else { Ok(session) }
    }

    /// The sessions in that state, in order.
    pub fn sessions(&self, state: State) -> Vec<Session> {
        let open = self.places.iter().filter(|(_, place)| place.state == state);
        open.map(|(&connection, place)| Session { connection, number: place.dialled }).collect()
    }
}

impl Model {
    pub fn step(&mut self, step: &Step) -> Outcome {
        match *step {
            // C1, C4
            Step::Create { client, name, .. } => {
                if self.clients[client].closed {
                    return Outcome::Refused(&["D4"], None);
                }
                let number = self.clients[client].add(Kind::Independent);
                match self.clients[client].open(number, self.refuses, true) {
                    Ok(session) => {
                        self.named.insert(name, (client, number));
                        Outcome::Opened(session)
                    }
                    Err(outcome) => outcome,
                }
            }
            // C2, C3, C4
            Step::CreateDefault { thread, client, handle } => {
                let its = &mut self.clients[client];
                match (its.mode, its.closed, its.default_of(thread)) {
                    (Mode::UseMain | Mode::UseDefault, false, _) => return Outcome::Refused(&["C2"], None),
                    // Which of the two forbids it is left open.
                    (Mode::UseMain | Mode::UseDefault, true, _) => return Outcome::Refused(&["C2", "D4"], None),
                    (Mode::UseMainOrDefault, true, _) => return Outcome::Refused(&["D4"], None),
                    (Mode::UseMainOrDefault, false, Some(has)) => return Outcome::Refused(&["C3"], Some(has)),
                    (Mode::UseMainOrDefault, false, None) => {}
                }
                let number = its.add(Kind::Default(thread));
                match its.open(number, self.refuses, true) {
                    Ok(session) => {
                        self.handles.insert(handle, (thread, client, number));
                        Outcome::Opened(session)
                    }
                    Err(outcome) => outcome,
                }
            }
            // D1: a default stays with its thread
            Step::Leave { handle, .. } => {
                self.handles.remove(&handle);
                Outcome::Done
            }
            // D1: a stale handle never disposes its successor
            Step::DisposeHandle { handle, .. } => {
                let (_, client, number) = self.handles.remove(&handle).unwrap();
                self.clients[client].dispose(number);
                Outcome::Done
            }
            // D1
            Step::DisposeDefault { thread, client } => match self.clients[client].default_of(thread) {
                Some(number) => {
                    self.clients[client].dispose(number);
                    Outcome::Disposed(Some(number))
                }
                None => Outcome::Disposed(None),
            },
            // D2
            Step::Dispose { connection, .. } => {
                let (client, number) = self.named[&connection];
                self.clients[client].dispose(number);
                Outcome::Done
            }
            Step::Operate { thread, client, via } => self.operate(thread, client, via),
            // M1
            Step::SetMode { client, mode, .. } => {
                self.clients[client].mode = mode;
                Outcome::Done
            }
            // D3; its handles go with it
            Step::Exit { thread } => {
                self.handles.retain(|_, (of, ..)| *of != thread);
                for client in &mut self.clients {
                    if let Some(number) = client.default_of(thread) {
                        client.dispose(number);
                    }
                }
                Outcome::Done
            }
            Step::Cut { client, session, .. } => {
                self.clients[client].place(session.connection).state = State::Cut;
                Outcome::Done
            }
            Step::Refuse(refuses) => {
                self.refuses = refuses;
                Outcome::Done
            }
            // D4
            Step::Close { client } => {
                self.clients[client].closed = true;
                self.clients[client].places.values_mut().for_each(|place| place.state = State::Disposed);
                Outcome::Done
            }
        }
    }

    /// A1 to A3, and what becomes of the connection.
    fn operate(&mut self, thread: usize, client: usize, via: Option<usize>) -> Outcome {
        let passed = via.map(|name| self.named[&name]);
        let its = &mut self.clients[client];
        if let Some((_, number)) = passed.filter(|(owner, _)| *owner != client) {
            // D6; of a closed client it is left open which of the two forbids it.
            return Outcome::Refused(if its.closed { &["D6", "D4"] } else { &["D6"] }, Some(number));
        }
        if its.closed {
            return Outcome::Refused(&["D4"], None);
        }
        let (number, reason) = match (passed, its.mode, its.default_of(thread)) {
            (Some((_, number)), ..) if its.place(number).state == State::Disposed => {
                return Outcome::Refused(&["D2"], Some(number));
            }
            (Some((_, number)), ..) => (number, "explicit"),
            (None, Mode::UseMain, _) => (0, "main"),
            (None, Mode::UseDefault | Mode::UseMainOrDefault, Some(default)) => (default, "default"),
            (None, Mode::UseDefault, None) => (its.add(Kind::Default(thread)), "default-created"),
            (None, Mode::UseMainOrDefault, None) => (0, "main"),
        };
        let place = its.place(number);
        let session = Session { connection: number, number: place.dialled };
        match (place.state, place.kind) {
            (State::Open, _) => Outcome::Used { session, reason, opened: false },
            // B1; B2: a place survives, an independent connection counts as disposed.
            (State::Cut, kind) => {
                place.state = if kind == Kind::Independent { State::Disposed } else { State::Unopened };
                Outcome::Broke { session, reason, word: "closed" }
            }
            // B3: the next session has the next number.
            _ => match its.open(number, self.refuses, reason == "default-created") {
                Ok(session) => Outcome::Used { session, reason, opened: true },
                Err(outcome) => outcome,
            },
        }
    }

    /// Whose connection that is.
    pub fn victim(&self, client: usize, number: u32) -> Victim {
        match self.clients[client].places[&number].kind {
            Kind::Main => Victim::Main,
            Kind::Default(thread) => Victim::DefaultOf(thread),
            Kind::Independent => {
                let (name, _) = self.named.iter().find(|(_, named)| **named == (client, number)).unwrap();
                Victim::Independent(*name)
            }
        }
    }
}
