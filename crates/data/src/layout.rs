//! The hub's layout of a dataset repository: `<config>/<split>-<part>-of-<parts>.parquet`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::published::Files;

/// The files of both splits, each in the order of its parts.
#[derive(Debug, PartialEq, Eq)]
pub struct Splits {
    pub train: Vec<String>,
    pub test: Vec<String>,
}

/// Chooses the files of the first folder (by name) that has every part of a train and of a test
/// split. Paths are relative to the repository, with `/` between.
pub fn splits<'a>(paths: impl IntoIterator<Item = &'a str>) -> Option<Splits> {
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
        .find_map(|[train, test]| Some(Splits { train: whole(train)?, test: whole(test)? }))
}

/// Both splits of a repository that lies in a folder, or `None` where it is not all there.
pub fn on_disk(repository: &Path) -> Option<Files> {
    let mut paths = Vec::new();
    for folder in fs::read_dir(repository).ok()?.filter_map(Result::ok) {
        let config = folder.file_name().to_string_lossy().into_owned();
        for file in fs::read_dir(folder.path()).into_iter().flatten().filter_map(Result::ok) {
            // A link whose target is gone is no file.
            if file.path().is_file() {
                paths.push(format!("{config}/{}", file.file_name().to_string_lossy()));
            }
        }
    }
    let Splits { train, test } = splits(paths.iter().map(String::as_str))?;
    let here = |paths: Vec<String>| paths.iter().map(|path| repository.join(path)).collect();
    Some(Files { train: here(train), test: here(test) })
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

/// The paths of a split that is all there.
fn whole(parts: &Parts<'_>) -> Option<Vec<String>> {
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
    fn parts_come_in_order() {
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
    fn a_split_that_lacks_a_part_does_not_count() {
        assert_eq!(
            splits(["a/train-00000-of-00002.parquet", "a/test-00000-of-00001.parquet"]),
            None
        );
        assert_eq!(splits(["a/train-00000-of-00001.parquet"]), None);
        assert_eq!(splits(["a/train-0-of-4294967295.parquet", "a/test-0-of-0.parquet"]), None);
    }
}
