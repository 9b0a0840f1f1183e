//! Errors of adding a dataset.

use data::{BadRow, DataError, is_reserved};
use protocol::dataset::RowProblem;

use crate::blobs::is_full;
use crate::driver::DriverError;
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::ApiState;

/// Names that are paths of the API.
const RESERVED_NAMES: [&str; 2] = ["inspect", "uploads"];

/// Checks that a dataset can be added under this name, before anything is read. `is_next` allows a name
/// that has versions.
pub(super) fn check_name(shared: &ApiState, name: &str, is_next: bool) -> ApiResult<()> {
    if name.is_empty() {
        return Err(ApiError::invalid("bad-dataset", "add a name: ?name=NAME").at("name"));
    }
    if RESERVED_NAMES.contains(&name) {
        let words = format!("`{name}` is a path of the API: choose another name");
        return Err(ApiError::invalid("bad-dataset", words).at("name"));
    }
    data::check_name(name).map_err(|error| failure(&error, error.to_string()))?;
    if is_reserved(name) {
        let words = format!("`{name}` is a built-in dataset: choose another name");
        return Err(ApiError::conflict("name-taken", words).at("name"));
    }
    match shared.datasets.find(name).and_then(|known| known.uploaded) {
        Some(_) if !is_next => Err(DriverError::DatasetExists(name.to_owned()).into()),
        Some(existing) if existing.dataset.archived_at.is_some() => {
            Err(DriverError::ArchivedDataset(name.to_owned()).into())
        }
        Some(_) | None => Ok(()),
    }
}

pub(super) fn rows(bad: &[BadRow]) -> Vec<RowProblem> {
    let shown = bad.iter().cloned().map(|BadRow { file, line, reason, change }| RowProblem {
        file,
        line,
        reason,
        change,
    });
    shown.collect()
}

/// Returns the response for an error with this message.
pub(super) fn failure(error: &DataError, words: String) -> ApiError {
    match error {
        DataError::Io { source, .. } if is_full(source) => ApiError::disk_full(),
        DataError::Io { .. } => ApiError::internal(words),
        DataError::BadName(_) => ApiError::invalid("bad-dataset", words).at("name"),
        DataError::Undecided { questions, .. } => {
            let error = ApiError::invalid("import-undecided", words).at("plan");
            error.with_questions(questions.clone())
        }
        DataError::TooManyBadRows { bad, first, .. } => {
            ApiError::invalid("bad-dataset", words).at("file").with_rows(*bad, rows(first))
        }
        DataError::Unknown { .. }
        | DataError::Offline { .. }
        | DataError::Denied { .. }
        | DataError::Missing { .. }
        | DataError::Refused { .. }
        | DataError::Damaged { .. }
        | DataError::Interrupted { .. }
        | DataError::Row { .. }
        | DataError::File { .. }
        | DataError::Shard { .. }
        | DataError::ClassTooSmall { .. }
        | DataError::HiddenClass(_)
        | DataError::TooFewClasses(_) => ApiError::invalid("bad-dataset", words).at("file"),
    }
}
