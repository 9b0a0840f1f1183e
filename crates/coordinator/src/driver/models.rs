//! Stages of registered models, such as the version in production.

use std::collections::BTreeMap;

use protocol::api::{ChangeKind, Model};
use protocol::audit::{Action, SubjectKind};

use super::audited::Audited;
use super::{Driver, DriverError};
use crate::access::caller::detail;
use crate::store::ModelRow;

impl Driver {
    /// Sets the stage of a version, or of the newest version if none is given. `None` clears the stage. A
    /// stage holds one version of each model, so another version in it loses its stage.
    fn set_stage(
        &mut self,
        name: &str,
        version: Option<u32>,
        stage: Option<&str>,
    ) -> Result<Model, DriverError> {
        let stored = self.store.versions(name)?.into_iter();
        let pending = self.state.models.values().filter(|row| row.model.name == name).cloned();
        // Changes of this batch override stored rows.
        let mut rows: BTreeMap<u32, ModelRow> =
            stored.chain(pending).map(|row| (row.model.version, row)).collect();
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
                row.card["model"]["stage"] = row.model.stage.clone().into();
                self.pending.changed(ChangeKind::Model, row.model.id.to_string());
                self.state.models.insert(row.model.id, row);
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
