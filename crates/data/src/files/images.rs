//! Images with one folder a class, all of one size.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use protocol::dataset::SampleShape;

use super::limits::{Memory, Reading};
use super::{Bad, Gathered, Labelled};
use crate::image_decode::{self, DecodedImage};
use crate::{DataError, LoadProgress, Sample};

/// Reads images at `CLASS/…` or `train/CLASS/…` and `test/CLASS/…`, relative to the folder.
pub fn gather(
    folder: &Path,
    images: &[&PathBuf],
    reading: &mut Reading<'_>,
) -> Result<Gathered, DataError> {
    let outer = outer_folders(images);
    let mut pictures = DecodedImages::default();
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
                pictures.bad.push(&shown, 1, "it lies in no class's folder", "move it there");
                continue;
            }
        };
        let path = folder.join(image);
        let size = fs::metadata(&path).map_err(DataError::io(&path))?.len();
        if size > 64 << 20 {
            pictures.bad.push(&shown, 1, "it is larger than 64 MiB", "make it smaller");
            continue;
        }
        let bytes = fs::read(&path).map_err(DataError::io(&path))?;
        pictures
            .add(&shown, 1, class, is_test, &bytes, &mut reading.memory)
            .map_err(|words| DataError::file(folder, words))?;
        if index % 1000 == 0 {
            (reading.progress)(LoadProgress::Reading { rows: index as u64 });
        }
    }
    pictures.gathered(folder, None, "images, one folder a class", &mut reading.memory)
}

/// Decoded images on the way to rows.
#[derive(Debug, Default)]
pub struct DecodedImages {
    found: Vec<Found>,
    pub bad: Bad,
}

#[derive(Debug)]
struct Found {
    file: String,
    line: u64,
    class: String,
    is_test: bool,
    picture: DecodedImage,
}

impl DecodedImages {
    /// Takes an image, or names it as bad; an error says that there is no room for more.
    pub fn add(
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
            Ok(picture) => {
                memory
                    .take(size_of::<Found>() + file.len() + class.len() + picture.pixels.len())?;
                self.found.push(Found { file, line, class, is_test, picture });
            }
            Err(reason) => {
                self.bad.push(&file, line, format!("it {reason}"), "save it anew as a PNG or JPEG");
            }
        }
        Ok(())
    }

    /// Keeps the images of the most frequent size; one in colour makes all of them 3 channels.
    pub fn gathered(
        mut self,
        path: &Path,
        classes: Option<Vec<String>>,
        understood: &str,
        memory: &mut Memory,
    ) -> Result<Gathered, DataError> {
        let mut sizes: HashMap<(u32, u32), usize> = HashMap::new();
        for found in &self.found {
            *sizes.entry((found.picture.height, found.picture.width)).or_default() += 1;
        }
        let most = sizes.iter().map(|(size, count)| (*count, *size)).max();
        let Some((_, (height, width))) = most else {
            if self.bad.count > 0 {
                return Err(self.bad.too_many(path, 0));
            }
            return Err(DataError::file(path, "holds no image"));
        };
        let in_colour = self.found.iter().any(|found| found.picture.channels == 3);
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for Found { file, line, class, is_test, picture } in self.found {
            if (picture.height, picture.width) != (height, width) {
                let reason = format!(
                    "it is {}×{} pixels where most are {width}×{height}",
                    picture.width, picture.height
                );
                self.bad.push(&file, line, reason, "bring all to one size");
                continue;
            }
            let was_grey = picture.channels == 1;
            let picture = if in_colour { picture.in_colour() } else { picture };
            // A grey one is three times as large in colour.
            let grown = if was_grey && in_colour { picture.pixels.len() / 3 * 2 } else { 0 };
            memory.take(grown).map_err(|words| DataError::file(path, words))?;
            let row = Labelled { class, sample: Sample::Image(picture.pixels) };
            if is_test { test.push(row) } else { train.push(row) }
        }
        let channels = if in_colour { 3 } else { 1 };
        Ok(Gathered {
            shape: SampleShape::Image { channels, height, width },
            train,
            test: (!test.is_empty()).then_some(test),
            classes,
            understood: format!("{understood}; {channels} channel(s) of {width}×{height}"),
            bad: self.bad,
        })
    }
}

/// How many folders every image lies in besides its class's: zips often have one around all.
fn outer_folders(images: &[&PathBuf]) -> usize {
    let mut outer = 0;
    loop {
        let mut names = images.iter().map(|image| {
            let mut parts = image.components().skip(outer);
            // Two more parts must follow: a class and a file.
            (parts.next(), parts.next().and(parts.next()).is_some())
        });
        let Some((first, true)) = names.next() else { return outer };
        if !names.all(|(name, deep)| deep && name == first) {
            return outer;
        }
        outer += 1;
    }
}
