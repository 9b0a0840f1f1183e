//! Formats that are recognized but not read.

use std::fs::File;
use std::path::Path;

use zip::ZipArchive;

/// First bytes of a format, and what to do with it.
const STARTS: [(&[u8], &str); 22] = [
    (b"\xfd7zXZ\0", "is an xz file, which is not read; unpack it with `xz -d`"),
    (b"ARROW1", "is an Arrow IPC (Feather) file, which is not read; save it as Parquet"),
    (b"FEA1", "is a Feather file, which is not read; save it as Parquet"),
    (b"\x93NUMPY", "is a NumPy array, which is not read; save it as Parquet or CSV"),
    (b"\x89HDF\r\n", "is an HDF5 file, which is not read; save its tables as Parquet"),
    (b"SQLite format 3\0", "is an SQLite database, which is not read; export a table as CSV"),
    (b"%PDF", "is a PDF document, which is not read; save its table as CSV, or its text as .txt"),
    (
        b"\xd0\xcf\x11\xe0",
        "is an old Office document (.xls, .doc), which is not read; save it as .xlsx or CSV",
    ),
    (b"{\\rtf", "is an RTF document, which is not read; save its text as .txt"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7-Zip archive, which is not read; make a zip file"),
    (b"Rar!", "is a RAR archive, which is not read; make a zip file"),
    (b"ORC", "is an ORC file, which is not read; save it as Parquet"),
    (b"Obj\x01", "is an Avro file, which is not read; save it as Parquet"),
    (b"MATLAB 5.0", "is a MATLAB file, which is not read; save it as CSV"),
    (b"RDX", "is an R data file, which is not read; save it as CSV"),
    (b"\x04\x22\x4d\x18", "is an LZ4 file, which is not read; unpack it with `lz4 -d`"),
    (b"\x80\x02", "is a Python pickle, which is not read; save the table as Parquet or CSV"),
    (b"\x80\x03", "is a Python pickle, which is not read; save the table as Parquet or CSV"),
    (b"\x80\x04", "is a Python pickle, which is not read; save the table as Parquet or CSV"),
    (b"\x80\x05", "is a Python pickle, which is not read; save the table as Parquet or CSV"),
    (b"@relation", "is an ARFF file, which is not read; save it as CSV"),
    (b"<?xml", "is an XML file, which is not read; save the table as CSV"),
];

/// Returns what a file is and what to do with it, if its first bytes are of a format that is not read.
pub(super) fn named(start: &[u8]) -> Option<&'static str> {
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    let lower = text.get(..16).unwrap_or(text).to_ascii_lowercase();
    if lower.starts_with(b"<!doctype html") || lower.starts_with(b"<html") {
        return Some("is a web page, which is not read; download the file itself");
    }
    let comment = text.starts_with(b"%") && !text.starts_with(b"%PDF");
    let relation = text.to_ascii_lowercase().windows(9).any(|word| word == b"@relation");
    if lower.starts_with(b"@relation") || (comment && relation) {
        return Some("is an ARFF file, which is not read; save it as CSV");
    }
    STARTS.iter().find(|(known, _)| start.starts_with(known)).map(|(_, what)| *what)
}

/// Format inside a zip file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    Workbook,
    Unreadable(&'static str),
    Files,
}

/// Looks into a zip file for the formats that are zip files themselves.
pub(super) fn inside(path: &Path) -> Inside {
    let Ok(file) = File::open(path) else { return Inside::Files };
    let Ok(archive) = ZipArchive::new(file) else { return Inside::Files };
    let has = |name: &str| archive.index_for_name(name).is_some();
    if has("xl/workbook.xml") {
        Inside::Workbook
    } else if has("xl/workbook.bin") {
        Inside::Unreadable(
            "is a binary workbook (.xlsb), which is not read; save it as .xlsx or CSV",
        )
    } else if has("word/document.xml") {
        Inside::Unreadable("is a Word document, which is not read; save its text as .txt")
    } else if has("content.xml") && has("mimetype") {
        Inside::Unreadable("is an OpenDocument file, which is not read; save it as .xlsx or CSV")
    } else if !archive.is_empty() && archive.file_names_raw().all(|name| name.ends_with(b".npy")) {
        Inside::Unreadable("is a NumPy archive (npz), which is not read; save it as Parquet or CSV")
    } else {
        Inside::Files
    }
}
