//! Coordinator discovery: uses the given address, otherwise tries the last known address and the results of
//! a local-network search in turn.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use worker::{Cluster, Status};

use crate::address_candidates::AddressCandidates;
use crate::discovery;

/// Running search. Stops when dropped.
pub(crate) struct CoordinatorLocator {
    found: watch::Sender<Option<String>>,
    /// `None` if an address was given: it never changes.
    candidates: Option<Arc<Mutex<AddressCandidates>>>,
}

impl CoordinatorLocator {
    /// Starts a search for `cluster` if it is given, otherwise for the `known` cluster.
    pub(crate) fn new(
        url: Option<String>,
        cluster: Option<String>,
        known: Option<&Cluster>,
    ) -> (Self, watch::Receiver<Option<String>>) {
        if url.is_some() {
            let (found, coordinator) = watch::channel(url);
            return (Self { found, candidates: None }, coordinator);
        }
        let candidates = AddressCandidates::new(known);
        let (found, coordinator) = watch::channel(candidates.url());
        let candidates = Arc::new(Mutex::new(candidates));
        let cluster = cluster.or_else(|| known.map(|cluster| cluster.id.clone()));
        browse(cluster, candidates.clone(), found.clone());
        (Self { found, candidates: Some(candidates) }, coordinator)
    }

    /// Handles a status of the worker: if the coordinator can't be reached, tries the next candidate.
    pub(crate) fn record_status(&self, status: &Status) {
        if let (Some(candidates), Status::Offline { .. }) = (&self.candidates, status) {
            publish(&self.found, lock(candidates).next());
        }
    }
}

/// Searches while a receiver exists.
fn browse(
    cluster: Option<String>,
    candidates: Arc<Mutex<AddressCandidates>>,
    found: watch::Sender<Option<String>>,
) {
    let (seen, mut seeing) = watch::channel(Vec::new());
    tokio::spawn(async move {
        if let Err(error) = discovery::browse(cluster, seen).await {
            tracing::error!(%error, "the coordinator can't be looked for");
        }
    });
    tokio::spawn(async move {
        loop {
            tokio::select! {
                changed = seeing.changed() => if changed.is_err() { return },
                () = found.closed() => return,
            }
            let urls = seeing.borrow_and_update().clone();
            publish(&found, lock(&candidates).record(urls));
        }
    });
}

fn publish(found: &watch::Sender<Option<String>>, url: Option<String>) {
    found.send_if_modified(|current| {
        let is_new = *current != url;
        *current = url;
        is_new
    });
}

fn lock(candidates: &Mutex<AddressCandidates>) -> MutexGuard<'_, AddressCandidates> {
    candidates.lock().unwrap_or_else(PoisonError::into_inner)
}
