//! What is answered to a command.

use std::borrow::Cow;

use crate::sandbox::witness::{CloseCause, CommandStatus};

/// What is answered to one command, and whether the session ends with it.
pub(super) struct Reply {
    pub text: Cow<'static, str>,
    pub close: Option<CloseCause>,
}

impl<T: Into<Cow<'static, str>>> From<T> for Reply {
    fn from(text: T) -> Self {
        Self { text: text.into(), close: None }
    }
}

impl Reply {
    pub fn and_close(self, cause: CloseCause) -> Self {
        Self { close: Some(cause), ..self }
    }

    /// 500 to 504 speak of a command that was not understood or is not allowed now (RFC 5321, 4.2.2).
    pub fn status(&self) -> CommandStatus {
        match self.text.as_bytes() {
            [b'2' | b'3', ..] => CommandStatus::Ok,
            [b'5', b'0', ..] => CommandStatus::Bad,
            _ => CommandStatus::No,
        }
    }
}
