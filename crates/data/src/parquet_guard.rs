//! Checks of Parquet pages before they are decoded. The library trusts the counts in a page and
//! unpacks gzip and LZ4 without a limit, so a few bytes could claim all memory.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::serialized_reader::SerializedPageReader;

/// Most bytes to which a page may unpack. Writers use about a mebibyte.
const MOST_BYTES: u64 = 512 << 20;
/// Largest growth factor of LZ4.
const LZ4_GROWTH: u64 = 255;
/// Most values of a page with packed lengths, where a few bytes can claim any number.
const MOST_VALUES: u64 = 1 << 24;

/// Returns a reader for the values of a column in one row group. No page can make it use more
/// memory than the limit.
pub(crate) fn reader(
    file: &SerializedFileReader<File>,
    raw: &Arc<File>,
    group: usize,
    leaf: usize,
) -> Result<ColumnReader> {
    let chunk = file.metadata().row_group(group).column(leaf);
    let rows = usize::try_from(file.metadata().row_group(group).num_rows()).unwrap_or(0);
    check_packed(raw, chunk, rows, MOST_BYTES)?;
    let pages = file.get_row_group(group)?.get_column_page_reader(leaf)?;
    let column = chunk.column_descr_ptr();
    let has_levels = column.max_def_level() > 0;
    Ok(get_column_reader(column, Box::new(CheckedPages { pages, has_levels })))
}

/// Checks the raw pages of a chunk in the file.
fn check_packed(
    file: &Arc<File>,
    chunk: &ColumnChunkMetaData,
    rows: usize,
    most: u64,
) -> Result<()> {
    let compression = chunk.compression();
    if !matches!(compression, Compression::GZIP(_) | Compression::LZ4) {
        return Ok(());
    }
    let plain = chunk.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
    let mut pages = SerializedPageReader::new(file.clone(), &plain, rows, None)?;
    while let Some(page) = pages.get_next_page()? {
        let Some(packed) = packed(&page) else { continue };
        let unpacks_to = if compression == Compression::LZ4 {
            packed.len() as u64 * LZ4_GROWTH
        } else {
            gzip_length(packed, most)
        };
        if unpacks_to > most {
            return Err(refused(format!(
                "a page may unpack to more than {} MiB; write the file with smaller pages, or with \
                 zstd compression",
                most >> 20
            )));
        }
    }
    Ok(())
}

/// Returns the unpacked length, at most `most` + 1.
fn gzip_length(packed: &[u8], most: u64) -> u64 {
    let mut unpacked = MultiGzDecoder::new(packed).take(most + 1);
    // The page's reader reports damage.
    io::copy(&mut unpacked, &mut io::sink()).unwrap_or(0)
}

/// Returns the compressed part of a page.
fn packed(page: &Page) -> Option<&[u8]> {
    match page {
        Page::DictionaryPage { buf, .. } | Page::DataPage { buf, .. } => Some(buf),
        Page::DataPageV2 { is_compressed: false, .. } => None,
        Page::DataPageV2 { buf, .. } => buf.get(levels_of_v2(page)?..),
    }
}

fn levels_of_v2(page: &Page) -> Option<usize> {
    match page {
        Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
            usize::try_from(def_levels_byte_len.checked_add(*rep_levels_byte_len)?).ok()
        }
        Page::DictionaryPage { .. } | Page::DataPage { .. } => None,
    }
}

/// Reader of checked pages.
struct CheckedPages {
    pages: Box<dyn PageReader>,
    /// Whether each page of version 1 starts with levels.
    has_levels: bool,
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        page.iter().try_for_each(|page| check(page, self.has_levels))?;
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.pages.at_record_boundary()
    }
}

impl Iterator for CheckedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

/// Refuses a page that claims more than it can contain.
fn check(page: &Page, has_levels: bool) -> Result<()> {
    match page {
        // Every entry takes at least a byte.
        Page::DictionaryPage { buf, num_values, .. } if *num_values as usize > buf.len() => {
            Err(refused("a dictionary claims more entries than it has bytes".to_owned()))
        }
        Page::DictionaryPage { .. } => Ok(()),
        Page::DataPage { buf, encoding, num_values, .. } => {
            let levels = if has_levels { levels_of_v1(buf) } else { Some(0) };
            check_values(*encoding, *num_values, levels.and_then(|levels| buf.get(levels..)))
        }
        Page::DataPageV2 { buf, encoding, num_values, .. } => {
            let values = levels_of_v2(page).and_then(|levels| buf.get(levels..));
            check_values(*encoding, *num_values, values)
        }
    }
}

/// Returns the length of the levels of a version 1 page, which is stored in its first 4 bytes.
fn levels_of_v1(page: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(*page.first_chunk()?);
    usize::try_from(length).ok()?.checked_add(4)
}

fn check_values(encoding: Encoding, claimed: u32, values: Option<&[u8]>) -> Result<()> {
    if encoding == Encoding::DELTA_BYTE_ARRAY {
        return Err(refused(
            "the encoding DELTA_BYTE_ARRAY is not supported; write the file as Parquet version 1"
                .to_owned(),
        ));
    }
    let lengths = (encoding == Encoding::DELTA_LENGTH_BYTE_ARRAY)
        .then(|| values.and_then(stated_count).unwrap_or(u64::MAX));
    match lengths {
        Some(count) if count > u64::from(claimed) || count > MOST_VALUES => Err(refused(format!(
            "a page claims more than {MOST_VALUES} values, or more than it contains"
        ))),
        Some(_) | None => Ok(()),
    }
}

/// Returns the number of values that a delta encoding states: the third number of its header.
fn stated_count(values: &[u8]) -> Option<u64> {
    let mut bytes = values.iter();
    let mut number = || {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = bytes.next()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    };
    let (_block, _mini_blocks) = (number()?, number()?);
    number()
}

fn refused(reason: String) -> ParquetError {
    ParquetError::General(reason)
}

#[cfg(test)]
mod tests {
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;

    /// Writes a file with one text of this many spaces.
    fn spaces(count: usize, compression: Compression, encoding: Encoding) -> File {
        let schema = Arc::new(parse_message_type("message m { required binary t; }").unwrap());
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_dictionary_enabled(false)
            .set_encoding(encoding)
            .build();
        let file = tempfile::tempfile().unwrap();
        let copy = file.try_clone().unwrap();
        let mut writer = SerializedFileWriter::new(copy, schema, Arc::new(properties)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let text = ByteArray::from(vec![b' '; count]);
        column.typed::<ByteArrayType>().write_batch(&[text], None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        file
    }

    fn checked(file: File, most: u64) -> Result<()> {
        let raw = Arc::new(file.try_clone()?);
        let reader = SerializedFileReader::new(file)?;
        check_packed(&raw, reader.metadata().row_group(0).column(0), 1, most)
    }

    #[test]
    fn a_page_s_size_is_checked_before_it_is_unpacked() {
        let gzip = || {
            spaces(
                1 << 20,
                Compression::GZIP(parquet::basic::GzipLevel::default()),
                Encoding::PLAIN,
            )
        };
        assert!(gzip().metadata().unwrap().len() < 10_000);
        // In the plain encoding, a text's length precedes it.
        checked(gzip(), (1 << 20) + 4).unwrap();
        let error = checked(gzip(), (1 << 20) + 3).unwrap_err().to_string();
        assert!(error.contains("write the file with smaller pages"), "{error}");
        let lz4 = || spaces(1 << 10, Compression::LZ4, Encoding::PLAIN);
        checked(lz4(), 1 << 20).unwrap();
        checked(lz4(), 1 << 10).unwrap_err();
        checked(spaces(1 << 20, Compression::UNCOMPRESSED, Encoding::PLAIN), 1).unwrap();
    }

    fn dictionary(num_values: u32) -> Page {
        let buf = vec![0; 12].into();
        Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false }
    }

    fn data(encoding: Encoding, values: &[u8]) -> Page {
        Page::DataPage {
            buf: [&[2, 0, 0, 0, 9, 9], values].concat().into(),
            num_values: 1000,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        }
    }

    #[test]
    fn a_page_that_claims_more_than_it_contains_is_refused() {
        check(&dictionary(12), true).unwrap();
        assert!(check(&dictionary(13), true).is_err());
        // Blocks of 128 in 4 parts, then the number of values: 1000, 1001, 2^62 and none.
        let lengths = Encoding::DELTA_LENGTH_BYTE_ARRAY;
        let packed = |count: &[u8]| data(lengths, &[&[0x80, 1, 4], count].concat());
        check(&packed(&[0xe8, 7]), true).unwrap();
        for claim in [&[0xe9, 7][..], &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40], &[]]
        {
            assert!(check(&packed(claim), true).is_err(), "{claim:?}");
        }
        let error = check(&data(Encoding::DELTA_BYTE_ARRAY, &[]), true).unwrap_err().to_string();
        assert!(error.contains("write the file as Parquet version 1"), "{error}");
        check(&data(Encoding::PLAIN, &[]), true).unwrap();
    }

    #[test]
    fn packed_lengths_with_a_correct_count_are_read() {
        let file = spaces(5, Compression::SNAPPY, Encoding::DELTA_LENGTH_BYTE_ARRAY);
        let raw = Arc::new(file.try_clone().unwrap());
        let file = SerializedFileReader::new(file).unwrap();
        let ColumnReader::ByteArrayColumnReader(mut column) = reader(&file, &raw, 0, 0).unwrap()
        else {
            panic!("a column of texts")
        };
        let mut texts = Vec::new();
        column.read_records(9, None, None, &mut texts).unwrap();
        assert_eq!(texts, [ByteArray::from("     ")]);
    }
}
