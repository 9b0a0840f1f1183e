//! Datasets that people look at: read whole, one at a time, and kept for the next page of rows.

use std::sync::Arc;
use std::time::Duration;

use data::{DataError, Dataset, Sources};
use tokio::sync::Mutex;

/// A dataset that nobody looks at is kept this long.
const IDLE: Duration = Duration::from_mins(1);

/// Where the last one lies. Whoever wants another waits for who reads now: rows take memory.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    sources: Arc<Sources>,
    place: Arc<Mutex<Place>>,
}

#[derive(Debug, Default)]
struct Place {
    kept: Option<Arc<Dataset>>,
    /// Looks so far: tells an idle dataset from one that was looked at again meanwhile.
    looks: u64,
}

impl Shelf {
    pub(crate) fn new(sources: Arc<Sources>) -> Self {
        Self { sources, place: Arc::default() }
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
            match tokio::task::spawn_blocking(read).await {
                Ok(read) => read?.map(Arc::new),
                Err(error) => {
                    let source = std::io::Error::other(error);
                    return Err(DataError::Io { path: name.into(), source });
                }
            }
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

#[cfg(test)]
mod tests {
    use data::HubSettings;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_nobody_looks_at_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let hub = HubSettings { endpoint: None, home: None, token: None, offline: true };
        let uploads = folder.path().to_owned();
        let shelf = Shelf::new(Arc::new(Sources { data_dir: None, uploads, hub }));
        let first = shelf.look("synthetic").await.unwrap().unwrap();
        let again = shelf.look("synthetic").await.unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &again), "read twice");
        let weak = Arc::downgrade(&first);
        drop((first, again));
        assert!(weak.upgrade().is_some());
        tokio::time::sleep(IDLE * 2).await;
        assert!(weak.upgrade().is_none());
        assert!(shelf.look("ag_news").await.unwrap().is_none(), "only the hub has it");
        assert!(shelf.look("no such").await.is_err());
    }
}
