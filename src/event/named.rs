//! What has a name travels by its name: the one adapter between the enums and numbers of the rooms and JSON.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::SystemTime;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::end::Severity;
use super::model::{Dispose, Executor, Lock, Tag, TaskId, Word, WorkerId};
use super::operations::operations;
use super::probe::{KeptBy, LimitKind, LimitScope, ProbePhase};
use crate::allocator::{ConnectionId, Disposal, Kind, Mode, Reason, SessionId};
use crate::protocol::{
    Answer, Certificate, Failure, FailureKind, Mechanism, Protocol, Security, Stage, TlsDetails, Verb,
};

/// Stands in each sentence that a word of a fixed list is answered with if it is not in that: `"x" is no word …`.
pub(super) const KNOWN: &str = "that this version knows";

/// What goes by its name: exactly that one, no other spelling.
trait Name: Sized {
    /// What is called so; or, in words, why nothing is.
    fn read(said: &str) -> Result<Self, String>;
}

/// Reads a string, without a copy of it, as what it names.
struct Reads<T>(PhantomData<T>);

impl<T: Name> Visitor<'_> for Reads<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, said: &str) -> Result<T, E> {
        T::read(said).map_err(E::custom)
    }
}

macro_rules! reads {
    ($type:ty) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Reads(PhantomData))
            }
        }
    };
}

macro_rules! described {
    ($type:ty: $description:literal, $($schema:tt)+) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "description": $description, "type": "string", $($schema)+ })
            }
        }
    };
}

macro_rules! words {
    ($($type:ty: $all:expr, $description:literal;)+) => {$(
        described!($type: $description, "enum": $all.into_iter().map(<$type>::name).collect::<Vec<_>>());

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(<$type>::name(*self))
            }
        }

        impl Name for $type {
            fn read(said: &str) -> Result<Self, String> {
                let found = $all.into_iter().find(|it| <$type>::name(*it) == said);
                found.ok_or_else(|| format!("{said:?} is no word {KNOWN} there"))
            }
        }

        reads!($type);
    )+};
}

words! {
    Mode: Mode::ALL, "Which connection an operation uses to which none is passed";
    Kind: [Self::Main, Self::Default, Self::Independent], "What a connection is";
    Reason: [Self::Explicit, Self::Main, Self::Default, Self::DefaultCreated],
        "Why an operation used its connection: the rules' answer";
    Disposal: [Self::ByHand, Self::ThreadExit, Self::ClientClosed, Self::NeverOpened, Self::Broken],
        "Who disposed a connection";
    Protocol: Protocol::ALL, "What is spoken";
    Security: [Self::Plain, Self::StartTls, Self::Tls], "How a connection is protected";
    FailureKind: FailureKind::ALL, "What failed: `mailconn explain WORD` says what each means, and what to do";
    Stage: Stage::ALL, "How far things had come when they failed";
    Executor: [Self::Threads, Self::Pool, Self::Tasks], "Who does the work of a run";
    Dispose: [Self::Never, Self::Task], "What becomes of a thread's default connection when a task ends";
    Lock: [Self::Unit, Self::Command], "For how long an operation has its connection to itself (rule A7)";
    Severity: Self::ALL, "How bad a finding is, worst first";
    ProbePhase: Self::ALL, "What a step of a probe does";
    LimitKind: Self::ALL, "What a limit counts: connections at once, connections or sign-ins in a time, or one of the two";
    KeptBy: Self::ALL, "How a server keeps its limit";
    LimitScope: Self::ALL, "Whose connections a limit counts together";
}

macro_rules! numbered {
    ($($type:ident $prefix:literal $what:literal $description:literal;)+) => {$(
        described!($type: $description, "pattern": concat!("^", $prefix, r"(0|[1-9]\d*)$"));

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl Name for $type {
            fn read(said: &str) -> Result<Self, String> {
                let number = said.strip_prefix($prefix).and_then(number).map($type);
                number.ok_or_else(|| format!("{said:?} is no {}'s name", $what))
            }
        }

        reads!($type);
    )+};
}

numbered! {
    ConnectionId '#' "connection" "A connection's name: `#0` is main";
    WorkerId 'w' "worker" "A worker's name: `w0`";
    TaskId 't' "task" "A task's name: `t0`";
}

described! {
    SessionId: "A session's name: `#3` is the first of connection `#3`, `#3.2` the second",
    "pattern": r"^#(0|[1-9]\d*)(\.[1-9]\d*)?$"
}

/// `#3`, `#3.2`.
impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Name for SessionId {
    fn read(said: &str) -> Result<Self, String> {
        let (place, nth) = said.split_once('.').map_or((said, Some(1)), |(place, nth)| (place, number(nth)));
        let nth = nth.filter(|nth| *nth > 0 && said.contains('.') == (*nth > 1));
        let id = nth.and_then(|number| Some(Self { connection: ConnectionId::read(place).ok()?, number }));
        id.ok_or_else(|| format!("{said:?} is no session's name"))
    }
}

reads!(SessionId);

described! {
    Tag: "A command's tag: `a12` of IMAP; `12`, its number on the connection, of SMTP and POP3",
    "pattern": r"^a?[1-9]\d*$"
}

/// `a12` of IMAP, `12` where commands have no tags.
impl Serialize for Tag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Name for Tag {
    fn read(said: &str) -> Result<Self, String> {
        let (imap, digits) = said.strip_prefix('a').map_or((false, said), |digits| (true, digits));
        let tag = number(digits).map(|number| Self { number, imap });
        tag.ok_or_else(|| format!("{said:?} is no tag of ours"))
    }
}

reads!(Tag);

macro_rules! from_str {
    ($($type:ty)+) => {$(
        impl FromStr for $type {
            type Err = String;

            fn from_str(said: &str) -> Result<Self, String> {
                Self::read(said)
            }
        }
    )+};
}

from_str! { Executor Dispose Lock Severity Tag }

/// What failed.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Failure")]
#[schemars(rename = "Failure")]
struct FailureFields {
    /// What went wrong.
    kind: FailureKind,
    /// How far things had come.
    stage: Stage,
    /// One clear line, with the cure where there is one.
    message: String,
    /// The server's own line, without its tag: control characters escaped, at most 500 characters.
    server_line: Option<String>,
    /// What else it said in the same reply.
    further_lines: Vec<String>,
}

/// What a reply proves.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Answer")]
#[schemars(rename = "Answer")]
struct AnswerFields {
    /// The mailbox that each of its messages names as its own; none unless all of them name the same.
    mailbox: Option<Box<str>>,
    /// The UIDVALIDITY of the mailbox that was selected on the session.
    uid_validity: Option<u32>,
}

/// What TLS agreed on, and with whom.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(remote = "TlsDetails")]
#[schemars(rename = "TlsDetails")]
struct TlsFields {
    /// `TLSv1.3` or `TLSv1.2`.
    version: String,
    /// The cipher suite's IANA name.
    cipher: String,
    /// Whether an earlier session was taken up again, without a certificate exchange.
    resumed: bool,
    /// The name that was asked for.
    server_name: String,
    /// Whether the certificate was verified for that name: not if the user waived it.
    verified: bool,
    /// What the server's certificate says.
    certificate: Option<Certificate>,
}

/// What a server's certificate says of itself. It is true only if the certificate was verified.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Certificate")]
#[schemars(rename = "Certificate")]
struct CertificateFields {
    /// The host names and addresses that it is for: its subjectAltName.
    names: Vec<String>,
    /// Its subject: `CN=mail.example.org`.
    subject: String,
    /// Who signed it.
    issuer: String,
    /// From when on it is valid.
    #[serde(with = "super::Wall")]
    not_before: SystemTime,
    /// Until when it is valid.
    #[serde(with = "super::Wall")]
    not_after: SystemTime,
    // An authority's own is never accepted from a server.
    #[serde(skip)]
    is_authority: bool,
}

macro_rules! by_fields {
    ($($type:ty: $fields:ty;)+) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$fields>::serialize(self, serializer)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                <$fields>::schema_name()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                <$fields>::json_schema(generator)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <$fields>::deserialize(deserializer)
            }
        }
    )+};
}

by_fields! {
    Failure: FailureFields;
    Answer: AnswerFields;
    TlsDetails: TlsFields;
    Certificate: CertificateFields;
}

/// A number as it is written: no sign, no leading zero.
fn number(digits: &str) -> Option<u32> {
    let plain = digits.bytes().all(|digit| digit.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|_| plain)
}

/// A name out of a fixed list, kept as that list spells it.
pub(super) mod fixed {
    use super::*;

    macro_rules! fixed {
        ($($name:ident: $find:expr, $what:literal;)+) => {$(
            pub fn $name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
                struct Reads;
                impl Visitor<'_> for Reads {
                    type Value = &'static str;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("the name of ", $what))
                    }

                    fn visit_str<E: Error>(self, said: &str) -> Result<&'static str, E> {
                        let found: Option<&'static str> = $find(said);
                        found.ok_or_else(|| E::custom(format_args!("{said:?} is no {} {KNOWN}", $what)))
                    }
                }
                deserializer.deserialize_str(Reads)
            }
        )+};
    }

    fixed! {
        verb: |said: &str| Verb::named(said).map(Verb::name), "command";
        operation: |said: &str| operations().find(|name| *name == said), "operation";
        signed_in_by: |said: &str| {
            let own = [Verb::LOGIN, Verb::USER].into_iter().map(Verb::name).find(|known| *known == said);
            let mechanism = said.parse::<Mechanism>().ok().map(Mechanism::name).filter(|known| *known == said);
            own.or(mechanism)
        }, "way to sign in";
    }

    /// The same, or null.
    pub mod or_null {
        use super::*;

        #[derive(Deserialize)]
        struct ReadVerb(#[serde(deserialize_with = "super::verb")] Word);

        #[derive(Deserialize)]
        struct ReadWay(#[serde(deserialize_with = "super::signed_in_by")] Word);

        pub fn verb<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'static str>, D::Error> {
            Ok(Option::<ReadVerb>::deserialize(deserializer)?.map(|read| read.0))
        }

        pub fn signed_in_by<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'static str>, D::Error> {
            Ok(Option::<ReadWay>::deserialize(deserializer)?.map(|read| read.0))
        }
    }
}
