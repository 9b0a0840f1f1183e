//! Rows of a dataset's version as shards in the blob store.

use std::io;
use std::path::PathBuf;

use data::{DataError, Dataset, LoadProgress, Row, shard};
use protocol::Timestamp;
use protocol::dataset::DatasetInfo;

use crate::blobs::Blobs;
use crate::store::{DatasetVersionRow, StoredShard};

/// Stores the shards of a dataset. Hold the blobs until the row is committed.
pub(crate) fn store_version(
    blobs: &Blobs,
    dataset: &Dataset,
    files: Vec<String>,
    plan: serde_json::Value,
) -> io::Result<DatasetVersionRow> {
    let put = |rows: &[Row]| -> io::Result<StoredShard> {
        let bytes = shard::write(dataset.info.sample, &rows.iter().collect::<Vec<_>>());
        Ok(StoredShard { blob: blobs.put(&bytes)?, bytes: bytes.len() as u64 })
    };
    Ok(DatasetVersionRow {
        info: dataset.info.clone(),
        created_at: Timestamp::from_millis(0),
        created_by: None,
        files,
        plan,
        train: put(&dataset.train)?,
        validation: match dataset.validation.as_slice() {
            [] => None,
            rows => Some(put(rows)?),
        },
        test: put(&dataset.test)?,
    })
}

/// Reads the rows of a version. `info` has the current name.
pub(super) fn read_version(
    blobs: &Blobs,
    info: DatasetInfo,
    version: &DatasetVersionRow,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Dataset, DataError> {
    let train = read(blobs, &info, version.train)?;
    let validation = match version.validation {
        Some(shard) => read(blobs, &info, shard)?,
        None => Vec::new(),
    };
    let test = read(blobs, &info, version.test)?;
    let rows = train.len() + validation.len() + test.len();
    progress(LoadProgress::Reading { rows: rows as u64 });
    Ok(Dataset { info, train, validation, test })
}

fn read(blobs: &Blobs, info: &DatasetInfo, stored: StoredShard) -> Result<Vec<Row>, DataError> {
    let path: PathBuf = blobs.path(stored.blob);
    let io = |source| DataError::Io { path: path.clone(), source };
    let bytes = blobs.bytes(stored.blob, stored.bytes).map_err(io)?;
    let bytes = bytes.ok_or_else(|| io(io::Error::from(io::ErrorKind::NotFound)))?;
    let shard =
        shard::read(&bytes).map_err(|source| DataError::Shard { path: path.clone(), source })?;
    // Without labels, all rows have label 0.
    let classes = info.classes.len().max(1);
    if shard.sample != info.sample || shard.rows.iter().any(|row| row.label as usize >= classes) {
        let file = path.display().to_string();
        let reason =
            "does not agree with the dataset's description; restore a backup, or add the dataset \
                      again"
                .to_owned();
        return Err(DataError::File { file, reason });
    }
    Ok(shard.rows)
}
