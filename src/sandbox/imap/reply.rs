//! What the server says, in the codec's words.

use std::borrow::Cow;

use imap_codec::encode::{Encoder, Fragment};
use imap_codec::imap_types::core::{Tag, Text};
use imap_codec::imap_types::response::{
    Bye, Code, CodeOther, CommandContinuationRequest, Data, Response, Status, StatusBody, StatusKind, Tagged,
};
use imap_codec::{GreetingCodec, ResponseCodec};

use crate::sandbox::listening::Protocol;
use crate::sandbox::mailbox::Refusal;
use crate::sandbox::witness::{CloseCause, CommandStatus};
use crate::sandbox::words::Words;

/// How a command is answered, and whether the session goes on.
pub(super) struct Verdict {
    pub status: CommandStatus,
    pub code: Option<Code<'static>>,
    pub text: Cow<'static, str>,
    pub close: Option<CloseCause>,
    /// The text begins with the command's name.
    pub names_command: bool,
    /// Behind the tagged line: why the session ends.
    pub farewell: Option<&'static str>,
}

impl Verdict {
    fn new(status: CommandStatus, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code: None, text: text.into(), close: None, names_command: false, farewell: None }
    }

    pub fn ok(text: &'static str) -> Self {
        Self::new(CommandStatus::Ok, text)
    }

    pub fn no(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(CommandStatus::No, text)
    }

    pub fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(CommandStatus::Bad, text)
    }

    pub fn code(self, code: Code<'static>) -> Self {
        Self { code: Some(code), ..self }
    }

    /// A response code the codec has no name for.
    pub fn other_code(self, code: &'static str) -> Self {
        self.code(Code::Other(CodeOther::unvalidated(code.as_bytes())))
    }

    /// Names what a refusal is about, as far as a line can show it.
    pub fn about(mut self, argument: impl AsRef<[u8]>) -> Self {
        const MOST: usize = 80;
        if self.status != CommandStatus::Ok {
            let shown = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '?' };
            let argument = argument.as_ref();
            let cut = if argument.len() > MOST { "..." } else { "" };
            let argument: String = argument.iter().take(MOST).map(shown).collect();
            self.text = format!("{}: {argument}{cut}", self.text.trim_end_matches('.')).into();
        }
        self
    }

    /// Dovecot says this much and hangs up, without a BYE.
    pub fn turned_away(words: Words) -> Self {
        let Words { code, text, is_bad, names_command, farewell } = words;
        let verdict = if is_bad { Self::bad(text) } else { Self::no(text) };
        let verdict = Self { names_command, farewell, ..verdict.and_close(CloseCause::Refused) };
        if code.is_empty() { verdict } else { verdict.other_code(code) }
    }

    /// As it is answered to that command.
    pub fn naming(self, verb: &str) -> Self {
        if self.names_command { Self { text: format!("{verb} {}", self.text).into(), ..self } } else { self }
    }

    pub fn and_close(self, cause: CloseCause) -> Self {
        Self { close: Some(cause), ..self }
    }
}

pub(super) fn push(out: &mut Vec<u8>, response: &Response<'_>) {
    for fragment in ResponseCodec::default().encode(response) {
        match fragment {
            Fragment::Line { data } | Fragment::Literal { data, .. } => out.extend_from_slice(&data),
        }
    }
}

pub(super) fn data(out: &mut Vec<u8>, data: Data<'_>) {
    push(out, &Response::Data(data));
}

pub(super) fn untagged_ok(out: &mut Vec<u8>, code: Code<'_>, text: &'static str) {
    let body = StatusBody { kind: StatusKind::Ok, code: Some(code), text: Text::unvalidated(text) };
    push(out, &Response::Status(Status::Untagged(body)));
}

pub(super) fn tagged(out: &mut Vec<u8>, tag: Tag<'_>, verdict: Verdict) {
    let body = body(verdict);
    push(out, &Response::Status(Status::Tagged(Tagged { tag, body })));
}

/// For a line so broken that it has no tag to answer to.
pub(super) fn untagged(out: &mut Vec<u8>, verdict: Verdict) {
    push(out, &Response::Status(Status::Untagged(body(verdict))));
}

fn body(verdict: Verdict) -> StatusBody<'static> {
    let kind = match verdict.status {
        CommandStatus::Ok => StatusKind::Ok,
        CommandStatus::No => StatusKind::No,
        CommandStatus::Bad => StatusKind::Bad,
    };
    StatusBody { kind, code: verdict.code, text: Text::unvalidated(verdict.text) }
}

pub(super) fn bye(out: &mut Vec<u8>, text: &'static str) {
    push(out, &Response::Status(Status::Bye(Bye { code: None, text: Text::unvalidated(text) })));
}

/// In place of a greeting.
pub(super) fn bye_of(out: &mut Vec<u8>, words: &Words) {
    out.extend_from_slice(format!("* BYE {}\r\n", words.line(Protocol::Imap)).as_bytes());
}

pub(super) fn greeting(out: &mut Vec<u8>, code: Code<'_>, text: &'static str) {
    use imap_codec::imap_types::response::{Greeting, GreetingKind};
    let greeting = Greeting { kind: GreetingKind::Ok, code: Some(code), text: Text::unvalidated(text) };
    out.extend(GreetingCodec::default().encode(&greeting).dump());
}

/// The client may send its literal now.
pub(super) fn consent(out: &mut Vec<u8>) {
    if let Ok(request) = CommandContinuationRequest::basic(None, "Go ahead.") {
        push(out, &Response::CommandContinuationRequest(request));
    }
}

/// The client may send its credentials now, or the next part of them.
pub(super) fn challenge(out: &mut Vec<u8>, challenge: &'static [u8]) {
    push(out, &Response::CommandContinuationRequest(CommandContinuationRequest::base64(challenge)));
}

pub(super) fn done(result: Result<(), Refusal>, text: &'static str) -> Verdict {
    match result {
        Ok(()) => Verdict::ok(text),
        Err(refusal) => refused(refusal),
    }
}

pub(super) fn refused(refusal: Refusal) -> Verdict {
    match refusal {
        Refusal::NoSuchMailbox => Verdict::no("Mailbox doesn't exist.").other_code("NONEXISTENT"),
        Refusal::AlreadyExists => Verdict::no("Mailbox already exists.").other_code("ALREADYEXISTS"),
        Refusal::IsInbox => Verdict::no("INBOX can't be deleted.").other_code("CANNOT"),
        Refusal::HasChildren => Verdict::no("There are mailboxes below it.").other_code("HASCHILDREN"),
        Refusal::BelowItself => Verdict::no("A mailbox cannot be below itself.").other_code("CANNOT"),
        Refusal::OverQuota => Verdict::no("The account is full.").code(Code::OverQuota),
    }
}

/// For commands that could do with a mailbox that is not there yet.
pub(super) fn try_create(refusal: Refusal) -> Verdict {
    match refusal {
        Refusal::NoSuchMailbox => Verdict::no("Mailbox doesn't exist.").code(Code::TryCreate),
        other => refused(other),
    }
}

pub(super) fn cannot() -> Verdict {
    Verdict::no("Invalid mailbox name.").other_code("CANNOT")
}
