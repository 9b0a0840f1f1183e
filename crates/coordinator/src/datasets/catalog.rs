//! Catalog of all datasets, and the only reader of their rows.

use std::sync::Arc;

use data::{CatalogEntry, DataError, Dataset, LoadProgress, Origin, SourceStamp, Sources};
use protocol::dataset::DatasetInfo;
use protocol::split_version;

use super::index::DatasetIndex;
use super::shards::read_version;
use crate::blobs::Blobs;
use crate::store::{DatasetPin, DatasetRow, DatasetVersionRow};

/// Datasets that jobs can use. Clones share the same catalog.
#[derive(Debug, Clone)]
pub struct Datasets {
    sources: Arc<Sources>,
    uploaded: DatasetIndex,
    blobs: Blobs,
}

/// Dataset of the catalog.
#[derive(Debug, Clone)]
pub(crate) struct KnownDataset {
    pub(crate) entry: CatalogEntry,
    /// `None` for embedded and published datasets.
    pub(crate) uploaded: Option<UploadedVersion>,
}

/// Version of an uploaded dataset.
#[derive(Debug, Clone)]
pub(crate) struct UploadedVersion {
    pub(crate) dataset: Arc<DatasetRow>,
    pub(crate) version: u32,
}

/// Identifies the current rows of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stamp {
    Files(SourceStamp),
    /// Id and version of an uploaded dataset.
    Version(String, u32),
}

impl UploadedVersion {
    fn row(&self) -> Option<&DatasetVersionRow> {
        self.dataset.versions.get(&self.version)
    }

    /// Returns the metadata with the dataset's current name.
    fn info(&self) -> Option<DatasetInfo> {
        let info = self.row()?.info.clone();
        Some(DatasetInfo { name: self.dataset.name.clone(), version: self.version, ..info })
    }
}

impl Datasets {
    pub(crate) fn new(sources: Arc<Sources>, uploaded: DatasetIndex, blobs: Blobs) -> Self {
        Self { sources, uploaded, blobs }
    }

    /// Returns the datasets that lists show: the archived ones, or all others. Doesn't use the network.
    pub(crate) fn list(&self, archived: bool) -> Vec<KnownDataset> {
        let built_in = if archived { Vec::new() } else { self.sources.list() };
        let built_in = built_in.into_iter().filter(|entry| entry.origin != Origin::Uploaded);
        let built_in = built_in.map(|entry| KnownDataset { entry, uploaded: None });
        let uploaded = self.uploaded.list().into_iter();
        let uploaded = uploaded.filter(|row| row.archived_at.is_some() == archived);
        built_in.chain(uploaded.filter_map(|row| known(row, None))).collect()
    }

    /// Returns the dataset with this name, or the version of an uploaded one that `name@N` names.
    pub(crate) fn find(&self, text: &str) -> Option<KnownDataset> {
        let (name, version) = split_version(text);
        if let Some(row) = self.uploaded.named(name) {
            return known(row, version);
        }
        let mut built_in = self.sources.list().into_iter();
        let entry =
            built_in.find(|entry| entry.name == text && entry.origin != Origin::Uploaded)?;
        Some(KnownDataset { entry, uploaded: None })
    }

    /// Reads a whole dataset, after a download if necessary. Blocks.
    ///
    /// # Errors
    /// If there is no such dataset, or its rows can't be read.
    pub fn load(
        &self,
        text: &str,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Dataset, DataError> {
        match self.version(text) {
            Some(version) => self.read(&version, progress),
            None => self.sources.load(text, progress).map_err(|error| self.with_names(error)),
        }
    }

    /// Reads the dataset of a job: the version that it uses, or the embedded or published dataset. Blocks.
    pub(crate) fn load_for_job(
        &self,
        name: &str,
        pin: Option<&DatasetPin>,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Dataset, DataError> {
        let Some(pin) = pin else { return self.load(name, progress) };
        let dataset = self.uploaded.by_id(&pin.dataset);
        let version = dataset.map(|dataset| UploadedVersion { dataset, version: pin.version });
        let version = version.ok_or_else(|| self.unknown(&pin.label()))?;
        self.read(&version, progress)
    }

    /// Reads a dataset whose rows are on this machine. Returns `None` if it would need a download.
    /// Blocks.
    pub(crate) fn load_offline(&self, text: &str) -> Result<Option<Dataset>, DataError> {
        if let Some(version) = self.version(text) {
            return self.read(&version, &mut |_| {}).map(Some);
        }
        let loaded = self.sources.load_offline(text, &mut |_| {});
        loaded.map_err(|error| self.with_names(error))
    }

    /// Returns the stamp of a dataset's rows on this machine without reading them, or `None` if there are
    /// none.
    pub(crate) fn stamp(&self, text: &str) -> Option<Stamp> {
        match self.version(text) {
            Some(version) => Some(Stamp::Version(version.dataset.id.clone(), version.version)),
            None => self.sources.source_stamp(text).map(Stamp::Files),
        }
    }

    /// Returns the error for an unknown dataset, with the names of all others.
    pub(crate) fn unknown(&self, text: &str) -> DataError {
        let known = self.list(false).into_iter().map(|known| known.entry.name).collect();
        DataError::unknown(text, known)
    }

    fn version(&self, text: &str) -> Option<UploadedVersion> {
        self.find_uploaded(text)?.uploaded
    }

    fn find_uploaded(&self, text: &str) -> Option<KnownDataset> {
        let (name, version) = split_version(text);
        known(self.uploaded.named(name)?, version)
    }

    fn read(
        &self,
        version: &UploadedVersion,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Dataset, DataError> {
        let found = version.info().zip(version.row());
        let unknown = || self.unknown(&format!("{}@{}", version.dataset.name, version.version));
        let (info, row) = found.ok_or_else(unknown)?;
        read_version(&self.blobs, info, row, progress)
    }

    /// Adds the uploaded datasets to the names that an error lists.
    fn with_names(&self, error: DataError) -> DataError {
        if let DataError::Unknown { name, .. } = &error { self.unknown(name) } else { error }
    }
}

/// Returns a version of an uploaded dataset, or its newest one.
fn known(dataset: Arc<DatasetRow>, version: Option<u32>) -> Option<KnownDataset> {
    let version = version.or_else(|| dataset.current().map(|(number, _)| number))?;
    let uploaded = UploadedVersion { dataset, version };
    let info = uploaded.info()?;
    let entry = CatalogEntry {
        name: info.name.clone(),
        sample: info.sample,
        source: info.source.clone(),
        licence: info.licence.clone(),
        origin: Origin::Uploaded,
        info: Some(info),
    };
    Some(KnownDataset { entry, uploaded: Some(uploaded) })
}
