//! What is answered to a command.

use std::borrow::Cow;

use crate::sandbox::witness::{CloseCause, CommandStatus};

/// What is answered to one command, and whether the session ends with it.
pub(super) struct Reply {
    pub status: CommandStatus,
    /// Behind `+OK` or `-ERR`.
    pub text: Cow<'static, str>,
    /// The lines that follow, with the one that ends them.
    pub body: Vec<u8>,
    pub close: Option<CloseCause>,
}

impl Reply {
    pub fn new(status: CommandStatus, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into(), body: Vec::new(), close: None }
    }

    pub fn ok(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(CommandStatus::Ok, text)
    }

    pub fn no(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(CommandStatus::No, text)
    }

    pub fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(CommandStatus::Bad, text)
    }

    pub fn and_close(self, cause: CloseCause) -> Self {
        Self { close: Some(cause), ..self }
    }

    /// `OK`, and these lines.
    pub fn listing<T: Into<Cow<'static, str>>>(text: T, lines: impl Iterator<Item = String>) -> Self {
        let body = lines.fold(String::new(), |body, line| body + &line + "\r\n") + ".\r\n";
        Self { body: body.into_bytes(), ..Self::ok(text) }
    }
}
