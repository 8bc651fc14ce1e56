//! How many connections an account may have open at once, counted as Dovecot does: per user and address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use super::lock;

/// The limit and who stands where.
pub(super) struct Limits {
    connections_per_user: Option<usize>,
    /// Entries leave at zero, so the map is as small as the number of signed-in (user, address) pairs.
    signed_in: Mutex<HashMap<(Arc<str>, IpAddr), usize>>,
}

/// One signed-in connection's place; dropping it gives the place back.
pub(super) struct Place {
    limits: Arc<Limits>,
    holder: (Arc<str>, IpAddr),
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
        Self { connections_per_user, signed_in: Mutex::default() }
    }

    pub fn admit(self: &Arc<Self>, user: &Arc<str>, address: IpAddr) -> Result<Place, Full> {
        let holder = (Arc::clone(user), address);
        let mut signed_in = lock(&self.signed_in);
        let count = signed_in.get(&holder).copied().unwrap_or(0);
        if let Some(limit) = self.connections_per_user
            && count >= limit
        {
            return Err(Full(limit));
        }
        signed_in.insert(holder.clone(), count + 1);
        drop(signed_in);
        Ok(Place { limits: Arc::clone(self), holder })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut signed_in = lock(&self.limits.signed_in);
        if let Some(count) = signed_in.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                signed_in.remove(&self.holder);
            }
        }
    }
}
