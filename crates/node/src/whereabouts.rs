//! Where a worker looks for its coordinator: at the address that was given, and else in turn where
//! it was and where the local network says it is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use worker::{Cluster, Status};

use crate::candidates::Candidates;
use crate::discovery;

/// A search, for as long as it lives.
pub(crate) struct Whereabouts {
    found: watch::Sender<Option<String>>,
    /// None for an address that was given: that one stays.
    candidates: Option<Arc<Mutex<Candidates>>>,
}

impl Whereabouts {
    /// Begins to look: for `cluster` alone where it is named, else for the one that is `known`.
    pub(crate) fn new(
        url: Option<String>,
        cluster: Option<String>,
        known: Option<&Cluster>,
    ) -> (Self, watch::Receiver<Option<String>>) {
        if url.is_some() {
            let (found, coordinator) = watch::channel(url);
            return (Self { found, candidates: None }, coordinator);
        }
        let candidates = Candidates::new(known);
        let (found, coordinator) = watch::channel(candidates.url());
        let candidates = Arc::new(Mutex::new(candidates));
        let cluster = cluster.or_else(|| known.map(|cluster| cluster.id.clone()));
        look(cluster, candidates.clone(), found.clone());
        (Self { found, candidates: Some(candidates) }, coordinator)
    }

    /// Hears what the worker says: where nobody answered, the next place is tried.
    pub(crate) fn heard(&self, status: &Status) {
        if let (Some(candidates), Status::Offline { .. }) = (&self.candidates, status) {
            tell(&self.found, lock(candidates).next());
        }
    }
}

/// Looks for as long as somebody wants to know.
fn look(
    cluster: Option<String>,
    candidates: Arc<Mutex<Candidates>>,
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
            tell(&found, lock(&candidates).seen(urls));
        }
    });
}

fn tell(found: &watch::Sender<Option<String>>, url: Option<String>) {
    found.send_if_modified(|current| {
        let is_new = *current != url;
        *current = url;
        is_new
    });
}

fn lock(candidates: &Mutex<Candidates>) -> MutexGuard<'_, Candidates> {
    candidates.lock().unwrap_or_else(PoisonError::into_inner)
}
