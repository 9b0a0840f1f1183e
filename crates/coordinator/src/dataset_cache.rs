//! Datasets that people look at: read whole, one at a time, and kept for the next page of rows. What a
//! glance shows is kept for longer: it is read once for each edition of a dataset.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use data::{DataError, Dataset, SourceStamp, Sources};
use tokio::sync::Mutex;

use crate::dataset_preview::DatasetPreview;

/// A dataset that nobody looks at is kept this long.
const IDLE: Duration = Duration::from_mins(1);
/// Glances that are kept.
const MOST_GLANCES: usize = 64;

/// Where the last one lies. Whoever wants another waits for who reads now: rows take memory.
#[derive(Debug, Clone)]
pub(crate) struct DatasetCache {
    sources: Arc<Sources>,
    place: Arc<Mutex<CachedDataset>>,
    /// By the dataset's name.
    glances: Arc<std::sync::Mutex<CachedPreviews>>,
}

type CachedPreviews = HashMap<String, (SourceStamp, Arc<DatasetPreview>)>;

#[derive(Debug, Default)]
struct CachedDataset {
    kept: Option<Arc<Dataset>>,
    /// Looks so far: tells an idle dataset from one that was looked at again meanwhile.
    looks: u64,
}

impl DatasetCache {
    pub(crate) fn new(sources: Arc<Sources>) -> Self {
        Self { sources, place: Arc::default(), glances: Arc::default() }
    }

    /// What a glance at the dataset shows, where its rows are on this machine. They are read where that
    /// is not known of this edition of them.
    pub(crate) async fn glance(
        &self,
        name: &str,
    ) -> Result<Option<Arc<DatasetPreview>>, DataError> {
        let (sources, wanted) = (self.sources.clone(), name.to_owned());
        // Before the rows: what takes their place while they are read is another edition.
        let edition = blocking(name, move || sources.edition(&wanted)).await?;
        if let Some((of, glance)) = self.lock_glances().get(name)
            && edition.as_ref() == Some(of)
        {
            return Ok(Some(Arc::clone(glance)));
        }
        let Some(dataset) = self.look(name).await? else { return Ok(None) };
        let glance = Arc::new(blocking(name, move || DatasetPreview::of(&dataset)).await?);
        if let Some(edition) = edition {
            let mut glances = self.lock_glances();
            if glances.len() >= MOST_GLANCES {
                glances.clear();
            }
            glances.insert(name.to_owned(), (edition, Arc::clone(&glance)));
        }
        Ok(Some(glance))
    }

    fn lock_glances(&self) -> std::sync::MutexGuard<'_, CachedPreviews> {
        self.glances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The dataset, where its rows are on this machine; nothing is downloaded.
    pub(crate) async fn look(&self, name: &str) -> Result<Option<Arc<Dataset>>, DataError> {
        let mut place = Arc::clone(&self.place).lock_owned().await;
        place.looks += 1;
        let looks = place.looks;
        let kept = place.kept.take().filter(|kept| kept.info.name == name);
        let found = if let Some(kept) = kept {
            Some(kept)
        } else {
            let (sources, wanted) = (self.sources.clone(), name.to_owned());
            let read = move || sources.load_here(&wanted, &mut |_| {});
            blocking(name, read).await??.map(Arc::new)
        };
        place.kept.clone_from(&found);
        drop(place);
        let place = Arc::clone(&self.place);
        tokio::spawn(async move {
            tokio::time::sleep(IDLE).await;
            let mut place = place.lock().await;
            if place.looks == looks {
                place.kept = None;
            }
        });
        Ok(found)
    }
}

/// Works where that holds up nobody.
async fn blocking<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DataError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        let source = std::io::Error::other(error);
        DataError::Io { path: name.into(), source }
    })
}

#[cfg(test)]
mod tests {
    use data::HubSettings;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_nobody_looks_at_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let hub = HubSettings { endpoint: None, home: None, token: None, offline: true };
        let uploads = folder.path().to_owned();
        let shelf = DatasetCache::new(Arc::new(Sources { data_dir: None, uploads, hub }));
        let first = shelf.look("synthetic").await.unwrap().unwrap();
        let again = shelf.look("synthetic").await.unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &again), "read twice");
        let weak = Arc::downgrade(&first);
        drop((first, again));
        assert!(weak.upgrade().is_some());
        tokio::time::sleep(IDLE * 2).await;
        assert!(weak.upgrade().is_none());
        // What a glance shows outlives them.
        let glance = shelf.glance("synthetic").await.unwrap().unwrap();
        tokio::time::sleep(IDLE * 2).await;
        assert!(shelf.place.lock().await.kept.is_none());
        assert!(Arc::ptr_eq(&glance, &shelf.glance("synthetic").await.unwrap().unwrap()));
        assert!(shelf.place.lock().await.kept.is_none(), "nothing was read for it");
        assert!(shelf.glance("ag_news").await.unwrap().is_none(), "only the hub has it");
        assert!(shelf.look("ag_news").await.unwrap().is_none(), "only the hub has it");
        assert!(shelf.look("no such").await.is_err());
    }
    #[tokio::test]
    async fn another_edition_under_the_same_name_is_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let uploads = folder.path().join("uploads");
        let hub = HubSettings { endpoint: None, home: None, token: None, offline: true };
        let sources = Sources { data_dir: None, uploads: uploads.clone(), hub };
        let shelf = DatasetCache::new(Arc::new(sources.clone()));
        for rows in [20, 30] {
            let csv: Vec<String> =
                (0..rows).map(|row| format!("text {row},{}\n", row % 2)).collect();
            let file = folder.path().join("own.csv");
            std::fs::write(&file, format!("text,label\n{}", csv.concat())).unwrap();
            sources.add("own", &file, &mut |_| {}).unwrap();
            let glance = shelf.glance("own").await.unwrap().unwrap();
            assert_eq!(glance.train.rows + glance.test.rows, rows);
            // As an operator does who restores a backup.
            std::fs::remove_dir_all(uploads.join("own")).unwrap();
            shelf.place.lock().await.kept = None;
        }
        assert!(shelf.glance("own").await.is_err());
    }
}
