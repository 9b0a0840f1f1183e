//! Cache of the datasets that the API shows.
//!
//! One whole dataset is held for [`IDLE_TIMEOUT`], to serve the next page of rows. Previews are
//! small and stay cached for as long as the dataset's files are unchanged.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use data::{DataError, Dataset};
use protocol::split_version;
use tokio::sync::Mutex;

use super::catalog::{Datasets, Stamp};
use super::preview::DatasetPreview;

/// Time without a request after which the dataset is dropped.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// Capacity of the preview cache.
const MAXIMUM_PREVIEWS: usize = 64;

/// Holds at most one dataset, to bound memory. Requests for another dataset wait while one is read.
#[derive(Debug, Clone)]
pub(crate) struct DatasetCache {
    datasets: Datasets,
    slot: Arc<Mutex<CachedDataset>>,
    /// Previews by dataset name.
    previews: Arc<std::sync::Mutex<CachedPreviews>>,
}

type CachedPreviews = HashMap<String, (Stamp, Arc<DatasetPreview>)>;

#[derive(Debug, Default)]
struct CachedDataset {
    /// With its stamp.
    dataset: Option<(Option<Stamp>, Arc<Dataset>)>,
    /// Number of requests. The idle timer drops the dataset only if there was no request since.
    uses: u64,
}

impl DatasetCache {
    pub(crate) fn new(datasets: Datasets) -> Self {
        Self { datasets, slot: Arc::default(), previews: Arc::default() }
    }

    /// Returns the dataset's preview, or `None` if its rows are not on this machine. Reads the rows
    /// if no preview of the current files is cached.
    pub(crate) async fn preview(
        &self,
        name: &str,
    ) -> Result<Option<Arc<DatasetPreview>>, DataError> {
        let (datasets, wanted) = (self.datasets.clone(), name.to_owned());
        // The stamp is taken before the rows are read. If the files are replaced meanwhile, the
        // stamp is outdated, and the next call reads again.
        let stamp = blocking(name, move || datasets.stamp(&wanted)).await?;
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
        let (datasets, wanted) = (self.datasets.clone(), name.to_owned());
        let stamp = blocking(name, move || datasets.stamp(&wanted)).await?;
        let named = split_version(name).0;
        let cached = slot.dataset.take();
        let cached =
            cached.filter(|(known, dataset)| *known == stamp && dataset.info.name == named);
        let found = if let Some((_, dataset)) = cached {
            Some(dataset)
        } else {
            let (datasets, wanted) = (self.datasets.clone(), name.to_owned());
            blocking(name, move || datasets.load_offline(&wanted)).await??.map(Arc::new)
        };
        slot.dataset = found.clone().map(|dataset| (stamp, dataset));
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
    use data::{HubSettings, Sources};

    use super::*;
    use crate::blobs::Blobs;
    use crate::datasets::index::DatasetIndex;
    use crate::datasets::store_version;
    use crate::store::DatasetRow;

    #[tokio::test(start_paused = true)]
    async fn an_unused_dataset_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let hub = HubSettings { endpoint: None, home: None, token: None, offline: true };
        let uploads = folder.path().to_owned();
        let sources = Arc::new(Sources { data_dir: None, uploads, hub });
        let blobs = Blobs::existing(folder.path());
        let datasets = Datasets::new(sources, DatasetIndex::default(), blobs);
        let cache = DatasetCache::new(datasets);
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
    async fn a_new_version_and_a_new_name_are_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let hub = HubSettings { endpoint: None, home: None, token: None, offline: true };
        let uploads = folder.path().join("uploads");
        let sources = Arc::new(Sources { data_dir: None, uploads, hub });
        let (index, blobs) = (DatasetIndex::default(), Blobs::open(folder.path()).unwrap());
        let cache = DatasetCache::new(Datasets::new(sources, index.clone(), blobs.clone()));
        let mut row = DatasetRow {
            id: "1".to_owned(),
            name: "own".to_owned(),
            created_at: protocol::Timestamp::from_millis(0),
            archived_at: None,
            newest: 0,
            versions: std::collections::BTreeMap::new(),
        };
        let mut whole = data::synthetic::Synthetic::Topics.generate();
        for rows in [20, 10] {
            whole.train.truncate(rows);
            row.newest += 1;
            let version = store_version(&blobs, &whole, vec![], serde_json::Value::Null).unwrap();
            row.versions.insert(row.newest, version);
            index.publish("1", Some(&row));
            assert_eq!(cache.preview("own").await.unwrap().unwrap().train.rows, rows as u64);
            assert_eq!(cache.load("own").await.unwrap().unwrap().train, whole.train);
        }
        let earlier = cache.load("own@1").await.unwrap().unwrap();
        assert_eq!((earlier.train.len(), earlier.info.name.as_str()), (20, "own"));
        assert!(cache.load("own@3").await.is_err());
        row.name = "renamed".to_owned();
        index.publish("1", Some(&row));
        assert_eq!(cache.load("renamed").await.unwrap().unwrap().info.name, "renamed");
        assert!(cache.preview("own").await.is_err());
        row.versions.remove(&2);
        index.publish("1", Some(&row));
        assert_eq!(cache.preview("renamed").await.unwrap().unwrap().train.rows, 20);
    }
}
