//! Uploaded datasets after the last commit.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::store::DatasetRow;

/// Index of the uploaded datasets. Clones share the same rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct DatasetIndex(Arc<RwLock<BTreeMap<String, Arc<DatasetRow>>>>);

impl DatasetIndex {
    /// Replaces the row with this id, or removes it.
    pub(crate) fn publish(&self, id: &str, row: Option<&DatasetRow>) {
        let mut rows = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match row {
            Some(row) => drop(rows.insert(id.to_owned(), Arc::new(row.clone()))),
            None => drop(rows.remove(id)),
        }
    }

    /// Returns the dataset with this name, if it has versions.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<DatasetRow>> {
        self.list().into_iter().find(|row| row.name == name)
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<Arc<DatasetRow>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Returns the datasets that have versions, sorted by name.
    pub(crate) fn list(&self) -> Vec<Arc<DatasetRow>> {
        let rows = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut rows: Vec<_> =
            rows.values().filter(|row| !row.versions.is_empty()).cloned().collect();
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        rows
    }
}
