//! Blobs: files named by the BLAKE3 of their bytes, under `DATA_DIR/blobs/ab/cdef…`. A blob appears
//! whole and durable, or not at all. Nothing else in the crate knows where they lie. Calls block.

mod partial;
mod room;
mod writer;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::BlobHash;
use tokio::sync::{Semaphore, SemaphorePermit};

pub(crate) use partial::{Partial, UploadFault};
pub(crate) use room::{NoRoom, Room};
pub(crate) use writer::BlobWriter;

use crate::points::{Point, Points};
use partial::Uploads;

/// The folder of blobs.
#[derive(Debug, Clone)]
pub(crate) struct Blobs {
    root: Arc<PathBuf>,
    uploads: Arc<Uploads>,
    /// What was sent up under each key, since this process started.
    begun: Arc<Mutex<HashMap<String, HashSet<BlobHash>>>>,
    holds: Arc<AtomicUsize>,
    room: Arc<Room>,
    points: Points,
    places: Arc<Semaphore>,
}

/// Uploads that are made durable, hashed or checked at the same time. More would be no faster, and
/// the database's commits would wait behind them for the disk.
const PLACES: usize = 4;

impl Blobs {
    /// Takes `root`, making it where it isn't there; what an interrupted write left is removed.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let blobs = Self {
            root: Arc::new(root.to_owned()),
            uploads: Arc::default(),
            begun: Arc::default(),
            holds: Arc::default(),
            room: Arc::new(Room::new(root, None)),
            points: Points::default(),
            places: Arc::new(Semaphore::new(PLACES)),
        };
        fs::create_dir_all(blobs.partial_folder())?;
        fs::create_dir_all(blobs.sent_folder())?;
        let scratch = blobs.scratch_folder();
        match fs::remove_dir_all(&scratch) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => fs::create_dir_all(&scratch)?,
        }
        Ok(blobs)
    }

    /// Passes these points from now on.
    pub(crate) fn with_points(self, points: Points) -> Self {
        Self { points, ..self }
    }

    /// Stores no more than there is room for from now on.
    pub(crate) fn with_room(self, room: Room) -> Self {
        Self { room: Arc::new(room), ..self }
    }

    /// Refuses `bytes` more where there is no room for them.
    pub(crate) fn ask_room(&self, bytes: u64) -> io::Result<()> {
        self.room.ask(bytes)
    }

    /// While somebody holds the blobs, what can be removed stays.
    pub(crate) fn hold(&self) -> Hold {
        self.holds.fetch_add(1, Ordering::SeqCst);
        Hold(self.holds.clone())
    }

    /// Whether nothing may be removed.
    pub(crate) fn are_held(&self) -> bool {
        self.holds.load(Ordering::SeqCst) > 0
    }

    /// Waits for one of the few places for work on whole blobs; it ends with what this gives.
    pub(crate) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.places.acquire().await.ok()
    }

    /// Where the blob lies, or would lie.
    pub(crate) fn path(&self, hash: BlobHash) -> PathBuf {
        let name = hash.to_string();
        self.root.join(&name[..2]).join(&name[2..])
    }

    /// The blob's length in bytes; none where it isn't stored.
    pub(crate) fn length(&self, hash: BlobHash) -> io::Result<Option<u64>> {
        found(fs::metadata(self.path(hash)).map(|metadata| metadata.len()))
    }

    /// The blob for reading; none where it isn't stored.
    pub(crate) fn file(&self, hash: BlobHash) -> io::Result<Option<File>> {
        found(File::open(self.path(hash)))
    }

    /// All bytes of the blob; none where it isn't stored or is longer than `most` bytes.
    pub(crate) fn bytes(&self, hash: BlobHash, most: u64) -> io::Result<Option<Vec<u8>>> {
        match self.length(hash)? {
            Some(length) if length <= most => found(fs::read(self.path(hash))),
            Some(_) | None => Ok(None),
        }
    }

    /// Stores these bytes.
    pub(crate) fn put(&self, bytes: &[u8]) -> io::Result<BlobHash> {
        let hash = BlobHash::of(bytes);
        if self.length(hash)? == Some(bytes.len() as u64) {
            return Ok(hash);
        }
        let mut writer = self.writer()?;
        io::Write::write_all(&mut writer, bytes)?;
        writer.finish()
    }

    /// A blob to be written bit by bit.
    pub(crate) fn writer(&self) -> io::Result<BlobWriter> {
        BlobWriter::new(self.clone())
    }

    /// A blob's bytes as they are sent up, under this key (a lease, or whoever sends them).
    pub(crate) fn partial(&self, hash: BlobHash, key: &str) -> Partial {
        Partial::new(self.clone(), hash, key)
    }

    /// Whether another blob may be sent up under this key, which may have `most` of them.
    pub(crate) fn begin(&self, hash: BlobHash, key: &str, most: usize) -> bool {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let blobs = begun.entry(key.to_owned()).or_default();
        blobs.contains(&hash) || (blobs.len() < most && blobs.insert(hash))
    }

    /// Bytes that may still be stored.
    pub(crate) fn room_left(&self) -> io::Result<u64> {
        self.room.left()
    }

    /// How much room the disk has.
    pub(crate) fn space(&self) -> io::Result<platform::files::Space> {
        platform::files::space(&self.root)
    }

    /// Removes the blob, where it is stored.
    pub(crate) fn remove(&self, hash: BlobHash) -> io::Result<()> {
        found(fs::remove_file(self.path(hash))).map(|_| ())
    }

    /// Removes the blobs that `keep` refuses and that were stored longer than `age` ago.
    pub(crate) fn remove_older(
        &self,
        age: Duration,
        keep: impl Fn(BlobHash) -> bool,
    ) -> io::Result<()> {
        let mut old = self.older(age)?.into_iter();
        old.try_for_each(|hash| if keep(hash) { Ok(()) } else { self.remove(hash) })
    }

    /// The blobs that were stored longer than `age` ago.
    pub(crate) fn older(&self, age: Duration) -> io::Result<Vec<BlobHash>> {
        let mut old = Vec::new();
        for folder in fs::read_dir(self.root.as_path())? {
            let folder = folder?;
            for entry in fs::read_dir(folder.path())? {
                let entry = entry?;
                let name = (folder.file_name(), entry.file_name());
                let name = format!("{}{}", name.0.to_string_lossy(), name.1.to_string_lossy());
                let Ok(hash) = name.parse::<BlobHash>() else { continue };
                // Another may remove it meanwhile.
                let stored = found(entry.metadata().and_then(|metadata| metadata.modified()))?;
                let since = stored.and_then(|stored| stored.elapsed().ok());
                if since.is_some_and(|since| since > age) {
                    old.push(hash);
                }
            }
        }
        Ok(old)
    }

    /// Removes what was sent up in part under the keys that `keep` refuses, and the notes of what was
    /// sent up whole; it hears too how long ago the last bytes came.
    pub(crate) fn remove_partials(&self, keep: impl Fn(&str, Duration) -> bool) -> io::Result<()> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.retain(|key, _| keep(key, Duration::ZERO));
        drop(begun);
        let parts = fs::read_dir(self.partial_folder())?;
        for entry in parts.chain(fs::read_dir(self.sent_folder())?) {
            let entry = entry?;
            let name = entry.file_name();
            let key = name.to_str().and_then(|name| name.split_once('.')).map(|(_, key)| key);
            let age = found(entry.metadata().and_then(|metadata| metadata.modified()))?;
            let age = age.and_then(|written| written.elapsed().ok()).unwrap_or_default();
            if !key.is_some_and(|key| keep(key, age)) {
                found(fs::remove_file(entry.path()))?;
            }
        }
        Ok(())
    }

    /// A fresh file that lies on the blobs' own disk and goes when it is dropped.
    pub(crate) fn scratch(&self) -> io::Result<tempfile::NamedTempFile> {
        tempfile::NamedTempFile::new_in(self.scratch_folder())
    }

    /// A fresh folder on the blobs' own disk that goes when it is dropped.
    pub(crate) fn scratch_dir(&self) -> io::Result<tempfile::TempDir> {
        tempfile::tempdir_in(self.scratch_folder())
    }

    fn partial_folder(&self) -> PathBuf {
        self.root.join("partial")
    }

    fn sent_folder(&self) -> PathBuf {
        self.root.join("sent")
    }

    fn scratch_folder(&self) -> PathBuf {
        self.root.join("scratch")
    }

    /// Moves a whole, durable file into the blob's place.
    fn adopt(&self, file: &Path, hash: BlobHash) -> io::Result<()> {
        let path = self.path(hash);
        let folder = path.parent().unwrap_or(&self.root);
        self.points.pass(Point::BlobSynced);
        if !folder.is_dir() {
            fs::create_dir_all(folder)?;
            sync_folder(&self.root)?;
        }
        fs::rename(file, &path)?;
        self.points.pass(Point::BlobRenamed);
        sync_folder(folder)?;
        self.points.pass(Point::BlobStored);
        Ok(())
    }
}

/// The wish that blobs stay, until dropped.
#[derive(Debug)]
pub(crate) struct Hold(Arc<AtomicUsize>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A missing file as none.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a write failed because there is no room; it may succeed later.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_found_by_the_hash_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let hash = blobs.put(b"hello").unwrap();
        assert_eq!(hash, BlobHash::of(b"hello"));
        assert_eq!(blobs.put(b"hello").unwrap(), hash);
        assert_eq!(blobs.bytes(hash, 5).unwrap().unwrap(), b"hello");
        assert_eq!(blobs.bytes(hash, 4).unwrap(), None);
        assert_eq!(blobs.length(BlobHash::of(b"other")).unwrap(), None);
        blobs.remove(hash).unwrap();
        blobs.remove(hash).unwrap();
        assert_eq!(blobs.length(hash).unwrap(), None);
    }

    #[test]
    fn a_key_has_only_so_many_blobs_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let begin = |text: &str, key| blobs.begin(BlobHash::of(text.as_bytes()), key, 2);
        assert!(begin("a", "one") && begin("b", "one") && begin("a", "one"));
        assert!(!begin("c", "one") && begin("c", "other"));
        blobs.remove_partials(|key, _| key != "one").unwrap();
        assert!(begin("c", "one"));
    }

    #[test]
    fn an_abandoned_write_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let mut writer = blobs.writer().unwrap();
        io::Write::write_all(&mut writer, b"half").unwrap();
        drop(writer);
        assert_eq!(fs::read_dir(blobs.scratch_folder()).unwrap().count(), 0);
    }
}
