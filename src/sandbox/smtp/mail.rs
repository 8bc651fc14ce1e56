//! The commands that make a transaction: MAIL, RCPT, DATA and the message.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use smtp_proto::{MAIL_BODY_7BIT, MAIL_BODY_8BITMIME, MailFrom};

use super::incoming::{Incoming, MAX_MESSAGE};
use super::reply::Reply;
use super::transaction::{MAX_RECIPIENTS, Origin, Transaction};
use super::{Session, line};

impl Session<'_> {
    pub(super) fn mail(&mut self, from: MailFrom<Cow<'_, str>>) -> Reply {
        if self.hello.is_none() {
            return "503 5.5.1 Error: send HELO/EHLO first".into();
        }
        if self.transaction.is_some() {
            return "503 5.5.1 Error: nested MAIL command".into();
        }
        if from.flags & !(MAIL_BODY_7BIT | MAIL_BODY_8BITMIME) != 0 {
            return line::UNSUPPORTED.into();
        }
        if from.size > MAX_MESSAGE {
            return "552 5.3.4 Message size exceeds fixed limit".into();
        }
        if from.address.contains(|c: char| c.is_control()) {
            return "501 5.1.7 Bad sender address syntax".into();
        }
        self.transaction = Some(Transaction { sender: from.address.into_owned(), recipients: BTreeMap::new() });
        "250 2.1.0 Ok".into()
    }

    pub(super) fn recipient(&mut self, address: &str, flags: u64) -> Reply {
        let Some(transaction) = &mut self.transaction else {
            return "503 5.5.1 Error: need MAIL command".into();
        };
        if flags != 0 {
            return line::UNSUPPORTED.into();
        }
        let Some(account) = self.around.accounts.addressed(address) else {
            return "550 5.1.1 Recipient address rejected: User unknown".into();
        };
        if transaction.recipients.len() >= MAX_RECIPIENTS {
            return "452 4.5.3 Error: too many recipients".into();
        }
        transaction.recipients.insert(Arc::clone(account.name()), Arc::clone(account));
        "250 2.1.5 Ok".into()
    }

    pub(super) fn data(&mut self) -> Reply {
        match &self.transaction {
            None => "503 5.5.1 Error: need MAIL command".into(),
            Some(transaction) if transaction.recipients.is_empty() => "554 5.5.1 Error: no valid recipients".into(),
            Some(_) => {
                self.incoming = Some(Incoming::new());
                "354 End data with <CR><LF>.<CR><LF>".into()
            }
        }
    }

    /// The end of a message: it is delivered, or was too big. The transaction is over either way.
    pub(super) fn accept(&mut self, text: Option<Vec<u8>>) -> Cow<'static, str> {
        let (Some(transaction), Some(hello)) = (self.transaction.take(), &self.hello) else {
            return "503 5.5.1 Error: need MAIL command".into();
        };
        let Some(text) = text else {
            return "552 5.3.4 Error: message file too big".into();
        };
        // IMAP could not show it (RFC 3501, 9: no literal holds NUL).
        if text.contains(&0) {
            return "554 5.6.0 Error: message contains NUL".into();
        }
        self.messages += 1;
        let id = format!("{}.{}", self.witness.number(), self.messages);
        let with = match (hello.extended, self.encrypted) {
            (false, _) => "SMTP",
            (true, false) => "ESMTPA",
            (true, true) => "ESMTPSA",
        };
        let origin = Origin { hello: &hello.name, address: self.around.peer.ip(), with, id: &id };
        match transaction.deliver(&text, &origin) {
            Ok(delivered) => {
                self.witness.delivered(&delivered.message_id, delivered.recipients);
                format!("250 2.0.0 Ok: queued as {id}").into()
            }
            Err(_) => "452 4.2.2 Mailbox full".into(),
        }
    }
}
