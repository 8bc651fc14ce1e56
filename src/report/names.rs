//! How what has a name, and what is measured, stand in JSON: written by its name, in whole microseconds; read back from that.

use std::fmt::Display;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::words::us;
use crate::allocator::{ConnectionId, Disposal, Kind, Mode, Reason, SessionId};
use crate::protocol::{FailureKind, Protocol, Stage};
use crate::record::{Dispose, Executor, Lock, Severity, TaskId, WorkerId};

/// What goes by its name.
pub(super) trait Name: Sized {
    fn written(&self) -> impl Display;

    /// What is called so; or, in words, why nothing is.
    fn read(said: &str) -> Result<Self, String>;
}

/// A value that is written by its name.
#[derive(Clone, Copy)]
pub(super) struct Named<T>(pub(super) T);

impl<T: Name> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.written())
    }
}

impl<'de, T: Name> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let said = String::deserialize(deserializer)?;
        T::read(&said).map(Self).map_err(D::Error::custom)
    }
}

/// A length of time that is written in whole microseconds.
#[derive(Clone, Copy)]
pub(super) struct Us(pub(super) Duration);

impl Serialize for Us {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(us(self.0))
    }
}

impl<'de> Deserialize<'de> for Us {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_micros).map(Self)
    }
}

macro_rules! words {
    ($($type:ty: $all:expr;)+) => {$(
        impl Name for $type {
            fn written(&self) -> impl Display {
                <$type>::name(*self)
            }

            fn read(said: &str) -> Result<Self, String> {
                let found = $all.into_iter().find(|it| <$type>::name(*it) == said);
                found.ok_or_else(|| format!("{said:?} is no word that this version knows there"))
            }
        }
    )+};
}

words! {
    Mode: Mode::ALL;
    Kind: [Self::Main, Self::Default, Self::Independent];
    Reason: [Self::Explicit, Self::Main, Self::Default, Self::DefaultCreated];
    Disposal: [Self::ByHand, Self::ThreadExit, Self::ClientClosed, Self::NeverOpened, Self::Broken];
    Protocol: Protocol::ALL;
    FailureKind: FailureKind::ALL;
    Stage: Stage::ALL;
    Severity: Severity::ALL;
    Executor: [Self::Threads, Self::Pool, Self::Tasks];
    Dispose: [Self::Never, Self::Task];
    Lock: [Self::Unit, Self::Command];
}

macro_rules! numbered {
    ($($type:ident $prefix:literal $what:literal;)+) => {$(
        impl Name for $type {
            fn written(&self) -> impl Display {
                *self
            }

            fn read(said: &str) -> Result<Self, String> {
                let id = said.strip_prefix($prefix).and_then(number).map($type).filter(|id| id.to_string() == said);
                id.ok_or_else(|| format!("{said:?} is no {}'s name", $what))
            }
        }
    )+};
}

numbered! {
    ConnectionId '#' "connection";
    WorkerId 'w' "worker";
    TaskId 't' "task";
}

/// `#3`, `#3.2`.
impl Name for SessionId {
    fn written(&self) -> impl Display {
        *self
    }

    fn read(said: &str) -> Result<Self, String> {
        let (place, nth) = said.split_once('.').map_or((said, Some(1)), |(place, nth)| (place, number(nth)));
        let connection = ConnectionId::read(place)?;
        let id = nth.map(|number| Self { connection, number }).filter(|id| id.number > 0 && id.to_string() == said);
        id.ok_or_else(|| format!("{said:?} is no session's name"))
    }
}

fn number(digits: &str) -> Option<u32> {
    digits.parse().ok()
}
