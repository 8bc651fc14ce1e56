//! What a sandbox says to programs: a JSON object on each line.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

/// One line: `event` says which.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Line<'a> {
    /// The first line: the server takes connections.
    Listening {
        /// Where to connect, as the first user.
        urls: Vec<String>,
        /// Who may sign in.
        users: &'a [String],
        /// The password of all, if it was made up.
        password: Option<&'a str>,
        /// The file that it was read from.
        password_file: Option<String>,
        /// The file with the certificate that clients must trust.
        ca_file: Option<String>,
    },
    /// A session began.
    Opened(Logged),
    /// It is under TLS.
    Encrypted(Logged),
    /// Its TLS handshake failed.
    NotEncrypted(Logged),
    /// A user signed in.
    SignedIn(Logged),
    /// A sign-in or a connection was refused.
    Refused(Logged),
    /// A message was taken.
    Delivered(Logged),
    /// A session ended.
    Closed(Logged),
    /// Something else.
    Other(Logged),
    /// Lines were lost, since they came faster than they were read.
    Lost {
        /// How many.
        lines: u64,
    },
    /// The last line: what the clients did.
    Summary {
        /// By the names of the protocols that were spoken.
        protocols: BTreeMap<String, Spoken<'a>>,
    },
}

/// Something that happened to a session.
#[derive(Serialize, JsonSchema)]
pub struct Logged {
    /// When, in UTC, to the millisecond.
    pub time: String,
    /// The session's number.
    pub session: u64,
    /// What it speaks.
    pub protocol: String,
    /// The client's address and port.
    pub peer: String,
    /// What happened, in words.
    pub text: String,
}

/// What the clients of one protocol did.
#[derive(Serialize, JsonSchema)]
pub struct Spoken<'a> {
    /// Connections accepted.
    pub connections: u64,
    /// Most of them open at once.
    pub peak: u64,
    /// Sign-ins that were let in.
    pub signed_in: u64,
    /// Most sessions that were signed in at once.
    pub signed_in_peak: u64,
    /// Sign-ins and connections that were refused: a wrong password, a limit, a maildrop in use.
    pub refused: u64,
    /// TLS handshakes that failed.
    pub handshakes_failed: u64,
    /// Sessions that ended with LOGOUT or QUIT.
    pub signed_out: u64,
    /// Sessions that the client ended without it, signed in or by SMTP.
    pub without_goodbye: u64,
    /// Sessions of IMAP and POP3 that the client ended without it before it had signed in.
    pub left_before_sign_in: u64,
    /// Sessions that the server ended: over a limit, or after a client's silence.
    pub ended_by_server: u64,
    /// Sessions that were open at the end.
    pub open_at_end: u64,
    /// Messages taken.
    pub delivered: u64,
    /// Commands by name; `UNKNOWN` are those that the server does not know.
    pub commands: &'a BTreeMap<&'static str, u64>,
}

impl Line<'_> {
    /// As it is written, with its end.
    pub fn text(&self) -> String {
        // String keys, text and plain numbers: nothing in a line can fail to serialise.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}
