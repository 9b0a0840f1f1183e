//! Model file: canonical safetensors, so that one model has one hash. See
//! docs/design/randomness-and-exact-sums.md.
//!
//! The file is an 8-byte little-endian length, a JSON header and the flat vector. Tensors are in
//! layout order, the metadata holds the canonical spec alone, and the header is padded with spaces
//! to a multiple of 8.

use serde_json::{Map, Value, json};

use crate::model::{ModelSpec, SpecError};

/// Returns the bytes before the parameters, for a model of this spec.
///
/// # Errors
/// Fails if the spec cannot be built.
pub fn header(spec: &ModelSpec) -> Result<Vec<u8>, SpecError> {
    let layout = spec.layout()?;
    let spec_text = serde_json::to_string(spec).unwrap_or_default();
    // Built by hand: the order of tensors is part of the hash, and a JSON map would sort them.
    let mut text = format!("{{\"__metadata__\":{}", json!({ "spec": spec_text }));
    for tensor in &layout.tensors {
        let range = [tensor.offset * 4, (tensor.offset + tensor.count()) * 4];
        let mut entry = Map::new();
        entry.insert("dtype".into(), Value::from("F32"));
        entry.insert("shape".into(), json!(tensor.shape));
        entry.insert("data_offsets".into(), json!(range));
        let name = Value::from(tensor.name.as_str());
        text = format!("{text},{name}:{}", Value::Object(entry));
    }
    text.push('}');
    while text.len() % 8 != 0 {
        text.push(' ');
    }
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;
    use crate::codec;
    use crate::dataset::SampleShape;
    use crate::model::Preset;

    #[test]
    fn the_safetensors_crate_reads_every_tensor_at_its_layout_offset() {
        let sample = SampleShape::Image { channels: 1, height: 8, width: 8 };
        let spec = Preset::Cnn.spec(sample, 3).unwrap();
        let layout = spec.layout().unwrap();
        let parameters: Vec<f32> = (0..layout.parameters).map(|i| i as f32).collect();
        let mut file = header(&spec).unwrap();
        assert_eq!(file.len() % 8, 0);
        file.extend(codec::encode(&parameters));

        let read = SafeTensors::deserialize(&file).unwrap();
        assert_eq!(read.len(), layout.tensors.len());
        for tensor in &layout.tensors {
            let view = read.tensor(&tensor.name).unwrap();
            assert_eq!(view.shape(), tensor.shape);
            let values = &parameters[tensor.offset..tensor.offset + tensor.count()];
            assert_eq!(view.data(), codec::encode(values));
        }
        let (_, metadata) = SafeTensors::read_metadata(&file).unwrap();
        let text = metadata.metadata().as_ref().unwrap()["spec"].clone();
        assert_eq!(serde_json::from_str::<ModelSpec>(&text).unwrap(), spec);
    }
}
