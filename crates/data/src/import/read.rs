//! Import of files as a dataset in memory, and the plan of an import.

use std::path::Path;

use protocol::dataset::import::{Confidence, ImportOptions, ImportPlan};

use super::assemble::{Assembled, assemble};
use super::files;
use super::import_file::{AddReport, ImportFile};
use super::kind::name_of;
use super::limits::{Memory, ReadLimits, Reading};
use super::rows::Gathered;
use crate::{DataError, Dataset, LoadProgress};

/// Reads files as a dataset of this name without storing it.
pub fn read_file(
    name: &str,
    files: &[ImportFile],
    options: &ImportOptions,
    bounds: ReadLimits,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<(Dataset, AddReport), DataError> {
    let scratch = scratch(files)?;
    read(name, files, options, bounds, scratch.path(), progress)
}

/// Reads files as a dataset, unpacked into the folder `scratch`.
///
/// # Errors
/// [`DataError::Undecided`] if a decision is open.
pub fn read(
    name: &str,
    files: &[ImportFile],
    options: &ImportOptions,
    bounds: ReadLimits,
    scratch: &Path,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<(Dataset, AddReport), DataError> {
    let mut read = || {
        let gathered = gathered(files, options, bounds, scratch, progress)?;
        if !gathered.plan.questions.is_empty() {
            return Err(DataError::Undecided {
                file: first(files).display().to_string(),
                questions: gathered.plan.questions,
            });
        }
        assemble(name, first(files), gathered)
    };
    let assembled = read().map_err(|error| named(error, files))?;
    let Assembled { dataset, mut plan, understood, bad } = assembled;
    let (info, bad_rows) = (dataset.info.clone(), bad.count + bad.unlabeled);
    plan.left_out = bad.left_out.into_vec();
    Ok((dataset, AddReport { info, understood, bad_rows, problems: bad.first, plan }))
}

/// Returns the plan of an import. Open decisions are in it.
pub(crate) fn inspect(
    files: &[ImportFile],
    options: &ImportOptions,
    bounds: ReadLimits,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<ImportPlan, DataError> {
    let scratch = scratch(files)?;
    let mut inspect = || {
        let gathered = gathered(files, options, bounds, scratch.path(), progress)?;
        if gathered.plan.questions.is_empty() {
            let Assembled { mut plan, bad, .. } = assemble("inspected", first(files), gathered)?;
            plan.left_out = bad.left_out.into_vec();
            return Ok(plan);
        }
        let Gathered { shape, mut plan, bad, .. } = gathered;
        plan.sample = Some(shape);
        plan.left_out = bad.left_out.into_vec();
        plan.confidence = Confidence::Open;
        Ok(plan)
    };
    inspect().map_err(|error| named(error, files))
}

fn gathered(
    files: &[ImportFile],
    options: &ImportOptions,
    bounds: ReadLimits,
    scratch: &Path,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Gathered, DataError> {
    let ReadLimits { disk, memory } = bounds;
    let memory = Memory::with_limit(memory);
    files::gather(files, options, &mut Reading { scratch, disk, memory, progress })
}

fn scratch(files: &[ImportFile]) -> Result<tempfile::TempDir, DataError> {
    tempfile::tempdir().map_err(DataError::io(first(files)))
}

fn first(files: &[ImportFile]) -> &Path {
    files.first().map_or(Path::new(""), |file| &file.path)
}

/// Replaces the paths of the files by their names.
fn named(error: DataError, files: &[ImportFile]) -> DataError {
    files.iter().fold(error, |error, file| error.calling(&file.path, &name_of(&file.path)))
}
