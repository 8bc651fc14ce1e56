//! A line in one pass: the envelope comes first, as our writer puts it, and all that follows is the event's own.
//!
//! Whatever is not as our writer puts it is left to the codec, which reads a line twice and can say what is wrong with it.

use std::fmt;

use serde::Deserialize;
use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::codec::{ENVELOPE, Envelope, What};

/// The event of the line, with its envelope. None where the line has to be read twice: another order, a field twice, a field
/// that is not known, or anything else that is wrong.
pub(super) fn read(line: &[u8]) -> Option<(Envelope<'_>, What)> {
    let mut json = serde_json::Deserializer::from_str(str::from_utf8(line).ok()?);
    let (envelope, what) = json.deserialize_map(Both).ok()?;
    json.end().ok()?;
    let mut unknown = Vec::new();
    what.unseen(line, &mut unknown);
    (unknown.is_empty() && what.odd().is_none()).then_some((envelope, what))
}

/// Reads the envelope, then the event.
struct Both;

impl<'de> Visitor<'de> for Both {
    type Value = (Envelope<'de>, What);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut next = None;
        let envelope = Envelope::deserialize(MapAccessDeserializer::new(Head { map: &mut map, next: &mut next }))?;
        let body = Strict(MapAccessDeserializer::new(Rest { map, next }));
        let what = What::read(&envelope.event, body)?.ok_or_else(|| A::Error::custom("no event of that name"))?;
        Ok((envelope, what))
    }
}

/// The fields of the envelope, up to the first other key, which is kept.
struct Head<'a, 'de, A> {
    map: &'a mut A,
    next: &'a mut Option<&'de str>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Head<'_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let key = self.map.next_key()?;
        match key.filter(|key| ENVELOPE.contains(key)) {
            Some(key) => seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some),
            None => {
                *self.next = key;
                Ok(None)
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// The fields from that key on, none of them the envelope's.
struct Rest<'de, A> {
    map: A,
    next: Option<&'de str>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Rest<'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let Some(key) = self.next.take().map_or_else(|| self.map.next_key(), |key| Ok(Some(key)))? else {
            return Ok(None);
        };
        if ENVELOPE.contains(&key) {
            return Err(A::Error::custom("the envelope's fields come first"));
        }
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// Reads what is known, and fails at any field that is not. (`serde_ignored` says which, and copies each key for that.)
struct Strict<T>(T);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(Strict(visitor))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(Strict(visitor))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, Strict(visitor))
    }

    /// A word; what else a variant can hold is read the other way.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_enum(<&str>::deserialize(self.0)?.into_deserializer())
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, D::Error> {
        Err(D::Error::custom("not known"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Strict<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_bool<E: Error>(self, it: bool) -> Result<V::Value, E> {
        self.0.visit_bool(it)
    }

    fn visit_i64<E: Error>(self, it: i64) -> Result<V::Value, E> {
        self.0.visit_i64(it)
    }

    fn visit_u64<E: Error>(self, it: u64) -> Result<V::Value, E> {
        self.0.visit_u64(it)
    }

    fn visit_f64<E: Error>(self, it: f64) -> Result<V::Value, E> {
        self.0.visit_f64(it)
    }

    fn visit_str<E: Error>(self, it: &str) -> Result<V::Value, E> {
        self.0.visit_str(it)
    }

    fn visit_borrowed_str<E: Error>(self, it: &'de str) -> Result<V::Value, E> {
        self.0.visit_borrowed_str(it)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, it: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Strict(it))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, it: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Strict(it))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, all: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Strict(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, all: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Strict(all))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Strict(from))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        self.0.next_element_seed(Strict(seed))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.0.next_value_seed(Strict(seed))
    }
}
