//! Import of files as a dataset: the decisions that a person can make, and the plan that says how the files are
//! read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::sample::SampleShape;

/// Decisions about how files are read. What is absent is detected. An import refuses to guess: if the files
/// don't decide, the plan lists an [`OpenQuestion`] that names the option that does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImportOptions {
    /// Columns of the text, joined by a space. A column without a name is its number, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Vec<String>>,
    /// Column of the label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Column that names whom a row belongs to, such as a user. Rows of one key stay in one split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Column with encoded images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Whether the first row holds the names of the columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// Separator of the columns: one character, or `comma`, `semicolon`, `tab`, `pipe` or `space`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// Quote character: `double`, `single` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    /// Encoding of the text by its name in the WHATWG Encoding Standard, such as `windows-1252`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Sheet of a workbook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// Split of each file, folder or value with this name, such as `{"val": "validation"}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub splits: Option<BTreeMap<String, SplitName>>,
    /// How the test split is taken if the files have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_split: Option<TestSplit>,
    /// Size of all images. Images of another size are scaled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<ImageSize>,
    /// Level of the folders that are the classes: 1 is the folder that contains the images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_level: Option<u32>,
    /// Values that count as missing, in any case, besides the empty one. Default: `na`, `n/a`, `nan`, `null`
    /// and `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Vec<String>>,
    /// Whether classes that differ only by case, spaces, Unicode form, invisible characters or `1`/`1.0` become
    /// one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge_classes: Option<bool>,
    /// What models learn from the rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<DatasetTask>,
    /// Maximum number of rows of each split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// Quote character of delimited text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Quote {
    Double,
    Single,
    /// Quotes are letters.
    None,
}

/// Split of a dataset, as an import assigns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SplitName {
    Train,
    Validation,
    Test,
}

/// How a test split is taken from the training rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TestSplit {
    /// A tenth of each class, selected by the rows' hashes.
    Stratified,
    /// The last tenth of the rows.
    Tail,
}

/// What models learn from a dataset's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DatasetTask {
    /// The class of a row.
    #[default]
    Classification,
    /// The text itself. The rows have no labels.
    Language,
}

/// Size of images in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct ImageSize {
    pub height: u32,
    pub width: u32,
}

/// How an import reads files, and what became of each part of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct ImportPlan {
    /// Format in words, such as `CSV`, `JSON Lines in gzip` or `images in a zip file, one folder per class`.
    pub format: String,
    pub task: DatasetTask,
    pub sample: Option<SampleShape>,
    /// Encoding, separator (one character) and quote of delimited text.
    pub encoding: Option<String>,
    pub separator: Option<String>,
    pub quote: Option<Quote>,
    /// Whether the first row holds the names of the columns.
    pub header: Option<bool>,
    /// Columns of a table, in their order in the first file.
    pub columns: Vec<PlannedColumn>,
    /// Classes in the order of their numbers.
    pub classes: Vec<PlannedClass>,
    pub splits: Vec<PlannedSplit>,
    pub images: Option<PlannedImages>,
    /// Rows and files that are not imported, one entry for each kind.
    pub left_out: Vec<LeftOut>,
    pub warnings: Vec<String>,
    /// Decisions that the files leave open. An import refuses while there is one.
    pub questions: Vec<OpenQuestion>,
    pub confidence: Confidence,
    /// The options of this plan, with every decision that was detected. The same files with these options give
    /// the same plan.
    pub options: ImportOptions,
}

/// Confidence in a plan.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// A decision is open.
    Open,
    /// A decision was detected from the values, not stated by a name or an option.
    Likely,
    /// Names or options state every decision.
    #[default]
    Certain,
}

/// Column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedColumn {
    /// Name, or number from 1 without a header.
    pub name: String,
    /// Type of the values in words: `text`, `whole number`, `number`, `true or false`, `image`, `empty`, or the type
    /// of a column that can't be read.
    #[serde(rename = "type")]
    pub kind: String,
    /// Number of different values, up to 1,000.
    pub distinct: Option<u64>,
    /// Number of missing values.
    pub missing: u64,
    /// The first three values, truncated to 100 characters.
    pub examples: Vec<String>,
    pub role: ColumnRole,
    /// Reason for the role.
    pub reason: String,
}

/// Role of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColumnRole {
    Text,
    Label,
    Key,
    Image,
    /// One pixel of an image.
    Pixel,
    /// Names the split of the row.
    Split,
    Unused,
}

/// Class and its rows in each split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedClass {
    pub name: String,
    pub train_rows: u64,
    pub validation_rows: u64,
    pub test_rows: u64,
}

/// Split and where its rows come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedSplit {
    pub split: SplitName,
    pub rows: u64,
    /// Source in words, such as `test.csv` or `a tenth of each class`.
    pub source: String,
}

/// Images of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedImages {
    /// Size of all images after the import.
    pub size: ImageSize,
    pub channels: u32,
    /// Sizes in the files, the most frequent first. At most ten.
    pub found: Vec<FoundImageSize>,
    /// What is done with images of another size, in words.
    pub scaling: String,
}

/// Images of one size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundImageSize {
    pub size: ImageSize,
    pub images: u64,
}

/// Rows or files that are not imported for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftOut {
    /// Reason, such as `no label` or `not an image`.
    pub reason: String,
    /// What to change so that they are imported.
    pub change: String,
    pub count: u64,
    /// The first three.
    pub first: Vec<Place>,
}

/// Place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Place {
    pub file: String,
    /// Line of the file where the row begins in text files, row number elsewhere, from 1. Null for a whole file.
    pub line: Option<u64>,
}

/// Decision that the files leave open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenQuestion {
    /// Question in words.
    pub question: String,
    /// Field of [`ImportOptions`] that decides, such as `label`.
    pub option: String,
    /// Flag of `constellation dataset add` that decides, such as `--label`.
    pub flag: String,
    /// Values that the flag can have here.
    pub choices: Vec<String>,
}

/// Role of an uploaded file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileRole {
    /// Its name and content decide.
    #[default]
    Data,
    Train,
    Validation,
    Test,
}
