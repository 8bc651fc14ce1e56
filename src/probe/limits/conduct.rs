//! Takes the steps of a probe, one connection after the other.

use std::time::{Duration, Instant};

use super::plan::{Attempt, Before, Goodbye, Refused, Seen, Step, next};
use crate::allocator::{Connection, Error};
use crate::event::{Probe, ProbePhase, ProbeStep};
use crate::protocol::{ImapOperation, Job, Operation, Protocol};
use crate::workload::{Issuer, Recorded, Recording};

/// A server that ends one connection for another may do so a moment after it let the other in.
const SETTLES: Duration = Duration::from_millis(50);

/// Every connection that is open, and what was seen so far.
pub(super) struct Conductor<'a> {
    probe: Probe,
    protocol: Protocol,
    issuer: Issuer<'a>,
    /// In the order in which they were opened.
    open: Vec<Connection<Recording>>,
    seen: Vec<Seen>,
    /// When the probe last ended a connection.
    closed_at: Instant,
}

impl<'a> Conductor<'a> {
    pub(super) const fn new(probe: Probe, protocol: Protocol, issuer: Issuer<'a>, now: Instant) -> Self {
        Self { probe, protocol, issuer, open: Vec::new(), seen: Vec::new(), closed_at: now }
    }

    /// Takes every step, and returns what is open then. An interrupted probe stops where it is, without a last step.
    pub(super) fn conduct(mut self) -> Vec<Connection<Recording>> {
        while let Some(step) = next(&self.probe, &self.seen) {
            match self.take(step) {
                Some(seen) => self.seen.push(seen),
                None => return self.open,
            }
        }
        self.issuer.recorder.record(ProbeStep { phase: ProbePhase::End, attempt: 1 });
        self.open
    }

    /// What the step came to; none if it was interrupted.
    fn take(&mut self, Step { mark, before }: Step) -> Option<Seen> {
        if self.is_interrupted() {
            return None;
        }
        self.issuer.recorder.record(mark);
        let mut ended = 0;
        match before {
            Before::Rest(rest) => self.rest(rest)?,
            Before::Hold(hold) => {
                self.rest(hold)?;
                ended += self.look();
            }
            Before::Close(goodbye, rest) => {
                self.close_newest(goodbye);
                self.rest(rest)?;
            }
            Before::SinceClose(rest) => self.rest(rest.saturating_sub(self.closed_at.elapsed()))?,
        }
        let attempt = self.attempt()?;
        if mark.phase == ProbePhase::Count && self.open.len() > 1 {
            self.rest(SETTLES)?;
        }
        if mark.phase == ProbePhase::Count {
            ended += self.look();
        }
        (!self.is_interrupted()).then_some(Seen { mark, attempt, open: self.open.len(), ended })
    }

    fn is_interrupted(&self) -> bool {
        self.issuer.control.interrupted().is_some()
    }

    /// None if it was interrupted.
    fn rest(&self, rest: Duration) -> Option<()> {
        self.issuer.control.rest(rest).then_some(())
    }

    /// Dials once; none if it was called off.
    fn attempt(&mut self) -> Option<Attempt> {
        let began = Instant::now();
        match self.issuer.client.create_connection() {
            Ok(connection) => {
                let signed_in =
                    self.issuer.client.with_connection(&connection, |it| it.mail.established().signed_in_at);
                self.open.push(connection);
                Some(Attempt::LetIn { took: signed_in.map_or_else(|_| began.elapsed(), |at| at - began) })
            }
            Err(Error::Connect { error, .. }) => Some(Attempt::Refused(Refused::from(&error))),
            // The client was closed meanwhile: nobody else has it, and it has room for any number.
            Err(Error::Refused(_) | Error::WaitTimeout { .. }) => None,
        }
    }

    /// Looks at what is open, and says how many the server has ended: those are no longer there.
    fn look(&mut self) -> usize {
        let before = self.open.len();
        let open = std::mem::take(&mut self.open);
        self.open = open.into_iter().filter(|connection| self.goes_on(connection)).collect();
        before - self.open.len()
    }

    /// Whether the server goes on with it. IMAP's NOOP is asked for that; SMTP and POP3 servers may count commands, and end a
    /// session that has too many (Exim after ten without mail).
    fn goes_on(&self, connection: &Connection<Recording>) -> bool {
        if self.is_interrupted() {
            // It is closed with all others.
            return true;
        }
        if self.protocol == Protocol::Imap { self.answers(connection) } else { self.is_quiet(connection) }
    }

    fn answers(&self, connection: &Connection<Recording>) -> bool {
        let noop = Operation::Imap(ImapOperation::Noop);
        let mut issued = self.issuer.issue(noop.name(), None, Some(connection));
        let goes_on = match issued.lease() {
            Ok(mut lease) => {
                let Recorded { mail, .. } = &mut *lease;
                issued.serve(mail, |mail| mail.run(noop, &Job::default()));
                !mail.is_broken()
            }
            // Only the end of the client can be why.
            Err(_) => return true,
        };
        issued.record();
        goes_on
    }

    fn is_quiet(&self, connection: &Connection<Recording>) -> bool {
        let hung_up = self.issuer.client.with_connection(connection, |recorded| recorded.mail.has_hung_up());
        if matches!(hung_up, Ok(true)) {
            // Its goodbye hears what the server said.
            connection.dispose();
            return false;
        }
        true
    }

    fn close_newest(&mut self, goodbye: Goodbye) {
        if let Some(connection) = self.open.pop() {
            match goodbye {
                Goodbye::Said => connection.dispose(),
                Goodbye::Unsaid => {
                    if let Ok(lease) = self.issuer.client.lease_on(&connection) {
                        lease.discard();
                    }
                }
            }
        }
        self.closed_at = Instant::now();
    }
}
