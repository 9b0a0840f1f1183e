//! Reads a job file and reports what is wrong with it.

use std::io;
use std::path::{Path, PathBuf};

use protocol::job::{JobError, JobSpec};
use protocol::unknown_field::{UnknownField, unknown_field};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Error of a job file that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum JobFileError {
    #[error("can't read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}:{line}: {message}", path.display())]
    Syntax { path: PathBuf, line: usize, message: String },
    #[error("{}:{line}: {field}", path.display())]
    Unknown { path: PathBuf, line: usize, field: UnknownField },
    #[error("{}: {error}", path.display())]
    Job { path: PathBuf, error: JobError },
}

/// Reads a job from a TOML file and checks everything that does not depend on the dataset.
///
/// # Errors
/// The error names the file, the line or field, and the change to make.
pub fn read(path: &Path) -> Result<JobSpec, JobFileError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| JobFileError::Read { path: path.to_owned(), source })?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<JobSpec, JobFileError> {
    let syntax = |error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        JobFileError::Syntax {
            path: path.to_owned(),
            line: line_at(text, start),
            message: message(&text[..start], error.message().trim()),
        }
    };
    let job: JobSpec = toml::from_str(text).map_err(syntax)?;
    let written: serde_json::Value = toml::from_str(text).map_err(syntax)?;
    let read = serde_json::to_value(&job).unwrap_or_default();
    if let Some(field) = unknown_field(&written, &read) {
        let line =
            DeTable::parse(text).ok().and_then(|table| position(table.get_ref(), &field.path));
        let line = line_at(text, line.unwrap_or_default());
        return Err(JobFileError::Unknown { path: path.to_owned(), line, field });
    }
    job.check().map_err(|error| JobFileError::Job { path: path.to_owned(), error })?;
    Ok(job)
}

/// Returns the line of a byte position, from 1.
fn line_at(text: &str, position: usize) -> usize {
    1 + text[..position].matches('\n').count()
}

/// Returns the byte position of the key at a dotted path such as `model.layers[1].kind`.
fn position(table: &DeTable, path: &str) -> Option<usize> {
    table.iter().find_map(|(key, value)| {
        let rest = path.strip_prefix(key.get_ref().as_ref())?;
        if rest.is_empty() { Some(key.span().start) } else { position_below(value, rest) }
    })
}

fn position_below(value: &Spanned<DeValue>, rest: &str) -> Option<usize> {
    if let Some(rest) = rest.strip_prefix('.') {
        return position(value.get_ref().as_table()?, rest);
    }
    let (index, rest) = rest.strip_prefix('[')?.split_once(']')?;
    let index: usize = index.parse().ok()?;
    position_below(value.get_ref().as_array()?.get(index)?, rest)
}

/// Rewrites serde's message without Rust types, and names the field if `before`, the text before the error, ends in
/// `field =`.
fn message(before: &str, message: &str) -> String {
    let field = before.trim_end().strip_suffix('=').map_or("", |before| {
        let before = before.trim_end();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        &before[before.trim_end_matches(is_part).len()..]
    });
    let text = rewritten(message).unwrap_or_else(|| message.to_owned());
    if field.is_empty() { text } else { format!("{field}: {text}") }
}

fn rewritten(message: &str) -> Option<String> {
    if let Some(field) = message.strip_prefix("missing field ") {
        return Some(format!("the field {field} is missing"));
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let (value, expected) = rest.split_once(", expected ")?;
        return Some(format!("expected {expected}, not {value}"));
    }
    let rest = message.strip_prefix("invalid type: ");
    let (found, expected) = rest
        .or_else(|| message.strip_prefix("invalid value: "))
        .or_else(|| message.strip_prefix("invalid length "))?
        .split_once(", expected ")?;
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list in square brackets",
        "a map" => "a table",
        other if other.starts_with("struct ") || other.contains("tagged enum ") => "a table",
        other => other,
    };
    let kinds = ["string ", "integer ", "floating point ", "boolean "];
    let found = match found {
        "sequence" => "a list",
        "map" => "a table",
        other => kinds.iter().find_map(|kind| other.strip_prefix(kind)).unwrap_or(other),
    };
    Some(format!("expected {expected}, not {}", found.trim_matches('`')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_names_its_place_and_what_is_expected() {
        let head = "name = \"n\"\nmodel_type = \"nlp\"\ndataset = \"synthetic\"\n";
        let errors = [
            "nonsense".to_owned(),
            "name = \"n\"\nmodel_type = \"sound\"\ndataset = \"d\"".to_owned(),
            "name = \"n\"".to_owned(),
            format!("{head}[plan]\nbatchsize = 3"),
            format!(
                "{head}[model]\nlayers = [{{ kind = 'relu' }},\n{{ kind = 'linear', outputs = 3, outpts = 2 }}]"
            ),
            format!("rounds = 3\n{head}"),
            format!("{head}[plan]\nbatch_size = \"many\""),
            format!("{head}[plan.optimizer]\nkind = \"sgdd\"\nlearning_rate = 0.1"),
            format!("{head}[run]\nrounds = 0"),
        ]
        .map(|text| parse(Path::new("job.toml"), &text).unwrap_err().to_string());
        insta::assert_snapshot!(errors.join("\n"), @r#"
        job.toml:1: key with no value, expected `=`
        job.toml:2: model_type: expected `vision` or `nlp`, not `sound`
        job.toml:1: the field `model_type` is missing
        job.toml:5: unknown field 'plan.batchsize'; did you mean 'batch_size'?
        job.toml:6: unknown field 'model.layers[1].outpts'; did you mean 'outputs'?
        job.toml:1: unknown field 'rounds'; did you mean 'run.rounds'?
        job.toml:5: batch_size: expected a whole number of 0 or more, not "many"
        job.toml:5: kind: expected one of `sgd`, `adam`, `adamw`, not `sgdd`
        job.toml: run.rounds: 0 is not from 1 to 100000
        "#);
        assert!(parse(Path::new("job.toml"), head).is_ok());
    }
}
