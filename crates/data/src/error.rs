//! Errors of reading and loading datasets. Each message says what to change.

use std::io;
use std::path::{Path, PathBuf};

use protocol::dataset::import::OpenQuestion;

use crate::import::BadRow;
use crate::shard::ShardError;

#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("there is no dataset `{name}`{}; known are {}", did_you_mean(.nearest.as_deref()), .known.join(", "))]
    Unknown { name: String, nearest: Option<String>, known: Vec<String> },
    #[error(
        "dataset `{name}` ({repository}) is not on this machine and the hub did not respond \
         ({reason}): connect it, or set CONSTELLATION_DATA_DIR to a folder that contains \
         {repository}/…, HF_HOME to a cache that contains it, or HF_ENDPOINT to a reachable mirror"
    )]
    Offline { name: String, repository: String, reason: String },
    #[error(
        "the hub denied access to {what} (status {status}): set HF_TOKEN to the token of an account that \
         may read {repository}"
    )]
    Denied { repository: String, what: String, status: u16 },
    #[error(
        "the hub has no {what} in {repository}: check HF_ENDPOINT, or set CONSTELLATION_DATA_DIR \
         to a folder that contains {repository}/…"
    )]
    Missing { repository: String, what: String },
    #[error("the hub answered with status {status} for {what} of {repository}; try again later")]
    Refused { repository: String, what: String, status: u16 },
    #[error(
        "{file} of {repository} was damaged during the download ({reason}) and deleted; try again, and if \
         it fails again, check HF_ENDPOINT"
    )]
    Damaged { repository: String, file: String, reason: String },
    #[error(
        "the connection broke while {file} of {repository} was at byte {done} ({reason}); load it \
         again to resume the download"
    )]
    Interrupted { repository: String, file: String, done: u64, reason: String },
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{file} row {line}: {reason}")]
    Row { file: String, line: u64, reason: String },
    #[error("{file}: {reason}")]
    File { file: String, reason: String },
    #[error("{}: {source}", .path.display())]
    Shard { path: PathBuf, source: ShardError },
    #[error("`{0}` cannot be a dataset's name: use 1 to 64 of a–z, 0–9, _ and -")]
    BadName(String),
    #[error(
        "{bad} of {rows} rows of {file} cannot be used, more than one in ten; the first: {}",
        .first.first().map(ToString::to_string).unwrap_or_default()
    )]
    TooManyBadRows { file: String, bad: u64, rows: u64, first: Vec<BadRow> },
    #[error(
        "class `{class}` has {rows} row(s); give it at least 2, one to train on and one to test"
    )]
    ClassTooSmall { class: String, rows: u64 },
    #[error("the class `{0}` contains an invisible character: rename it")]
    HiddenClass(String),
    #[error("the rows belong to {0} class(es); a dataset needs at least 2")]
    TooFewClasses(usize),
    #[error("{file}: {}", decisions(.questions))]
    Undecided { file: String, questions: Vec<OpenQuestion> },
}

impl DataError {
    /// Returns the error for a name that is none of the known ones.
    pub fn unknown(name: &str, known: Vec<String>) -> Self {
        let nearest = known
            .iter()
            .map(|known| (strsim::damerau_levenshtein(known, &name.to_lowercase()), known))
            .min()
            .filter(|(distance, known)| *distance <= known.len().div_ceil(3))
            .map(|(_, known)| known.clone());
        Self::Unknown { name: name.to_owned(), nearest, known }
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn file(path: &Path, reason: impl Into<String>) -> Self {
        Self::File { file: path.display().to_string(), reason: reason.into() }
    }
}

impl DataError {
    /// Replaces `path` by `name` in the error: people know their file by its name, not by its temporary
    /// location.
    pub(crate) fn calling(mut self, path: &Path, name: &str) -> Self {
        let own = path.display().to_string();
        match &mut self {
            Self::Row { file, .. }
            | Self::File { file, .. }
            | Self::Undecided { file, .. }
            | Self::TooManyBadRows { file, .. } => {
                if let Some(rest) = file.strip_prefix(&own) {
                    *file = format!("{name}{rest}");
                }
            }
            Self::Io { path: file, .. } | Self::Shard { path: file, .. } => {
                if let Ok(rest) = file.strip_prefix(path) {
                    let empty = rest.as_os_str().is_empty();
                    *file = if empty { name.into() } else { Path::new(name).join(rest) };
                }
            }
            Self::Unknown { .. }
            | Self::Offline { .. }
            | Self::Denied { .. }
            | Self::Missing { .. }
            | Self::Refused { .. }
            | Self::Damaged { .. }
            | Self::Interrupted { .. }
            | Self::BadName(_)
            | Self::ClassTooSmall { .. }
            | Self::HiddenClass(_)
            | Self::TooFewClasses(_) => {}
        }
        self
    }
}

/// Writes each question with the flag that decides it and the flag's values.
fn decisions(questions: &[OpenQuestion]) -> String {
    let one = |question: &OpenQuestion| {
        let OpenQuestion { question, flag, choices, .. } = question;
        match choices.as_slice() {
            [] => format!("{question}; decide with {flag}"),
            choices => format!("{question}; decide with {flag}: {}", choices.join(", ")),
        }
    };
    questions.iter().map(one).collect::<Vec<_>>().join(". ")
}

fn did_you_mean(name: Option<&str>) -> String {
    name.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}
