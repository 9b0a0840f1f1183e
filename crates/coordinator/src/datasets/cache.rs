//! Cache of the datasets that the API shows.
//!
//! One whole dataset is held for [`IDLE_TIMEOUT`], to serve the next page of rows. Previews are
//! small and stay cached for as long as the dataset's files are unchanged.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use data::{DataError, Dataset, SourceStamp, Sources};
use tokio::sync::Mutex;

use crate::datasets::preview::DatasetPreview;

/// Time without a request after which the dataset is dropped.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// Capacity of the preview cache.
const MAXIMUM_PREVIEWS: usize = 64;

/// Holds at most one dataset, to bound memory. Requests for another dataset wait while one is read.
#[derive(Debug, Clone)]
pub(crate) struct DatasetCache {
    sources: Arc<Sources>,
    slot: Arc<Mutex<CachedDataset>>,
    /// Previews by dataset name.
    previews: Arc<std::sync::Mutex<CachedPreviews>>,
}

type CachedPreviews = HashMap<String, (SourceStamp, Arc<DatasetPreview>)>;

#[derive(Debug, Default)]
struct CachedDataset {
    dataset: Option<Arc<Dataset>>,
    /// Number of requests. The idle timer drops the dataset only if there was no request since.
    uses: u64,
}

impl DatasetCache {
    pub(crate) fn new(sources: Arc<Sources>) -> Self {
        Self { sources, slot: Arc::default(), previews: Arc::default() }
    }

    /// Returns the dataset's preview, or `None` if its rows are not on this machine. Reads the rows
    /// if no preview of the current files is cached.
    pub(crate) async fn preview(
        &self,
        name: &str,
    ) -> Result<Option<Arc<DatasetPreview>>, DataError> {
        let (sources, wanted) = (self.sources.clone(), name.to_owned());
        // The stamp is taken before the rows are read. If the files are replaced meanwhile, the
        // stamp is outdated, and the next call reads again.
        let stamp = blocking(name, move || sources.source_stamp(&wanted)).await?;
        if let Some((cached_stamp, preview)) = self.lock_previews().get(name)
            && stamp.as_ref() == Some(cached_stamp)
        {
            return Ok(Some(Arc::clone(preview)));
        }
        let Some(dataset) = self.load(name).await? else { return Ok(None) };
        let preview =
            Arc::new(blocking(name, move || DatasetPreview::from_dataset(&dataset)).await?);
        if let Some(stamp) = stamp {
            let mut previews = self.lock_previews();
            if previews.len() >= MAXIMUM_PREVIEWS {
                previews.clear();
            }
            previews.insert(name.to_owned(), (stamp, Arc::clone(&preview)));
        }
        Ok(Some(preview))
    }

    fn lock_previews(&self) -> std::sync::MutexGuard<'_, CachedPreviews> {
        self.previews.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the dataset, or `None` if its rows are not on this machine. Downloads nothing.
    pub(crate) async fn load(&self, name: &str) -> Result<Option<Arc<Dataset>>, DataError> {
        let mut slot = Arc::clone(&self.slot).lock_owned().await;
        slot.uses += 1;
        let uses = slot.uses;
        let cached = slot.dataset.take().filter(|dataset| dataset.info.name == name);
        let found = if let Some(dataset) = cached {
            Some(dataset)
        } else {
            let (sources, wanted) = (self.sources.clone(), name.to_owned());
            let read = move || sources.load_offline(&wanted, &mut |_| {});
            blocking(name, read).await??.map(Arc::new)
        };
        slot.dataset.clone_from(&found);
        drop(slot);
        let slot = Arc::clone(&self.slot);
        tokio::spawn(async move {
            tokio::time::sleep(IDLE_TIMEOUT).await;
            let mut slot = slot.lock().await;
            if slot.uses == uses {
                slot.dataset = None;
            }
        });
        Ok(found)
    }
}

/// Runs blocking work on a separate thread.
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
    async fn an_unused_dataset_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let hub = HubSettings { endpoint: None, home: None, token: None, offline: true };
        let uploads = folder.path().to_owned();
        let cache = DatasetCache::new(Arc::new(Sources { data_dir: None, uploads, hub }));
        let first = cache.load("synthetic").await.unwrap().unwrap();
        let again = cache.load("synthetic").await.unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &again), "read twice");
        let weak = Arc::downgrade(&first);
        drop((first, again));
        assert!(weak.upgrade().is_some());
        tokio::time::sleep(IDLE_TIMEOUT * 2).await;
        assert!(weak.upgrade().is_none());
        // The preview stays cached after the rows are dropped.
        let preview = cache.preview("synthetic").await.unwrap().unwrap();
        tokio::time::sleep(IDLE_TIMEOUT * 2).await;
        assert!(cache.slot.lock().await.dataset.is_none());
        assert!(Arc::ptr_eq(&preview, &cache.preview("synthetic").await.unwrap().unwrap()));
        assert!(cache.slot.lock().await.dataset.is_none(), "the preview was read from the rows");
        assert!(cache.preview("ag_news").await.unwrap().is_none(), "only the hub has it");
        assert!(cache.load("ag_news").await.unwrap().is_none(), "only the hub has it");
        assert!(cache.load("no such").await.is_err());
    }

    #[tokio::test]
    async fn a_replaced_dataset_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let uploads = folder.path().join("uploads");
        let hub = HubSettings { endpoint: None, home: None, token: None, offline: true };
        let sources = Sources { data_dir: None, uploads: uploads.clone(), hub };
        let cache = DatasetCache::new(Arc::new(sources.clone()));
        for rows in [20, 30] {
            let csv: Vec<String> =
                (0..rows).map(|row| format!("text {row},{}\n", row % 2)).collect();
            let file = folder.path().join("own.csv");
            std::fs::write(&file, format!("text,label\n{}", csv.concat())).unwrap();
            sources.add("own", &file, &mut |_| {}).unwrap();
            let preview = cache.preview("own").await.unwrap().unwrap();
            assert_eq!(preview.train.rows + preview.test.rows, rows);
            // Remove the files, as when an operator restores a backup.
            std::fs::remove_dir_all(uploads.join("own")).unwrap();
            cache.slot.lock().await.dataset = None;
        }
        assert!(cache.preview("own").await.is_err());
    }
}
