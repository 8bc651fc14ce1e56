//! Commands on the messages of the selected mailbox.

use std::num::NonZeroU32;

use imap_codec::imap_types::command::CommandBody;
use imap_codec::imap_types::core::{Charset, Vec1};
use imap_codec::imap_types::extensions::uidplus::{UidElement, UidSet};
use imap_codec::imap_types::fetch::{MacroOrMessageDataItemNames, MessageDataItem, MessageDataItemName};
use imap_codec::imap_types::flag::{Flag, StoreResponse, StoreType};
use imap_codec::imap_types::response::{Code, Data};
use imap_codec::imap_types::search::SearchKey;
use imap_codec::imap_types::sequence::{SeqOrUid, Sequence, SequenceSet};

use super::reply::{self, Verdict};
use super::view::{self, Target, View};
use super::{Session, fetch, flags as kept, names, search};
use crate::sandbox::mailbox::{Account, Copied, Letter, Refusal};

const FLAGS: MessageDataItemName<'static> = MessageDataItemName::Flags;

impl Session<'_> {
    pub(super) fn execute_selected(&mut self, account: &Account, view: &mut View, body: &CommandBody<'_>) -> Verdict {
        let writes = matches!(
            body,
            CommandBody::Store { .. }
                | CommandBody::Expunge
                | CommandBody::ExpungeUid { .. }
                | CommandBody::Move { .. }
        );
        if writes && view.read_only {
            return Verdict::no("Mailbox is read-only.");
        }
        match body {
            CommandBody::Check => Verdict::ok("Check completed."),
            CommandBody::Unselect => Verdict::ok("Unselect completed."),
            CommandBody::Close => {
                if !view.read_only {
                    account.mail().expunge(view.validity, is_deleted);
                }
                Verdict::ok("Close completed.")
            }
            CommandBody::Expunge => {
                account.mail().expunge(view.validity, is_deleted);
                Verdict::ok("Expunge completed.")
            }
            CommandBody::ExpungeUid { sequence_set } => {
                let chosen = uids(&view.targets(sequence_set, true).unwrap_or_default());
                account
                    .mail()
                    .expunge(view.validity, |letter| is_deleted(letter) && chosen.binary_search(&letter.uid).is_ok());
                Verdict::ok("Expunge completed.")
            }
            CommandBody::Search { charset, criteria, uid } => {
                self.search(account, view, charset.as_ref(), criteria, *uid)
            }
            CommandBody::Fetch { sequence_set, macro_or_item_names, uid } => {
                self.fetch(account, view, sequence_set, macro_or_item_names, *uid)
            }
            CommandBody::Store { sequence_set, kind, response, flags, uid } => {
                self.store(account, view, sequence_set, *kind, *response, flags, *uid)
            }
            CommandBody::Copy { sequence_set, mailbox, uid } => {
                let Some(targets) = view.targets(sequence_set, *uid) else {
                    return no_such_message(sequence_set);
                };
                let copied = match names::of(mailbox) {
                    Some(name) => account.mail().copy(view.validity, &uids(&targets), name),
                    None => Err(Refusal::NoSuchMailbox),
                };
                match copied {
                    Ok(copied) => match copy_code(&copied) {
                        Some(code) => Verdict::ok("Copy completed.").code(code),
                        None => Verdict::ok("Copy completed."),
                    },
                    Err(refusal) => reply::try_create(refusal).about(names::spelt(mailbox)),
                }
            }
            CommandBody::Move { sequence_set, mailbox, uid } => {
                let Some(targets) = view.targets(sequence_set, *uid) else {
                    return no_such_message(sequence_set);
                };
                let Some(name) = names::of(mailbox) else {
                    return reply::try_create(Refusal::NoSuchMailbox).about(names::spelt(mailbox));
                };
                let mut mail = account.mail();
                let copied = match mail.copy(view.validity, &uids(&targets), name) {
                    Ok(copied) => copied,
                    Err(refusal) => return reply::try_create(refusal).about(names::spelt(mailbox)),
                };
                // The copies of a move within one mailbox have UIDs of their own, and stay.
                mail.expunge(view.validity, |letter| copied.from.binary_search(&letter.uid).is_ok());
                drop(mail);
                if let Some(code) = copy_code(&copied) {
                    reply::untagged_ok(&mut self.out, code, "Moved.");
                }
                Verdict::ok("Move completed.")
            }
            _ => Verdict::bad("Unknown command.").about(super::verb::of(body)),
        }
    }

    fn search(
        &mut self,
        account: &Account,
        view: &View,
        charset: Option<&Charset<'_>>,
        criteria: &Vec1<SearchKey<'_>>,
        uid: bool,
    ) -> Verdict {
        if let Some(charset) = charset
            && !["US-ASCII", "UTF-8"].iter().any(|known| known.eq_ignore_ascii_case(charset.as_ref()))
        {
            let allowed = ["US-ASCII", "UTF-8"].iter().filter_map(|&name| Charset::try_from(name).ok()).collect();
            return Verdict::no("Unknown charset.").about(charset.as_ref()).code(Code::BadCharset { allowed });
        }
        let Some(last) = view.all().last() else {
            reply::data(&mut self.out, Data::Search(Vec::new()));
            return Verdict::ok("Search completed.");
        };
        let letters = letters(account, view, view.all());
        let found = letters
            .iter()
            .filter(|(target, letter)| {
                let candidate = search::Candidate { target: *target, letter, recent: view.is_recent(target.uid), last };
                criteria.as_ref().iter().all(|key| candidate.answers(key))
            })
            .map(|(target, _)| if uid { target.uid } else { target.sequence })
            .collect();
        reply::data(&mut self.out, Data::Search(found));
        Verdict::ok("Search completed.")
    }

    fn fetch(
        &mut self,
        account: &Account,
        view: &mut View,
        set: &SequenceSet,
        names: &MacroOrMessageDataItemNames<'_>,
        uid: bool,
    ) -> Verdict {
        let Some(targets) = view.targets(set, uid) else {
            return no_such_message(set);
        };
        let items = fetch::items(names, uid);
        if items.iter().any(|item| !fetch::is_served(item)) {
            return Verdict::bad("Unknown fetch item.").about("BINARY");
        }
        let mut newly_seen = Vec::new();
        if !view.read_only && items.iter().any(fetch::sets_seen) {
            newly_seen = self.change_flags(account, view, &targets, |flags| kept::add(flags, &Flag::Seen));
        }
        let letters = letters(account, view, targets.iter().copied());
        let with_flags: Vec<_> = if newly_seen.is_empty() || items.contains(&FLAGS) {
            items.clone()
        } else {
            items.iter().cloned().chain([FLAGS]).collect()
        };
        for (target, letter) in &letters {
            // Whoever reads a message is told that it is now seen (RFC 3501, 6.4.5).
            let items = if newly_seen.binary_search(&target.uid).is_ok() { &with_flags } else { &items };
            fetch::show(&mut self.out, *target, letter, view.is_recent(target.uid), items);
        }
        if letters.len() < targets.len() && !uid {
            return Verdict::no("Some of the messages no longer exist.").other_code("EXPUNGEISSUED");
        }
        Verdict::ok("Fetch completed.")
    }

    #[expect(clippy::too_many_arguments, reason = "they are the parts of a STORE command, as the codec has them")]
    fn store(
        &mut self,
        account: &Account,
        view: &mut View,
        set: &SequenceSet,
        kind: StoreType,
        response: StoreResponse,
        flags: &[Flag<'_>],
        uid: bool,
    ) -> Verdict {
        let Some(targets) = view.targets(set, uid) else {
            return no_such_message(set);
        };
        let flags = match kept::storable(flags) {
            Ok(flags) => flags,
            Err(flag) => return Verdict::bad("Invalid system flag.").about(flag.to_string()),
        };
        self.change_flags(account, view, &targets, |present| match kind {
            StoreType::Replace => present.clone_from(&flags),
            StoreType::Add => flags.iter().for_each(|flag| kept::add(present, flag)),
            StoreType::Remove => present.retain(|flag| !flags.iter().any(|removed| kept::same(flag, removed))),
        });
        let letters = letters(account, view, targets.iter().copied());
        if response == StoreResponse::Answer {
            for (target, letter) in &letters {
                let mut items = vec![MessageDataItem::Flags(view::flags(letter, view.is_recent(target.uid)))];
                if uid {
                    items.insert(0, MessageDataItem::Uid(target.uid));
                }
                reply::data(&mut self.out, Data::Fetch { seq: target.sequence, items: Vec1::unvalidated(items) });
            }
        }
        if letters.len() < targets.len() && !uid {
            return Verdict::no("Some of the messages no longer exist.").other_code("EXPUNGEISSUED");
        }
        Verdict::ok("Store completed.")
    }

    /// Changes the flags of the targets and returns the UIDs of those for which it made a difference, in order.
    /// What others have changed is told first, so that this session's own changes can be taken as known.
    fn change_flags(
        &mut self,
        account: &Account,
        view: &mut View,
        targets: &[Target],
        change: impl Fn(&mut Vec<Flag<'static>>),
    ) -> Vec<NonZeroU32> {
        let mut mail = account.mail();
        view.tell(&mut mail, false, &mut self.out);
        let Some(mailbox) = mail.mailbox(view.validity) else {
            return Vec::new();
        };
        let changed = uids(targets).into_iter().filter(|&uid| mailbox.flag(uid, &change)).collect();
        view.tell_keywords(mailbox.letters(), &mut self.out);
        view.knows_its_own_changes();
        changed
    }
}

/// The targets that are still there, with what they are now. Messages are shared, not copied.
fn letters(account: &Account, view: &View, targets: impl Iterator<Item = Target>) -> Vec<(Target, Letter)> {
    let mut mail = account.mail();
    let Some(mailbox) = mail.mailbox(view.validity) else {
        return Vec::new();
    };
    targets.filter_map(|target| Some((target, mailbox.letter(target.uid)?.clone()))).collect()
}

fn uids(targets: &[Target]) -> Vec<NonZeroU32> {
    targets.iter().map(|target| target.uid).collect()
}

fn copy_code(copied: &Copied) -> Option<Code<'static>> {
    let set = |uids: &[NonZeroU32]| {
        Vec1::try_from(uids.iter().map(|&uid| UidElement::Single(uid)).collect::<Vec<_>>()).ok().map(UidSet)
    };
    Some(Code::CopyUid { uid_validity: copied.validity, source: set(&copied.from)?, destination: set(&copied.to)? })
}

fn is_deleted(letter: &Letter) -> bool {
    letter.flags.contains(&Flag::Deleted)
}

fn no_such_message(set: &SequenceSet) -> Verdict {
    let number = |number: &SeqOrUid| match number {
        SeqOrUid::Value(value) => value.to_string(),
        SeqOrUid::Asterisk => "*".to_owned(),
    };
    let set = set.0.as_ref().iter().map(|sequence| match sequence {
        Sequence::Single(one) => number(one),
        Sequence::Range(from, to) => format!("{}:{}", number(from), number(to)),
    });
    Verdict::bad("No message has this number.").about(set.collect::<Vec<_>>().join(","))
}

/// Commands that need a selected mailbox.
pub(super) fn is_one(body: &CommandBody<'_>) -> bool {
    matches!(
        body,
        CommandBody::Check
            | CommandBody::Close
            | CommandBody::Unselect
            | CommandBody::Expunge
            | CommandBody::ExpungeUid { .. }
            | CommandBody::Search { .. }
            | CommandBody::Fetch { .. }
            | CommandBody::Store { .. }
            | CommandBody::Copy { .. }
            | CommandBody::Move { .. }
    )
}
