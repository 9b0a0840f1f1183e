//! Detection of unknown fields in a job file, with the nearest known name as a suggestion.

use serde_json::Value;

/// Field that is not part of a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown field '{path}'{}", suggestion.as_ref().map_or(String::new(), |s| format!("; did you mean '{s}'?")))]
pub struct UnknownField {
    /// Dotted path of the field.
    pub path: String,
    /// Nearest known name in the same object.
    pub suggestion: Option<String>,
}

/// Returns the first field of `written` that `read` lacks. `read` is the same job after parsing,
/// serialized with all its fields.
pub fn unknown_field(written: &Value, read: &Value) -> Option<UnknownField> {
    search(written, read, "")
}

fn search(written: &Value, read: &Value, path: &str) -> Option<UnknownField> {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => {
            for (key, value) in written {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let Some(known) = read.get(key) else {
                    let suggestion = read
                        .keys()
                        .map(|name| (strsim::jaro_winkler(name, key), name))
                        .filter(|(similarity, _)| *similarity > 0.7)
                        .max_by(|a, b| a.0.total_cmp(&b.0))
                        .map(|(_, name)| name.clone());
                    return Some(UnknownField { path, suggestion });
                };
                if let Some(found) = search(value, known, &path) {
                    return Some(found);
                }
            }
            None
        }
        (Value::Array(written), Value::Array(read)) => written
            .iter()
            .zip(read)
            .enumerate()
            .find_map(|(index, (a, b))| search(a, b, &format!("{path}[{index}]"))),
        // Leaf values are not compared. A value of another kind is the parser's error.
        (
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_)
            | Value::Array(_),
            _,
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::JobSpec;
    use super::*;

    fn unknown(written: &Value) -> Option<String> {
        let job: JobSpec = serde_json::from_value(written.clone()).unwrap();
        unknown_field(written, &serde_json::to_value(&job).unwrap()).map(|u| u.to_string())
    }

    #[test]
    fn a_misspelt_field_names_the_nearest_known_one() {
        let written = serde_json::json!({
            "name": "n", "model_type": "nlp", "dataset": "d", "plan": {"batchsize": 3}
        });
        assert_eq!(
            unknown(&written).unwrap(),
            "unknown field 'plan.batchsize'; did you mean 'batch_size'?"
        );
    }

    #[test]
    fn unknown_fields_inside_tagged_values_are_found() {
        let written = serde_json::json!({
            "name": "n", "model_type": "nlp", "dataset": "d",
            "plan": {"optimizer": {"kind": "sgd", "learning_rate": 0.1, "momentun": 0.9}}
        });
        assert!(unknown(&written).unwrap().contains("did you mean 'momentum'?"));
    }

    #[test]
    fn a_valid_job_has_no_unknown_field() {
        let written = serde_json::json!({
            "name": "n", "model_type": "nlp", "dataset": "d", "run": {"rounds": 3}
        });
        assert_eq!(unknown(&written), None);
    }
}
