//! A message in other data: it stays the JSON object that the service sent.

use crate::model::message::DlqMessage;
use alloc::boxed::Box;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

/// It is the JSON object, as the server sent it.
impl Serialize for DlqMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The text is one JSON object: it was read as one.
        serde_json::from_str::<&RawValue>(self.as_json()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

/// Needs `serde_json`: only its deserialisers keep the object as the server sent it.
impl<'de> Deserialize<'de> for DlqMessage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(raw.get()).map_err(D::Error::custom)
    }
}
