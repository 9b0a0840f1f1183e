//! Choice among several tables: the split of each, from its role, its name or its folder.

use std::collections::{BTreeMap, BTreeSet};

use protocol::dataset::import::{ImportOptions, OpenQuestion, SplitName};

use super::import_file::TableFile;
use super::rows::Bad;
use super::source_files::SourceFile;
use super::split_names::{split_named, split_of_file};

/// Most files that a question names.
const MOST_CHOICES: usize = 20;

/// Tables to read.
#[derive(Debug, Default)]
pub(super) struct TableChoice {
    pub tables: Vec<TableFile>,
    pub questions: Vec<OpenQuestion>,
    pub warnings: Vec<String>,
}

/// Table whose split is known or not.
struct Candidate<'a> {
    file: &'a SourceFile,
    split: Option<SplitName>,
    is_stated: bool,
}

/// Chooses the tables to read, in the order of their rows. The others are left out by name.
pub(super) fn choose(
    tables: &[&SourceFile],
    options: &ImportOptions,
    bad: &mut Bad,
) -> TableChoice {
    if let [only] = tables {
        return TableChoice { tables: vec![table(only, only.split)], ..TableChoice::default() };
    }
    let candidates: Vec<Candidate<'_>> =
        tables.iter().map(|file| Candidate::from_file(file, options)).collect();
    let is_stated = candidates.iter().any(|candidate| candidate.is_stated);
    let (mut named, unnamed): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|candidate| {
        if is_stated {
            candidate.is_stated || candidate.file.split.is_some()
        } else {
            candidate.split.is_some()
        }
    });
    let has_train = named.iter().any(|candidate| candidate.split == Some(SplitName::Train));
    let mut choice = TableChoice::default();
    let unnamed_files: Vec<&SourceFile> = unnamed.iter().map(|candidate| candidate.file).collect();
    if has_train {
        for file in unnamed_files {
            bad.leave_out(
                &file.name,
                None,
                "its name states no split",
                "name its split with --split FILE=train",
            );
        }
    } else if !unnamed.is_empty() && are_parts(&unnamed_files) {
        if !named.is_empty() {
            let parts: Vec<&str> = unnamed_files.iter().map(|file| file.name.as_str()).collect();
            choice.warnings.push(format!(
                "{} is the training split, because no file is named train",
                parts.join(", ")
            ));
        }
        let train = unnamed.into_iter().map(|it| Candidate { split: Some(SplitName::Train), ..it });
        named.extend(train);
    } else {
        choice.questions.push(question(tables));
        return choice;
    }
    if has_several_sets(&named) {
        choice.questions.push(question(tables));
        return choice;
    }
    choice.tables = named.iter().map(|candidate| table(candidate.file, candidate.split)).collect();
    choice
}

impl<'a> Candidate<'a> {
    fn from_file(file: &'a SourceFile, options: &ImportOptions) -> Self {
        let (folder, own) = file.name.rsplit_once('/').unwrap_or(("", &file.name));
        let stated = options.splits.as_ref().and_then(|splits| {
            let stem = own.split('.').next().unwrap_or(own);
            let names = [file.name.as_str(), own, stem].into_iter().chain(folder.split('/'));
            names.filter(|name| !name.is_empty()).find_map(|name| {
                splits
                    .iter()
                    .find(|(known, _)| known.eq_ignore_ascii_case(name))
                    .map(|(_, split)| *split)
            })
        });
        let by_folder = || folder.split('/').rev().find_map(|name| split_named(name, options));
        let split =
            file.split.or(stated).or_else(|| split_of_file(own, options)).or_else(by_folder);
        Self { file, split, is_stated: stated.is_some() }
    }
}

fn table(file: &SourceFile, split: Option<SplitName>) -> TableFile {
    TableFile {
        path: file.path.clone(),
        name: file.name.clone(),
        split,
        is_stated: file.split.is_some(),
    }
}

/// Whether the names of files differ only by numbers, as those of a table in parts do.
fn are_parts(files: &[&SourceFile]) -> bool {
    let without_numbers = |file: &&SourceFile| {
        let own = file.name.chars().filter(|character| !character.is_ascii_digit());
        own.collect::<String>()
    };
    let names: BTreeSet<String> = files.iter().map(without_numbers).collect();
    names.len() == 1
}

/// Whether one split comes from several folders, or in several formats. These are probably different
/// datasets, or the same rows twice.
fn has_several_sets(candidates: &[Candidate<'_>]) -> bool {
    let mut sets: BTreeMap<SplitName, BTreeSet<String>> = BTreeMap::new();
    for candidate in
        candidates.iter().filter(|candidate| !candidate.is_stated && candidate.file.split.is_none())
    {
        let (folder, own) =
            candidate.file.name.rsplit_once('/').unwrap_or(("", &candidate.file.name));
        let ending = own.split_once('.').map_or("", |(_, ending)| ending);
        let set = format!("{folder}/{}", ending.to_lowercase());
        sets.entry(candidate.split.unwrap_or(SplitName::Train)).or_default().insert(set);
    }
    sets.values().any(|sets| sets.len() > 1)
}

fn question(tables: &[&SourceFile]) -> OpenQuestion {
    let names = tables.iter().take(MOST_CHOICES);
    OpenQuestion {
        question: format!("which split is each of the {} tables?", tables.len()),
        option: "splits".to_owned(),
        flag: "--split".to_owned(),
        choices: names.map(|file| format!("{}=train", file.name)).collect(),
    }
}
