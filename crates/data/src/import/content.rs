//! Content of a file, detected from its bytes: an image, an archive, or something else.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use zip::ZipArchive;

use super::unpack::Packing;
use crate::DataError;
use crate::image_decode::{self, Detected, Format, UnreadFormat};

/// Content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Empty,
    Image(Format),
    UnreadImage(UnreadFormat),
    Packed(Packing),
    Unread(UnreadContent),
    /// A file of bytes that are no text, such as a program.
    Binary,
    /// A table or a text.
    Other,
}

/// Recognized content that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnreadContent {
    Xz,
    SevenZip,
    Rar,
    Lz4,
    Compress,
    Cabinet,
    DiskImage,
    NumPyArchive,
    Document,
    Pdf,
    Video,
    Audio,
}

impl UnreadContent {
    /// Returns what the content is, as the rest of a sentence that begins with the file.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Xz => "is an xz file, which is not read",
            Self::SevenZip => "is a 7z archive, which is not read",
            Self::Rar => "is a RAR archive, which is not read",
            Self::Lz4 => "is an lz4 file, which is not read",
            Self::Compress => "is a file of the program compress (.Z), which is not read",
            Self::Cabinet => "is a Windows cabinet, which is not read",
            Self::DiskImage => "is a disk image, which is not read",
            Self::NumPyArchive => "is a NumPy archive (npz), which is not read",
            Self::Document => "is a word processor's document, which is not read",
            Self::Pdf => "is a PDF document, which is not read",
            Self::Video => "is a video, which is not read",
            Self::Audio => "is a sound file, which is not read",
        }
    }

    /// Returns what to do about it.
    pub(super) const fn change(self) -> &'static str {
        match self {
            Self::Xz | Self::Lz4 | Self::Compress => "unpack it, or pack it with gzip",
            Self::SevenZip | Self::Rar | Self::Cabinet | Self::DiskImage => {
                "unpack it and add the folder, or pack it as zip"
            }
            Self::NumPyArchive => "save it as Parquet or CSV",
            Self::Document | Self::Pdf => "save its rows as CSV",
            Self::Video => "save its frames as images",
            Self::Audio => "remove it",
        }
    }
}

/// Detects the content of a file.
pub(super) fn detect(path: &Path) -> Result<Content, DataError> {
    let mut start = Vec::new();
    let file = File::open(path).map_err(DataError::io(path))?;
    let most = image_decode::START as u64;
    (&file).take(most).read_to_end(&mut start).map_err(DataError::io(path))?;
    let unread = |content| Ok(Content::Unread(content));
    match start.as_slice() {
        [] => Ok(Content::Empty),
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Ok(zip_content(file)),
        [0x1f, 0x8b, ..] => Ok(Content::Packed(Packing::Gzip)),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, ..]
        | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, ..] => {
            Ok(Content::Packed(Packing::Bzip2))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Content::Packed(Packing::Zstd)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => unread(UnreadContent::Xz),
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => unread(UnreadContent::SevenZip),
        [b'R', b'a', b'r', b'!', 0x1a, 7, ..] => unread(UnreadContent::Rar),
        [0x04, 0x22, 0x4d, 0x18, ..] => unread(UnreadContent::Lz4),
        [0x1f, 0x9d, ..] => unread(UnreadContent::Compress),
        [b'M', b'S', b'C', b'F', 0, 0, 0, 0, ..] => unread(UnreadContent::Cabinet),
        [b'%', b'P', b'D', b'F', b'-', ..] => unread(UnreadContent::Pdf),
        [b'I', b'D', b'3', 2..=4, ..] | [b'f', b'L', b'a', b'C', ..] => {
            unread(UnreadContent::Audio)
        }
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => {
            unread(UnreadContent::Audio)
        }
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..]
        | [0x1a, 0x45, 0xdf, 0xa3, ..] => unread(UnreadContent::Video),
        start if Packing::is_tar(start) => Ok(Content::Packed(Packing::Tar)),
        start => Ok(match image_decode::detect(start) {
            Some(Detected::Read(format)) => Content::Image(format),
            Some(Detected::Unread(format)) => Content::UnreadImage(format),
            None if start.get(4..8) == Some(b"ftyp") => Content::Unread(UnreadContent::Video),
            None if is_disk_image(&file) => Content::Unread(UnreadContent::DiskImage),
            None if is_binary(start) => Content::Binary,
            None => Content::Other,
        }),
    }
}

/// Tells archives from the documents that are zip files inside. A damaged archive is reported when it is
/// unpacked.
fn zip_content(file: File) -> Content {
    let Ok(archive) = ZipArchive::new(file) else { return Content::Packed(Packing::Zip) };
    let names: Vec<&[u8]> = archive.file_names_raw().take(1000).collect();
    let has = |name: &[u8]| names.contains(&name);
    if has(b"xl/workbook.xml") || has(b"xl/workbook.bin") || has(b"content.xml") && has(b"mimetype")
    {
        Content::Other
    } else if has(b"word/document.xml") || has(b"ppt/presentation.xml") {
        Content::Unread(UnreadContent::Document)
    } else if !names.is_empty() && names.iter().all(|name| name.ends_with(b".npy")) {
        Content::Unread(UnreadContent::NumPyArchive)
    } else {
        Content::Packed(Packing::Zip)
    }
}

/// Apple's disk images end with a block of 512 bytes that begins with `koly`.
fn is_disk_image(file: &File) -> bool {
    use std::io::{Seek, SeekFrom};
    let (mut file, mut end) = (file, [0; 4]);
    file.seek(SeekFrom::End(-512)).and_then(|_| file.read_exact(&mut end)).is_ok()
        && end == *b"koly"
}

/// Whether bytes are neither text of a usual encoding nor Parquet. Text in UTF-16 has NUL bytes in every
/// other place.
fn is_binary(start: &[u8]) -> bool {
    if start.starts_with(b"PAR1") || start.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
        return false;
    }
    let zeros = start.iter().filter(|byte| matches!(**byte, 0)).count();
    let is_utf_16 = start.starts_with(&[0xff, 0xfe])
        || start.starts_with(&[0xfe, 0xff])
        || (zeros * 5 >= start.len() * 2
            && [0, 1]
                .iter()
                .any(|turn| start.iter().skip(*turn).step_by(2).all(|byte| *byte != 0)));
    let control = start.iter().filter(|byte| matches!(**byte, 1..=8 | 14..=26 | 28..=31)).count();
    !is_utf_16 && (zeros > start.len() / 20 || control > start.len() / 20)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn content_is_detected_by_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let cases: [(&[u8], Content); 15] = [
            (b"", Content::Empty),
            (b"text,label\na,b\n", Content::Other),
            (b"\xff\xfet\0e\0x\0t\0", Content::Other),
            (b"t\0e\0x\0t\0,\0l\0a\0", Content::Other),
            (b"PAR1\x15\0\x15\x02", Content::Other),
            (b"\x93NUMPY\x01\0v\0{'descr': 0}\0\0\0\0\0\x01\x02\x03", Content::Binary),
            (b"\x1f\x8b\x08\0", Content::Packed(Packing::Gzip)),
            (b"BZh91AY&SY", Content::Packed(Packing::Bzip2)),
            (b"BZh is a text,a\n", Content::Other),
            (b"\x28\xb5\x2f\xfd\0", Content::Packed(Packing::Zstd)),
            (b"PK\x03\x04", Content::Packed(Packing::Zip)),
            (b"\xfd7zXZ\0\0", Content::Unread(UnreadContent::Xz)),
            (b"7z\xbc\xaf\x27\x1c\0\x04", Content::Unread(UnreadContent::SevenZip)),
            (b"Rar!\x1a\x07\x01\0", Content::Unread(UnreadContent::Rar)),
            (b"%PDF-1.7\n", Content::Unread(UnreadContent::Pdf)),
        ];
        for (bytes, content) in cases {
            fs::write(&path, bytes).unwrap();
            assert_eq!(detect(&path).unwrap(), content, "{bytes:?}");
        }
    }
}
