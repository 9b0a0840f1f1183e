//! Files whole or not at all; sealed ones in the same words as plain ones.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use data::Row;
use protocol::encrypted_file::{DecryptingReader, Encryptor, StorageKey, plain_length};
use protocol::model::ModelSpec;
use protocol::{BlobHash, codec, model_file};

use crate::EngineError;
use crate::batch::Featurizer;

/// Bytes that are sealed before they are written.
const PIECE: usize = 1 << 20;

/// Writes beside the file, makes it durable and moves it into place.
pub(crate) fn write_atomically(
    path: &Path,
    bytes: &[u8],
    key: Option<&StorageKey>,
) -> Result<(), EngineError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    let partial = Path::new(&name);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(partial)?;
        match key {
            Some(key) => write_sealed(&mut file, bytes, key)?,
            None => file.write_all(bytes)?,
        }
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

/// Seals on the way, so that no second copy of all bytes is made.
fn write_sealed(file: &mut File, bytes: &[u8], key: &StorageKey) -> std::io::Result<()> {
    let mut out = Vec::with_capacity(PIECE + PIECE / 64);
    let mut sealer = Encryptor::begin(key, rand::random(), &mut out);
    for piece in bytes.chunks(PIECE) {
        sealer.push(piece, &mut out)?;
        file.write_all(&out)?;
        out.clear();
    }
    sealer.finish(&mut out)?;
    file.write_all(&out)
}

/// The flat vector in a file, and the hash of its bytes.
pub(crate) fn read_model(
    path: &Path,
    spec: &ModelSpec,
    key: Option<&StorageKey>,
) -> Result<(Vec<f32>, BlobHash), EngineError> {
    let expected = spec.layout()?.parameters;
    let bytes = read(path, key)?;
    let flat = codec::decode(&bytes, expected)
        .map_err(|source| EngineError::Model { path: path.to_owned(), source })?;
    Ok((flat, BlobHash::of(&bytes)))
}

/// The flat vector in a model file, or in a file that is nothing else.
pub(crate) fn read_model_file(path: &Path, spec: &ModelSpec) -> Result<Vec<f32>, EngineError> {
    let (expected, header) = (spec.layout()?.parameters, model_file::header(spec)?);
    let bytes = read(path, None)?;
    let flat = bytes.strip_prefix(header.as_slice()).unwrap_or(&bytes);
    codec::decode(flat, expected)
        .map_err(|source| EngineError::Model { path: path.to_owned(), source })
}

/// The rows of these shards, in order, and the hash of each; refused where the model doesn't read
/// them.
pub(crate) fn read_shards<P: AsRef<Path>>(
    paths: &[P],
    spec: &ModelSpec,
    key: Option<&StorageKey>,
) -> Result<(Vec<Row>, Vec<BlobHash>), EngineError> {
    let (mut rows, mut hashes) = (Vec::new(), Vec::with_capacity(paths.len()));
    for path in paths {
        let path = path.as_ref();
        let bytes = read(path, key)?;
        let shard = data::shard::read(&bytes)
            .map_err(|source| EngineError::Shard { path: path.to_owned(), source })?;
        Featurizer::reads(spec, shard.sample)?;
        hashes.push(BlobHash::of(&bytes));
        rows.extend(shard.rows);
    }
    Ok((rows, hashes))
}

/// All of a file's bytes.
pub(crate) fn read(path: &Path, key: Option<&StorageKey>) -> Result<Vec<u8>, EngineError> {
    let bytes = match key {
        Some(key) => read_sealed(path, key),
        None => std::fs::read(path),
    };
    bytes.map_err(|source| EngineError::Read { path: path.to_owned(), source })
}

fn read_sealed(path: &Path, key: &StorageKey) -> std::io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let length = plain_length(file.metadata()?.len()).unwrap_or_default();
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    DecryptingReader::new(key, file)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}
