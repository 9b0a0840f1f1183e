//! Rows of uploaded datasets and their versions.

use std::collections::BTreeMap;

use protocol::dataset::DatasetInfo;
use protocol::{BlobHash, Timestamp};

/// Uploaded dataset with its versions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DatasetRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created_at: Timestamp,
    /// Set while the dataset is hidden from lists.
    pub(crate) archived_at: Option<Timestamp>,
    /// Newest version that was ever added. A deleted version's number is not used again, so that
    /// `name@N` never means other rows.
    pub(crate) newest: u32,
    /// Empty if every version was deleted.
    pub(crate) versions: BTreeMap<u32, DatasetVersionRow>,
}

/// Version of a dataset. Its rows are shards in the blob store.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DatasetVersionRow {
    /// Metadata. Its name is the dataset's at the time of the upload.
    pub(crate) info: DatasetInfo,
    pub(crate) created_at: Timestamp,
    /// Name of the caller that added the version, as in the audit log. `None` for versions that an earlier version of
    /// this program stored.
    pub(crate) created_by: Option<String>,
    /// Names of the uploaded files.
    pub(crate) files: Vec<String>,
    /// Plan by which the files were read. JSON null if an earlier version of this program read them.
    pub(crate) plan: serde_json::Value,
    pub(crate) train: StoredShard,
    /// `None` if the files had no validation split.
    pub(crate) validation: Option<StoredShard>,
    pub(crate) test: StoredShard,
}

/// Shard in the blob store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredShard {
    pub(crate) blob: BlobHash,
    pub(crate) bytes: u64,
}

impl DatasetRow {
    /// Returns the newest version that still exists.
    pub(crate) fn current(&self) -> Option<(u32, &DatasetVersionRow)> {
        self.versions.last_key_value().map(|(number, row)| (*number, row))
    }

    /// Returns the blobs of all versions.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = BlobHash> {
        self.versions.values().flat_map(DatasetVersionRow::blobs)
    }
}

impl DatasetVersionRow {
    pub(crate) fn blobs(&self) -> impl Iterator<Item = BlobHash> + use<> {
        let shards = [Some(self.train), self.validation, Some(self.test)];
        shards.into_iter().flatten().map(|shard| shard.blob)
    }

    /// Returns the size of all shards.
    pub(crate) fn bytes(&self) -> u64 {
        let validation = self.validation.map_or(0, |shard| shard.bytes);
        self.train.bytes + validation + self.test.bytes
    }
}
