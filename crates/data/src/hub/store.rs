//! The hub's cache folder: `blobs/ETAG`, and `snapshots/COMMIT/…` with links to them. A blob is
//! renamed from `ETAG.incomplete` only when it is complete and checked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use hf_hub::{Cache, Repo};
use sha2::{Digest, Sha256};

use super::settings::HubSettings;
use super::wire::{Head, Wire};
use crate::published::Files;
use crate::{DataError, LoadProgress, layout};

/// One repository in the cache.
pub(super) struct Store {
    pub cache: Cache,
    pub repo: Repo,
    repository: String,
    folder: PathBuf,
}

impl Store {
    /// Opens the cache. Returns `None` if neither `HF_HOME` nor a home folder is known.
    pub(super) fn open(settings: &HubSettings, repository: &str) -> Option<Self> {
        let cache = match &settings.home {
            Some(home) => Cache::new(home.join("hub")),
            // `Cache::default` panics without a home folder.
            None => std::env::home_dir().map(|_| Cache::default())?,
        };
        let repo = Repo::dataset(repository.to_owned());
        let folder = cache.path().join(repo.folder_name());
        Some(Self { cache, repo, repository: repository.to_owned(), folder })
    }

    /// Returns the files of the main branch's snapshot as of the last fetch.
    pub(super) fn files(&self) -> Option<Files> {
        let commit =
            fs::read_to_string(self.folder.join("refs").join(self.repo.revision())).ok()?;
        layout::on_disk(&self.folder.join("snapshots").join(commit.trim()))
    }

    /// Returns the paths of the files in the main branch's snapshot as of the last fetch, with `/` between
    /// folders, and the snapshot's folder.
    pub(super) fn snapshot(&self) -> Option<(PathBuf, Vec<String>)> {
        let commit =
            fs::read_to_string(self.folder.join("refs").join(self.repo.revision())).ok()?;
        let folder = self.folder.join("snapshots").join(commit.trim());
        let mut files = Vec::new();
        list(&folder, "", &mut files);
        Some((folder, files))
    }

    /// Path of a file in the snapshot of a commit.
    pub(super) fn path(&self, commit: &str, file: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit).join(file)
    }

    /// Checks a cached file's digest against its blob's name, and deletes the file on a mismatch.
    pub(super) fn check_cached(file: &Path) -> Result<bool, DataError> {
        let blob = fs::canonicalize(file).map_err(DataError::io(file))?;
        let name = blob.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(digest) = name.filter(|name| is_sha256(name)) else { return Ok(true) };
        if sha256(&blob).map_err(DataError::io(&blob))? == digest {
            return Ok(true);
        }
        remove(&blob)?;
        remove(file)?;
        Ok(false)
    }

    /// Downloads one file into the snapshot of a commit.
    pub(super) fn place(
        &self,
        wire: &Wire<'_>,
        commit: &str,
        file: &str,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<(), DataError> {
        let link = self.path(commit, file);
        if link.is_file() {
            return Ok(());
        }
        let head = wire.head(commit, file)?;
        let blob = self.folder.join("blobs").join(&head.etag);
        let blobs = self.folder.join("blobs");
        fs::create_dir_all(&blobs).map_err(DataError::io(&blobs))?;
        let lock_path = blobs.join(format!("{}.lock", head.etag));
        let lock = File::create(&lock_path).map_err(DataError::io(&lock_path))?;
        // The holder of the lock downloads the same file, so the file probably exists afterwards.
        lock.lock().map_err(DataError::io(&lock_path))?;
        if !blob.is_file() {
            let part = blobs.join(format!("{}.incomplete", head.etag));
            download(wire, &head, file, &part, progress)?;
            self.check_download(&head, file, &part)?;
            fs::rename(&part, &blob).map_err(DataError::io(&blob))?;
        }
        drop(lock);
        link_to(&blob, &link, file)
    }

    /// Records that the main branch is at this commit.
    pub(super) fn set_main_branch(&self, commit: &str) -> Result<(), DataError> {
        let cache = self.cache.repo(self.repo.clone());
        cache.create_ref(commit).map_err(DataError::io(&self.folder))
    }

    fn check_download(&self, head: &Head, file: &str, part: &Path) -> Result<(), DataError> {
        let size = fs::metadata(part).map_err(DataError::io(part))?.len();
        let wrong_size = head.size.filter(|expected| *expected != size);
        let reason = if let Some(expected) = wrong_size {
            format!("{size} bytes instead of {expected}")
        } else if is_sha256(&head.etag) && sha256(part).map_err(DataError::io(part))? != head.etag {
            "its SHA-256 does not match the hub's".to_owned()
        } else {
            return Ok(());
        };
        remove(part)?;
        let (repository, file) = (self.repository.clone(), file.to_owned());
        Err(DataError::Damaged { repository, file, reason })
    }
}

/// Lists the files of a snapshot. A link with a missing target does not count.
fn list(folder: &Path, prefix: &str, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_file() {
            files.push(format!("{prefix}{name}"));
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list(&path, &format!("{prefix}{name}/"), files);
        }
    }
}

/// Downloads into the part file and resumes from its end. After an interruption it retries, as long
/// as each attempt received at least one byte.
fn download(
    wire: &Wire<'_>,
    head: &Head,
    file: &str,
    part: &Path,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<(), DataError> {
    const MOST_BREAKS: u32 = 20;
    let mut out =
        OpenOptions::new().create(true).append(true).open(part).map_err(DataError::io(part))?;
    let length = |out: &File| out.metadata().map(|metadata| metadata.len());
    if head.size.is_some_and(|size| length(&out).is_ok_and(|done| done > size)) {
        out.set_len(0).map_err(DataError::io(part))?;
    }
    let mut breaks = 0;
    loop {
        let before = length(&out).map_err(DataError::io(part))?;
        if before > 0 && Some(before) == head.size {
            return Ok(());
        }
        let result = wire.get(head, file, before, &mut out, progress);
        let after = length(&out).map_err(DataError::io(part))?;
        match result {
            Ok(()) => return Ok(()),
            Err(DataError::Interrupted { .. }) if after > before && breaks < MOST_BREAKS => {
                breaks += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Large files are named by their SHA-256. Small files are named by git's digest, which is not
/// checked.
fn is_sha256(etag: &str) -> bool {
    etag.len() == 64 && etag.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn sha256(path: &Path) -> io::Result<String> {
    let (mut file, mut hasher) = (File::open(path)?, Sha256::new());
    let mut buffer = vec![0; 1 << 17];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    Ok(hasher.finalize().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")))
}

fn remove(path: &Path) -> Result<(), DataError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DataError::io(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Creates a relative link, as the hub's other clients do, so that the cache can be moved.
fn link_to(blob: &Path, link: &Path, file: &str) -> Result<(), DataError> {
    let folder = link.parent().unwrap_or(link);
    fs::create_dir_all(folder).map_err(DataError::io(folder))?;
    let mut target: PathBuf = file.split('/').map(|_| "..").collect();
    target.push("..");
    target.push("blobs");
    target.push(blob.file_name().unwrap_or_default());
    match std::os::unix::fs::symlink(&target, link) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && link.is_file() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Existing link whose blob was deleted and downloaded again under another name.
            remove(link)?;
            std::os::unix::fs::symlink(&target, link)
                .map_err(|_| error)
                .map_err(DataError::io(link))
        }
        // Some file systems do not support links.
        Err(_) => fs::copy(blob, link).map(|_| ()).map_err(DataError::io(link)),
    }
}
