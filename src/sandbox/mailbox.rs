//! Accounts, their mailboxes, and the messages in them. State only: nothing here speaks a protocol.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use imap_codec::imap_types::flag::Flag;

use super::message::Message;
use super::options::User;
use super::{lock, seed};

/// Separates the levels of a mailbox name.
pub(super) const DELIMITER: char = '/';

/// The UIDVALIDITY of an account's first mailbox.
const FIRST_VALIDITY: NonZeroU32 = NonZeroU32::MIN.saturating_add(1_767_225_599);

/// Messages are kept in memory; an account may hold this much of them.
const QUOTA: usize = 1024 * 1024 * 1024;

/// All accounts. Their number is settled at the start.
pub(super) struct Accounts(HashMap<String, Arc<Account>>);

/// One user's mail, shared by all sessions of that user.
pub(super) struct Account {
    name: Arc<str>,
    password: Vec<u8>,
    /// One lock for all of the account's mail, so that COPY, MOVE and RENAME are whole or not at all.
    /// It is held to look and to change, never to send.
    mail: Mutex<Mail>,
    /// Whether a POP3 session has the maildrop to itself (RFC 1939, 4). IMAP and SMTP do not ask.
    maildrop_in_use: AtomicBool,
}

/// The only one of its account. Dropping it lets the next one be.
pub(super) struct Lock(Arc<Account>);

/// A mailbox's UIDVALIDITY, which is also its identity: a mailbox may be renamed, or deleted and made again.
pub(super) type Validity = NonZeroU32;

/// The mailboxes of one account.
pub(super) struct Mail {
    names: BTreeMap<Arc<str>, Validity>,
    mailboxes: HashMap<Validity, Mailbox>,
    subscribed: BTreeSet<Arc<str>>,
    next_validity: Validity,
    bytes: usize,
}

/// One mailbox.
pub(super) struct Mailbox {
    validity: Validity,
    next_uid: NonZeroU32,
    /// Messages from this UID on have not been shown to any session.
    recent_from: NonZeroU32,
    /// In the order of their UIDs.
    letters: Vec<Letter>,
    version: Version,
}

/// Counts a mailbox's changes. A session that has seen this number need not look, nor take the lock.
pub(super) type Version = Arc<AtomicU64>;

/// A message in a mailbox.
#[derive(Clone)]
pub(super) struct Letter {
    pub uid: NonZeroU32,
    pub flags: Vec<Flag<'static>>,
    /// The mailbox's version when the flags last changed.
    pub changed: u64,
    pub message: Arc<Message>,
}

/// Why a mailbox could not be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    NoSuchMailbox,
    AlreadyExists,
    IsInbox,
    HasChildren,
    BelowItself,
    OverQuota,
}

/// What a copy made: the source's UIDs, the UIDs it gave them, and where.
pub(super) struct Copied {
    pub validity: Validity,
    pub from: Vec<NonZeroU32>,
    pub to: Vec<NonZeroU32>,
}

impl Accounts {
    pub fn new(users: Vec<User>) -> Self {
        Self(users.into_iter().map(|user| (user.name.clone(), Arc::new(Account::new(user)))).collect())
    }

    pub fn sign_in(&self, name: &[u8], password: &[u8]) -> Option<&Arc<Account>> {
        let account = self.0.get(std::str::from_utf8(name).ok()?)?;
        (account.password == password).then_some(account)
    }

    /// The users and what each signs in with.
    pub fn passwords(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.values().map(|account| (&*account.name, account.password.as_slice()))
    }

    /// Whom mail to this address is for: a user of that name, or of the name before the `@`, whatever the domain.
    pub fn addressed(&self, address: &str) -> Option<&Arc<Account>> {
        let local = address.rsplit_once('@').map_or(address, |(local, _)| local);
        self.0.get(address).or_else(|| self.0.get(local))
    }
}

/// Puts a message into the INBOX of each, or of none.
pub(super) fn deliver(recipients: &BTreeMap<Arc<str>, Arc<Account>>, message: &Arc<Message>) -> Result<(), Refusal> {
    // More than one lock at once: no one waits for another in a circle, because all take them in the names' order.
    let mut mails: Vec<_> = recipients.values().map(|account| account.mail()).collect();
    let size = message.raw().len();
    if mails.iter().any(|mail| mail.bytes + size > QUOTA) {
        return Err(Refusal::OverQuota);
    }
    for mail in &mut mails {
        mail.append("INBOX", Vec::new(), Arc::clone(message))?;
    }
    Ok(())
}

impl Account {
    fn new(user: User) -> Self {
        let mut mail = Mail {
            names: BTreeMap::new(),
            mailboxes: HashMap::new(),
            subscribed: BTreeSet::new(),
            next_validity: FIRST_VALIDITY,
            bytes: 0,
        };
        for (name, count) in seed::MAILBOXES {
            let mailbox = mail.add(name);
            for number in 1..=count {
                mailbox.deliver(Vec::new(), Arc::new(seed::message(&user.name, name, number)));
            }
            mailbox.recent_from = mailbox.next_uid;
            mail.subscribed.insert(name.into());
        }
        Self {
            name: user.name.into(),
            password: user.password.into_bytes(),
            mail: Mutex::new(mail),
            maildrop_in_use: AtomicBool::new(false),
        }
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub fn mail(&self) -> MutexGuard<'_, Mail> {
        lock(&self.mail)
    }

    /// `None` while another has it.
    pub fn lock_maildrop(account: &Arc<Self>) -> Option<Lock> {
        let in_use = account.maildrop_in_use.swap(true, Ordering::AcqRel);
        (!in_use).then(|| Lock(Arc::clone(account)))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.maildrop_in_use.store(false, Ordering::Release);
    }
}

impl Mail {
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.names.keys()
    }

    pub fn subscribed(&self) -> impl Iterator<Item = &Arc<str>> {
        self.subscribed.iter()
    }

    pub fn has_children(&self, name: &str) -> bool {
        self.children(name).next().is_some()
    }

    fn children(&self, name: &str) -> impl Iterator<Item = (&Arc<str>, &Validity)> {
        let prefix = format!("{name}{DELIMITER}");
        self.names
            .range::<str, _>((std::ops::Bound::Included(prefix.as_str()), std::ops::Bound::Unbounded))
            .take_while(move |(child, _)| child.starts_with(&prefix))
    }

    pub fn find(&mut self, name: &str) -> Option<(Arc<str>, &mut Mailbox)> {
        let (name, validity) = self.names.get_key_value(name)?;
        let name = Arc::clone(name);
        self.mailboxes.get_mut(validity).map(|mailbox| (name, mailbox))
    }

    /// `None` once the mailbox is deleted, whoever still has it selected.
    pub fn mailbox(&mut self, validity: Validity) -> Option<&mut Mailbox> {
        self.mailboxes.get_mut(&validity)
    }

    fn add(&mut self, name: &str) -> &mut Mailbox {
        let validity = self.next_validity;
        self.next_validity = validity.saturating_add(1);
        self.names.insert(name.into(), validity);
        self.mailboxes.entry(validity).or_insert(Mailbox {
            validity,
            next_uid: NonZeroU32::MIN,
            recent_from: NonZeroU32::MIN,
            letters: Vec::new(),
            version: Version::default(),
        })
    }

    /// Makes the mailbox, and those above it that are missing.
    pub fn create(&mut self, name: &str) -> Result<(), Refusal> {
        if self.names.contains_key(name) {
            return Err(Refusal::AlreadyExists);
        }
        for (at, _) in name.match_indices(DELIMITER) {
            if !self.names.contains_key(&name[..at]) {
                self.add(&name[..at]);
            }
        }
        self.add(name);
        Ok(())
    }

    pub fn delete(&mut self, name: &str) -> Result<(), Refusal> {
        if name == "INBOX" {
            return Err(Refusal::IsInbox);
        }
        if !self.names.contains_key(name) {
            return Err(Refusal::NoSuchMailbox);
        }
        if self.has_children(name) {
            return Err(Refusal::HasChildren);
        }
        if let Some(mut mailbox) = self.names.remove(name).and_then(|validity| self.mailboxes.remove(&validity)) {
            // Sessions that have it selected look again, and find it empty.
            mailbox.touch();
            self.bytes = self.bytes.saturating_sub(mailbox.bytes());
        }
        Ok(())
    }

    /// Renames the mailbox and all below it. INBOX stays: its messages go to the new mailbox (RFC 3501, 6.3.5).
    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), Refusal> {
        if !self.names.contains_key(from) {
            return Err(Refusal::NoSuchMailbox);
        }
        if to.strip_prefix(from).is_some_and(|rest| rest.starts_with(DELIMITER)) {
            return Err(Refusal::BelowItself);
        }
        self.create(to)?;
        if from == "INBOX" {
            let all = self.find(from).map(|(_, inbox)| inbox.take(|_| true)).unwrap_or_default();
            if let Some((_, target)) = self.find(to) {
                for letter in all {
                    target.deliver(letter.flags, letter.message);
                }
            }
            return Ok(());
        }
        let children: Vec<(Arc<str>, Validity)> =
            self.children(from).map(|(name, validity)| (Arc::clone(name), *validity)).collect();
        if let Some(validity) = self.names.remove(from)
            && let Some(placeholder) = self.names.insert(to.into(), validity)
        {
            self.mailboxes.remove(&placeholder);
        }
        for (name, validity) in children {
            self.names.remove(&name);
            self.names.insert(format!("{to}{}", &name[from.len()..]).into(), validity);
        }
        Ok(())
    }

    /// Names need not exist to be subscribed (RFC 3501, 6.3.6).
    pub fn subscribe(&mut self, name: &str) {
        self.subscribed.insert(name.into());
    }

    pub fn unsubscribe(&mut self, name: &str) {
        self.subscribed.remove(name);
    }

    pub fn append(
        &mut self,
        name: &str,
        flags: Vec<Flag<'static>>,
        message: Arc<Message>,
    ) -> Result<(Validity, NonZeroU32), Refusal> {
        let size = message.raw().len();
        if self.bytes + size > QUOTA {
            return Err(Refusal::OverQuota);
        }
        let (_, mailbox) = self.find(name).ok_or(Refusal::NoSuchMailbox)?;
        let delivered = (mailbox.validity, mailbox.deliver(flags, message));
        self.bytes += size;
        Ok(delivered)
    }

    /// Copies those of the messages that are still there.
    pub fn copy(&mut self, source: Validity, uids: &[NonZeroU32], target: &str) -> Result<Copied, Refusal> {
        let letters: Vec<Letter> = self
            .mailbox(source)
            .map(|mailbox| uids.iter().filter_map(|&uid| mailbox.letter(uid).cloned()).collect())
            .unwrap_or_default();
        let size: usize = letters.iter().map(|letter| letter.message.raw().len()).sum();
        if self.bytes + size > QUOTA {
            return Err(Refusal::OverQuota);
        }
        let (_, mailbox) = self.find(target).ok_or(Refusal::NoSuchMailbox)?;
        let mut copied = Copied { validity: mailbox.validity, from: Vec::new(), to: Vec::new() };
        for letter in letters {
            copied.from.push(letter.uid);
            copied.to.push(mailbox.deliver(letter.flags, letter.message));
        }
        self.bytes += size;
        Ok(copied)
    }

    /// Removes the messages for which `which` holds.
    pub fn expunge(&mut self, validity: Validity, which: impl FnMut(&Letter) -> bool) {
        if let Some(mailbox) = self.mailbox(validity) {
            let size: usize = mailbox.take(which).iter().map(|letter| letter.message.raw().len()).sum();
            self.bytes = self.bytes.saturating_sub(size);
        }
    }
}

impl Mailbox {
    pub fn validity(&self) -> Validity {
        self.validity
    }

    pub fn next_uid(&self) -> NonZeroU32 {
        self.next_uid
    }

    pub fn letters(&self) -> &[Letter] {
        &self.letters
    }

    pub fn letter(&self, uid: NonZeroU32) -> Option<&Letter> {
        self.letters.binary_search_by_key(&uid, |letter| letter.uid).ok().map(|at| &self.letters[at])
    }

    pub fn version(&self) -> &Version {
        &self.version
    }

    /// How many messages no session has been shown as recent.
    pub fn recent(&self) -> usize {
        self.letters.len() - self.letters.partition_point(|letter| letter.uid < self.recent_from)
    }

    /// Messages from this UID on are recent.
    pub fn recent_from(&self) -> NonZeroU32 {
        self.recent_from
    }

    /// From now on they are recent to no one else. Returns the first UID that was.
    pub fn claim_recent(&mut self) -> NonZeroU32 {
        std::mem::replace(&mut self.recent_from, self.next_uid)
    }

    /// Changes the flags of one message. Returns whether that made a difference.
    pub fn flag(&mut self, uid: NonZeroU32, change: impl FnOnce(&mut Vec<Flag<'static>>)) -> bool {
        let Ok(at) = self.letters.binary_search_by_key(&uid, |letter| letter.uid) else {
            return false;
        };
        let mut flags = self.letters[at].flags.clone();
        change(&mut flags);
        if flags == self.letters[at].flags {
            return false;
        }
        self.letters[at].changed = self.touch();
        self.letters[at].flags = flags;
        true
    }

    fn deliver(&mut self, flags: Vec<Flag<'static>>, message: Arc<Message>) -> NonZeroU32 {
        let uid = self.next_uid;
        self.next_uid = uid.saturating_add(1);
        let changed = self.touch();
        self.letters.push(Letter { uid, flags, changed, message });
        uid
    }

    fn take(&mut self, mut which: impl FnMut(&Letter) -> bool) -> Vec<Letter> {
        let taken: Vec<Letter> = self.letters.extract_if(.., |letter| which(letter)).collect();
        if !taken.is_empty() {
            self.touch();
        }
        taken
    }

    fn bytes(&self) -> usize {
        self.letters.iter().map(|letter| letter.message.raw().len()).sum()
    }

    fn touch(&mut self) -> u64 {
        self.version.fetch_add(1, Ordering::AcqRel) + 1
    }
}
