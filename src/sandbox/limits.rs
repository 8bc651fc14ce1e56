//! How many connections may be open at once, counted as Dovecot and Postfix do: per protocol, user and address, or per
//! address alone where the user is not known yet.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use super::listening::Protocol;
use super::lock;

/// Who is counted together.
type Holder = (Protocol, Option<Arc<str>>, IpAddr);

/// The limit and who stands where.
pub(super) struct Limits(Mutex<Standing>);

struct Standing {
    connections_per_user: Option<usize>,
    /// Entries leave at zero, so the map is as small as the number of those who are here.
    admitted: HashMap<Holder, usize>,
}

/// One connection's place; dropping it gives the place back.
pub(super) struct Place {
    limits: Arc<Limits>,
    holder: Holder,
}

/// No place left. Holds the limit in force.
pub(super) struct Full(pub usize);

impl Full {
    /// Word for word what Dovecot says, so that a client can be taught on either.
    pub fn text(&self) -> String {
        format!("Maximum number of connections from user+IP exceeded (mail_max_userip_connections={})", self.0)
    }
}

impl Limits {
    pub fn new(connections_per_user: Option<usize>) -> Self {
        Self(Mutex::new(Standing { connections_per_user, admitted: HashMap::new() }))
    }

    /// Whoever is here stays, however many they are.
    pub fn change(&self, connections_per_user: Option<usize>) {
        lock(&self.0).connections_per_user = connections_per_user;
    }

    pub fn admit(self: &Arc<Self>, protocol: Protocol, user: Option<Arc<str>>, from: IpAddr) -> Result<Place, Full> {
        let holder = (protocol, user, from);
        let mut standing = lock(&self.0);
        let count = standing.admitted.get(&holder).copied().unwrap_or(0);
        if let Some(limit) = standing.connections_per_user
            && count >= limit
        {
            return Err(Full(limit));
        }
        standing.admitted.insert(holder.clone(), count + 1);
        drop(standing);
        Ok(Place { limits: Arc::clone(self), holder })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut standing = lock(&self.limits.0);
        if let Some(count) = standing.admitted.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                standing.admitted.remove(&self.holder);
            }
        }
    }
}
