//! Warning about the input sensor, in a file of the worker's folder: `doctor`, another process, reports it.

use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

const FILE: &str = "input-warning";
/// Maximum number of bytes that are read.
const MAXIMUM_BYTES: u64 = 2_000;

/// Returns why the worker in `folder` may miss some input, `None` if it does not.
///
/// # Errors
/// The file can't be read.
pub fn input_warning(folder: &Path) -> io::Result<Option<String>> {
    let file = match std::fs::File::open(folder.join(FILE)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(MAXIMUM_BYTES).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Writer of the file.
pub(crate) struct InputWarning {
    file: PathBuf,
    /// Warning in the file, if `is_current`.
    recorded: Option<String>,
    /// `false` until the first record: a file of an earlier run is out of date.
    is_current: bool,
}

impl InputWarning {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { file: folder.join(FILE), recorded: None, is_current: false }
    }

    /// Records the current warning. Writes and logs only changes.
    pub(crate) fn record(&mut self, warning: Option<String>) {
        if self.is_current && self.recorded == warning {
            return;
        }
        let written = match &warning {
            Some(warning) => {
                tracing::warn!(warning, "some input may go unnoticed");
                platform::files::write_private(&self.file, warning.as_bytes())
            }
            None => match std::fs::remove_file(&self.file) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            },
        };
        if let Err(error) = written {
            tracing::warn!(%error, "the doctor can't report the state of the input sensor");
        }
        (self.recorded, self.is_current) = (warning, true);
    }
}
