//! Columns of a Parquet file, read one at a time without building rows.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use crate::{DataError, parquet_guard};

const BATCH: usize = 4096;

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Unsigned(u64),
    /// Unscaled value, and the number of digits after the point.
    Decimal(i128, u32),
    Real(f64),
    Bytes(&'a [u8]),
}

/// Whether a column can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    Readable,
    /// Type in words.
    Unreadable(String),
}

/// Open file with flat or struct columns. Lists are skipped.
pub(crate) struct Columns {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    /// The same file, for reading raw pages.
    raw: Arc<File>,
    /// Dotted paths of the columns and their index among the file's leaves.
    names: Vec<(String, usize)>,
    /// The same with lists.
    all: Vec<(String, usize)>,
}

impl Columns {
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::io(path))?;
        let raw = Arc::new(file.try_clone().map_err(DataError::io(path))?);
        let reader = catch_panic(|| SerializedFileReader::new(file))
            .map_err(|error| not_parquet(path, &error))?;
        let schema = reader.metadata().file_metadata().schema_descr();
        let leaves = || schema.columns().iter().enumerate();
        let all = leaves().map(|(leaf, column)| (column.path().string(), leaf)).collect();
        let names = leaves()
            .filter(|(_, column)| column.max_rep_level() == 0)
            .map(|(leaf, column)| (column.path().string(), leaf))
            .collect();
        Ok(Self { path: path.to_owned(), reader, raw, names, all })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(name, _)| name.as_str())
    }

    /// Returns the dotted names of all columns, with those that can't be read.
    pub(crate) fn all_names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|(name, _)| name.as_str())
    }

    /// Returns whether a column can be read, by its type alone.
    pub(crate) fn kind(&self, name: &str) -> ColumnKind {
        let Some((_, leaf)) = self.all.iter().find(|(known, _)| known == name) else {
            return ColumnKind::Unreadable("no column of the file".to_owned());
        };
        let column = self.reader.metadata().file_metadata().schema_descr().column(*leaf);
        let unreadable = |kind: &str| ColumnKind::Unreadable(kind.to_owned());
        if column.max_rep_level() > 0 {
            return unreadable("list");
        }
        match (column.physical_type(), column.logical_type_ref()) {
            (PhysicalType::INT96, _) => unreadable("timestamp of 96 bits (INT96)"),
            (PhysicalType::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Float16)) => {
                unreadable("number of 16 bits")
            }
            (PhysicalType::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Uuid)) => unreadable("UUID"),
            (_, _) => ColumnKind::Readable,
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        u64::try_from(self.reader.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Returns the names of a class column's classes from the schema's `huggingface` metadata.
    pub(crate) fn class_names(&self, column: &str) -> Option<Vec<String>> {
        let metadata = self.reader.metadata().file_metadata().key_value_metadata()?;
        let text = metadata.iter().find(|pair| pair.key == "huggingface")?.value.as_ref()?;
        let json: serde_json::Value = serde_json::from_str(text).ok()?;
        let names = json["info"]["features"][column]["names"].as_array()?;
        names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
    }

    /// Calls `visit` with every value of a column in order.
    pub(crate) fn read(
        &self,
        name: &str,
        mut visit: impl FnMut(Cell<'_>) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let leaf = self.names.iter().find(|(known, _)| known == name).ok_or_else(|| {
            let known: Vec<&str> = self.names().collect();
            let reason = format!("has no column `{name}`; its columns are {}", known.join(", "));
            DataError::file(&self.path, reason)
        })?;
        for group in 0..self.reader.num_row_groups() {
            let reader =
                catch_panic(|| parquet_guard::reader(&self.reader, &self.raw, group, leaf.1));
            let reader = reader.map_err(|error| not_parquet(&self.path, &error))?;
            let unknown = || {
                let reason = format!(
                    "column `{name}` is a timestamp of 96 bits (INT96), which is not read; use \
                     another column, or write it as text"
                );
                DataError::file(&self.path, reason)
            };
            let column = self.reader.metadata().file_metadata().schema_descr().column(leaf.1);
            let numbers = Numbers::from_column(&column);
            match reader {
                ColumnReader::BoolColumnReader(reader) => self
                    .drain(reader, |value| visit(value.map_or(Cell::Null, |v| Cell::Boolean(*v)))),
                ColumnReader::Int32ColumnReader(reader) => self
                    .drain(reader, |value| visit(value.map_or(Cell::Null, |v| numbers.narrow(*v)))),
                ColumnReader::Int64ColumnReader(reader) => self
                    .drain(reader, |value| visit(value.map_or(Cell::Null, |v| numbers.wide(*v)))),
                ColumnReader::FloatColumnReader(reader) => self.drain(reader, |value| {
                    visit(value.map_or(Cell::Null, |v| Cell::Real(f64::from(*v))))
                }),
                ColumnReader::DoubleColumnReader(reader) => {
                    self.drain(reader, |value| visit(value.map_or(Cell::Null, |v| Cell::Real(*v))))
                }
                ColumnReader::ByteArrayColumnReader(reader) => self.drain(reader, |value| {
                    visit(value.map_or(Cell::Null, |v| numbers.bytes(v.data())))
                }),
                ColumnReader::FixedLenByteArrayColumnReader(reader) => self
                    .drain(reader, |value| {
                        visit(value.map_or(Cell::Null, |v| numbers.bytes(v.data())))
                    }),
                ColumnReader::Int96ColumnReader(_) => Err(unknown()),
            }?;
        }
        Ok(())
    }

    /// Returns the first value of a column of bytes that is not null. Empty if there is none.
    pub(crate) fn first(&self, name: &str) -> Vec<u8> {
        let mut first = None;
        // An error ends the reading early.
        let enough = || DataError::file(&self.path, "is read");
        let read = self.read(name, |cell| match cell {
            Cell::Bytes(bytes) => {
                first = Some(bytes.to_vec());
                Err(enough())
            }
            Cell::Null => Ok(()),
            Cell::Boolean(_)
            | Cell::Integer(_)
            | Cell::Unsigned(_)
            | Cell::Decimal(..)
            | Cell::Real(_) => Err(enough()),
        });
        // A column of another type, or one that can't be read, has no bytes. If it is needed, that is an error
        // later.
        drop(read);
        first.unwrap_or_default()
    }

    fn drain<T: DataType>(
        &self,
        mut reader: ColumnReaderImpl<T>,
        mut visit: impl FnMut(Option<&T::T>) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        loop {
            levels.clear();
            values.clear();
            let batch = || reader.read_records(BATCH, Some(&mut levels), None, &mut values);
            let (records, _, _) =
                catch_panic(batch).map_err(|error| not_parquet(&self.path, &error))?;
            if records == 0 {
                return Ok(());
            }
            if levels.is_empty() {
                values.iter().try_for_each(|value| visit(Some(value)))?;
                continue;
            }
            let present = levels.iter().max().copied().unwrap_or(0);
            let mut next = values.iter();
            // Without repetition, a value is present exactly where its level is the highest.
            let all_null = values.is_empty();
            for level in &levels {
                visit(if all_null || *level < present { None } else { next.next() })?;
            }
        }
    }
}

/// Meaning of a column's integers and bytes.
#[derive(Debug, Clone, Copy)]
enum Numbers {
    Plain,
    Unsigned,
    Decimal(u32),
}

impl Numbers {
    fn from_column(column: &ColumnDescriptor) -> Self {
        let scale = |scale: i32| Self::Decimal(u32::try_from(scale).unwrap_or(0).min(76));
        match (column.logical_type_ref(), column.converted_type()) {
            (Some(LogicalType::Decimal(decimal)), _) => scale(decimal.scale),
            (_, ConvertedType::DECIMAL) => scale(column.type_scale()),
            (Some(LogicalType::Integer(integer)), _) if !integer.is_signed => Self::Unsigned,
            (
                _,
                ConvertedType::UINT_8
                | ConvertedType::UINT_16
                | ConvertedType::UINT_32
                | ConvertedType::UINT_64,
            ) => Self::Unsigned,
            (_, _) => Self::Plain,
        }
    }

    fn narrow(self, value: i32) -> Cell<'static> {
        match self {
            Self::Plain => Cell::Integer(i64::from(value)),
            Self::Unsigned => Cell::Unsigned(u64::from(value.cast_unsigned())),
            Self::Decimal(scale) => Cell::Decimal(i128::from(value), scale),
        }
    }

    fn wide(self, value: i64) -> Cell<'static> {
        match self {
            Self::Plain => Cell::Integer(value),
            Self::Unsigned => Cell::Unsigned(value.cast_unsigned()),
            Self::Decimal(scale) => Cell::Decimal(i128::from(value), scale),
        }
    }

    /// A decimal is stored as its bytes in big-endian two's complement.
    fn bytes(self, bytes: &[u8]) -> Cell<'_> {
        match self {
            Self::Decimal(scale) if (1..=16).contains(&bytes.len()) => {
                let sign = if bytes[0] & 0x80 == 0 { 0 } else { 0xff };
                let mut padded = [sign; 16];
                padded[16 - bytes.len()..].copy_from_slice(bytes);
                Cell::Decimal(i128::from_be_bytes(padded), scale)
            }
            Self::Plain | Self::Unsigned | Self::Decimal(_) => Cell::Bytes(bytes),
        }
    }
}

/// Converts a panic of the library, which some damaged files cause, to an error.
fn catch_panic<T>(work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    let damaged = |_| Err(ParquetError::General("the file is damaged".to_owned()));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(damaged)
}

fn not_parquet(path: &Path, error: &ParquetError) -> DataError {
    let text = error.to_string();
    let reason = text.strip_prefix("Parquet error: ").unwrap_or(&text);
    DataError::file(path, format!("is not a readable Parquet file: {reason}"))
}
