//! Files whole or not at all.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use data::Row;
use protocol::model::ModelSpec;
use protocol::{BlobHash, codec};

use crate::EngineError;
use crate::batch::Featurizer;

/// Writes beside the file, makes it durable and moves it into place.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), EngineError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    let partial = Path::new(&name);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(partial, path)?;
        // The name is durable only once its folder is; where folders can't be opened it is so
        // already.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
            folder.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|source| {
        // What is left of the attempt is of no use, and the disk may be full.
        let _ = std::fs::remove_file(partial);
        EngineError::Disk { path: path.to_owned(), source }
    })
}

/// The flat vector in a file, and the hash of its bytes.
pub(crate) fn read_model(
    path: &Path,
    spec: &ModelSpec,
) -> Result<(Vec<f32>, BlobHash), EngineError> {
    let expected = spec.layout()?.parameters;
    let bytes = read(path)?;
    let flat = codec::decode(&bytes, expected)
        .map_err(|source| EngineError::Model { path: path.to_owned(), source })?;
    Ok((flat, BlobHash::of(&bytes)))
}

/// The rows of these shards, in order, and the hash of each; refused where the model doesn't read
/// them.
pub(crate) fn read_shards<P: AsRef<Path>>(
    paths: &[P],
    spec: &ModelSpec,
) -> Result<(Vec<Row>, Vec<BlobHash>), EngineError> {
    let (mut rows, mut hashes) = (Vec::new(), Vec::with_capacity(paths.len()));
    for path in paths {
        let path = path.as_ref();
        let bytes = read(path)?;
        let shard = data::shard::read(&bytes)
            .map_err(|source| EngineError::Shard { path: path.to_owned(), source })?;
        Featurizer::reads(spec, shard.sample)?;
        hashes.push(BlobHash::of(&bytes));
        rows.extend(shard.rows);
    }
    Ok((rows, hashes))
}

fn read(path: &Path) -> Result<Vec<u8>, EngineError> {
    std::fs::read(path).map_err(|source| EngineError::Read { path: path.to_owned(), source })
}
