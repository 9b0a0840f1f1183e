//! Folders of texts: one file each, and the name of its folder is its class.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use protocol::dataset::SampleShape;
use protocol::dataset::import::{Confidence, ImportOptions, ImportPlan, SplitName};

use super::class_folders::{Folders, Placement};
use super::image_files::folder_warnings;
use super::limits::Reading;
use super::rows::{Bad, Gathered, LabeledRow, SplitRows};
use super::source_files::SourceFile;
use crate::{DataError, LoadProgress, Sample};

/// Most bytes of a text.
const LONGEST: u64 = 1 << 20;

/// Reads texts whose classes are the names of their folders.
pub(super) fn gather(
    path: &Path,
    texts: &[SourceFile],
    folders: &Folders,
    options: &ImportOptions,
    reading: &mut Reading<'_>,
) -> Result<Gathered, DataError> {
    let (mut bad, mut not_utf_8) = (Bad::default(), 0_u64);
    let mut splits: BTreeMap<SplitName, SplitRows> = BTreeMap::new();
    for (at, (file, place)) in texts.iter().zip(&folders.places).enumerate() {
        let Placement::In(split, class) = place else {
            let (reason, change) = ("it is not in a class folder", "move it into one");
            bad.leave_out(&file.name, None, reason, change);
            continue;
        };
        let length = fs::metadata(&file.path).map_err(DataError::io(&file.path))?.len();
        if length > LONGEST {
            bad.push_file(
                &file.name,
                "it is longer than 1 MiB",
                "it is longer than 1 MiB",
                "shorten it",
            );
            continue;
        }
        let bytes = fs::read(&file.path).map_err(DataError::io(&file.path))?;
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                not_utf_8 += 1;
                latin_1(error.as_bytes())
            }
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text).trim();
        if text.is_empty() {
            bad.push_file(&file.name, "its text is empty", "its text is empty", "remove it");
            continue;
        }
        let taken = reading.memory.take(size_of::<LabeledRow>() + text.len() + class.len());
        taken.map_err(|reason| DataError::file(path, reason))?;
        let split = file.split.or(*split).unwrap_or(SplitName::Train);
        let sample = Sample::Text(text.to_owned());
        let class = Some(class.trim().to_owned());
        splits.entry(split).or_default().rows.push(LabeledRow { class, key: None, sample });
        if at % 1000 == 0 {
            (reading.progress)(LoadProgress::Reading { rows: at as u64 });
        }
    }
    for (split, rows) in &mut splits {
        rows.source = folders
            .splits
            .get(split)
            .map_or_else(|| "the class folders".to_owned(), |folder| format!("folder `{folder}`"));
    }
    let mut warnings = folder_warnings(folders);
    if not_utf_8 > 0 {
        warnings.push(format!("{not_utf_8} texts are not in UTF-8 and are read as ISO 8859-1"));
    }
    let options = ImportOptions { class_level: Some(folders.level), ..options.clone() };
    let format = "texts, one file each, one folder per class".to_owned();
    let confidence = if warnings.is_empty() { Confidence::Certain } else { Confidence::Likely };
    let plan = ImportPlan {
        format: format.clone(),
        warnings,
        confidence,
        options,
        ..ImportPlan::default()
    };
    Ok(Gathered { shape: SampleShape::Text, splits, classes: None, plan, understood: format, bad })
}

/// Decodes ISO 8859-1, in which each byte is a character.
fn latin_1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
