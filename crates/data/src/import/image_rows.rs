//! Rows of images: measured by their headers, then decoded and scaled to one size on all cores.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use protocol::dataset::SampleShape;
use protocol::dataset::import::{
    FoundImageSize, ImageSize, ImportOptions, OpenQuestion, PlannedImages, SplitName,
};
use rayon::prelude::*;

use super::limits::Reading;
use super::rows::Bad;
use crate::image_decode::{self, DecodedImage, Detected, ImageError};
use crate::{DataError, LoadProgress};

/// Images that are read at once.
pub(super) const BATCH: usize = 256;
/// Most bytes of decoded images that are not counted yet.
const MOST_UNCOUNTED: usize = 64 << 20;
const LARGEST_FILE: u64 = 64 << 20;
/// Most files of one kind that a warning names.
const NAMED: usize = 10;

/// Place of an image in the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImageEntry {
    pub file: String,
    /// Row in a table. `None` for an image file.
    pub line: Option<u64>,
    pub split: SplitName,
    pub class: String,
}

/// Encoded image.
#[derive(Debug)]
pub(super) enum Encoded {
    File(PathBuf),
    Bytes(Vec<u8>),
    Missing,
}

/// Takes images, each with the index of its entry.
pub(super) type Take<'a> = dyn FnMut(Vec<(usize, Encoded)>) -> Result<(), DataError> + 'a;

/// Decoded images of an import.
#[derive(Debug)]
pub(super) struct ImageRows {
    pub shape: SampleShape,
    /// Images of one size and number of channels, in the order of their entries.
    pub rows: Vec<(ImageEntry, Vec<u8>)>,
    pub plan: PlannedImages,
    pub questions: Vec<OpenQuestion>,
    pub warnings: Vec<String>,
    /// Whether the size is that of most images, not stated and not that of all.
    pub is_scaled: bool,
}

/// Reads images. `feed` gives all of them to its argument, and is called twice: for their sizes, and for
/// their pixels.
pub(super) fn read(
    path: &Path,
    entries: Vec<ImageEntry>,
    options: &ImportOptions,
    reading: &mut Reading<'_>,
    bad: &mut Bad,
    feed: &dyn Fn(&mut Take<'_>) -> Result<(), DataError>,
) -> Result<ImageRows, DataError> {
    if let Some(size) = options.resize {
        check_size(size).map_err(|reason| DataError::file(path, reason))?;
    }
    let mut measured = Measured::default();
    let mut usable = vec![false; entries.len()];
    feed(&mut |batch| {
        let sizes: Vec<_> = batch.par_iter().map(|(at, image)| (*at, measure(image))).collect();
        for (at, size) in sizes {
            let Some(entry) = entries.get(at) else { continue };
            match size {
                Ok((size, has_several)) => {
                    usable[at] = true;
                    measured.add(entry, size, has_several);
                }
                Err(error) => measured.refuse(entry, &error, bad),
            }
        }
        Ok(())
    })?;
    let Some((size, question)) = measured.target(options) else {
        if bad.count > 0 {
            return Err(std::mem::take(bad).too_many(path, 0));
        }
        return Err(DataError::file(path, "contains no image"));
    };
    let found = measured.found();
    let scaled = measured.sizes.iter().filter(|(other, _)| **other != size).map(|(_, n)| n).sum();
    let mut images: Vec<Option<DecodedImage>> = vec![None; entries.len()];
    if question.is_none() {
        let ImageSize { height, width } = size;
        let bytes = height as usize * width as usize * 3;
        let at_once = (MOST_UNCOUNTED / bytes.max(1)).clamp(1, BATCH);
        let mut done = 0;
        feed(&mut |mut batch| {
            batch.retain(|(at, _)| usable.get(*at) == Some(&true));
            for some in batch.chunks(at_once) {
                let decoded: Vec<_> = some
                    .par_iter()
                    .map(|(at, image)| (*at, decode(image, height, width)))
                    .collect();
                for (at, image) in decoded {
                    match image {
                        Ok(image) => {
                            let own = size_of::<ImageEntry>() + image.pixels.len();
                            let taken = reading.memory.take(own);
                            taken.map_err(|reason| DataError::file(path, reason))?;
                            images[at] = Some(image);
                        }
                        Err(error) => measured.refuse(&entries[at], &error, bad),
                    }
                }
                done += some.len() as u64;
                (reading.progress)(LoadProgress::Reading { rows: done });
            }
            Ok(())
        })?;
    }
    let has_color = images.iter().flatten().any(|image| image.channels == 3);
    let channels = if has_color { 3 } else { 1 };
    let mut rows = Vec::with_capacity(images.len());
    for (entry, image) in entries.into_iter().zip(images) {
        let Some(image) = image else { continue };
        if has_color && image.channels == 1 {
            // A gray image is three times as large in color.
            let grown = reading.memory.take(image.pixels.len() * 2);
            grown.map_err(|reason| DataError::file(path, reason))?;
        }
        let image = if has_color { image.into_color() } else { image };
        rows.push((entry, image.pixels));
    }
    let ImageSize { height, width } = size;
    Ok(ImageRows {
        shape: SampleShape::Image { channels, height, width },
        rows,
        plan: PlannedImages { size, channels, found, scaling: scaling(scaled, size) },
        questions: question.into_iter().collect(),
        warnings: measured.warnings(),
        is_scaled: scaled > 0 && options.resize.is_none(),
    })
}

fn check_size(ImageSize { height, width }: ImageSize) -> Result<(), String> {
    let good = 1..=image_decode::MAX_SIDE;
    if good.contains(&height) && good.contains(&width) {
        return Ok(());
    }
    Err(format!(
        "can't be scaled to {width}×{height} pixels; set --resize to 1 to {} pixels on each side",
        image_decode::MAX_SIDE
    ))
}

/// Sizes of images by their headers.
#[derive(Debug, Default)]
struct Measured {
    sizes: BTreeMap<ImageSize, u64>,
    animated: Named,
    unread: BTreeMap<&'static str, Named>,
}

/// Files of one kind: their number and the first names.
#[derive(Debug, Default)]
struct Named {
    count: u64,
    first: Vec<String>,
}

impl Measured {
    fn add(&mut self, entry: &ImageEntry, size: ImageSize, has_several: bool) {
        *self.sizes.entry(size).or_default() += 1;
        if has_several {
            self.animated.push(&entry.file);
        }
    }

    fn refuse(&mut self, entry: &ImageEntry, error: &ImageRefusal, bad: &mut Bad) {
        let (kind, reason, change) = match error {
            ImageRefusal::Missing => {
                let reason = "it has no image".to_owned();
                (reason.clone(), reason, "remove the row")
            }
            ImageRefusal::LargeFile => {
                let reason = "it is larger than 64 MiB".to_owned();
                (reason.clone(), reason, "make it smaller")
            }
            ImageRefusal::Io(reason) => (
                "it can't be read".to_owned(),
                format!("it can't be read ({reason})"),
                "check the file",
            ),
            ImageRefusal::Image(error) => {
                if let ImageError::Unread(format) = error {
                    self.unread.entry(format.name()).or_default().push(&entry.file);
                }
                (format!("it {}", error.kind()), format!("it {error}"), error.change())
            }
        };
        match entry.line {
            Some(line) => bad.push_kind(&entry.file, line, &kind, reason, change),
            None => bad.push_file(&entry.file, &kind, reason, change),
        }
    }

    /// Returns the size of all images, and the question if neither the options nor the images decide. They
    /// decide if one size is more frequent than every other, and at least a quarter of the images have it.
    fn target(&self, options: &ImportOptions) -> Option<(ImageSize, Option<OpenQuestion>)> {
        let count: u64 = self.sizes.values().sum();
        let by_count = |(size, count): &(&ImageSize, &u64)| (**count, std::cmp::Reverse(**size));
        let (most, images) = self.sizes.iter().max_by_key(by_count)?;
        if let Some(size) = options.resize {
            return Some((size, None));
        }
        let is_only = self.sizes.iter().all(|(size, other)| size == most || other < images);
        if is_only && images * 4 >= count && (self.sizes.len() == 1 || *images > 1) {
            return Some((*most, None));
        }
        let mut choices = vec![text(*most)];
        choices.extend(["64x64", "32x32", "28x28"].map(str::to_owned));
        choices.dedup();
        let question = OpenQuestion {
            question: format!(
                "the {count} images have {} different sizes: to which size should they be scaled?",
                self.sizes.len()
            ),
            option: "resize".to_owned(),
            flag: "--resize".to_owned(),
            choices,
        };
        Some((*most, Some(question)))
    }

    /// Returns the most frequent sizes.
    fn found(&self) -> Vec<FoundImageSize> {
        let mut found: Vec<FoundImageSize> = self
            .sizes
            .iter()
            .map(|(size, images)| FoundImageSize { size: *size, images: *images })
            .collect();
        found.sort_by_key(|found| (std::cmp::Reverse(found.images), found.size));
        found.truncate(NAMED);
        found
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.animated.count > 0 {
            let count = self.animated.count;
            warnings.push(format!(
                "{count} image{} several frames or pages, of which the first is read: {}",
                if count == 1 { " has" } else { "s have" },
                self.animated.names()
            ));
        }
        for (format, named) in &self.unread {
            let count = named.count;
            warnings.push(format!(
                "{count} file{} {format}, which is not read: {}",
                if count == 1 { " is" } else { "s are each" },
                named.names()
            ));
        }
        warnings
    }
}

impl Named {
    fn push(&mut self, file: &str) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(file.to_owned());
        }
    }

    fn names(&self) -> String {
        let more = self.count - self.first.len() as u64;
        let names = self.first.join(", ");
        if more == 0 { names } else { format!("{names} and {more} more") }
    }
}

/// Reason why an image can't be used.
enum ImageRefusal {
    Missing,
    LargeFile,
    Io(String),
    Image(ImageError),
}

fn measure(image: &Encoded) -> Result<(ImageSize, bool), ImageRefusal> {
    with_bytes(image, |bytes| {
        let (height, width) = image_decode::size(bytes)?;
        let start = &bytes[..bytes.len().min(image_decode::START)];
        let has_several = matches!(image_decode::detect(start), Some(Detected::Read(format))
            if image_decode::has_several(bytes, format));
        Ok((ImageSize { height, width }, has_several))
    })
}

fn decode(image: &Encoded, height: u32, width: u32) -> Result<DecodedImage, ImageRefusal> {
    with_bytes(image, |bytes| image_decode::decode_scaled(bytes, height, width))
}

fn with_bytes<T>(
    image: &Encoded,
    work: impl FnOnce(&[u8]) -> Result<T, ImageError>,
) -> Result<T, ImageRefusal> {
    let io = |error: std::io::Error| ImageRefusal::Io(error.to_string());
    match image {
        Encoded::Missing => Err(ImageRefusal::Missing),
        Encoded::Bytes(bytes) if bytes.len() as u64 > LARGEST_FILE => Err(ImageRefusal::LargeFile),
        Encoded::Bytes(bytes) => work(bytes).map_err(ImageRefusal::Image),
        Encoded::File(path) => {
            if fs::metadata(path).map_err(io)?.len() > LARGEST_FILE {
                return Err(ImageRefusal::LargeFile);
            }
            work(&fs::read(path).map_err(io)?).map_err(ImageRefusal::Image)
        }
    }
}

/// Returns what is done with images of another size, in words.
fn scaling(scaled: u64, size: ImageSize) -> String {
    let ImageSize { height, width } = size;
    match scaled {
        0 => "none, because all images have this size".to_owned(),
        1 => format!("1 image of another size is scaled to {width}×{height} pixels, {METHOD}"),
        _ => format!(
            "{scaled} images of other sizes are scaled to {width}×{height} pixels, {METHOD}"
        ),
    }
}

const METHOD: &str = "bilinear, without keeping its proportions";

/// Returns a size as the flag takes it: width, then height.
fn text(size: ImageSize) -> String {
    format!("{}x{}", size.width, size.height)
}
