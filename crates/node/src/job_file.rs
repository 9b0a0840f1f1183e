//! Reads a job file, and says where it is wrong.

use std::io;
use std::path::{Path, PathBuf};

use protocol::job::{JobError, JobSpec, UnknownField, unknown_field};

/// A job file that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum JobFileError {
    #[error("can't read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}:{line}: {message}", path.display())]
    Syntax { path: PathBuf, line: usize, message: String },
    #[error("{}: {field}", path.display())]
    Unknown { path: PathBuf, field: UnknownField },
    #[error("{}: {error}", path.display())]
    Job { path: PathBuf, error: JobError },
}

/// The job in a TOML file (DESIGN §6), checked as far as that goes without its dataset.
///
/// # Errors
/// Names the file, the line or field, and what to change.
pub fn read(path: &Path) -> Result<JobSpec, JobFileError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| JobFileError::Read { path: path.to_owned(), source })?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<JobSpec, JobFileError> {
    let syntax = |error: toml::de::Error| JobFileError::Syntax {
        path: path.to_owned(),
        line: error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count()),
        message: error.message().trim().to_owned(),
    };
    let job: JobSpec = toml::from_str(text).map_err(syntax)?;
    let written: serde_json::Value = toml::from_str(text).map_err(syntax)?;
    let read = serde_json::to_value(&job).unwrap_or_default();
    if let Some(field) = unknown_field(&written, &read) {
        return Err(JobFileError::Unknown { path: path.to_owned(), field });
    }
    job.check().map_err(|error| JobFileError::Job { path: path.to_owned(), error })?;
    Ok(job)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_place_and_its_words() {
        let head = "name = \"n\"\nmodel_type = \"nlp\"\ndataset = \"synthetic\"\n";
        let faults = [
            "nonsense".to_owned(),
            "name = \"n\"\nmodel_type = \"sound\"\ndataset = \"d\"".to_owned(),
            "name = \"n\"".to_owned(),
            format!("{head}[plan]\nbatchsize = 3"),
            format!("{head}[plan]\nbatch_size = \"many\""),
            format!("{head}[plan.optimizer]\nkind = \"sgdd\"\nlearning_rate = 0.1"),
            format!("{head}[run]\nrounds = 0"),
        ]
        .map(|text| parse(Path::new("job.toml"), &text).unwrap_err().to_string());
        insta::assert_snapshot!(faults.join("\n"), @r#"
        job.toml:1: key with no value, expected `=`
        job.toml:2: unknown variant `sound`, expected `vision` or `nlp`
        job.toml:1: missing field `model_type`
        job.toml: unknown field 'plan.batchsize'; did you mean 'batch_size'?
        job.toml:5: invalid type: string "many", expected u32
        job.toml:5: unknown variant `sgdd`, expected one of `sgd`, `adam`, `adamw`
        job.toml: run.rounds: 0 is not from 1 to 100000
        "#);
        assert!(parse(Path::new("job.toml"), head).is_ok());
    }
}
