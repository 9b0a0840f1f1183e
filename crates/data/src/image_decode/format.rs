//! Format of an image, detected from its first bytes.

use image::ImageFormat;

/// Longest side accepted. Without this limit a few bytes could claim gigabytes.
pub const MAX_SIDE: u32 = 2048;

/// First bytes of a file that detection needs. SVG files begin with comments.
pub const START: usize = 1024;

/// Format that is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    Png,
    Jpeg,
    Gif,
    WebP,
    Bmp,
    Tiff,
}

/// Image format that is recognized, but not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnreadFormat {
    Heic,
    Avif,
    /// Photo of a camera in its own format, such as CR2, NEF or DNG.
    CameraRaw,
    Photoshop,
    Svg,
    JpegXl,
    Jpeg2000,
    Icon,
    NetPbm,
    OpenExr,
    Radiance,
    Qoi,
    Dds,
}

/// Result of a detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detected {
    Read(Format),
    Unread(UnreadFormat),
}

impl Format {
    /// Returns the format's name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Gif => "GIF",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
        }
    }

    /// Whether the format stores gray images as such. The others store them in color.
    pub(super) const fn has_gray(self) -> bool {
        match self {
            Self::Png | Self::Jpeg | Self::Tiff => true,
            Self::Gif | Self::WebP | Self::Bmp => false,
        }
    }

    pub(super) const fn library(self) -> ImageFormat {
        match self {
            Self::Png => ImageFormat::Png,
            Self::Jpeg => ImageFormat::Jpeg,
            Self::Gif => ImageFormat::Gif,
            Self::WebP => ImageFormat::WebP,
            Self::Bmp => ImageFormat::Bmp,
            Self::Tiff => ImageFormat::Tiff,
        }
    }
}

impl UnreadFormat {
    /// Returns the format's name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Heic => "a HEIC image",
            Self::Avif => "an AVIF image",
            Self::CameraRaw => "a camera's raw photo",
            Self::Photoshop => "a Photoshop file",
            Self::Svg => "an SVG drawing",
            Self::JpegXl => "a JPEG XL image",
            Self::Jpeg2000 => "a JPEG 2000 image",
            Self::Icon => "an icon file",
            Self::NetPbm => "a PBM, PGM or PPM image",
            Self::OpenExr => "an OpenEXR image",
            Self::Radiance => "a Radiance image",
            Self::Qoi => "a QOI image",
            Self::Dds => "a DDS texture",
        }
    }

    /// Returns what to do about it.
    pub const fn change(self) -> &'static str {
        match self {
            Self::Heic => {
                "export it as JPEG or PNG: in Preview, File > Export, or with sips -s format png"
            }
            Self::CameraRaw => "export it as JPEG or PNG with the camera's program or Preview",
            Self::Photoshop | Self::Svg => "export it as PNG",
            Self::Avif
            | Self::JpegXl
            | Self::Jpeg2000
            | Self::Icon
            | Self::NetPbm
            | Self::OpenExr
            | Self::Radiance
            | Self::Qoi
            | Self::Dds => "convert it to PNG or JPEG",
        }
    }
}

/// Detects an image by its first bytes. Returns `None` if they are not an image's.
pub fn detect(start: &[u8]) -> Option<Detected> {
    let read = |format| Some(Detected::Read(format));
    let unread = |format| Some(Detected::Unread(format));
    match start {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => read(Format::Png),
        [0xff, 0xd8, 0xff, ..] => read(Format::Jpeg),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => read(Format::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => read(Format::WebP),
        // The size of the header that follows tells a bitmap from a text.
        [b'B', b'M', rest @ ..] => match rest.get(12..16) {
            Some([12 | 16 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0]) => read(Format::Bmp),
            Some(_) | None => None,
        },
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => {
            if is_raw(start) {
                unread(UnreadFormat::CameraRaw)
            } else {
                read(Format::Tiff)
            }
        }
        [b'I', b'I', b'R', b'O' | b'S', ..] | [b'I', b'I', b'U', 0, ..] => {
            unread(UnreadFormat::CameraRaw)
        }
        [b'F', b'U', b'J', b'I', b'F', b'I', b'L', b'M', ..] => unread(UnreadFormat::CameraRaw),
        [_, _, _, _, b'f', b't', b'y', b'p', brands @ ..] => {
            brand(start.first_chunk(), brands).map(Detected::Unread)
        }
        [b'8', b'B', b'P', b'S', 0, 1 | 2, ..] => unread(UnreadFormat::Photoshop),
        [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => {
            unread(UnreadFormat::JpegXl)
        }
        [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [0xff, 0x4f, 0xff, 0x51, ..] => {
            unread(UnreadFormat::Jpeg2000)
        }
        [0, 0, 1, 0, 1..=64, 0, ..] => unread(UnreadFormat::Icon),
        [b'P', b'1'..=b'6', b'\n' | b' ' | b'\r' | b'\t', b'#' | b'0'..=b'9', ..] => {
            unread(UnreadFormat::NetPbm)
        }
        [0x76, 0x2f, 0x31, 0x01, ..] => unread(UnreadFormat::OpenExr),
        [b'#', b'?', b'R', b'A', b'D', ..] => unread(UnreadFormat::Radiance),
        [b'q', b'o', b'i', b'f', ..] => unread(UnreadFormat::Qoi),
        [b'D', b'D', b'S', b' ', 124, 0, 0, 0, ..] => unread(UnreadFormat::Dds),
        _ if is_svg(start) => unread(UnreadFormat::Svg),
        _ => None,
    }
}

/// Returns the image format that a container of ISO base media files (ISO/IEC 14496-12) states in its
/// list of brands. The container holds videos too.
fn brand(size: Option<&[u8; 4]>, brands: &[u8]) -> Option<UnreadFormat> {
    let size = usize::try_from(u32::from_be_bytes(*size?)).ok()?;
    let brands = &brands[..brands.len().min(size.saturating_sub(8))];
    let has = |names: &[&[u8; 4]]| {
        brands.chunks_exact(4).any(|brand| names.iter().any(|name| name.as_slice() == brand))
    };
    if has(&[b"avif", b"avis"]) {
        Some(UnreadFormat::Avif)
    } else if has(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"]) {
        Some(UnreadFormat::Heic)
    } else if has(&[b"crx "]) {
        Some(UnreadFormat::CameraRaw)
    } else {
        None
    }
}

/// Whether a TIFF file is a camera's raw photo. Those begin with a small preview, which must not pass for
/// the photo: either they name their format (CR2, DNG), or the first image is a reduced one beside others
/// (NEF, ARW).
fn is_raw(start: &[u8]) -> bool {
    const NEW_SUBFILE_TYPE: u16 = 254;
    const SUB_IFDS: u16 = 330;
    const DNG_VERSION: u16 = 50706;
    const CANON: &[u8] = b"CR\x02";
    let little = start.first() == Some(&b'I');
    let short = |at: usize| {
        let bytes = start.get(at..at + 2)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = |at: usize| {
        let bytes = start.get(at..at + 4)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    if start.get(8..11) == Some(CANON) {
        return true;
    }
    // The list of entries can stand anywhere in the file. Cameras write it at the start.
    let Some(list) = long(4).and_then(|list| usize::try_from(list).ok()) else { return false };
    if list > start.len() {
        return false;
    }
    let Some(count) = short(list) else { return false };
    let (mut reduced, mut others) = (false, false);
    for entry in (0..usize::from(count)).map(|entry| list + 2 + entry * 12) {
        match short(entry) {
            Some(DNG_VERSION) => return true,
            Some(NEW_SUBFILE_TYPE) => reduced = long(entry + 8) == Some(1),
            Some(SUB_IFDS) => others = true,
            Some(_) => {}
            None => break,
        }
    }
    reduced && others
}

fn is_svg(start: &[u8]) -> bool {
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    let has_tag = || text.windows(4).any(|four| four == b"<svg");
    text.starts_with(b"<svg")
        || ((text.starts_with(b"<?xml") || text.starts_with(b"<!")) && has_tag())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_that_are_not_decoded_are_named() {
        let dng = [
            b"II*\0\x08\0\0\0\x01\0".as_slice(),
            &50706_u16.to_le_bytes(),
            b"\x01\0\x04\0\0\0\x01\x04\0\0",
        ]
        .concat();
        let nef = [
            b"MM\0*\0\0\0\x08\0\x02".as_slice(),
            b"\0\xfe\0\x04\0\0\0\x01\0\0\0\x01",
            b"\x01\x4a\0\x04\0\0\0\x02\0\0\x01\0",
        ]
        .concat();
        let cases: [(&[u8], UnreadFormat); 17] = [
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", UnreadFormat::Heic),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", UnreadFormat::Heic),
            (b"\0\0\0\x1cftypmif1\0\0\0\0mif1miafavif", UnreadFormat::Avif),
            (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", UnreadFormat::CameraRaw),
            (b"II*\0\x10\0\0\0CR\x02\0", UnreadFormat::CameraRaw),
            (&dng, UnreadFormat::CameraRaw),
            (&nef, UnreadFormat::CameraRaw),
            (b"FUJIFILMCCD-RAW 0201", UnreadFormat::CameraRaw),
            (b"8BPS\0\x01\0\0", UnreadFormat::Photoshop),
            (b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg xmlns='x'/>", UnreadFormat::Svg),
            (b"<svg/>", UnreadFormat::Svg),
            (b"\0\0\0\x0cJXL \r\n\x87\n", UnreadFormat::JpegXl),
            (b"\0\0\0\x0cjP  \r\n\x87\n", UnreadFormat::Jpeg2000),
            (b"\0\0\x01\0\x01\0\x10\x10", UnreadFormat::Icon),
            (b"P5\n92 112\n255\n", UnreadFormat::NetPbm),
            (b"qoif\0\0\0\x01", UnreadFormat::Qoi),
            (b"#?RADIANCE\n", UnreadFormat::Radiance),
        ];
        for (start, format) in cases {
            assert_eq!(detect(start), Some(Detected::Unread(format)), "{start:?}");
        }
    }

    #[test]
    fn other_files_are_no_images() {
        for start in [
            b"".as_slice(),
            b"text,label\n",
            b"BM,label\nBMW is a car,a\n",
            b"P5 is a text,a\n",
            b"II,III\n",
            b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
            b"<?xml version='1.0'?><rows/>",
            b"PK\x03\x04",
            b"GIF is a format",
            b"\0\0\x01\0\0\0\0\0",
        ] {
            assert_eq!(detect(start), None, "{start:?}");
        }
        assert_eq!(detect(b"II*\0\x08\0\0\0\0\0"), Some(Detected::Read(Format::Tiff)));
    }
}
