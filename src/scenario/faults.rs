//! A server that does wrong when it is told to.

use std::time::Duration;

use super::conductor::{Conductor, Outcome};
use super::script::{Cut, Fault, Target, Which};
use crate::allocator::{ConnectionId, SessionId};
use crate::event::WorkerId;
use crate::protocol::Protocol;

/// A server that can be told to misbehave: the sandbox. A session is known by the client's port.
pub trait Faults {
    /// Cuts the session's connection; false if there is none.
    fn cut(&self, port: u16, how: Cut) -> bool;
    /// The session says nothing more, or goes on; false if there is none.
    fn stall(&self, port: u16, stalled: bool) -> bool;
    /// The session says goodbye with that text, and ends; false if there is none.
    fn goodbye(&self, port: u16, text: &str) -> bool;
    /// New connections are refused, or taken again.
    fn refuse_connections(&self, refuse: bool);
    /// The limit on connections, from now on.
    fn limit(&self, connections: Option<usize>);
    /// Every reply is so late from now on.
    fn delay(&self, by: Duration);
    /// A POP3 session has its maildrop to itself, from the next one on, or shares it.
    fn lock_maildrops(&self, lock: bool);
    /// How many sessions the server has open now.
    fn open_sessions(&self) -> usize;
}

impl Conductor<'_, '_> {
    pub(super) fn inject(&mut self, fault: &Fault) -> Outcome {
        let Some(server) = self.setup.faults else {
            return Outcome::failed("the sandbox", "a real server, which cannot be told to");
        };
        match fault {
            Fault::Cut { target, by } => self.on(target, |port| server.cut(port, *by)),
            Fault::Stall { target, stalled } => self.on(target, |port| server.stall(port, *stalled)),
            Fault::Bye { target, text } => self.on(target, |port| server.goodbye(port, text)),
            Fault::Refuse(refuse) => {
                server.refuse_connections(*refuse);
                Outcome::noted("")
            }
            Fault::Limit(limit) => {
                server.limit(*limit);
                // Whoever signs in is known by name; by SMTP the limit comes before that.
                let each = if self.context.script.protocol == Protocol::Smtp { "address" } else { "user" };
                Outcome::noted(limit.map_or_else(String::new, |limit| format!("{limit} for each {each}")))
            }
            Fault::Delay(by) => {
                server.delay(*by);
                Outcome::noted("")
            }
            Fault::LockMaildrops(lock) => {
                server.lock_maildrops(*lock);
                Outcome::noted("")
            }
        }
    }

    /// Does it to the session that is open there.
    fn on(&mut self, target: &Target, act: impl Fn(u16) -> bool) -> Outcome {
        match self.session_of(target) {
            Some((session, port)) if act(port) => {
                let whose = self.context.script.of(target.client);
                Outcome::noted(format!("{whose}{session}, port {port}"))
            }
            Some((session, _)) => Outcome::failed("an open session", format!("the server has closed {session}")),
            None => Outcome::failed("an open session", "none is open there"),
        }
    }

    /// The open session of that connection, and its port.
    fn session_of(&mut self, target: &Target) -> Option<(SessionId, u16)> {
        let independent = match target.which {
            Which::Connection(number) => Some(self.context.connection(number)?.id()),
            _ => None,
        };
        let known = self.stream.judge(target.client)?.known();
        let connection = match (independent, target.which) {
            (Some(connection), _) => connection,
            (None, Which::DefaultOf(thread)) => known.default_of(WorkerId(u32::try_from(thread).ok()?), u64::MAX)?,
            (None, _) => ConnectionId::MAIN,
        };
        let session = known.open_sessions().find(|session| session.id.connection == connection)?;
        Some((session.id, session.local_port))
    }
}
