//! Nothing that holds a secret can be shown, and a panic in the middle of a dial shows none.

use std::env;
use std::fmt::{Debug, Display};
use std::marker::PhantomData;
use std::process::Command;
use std::sync::Arc;

use mailconn::protocol::{
    Credentials, DialEvent, ImapConnection, ImapConnector, MailConnection, MailConnector, Pop3Connection,
    Pop3Connector, Protocol, Secret, Settings, SmtpConnection, SmtpConnector, Tokens, Transcripts,
};
use mailconn::sandbox;
use serde::Serialize;
use tempfile::TempDir;

use super::echo::{Echo, Manner};
use super::forms::{Eye, ODD};
use crate::protocol::scripted::session;

/// Answers false for every type that has no answer of its own.
trait Otherwise {
    const YES: bool = false;
}

/// Asks whether a type has Debug; the answer that is tied to the trait comes before [`Otherwise`]'s.
struct HasDebug<T>(PhantomData<T>);
struct HasDisplay<T>(PhantomData<T>);
struct HasSerialize<T>(PhantomData<T>);

impl<T> Otherwise for HasDebug<T> {}
impl<T> Otherwise for HasDisplay<T> {}
impl<T> Otherwise for HasSerialize<T> {}

impl<T: Debug> HasDebug<T> {
    const YES: bool = true;
}

impl<T: Display> HasDisplay<T> {
    const YES: bool = true;
}

impl<T: Serialize> HasSerialize<T> {
    const YES: bool = true;
}

macro_rules! ways_to_show {
    ($($type:ty),* $(,)?) => {
        [$((stringify!($type), [HasDebug::<$type>::YES, HasDisplay::<$type>::YES, HasSerialize::<$type>::YES])),*]
    };
}

#[test]
fn nothing_that_holds_a_secret_can_be_shown() {
    assert_eq!(ways_to_show!(String), [("String", [true; 3])], "the question is a good one");
    for (name, ways) in ways_to_show!(
        Secret,
        Credentials,
        Tokens,
        Settings,
        MailConnector,
        ImapConnector,
        SmtpConnector,
        Pop3Connector,
        MailConnection,
        ImapConnection,
        SmtpConnection,
        Pop3Connection,
        Option<Credentials>,
        sandbox::User,
        sandbox::Options,
    ) {
        assert_eq!(ways, [false; 3], "{name} has Debug, Display or Serialize");
    }
}

#[test]
#[ignore = "it panics; the test below runs it in a process of its own"]
fn a_dial_whose_watcher_panics() {
    let echo = Echo::start(Protocol::Imap, "PLAIN", Manner::Greeting);
    let directory = TempDir::new().unwrap();
    let settings = Settings {
        credentials: Some(Secret::new(ODD.to_owned()).into()),
        watch: Some(Arc::new(|event| assert!(!matches!(event, DialEvent::SignedIn), "the watcher had enough"))),
        transcripts: Some(Arc::new(Transcripts::create(directory.path(), "run-1").unwrap())),
        ..echo.server.settings()
    };
    let _ = MailConnector::new(settings).dial(session(0));
}

#[test]
fn a_panic_within_a_dial_shows_no_secret_in_its_trace() {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "canary::types::a_dial_whose_watcher_panics", "--ignored", "--nocapture"]);
    let output = child.env("RUST_BACKTRACE", "full").output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&said);
    // An optimised build that knows lines alone names files where it cannot name functions.
    let goes_through = ["protocol::carry", "protocol/carry.rs"].iter().any(|place| text.contains(place));
    assert!(text.contains("the watcher had enough") && goes_through, "{text}");
    Eye::for_all(&[ODD]).sees_nothing_in("the trace", &said);
}
