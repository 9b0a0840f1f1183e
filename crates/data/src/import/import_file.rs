//! Files of an import and the result.

use std::path::PathBuf;

use protocol::dataset::DatasetInfo;
use protocol::dataset::import::{FileRole, ImportPlan, SplitName};

use super::bad_row::BadRow;

/// File or folder of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportFile {
    pub path: PathBuf,
    pub role: FileRole,
}

impl ImportFile {
    /// Returns the split of all rows in the file if its role states it.
    pub(crate) const fn split(&self) -> Option<SplitName> {
        match self.role {
            FileRole::Data => None,
            FileRole::Train => Some(SplitName::Train),
            FileRole::Validation => Some(SplitName::Validation),
            FileRole::Test => Some(SplitName::Test),
        }
    }
}

/// File with a table, unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableFile {
    pub path: PathBuf,
    /// Name in messages, such as `data/test.csv`.
    pub name: String,
    /// Split of all its rows, if its role or its name states it.
    pub split: Option<SplitName>,
    /// Whether a person stated the split.
    pub is_stated: bool,
}

/// Result of adding files.
#[derive(Debug, Clone, PartialEq)]
pub struct AddReport {
    pub info: DatasetInfo,
    /// Plain-language description of how the files were interpreted.
    pub understood: String,
    /// Number of skipped rows.
    pub bad_rows: u64,
    /// The first 20 of them.
    pub problems: Vec<BadRow>,
    pub plan: ImportPlan,
}
