//! Faults that a step injects into the server.

use super::faults::ServerFault;
use super::interpreter::{Interpreter, Outcome};
use super::script::{Fault, Target, Which};
use crate::allocator::{ConnectionId, SessionId};
use crate::event::WorkerId;
use crate::protocol::Protocol;

impl Interpreter<'_, '_> {
    pub(super) fn inject(&mut self, fault: &Fault) -> Outcome {
        let Some(server) = self.setup.faults else {
            return Outcome::failed("the sandbox", "a real server, which cannot be told to");
        };
        match fault {
            Fault::Session(target, fault) => match self.session_of(target) {
                Some((session, port)) if server.on_session(port, fault) => {
                    let whose = self.context.script.of(target.client);
                    Outcome::noted(format!("{whose}{session}, port {port}"))
                }
                Some((session, _)) => Outcome::failed("an open session", format!("the server has closed {session}")),
                None => Outcome::failed("an open session", "none is open there"),
            },
            Fault::Server(fault) => {
                server.on_server(fault);
                let ServerFault::LimitConnections(Some(limit)) = fault else { return Outcome::noted("") };
                // SMTP's limit comes before the sign-in, so the server counts by address.
                let each = if self.context.script.protocol == Protocol::Smtp { "address" } else { "user" };
                Outcome::noted(format!("{limit} for each {each}"))
            }
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
