//! Takes the steps of a probe, one connection after the other.

use std::time::{Duration, Instant};

use super::plan::{Attempt, Before, Goodbye, Refused, Seen, Step, next};
use crate::allocator::{Connection, Error};
use crate::event::{Probe, ProbePhase, ProbeStep};
use crate::judge::refuses_after_all;
use crate::protocol::{Failure, ImapOperation, Job, Operation, Pop3Operation, Protocol, SmtpOperation};
use crate::workload::{Issuer, Recorded, Recording};

/// A server that ends one connection for another may do so a moment after it let the other in.
const SETTLES: Duration = Duration::from_millis(50);

/// What becomes of a connection that was let in.
enum Newest {
    GoesOn,
    /// The server refuses it after all: it is no longer there.
    Refused(Failure),
    /// It broke otherwise, or hangs.
    GivenUp,
}

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
                ended += self.look(self.open.len());
            }
            Before::Close(goodbye, rest) => {
                self.close_newest(goodbye);
                self.rest(rest)?;
            }
            Before::SinceClose(rest) => self.rest(rest.saturating_sub(self.closed_at.elapsed()))?,
        }
        let mut attempt = self.attempt(mark.phase)?;
        let mut served = 0;
        if let Attempt::LetIn { .. } = attempt {
            // What it costs the others is seen when those are looked at.
            match self.look_at_newest() {
                Newest::GoesOn => served = 1,
                Newest::GivenUp => {}
                Newest::Refused(failure) => {
                    attempt = Attempt::Refused(Refused::by(&failure, true, self.holds_others(mark.phase)));
                }
            }
        }
        if mark.phase == ProbePhase::Count {
            let others = self.open.len() - served;
            if others > 0 {
                self.rest(SETTLES)?;
            }
            ended += self.look(others);
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
    fn attempt(&mut self, phase: ProbePhase) -> Option<Attempt> {
        let began = Instant::now();
        match self.issuer.client.create_connection() {
            Ok(connection) => {
                let signed_in =
                    self.issuer.client.with_connection(&connection, |it| it.mail.established().signed_in_at);
                self.open.push(connection);
                Some(Attempt::LetIn { took: signed_in.map_or_else(|_| began.elapsed(), |at| at - began) })
            }
            Err(Error::Connect { error, .. }) => {
                let refused = Refused::by(&error.failure, error.sign_in_attempted, self.holds_others(phase));
                Some(Attempt::Refused(refused))
            }
            // The client was closed meanwhile: nobody else has it, and it has room for any number.
            Err(Error::Refused(_) | Error::WaitTimeout { .. }) => None,
        }
    }

    /// Whether it has had others beside the newest, as long as it closed none; it has just given one back then.
    const fn holds_others(&self, phase: ProbePhase) -> bool {
        !self.open.is_empty() || matches!(phase, ProbePhase::Release | ProbePhase::BareClose)
    }

    /// Looks at the one that was let in just now: some servers refuse only its first command, whatever they speak.
    fn look_at_newest(&mut self) -> Newest {
        let Some(newest) = self.open.pop() else { return Newest::GivenUp };
        let (goes_on, failure) = self.answers(&newest);
        match failure.filter(|failure| refuses_after_all(failure.kind, !goes_on)) {
            Some(failure) => {
                newest.dispose();
                Newest::Refused(failure)
            }
            None if goes_on => {
                self.open.push(newest);
                Newest::GoesOn
            }
            None => Newest::GivenUp,
        }
    }

    /// Looks at so many of those that are open, from the oldest on, and says how many the server has ended. Those are no longer
    /// there, nor is one that hangs.
    fn look(&mut self, count: usize) -> usize {
        let newer = self.open.split_off(count);
        let mut ended = 0;
        for connection in std::mem::take(&mut self.open) {
            // SMTP and POP3 servers may count commands, and end a session that has too many (Exim after ten without mail).
            let (goes_on, failure) = match self.protocol {
                Protocol::Imap => self.answers(&connection),
                Protocol::Smtp | Protocol::Pop3 => (self.is_quiet(&connection), None),
            };
            if goes_on {
                self.open.push(connection);
            } else if failure.is_none_or(|failure| refuses_after_all(failure.kind, true)) {
                ended += 1;
            }
        }
        self.open.extend(newer);
        ended
    }

    /// Whether it goes on after one command, and why that was refused.
    fn answers(&self, connection: &Connection<Recording>) -> (bool, Option<Failure>) {
        if self.is_interrupted() {
            // It is closed with all others.
            return (true, None);
        }
        let noop = match self.protocol {
            Protocol::Imap => Operation::Imap(ImapOperation::Noop),
            Protocol::Smtp => Operation::Smtp(SmtpOperation::Noop),
            Protocol::Pop3 => Operation::Pop3(Pop3Operation::Noop),
        };
        let mut issued = self.issuer.issue(noop.name(), None, Some(connection));
        let goes_on = match issued.lease() {
            Ok(mut lease) => {
                let Recorded { mail, .. } = &mut *lease;
                issued.serve(mail, |mail| mail.run(noop, &Job::default()));
                !mail.is_broken()
            }
            // Only the end of the client can be why.
            Err(_) => return (true, None),
        };
        let failure = issued.operation.failure.as_deref().cloned();
        issued.record();
        (goes_on, failure)
    }

    fn is_quiet(&self, connection: &Connection<Recording>) -> bool {
        if self.is_interrupted() {
            return true;
        }
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
