//! Image folders: one folder per class, all images of one size.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use protocol::dataset::SampleShape;
use protocol::dataset::import::{ImportPlan, SplitName};

use super::limits::{Memory, Reading};
use super::rows::{Bad, Gathered, LabeledRow, SplitRows};
use crate::image_decode::{self, DecodedImage};
use crate::{DataError, LoadProgress, Sample};

/// Reads images at `CLASS/…` or `train/CLASS/…` and `test/CLASS/…`, relative to the folder.
pub(super) fn gather(
    folder: &Path,
    images: &[&PathBuf],
    reading: &mut Reading<'_>,
) -> Result<Gathered, DataError> {
    let outer = outer_folders(images);
    let mut decoded = DecodedImages::default();
    for (index, image) in images.iter().enumerate() {
        let parts: Vec<String> = image
            .components()
            .skip(outer)
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        let shown = image.display().to_string();
        let split = parts.first().map(|part| part.to_lowercase());
        let (is_test, class) = match (split.as_deref(), parts.as_slice()) {
            (Some("train"), [_, class, _, ..]) => (false, class),
            (Some("test"), [_, class, _, ..]) => (true, class),
            (_, [class, _, ..]) => (false, class),
            (_, _) => {
                decoded.bad.push(&shown, 1, "it is not in a class folder", "move it into one");
                continue;
            }
        };
        let path = folder.join(image);
        let size = fs::metadata(&path).map_err(DataError::io(&path))?.len();
        if size > 64 << 20 {
            decoded.bad.push(&shown, 1, "it is larger than 64 MiB", "make it smaller");
            continue;
        }
        let bytes = fs::read(&path).map_err(DataError::io(&path))?;
        decoded
            .add(&shown, 1, class, is_test, &bytes, &mut reading.memory)
            .map_err(|reason| DataError::file(folder, reason))?;
        if index % 1000 == 0 {
            (reading.progress)(LoadProgress::Reading { rows: index as u64 });
        }
    }
    decoded.gathered(folder, None, "images, one folder per class", &mut reading.memory)
}

/// Decoded images before they become rows.
#[derive(Debug, Default)]
pub(super) struct DecodedImages {
    found: Vec<Found>,
    pub bad: Bad,
}

#[derive(Debug)]
struct Found {
    file: String,
    line: u64,
    class: String,
    is_test: bool,
    image: DecodedImage,
}

impl DecodedImages {
    /// Adds an image or records it as a bad row. Fails if the memory limit is reached.
    pub(super) fn add(
        &mut self,
        file: &str,
        line: u64,
        class: &str,
        is_test: bool,
        encoded: &[u8],
        memory: &mut Memory,
    ) -> Result<(), String> {
        let (file, class) = (file.to_owned(), class.trim().to_owned());
        if class.is_empty() {
            self.bad.push(&file, line, "it has no label", "give it one, or remove the row");
            return Ok(());
        }
        match image_decode::decode(encoded) {
            Ok(image) => {
                memory.take(size_of::<Found>() + file.len() + class.len() + image.pixels.len())?;
                self.found.push(Found { file, line, class, is_test, image });
            }
            Err(reason) => {
                self.bad.push(&file, line, format!("it {reason}"), "save it again as PNG or JPEG");
            }
        }
        Ok(())
    }

    /// Keeps the images of the most frequent size. If one image has color, all get 3 channels.
    pub(super) fn gathered(
        mut self,
        path: &Path,
        classes: Option<Vec<String>>,
        understood: &str,
        memory: &mut Memory,
    ) -> Result<Gathered, DataError> {
        let mut sizes: HashMap<(u32, u32), usize> = HashMap::new();
        for found in &self.found {
            *sizes.entry((found.image.height, found.image.width)).or_default() += 1;
        }
        let most = sizes.iter().map(|(size, count)| (*count, *size)).max();
        let Some((_, (height, width))) = most else {
            if self.bad.count > 0 {
                return Err(self.bad.too_many(path, 0));
            }
            return Err(DataError::file(path, "contains no image"));
        };
        let has_color = self.found.iter().any(|found| found.image.channels == 3);
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for Found { file, line, class, is_test, image } in self.found {
            if (image.height, image.width) != (height, width) {
                let reason = format!(
                    "it has {}×{} pixels, but most images have {width}×{height}",
                    image.width, image.height
                );
                self.bad.push(&file, line, reason, "scale all images to one size");
                continue;
            }
            let was_gray = image.channels == 1;
            let image = if has_color { image.into_color() } else { image };
            // A gray image is three times as large in color.
            let grown = if was_gray && has_color { image.pixels.len() / 3 * 2 } else { 0 };
            memory.take(grown).map_err(|reason| DataError::file(path, reason))?;
            let row =
                LabeledRow { class: Some(class), key: None, sample: Sample::Image(image.pixels) };
            if is_test { test.push(row) } else { train.push(row) }
        }
        let channels = if has_color { 3 } else { 1 };
        let splits = [(SplitName::Train, train), (SplitName::Test, test)];
        let named = splits.into_iter().filter(|(_, rows)| !rows.is_empty());
        let plan = ImportPlan { format: understood.to_owned(), ..ImportPlan::default() };
        Ok(Gathered {
            shape: SampleShape::Image { channels, height, width },
            splits: named
                .map(|(split, rows)| (split, SplitRows { rows, source: understood.to_owned() }))
                .collect(),
            plan,
            classes,
            understood: format!(
                "{understood}; {width}×{height} pixels, {channels} channel{}",
                if channels == 1 { "" } else { "s" }
            ),
            bad: self.bad,
        })
    }
}

/// Returns the number of folders around all class folders. Zips often have one.
fn outer_folders(images: &[&PathBuf]) -> usize {
    let mut outer = 0;
    loop {
        let mut names = images.iter().map(|image| {
            let mut parts = image.components().skip(outer);
            // A class and a file must follow.
            (parts.next(), parts.next().and(parts.next()).is_some())
        });
        let Some((first, true)) = names.next() else { return outer };
        if !names.all(|(name, deep)| deep && name == first) {
            return outer;
        }
        outer += 1;
    }
}
