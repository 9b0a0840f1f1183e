//! Any dataset repository of the hub as a source of an import.

use std::collections::{BTreeMap, BTreeSet};

use protocol::dataset::import::FileRole;

use super::settings::HubSettings;
use super::store::Store;
use super::wire::Wire;
use crate::{DataError, ImportFile, LoadProgress, layout};

/// Dataset repository of the hub, and one of its configurations: `OWNER/NAME` or `OWNER/NAME:CONFIG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryId {
    pub repository: String,
    pub config: Option<String>,
}

impl RepositoryId {
    /// Parses an id. Returns `None` if the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let (repository, config) = match text.split_once(':') {
            Some((repository, config)) => (repository, Some(config)),
            None => (text, None),
        };
        let (owner, name) = repository.split_once('/')?;
        let is_name = |name: &str| {
            let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
            (1..=96).contains(&name.len())
                && name.bytes().all(good)
                && !name.starts_with(['.', '-'])
                && !name.contains("..")
        };
        if ![Some(owner), Some(name), config].into_iter().flatten().all(is_name) {
            return None;
        }
        Some(Self { repository: repository.to_owned(), config: config.map(str::to_owned) })
    }
}

/// Returns the files of a repository with their splits, and downloads missing ones. A repository that is
/// complete in the cache is used as it is.
pub(crate) fn fetch(
    settings: &HubSettings,
    id: &RepositoryId,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Vec<ImportFile>, DataError> {
    let repository = id.repository.as_str();
    let offline = |reason: &str| DataError::Offline {
        name: repository.to_owned(),
        repository: repository.to_owned(),
        reason: reason.to_owned(),
    };
    let Some(store) = Store::open(settings, repository) else {
        return Err(offline("there is no home folder for downloads"));
    };
    if let Some((folder, files)) = store.snapshot()
        && let Ok(chosen) = choose(id, &files)
    {
        let paths = || chosen.iter().map(|(file, role)| (folder.join(file), *role));
        let mut intact = true;
        for (path, _) in paths() {
            intact &= Store::check_cached(&path)?;
        }
        if intact {
            return Ok(paths().map(|(path, role)| ImportFile { path, role }).collect());
        }
    }
    if settings.offline {
        return Err(offline("HF_HUB_OFFLINE is set"));
    }
    let wire = Wire::open(settings, (repository, repository), &store.cache, &store.repo);
    let listing = wire.listing()?;
    let chosen = choose(id, &listing.files)?;
    for (file, _) in &chosen {
        store.place(&wire, &listing.commit, file, progress)?;
    }
    store.set_main_branch(&listing.commit)?;
    let path = |(file, role): (String, FileRole)| ImportFile {
        path: store.path(&listing.commit, &file),
        role,
    };
    Ok(chosen.into_iter().map(path).collect())
}

/// Selects the files of one configuration: all Parquet parts of each split, which the hub makes for most
/// repositories.
fn choose(id: &RepositoryId, files: &[String]) -> Result<Vec<(String, FileRole)>, DataError> {
    let missing = |what: String| DataError::Missing { repository: id.repository.clone(), what };
    let mut configs: BTreeMap<&str, Vec<(String, FileRole)>> = BTreeMap::new();
    for ((folder, split), parts) in layout::parts(files.iter().map(String::as_str)) {
        let role = match split {
            "train" => FileRole::Train,
            "validation" | "valid" | "val" | "dev" => FileRole::Validation,
            "test" => FileRole::Test,
            _ => continue,
        };
        let of_config = configs.entry(folder).or_default();
        of_config.extend(parts.into_iter().map(|part| (part, role)));
    }
    configs.retain(|_, files| files.iter().any(|(_, role)| *role == FileRole::Train));
    let name = |folder: &str| folder.rsplit('/').next().unwrap_or(folder).to_owned();
    let known: BTreeSet<String> = configs.keys().map(|folder| name(folder)).collect();
    let known = known.into_iter().collect::<Vec<_>>().join(", ");
    if let Some(config) = &id.config {
        let found = configs.into_iter().find(|(folder, _)| name(folder) == *config);
        return found.map(|(_, files)| files).ok_or_else(|| {
            missing(format!("complete configuration `{config}` as Parquet (it has: {known})"))
        });
    }
    if configs.len() > 1 {
        let file = id.repository.clone();
        let reason = format!(
            "has several configurations; name one of them, as {}:CONFIG: {known}",
            id.repository
        );
        return Err(DataError::File { file, reason });
    }
    let only = configs.into_values().next();
    only.ok_or_else(|| missing("complete training split as Parquet files".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_an_owner_a_name_and_perhaps_a_configuration() {
        let id = RepositoryId::parse("ylecun/mnist").unwrap();
        assert_eq!((id.repository.as_str(), id.config), ("ylecun/mnist", None));
        let id = RepositoryId::parse("nyu-mll/glue:sst2").unwrap();
        assert_eq!((id.repository.as_str(), id.config.as_deref()), ("nyu-mll/glue", Some("sst2")));
        for text in ["mnist", "a/b/c", "../x", "a/..", "/a", "a/", "a/b:", "a b/c", "~/file", "./a"]
        {
            assert_eq!(RepositoryId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn one_configuration_is_chosen_or_asked_for() {
        let files = [
            "README.md",
            "sst2/train-00000-of-00001.parquet",
            "sst2/validation-00000-of-00001.parquet",
            "sst2/other-00000-of-00001.parquet",
            "cola/train-00000-of-00002.parquet",
            "cola/train-00001-of-00002.parquet",
            "mrpc/train-00000-of-00002.parquet",
        ]
        .map(str::to_owned);
        let id = |text: &str| RepositoryId::parse(text).unwrap();
        let error = choose(&id("a/b"), &files).unwrap_err().to_string();
        assert!(error.contains("as a/b:CONFIG: cola, sst2"), "{error}");
        let chosen = choose(&id("a/b:sst2"), &files).unwrap();
        let names: Vec<_> = chosen.iter().map(|(file, role)| (file.as_str(), *role)).collect();
        assert_eq!(
            names,
            [
                ("sst2/train-00000-of-00001.parquet", FileRole::Train),
                ("sst2/validation-00000-of-00001.parquet", FileRole::Validation),
            ]
        );
        // One part of two is missing.
        let error = choose(&id("a/b:mrpc"), &files).unwrap_err().to_string();
        assert!(error.contains("complete configuration `mrpc`"), "{error}");
    }
}
