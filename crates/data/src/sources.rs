//! Sources of datasets: embedded, a local folder, the hub, and folders of earlier versions.

use std::path::PathBuf;
use std::time::SystemTime;

use protocol::dataset::import::{ImportOptions, ImportPlan};

use crate::catalog::{CatalogEntry, Origin, PUBLISHED, Published};
use crate::hub::{self, HubSettings, RepositoryId};
use crate::import::{ImportFile, ReadLimits};
use crate::published::Files;
use crate::synthetic::Synthetic;
use crate::{DataError, Dataset, LoadProgress, import, layout, uploads};

/// Search order of a load: embedded, `data_dir`, the hub's cache, the hub; and `uploads` for the datasets of
/// earlier versions.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Folder with the layout of the hub's repositories: `CONSTELLATION_DATA_DIR`.
    pub data_dir: Option<PathBuf>,
    /// Folder of the datasets that earlier versions stored in folders.
    pub uploads: PathBuf,
    pub hub: HubSettings,
}

/// Identifies the current version of a dataset's rows: its files, their lengths and their
/// modification times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStamp(Vec<(PathBuf, u64, SystemTime)>);

impl Sources {
    /// Reads `CONSTELLATION_DATA_DIR` and the hub's variables from the environment.
    pub fn from_environment(uploads: PathBuf) -> Self {
        let data_dir = std::env::var_os("CONSTELLATION_DATA_DIR").filter(|dir| !dir.is_empty());
        let hub = HubSettings::from_environment();
        Self { data_dir: data_dir.map(PathBuf::from), uploads, hub }
    }

    /// Lists all known datasets, without using the network.
    pub fn list(&self) -> Vec<CatalogEntry> {
        let embedded = Synthetic::ALL.into_iter().map(|synthetic| {
            let info = synthetic.info();
            entry(Origin::Embedded, info)
        });
        let published = PUBLISHED.iter().map(|published| self.published_entry(published));
        let uploaded =
            uploads::list(&self.uploads).into_iter().map(|info| entry(Origin::Uploaded, info));
        embedded.chain(published).chain(uploaded).collect()
    }

    /// Reads a whole dataset, after a download if necessary. Blocks.
    pub fn load(
        &self,
        name: &str,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Dataset, DataError> {
        if let Some(dataset) = self.load_offline(name, progress)? {
            return Ok(dataset);
        }
        let published = Published::named(name).ok_or_else(|| self.unknown(name))?;
        published.read(&hub::fetch(&self.hub, published, progress)?, progress)
    }

    /// Reads a whole dataset whose rows are on this machine. Returns `None` if it would need a
    /// download. Blocks.
    pub fn load_offline(
        &self,
        name: &str,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Option<Dataset>, DataError> {
        if let Some(synthetic) = Synthetic::named(name) {
            return Ok(Some(synthetic.generate()));
        }
        if let Some(published) = Published::named(name) {
            let files = match self.local(published) {
                Some(files) => Some(files),
                None => hub::checked(&self.hub, published)?,
            };
            return files.map(|files| published.read(&files, progress)).transpose();
        }
        match uploads::load(&self.uploads, name, progress)? {
            Some(dataset) => Ok(Some(dataset)),
            None => Err(self.unknown(name)),
        }
    }

    /// Returns the stamp of a dataset's rows on this machine without reading them, or `None` if
    /// there are none.
    pub fn source_stamp(&self, name: &str) -> Option<SourceStamp> {
        let files = if Synthetic::named(name).is_some() {
            Vec::new()
        } else if let Some(published) = Published::named(name) {
            let files = self.local(published).or_else(|| hub::cached(&self.hub, published))?;
            files.train.into_iter().chain(files.test).collect()
        } else {
            uploads::files(&self.uploads, name)?
        };
        let stamped = files.into_iter().map(|path| {
            let known = path.metadata().ok()?;
            Some((path, known.len(), known.modified().ok()?))
        });
        Some(SourceStamp(stamped.collect::<Option<_>>()?))
    }

    /// Removes the incomplete folders that an earlier version left after a crash.
    pub fn remove_partial_datasets(&self) -> std::io::Result<()> {
        uploads::remove_partial_datasets(&self.uploads)
    }

    /// Returns the plan of an import. Open decisions are in it. Blocks.
    pub fn inspect(
        &self,
        files: &[ImportFile],
        options: &ImportOptions,
        limits: ReadLimits,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<ImportPlan, DataError> {
        import::inspect(files, options, limits, progress)
    }

    /// Downloads a repository of the hub, or takes it from the cache, and returns its files with their splits
    /// for an import. Blocks.
    pub fn fetch_repository(
        &self,
        id: &RepositoryId,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Vec<ImportFile>, DataError> {
        hub::fetch_repository(&self.hub, id, progress)
    }

    fn published_entry(&self, published: &Published) -> CatalogEntry {
        let (origin, files) = match self.local(published) {
            Some(files) => (Origin::Local, Some(files)),
            None => match hub::cached(&self.hub, published) {
                Some(files) => (Origin::Cached, Some(files)),
                None => (Origin::Hub, None),
            },
        };
        CatalogEntry {
            name: published.name.to_owned(),
            sample: published.sample,
            source: published.repository.to_owned(),
            licence: published.licence.to_owned(),
            origin,
            info: files.and_then(|files| published.info(&files).ok()),
        }
    }

    fn local(&self, published: &Published) -> Option<Files> {
        let repository = self.data_dir.as_ref()?.join(published.repository);
        layout::on_disk(&repository)
    }

    fn unknown(&self, name: &str) -> DataError {
        DataError::unknown(name, self.list().into_iter().map(|entry| entry.name).collect())
    }
}

/// Returns whether a name is that of an embedded or published dataset, which no upload can have.
pub fn is_reserved(name: &str) -> bool {
    Synthetic::named(name).is_some() || Published::named(name).is_some()
}

fn entry(origin: Origin, info: protocol::dataset::DatasetInfo) -> CatalogEntry {
    CatalogEntry {
        name: info.name.clone(),
        sample: info.sample,
        source: info.source.clone(),
        licence: info.licence.clone(),
        origin,
        info: Some(info),
    }
}
