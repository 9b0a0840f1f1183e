//! Choice among the files of an import: images, texts or tables.

use std::path::Path;

use protocol::dataset::import::{Confidence, ImportOptions};

use super::class_folders::Folders;
use super::content::Content;
use super::import_file::ImportFile;
use super::label_table::{self, LabelTable};
use super::limits::Reading;
use super::rows::{Bad, Gathered};
use super::source_files::{SourceFile, SourceFiles};
use super::table_files::{self, TableChoice};
use super::{image_files, parquet_images, tables, text_files};
use crate::DataError;

/// Reads files and folders.
pub(super) fn gather(
    files: &[ImportFile],
    options: &ImportOptions,
    reading: &mut Reading<'_>,
) -> Result<Gathered, DataError> {
    let path = files.first().map_or(Path::new(""), |file| &file.path);
    let mut sources = SourceFiles::from_files(files, reading)?;
    let mut gathered =
        choose(path, &sources, options, reading).map_err(|error| sources.named(error))?;
    gathered.bad.extend(std::mem::take(&mut sources.bad));
    gathered.plan.format.push_str(sources.place);
    Ok(gathered)
}

/// Files by what they hold.
#[derive(Default)]
struct Sorted {
    images: Vec<SourceFile>,
    /// Files with the name or the bytes of a table.
    tables: Vec<SourceFile>,
    /// Files that are a table or a text, by their bytes.
    texts: Vec<SourceFile>,
    /// Files about the dataset, such as a license.
    documents: Vec<SourceFile>,
    /// Others, each with the reason and what to do.
    others: Vec<(SourceFile, &'static str, &'static str)>,
}

fn choose(
    path: &Path,
    sources: &SourceFiles,
    options: &ImportOptions,
    reading: &mut Reading<'_>,
) -> Result<Gathered, DataError> {
    if let ([only], true) = (sources.files.as_slice(), sources.is_one) {
        return one(only, options, reading);
    }
    let Sorted { images, mut tables, texts, documents, others } =
        Sorted::from_files(&sources.files);
    let mut bad = Bad::default();
    for (file, reason, change) in &others {
        bad.leave_out(&file.name, None, reason, change);
    }
    for file in &documents {
        bad.leave_out(&file.name, None, "it is a document, not data", "nothing");
    }
    let gathered = images_or_texts(path, &images, &tables, &texts, options, reading, &mut bad)?;
    let mut gathered = if let Some(gathered) = gathered {
        gathered
    } else {
        if tables.is_empty() {
            tables = texts;
        } else {
            for file in &texts {
                bad.leave_out(&file.name, None, "it is beside the tables", "nothing");
            }
        }
        for image in &images {
            bad.leave_out(&image.name, None, "it is an image beside the tables", "nothing");
        }
        if tables.is_empty() {
            return Err(nothing(path, &others));
        }
        several_tables(&tables, options, reading, &mut bad)?
    };
    gathered.bad.extend(bad);
    Ok(gathered)
}

/// Reads one file.
fn one(
    file: &SourceFile,
    options: &ImportOptions,
    reading: &mut Reading<'_>,
) -> Result<Gathered, DataError> {
    let refused = |reason: String| Err(DataError::file(&file.path, reason));
    match file.content {
        Content::Image(_) | Content::UnreadImage(_) => {
            let reason =
                "is one image; add a folder or a zip file with one folder of images per class";
            refused(reason.to_owned())
        }
        Content::Unread(content) => refused(format!("{}; {}", content.reason(), content.change())),
        Content::Empty | Content::Packed(_) | Content::Binary | Content::Other => {
            several_tables(std::slice::from_ref(file), options, reading, &mut Bad::default())
        }
    }
}

/// Reads images or texts in class folders. Returns `None` if the files are tables.
fn images_or_texts(
    path: &Path,
    images: &[SourceFile],
    tables: &[SourceFile],
    texts: &[SourceFile],
    options: &ImportOptions,
    reading: &mut Reading<'_>,
    bad: &mut Bad,
) -> Result<Option<Gathered>, DataError> {
    if images.is_empty() {
        let folders = Folders::from_names(&names(texts), options);
        // One file in each folder is more probably a table for each than a text.
        if tables.is_empty() && folders.classes() > 1 && texts.len() >= folders.classes() * 2 {
            return text_files::gather(path, texts, &folders, options, reading).map(Some);
        }
        return Ok(None);
    }
    let folders = Folders::from_names(&names(images), options);
    let has_classes = folders.classes() > 1;
    let labels: Vec<&SourceFile> = tables
        .iter()
        .filter(|table| label_table::has_table_ending(&table.name))
        .filter(|table| !has_classes || label_table::is_named(&table.name))
        .collect();
    let stated = LabelTable::read(&labels, images, options, reading)?;
    if stated.is_none() && !has_classes && !tables.is_empty() {
        return Ok(None);
    }
    for file in tables.iter().chain(texts) {
        let is_used = stated
            .as_ref()
            .is_some_and(|stated| stated.name.split(", ").any(|name| name == file.name));
        if !is_used {
            bad.leave_out(&file.name, None, "it is not an image", "nothing");
        }
    }
    let gathered = match stated {
        Some(stated) => image_files::gather_by_table(path, images, stated, options, reading)?,
        None => image_files::gather_by_folder(path, images, &folders, options, reading)?,
    };
    Ok(Some(gathered))
}

fn several_tables(
    tables: &[SourceFile],
    options: &ImportOptions,
    reading: &mut Reading<'_>,
    bad: &mut Bad,
) -> Result<Gathered, DataError> {
    let tables: Vec<&SourceFile> = tables.iter().collect();
    let TableChoice { tables, questions, warnings } = table_files::choose(&tables, options, bad);
    if !questions.is_empty() {
        return Ok(Gathered::undecided("several tables", questions, options));
    }
    let mut gathered = match parquet_images::gather(&tables, options, reading)? {
        Some(gathered) => gathered,
        None => tables::gather(&tables, options, reading)?,
    };
    if gathered.plan.options.splits.is_none() {
        gathered.plan.options.splits.clone_from(&options.splits);
    }
    if !warnings.is_empty() {
        gathered.plan.confidence = gathered.plan.confidence.min(Confidence::Likely);
    }
    gathered.plan.warnings.extend(warnings);
    Ok(gathered)
}

fn nothing(path: &Path, others: &[(SourceFile, &'static str, &'static str)]) -> DataError {
    let found: Vec<String> = others
        .iter()
        .take(3)
        .map(|(file, reason, change)| format!("{}: {reason}; {change}", file.name))
        .collect();
    let found = if found.is_empty() { String::new() } else { format!(" ({})", found.join("; ")) };
    DataError::file(path, format!("contains no image and no CSV, JSONL or Parquet file{found}"))
}

fn names(files: &[SourceFile]) -> Vec<&str> {
    files.iter().map(|file| file.name.as_str()).collect()
}

impl Sorted {
    fn from_files(files: &[SourceFile]) -> Self {
        let mut sorted = Self::default();
        for file in files {
            let name = file.name.rsplit('/').next().unwrap_or(&file.name).to_lowercase();
            let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
            let file = file.clone();
            match file.content {
                Content::Image(_) | Content::UnreadImage(_) => sorted.images.push(file),
                _ if ends(&IMAGES) => sorted.images.push(file),
                Content::Empty => sorted.others.push((file, "it is empty", "remove it")),
                Content::Unread(content) => {
                    sorted.others.push((file, content.reason(), content.change()));
                }
                Content::Binary if !ends(&TABLES) => {
                    sorted.others.push((file, "it is neither an image nor a table", "remove it"));
                }
                _ if is_document(&name) => sorted.documents.push(file),
                _ if ends(&TABLES) => sorted.tables.push(file),
                Content::Packed(_) | Content::Binary | Content::Other => sorted.texts.push(file),
            }
        }
        sorted
    }
}

const IMAGES: [&str; 11] =
    [".png", ".jpg", ".jpeg", ".jfif", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".heic", ".avif"];
const TABLES: [&str; 11] = [
    ".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".xlsx", ".xls", ".ods", ".tab",
    ".arff",
];

/// Whether a file of this name, in lower case, is about a dataset.
fn is_document(name: &str) -> bool {
    const STEMS: [&str; 14] = [
        "readme",
        "license",
        "licence",
        "copying",
        "notice",
        "changelog",
        "citation",
        "authors",
        "dataset_info",
        "dataset_infos",
        "dataset_dict",
        "state",
        "dataset-metadata",
        "croissant",
    ];
    const ENDINGS: [&str; 14] = [
        ".md", ".rst", ".html", ".htm", ".py", ".ipynb", ".yaml", ".yml", ".toml", ".sh", ".bib",
        ".log", ".lock", ".names",
    ];
    let stem = name.split('.').next().unwrap_or(name);
    STEMS.contains(&stem) || ENDINGS.iter().any(|ending| name.ends_with(ending))
}
