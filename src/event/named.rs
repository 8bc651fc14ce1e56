//! What has a name travels by its name: the one adapter between the enums and numbers of the rooms and JSON.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::SystemTime;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::end::Severity;
use super::model::{Dispose, Executor, Lock, Tag, TaskId, Word, WorkerId};
use super::probe::{KeptBy, LimitKind, LimitScope, ProbePhase};
use crate::allocator::{ConnectionId, Disposal, Kind, Mode, Reason, SessionId};
use crate::protocol::{
    Answer, Certificate, Failure, FailureKind, Mechanism, Operation, Protocol, Security, Stage, TlsDetails, Verb,
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

macro_rules! words {
    ($($type:ty: $all:expr;)+) => {$(
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
    Mode: Mode::ALL;
    Kind: [Self::Main, Self::Default, Self::Independent];
    Reason: [Self::Explicit, Self::Main, Self::Default, Self::DefaultCreated];
    Disposal: [Self::ByHand, Self::ThreadExit, Self::ClientClosed, Self::NeverOpened, Self::Broken];
    Protocol: Protocol::ALL;
    Security: [Self::Plain, Self::StartTls, Self::Tls];
    FailureKind: FailureKind::ALL;
    Stage: Stage::ALL;
    Executor: [Self::Threads, Self::Pool, Self::Tasks];
    Dispose: [Self::Never, Self::Task];
    Lock: [Self::Unit, Self::Command];
    Severity: Self::ALL;
    ProbePhase: Self::ALL;
    LimitKind: Self::ALL;
    KeptBy: Self::ALL;
    LimitScope: Self::ALL;
}

macro_rules! numbered {
    ($($type:ident $prefix:literal $what:literal;)+) => {$(
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
    ConnectionId '#' "connection";
    WorkerId 'w' "worker";
    TaskId 't' "task";
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

/// What failed, as [`Failure`] has it.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Failure")]
struct FailureFields {
    kind: FailureKind,
    stage: Stage,
    message: String,
    server_line: Option<String>,
    further_lines: Vec<String>,
}

/// What a reply proves, as [`Answer`] has it.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Answer")]
struct AnswerFields {
    mailbox: Option<Box<str>>,
    uid_validity: Option<u32>,
}

/// What TLS agreed on, and with whom, as [`TlsDetails`] has it.
#[derive(Serialize, Deserialize)]
#[serde(remote = "TlsDetails")]
struct TlsFields {
    version: String,
    cipher: String,
    resumed: bool,
    server_name: String,
    verified: bool,
    certificate: Option<Certificate>,
}

/// What a server's certificate says, as [`Certificate`] has it. An authority's own is never accepted from a server.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Certificate")]
struct CertificateFields {
    names: Vec<String>,
    subject: String,
    issuer: String,
    #[serde(with = "super::wall")]
    not_before: SystemTime,
    #[serde(with = "super::wall")]
    not_after: SystemTime,
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
        operation: |said: &str| {
            let all = Protocol::ALL.into_iter().flat_map(Operation::all).map(Operation::name);
            all.chain(super::super::model::HALVES).find(|name| *name == said)
        }, "operation";
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
