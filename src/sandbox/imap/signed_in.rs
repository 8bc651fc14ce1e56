//! Commands of a client that has signed in: mailboxes, as wholes.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use imap_codec::imap_types::command::CommandBody;
use imap_codec::imap_types::core::{Atom, IString, QuotedChar};
use imap_codec::imap_types::datetime::DateTime;
use imap_codec::imap_types::extensions::binary::LiteralOrLiteral8;
use imap_codec::imap_types::extensions::namespace::Namespace;
use imap_codec::imap_types::flag::{Flag, FlagNameAttribute};
use imap_codec::imap_types::mailbox::{ListMailbox, Mailbox as MailboxName};
use imap_codec::imap_types::response::{Code, Data};
use imap_codec::imap_types::status::{StatusDataItem, StatusDataItemName};

use super::reply::{self, Verdict};
use super::view::{self, View};
use super::{Session, flags as kept, names, selected, verb};
use crate::sandbox::mailbox::{Account, DELIMITER, Letter, Refusal};
use crate::sandbox::message::{Message, now};

impl Session<'_> {
    pub(super) fn execute_signed_in(&mut self, account: &Account, body: CommandBody<'_>) -> Verdict {
        match body {
            CommandBody::Select { mailbox } => self.select(account, &mailbox, false),
            CommandBody::Examine { mailbox } => self.select(account, &mailbox, true),
            CommandBody::Create { mailbox } => match names::of_new(&mailbox) {
                Some(name) => reply::done(account.mail().create(name), "Create completed.").about(name),
                None => reply::cannot().about(names::spelt(&mailbox)),
            },
            CommandBody::Delete { mailbox } => match names::of(&mailbox) {
                Some(name) => reply::done(account.mail().delete(name), "Delete completed.").about(name),
                None => reply::refused(Refusal::NoSuchMailbox).about(names::spelt(&mailbox)),
            },
            CommandBody::Rename { from, to } => match (names::of(&from), names::of_new(&to)) {
                (Some(from), Some(to)) => reply::done(account.mail().rename(from, to), "Rename completed.").about(from),
                (None, _) => reply::refused(Refusal::NoSuchMailbox).about(names::spelt(&from)),
                (_, None) => reply::cannot().about(names::spelt(&to)),
            },
            CommandBody::Subscribe { mailbox } => match names::of(&mailbox) {
                Some(name) => {
                    account.mail().subscribe(name);
                    Verdict::ok("Subscribe completed.")
                }
                None => reply::cannot().about(names::spelt(&mailbox)),
            },
            CommandBody::Unsubscribe { mailbox } => match names::of(&mailbox) {
                Some(name) => {
                    account.mail().unsubscribe(name);
                    Verdict::ok("Unsubscribe completed.")
                }
                None => reply::cannot().about(names::spelt(&mailbox)),
            },
            CommandBody::List { reference, mailbox_wildcard } => self.list(account, &reference, &mailbox_wildcard),
            CommandBody::Lsub { reference, mailbox_wildcard } => self.lsub(account, &reference, &mailbox_wildcard),
            CommandBody::Status { mailbox, item_names } => self.status(account, mailbox, &item_names),
            CommandBody::Append { mailbox, flags, date, message } => append(account, &mailbox, &flags, date, &message),
            CommandBody::Namespace => {
                let delimiter = QuotedChar::try_from(DELIMITER).ok();
                let personal =
                    IString::try_from("").map(|prefix| vec![Namespace::new(prefix, delimiter)]).unwrap_or_default();
                reply::data(&mut self.out, Data::Namespace { personal, other: Vec::new(), shared: Vec::new() });
                Verdict::ok("Namespace completed.")
            }
            body => match self.view.take() {
                Some(mut view) => {
                    let verdict = self.execute_selected(account, &mut view, &body);
                    if !matches!(body, CommandBody::Close | CommandBody::Unselect) {
                        self.view = Some(view);
                    }
                    verdict
                }
                None if selected::is_one(&body) => Verdict::bad("No mailbox selected."),
                None => Verdict::bad("Unknown command.").about(verb::of(&body)),
            },
        }
    }

    fn select(&mut self, account: &Account, mailbox: &MailboxName<'_>, read_only: bool) -> Verdict {
        // A SELECT that fails leaves nothing selected (RFC 3501, 6.3.1).
        self.view = None;
        let mut mail = account.mail();
        let asked = names::spelt(mailbox);
        let Some((name, mailbox)) = names::of(mailbox).and_then(|name| mail.find(name)) else {
            return reply::refused(Refusal::NoSuchMailbox).about(asked);
        };
        let view = View::new(name, mailbox, read_only);
        let (validity, next_uid) = (mailbox.validity(), mailbox.next_uid());
        let unseen = mailbox.letters().iter().position(|letter| !letter.flags.contains(&Flag::Seen));
        drop(mail);

        let flags = view.flags();
        let permanent = if read_only { Code::PermanentFlags(Vec::new()) } else { view::permanent(flags.clone()) };
        let out = &mut self.out;
        reply::data(out, Data::Flags(flags));
        reply::untagged_ok(out, permanent, if read_only { "Read-only mailbox." } else { "Flags permitted." });
        reply::data(out, Data::Exists(count(view.len())));
        reply::data(out, Data::Recent(count(view.recent())));
        if let Some(first) = unseen.and_then(|at| NonZeroU32::new(count(at + 1))) {
            reply::untagged_ok(out, Code::Unseen(first), "First unseen.");
        }
        reply::untagged_ok(out, Code::UidValidity(validity), "UIDs valid");
        reply::untagged_ok(out, Code::UidNext(next_uid), "Predicted next UID");
        self.view = Some(view);
        if read_only {
            Verdict::ok("Examine completed.").code(Code::ReadOnly)
        } else {
            Verdict::ok("Select completed.").code(Code::ReadWrite)
        }
    }

    fn list(&mut self, account: &Account, reference: &MailboxName<'_>, pattern: &ListMailbox<'_>) -> Verdict {
        let Some(pattern) = full_pattern(reference, pattern) else {
            return Verdict::ok("List completed.");
        };
        let delimiter = QuotedChar::try_from(DELIMITER).ok();
        if pattern.is_empty() {
            // A question about the delimiter, not about mailboxes (RFC 3501, 6.3.8).
            if let Ok(mailbox) = MailboxName::try_from("") {
                reply::data(&mut self.out, Data::List { items: vec![FlagNameAttribute::Noselect], delimiter, mailbox });
            }
            return Verdict::ok("List completed.");
        }
        let mail = account.mail();
        for name in mail.names().filter(|name| names::matches(&pattern, name)) {
            let children = if mail.has_children(name) { "HasChildren" } else { "HasNoChildren" };
            if let (Ok(mailbox), Ok(children)) = (MailboxName::try_from(&**name), Atom::try_from(children)) {
                let items = vec![FlagNameAttribute::from(children)];
                reply::data(&mut self.out, Data::List { items, delimiter, mailbox });
            }
        }
        Verdict::ok("List completed.")
    }

    fn lsub(&mut self, account: &Account, reference: &MailboxName<'_>, pattern: &ListMailbox<'_>) -> Verdict {
        let Some(pattern) = full_pattern(reference, pattern) else {
            return Verdict::ok("Lsub completed.");
        };
        let delimiter = QuotedChar::try_from(DELIMITER).ok();
        let mail = account.mail();
        // With % at the end, a name above a subscribed one stands for it (RFC 3501, 6.3.9).
        let mut found = BTreeMap::new();
        for name in mail.subscribed() {
            if names::matches(&pattern, name) {
                found.insert(&**name, true);
            } else if pattern.ends_with('%') {
                let above = name.match_indices(DELIMITER).map(|(at, _)| &name[..at]);
                above
                    .filter(|above| names::matches(&pattern, above))
                    .for_each(|above| _ = found.entry(above).or_insert(false));
            }
        }
        for (name, subscribed) in found {
            if let Ok(mailbox) = MailboxName::try_from(name) {
                let items = if subscribed { Vec::new() } else { vec![FlagNameAttribute::Noselect] };
                reply::data(&mut self.out, Data::Lsub { items, delimiter, mailbox });
            }
        }
        Verdict::ok("Lsub completed.")
    }

    fn status(&mut self, account: &Account, mailbox: MailboxName<'_>, items: &[StatusDataItemName]) -> Verdict {
        let mut mail = account.mail();
        let Some((_, found)) = names::of(&mailbox).and_then(|name| mail.find(name)) else {
            return reply::refused(Refusal::NoSuchMailbox).about(names::spelt(&mailbox));
        };
        let letters = found.letters();
        let tally = |which: &dyn Fn(&Letter) -> bool| count(letters.iter().filter(|letter| which(letter)).count());
        let items: Result<Vec<StatusDataItem>, &StatusDataItemName> = items
            .iter()
            .map(|item| {
                Ok(match item {
                    StatusDataItemName::Messages => StatusDataItem::Messages(count(letters.len())),
                    StatusDataItemName::Recent => StatusDataItem::Recent(count(found.recent())),
                    StatusDataItemName::UidNext => StatusDataItem::UidNext(found.next_uid()),
                    StatusDataItemName::UidValidity => StatusDataItem::UidValidity(found.validity()),
                    StatusDataItemName::Unseen => {
                        StatusDataItem::Unseen(tally(&|letter| !letter.flags.contains(&Flag::Seen)))
                    }
                    StatusDataItemName::Deleted | StatusDataItemName::DeletedStorage => {
                        return Err(item);
                    }
                })
            })
            .collect();
        drop(mail);
        let items = match items {
            Ok(items) => items,
            Err(item) => return Verdict::bad("Unknown status item.").about(format!("{item:?}").to_uppercase()),
        };
        reply::data(&mut self.out, Data::Status { mailbox, items: items.into() });
        Verdict::ok("Status completed.")
    }
}

fn append(
    account: &Account,
    mailbox: &MailboxName<'_>,
    flags: &[Flag<'_>],
    date: Option<DateTime>,
    message: &LiteralOrLiteral8<'_>,
) -> Verdict {
    let LiteralOrLiteral8::Literal(message) = message else {
        return Verdict::no("Binary messages are not supported.").code(Code::UnknownCte);
    };
    let flags = match kept::storable(flags) {
        Ok(flags) => flags,
        Err(flag) => return Verdict::bad("Invalid system flag.").about(flag.to_string()),
    };
    let received = date.map_or_else(now, |date| *date.as_ref());
    // Copied before the lock is taken: it may be large.
    let message = Arc::new(Message::new(message.data(), received));
    let appended = match names::of(mailbox) {
        Some(name) => account.mail().append(name, flags, message),
        None => Err(Refusal::NoSuchMailbox),
    };
    match appended {
        Ok((uid_validity, uid)) => Verdict::ok("Append completed.").code(Code::AppendUid { uid_validity, uid }),
        Err(refusal) => reply::try_create(refusal).about(names::spelt(mailbox)),
    }
}

/// Reference and pattern, put together; `None` if no mailbox here could match.
fn full_pattern(reference: &MailboxName<'_>, pattern: &ListMailbox<'_>) -> Option<String> {
    let pattern = match pattern {
        ListMailbox::Token(token) => token.as_ref(),
        ListMailbox::String(string) => string.as_ref(),
    };
    if pattern.is_empty() {
        return Some(String::new());
    }
    Some(format!("{}{}", names::of(reference)?, std::str::from_utf8(pattern).ok()?))
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
