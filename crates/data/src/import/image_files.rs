//! Folders of images: the class of each is its folder's name, or a table beside them states it.

use std::collections::BTreeMap;
use std::path::Path;

use protocol::dataset::import::{Confidence, ImportOptions, ImportPlan, SplitName};

use super::class_folders::{Folders, Placement};
use super::image_rows::{self, BATCH, Encoded, ImageEntry, ImageRows, Take};
use super::label_table::LabelTable;
use super::limits::Reading;
use super::rows::{Bad, Gathered, LabeledRow, SplitRows};
use super::source_files::SourceFile;
use crate::{DataError, Sample};

/// Reads images whose classes are the names of their folders.
pub(super) fn gather_by_folder(
    path: &Path,
    images: &[SourceFile],
    folders: &Folders,
    options: &ImportOptions,
    reading: &mut Reading<'_>,
) -> Result<Gathered, DataError> {
    let mut bad = Bad::default();
    let (mut entries, mut used) = (Vec::new(), Vec::new());
    for (image, place) in images.iter().zip(&folders.places) {
        let (reason, change) = match place {
            Placement::In(_, class) if class.trim().is_empty() => {
                ("its folder's name is empty", "rename the folder")
            }
            Placement::In(split, class) => {
                let split = image.split.or(*split).unwrap_or(SplitName::Train);
                let class = class.trim().to_owned();
                entries.push(ImageEntry { file: image.name.clone(), line: None, split, class });
                used.push(image);
                continue;
            }
            Placement::NoClass(_) => ("it is not in a class folder", "move it into one"),
            Placement::Beside => ("it is beside the class folders", "move it into one of them"),
            Placement::OutsideSplits => {
                ("its folder is not a split", "name its split with --split FOLDER=train")
            }
        };
        bad.leave_out(&image.name, None, reason, change);
    }
    let mut warnings = folder_warnings(folders);
    if !entries.is_empty() && entries.iter().all(|entry| entry.split != SplitName::Train) {
        warnings.push("no folder is named train, so all images are for training".to_owned());
        for entry in &mut entries {
            entry.split = SplitName::Train;
        }
    }
    let sources = |split: SplitName| match folders.splits.get(&split) {
        Some(folder) => format!("folder `{folder}`"),
        None => "the class folders".to_owned(),
    };
    let mut plan_options = options.clone();
    plan_options.class_level = Some(folders.level);
    let confidence = if folders.others.is_empty() || options.class_level.is_some() {
        Confidence::Certain
    } else {
        Confidence::Likely
    };
    let plan = ImportPlan {
        format: "images, one folder per class".to_owned(),
        warnings,
        confidence,
        options: plan_options,
        ..ImportPlan::default()
    };
    rows(path, entries, &used, plan, &sources, options, bad, reading)
}

/// Reads images whose classes a table states.
pub(super) fn gather_by_table(
    path: &Path,
    images: &[SourceFile],
    table: LabelTable,
    options: &ImportOptions,
    reading: &mut Reading<'_>,
) -> Result<Gathered, DataError> {
    let LabelTable { name, labels, bad, questions, label, .. } = table;
    if !questions.is_empty() {
        return Ok(Gathered::undecided(&format!("images, labels in {name}"), questions, options));
    }
    let names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
    let folders = Folders::from_names(&names, options);
    let (mut bad, mut entries, mut used) = (bad, Vec::new(), Vec::new());
    for (image, (stated, place)) in images.iter().zip(labels.into_iter().zip(&folders.places)) {
        let Some(stated) = stated else {
            let reason = format!("{name} has no row for it");
            bad.leave_out(&image.name, None, &reason, "add a row with its name and label");
            continue;
        };
        let by_folder = match place {
            Placement::In(split, _) | Placement::NoClass(split) => *split,
            Placement::Beside | Placement::OutsideSplits => None,
        };
        let split = image.split.or(stated.split).or(by_folder).unwrap_or(SplitName::Train);
        entries.push(ImageEntry {
            file: image.name.clone(),
            line: None,
            split,
            class: stated.class,
        });
        used.push(image);
    }
    let source = format!("{name}, column `{label}`");
    let mut plan_options = options.clone();
    plan_options.label = Some(label);
    let plan = ImportPlan {
        format: format!("images, labels in {name}"),
        confidence: Confidence::Likely,
        options: plan_options,
        ..ImportPlan::default()
    };
    rows(path, entries, &used, plan, &|_| source.clone(), options, bad, reading)
}

#[expect(clippy::too_many_arguments, reason = "one place puts the parts together")]
fn rows(
    path: &Path,
    mut entries: Vec<ImageEntry>,
    images: &[&SourceFile],
    plan: ImportPlan,
    sources: &dyn Fn(SplitName) -> String,
    options: &ImportOptions,
    mut bad: Bad,
    reading: &mut Reading<'_>,
) -> Result<Gathered, DataError> {
    let kept = within_limit(&entries, options.limit);
    let mut kept_flags = kept.iter();
    entries.retain(|entry| {
        let keep = *kept_flags.next().unwrap_or(&true);
        if !keep {
            bad.leave_out(&entry.file, None, "it is over the limit", "raise --limit");
        }
        keep
    });
    let images: Vec<&SourceFile> =
        images.iter().zip(&kept).filter(|(_, keep)| **keep).map(|(image, _)| *image).collect();
    let feed = |take: &mut Take<'_>| {
        for (batch, images) in images.chunks(BATCH).enumerate() {
            let at = batch * BATCH..;
            take(at.zip(images.iter().map(|image| Encoded::File(image.path.clone()))).collect())?;
        }
        Ok(())
    };
    let rows = image_rows::read(path, entries, options, reading, &mut bad, &feed)?;
    Ok(gathered(rows, plan, sources, None, bad))
}

/// Puts images and a plan together.
pub(super) fn gathered(
    images: ImageRows,
    mut plan: ImportPlan,
    sources: &dyn Fn(SplitName) -> String,
    classes: Option<Vec<String>>,
    bad: Bad,
) -> Gathered {
    let ImageRows { shape, rows, plan: planned, questions, warnings, is_scaled } = images;
    let mut splits: BTreeMap<SplitName, SplitRows> = BTreeMap::new();
    for (entry, pixels) in rows {
        let split = splits.entry(entry.split).or_default();
        let sample = Sample::Image(pixels);
        split.rows.push(LabeledRow { class: Some(entry.class), key: None, sample });
    }
    for (split, rows) in &mut splits {
        rows.source = sources(*split);
    }
    let size = planned.size;
    let understood = format!(
        "{}; {}×{} pixels, {} channel{}",
        plan.format,
        size.width,
        size.height,
        planned.channels,
        if planned.channels == 1 { "" } else { "s" }
    );
    if is_scaled {
        plan.confidence = plan.confidence.min(Confidence::Likely);
        plan.options.resize = Some(size);
    }
    plan.images = Some(planned);
    plan.questions.extend(questions);
    plan.warnings.extend(warnings);
    Gathered { shape, splits, classes, plan, understood, bad }
}

/// Returns what else the classes could be.
pub(super) fn folder_warnings(folders: &Folders) -> Vec<String> {
    let level = |level: u32| match level {
        1 => "the folders that contain the files (level 1)".to_owned(),
        level => format!("the folders of level {level}"),
    };
    let other = |(other, names): &(u32, Vec<String>)| {
        format!(
            "the classes are {}; with --class-level {other} they are {}",
            level(folders.level),
            names.join(", ")
        )
    };
    folders.others.iter().map(other).collect()
}

/// Returns which entries are kept if each split has at most `limit`. Takes turns among the classes, because
/// files of a class follow each other.
fn within_limit(entries: &[ImageEntry], limit: Option<u64>) -> Vec<bool> {
    let Some(limit) = limit else { return vec![true; entries.len()] };
    let mut seen: BTreeMap<(SplitName, &str), u64> = BTreeMap::new();
    let mut order: Vec<(SplitName, u64, usize)> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let turn = seen.entry((entry.split, &entry.class)).or_default();
        order.push((entry.split, *turn, at));
        *turn += 1;
    }
    order.sort_unstable();
    let mut kept = vec![false; entries.len()];
    let mut taken: BTreeMap<SplitName, u64> = BTreeMap::new();
    for (split, _, at) in order {
        let taken = taken.entry(split).or_default();
        kept[at] = *taken < limit;
        *taken += 1;
    }
    kept
}
