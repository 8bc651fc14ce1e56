//! Takes the steps of a probe, one connection after the other.

use std::time::{Duration, Instant};

use crate::allocator::{Connection, ConnectionId, Error};
use crate::event::{Probe, ProbePhase, ProbeStep};
use crate::judge::{
    Before, DialOutcome, Failed, Goodbye, NextStep, Outcome, SETTLES, falls_silent, next_step, refuses_after_all,
};
use crate::protocol::{Failure, ImapOperation, Job, Operation, Pop3Operation, Protocol, SmtpOperation};
use crate::workload::{Issuer, Recorded, Recording};

/// Some servers end one connection for another up to a second later, or more. That is waited for where one was ended, and before
/// it is said that none was; again and again, up to [`MOST_WAITS`], as long as more end.
const SETTLES_LATE: Duration = Duration::from_millis(1200);
/// So often it is waited for in a step, until nothing more ends.
const MOST_WAITS: usize = 4;
/// And so often in all: a server that goes on ending has been waited for long enough.
const MOST_WAITS_IN_ALL: usize = 16;

/// The longest that a probe waits in all for sessions to end.
pub(super) fn waits_for_ends(probe: &Probe) -> Duration {
    let steps = u32::try_from(probe.max).unwrap_or(u32::MAX);
    late(probe) * MOST_WAITS_IN_ALL as u32 + SETTLES.duration().saturating_mul(steps)
}

/// Those that were let in at its pace end at its pace.
fn late(probe: &Probe) -> Duration {
    SETTLES_LATE + probe.pace_us.duration()
}

/// What an open connection came to when it was looked at.
enum Look {
    GoesOn,
    /// The server does not serve it, and leaves it open.
    Unserved(Failure),
    /// The server ended it; in what way, if it was asked.
    Ended(Option<Failure>),
    /// It did not answer in time, or not in its protocol.
    Silent,
}

/// Every connection that is open, and what was seen so far.
pub(super) struct Conductor<'a> {
    probe: Probe,
    protocol: Protocol,
    issuer: Issuer<'a>,
    /// In the order in which they were opened.
    open: Vec<Connection<Recording>>,
    seen: Vec<Outcome>,
    /// When the probe last ended a connection.
    closed_at: Instant,
    /// What the step under way has found so far: how many the server has ended, the oldest of them, and whether one did not
    /// answer.
    ended: usize,
    oldest_ended: Option<ConnectionId>,
    is_silent: bool,
    /// How many were open when it dialled, and when that was.
    beside: usize,
    dialled_at: Instant,
    /// How many are still open of its dial: 1 or 0.
    newest: usize,
    /// Whether the server let its dial in, and ended it a moment later.
    refused_late: bool,
    /// By how much later, where it has done so once.
    refuses_late_by: Option<Duration>,
    /// How often it may still wait for sessions to end.
    waits_left: usize,
}

impl<'a> Conductor<'a> {
    pub(super) const fn new(probe: Probe, protocol: Protocol, issuer: Issuer<'a>, now: Instant) -> Self {
        Self {
            probe,
            protocol,
            issuer,
            open: Vec::new(),
            seen: Vec::new(),
            closed_at: now,
            ended: 0,
            oldest_ended: None,
            is_silent: false,
            beside: 0,
            dialled_at: now,
            newest: 0,
            refused_late: false,
            refuses_late_by: None,
            waits_left: MOST_WAITS_IN_ALL,
        }
    }

    /// Takes every step, and returns what is open then. An interrupted probe stops where it is, without a last step.
    pub(super) fn conduct(mut self) -> Vec<Connection<Recording>> {
        while let Some(next) = next_step(&self.probe, &self.seen) {
            match self.take(next) {
                Some(outcome) => self.seen.push(outcome),
                None => return self.open,
            }
        }
        self.issuer.recorder.record(ProbeStep { phase: ProbePhase::End, attempt: 1 });
        self.open
    }

    /// What the step came to; none if it was interrupted.
    fn take(&mut self, NextStep { step, before }: NextStep) -> Option<Outcome> {
        if self.is_interrupted() {
            return None;
        }
        self.issuer.recorder.record(step);
        (self.ended, self.oldest_ended, self.is_silent) = (0, None, false);
        (self.newest, self.refused_late) = (0, false);
        match before {
            Before::Rest(rest) => self.rest(rest.duration())?,
            Before::Hold(hold) => {
                self.rest(hold.duration())?;
                self.look(self.open.len());
            }
            Before::Close(goodbye, rest) => {
                self.close_newest(goodbye);
                self.rest(rest.duration())?;
            }
            Before::SinceClose(rest) => self.rest(rest.duration().saturating_sub(self.closed_at.elapsed()))?,
        }
        if self.is_silent {
            // The server has had enough, or hangs: to dial now would be to ask on.
            return self.outcome(step, DialOutcome::Withheld);
        }
        self.drop_ended(self.open.len());
        self.beside = self.open.len();
        let mut dial = self.dial(step)?;
        self.dialled_at = Instant::now();
        if let DialOutcome::LetIn { .. } = dial {
            // What it costs the others is seen when those are looked at.
            self.look_at_newest(step, &mut dial);
        }
        if step.phase == ProbePhase::Count {
            self.look_at_others(step, &mut dial)?;
        } else if let Some(late) = self.refuses_late_by.filter(|_| self.newest == 1) {
            self.rest(late)?;
            self.heed_newest(step, &mut dial);
        }
        self.outcome(step, dial)
    }

    /// What the step came to; none if it was interrupted.
    fn outcome(&self, step: ProbeStep, mut dial: DialOutcome) -> Option<Outcome> {
        let newest_left = self.open.last().map(Connection::id);
        let refuses_late = self.refused_late && newest_left.is_some_and(|newest| Some(newest) < self.oldest_ended);
        let ended = if refuses_late { 0 } else { self.ended };
        if let DialOutcome::Failed(failed) = &mut dial {
            failed.is_told |= refuses_late;
        }
        let (open, is_silent) = (self.open.len(), self.is_silent);
        (!self.is_interrupted()).then_some(Outcome { step, dial, open, ended, is_silent })
    }

    /// Looks at all but the newest, if that was let in: the server may have ended some for it, or ends that one itself. None if
    /// it was interrupted.
    fn look_at_others(&mut self, step: ProbeStep, dial: &mut DialOutcome) -> Option<()> {
        let was_let_in = matches!(dial, DialOutcome::LetIn { .. });
        let is_known_to_end = self.ended > 0 || self.seen.last().is_some_and(|last| last.ended > 0);
        let let_in = self.seen.iter().filter(|it| matches!(it.dial, DialOutcome::LetIn { .. })).count();
        let is_last = let_in + 1 >= self.probe.max;
        if self.open.len() <= self.newest {
            return Some(());
        }
        let is_late = was_let_in && (is_known_to_end || is_last) && self.may_wait();
        let settles = SETTLES.duration().max(self.refuses_late_by.unwrap_or_default());
        self.rest(if is_late { SETTLES_LATE } else { settles })?;
        let before = self.ended;
        self.look(self.open.len() - self.newest);
        self.heed_newest(step, dial);
        if was_let_in {
            self.wait_for_ends(before, is_known_to_end, step, dial)?;
        }
        Some(())
    }

    /// Waits until nothing more ends, or for too long: more may be about to end for those that were let in meanwhile. Where one
    /// `is_due`, until that one has ended, or the newest in its place. None if it was interrupted.
    fn wait_for_ends(
        &mut self,
        mut before: usize,
        is_due: bool,
        step: ProbeStep,
        dial: &mut DialOutcome,
    ) -> Option<()> {
        let at_first = before;
        for _ in 0..MOST_WAITS {
            let is_awaited = is_due && self.ended == at_first && self.newest == 1;
            let nothing_ends = self.ended == before && !is_awaited;
            if self.is_silent || self.open.len() <= self.newest || nothing_ends || !self.may_wait() {
                break;
            }
            before = self.ended;
            self.rest(late(&self.probe))?;
            self.drop_ended(self.open.len() - self.newest);
            self.heed_newest(step, dial);
        }
        Some(())
    }

    /// Whether it may wait for sessions to end once more.
    fn may_wait(&mut self) -> bool {
        let may = self.waits_left > 0;
        self.waits_left = self.waits_left.saturating_sub(1);
        may
    }

    fn is_interrupted(&self) -> bool {
        self.issuer.control.interrupted().is_some()
    }

    /// None if it was interrupted.
    fn rest(&self, rest: Duration) -> Option<()> {
        self.issuer.control.rest(rest).then_some(())
    }

    /// Dials once; none if it was called off.
    fn dial(&mut self, step: ProbeStep) -> Option<DialOutcome> {
        match self.issuer.client.create_connection() {
            Ok(connection) => {
                let took = self.issuer.client.with_connection(&connection, |it| it.dial_took);
                self.open.push(connection);
                // Only the end of the client can be why it is not there.
                took.ok().map(|took| DialOutcome::LetIn { took })
            }
            Err(Error::Connect { error, .. }) => {
                Some(DialOutcome::Failed(self.failed(&error.failure, error.sign_in_attempted, step)))
            }
            // The client was closed meanwhile: nobody else has it, and it has room for any number.
            Err(Error::Refused(_) | Error::WaitTimeout { .. }) => None,
        }
    }

    /// It fails for those that are held, or for one that was just given back, or for neither.
    fn failed(&self, failure: &Failure, sign_in_attempted: bool, step: ProbeStep) -> Failed {
        Failed::of(failure, sign_in_attempted, self.beside, step.gave_one_back(), Some(self.protocol))
    }

    /// Looks at the one that was let in just now: some servers refuse only its first command, whatever they speak.
    fn look_at_newest(&mut self, step: ProbeStep, dial: &mut DialOutcome) {
        self.newest = 0;
        let Some(newest) = self.open.pop() else { return };
        match self.ask(&newest) {
            Look::Unserved(failure) | Look::Ended(Some(failure)) => {
                newest.dispose();
                *dial = DialOutcome::Failed(self.failed(&failure, true, step));
            }
            Look::Silent => self.is_silent = true,
            Look::GoesOn | Look::Ended(None) => {
                self.open.push(newest);
                self.newest = 1;
            }
        }
    }

    /// Some servers let one in, serve it and end it a moment later: that is a refusal, too.
    fn heed_newest(&mut self, step: ProbeStep, dial: &mut DialOutcome) {
        if self.newest == 1 && self.open.last().is_some_and(|newest| self.has_hung_up(newest)) {
            // Its command fails with what the server said.
            self.look_at_newest(step, dial);
            self.refused_late = self.newest == 0;
            self.refuses_late_by = self.refused_late.then(|| self.dialled_at.elapsed());
        }
    }

    /// Looks at so many of those that are open, from the oldest on. Those that the server has ended are no longer there, nor is
    /// one that does not answer: the others are not asked then, since each may take as long.
    fn look(&mut self, count: usize) {
        let newer = self.open.split_off(count);
        for connection in std::mem::take(&mut self.open) {
            // SMTP and POP3 servers may count commands, and end a session that has too many (Exim after ten without mail).
            // One that was ended before it was asked was not ended for its command.
            let asks = self.protocol == Protocol::Imap && !self.is_silent && !self.has_hung_up(&connection);
            match if asks { self.ask(&connection) } else { self.heed(&connection) } {
                Look::GoesOn => self.open.push(connection),
                // Asking on would cross the server's limit again and again.
                Look::Unserved(_) => {
                    self.is_silent = true;
                    self.open.push(connection);
                }
                Look::Ended(_) => self.lost(&connection),
                Look::Silent => self.is_silent = true,
            }
        }
        self.open.extend(newer);
    }

    fn lost(&mut self, ended: &Connection<Recording>) {
        self.ended += 1;
        self.oldest_ended = Some(self.oldest_ended.map_or(ended.id(), |oldest| oldest.min(ended.id())));
    }

    /// Drops those of so many, from the oldest on, that the server is seen to have closed, without a command to any.
    fn drop_ended(&mut self, count: usize) {
        let newer = self.open.split_off(count);
        for connection in std::mem::take(&mut self.open) {
            match self.heed(&connection) {
                Look::Ended(_) => self.lost(&connection),
                _ => self.open.push(connection),
            }
        }
        self.open.extend(newer);
    }

    /// Sends one command.
    fn ask(&self, connection: &Connection<Recording>) -> Look {
        if self.is_interrupted() {
            // It is closed with all others.
            return Look::GoesOn;
        }
        let noop = match self.protocol {
            Protocol::Imap => Operation::Imap(ImapOperation::Noop),
            Protocol::Smtp => Operation::Smtp(SmtpOperation::Noop),
            Protocol::Pop3 => Operation::Pop3(Pop3Operation::Noop),
        };
        let mut issued = self.issuer.issue(noop.name(), None, Some(connection));
        let is_broken = match issued.lease() {
            Ok(mut lease) => {
                let Recorded { mail, .. } = &mut *lease;
                issued.serve(mail, |mail| mail.run(noop, &Job::default()));
                mail.is_broken()
            }
            // Only the end of the client can be why.
            Err(_) => return Look::GoesOn,
        };
        let failure = issued.operation.failure.as_deref().cloned();
        issued.record();
        match failure {
            Some(failure) if refuses_after_all(failure.kind, is_broken) => {
                if is_broken {
                    Look::Ended(Some(failure))
                } else {
                    Look::Unserved(failure)
                }
            }
            Some(failure) if is_broken && falls_silent(failure.kind) => Look::Silent,
            _ => Look::GoesOn,
        }
    }

    /// Hears whether it was closed.
    fn heed(&self, connection: &Connection<Recording>) -> Look {
        if !self.has_hung_up(connection) {
            return Look::GoesOn;
        }
        // Its goodbye hears what the server said.
        connection.dispose();
        Look::Ended(None)
    }

    fn has_hung_up(&self, connection: &Connection<Recording>) -> bool {
        let hung_up = |recorded: &mut Recorded| recorded.mail.has_hung_up();
        !self.is_interrupted() && matches!(self.issuer.client.with_connection(connection, hung_up), Ok(true))
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
