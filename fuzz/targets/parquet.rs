//! Parquet files with texts or encoded images, uploaded as a dataset.
#![no_main]

use std::io::Cursor;
use std::sync::Arc;

use fuzz::datasets;
use fuzz::seeds::write_seeds;
use libfuzzer_sys::fuzz_target;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

fuzz_target!(init: { write_seeds(seeds()); datasets::expect_panics_of(&["parquet"]); }, |bytes: &[u8]| {
    datasets::read(bytes);
});

const ROWS: usize = 24;
const NAMES: &str = r#"{"info":{"features":{"label":{"names":["a","b"],"_type":"ClassLabel"}}}}"#;

fn seeds() -> Vec<Vec<u8>> {
    let compressions = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4_RAW,
    ];
    let files =
        compressions.into_iter().flat_map(|compression| [texts(compression), images(compression)]);
    files.filter_map(Result::ok).collect()
}

/// A file with a dictionary, nulls, and one column of each other type.
fn texts(compression: Compression) -> Result<Vec<u8>, ParquetError> {
    let schema =
        "message schema { optional binary text (UTF8); required int64 label; required boolean flag;
        required double score; required int32 number; }";
    let mut writer = open(schema, compression)?;
    let mut group = writer.next_row_group()?;
    let texts: Vec<ByteArray> =
        (0..ROWS - 2).map(|n| ByteArray::from(format!("text {}", n / 2).as_str())).collect();
    let present: Vec<i16> = (0..ROWS).map(|n| i16::from(n > 1)).collect();
    let labels: Vec<i64> = (0..ROWS).map(|n| i64::from(n % 2 == 0)).collect();
    while let Some(mut column) = group.next_column()? {
        match column.untyped() {
            parquet::column::writer::ColumnWriter::ByteArrayColumnWriter(_) => {
                column.typed::<ByteArrayType>().write_batch(&texts, Some(&present), None)?
            }
            parquet::column::writer::ColumnWriter::Int64ColumnWriter(_) => {
                column.typed::<Int64Type>().write_batch(&labels, None, None)?
            }
            parquet::column::writer::ColumnWriter::BoolColumnWriter(_) => {
                column.typed::<BoolType>().write_batch(&[true; ROWS], None, None)?
            }
            parquet::column::writer::ColumnWriter::DoubleColumnWriter(_) => {
                column.typed::<DoubleType>().write_batch(&[0.5; ROWS], None, None)?
            }
            _ => column.typed::<Int32Type>().write_batch(&[7; ROWS], None, None)?,
        };
        column.close()?;
    }
    group.close()?;
    writer.into_inner().map(Cursor::into_inner)
}

fn images(compression: Compression) -> Result<Vec<u8>, ParquetError> {
    let schema =
        "message schema { required group image { required binary bytes; } required int64 label; }";
    let mut writer = open(schema, compression)?;
    let mut group = writer.next_row_group()?;
    let mut png = Cursor::new(Vec::new());
    let gray = image::GrayImage::from_pixel(3, 3, image::Luma([9]));
    gray.write_to(&mut png, image::ImageFormat::Png)
        .map_err(|error| ParquetError::External(error.into()))?;
    let images = vec![ByteArray::from(png.into_inner()); ROWS];
    let labels: Vec<i64> = (0..ROWS).map(|n| i64::from(n % 2 == 0)).collect();
    let mut column = group.next_column()?.ok_or(ParquetError::EOF("no column".into()))?;
    column.typed::<ByteArrayType>().write_batch(&images, None, None)?;
    column.close()?;
    let mut column = group.next_column()?.ok_or(ParquetError::EOF("no column".into()))?;
    column.typed::<Int64Type>().write_batch(&labels, None, None)?;
    column.close()?;
    group.close()?;
    writer.into_inner().map(Cursor::into_inner)
}

fn open(
    schema: &str,
    compression: Compression,
) -> Result<SerializedFileWriter<Cursor<Vec<u8>>>, ParquetError> {
    let names = KeyValue { key: "huggingface".to_owned(), value: Some(NAMES.to_owned()) };
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_key_value_metadata(Some(vec![names]))
        .build();
    SerializedFileWriter::new(
        Cursor::new(Vec::new()),
        Arc::new(parse_message_type(schema)?),
        Arc::new(properties),
    )
}
