//! What must happen, by the specification alone: no threads, no I/O, and nothing of the client but the modes' names.

use std::collections::{BTreeMap, VecDeque};

use mailconn::allocator::Mode;

use super::scenario::{Outcome, Session, Step, Terms, Victim};
use super::turns::{Aim, Request};

#[derive(Clone, Default)]
pub struct Model {
    pub clients: Vec<Client>,
    /// Independent connections by the order of their creation: whose, and its number there. A creation that failed has none.
    pub named: BTreeMap<usize, (usize, u32)>,
    /// Handles of defaults that were created by hand: on which thread, of which client, and its number there.
    pub handles: BTreeMap<usize, (usize, usize, u32)>,
    /// New connections are refused.
    pub refuses: bool,
    /// New connections are not answered.
    pub hangs: bool,
    /// Whose dials nobody has answered.
    pub hanging: Vec<Request>,
    /// What has come, in this step, of those that had to wait before: which thread, and what.
    pub finished: Vec<(usize, Outcome)>,
}

#[derive(Clone)]
pub struct Client {
    pub terms: Terms,
    pub mode: Mode,
    pub closed: bool,
    /// Numbers given so far: main has 0.
    pub created: u32,
    pub places: BTreeMap<u32, Place>,
    /// Who waits for room, in the order of asking.
    pub room: VecDeque<Request>,
}

#[derive(Clone)]
pub struct Place {
    pub kind: Kind,
    /// Sessions dialled for it.
    pub dialled: u32,
    pub state: State,
    /// No one can ask for it any more; what is in use there goes at its end.
    pub disposed: bool,
    /// The thread that uses it.
    pub holder: Option<usize>,
    /// Who waits for it, in the order of asking.
    pub line: VecDeque<Request>,
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
    Dialling,
    Open,
    /// The server has ended it, and nobody has asked for it since.
    Cut,
}

impl Place {
    fn new(kind: Kind) -> Self {
        Self { kind, dialled: 0, state: State::Unopened, disposed: false, holder: None, line: VecDeque::new() }
    }
}

impl Client {
    pub fn new(terms: Terms) -> Self {
        // K1
        let places = BTreeMap::from([(0, Place::new(Kind::Main))]);
        Self { terms, mode: terms.mode, closed: false, created: 0, places, room: VecDeque::new() }
    }

    fn add(&mut self, kind: Kind) -> u32 {
        self.created += 1;
        self.places.insert(self.created, Place::new(kind));
        self.created
    }

    /// C5
    pub fn default_of(&self, thread: usize) -> Option<u32> {
        let its = |place: &Place| place.kind == Kind::Default(thread) && !place.disposed;
        self.places.iter().find(|(_, place)| its(place)).map(|(number, _)| *number)
    }

    /// W2: how many connections there are, those being dialled among them.
    pub fn taken(&self) -> usize {
        self.places.values().filter(|place| place.state != State::Unopened).count()
    }

    /// The sessions in that state, in order.
    pub fn sessions(&self, state: State) -> Vec<Session> {
        let open = self.places.iter().filter(|(_, place)| place.state == state);
        open.map(|(&connection, place)| Session { connection, number: place.dialled }).collect()
    }

    /// Those in its lines.
    pub fn waiting(&self) -> impl Iterator<Item = &Request> {
        self.room.iter().chain(self.places.values().flat_map(|place| &place.line))
    }
}

impl Model {
    pub fn step(&mut self, step: &Step) -> Outcome {
        match *step {
            // C1, C4
            Step::Create { thread, client, name } => {
                if self.clients[client].closed {
                    return Outcome::Refused(&["D4"], None);
                }
                let number = self.clients[client].add(Kind::Independent);
                self.ask(Request { thread, client, number, aim: Aim::Create { name } })
            }
            // C2, C3, C4
            Step::CreateDefault { thread, client, handle } => {
                let its = &mut self.clients[client];
                match (its.mode, its.closed, its.default_of(thread)) {
                    (Mode::UseMain | Mode::UseDefault, false, _) => return Outcome::Refused(&["C2"], None),
                    // D4 comes before any other rule.
                    (_, true, _) => return Outcome::Refused(&["D4"], None),
                    (Mode::UseMainOrDefault, false, Some(has)) => return Outcome::Refused(&["C3"], Some(has)),
                    (Mode::UseMainOrDefault, false, None) => {}
                }
                let number = its.add(Kind::Default(thread));
                self.ask(Request { thread, client, number, aim: Aim::CreateDefault { handle } })
            }
            // D1: a default stays with its thread
            Step::Leave { handle, .. } => {
                self.handles.remove(&handle);
                Outcome::Done
            }
            // D1: a stale handle never disposes its successor
            Step::DisposeHandle { handle, .. } => {
                let (_, client, number) = self.handles.remove(&handle).unwrap();
                self.dispose(client, number);
                Outcome::Done
            }
            // D1
            Step::DisposeDefault { thread, client } => match self.clients[client].default_of(thread) {
                Some(number) => {
                    self.dispose(client, number);
                    Outcome::Disposed(Some(number))
                }
                None => Outcome::Disposed(None),
            },
            // D2
            Step::Dispose { connection, .. } => {
                let (client, number) = self.named[&connection];
                self.dispose(client, number);
                Outcome::Done
            }
            Step::Operate { thread, client, via } => self.operate(thread, client, via, false),
            Step::Hold { thread, client, via } => self.operate(thread, client, via, true),
            Step::Release { thread } => {
                self.release(thread);
                Outcome::Done
            }
            // M1
            Step::SetMode { client, mode, .. } => {
                self.clients[client].mode = mode;
                Outcome::Done
            }
            // D3; what it keeps goes with it
            Step::Exit { thread } => {
                self.release(thread);
                self.handles.retain(|_, (of, ..)| *of != thread);
                for client in 0..self.clients.len() {
                    if let Some(number) = self.clients[client].default_of(thread) {
                        self.dispose(client, number);
                    }
                }
                Outcome::Done
            }
            Step::Cut { client, session, .. } => {
                self.clients[client].places.get_mut(&session.connection).unwrap().state = State::Cut;
                Outcome::Done
            }
            Step::Refuse(refuses) => {
                self.refuses = refuses;
                Outcome::Done
            }
            Step::Hang(hangs) => {
                self.hangs = hangs;
                for request in std::mem::take(&mut self.hanging) {
                    let outcome = self.answered(request);
                    self.comes_of(request, outcome);
                }
                Outcome::Done
            }
            Step::Close { client } => {
                self.close(client);
                Outcome::Done
            }
        }
    }

    /// A1 to A3
    fn operate(&mut self, thread: usize, client: usize, via: Option<usize>, keep: bool) -> Outcome {
        let passed = via.map(|name| self.named[&name]);
        let its = &mut self.clients[client];
        if its.closed {
            return Outcome::Refused(&["D4"], None);
        }
        if let Some((_, number)) = passed.filter(|(owner, _)| *owner != client) {
            // D6
            return Outcome::Refused(&["D6"], Some(number));
        }
        let (number, reason) = match (passed, its.mode, its.default_of(thread)) {
            (Some((_, number)), ..) if its.places[&number].disposed => {
                return Outcome::Refused(&["D2"], Some(number));
            }
            (Some((_, number)), ..) => (number, "explicit"),
            (None, Mode::UseMain, _) => (0, "main"),
            (None, Mode::UseDefault | Mode::UseMainOrDefault, Some(default)) => (default, "default"),
            (None, Mode::UseDefault, None) => (its.add(Kind::Default(thread)), "default-created"),
            (None, Mode::UseMainOrDefault, None) => (0, "main"),
        };
        self.ask(Request { thread, client, number, aim: Aim::Use { reason, keep } })
    }

    /// It stands in a line, or its dial hangs.
    pub fn waits(&self, thread: usize) -> bool {
        let waiting = self.clients.iter().flat_map(Client::waiting).chain(&self.hanging);
        waiting.into_iter().any(|request| request.thread == thread)
    }

    /// What it uses: whose, and which.
    pub fn held_by(&self, thread: usize) -> Vec<(usize, u32)> {
        let of = |(client, its): (usize, &Client)| {
            let held = its.places.iter().filter(|(_, place)| place.holder == Some(thread));
            held.map(|(number, _)| (client, *number)).collect::<Vec<_>>()
        };
        self.clients.iter().enumerate().flat_map(of).collect()
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
