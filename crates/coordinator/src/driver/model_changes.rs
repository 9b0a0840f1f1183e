//! Archiving, renaming and deletion of registered models.

use protocol::api::{ChangeKind, Model};
use protocol::audit::{Action, SubjectKind};

use super::audited::Audited;
use super::job_changes::archive_action;
use super::{Driver, DriverError};
use crate::access::caller::detail;
use crate::clock;
use crate::steps::register::download_path;
use crate::store::ModelName;

impl Driver {
    /// Gives all versions of a model another name, and returns the newest.
    fn rename_model(&mut self, name: &str, new: &str) -> Result<Model, DriverError> {
        let rows = self.model_versions(name)?;
        if self.model_versions(new).is_ok() {
            return Err(DriverError::NameTaken { kind: "model", name: new.to_owned() });
        }
        let before = self.state.model_names.remove(&name.to_owned()).unwrap_or_default();
        // The numbers of deleted versions are not used again.
        let used = self.state.model_names.get(&new.to_owned()).map_or(0, |name| name.newest);
        let names = ModelName { newest: before.newest.max(used), ..before };
        self.state.model_names.insert(new.to_owned(), names);
        let mut newest = None;
        for mut row in rows.into_values() {
            new.clone_into(&mut row.model.name);
            row.model.checkpoint_path = download_path(new, row.model.version);
            newest = Some(row.model.clone());
            self.put_model(row);
        }
        newest.ok_or_else(|| DriverError::UnknownModel(name.to_owned()))
    }

    fn archive_model(&mut self, name: &str, hide: bool) -> Result<(Model, bool), DriverError> {
        let rows = self.model_versions(name)?;
        let mut names = self.state.model_names.get(&name.to_owned()).copied().unwrap_or_default();
        let changes = names.archived_at.is_some() != hide;
        names.archived_at = hide.then(clock::now);
        self.state.model_names.insert(name.to_owned(), names);
        for row in rows.values() {
            self.pending.changed(ChangeKind::Model, row.model.id.to_string());
        }
        let newest = rows.into_values().next_back().map(|row| row.model);
        let newest = newest.ok_or_else(|| DriverError::UnknownModel(name.to_owned()))?;
        Ok((Model { archived: hide, ..newest }, changes))
    }

    /// Removes a version, or all of them, and returns what it removed.
    fn delete_model(
        &mut self,
        name: &str,
        version: Option<u32>,
    ) -> Result<Vec<Model>, DriverError> {
        let rows = self.model_versions(name)?.into_values().map(|row| row.model);
        let (gone, kept): (Vec<Model>, Vec<Model>) =
            rows.partition(|model| version.is_none_or(|wanted| wanted == model.version));
        if gone.is_empty() {
            return Err(DriverError::UnknownModel(name.to_owned()));
        }
        let in_stage = gone.iter().filter_map(|model| {
            let stage = model.stage.as_ref()?;
            Some(format!(
                "version {} is the stage '{stage}'; remove its stage first",
                model.version
            ))
        });
        let users: Vec<String> = in_stage.collect();
        if !users.is_empty() {
            return Err(DriverError::InUse { what: format!("model '{name}'"), users });
        }
        for model in &gone {
            self.state.models.remove(&model.id);
            self.state.removed_models.insert(model.id, ());
            self.state.model_files.remove(&model.id);
            self.garbage.insert(model.blake3);
            self.pending.changed(ChangeKind::Model, model.id.to_string());
        }
        if kept.is_empty() {
            let key = name.to_owned();
            let names = self.state.model_names.get(&key).copied().unwrap_or_default();
            self.state.model_names.insert(key, ModelName { archived_at: None, ..names });
        }
        Ok(gone)
    }
}

impl Audited<'_> {
    pub(crate) async fn rename_model(
        &self,
        name: String,
        new: String,
    ) -> Result<Model, DriverError> {
        self.write(move |driver, caller| {
            let model = driver.rename_model(&name, &new)?;
            let detail = detail([("name", new), ("before", name)]);
            driver.record(caller, Action::Renamed, SubjectKind::Model, model.id, detail);
            Ok(model)
        })
        .await
    }

    /// Hides a model, with all its versions, from lists, or shows it again.
    pub(crate) async fn archive_model(
        &self,
        name: String,
        hide: bool,
    ) -> Result<Model, DriverError> {
        self.write(move |driver, caller| {
            let (model, changes) = driver.archive_model(&name, hide)?;
            if changes {
                let detail = detail([("name", name)]);
                driver.record(caller, archive_action(hide), SubjectKind::Model, model.id, detail);
            }
            Ok(model)
        })
        .await
    }

    pub(crate) async fn delete_model(
        &self,
        name: String,
        version: Option<u32>,
    ) -> Result<(), DriverError> {
        self.write(move |driver, caller| {
            for model in driver.delete_model(&name, version)? {
                let detail = detail([
                    ("name", model.name),
                    ("version", model.version.to_string()),
                    ("blake3", model.blake3.to_string()),
                ]);
                driver.record(caller, Action::Removed, SubjectKind::Model, model.id, detail);
            }
            Ok(())
        })
        .await
    }
}
