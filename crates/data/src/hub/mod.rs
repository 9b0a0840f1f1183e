//! Datasets from the Hugging Face hub, stored in the hub's own cache on this machine, where other
//! programs find them too. Cached datasets are used unchanged: a job that ran yesterday uses the
//! same rows today, without a network.

mod store;
mod wire;

use std::path::PathBuf;

use crate::catalog::Published;
use crate::published::Files;
use crate::{DataError, LoadProgress, layout};

use store::Store;
use wire::Wire;

/// Address and credentials of the hub.
#[derive(Clone, Default)]
pub struct HubSettings {
    /// `HF_ENDPOINT`. `None` = the hub itself.
    pub endpoint: Option<String>,
    /// `HF_HOME`. `None` = the hub's default folder.
    pub home: Option<PathBuf>,
    /// `HF_TOKEN`. `None` = the token file in `home`, if there is one.
    pub token: Option<String>,
    /// `HF_HUB_OFFLINE`: never use the network.
    pub offline: bool,
}

impl HubSettings {
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let no =
            |value: String| ["0", "false", "no", "off"].contains(&value.to_lowercase().as_str());
        Self {
            endpoint: variable("HF_ENDPOINT").map(|url| url.trim_end_matches('/').to_owned()),
            home: variable("HF_HOME").map(PathBuf::from),
            token: variable("HF_TOKEN").map(|token| token.trim().to_owned()),
            offline: variable("HF_HUB_OFFLINE").is_some_and(|value| !no(value)),
        }
    }
}

// Written by hand, so that no log shows the token.
impl std::fmt::Debug for HubSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("HubSettings")
            .field("endpoint", &self.endpoint)
            .field("home", &self.home)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("offline", &self.offline)
            .finish()
    }
}

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
    let wire = Wire::open(settings, published, &store);
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
