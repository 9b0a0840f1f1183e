//! Rows of registered models, and their stages, such as the version in production.

use std::collections::BTreeMap;

use protocol::ModelId;
use protocol::api::{ChangeKind, Model};
use protocol::audit::{Action, SubjectKind};

use super::audited::Audited;
use super::{Driver, DriverError};
use crate::access::caller::detail;
use crate::store::ModelRow;

impl Driver {
    /// Returns the versions of a model.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn model_versions(
        &self,
        name: &str,
    ) -> Result<BTreeMap<u32, ModelRow>, DriverError> {
        let mut rows = self.with_pending(self.store.versions(name)?);
        rows.retain(|_, row| row.model.name == name);
        if rows.is_empty() {
            return Err(DriverError::UnknownModel(name.to_owned()));
        }
        Ok(rows.into_values().map(|row| (row.model.version, row)).collect())
    }

    /// Returns stored models with the changes of this batch.
    pub(super) fn with_pending(&self, stored: Vec<ModelRow>) -> BTreeMap<ModelId, ModelRow> {
        let stored = stored.into_iter().map(|row| (row.model.id, row));
        let pending = self.state.models.iter().map(|(id, row)| (*id, row.clone()));
        let mut rows: BTreeMap<ModelId, ModelRow> = stored.chain(pending).collect();
        rows.retain(|id, _| !self.state.removed_models.contains_key(id));
        rows
    }

    /// Stores a changed model, and repeats the change in its card.
    pub(super) fn put_model(&mut self, mut row: ModelRow) {
        let model = Model { archived: false, ..row.model.clone() };
        if let Ok(model) = serde_json::to_value(&model) {
            row.card["model"] = model;
        }
        self.pending.changed(ChangeKind::Model, row.model.id.to_string());
        self.state.models.insert(row.model.id, row);
    }

    /// Sets the stage of a version, or of the newest version if none is given. `None` clears the stage. A
    /// stage holds one version of each model, so another version in it loses its stage.
    fn set_stage(
        &mut self,
        name: &str,
        version: Option<u32>,
        stage: Option<&str>,
    ) -> Result<Model, DriverError> {
        let mut rows = self.model_versions(name)?;
        let newest = rows.keys().next_back().copied();
        let unknown = || DriverError::UnknownModel(name.to_owned());
        let chosen = version.or(newest).ok_or_else(unknown)?;
        let model = &mut rows.get_mut(&chosen).ok_or_else(unknown)?.model;
        model.stage = stage.map(str::to_owned);
        let model = model.clone();
        for (version, mut row) in rows {
            let is_replaced =
                version != chosen && stage.is_some() && row.model.stage.as_deref() == stage;
            if is_replaced {
                row.model.stage = None;
            }
            if is_replaced || version == chosen {
                self.put_model(row);
            }
        }
        Ok(model)
    }
}

impl Audited<'_> {
    pub(crate) async fn set_stage(
        &self,
        name: String,
        version: Option<u32>,
        stage: Option<String>,
    ) -> Result<Model, DriverError> {
        self.write(move |driver, caller| {
            let model = driver.set_stage(&name, version, stage.as_deref())?;
            let stage = model.stage.clone().unwrap_or_default();
            let detail = detail([
                ("name", model.name.clone()),
                ("version", model.version.to_string()),
                ("stage", stage),
            ]);
            driver.record(caller, Action::Changed, SubjectKind::Model, model.id, detail);
            Ok(model)
        })
        .await
    }
}
