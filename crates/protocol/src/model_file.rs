//! The model file: canonical safetensors, so that one model has one hash (DESIGN §11.9).
//!
//! An 8-byte little-endian length, a JSON header, then the flat vector as it lies. Tensors are in
//! layout order, the metadata holds the canonical spec alone, and the header is padded with spaces
//! to a multiple of 8.

use serde_json::{Map, Value, json};

use crate::model::{ModelSpec, SpecError};

/// The bytes before the parameters, for a model of this spec.
///
/// # Errors
/// Where the spec can't be built.
pub fn header(spec: &ModelSpec) -> Result<Vec<u8>, SpecError> {
    let layout = spec.layout()?;
    let spec_text = serde_json::to_string(spec).unwrap_or_default();
    // Written by hand: the order of tensors is part of what is hashed, and a map would sort them.
    let mut text = format!("{{\"__metadata__\":{}", json!({ "spec": spec_text }));
    for tensor in &layout.tensors {
        let range = [tensor.offset * 4, (tensor.offset + tensor.count()) * 4];
        let mut entry = Map::new();
        entry.insert("dtype".into(), Value::from("F32"));
        entry.insert("shape".into(), json!(tensor.shape));
        entry.insert("data_offsets".into(), json!(range));
        text.push_str(&format!(",{}:{}", Value::from(tensor.name.as_str()), Value::Object(entry)));
    }
    text.push('}');
    while text.len() % 8 != 0 {
        text.push(' ');
    }
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    Ok(bytes)
}
