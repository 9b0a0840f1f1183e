//! Flags of an import: the files and the decisions about how they are read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, ValueEnum};
use protocol::dataset::import::{
    DatasetTask, FileRole, ImageSize, ImportOptions, Quote, SplitName, TestSplit,
};
use protocol::dataset::import_check::{self, InvalidOption};

/// Files and decisions of an import.
#[derive(Debug, Args)]
pub(super) struct ImportFlags {
    /// Files, folders or pipes to read (`-` reads standard input), or one dataset of the Hugging Face hub: OWNER/NAME or OWNER/NAME:CONFIG
    #[arg(required_unless_present_any = ["test_file", "validation_file"], value_name = "FILE")]
    files: Vec<PathBuf>,
    /// File with the test split
    #[arg(long = "test", id = "test_file", value_name = "FILE")]
    test: Vec<PathBuf>,
    /// File with the validation split
    #[arg(long = "validation", id = "validation_file", value_name = "FILE")]
    validation: Vec<PathBuf>,
    #[command(flatten)]
    decisions: Decisions,
}

/// Decisions that are detected if their flag is left out.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "How the files are read (detected if left out)")]
struct Decisions {
    /// Columns of the text, joined by a space. A column without a name is its number, from 1
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    text: Option<Vec<String>>,
    /// Column of the label
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// Column that names whom a row belongs to. Rows of one key stay in one split
    #[arg(long, value_name = "COLUMN")]
    key: Option<String>,
    /// Column with encoded images
    #[arg(long, value_name = "COLUMN")]
    image: Option<String>,
    /// The first row holds the names of the columns
    #[arg(long, conflicts_with = "no_header")]
    header: bool,
    /// The first row is data
    #[arg(long)]
    no_header: bool,
    /// Separator of the columns: one character, or comma, semicolon, tab, pipe or space
    #[arg(long, value_name = "SEPARATOR")]
    separator: Option<String>,
    /// Quote character
    #[arg(long, value_enum, value_name = "QUOTE")]
    quote: Option<QuoteFlag>,
    /// Encoding of the text, such as windows-1252 or utf-16le
    #[arg(long, value_name = "ENCODING")]
    encoding: Option<String>,
    /// Sheet of a workbook
    #[arg(long, value_name = "NAME")]
    sheet: Option<String>,
    /// Split of the files, folders or values of a name, such as validation=val; or how the test split is taken:
    /// stratified or tail. Can be repeated
    #[arg(long, value_name = "SPLIT=NAME|stratified|tail", value_parser = split)]
    split: Vec<SplitFlag>,
    /// Scale all images to this size, such as 64x64 (width and height in pixels)
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size)]
    resize: Option<ImageSize>,
    /// Values that count as missing, besides the empty one [default: na,n/a,nan,null,none]
    #[arg(long, value_name = "VALUES", value_delimiter = ',')]
    missing: Option<Vec<String>>,
    /// Read at most this number of rows of each split
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Join classes that differ only by case, spaces, Unicode form, invisible characters or 1 and 1.0
    #[arg(long)]
    merge_classes: bool,
    /// Level of the folders that are the classes: 1 is the folder that contains the images
    #[arg(long, value_name = "N")]
    class_level: Option<u32>,
    /// What models learn from the rows
    #[arg(long, value_enum, value_name = "TASK")]
    task: Option<TaskFlag>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum QuoteFlag {
    Double,
    Single,
    /// Quotes are letters
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TaskFlag {
    /// The class of a row
    Classification,
    /// The text itself; the rows have no labels
    Language,
}

/// Value of `--split`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SplitFlag {
    Named { name: String, split: SplitName },
    Taken(TestSplit),
}

impl ImportFlags {
    /// Returns the repository of the hub, if the files are one. A file or folder of this name comes first.
    pub(super) fn hub(&self) -> Option<&str> {
        let ([only], [], []) =
            (self.files.as_slice(), self.validation.as_slice(), self.test.as_slice())
        else {
            return None;
        };
        only.to_str().filter(|text| is_hub_id(text) && !only.exists())
    }

    /// Returns the files with their roles, in the order in which they are read.
    pub(super) fn files(&self) -> Vec<(PathBuf, FileRole)> {
        let roles = [
            (&self.files, FileRole::Data),
            (&self.validation, FileRole::Validation),
            (&self.test, FileRole::Test),
        ];
        let of = |(files, role): (&Vec<PathBuf>, FileRole)| -> Vec<_> {
            files.iter().map(|file| (file.clone(), role)).collect()
        };
        roles.into_iter().flat_map(of).collect()
    }

    /// Returns the decisions. Fails if one can't be right whatever the files contain.
    pub(super) fn options(&self) -> anyhow::Result<ImportOptions> {
        let options = self.decisions.options()?;
        if let Err(InvalidOption { field, detail }) = import_check::check(&options) {
            bail!("{} {detail}", flag(field));
        }
        Ok(options)
    }
}

fn is_hub_id(text: &str) -> bool {
    let is_name = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain)
    };
    let (repository, config) = text.split_once(':').unwrap_or((text, "default"));
    let names = repository.split_once('/');
    names.is_some_and(|(owner, name)| is_name(owner) && is_name(name)) && is_name(config)
}

/// Returns the flag of a field of [`ImportOptions`].
fn flag(field: &str) -> String {
    match field {
        "splits" => "--split".to_owned(),
        field => format!("--{}", field.replace('_', "-")),
    }
}

impl Decisions {
    fn options(&self) -> anyhow::Result<ImportOptions> {
        let header = match (self.header, self.no_header) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        };
        let (mut splits, mut test_split) = (BTreeMap::new(), None);
        for flag in &self.split {
            match flag {
                SplitFlag::Named { name, split } => {
                    let other = splits.insert(name.clone(), *split);
                    if other.is_some_and(|other| other != *split) {
                        bail!("--split gives `{name}` two splits; leave one out");
                    }
                }
                SplitFlag::Taken(taken) => {
                    if test_split.replace(*taken).is_some_and(|other| other != *taken) {
                        bail!("--split is stratified and tail; leave one out");
                    }
                }
            }
        }
        let missing = self.missing.clone();
        Ok(ImportOptions {
            text: self.text.clone(),
            label: self.label.clone(),
            key: self.key.clone(),
            image: self.image.clone(),
            header,
            separator: self.separator.clone(),
            quote: self.quote.map(|quote| match quote {
                QuoteFlag::Double => Quote::Double,
                QuoteFlag::Single => Quote::Single,
                QuoteFlag::None => Quote::None,
            }),
            encoding: self.encoding.clone(),
            sheet: self.sheet.clone(),
            splits: (!splits.is_empty()).then_some(splits),
            test_split,
            resize: self.resize,
            class_level: self.class_level,
            // `--missing ""` means that only the empty value is missing.
            missing: missing.map(|values| values.into_iter().filter(|it| !it.is_empty()).collect()),
            merge_classes: self.merge_classes.then_some(true),
            task: self.task.map(|task| match task {
                TaskFlag::Classification => DatasetTask::Classification,
                TaskFlag::Language => DatasetTask::Language,
            }),
            limit: self.limit,
        })
    }
}

fn split(text: &str) -> Result<SplitFlag, String> {
    match (text, text.split_once('=')) {
        ("tail", _) => Ok(SplitFlag::Taken(TestSplit::Tail)),
        ("stratified", _) => Ok(SplitFlag::Taken(TestSplit::Stratified)),
        (_, Some((split, name))) => {
            let split = match split {
                "train" => SplitName::Train,
                "validation" => SplitName::Validation,
                "test" => SplitName::Test,
                other => return Err(format!("`{other}` must be train, validation or test")),
            };
            Ok(SplitFlag::Named { name: name.to_owned(), split })
        }
        (_, None) => Err("must be SPLIT=NAME such as validation=val, or tail or stratified".into()),
    }
}

fn size(text: &str) -> Result<ImageSize, String> {
    let wrong = || "must be WIDTHxHEIGHT in pixels, such as 64x64".to_owned();
    let (width, height) = text.split_once(['x', '×']).ok_or_else(wrong)?;
    let pixels = |text: &str| text.parse().map_err(|_| wrong());
    Ok(ImageSize { width: pixels(width)?, height: pixels(height)? })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        flags: ImportFlags,
    }

    fn options(line: &str) -> anyhow::Result<serde_json::Value> {
        let words = std::iter::once("add").chain(line.split(' '));
        Ok(serde_json::to_value(Line::try_parse_from(words)?.flags.options()?)?)
    }

    #[test]
    fn every_flag_becomes_its_option() {
        let line = "a.csv --text title,body --label stars --key user --no-header --separator tab \
                    --quote none --encoding windows-1252 --sheet S --split validation=val \
                    --split test=x --split tail --resize 64x48 --missing na,null --limit 5 \
                    --merge-classes --class-level 2 --task language";
        let expected = serde_json::json!({
            "text": ["title", "body"], "label": "stars", "key": "user", "header": false,
            "separator": "tab", "quote": "none", "encoding": "windows-1252", "sheet": "S",
            "splits": { "val": "validation", "x": "test" }, "test_split": "tail",
            "resize": { "width": 64, "height": 48 }, "missing": ["na", "null"], "limit": 5,
            "merge_classes": true, "class_level": 2, "task": "language"
        });
        assert_eq!(options(line).unwrap(), expected);
        assert_eq!(options("a.csv").unwrap(), serde_json::json!({}));
        let other = serde_json::json!({ "header": true, "image": "png", "missing": [] });
        assert_eq!(options("a.csv --header --image png --missing=").unwrap(), other);
    }

    #[test]
    fn a_value_that_can_t_be_right_is_refused_with_its_flag() {
        for (line, message) in [
            ("a.csv --split val", "SPLIT=NAME"),
            ("a.csv --split dev=val", "`dev` must be train, validation or test"),
            ("a.csv --split test=a --split train=a", "two splits"),
            ("a.csv --split tail --split stratified", "leave one out"),
            ("a.csv --resize 64", "WIDTHxHEIGHT"),
            ("a.csv --resize 64x0", "--resize must be"),
            ("a.csv --separator tabs", "--separator must be one character"),
            ("a.csv --text a --label a", "--label names `a`"),
            ("a.csv --header --no-header", "--no-header"),
            ("--limit 3", "FILE"),
        ] {
            let error = options(line).unwrap_err().to_string();
            assert!(error.contains(message), "{line}: {error}");
        }
    }

    #[test]
    fn a_hub_id_is_told_from_a_path() {
        let hub = |line: &str| {
            let words = std::iter::once("add").chain(line.split(' '));
            Line::try_parse_from(words).unwrap().flags.hub().map(str::to_owned)
        };
        assert_eq!(hub("fancyzhx/ag_news").as_deref(), Some("fancyzhx/ag_news"));
        assert_eq!(hub("owner/name:en.us").as_deref(), Some("owner/name:en.us"));
        for path in
            ["a.csv", "./a/b.csv", "/a/b", "a/b/c", "../a", "owner/name --test t.csv", "a/ b/c"]
        {
            assert_eq!(hub(path), None, "{path}");
        }
        // This file's folder exists, so it is no hub id.
        assert!(std::path::Path::new("src/commands").exists() && hub("src/commands").is_none());
    }

    #[test]
    fn files_have_the_roles_of_their_flags() {
        let line = "add a.csv b.csv --test t.csv --validation v.csv";
        let flags = Line::try_parse_from(line.split(' ')).unwrap().flags;
        let named = |name: &str, role| (PathBuf::from(name), role);
        let expected = [
            named("a.csv", FileRole::Data),
            named("b.csv", FileRole::Data),
            named("v.csv", FileRole::Validation),
            named("t.csv", FileRole::Test),
        ];
        assert_eq!(flags.files(), expected);
        assert!(Line::try_parse_from("add --test t.csv".split(' ')).is_ok());
    }
}
