//! Who is here, and who is counted where: each limit has counts of its own.
//!
//! A connection is counted by the limits of each stage that it reaches, until it is over, or for a while longer. Nothing
//! waits for that while: a count says until when it holds, and is forgotten when it is looked at later.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::faults::{Ending, Grip};
use super::like::Like;
use super::limit::{Excess, Limit, LimitStage};
use super::listening::Protocol;
use super::lock;
use super::words::{self, Refused, Words};

/// All counts of a limit are looked at, and those that hold nothing are forgotten, when there are so many more of them.
const SWEEP: usize = 64;

/// The limits, and who stands where.
pub(super) struct Limits {
    /// In whose words they refuse.
    like: Option<Like>,
    standing: Mutex<Standing>,
}

struct Standing {
    limits: Vec<Counts>,
    /// Everyone who is here, in the order of their coming.
    present: BTreeMap<u64, Present>,
    came: u64,
}

struct Present {
    protocol: Protocol,
    address: IpAddr,
    /// From the sign-in on.
    user: Option<Arc<str>>,
    stage: LimitStage,
    /// What the session is ended by.
    grip: Arc<Grip>,
}

/// Who is counted together. None where the limit does not tell them apart.
#[derive(PartialEq, Eq, Hash)]
struct Holder {
    protocol: Protocol,
    user: Option<Arc<str>>,
    address: Option<IpAddr>,
}

/// A limit, with its counts.
struct Counts {
    limit: Limit,
    of: HashMap<Holder, Count>,
    /// How many there were when all were last looked at.
    swept: usize,
}

/// It holds no more than the limit allows.
#[derive(Default)]
struct Count {
    /// Those that are here.
    open: BTreeSet<u64>,
    /// Until when each of the others is counted.
    until: Vec<Instant>,
}

/// One connection's place in all counts, until it is dropped.
pub(super) struct Admission {
    limits: Arc<Limits>,
    number: u64,
}

impl Limits {
    pub fn new(limits: Vec<Limit>, like: Option<Like>) -> Self {
        let limits = limits.into_iter().map(Counts::new).collect();
        Self { like, standing: Mutex::new(Standing { limits, present: BTreeMap::new(), came: 0 }) }
    }

    /// No lock is held.
    fn end(&self, supplanted: &[Present]) {
        for who in supplanted {
            who.grip.end(Ending::Supplanted(words::supplanted(who.protocol, self.like)));
        }
    }

    /// Sets the limits of [`Limit::connections`], as the one counts that it is to be like, or lifts them. Whoever is here stays, however many they are, and counts.
    pub fn change(&self, most: Option<usize>) {
        let mut standing = lock(&self.standing);
        let Standing { limits, present, .. } = &mut *standing;
        let number = most.unwrap_or_default();
        for new in self.like.map_or_else(|| Limit::connections(number), |like| like.connections(number)) {
            match (most, limits.iter_mut().find(|counts| counts.limit.counts_as(&new))) {
                (None, _) => limits.retain(|counts| !counts.limit.counts_as(&new)),
                (Some(_), Some(counts)) => counts.limit = new,
                (Some(_), None) => {
                    let mut counts = Counts::new(new);
                    present.iter().for_each(|(number, who)| counts.enter(*number, who, Instant::now()));
                    limits.push(counts);
                }
            }
        }
    }

    /// A connection was accepted; what ends it is its grip.
    pub fn accept(self: &Arc<Self>, from: (Protocol, IpAddr), grip: &Arc<Grip>) -> Result<Admission, Limit> {
        let (protocol, address) = from;
        let who = Present { protocol, address, user: None, stage: LimitStage::Accept, grip: Arc::clone(grip) };
        let mut standing = lock(&self.standing);
        standing.came += 1;
        let number = standing.came;
        let supplanted = standing.admit(number, who).map_err(|refused| refused.limit)?;
        drop(standing);
        self.end(&supplanted);
        Ok(Admission { limits: Arc::clone(self), number })
    }
}

impl Admission {
    /// The connection has come to that stage, unless a limit is in its way; to the sign-in with its user.
    pub fn reach(&self, stage: LimitStage, user: Option<&Arc<str>>) -> Result<(), Words> {
        let mut standing = lock(&self.limits.standing);
        // One whose place a newer one has taken is about to end.
        let Some(before) = standing.present.get(&self.number) else { return Ok(()) };
        let Present { protocol, address, ref grip, .. } = *before;
        let user = user.or(before.user.as_ref()).cloned();
        let who = Present { protocol, address, user, stage, grip: Arc::clone(grip) };
        let supplanted = standing.admit(self.number, who).map_err(|refused| Words::of(&refused, self.limits.like))?;
        drop(standing);
        self.limits.end(&supplanted);
        Ok(())
    }

    /// Its client has not signed in after all.
    pub fn retreat(&self) {
        let mut standing = lock(&self.limits.standing);
        let Standing { limits, present, .. } = &mut *standing;
        let Some(who) = present.get_mut(&self.number) else { return };
        for counts in limits.iter_mut().filter(|counts| counts.limit.stage >= LimitStage::SignIn) {
            counts.leave(self.number, who, Duration::ZERO);
        }
        (who.stage, who.user) = (LimitStage::Greeting, None);
    }

    /// The connection is over, and the server knows it.
    pub fn leave(&self) {
        lock(&self.limits.standing).leave(self.number, |limit| limit.release);
    }
}

impl Drop for Admission {
    /// Whoever has not left by now, and was not ended by the server, leaves without a goodbye.
    fn drop(&mut self) {
        let mut standing = lock(&self.limits.standing);
        let was_ended = standing.present.get(&self.number).is_some_and(|who| who.grip.ending().is_some());
        standing.leave(self.number, |limit| if was_ended { limit.release } else { limit.bare_release });
    }
}

impl Standing {
    /// Lets a connection come to a stage; those that are returned have to leave for it.
    fn admit(&mut self, number: u64, who: Present) -> Result<Vec<Present>, Refused> {
        let now = Instant::now();
        let here = |counts: &Counts| counts.limit.stage == who.stage;
        for counts in self.limits.iter_mut().filter(|counts| here(counts)) {
            let limit = counts.limit;
            if limit.on_excess == Excess::RefuseNewest && counts.is_full(&who, now) {
                let wait = counts.wait(&who, now);
                return Err(Refused { limit, protocol: who.protocol, address: who.address, user: who.user, wait });
            }
        }
        let mut supplanted = Vec::new();
        for at in 0..self.limits.len() {
            let counts = &mut self.limits[at];
            let limit = counts.limit;
            if here(counts)
                && counts.is_full(&who, now)
                && let Some(oldest) = counts.oldest(&who)
                && let Some(who) = self.leave(oldest, |it| if *it == limit { Duration::ZERO } else { it.release })
            {
                supplanted.push(who);
            }
        }
        self.limits.iter_mut().filter(|counts| here(counts)).for_each(|counts| counts.enter(number, &who, now));
        self.present.insert(number, who);
        Ok(supplanted)
    }

    fn leave(&mut self, number: u64, release: impl Fn(&Limit) -> Duration) -> Option<Present> {
        let who = self.present.remove(&number)?;
        self.limits.iter_mut().for_each(|counts| counts.leave(number, &who, release(&counts.limit)));
        Some(who)
    }
}

impl Counts {
    fn new(limit: Limit) -> Self {
        Self { limit, of: HashMap::new(), swept: 0 }
    }

    /// None if the limit does not count it.
    fn holder(&self, who: &Present) -> Option<Holder> {
        let Limit { protocol, scope, stage, .. } = self.limit;
        if who.stage < stage || protocol.is_some_and(|protocol| protocol != who.protocol) {
            return None;
        }
        let user = if scope.has_user() { Some(Arc::clone(who.user.as_ref()?)) } else { None };
        Some(Holder { protocol: who.protocol, user, address: scope.has_address().then_some(who.address) })
    }

    fn is_full(&mut self, who: &Present, now: Instant) -> bool {
        self.holder(who).is_some_and(|holder| {
            let count = self.of.get_mut(&holder).map_or(0, |count| count.at(now));
            count >= self.limit.most
        })
    }

    /// Until the next one may come, of a rate.
    fn wait(&self, who: &Present, now: Instant) -> Duration {
        let count = self.holder(who).and_then(|holder| self.of.get(&holder));
        let next = count.and_then(|count| count.until.first()).filter(|_| self.limit.within.is_some());
        next.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Who makes room; nobody has to where one that is gone was still counted.
    fn oldest(&mut self, who: &Present) -> Option<u64> {
        let count = self.of.get_mut(&self.holder(who)?)?;
        if count.until.pop().is_some() { None } else { count.open.first().copied() }
    }

    fn enter(&mut self, number: u64, who: &Present, now: Instant) {
        let Some(holder) = self.holder(who) else { return };
        let count = self.of.entry(holder).or_default();
        match self.limit.within {
            Some(time) => count.until.push(now + time),
            None => _ = count.open.insert(number),
        }
        if self.of.len() >= self.swept + SWEEP {
            self.of.retain(|_, count| count.at(now) > 0);
            self.swept = 2 * self.of.len();
        }
    }

    fn leave(&mut self, number: u64, who: &Present, release: Duration) {
        let Some(holder) = self.holder(who) else { return };
        let Some(count) = self.of.get_mut(&holder) else { return };
        if count.open.remove(&number) && !release.is_zero() {
            count.until.push(Instant::now() + release);
        }
        if count.open.is_empty() && count.until.is_empty() {
            self.of.remove(&holder);
        }
    }
}

impl Count {
    fn at(&mut self, now: Instant) -> usize {
        self.until.retain(|until| *until > now);
        self.open.len() + self.until.len()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Weak;

    use super::*;

    /// One address after the other, of which each is soon forgotten.
    #[test]
    fn what_was_counted_is_forgotten() {
        for limit in ["address=5/1ms", "address=5@greeting,release=1ms", "user=5/1ms", "total=5/1ms"] {
            let limits = Arc::new(Limits::new(vec![limit.parse().unwrap()], None));
            let grip = Arc::new(Grip::new(Weak::new()));
            let mut most = 0;
            for number in 0..20_000 {
                let from = (Protocol::Imap, IpAddr::from(Ipv4Addr::from_bits(number)));
                let admission = limits.accept(from, &grip).unwrap();
                // Of one count for all some are refused.
                let _ = admission.reach(LimitStage::Greeting, None);
                let _ = admission.reach(LimitStage::SignIn, Some(&number.to_string().into()));
                most = most.max(limits.standing.lock().unwrap().limits[0].of.len());
            }
            assert!(limits.standing.lock().unwrap().present.is_empty());
            assert!(most < 10_000, "{limit}: {most}");
        }
    }
}
