//! Classes and splits of files from the folders that contain them. Decides by the names alone.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use protocol::dataset::import::{ImportOptions, SplitName};

use super::split_names::split_named;

/// Class and split of each file, as its folders name them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Folders {
    /// One entry for each file, in order.
    pub places: Vec<Placement>,
    /// Level of the folders that are the classes. 1 is the folder that contains the files.
    pub level: u32,
    /// Other levels that could be the classes, each with its first names.
    pub others: Vec<(u32, Vec<String>)>,
    /// Folder of each split that one is named by.
    pub splits: BTreeMap<SplitName, String>,
}

/// Class and split of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Placement {
    /// Split by its folder, if any is named by one, and class.
    In(Option<SplitName>, String),
    /// In a folder for a split, but in none for a class.
    NoClass(Option<SplitName>),
    /// Beside the folders that are the classes.
    Beside,
    /// Beside the folders that are the splits.
    OutsideSplits,
}

impl Folders {
    /// Decides by names with `/` between folders.
    pub(super) fn from_names(names: &[&str], options: &ImportOptions) -> Self {
        let paths: Vec<Vec<&str>> = names.iter().map(|name| folders(name)).collect();
        let split_depths = split_depths(&paths, options);
        let split_depth = split_depths.first().copied();
        let located: Vec<(Option<SplitName>, bool, Vec<&str>)> = paths
            .iter()
            .map(|path| {
                let folder = split_depth.and_then(|depth| path.get(depth));
                let split = folder.and_then(|name| split_of(name, options));
                let is_outside = split_depth.is_some() && split.is_none();
                let rest = path.iter().enumerate();
                let rest = rest.filter(|(depth, _)| !split_depths.contains(depth));
                (split, is_outside, rest.map(|(_, name)| *name).collect())
            })
            .collect();
        let split_folders = paths.iter().filter_map(|path| path.get(split_depth?));
        let splits = split_folders
            .filter_map(|name| Some((split_of(name, options)?, (*name).to_owned())))
            .collect();
        let inside: Vec<&[&str]> = located
            .iter()
            .filter(|(_, is_outside, _)| !is_outside)
            .map(|(_, _, path)| path.as_slice())
            .collect();
        let tree = Tree::from_paths(&inside);
        let classes: Vec<Option<&[&str]>> =
            inside.iter().map(|path| tree.class_path(path)).collect();
        let levels = levels(&classes);
        let usual = levels.iter().position(|names| names.len() > 1).unwrap_or(0);
        let level = options.class_level.map_or(usual, |level| level.max(1) as usize - 1);
        let mut classes = classes.into_iter();
        let places = located.iter().map(|(split, is_outside, _)| {
            if *is_outside {
                return Placement::OutsideSplits;
            }
            match classes.next().flatten() {
                None => Placement::Beside,
                Some([]) => Placement::NoClass(*split),
                Some(path) => match path.len().checked_sub(level + 1).and_then(|at| path.get(at)) {
                    Some(class) => Placement::In(*split, (*class).to_owned()),
                    None => Placement::Beside,
                },
            }
        });
        let places = places.collect();
        let other = |at: &usize| *at != level && levels[*at].len() > 1;
        let others = (0..levels.len()).filter(other).map(|at| {
            let names = levels[at].iter().take(3).map(ToString::to_string).collect();
            (number(at), names)
        });
        Self { places, level: number(level), others: others.collect(), splits }
    }

    /// Number of different classes.
    pub(super) fn classes(&self) -> usize {
        let classes = self.places.iter().filter_map(|place| match place {
            Placement::In(_, class) => Some(class),
            Placement::NoClass(_) | Placement::Beside | Placement::OutsideSplits => None,
        });
        classes.collect::<BTreeSet<_>>().len()
    }
}

/// Folders that directly contain files.
struct Tree<'a> {
    with_files: HashSet<&'a [&'a str]>,
    /// Number of those in each folder.
    children: HashMap<&'a [&'a str], usize>,
    /// Folders around those.
    outer: HashSet<&'a [&'a str]>,
}

impl<'a> Tree<'a> {
    fn from_paths(paths: &[&'a [&'a str]]) -> Self {
        let with_files: HashSet<&[&str]> = paths.iter().copied().collect();
        let (mut children, mut outer) = (HashMap::new(), HashSet::new());
        for path in &with_files {
            if let Some((_, parent)) = path.split_last() {
                *children.entry(parent).or_default() += 1;
            }
            outer.extend((0..path.len()).map(|depth| &path[..depth]));
        }
        Self { with_files, children, outer }
    }

    /// Returns the path down to the folder that contains a file or, if that is a folder inside a class, down
    /// to the class. Returns `None` for files beside the classes.
    ///
    /// Folders with files can contain others with files. The outer one is a class if a folder beside it has
    /// files too. Otherwise its own files are beside the classes.
    fn class_path(&self, path: &'a [&'a str]) -> Option<&'a [&'a str]> {
        let is_class =
            |folder: &&[&str]| self.with_files.contains(folder) && self.has_siblings(folder);
        if let Some(class) = (1..path.len()).map(|depth| &path[..depth]).find(is_class) {
            return Some(class);
        }
        (!self.outer.contains(path) || self.has_siblings(path)).then_some(path)
    }

    fn has_siblings(&self, path: &[&str]) -> bool {
        let children = path.split_last().and_then(|(_, parent)| self.children.get(parent));
        children.is_some_and(|children| *children > 1)
    }
}

/// Returns the different names at each level, counted from the folder that contains the files.
fn levels<'a>(classes: &[Option<&'a [&'a str]>]) -> Vec<BTreeSet<&'a str>> {
    let mut levels: Vec<BTreeSet<&str>> = Vec::new();
    for path in classes.iter().flatten() {
        for (at, name) in path.iter().rev().enumerate() {
            if levels.len() == at {
                levels.push(BTreeSet::new());
            }
            levels[at].insert(name);
        }
    }
    levels
}

/// Returns the depths at which folders are named by splits, counted from the outermost folder. The first
/// decides. Another one is the same folder again, such as in `train/train/cat`.
fn split_depths(paths: &[Vec<&str>], options: &ImportOptions) -> Vec<usize> {
    let mut depths: Vec<usize> = Vec::new();
    let deepest = paths.iter().map(Vec::len).max().unwrap_or(0);
    for depth in 0..deepest {
        let mut names: HashMap<&str, Option<SplitName>> = HashMap::new();
        for name in paths.iter().filter_map(|path| path.get(depth)) {
            names.entry(name).or_insert_with(|| split_of(name, options));
        }
        let found: BTreeSet<SplitName> = names.values().flatten().copied().collect();
        let is_stated = names.keys().any(|name| is_stated(name, options));
        let are_all = names.values().all(Option::is_some);
        // A class can have the name of one split, such as `train` beside `bus`.
        let is_split = is_stated
            || (found.contains(&SplitName::Train) && found.len() > 1)
            || (are_all && !found.is_empty() && !is_whole(paths, depth, &names));
        if !is_split {
            continue;
        }
        let same_as_first = |first: usize| {
            paths.iter().all(|path| match (path.get(first), path.get(depth)) {
                (Some(first), Some(name)) => split_of(first, options) == split_of(name, options),
                (_, None) => true,
                (None, Some(_)) => false,
            })
        };
        if depths.first().is_none_or(|first| same_as_first(*first)) {
            depths.push(depth);
        }
    }
    depths
}

/// Whether one folder contains everything, so that its name says nothing unless it is the training split.
fn is_whole(paths: &[Vec<&str>], depth: usize, names: &HashMap<&str, Option<SplitName>>) -> bool {
    names.len() == 1
        && !names.values().any(|split| *split == Some(SplitName::Train))
        && paths.iter().all(|path| path.len() > depth)
}

fn is_stated(name: &str, options: &ImportOptions) -> bool {
    let splits: Option<&BTreeMap<String, SplitName>> = options.splits.as_ref();
    splits.is_some_and(|splits| splits.keys().any(|known| known.eq_ignore_ascii_case(name)))
}

/// Returns the split that a folder's name states, such as `train`, `test_set` or `seg_train`.
fn split_of(name: &str, options: &ImportOptions) -> Option<SplitName> {
    const FILLERS: [&str; 9] =
        ["set", "split", "data", "dataset", "images", "image", "imgs", "img", "seg"];
    if let Some(split) = split_named(name, options) {
        return Some(split);
    }
    let lower = name.to_lowercase();
    let mut words = lower
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty() && !FILLERS.contains(word));
    match (words.next(), words.next()) {
        (Some(word), None) => split_named(word, &ImportOptions::default()),
        _ => None,
    }
}

/// Returns the folders of a file's name.
fn folders(name: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    parts
}

/// Returns the number of a level from 1.
fn number(level: usize) -> u32 {
    u32::try_from(level + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns each file's split and class in one word, such as `train:cat`.
    fn placed(names: &[&str], options: &ImportOptions) -> Vec<String> {
        let word = |split: &Option<SplitName>| match split {
            None => "",
            Some(SplitName::Train) => "train:",
            Some(SplitName::Validation) => "validation:",
            Some(SplitName::Test) => "test:",
        };
        let places = Folders::from_names(names, options).places;
        let written = places.iter().map(|place| match place {
            Placement::In(split, class) => format!("{}{class}", word(split)),
            Placement::NoClass(split) => format!("{}no class", word(split)),
            Placement::Beside => "beside".to_owned(),
            Placement::OutsideSplits => "outside".to_owned(),
        });
        written.collect()
    }

    #[test]
    fn folders_are_classes_and_splits() {
        let cases: [(&[&str], &[&str]); 17] = [
            (&["cat/1.png", "dog/2.png"], &["cat", "dog"]),
            (&["pets/cat/1.png", "pets/dog/2.png"], &["cat", "dog"]),
            (
                &["train/cat/1", "val/cat/2", "test/dog/3"],
                &["train:cat", "validation:cat", "test:dog"],
            ),
            (&["p/Training/a/1", "p/Testing/b/2"], &["train:a", "test:b"]),
            (
                &["cat/train/1", "cat/val/2", "dog/train/3"],
                &["train:cat", "validation:cat", "train:dog"],
            ),
            (&["seg_train/seg_train/a/1", "seg_test/seg_test/b/2"], &["train:a", "test:b"]),
            (&["train/a/1", "train/b/2"], &["train:a", "train:b"]),
            // A folder that contains everything says nothing.
            (&["test/a/1", "test/b/2"], &["a", "b"]),
            // A vehicle.
            (&["train/1", "bus/2", "car/3"], &["train", "bus", "car"]),
            (&["test/1", "control/2"], &["test", "control"]),
            (&["train/a/1", "test/a/2", "extra/a/3"], &["train:a", "test:a", "outside"]),
            (&["preview", "pets/cat/1", "pets/dog/2"], &["beside", "cat", "dog"]),
            (&["pets/preview", "pets/cat/1", "pets/dog/2"], &["beside", "cat", "dog"]),
            // A folder inside a class.
            (&["cat/1", "cat/old/2", "dog/3"], &["cat", "cat", "dog"]),
            (&["cat/images/1", "dog/images/2"], &["cat", "dog"]),
            (&["m/cat/1", "m/dog/2", "b/owl/3"], &["cat", "dog", "owl"]),
            (&["train/1", "test/2"], &["train:no class", "test:no class"]),
        ];
        for (names, expected) in cases {
            assert_eq!(placed(names, &ImportOptions::default()), expected, "{names:?}");
        }
    }

    #[test]
    fn options_choose_the_level_and_name_splits() {
        let names = ["m/cat/1", "m/dog/2", "b/owl/3"];
        let usual = Folders::from_names(&names, &ImportOptions::default());
        assert_eq!(
            (usual.level, usual.others),
            (1, vec![(2, vec!["b".to_owned(), "m".to_owned()])])
        );
        let options = ImportOptions { class_level: Some(2), ..ImportOptions::default() };
        assert_eq!(placed(&names, &options), ["m", "m", "b"]);
        assert_eq!(Folders::from_names(&names, &options).others[0].0, 1);
        let options = ImportOptions { class_level: Some(9), ..ImportOptions::default() };
        assert_eq!(placed(&names, &options), ["beside"; 3]);
        let splits =
            [("fold1".to_owned(), SplitName::Test), ("fold2".to_owned(), SplitName::Train)];
        let options = ImportOptions { splits: Some(splits.into()), ..ImportOptions::default() };
        assert_eq!(placed(&["fold1/a/1", "fold2/b/2"], &options), ["test:a", "train:b"]);
    }
}
