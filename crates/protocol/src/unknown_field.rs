//! Detection of unknown fields in a request or a job file, with the nearest known name as a suggestion.

use serde_json::Value;

use crate::text;

/// Similarity (Jaro–Winkler) from which a name is suggested.
const SIMILAR: f64 = 0.7;
/// Maximum length of a quoted path, in characters.
const LONGEST_PATH: usize = 100;
/// Fields of the system before this one, with their names today.
const EARLIER_NAMES: [(&str, &str); 2] =
    [("total_epochs", "run.rounds"), ("model_name", "model.preset")];

/// Field that the reader does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown field '{}'{}", quoted(path), suggestion.as_ref().map_or(String::new(), |s| format!("; did you mean '{s}'?")))]
pub struct UnknownField {
    /// Dotted path of the field.
    pub path: String,
    /// Nearest known name in the same object, or the dotted path of the same name in another object.
    pub suggestion: Option<String>,
}

/// Returns the first field of `written` that `read` lacks. `read` is the same value after parsing,
/// serialized with all its fields.
pub fn unknown_field(written: &Value, read: &Value) -> Option<UnknownField> {
    let mut found = search(written, read, "")?;
    let name = found.path.rsplit('.').next().unwrap_or_default();
    if let Some(elsewhere) = path_of(read, name, "").or_else(|| earlier_name(read, name)) {
        found.suggestion = Some(elsewhere);
    }
    Some(found)
}

/// Returns the name in `known` that is nearest to `name`, if one is similar.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let rated = known.into_iter().map(|known| (strsim::jaro_winkler(known, name), known));
    let similar = rated.filter(|(similarity, _)| *similarity > SIMILAR);
    similar.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}

fn search(written: &Value, read: &Value, path: &str) -> Option<UnknownField> {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => {
            for (key, value) in written {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let Some(known) = read.get(key) else {
                    let suggestion = nearest(key, read.keys().map(String::as_str));
                    return Some(UnknownField { path, suggestion: suggestion.map(str::to_owned) });
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

/// Returns the path of the field with exactly this name, wherever it is in the objects of `read`.
fn path_of(read: &Value, name: &str, path: &str) -> Option<String> {
    let fields = read.as_object()?;
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    if fields.contains_key(name) {
        return Some(below(name));
    }
    fields.iter().find_map(|(key, value)| path_of(value, name, &below(key)))
}

/// Returns today's name of a field of the earlier system, if `read` has it.
fn earlier_name(read: &Value, name: &str) -> Option<String> {
    let (_, today) = EARLIER_NAMES.iter().find(|(earlier, _)| *earlier == name)?;
    let pointer = format!("/{}", today.replace('.', "/"));
    read.pointer(&pointer).map(|_| (*today).to_owned())
}

fn quoted(path: &str) -> String {
    let escaped = text::escaped(path);
    match escaped.char_indices().nth(LONGEST_PATH) {
        Some((end, _)) => format!("{}…", &escaped[..end]),
        None => escaped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobSpec;

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
    fn a_field_in_the_wrong_place_names_the_right_one() {
        let with = |field: &str| {
            let mut job = serde_json::json!({ "name": "n", "model_type": "nlp", "dataset": "d" });
            job[field] = serde_json::json!(3);
            unknown(&job).unwrap()
        };
        assert_eq!(with("rounds"), "unknown field 'rounds'; did you mean 'run.rounds'?");
        assert_eq!(
            with("total_epochs"),
            "unknown field 'total_epochs'; did you mean 'run.rounds'?"
        );
        assert_eq!(with("zzz"), "unknown field 'zzz'");
        assert_eq!(with("\u{1b}[31m"), "unknown field '\\u{1b}[31m'");
    }

    #[test]
    fn a_valid_job_has_no_unknown_field() {
        let written = serde_json::json!({
            "name": "n", "model_type": "nlp", "dataset": "d", "run": {"rounds": 3}
        });
        assert_eq!(unknown(&written), None);
    }
}
