//! File layout of the hub's dataset repositories: `<config>/<split>-<part>-of-<parts>.parquet`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::published::Files;

/// Files of both splits, each in the order of its parts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Splits {
    pub train: Vec<String>,
    pub test: Vec<String>,
}

/// Selects the files of the first folder (by name) with all parts of a train and of a test split.
/// Paths are relative to the repository and use `/`.
pub(crate) fn splits<'a>(paths: impl IntoIterator<Item = &'a str>) -> Option<Splits> {
    let mut folders: BTreeMap<&str, [Parts; 2]> = BTreeMap::new();
    for path in paths {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(part) = Part::parse(file) else { continue };
        let split = match part.split {
            "train" => 0,
            "test" => 1,
            _ => continue,
        };
        folders.entry(folder).or_default()[split].insert((part.parts, part.number), path);
    }
    folders
        .values()
        .find_map(|[train, test]| Some(Splits { train: complete(train)?, test: complete(test)? }))
}

/// Returns the files of each complete split of each folder, in the order of their parts.
pub(crate) fn parts<'a>(
    paths: impl IntoIterator<Item = &'a str>,
) -> BTreeMap<(&'a str, &'a str), Vec<String>> {
    let mut splits: BTreeMap<(&str, &str), Parts<'_>> = BTreeMap::new();
    for path in paths {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(part) = Part::parse(file) else { continue };
        splits.entry((folder, part.split)).or_default().insert((part.parts, part.number), path);
    }
    let complete = |(key, parts): (_, Parts<'_>)| Some((key, complete(&parts)?));
    splits.into_iter().filter_map(complete).collect()
}

/// Returns both splits of a repository in a folder, or `None` if it is incomplete.
pub(crate) fn on_disk(repository: &Path) -> Option<Files> {
    let mut paths = Vec::new();
    for folder in fs::read_dir(repository).ok()?.filter_map(Result::ok) {
        let config = folder.file_name().to_string_lossy().into_owned();
        for file in fs::read_dir(folder.path()).into_iter().flatten().filter_map(Result::ok) {
            // A link with a missing target does not count.
            if file.path().is_file() {
                paths.push(format!("{config}/{}", file.file_name().to_string_lossy()));
            }
        }
    }
    let Splits { train, test } = splits(paths.iter().map(String::as_str))?;
    let join = |paths: Vec<String>| paths.iter().map(|path| repository.join(path)).collect();
    Some(Files { train: join(train), test: join(test) })
}

/// (parts, number) → path.
type Parts<'a> = BTreeMap<(u32, u32), &'a str>;

struct Part<'a> {
    split: &'a str,
    number: u32,
    parts: u32,
}

impl<'a> Part<'a> {
    fn parse(file: &'a str) -> Option<Self> {
        let stem = file.strip_suffix(".parquet")?;
        let (rest, parts) = stem.rsplit_once("-of-")?;
        let (split, number) = rest.rsplit_once('-')?;
        Some(Self { split, number: number.parse().ok()?, parts: parts.parse().ok()? })
    }
}

/// Returns the paths of a complete split.
fn complete(parts: &Parts<'_>) -> Option<Vec<String>> {
    let count = parts.keys().next()?.0;
    let paths: Vec<String> = (0..count)
        .map_while(|number| parts.get(&(count, number)))
        .map(ToString::to_string)
        .collect();
    (count > 0 && paths.len() == count as usize).then_some(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_in_order() {
        let found = splits([
            "README.md",
            "data/train-00001-of-00002.parquet",
            "data/unsupervised-00000-of-00001.parquet",
            "data/test-00000-of-00001.parquet",
            "data/train-00000-of-00002.parquet",
        ]);
        let found = found.unwrap();
        assert_eq!(
            found.train,
            ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]
        );
        assert_eq!(found.test, ["data/test-00000-of-00001.parquet"]);
    }

    #[test]
    fn an_incomplete_split_is_ignored() {
        assert_eq!(
            splits(["a/train-00000-of-00002.parquet", "a/test-00000-of-00001.parquet"]),
            None
        );
        assert_eq!(splits(["a/train-00000-of-00001.parquet"]), None);
        assert_eq!(splits(["a/train-0-of-4294967295.parquet", "a/test-0-of-0.parquet"]), None);
    }
}
