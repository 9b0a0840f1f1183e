//! Shard format: raw rows as they are sent to devices and as uploads are stored. The same rows give
//! the same bytes on every machine, so a shard is named by its BLAKE3 hash.
//!
//! Little-endian: magic (8) · kind (1: 0 text, 1 image) · channels, height, width (4 each, 0 for
//! texts) · number of rows (8), then for each row: label (4) · length (8) · bytes.

use protocol::dataset::SampleShape;

use crate::{Row, Sample};

const MAGIC: &[u8; 8] = b"CNSHARD1";
const TEXT: u8 = 0;
const IMAGE: u8 = 1;
/// Label and length: the minimum size of a row.
const ROW_HEADER: usize = 12;

/// Shard in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    pub sample: SampleShape,
    pub rows: Vec<Row>,
}

/// Error in a shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    #[error("not a shard: its magic bytes are missing; fetch it again")]
    NotAShard,
    #[error("the shard ends at byte {at}, in the middle of {what}; fetch it again")]
    Truncated { at: usize, what: &'static str },
    #[error("the shard has an unknown kind of row ({0}); update Constellation")]
    UnknownKind(u8),
    #[error(
        "the shard contains texts but states an image size of {channels}×{height}×{width}; fetch it again"
    )]
    SizeOfTexts { channels: u32, height: u32, width: u32 },
    #[error(
        "the shard's image size {channels}×{height}×{width} is zero or too large; fetch it again"
    )]
    ImageSize { channels: u32, height: u32, width: u32 },
    #[error("row {row} has {length} bytes, but its image needs {expected}; fetch the shard again")]
    ImageLength { row: u64, length: u64, expected: u64 },
    #[error("row {0} is not UTF-8; fetch the shard again")]
    NotUtf8(u64),
    #[error("{0} bytes follow the shard's last row; fetch it again")]
    Trailing(usize),
}

/// Packs rows in order. A row of another shape is written unchanged, and `read` refuses it.
pub fn write(sample: SampleShape, rows: &[&Row]) -> Vec<u8> {
    let bytes: usize = rows.iter().map(|row| ROW_HEADER + row.sample.bytes().len()).sum();
    let mut out = Vec::with_capacity(29 + bytes);
    out.extend_from_slice(MAGIC);
    let (kind, sizes) = match sample {
        SampleShape::Text => (TEXT, [0; 3]),
        SampleShape::Image { channels, height, width } => (IMAGE, [channels, height, width]),
    };
    out.push(kind);
    for size in sizes {
        out.extend_from_slice(&size.to_le_bytes());
    }
    out.extend_from_slice(&(rows.len() as u64).to_le_bytes());
    for row in rows {
        let bytes = row.sample.bytes();
        out.extend_from_slice(&row.label.to_le_bytes());
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        out.extend_from_slice(bytes);
    }
    out
}

/// Unpacks a shard. Allocations are bounded by `bytes.len()`, whatever the header claims.
pub fn read(bytes: &[u8]) -> Result<Shard, ShardError> {
    let mut cursor = Cursor { bytes, at: 0 };
    if cursor.take(8, "the mark").ok() != Some(MAGIC) {
        return Err(ShardError::NotAShard);
    }
    let kind = cursor.array::<1>("the header")?[0];
    let channels = cursor.u32("the header")?;
    let height = cursor.u32("the header")?;
    let width = cursor.u32("the header")?;
    let count = cursor.u64("the header")?;
    let sample = match kind {
        TEXT => SampleShape::Text,
        IMAGE => SampleShape::Image { channels, height, width },
        other => return Err(ShardError::UnknownKind(other)),
    };
    if kind == TEXT && (channels, height, width) != (0, 0, 0) {
        return Err(ShardError::SizeOfTexts { channels, height, width });
    }
    let pixels = pixels(channels, height, width);
    if kind == IMAGE && pixels.is_none() {
        return Err(ShardError::ImageSize { channels, height, width });
    }
    let room = (bytes.len() - cursor.at) / ROW_HEADER;
    let claimed = usize::try_from(count).unwrap_or(usize::MAX);
    if claimed > room {
        return Err(ShardError::Truncated { at: bytes.len(), what: "the rows" });
    }
    let mut rows = Vec::with_capacity(claimed);
    for index in 0..count {
        rows.push(read_row(&mut cursor, index, pixels.filter(|_| kind == IMAGE))?);
    }
    match bytes.len() - cursor.at {
        0 => Ok(Shard { sample, rows }),
        rest => Err(ShardError::Trailing(rest)),
    }
}

fn read_row(cursor: &mut Cursor<'_>, row: u64, pixels: Option<u64>) -> Result<Row, ShardError> {
    let label = cursor.u32("a label")?;
    let length = cursor.u64("a length")?;
    if let Some(expected) = pixels
        && expected != length
    {
        return Err(ShardError::ImageLength { row, length, expected });
    }
    let bytes = cursor.take(usize::try_from(length).unwrap_or(usize::MAX), "a row")?;
    let sample = if pixels.is_some() {
        Sample::Image(bytes.to_vec())
    } else {
        Sample::Text(std::str::from_utf8(bytes).map_err(|_| ShardError::NotUtf8(row))?.to_owned())
    };
    Ok(Row { label, sample })
}

/// Returns the bytes of one image, or `None` if a side is 0 or the product exceeds 2^32.
fn pixels(channels: u32, height: u32, width: u32) -> Option<u64> {
    let sides = u64::from(channels).checked_mul(u64::from(height))?;
    let pixels = sides.checked_mul(u64::from(width))?;
    (pixels > 0 && u32::try_from(pixels).is_ok()).then_some(pixels)
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], ShardError> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(ShardError::Truncated { at: self.bytes.len(), what })?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], ShardError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, ShardError> {
        self.array(what).map(u32::from_le_bytes)
    }

    fn u64(&mut self, what: &'static str) -> Result<u64, ShardError> {
        self.array(what).map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_round_trip(rows in prop::collection::vec((any::<u32>(), ".{0,40}"), 0..20)) {
            let rows: Vec<Row> = rows
                .into_iter()
                .map(|(label, text)| Row { label, sample: Sample::Text(text) })
                .collect();
            let bytes = write(SampleShape::Text, &rows.iter().collect::<Vec<_>>());
            prop_assert_eq!(read(&bytes).unwrap(), Shard { sample: SampleShape::Text, rows });
        }

        #[test]
        fn images_round_trip_and_every_truncation_is_refused(
            rows in prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 12)), 1..8),
            cut in 0_usize..1000,
        ) {
            let sample = SampleShape::Image { channels: 3, height: 2, width: 2 };
            let rows: Vec<Row> = rows
                .into_iter()
                .map(|(label, pixels)| Row { label, sample: Sample::Image(pixels) })
                .collect();
            let bytes = write(sample, &rows.iter().collect::<Vec<_>>());
            prop_assert!(read(&bytes[..cut % bytes.len()]).is_err());
            prop_assert_eq!(read(&bytes).unwrap(), Shard { sample, rows });
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
            let _ = read(&[MAGIC.as_slice(), &bytes].concat());
        }

        #[test]
        fn no_flipped_byte_panics(at in 0_usize..1000, with in any::<u8>()) {
            let row = Row { label: 1, sample: Sample::Text("a text".into()) };
            let mut bytes = write(SampleShape::Text, &[&row, &row]);
            let at = at % bytes.len();
            bytes[at] = with;
            let _ = read(&bytes);
        }
    }

    #[test]
    fn the_bytes_are_stable() {
        let row = Row { label: 2, sample: Sample::Text("hé".into()) };
        let bytes = write(SampleShape::Text, &[&row]);
        let mut expected = b"CNSHARD1\0".to_vec();
        expected.extend([0; 12]);
        expected.extend([1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend("hé".as_bytes());
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_false_row_count_is_refused_before_it_allocates() {
        let mut bytes = write(SampleShape::Text, &[]);
        bytes[21..29].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(read(&bytes), Err(ShardError::Truncated { at: bytes.len(), what: "the rows" }));
    }

    /// Found by `make fuzz`: two shards of the same rows had different bytes, and therefore two
    /// names.
    #[test]
    fn texts_with_an_image_size_are_refused() {
        let mut bytes = write(SampleShape::Text, &[]);
        bytes[13] = 7;
        let error = ShardError::SizeOfTexts { channels: 0, height: 7, width: 0 };
        assert_eq!(read(&bytes), Err(error));
    }

    #[test]
    fn a_row_with_another_image_size_is_refused() {
        let row = Row { label: 0, sample: Sample::Image(vec![0; 5]) };
        let bytes = write(SampleShape::Image { channels: 1, height: 2, width: 2 }, &[&row]);
        assert_eq!(read(&bytes), Err(ShardError::ImageLength { row: 0, length: 5, expected: 4 }));
    }
}
