//! Writes a backup of a running coordinator.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::{BlobHash, Timestamp};
use tempfile::NamedTempFile;

use super::{
    BLOBS_FOLDER, BLOCK, BackupError, CLUSTER_FOLDER, DATABASE_FILE, DATASETS_FOLDER, END, Entry,
    FORMAT, MANIFEST, Manifest,
};
use crate::blobs::{BlobHold, Blobs};
use crate::driver::live_blobs;
use crate::store::Reader;

/// Data that is backed up.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) data_dir: PathBuf,
    /// Folder of uploaded datasets.
    pub(crate) uploads: PathBuf,
    pub(crate) blobs: Blobs,
    pub(crate) reader: Arc<Reader>,
}

/// Consistent snapshot of the data. The files that it needs are kept until it is dropped.
#[derive(Debug)]
pub(crate) struct Backup {
    pub(crate) manifest: Manifest,
    manifest_json: Vec<u8>,
    /// Source files of the entries, in the same order.
    files: Vec<PathBuf>,
    _snapshot: NamedTempFile,
    _hold: BlobHold,
}

impl Source {
    /// Takes a snapshot. Blocks while the database is copied.
    pub(crate) fn take(&self, now: Timestamp) -> Result<Backup, BackupError> {
        // This comes first: it prevents the removal of blobs that the database copy refers to.
        let hold = self.blobs.hold();
        let snapshot =
            self.blobs.scratch().map_err(BackupError::io("can't create a temporary file"))?;
        let copy = self.reader.snapshot(snapshot.path())?;
        let mut contents = Contents::default();
        contents.add(DATABASE_FILE.to_owned(), snapshot.path())?;
        let cluster = self.data_dir.join(CLUSTER_FOLDER);
        for name in names(&cluster)? {
            contents.add(format!("{CLUSTER_FOLDER}/{name}"), &cluster.join(&name))?;
        }
        for dataset in names(&self.uploads)? {
            let folder = self.uploads.join(&dataset);
            // An unfinished upload has a temporary name or no `info.json`.
            if dataset.starts_with('.') || !folder.join("info.json").is_file() {
                continue;
            }
            for name in names(&folder)? {
                contents.add(format!("{DATASETS_FOLDER}/{dataset}/{name}"), &folder.join(&name))?;
            }
        }
        let machines = copy.loaded.jobs.iter().map(|row| &row.machine);
        let models = copy.loaded.models.iter().map(|row| row.model.blake3);
        let datasets = copy.loaded.datasets.iter();
        let mut blobs: Vec<BlobHash> = live_blobs(machines, models, datasets).into_iter().collect();
        blobs.sort_unstable();
        for hash in blobs {
            contents.add_blob(&self.blobs, hash)?;
        }
        let manifest = Manifest {
            format: FORMAT,
            constellation: env!("CARGO_PKG_VERSION").to_owned(),
            database: copy.version,
            cluster_id: copy.loaded.cluster_id,
            created_at: now,
            entries: contents.entries,
        };
        let manifest_json = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| BackupError::Broken(error.to_string()))?;
        Ok(Backup {
            manifest,
            manifest_json,
            files: contents.files,
            _snapshot: snapshot,
            _hold: hold,
        })
    }
}

impl Backup {
    /// Returns the size of the archive in bytes.
    pub(crate) fn length(&self) -> u64 {
        let entries = self.manifest.entries.iter().map(|entry| entry.bytes);
        let parts = entries.chain([self.manifest_json.len() as u64]);
        parts.map(|bytes| BLOCK + bytes.next_multiple_of(BLOCK)).sum::<u64>() + END.len() as u64
    }

    /// Writes the archive. Fails if a file's bytes don't have the hash in the manifest.
    pub(crate) fn write(&self, out: &mut impl Write) -> Result<(), BackupError> {
        let written_at = self.manifest.created_at;
        let mut manifest = self.manifest_json.as_slice();
        write_entry(out, MANIFEST, manifest.len() as u64, written_at, &mut manifest)?;
        for (entry, file) in self.manifest.entries.iter().zip(&self.files) {
            let file = File::open(file).map_err(BackupError::at(file))?;
            let mut hashed =
                Hashed { inner: file.take(entry.bytes), hasher: blake3::Hasher::new() };
            write_entry(out, &entry.path, entry.bytes, written_at, &mut hashed)?;
            if BlobHash::from(hashed.hasher.finalize()) != entry.blake3 {
                return Err(BackupError::Damaged(entry.path.clone()));
            }
        }
        out.write_all(&END).map_err(write_failed)?;
        out.flush().map_err(write_failed)
    }
}

fn write_failed(source: io::Error) -> BackupError {
    BackupError::io("could not write the backup")(source)
}

fn write_entry(
    out: &mut impl Write,
    path: &str,
    bytes: u64,
    written_at: Timestamp,
    contents: &mut impl Read,
) -> Result<(), BackupError> {
    let mut header = tar::Header::new_ustar();
    header.set_path(path).map_err(BackupError::io(format!("the name {path} is too long")))?;
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mtime(u64::try_from(written_at.as_millis() / 1000).unwrap_or(0));
    header.set_cksum();
    out.write_all(header.as_bytes()).map_err(write_failed)?;
    let copied = io::copy(contents, out).map_err(write_failed)?;
    if copied != bytes {
        return Err(BackupError::Damaged(path.to_owned()));
    }
    let padding = vec![0; usize::try_from(bytes.next_multiple_of(BLOCK) - bytes).unwrap_or(0)];
    out.write_all(&padding).map_err(write_failed)
}

/// Entries of the archive and their source files.
#[derive(Default)]
struct Contents {
    entries: Vec<Entry>,
    files: Vec<PathBuf>,
}

impl Contents {
    fn add(&mut self, path: String, file: &Path) -> Result<(), BackupError> {
        let opened = File::open(file).map_err(BackupError::at(file))?;
        let bytes = opened.metadata().map_err(BackupError::at(file))?.len();
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(opened.take(bytes)).map_err(BackupError::at(file))?;
        self.push(path, bytes, hasher.finalize().into(), file.to_owned());
        Ok(())
    }

    /// Adds a blob without reading it. Its name is its hash, and [`Backup::write`] checks the hash.
    fn add_blob(&mut self, blobs: &Blobs, hash: BlobHash) -> Result<(), BackupError> {
        let bytes = blobs.length(hash).map_err(BackupError::io(format!("blob {hash}")))?;
        let bytes = bytes.ok_or_else(|| BackupError::Missing(format!("blob {hash}")))?;
        let name = hash.to_string();
        let path = format!("{BLOBS_FOLDER}/{}/{}", &name[..2], &name[2..]);
        self.push(path, bytes, hash, blobs.path(hash));
        Ok(())
    }

    fn push(&mut self, path: String, bytes: u64, blake3: BlobHash, file: PathBuf) {
        self.entries.push(Entry { path, bytes, blake3 });
        self.files.push(file);
    }
}

/// Returns the sorted file names in a folder, or an empty list if the folder doesn't exist.
fn names(folder: &Path) -> Result<Vec<String>, BackupError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(BackupError::at(folder)(error)),
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    let names: Vec<_> = names.collect::<io::Result<_>>().map_err(BackupError::at(folder))?;
    let mut names: Vec<String> =
        names.into_iter().filter_map(|name| name.into_string().ok()).collect();
    names.sort_unstable();
    Ok(names)
}

/// Reader that hashes the bytes as they are read.
pub(super) struct Hashed<R> {
    pub(super) inner: R,
    pub(super) hasher: blake3::Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}
