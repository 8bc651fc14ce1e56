//! Whose turn it is: a place serves one at a time (W1, W3), a client has room for so many (W2).

use super::model::{Client, Kind, Model, Place, State};
use super::scenario::{Outcome, Session};

/// What a thread asked for, and which place is to give it.
#[derive(Clone, Copy)]
pub struct Request {
    pub thread: usize,
    pub client: usize,
    pub number: u32,
    pub aim: Aim,
}

#[derive(Clone, Copy)]
pub enum Aim {
    Create { name: usize },
    CreateDefault { handle: usize },
    Use { reason: &'static str, keep: bool },
}

impl Request {
    /// The place came into being for it: unless it opens, nothing stays behind (C4).
    fn is_first(self) -> bool {
        !matches!(self.aim, Aim::Use { reason, .. } if reason != "default-created")
    }
}

impl Client {
    fn has_room(&self) -> bool {
        self.terms.cap.is_none_or(|cap| self.taken() < cap)
    }
}

impl Model {
    fn place(&mut self, client: usize, number: u32) -> &mut Place {
        self.clients[client].places.get_mut(&number).unwrap()
    }

    /// W1, W3
    pub fn ask(&mut self, request: Request) -> Outcome {
        let patient = self.clients[request.client].terms.patient;
        let place = self.place(request.client, request.number);
        match place.holder {
            None => {
                place.holder = Some(request.thread);
                self.seated(request)
            }
            Some(holder) if holder == request.thread => Outcome::Refused(&["W3"], Some(request.number)),
            Some(_) if !patient => Outcome::TimedOut(Some(request.number)),
            Some(_) => {
                place.line.push_back(request);
                Outcome::Waits
            }
        }
    }

    /// It has the place to itself.
    fn seated(&mut self, request: Request) -> Outcome {
        let Request { client, number, aim, .. } = request;
        let its = &self.clients[client];
        let session = self.session(request);
        let Place { state, kind, .. } = its.places[&number];
        match (state, aim) {
            (State::Open, _) => self.served(request, false),
            // B1; B2: a place survives, an independent connection counts as disposed.
            (State::Cut, Aim::Use { reason, .. }) => {
                if kind == Kind::Independent {
                    self.dispose(client, number);
                }
                self.session_ends(client, number);
                self.give_back(client, number);
                Outcome::Broke { session, reason, word: "closed" }
            }
            // W2
            _ if its.has_room() => self.dial(request),
            _ if its.terms.patient => {
                self.clients[client].room.push_back(request);
                Outcome::Waits
            }
            _ => {
                self.gives_up(request);
                Outcome::TimedOut(None)
            }
        }
    }

    /// W2: being dialled counts. B3: the next session has the next number.
    fn dial(&mut self, request: Request) -> Outcome {
        let place = self.place(request.client, request.number);
        place.dialled += 1;
        place.state = State::Dialling;
        if self.hangs {
            self.hanging.push(request);
            return Outcome::Waits;
        }
        self.answered(request)
    }

    pub fn answered(&mut self, request: Request) -> Outcome {
        if !self.refuses {
            self.place(request.client, request.number).state = State::Open;
            return self.served(request, true);
        }
        let session = self.session(request);
        self.session_ends(request.client, request.number);
        self.gives_up(request);
        Outcome::NotOpened(session)
    }

    fn gives_up(&mut self, request: Request) {
        let place = self.place(request.client, request.number);
        place.disposed |= request.is_first();
        self.give_back(request.client, request.number);
    }

    fn served(&mut self, request: Request, opened: bool) -> Outcome {
        let Request { thread, client, number, aim } = request;
        let session = self.session(request);
        if !matches!(aim, Aim::Use { keep: true, .. }) {
            self.give_back(client, number);
        }
        match aim {
            Aim::Use { reason, .. } => return Outcome::Used { session, reason, opened },
            Aim::Create { name } => self.named.insert(name, (client, number)).map_or((), drop),
            Aim::CreateDefault { handle } => self.handles.insert(handle, (thread, client, number)).map_or((), drop),
        }
        Outcome::Opened(session)
    }

    /// The end of a use: D5, W1
    fn give_back(&mut self, client: usize, number: u32) {
        let place = self.place(client, number);
        place.holder = None;
        if place.disposed {
            self.session_ends(client, number);
        } else if let Some(next) = place.line.pop_front() {
            place.holder = Some(next.thread);
            let outcome = self.seated(next);
            self.comes_of(next, outcome);
        }
    }

    /// W2: its room goes to the first who waits for room.
    fn session_ends(&mut self, client: usize, number: u32) {
        self.place(client, number).state = State::Unopened;
        let its = &mut self.clients[client];
        if its.has_room()
            && let Some(next) = its.room.pop_front()
        {
            let outcome = self.dial(next);
            self.comes_of(next, outcome);
        }
    }

    /// D5: what is in use goes when its use ends; those in line go at once.
    pub fn dispose(&mut self, client: usize, number: u32) {
        let closed = self.clients[client].closed;
        let place = self.place(client, number);
        place.disposed = true;
        let refused = if closed { Outcome::Refused(&["D4"], None) } else { Outcome::Refused(&["D2"], Some(number)) };
        for waiter in std::mem::take(&mut place.line) {
            self.comes_of(waiter, refused.clone());
        }
        if self.place(client, number).holder.is_none() {
            self.session_ends(client, number);
        }
    }

    /// Every use of that thread ends.
    pub fn release(&mut self, thread: usize) {
        for (client, number) in self.held_by(thread) {
            self.give_back(client, number);
        }
    }

    /// D4: nobody gets room any more.
    pub fn close(&mut self, client: usize) {
        let its = &mut self.clients[client];
        its.closed = true;
        for waiter in std::mem::take(&mut its.room) {
            self.place(client, waiter.number).holder = None;
            self.comes_of(waiter, Outcome::Refused(&["D4"], None));
        }
        for number in 0..=self.clients[client].created {
            self.dispose(client, number);
        }
    }

    /// What came of a step that had to wait.
    pub fn comes_of(&mut self, Request { thread, .. }: Request, outcome: Outcome) {
        if outcome != Outcome::Waits {
            self.finished.push((thread, outcome));
        }
    }

    fn session(&self, Request { client, number, .. }: Request) -> Session {
        Session { connection: number, number: self.clients[client].places[&number].dialled }
    }
}
