//! Parquet columns of every type, written here.

use std::sync::Arc;

use parquet::column::writer::ColumnWriter;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType,
    Int32Type, Int64Type, Int96, Int96Type,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::case::Case;

const ROWS: usize = 24;

pub(crate) fn cases() -> Vec<Case> {
    let text = "required binary text (UTF8);";
    let case = |kind: &'static str, label: &str| {
        Case::new(kind, "x.parquet", file(&format!("{text} {label}"))).classes(&["0", "1"])
    };
    vec![
        case("labels of 32 bits", "required int32 label;"),
        case("labels of 64 bits", "required int64 label;"),
        case("unsigned labels", "required int32 label (INTEGER(8,false));"),
        case("unsigned labels of 64 bits", "required int64 label (INTEGER(64,false));"),
        case("decimal labels of 32 bits", "required int32 label (DECIMAL(5,0));"),
        case("decimal labels as bytes", "required binary label (DECIMAL(9,2));")
            .classes(&["0.48", "0.49"]),
        case(
            "decimal labels of fixed length",
            "required fixed_len_byte_array(4) label (DECIMAL(9,0));",
        ),
        case("labels true and false", "required boolean label;").classes(&["false", "true"]),
        case("labels as floats", "required double label;"),
        case(
            "a timestamp of 96 bits that nobody needs",
            "required int96 at; required int64 label;",
        ),
        case("a list that nobody needs", "required int64 label; repeated int32 spans;"),
        case(
            "a group that nobody needs",
            "required int64 label; required group meta { required int64 id; }",
        ),
    ]
}

/// Writes a text many times, each with a label.
pub(crate) fn repeated(text: &str, rows: usize) -> Vec<u8> {
    let columns = "message m { required binary text (UTF8); required binary label (UTF8); }";
    let schema = Arc::new(parse_message_type(columns).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let texts = vec![ByteArray::from(text); rows];
    let labels = (0..rows).map(|n| ByteArray::from(["a", "b"][n % 2])).collect();
    for values in [texts, labels] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.into_inner().unwrap()
}

/// Writes every column with values that alternate between 0 and 1.
pub(crate) fn file(columns: &str) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(&format!("message m {{ {columns} }}")).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let bit = |n: usize| i32::try_from(n % 2).unwrap();
    let mut first = true;
    while let Some(mut column) = group.next_column().unwrap() {
        match column.untyped() {
            ColumnWriter::Int32ColumnWriter(writer)
                if writer.get_descriptor().max_rep_level() > 0 =>
            {
                let levels = vec![0; ROWS];
                column.typed::<Int32Type>().write_batch(&[], Some(&levels), Some(&levels)).map(drop)
            }
            ColumnWriter::Int32ColumnWriter(_) => {
                let values: Vec<i32> = (0..ROWS).map(bit).collect();
                column.typed::<Int32Type>().write_batch(&values, None, None).map(drop)
            }
            ColumnWriter::Int64ColumnWriter(_) => {
                let values: Vec<i64> = (0..ROWS).map(|n| i64::from(bit(n))).collect();
                column.typed::<Int64Type>().write_batch(&values, None, None).map(drop)
            }
            ColumnWriter::Int96ColumnWriter(_) => column
                .typed::<Int96Type>()
                .write_batch(&vec![Int96::new(); ROWS], None, None)
                .map(drop),
            ColumnWriter::BoolColumnWriter(_) => {
                let values: Vec<bool> = (0..ROWS).map(|n| n % 2 == 1).collect();
                column.typed::<BoolType>().write_batch(&values, None, None).map(drop)
            }
            ColumnWriter::DoubleColumnWriter(_) => {
                let values: Vec<f64> = (0..ROWS).map(|n| f64::from(bit(n))).collect();
                column.typed::<DoubleType>().write_batch(&values, None, None).map(drop)
            }
            ColumnWriter::ByteArrayColumnWriter(_) if first => {
                let values: Vec<ByteArray> = (0..ROWS)
                    .map(|n| ByteArray::from(format!("words of row {n}").as_str()))
                    .collect();
                column.typed::<ByteArrayType>().write_batch(&values, None, None).map(drop)
            }
            // The bytes of the digits 0 and 1 are the numbers 48 and 49.
            ColumnWriter::ByteArrayColumnWriter(_) => {
                let values: Vec<ByteArray> =
                    (0..ROWS).map(|n| ByteArray::from(["0", "1"][n % 2])).collect();
                column.typed::<ByteArrayType>().write_batch(&values, None, None).map(drop)
            }
            ColumnWriter::FixedLenByteArrayColumnWriter(_) => {
                let values: Vec<FixedLenByteArray> = (0..ROWS)
                    .map(|n| FixedLenByteArray::from(bit(n).to_be_bytes().to_vec()))
                    .collect();
                column.typed::<FixedLenByteArrayType>().write_batch(&values, None, None).map(drop)
            }
            ColumnWriter::FloatColumnWriter(_) => panic!("no case has 32-bit floats"),
        }
        .unwrap();
        column.close().unwrap();
        first = false;
    }
    group.close().unwrap();
    writer.into_inner().unwrap()
}
