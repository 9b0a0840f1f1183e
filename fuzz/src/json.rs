//! JSON round trips: a value that was read can be written, and reading it again gives the same
//! value.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Parses a value and checks its round trip; `None` if the bytes are not such a value.
pub fn read<T: DeserializeOwned + Serialize + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_vec(&value).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(
        value,
        again,
        "the round trip changed the value: {}",
        String::from_utf8_lossy(&written)
    );
    Some(value)
}
