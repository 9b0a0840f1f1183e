//! Datasets from the Hugging Face hub, stored in the hub's own cache on this machine, where other
//! programs find them too. Cached datasets are used unchanged: a job that ran yesterday uses the
//! same rows today, without a network.

mod repository;
mod settings;
mod store;
mod wire;

use crate::catalog::Published;
use crate::published::Files;
use crate::{DataError, LoadProgress, layout};

pub use repository::RepositoryId;
pub(crate) use repository::fetch as fetch_repository;
pub use settings::HubSettings;

use store::Store;
use wire::Wire;

/// Returns the files of a dataset that is complete in the cache, judged by file names alone.
pub(crate) fn cached(settings: &HubSettings, published: &Published) -> Option<Files> {
    Store::open(settings, published.repository)?.files()
}

/// Returns the files of a dataset that is complete in the cache, after checking each digest. A file
/// with a wrong digest is deleted, and the dataset counts as absent.
pub(crate) fn checked(
    settings: &HubSettings,
    published: &Published,
) -> Result<Option<Files>, DataError> {
    let Some(files) = cached(settings, published) else { return Ok(None) };
    let mut intact = true;
    for file in files.train.iter().chain(&files.test) {
        intact &= Store::check_cached(file)?;
    }
    Ok(intact.then_some(files))
}

/// Returns the files of a dataset from the cache, and downloads missing ones. Every file's digest
/// is checked, including cached files.
pub(crate) fn fetch(
    settings: &HubSettings,
    published: &Published,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Files, DataError> {
    let offline = |reason: String| DataError::Offline {
        name: published.name.to_owned(),
        repository: published.repository.to_owned(),
        reason,
    };
    let Some(store) = Store::open(settings, published.repository) else {
        return Err(offline("there is no home folder for downloads".to_owned()));
    };
    if let Some(files) = checked(settings, published)? {
        return Ok(files);
    }
    if settings.offline {
        return Err(offline("HF_HUB_OFFLINE is set".to_owned()));
    }
    let wire =
        Wire::open(settings, (published.name, published.repository), &store.cache, &store.repo);
    let listing = wire.listing()?;
    let splits = layout::splits(listing.files.iter().map(String::as_str));
    let splits = splits.ok_or_else(|| DataError::Missing {
        repository: published.repository.to_owned(),
        what: "train and test split as Parquet files".to_owned(),
    })?;
    for file in splits.train.iter().chain(&splits.test) {
        store.place(&wire, &listing.commit, file, progress)?;
    }
    store.set_main_branch(&listing.commit)?;
    let missing = || DataError::Missing {
        repository: published.repository.to_owned(),
        what: "complete snapshot".to_owned(),
    };
    store.files().ok_or_else(missing)
}
