//! Atomic writing and reading of files, plain or encrypted.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use data::Row;
use protocol::encrypted_file::{DecryptingReader, Encryptor, StorageKey, plain_length};
use protocol::model::ModelSpec;
use protocol::{BlobHash, codec, model_file};

use crate::EngineError;
use crate::batch::Featurizer;

/// Bytes encrypted per write.
const PIECE: usize = 1 << 20;

/// Writes a file atomically: writes it beside the target, makes it durable and renames it.
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
            Some(key) => write_encrypted(&mut file, bytes, key)?,
            None => file.write_all(bytes)?,
        }
        file.sync_all()?;
        std::fs::rename(partial, path)?;
        // The rename is durable only once its folder is synced. Platforms that cannot open folders
        // need no sync.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
            folder.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|source| {
        // The remains of the attempt are useless and may fill the disk.
        let _ = std::fs::remove_file(partial);
        EngineError::Disk { path: path.to_owned(), source }
    })
}

/// Encrypts in pieces, which avoids a second copy of all bytes.
fn write_encrypted(file: &mut File, bytes: &[u8], key: &StorageKey) -> std::io::Result<()> {
    let mut out = Vec::with_capacity(PIECE + PIECE / 64);
    let mut encryptor = Encryptor::begin(key, rand::random(), &mut out);
    for piece in bytes.chunks(PIECE) {
        encryptor.push(piece, &mut out)?;
        file.write_all(&out)?;
        out.clear();
    }
    encryptor.finish(&mut out)?;
    file.write_all(&out)
}

/// Reads a flat vector and returns it with the hash of its bytes.
pub(crate) fn read_model(
    path: &Path,
    spec: &ModelSpec,
    key: Option<&StorageKey>,
) -> Result<(Vec<f32>, BlobHash), EngineError> {
    let expected = spec.layout()?.parameters;
    let bytes = read(path, key)?;
    let flat = codec::decode(&bytes, expected)
        .map_err(|source| EngineError::Model { path: path.to_owned(), source })?;
    Ok((flat, BlobHash::compute(&bytes)))
}

/// Reads the flat vector from a model file or from a file with nothing else.
pub(crate) fn read_model_file(path: &Path, spec: &ModelSpec) -> Result<Vec<f32>, EngineError> {
    let (expected, header) = (spec.layout()?.parameters, model_file::header(spec)?);
    let bytes = read(path, None)?;
    let flat = bytes.strip_prefix(header.as_slice()).unwrap_or(&bytes);
    codec::decode(flat, expected)
        .map_err(|source| EngineError::Model { path: path.to_owned(), source })
}

/// Reads the rows of these shards, in order, and returns them with each shard's hash. Fails if the
/// model does not read rows of this shape.
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
        hashes.push(BlobHash::compute(&bytes));
        rows.extend(shard.rows);
    }
    Ok((rows, hashes))
}

/// Reads a whole file.
pub(crate) fn read(path: &Path, key: Option<&StorageKey>) -> Result<Vec<u8>, EngineError> {
    let bytes = match key {
        Some(key) => read_encrypted(path, key),
        None => std::fs::read(path),
    };
    bytes.map_err(|source| EngineError::Read { path: path.to_owned(), source })
}

fn read_encrypted(path: &Path, key: &StorageKey) -> std::io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let length = plain_length(file.metadata()?.len()).unwrap_or_default();
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    DecryptingReader::new(key, file)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}
