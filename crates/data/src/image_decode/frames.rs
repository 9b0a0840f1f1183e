//! Detection of images with several frames, such as animations. Only their first frame is read.

use super::Format;

/// Whether an image has more than one frame or page.
pub fn has_several(bytes: &[u8], format: Format) -> bool {
    match format {
        Format::Gif => gif(bytes).is_some_and(|frames| frames > 1),
        Format::WebP => {
            bytes.get(12..16) == Some(b"VP8X") && bytes.get(20).is_some_and(|flags| flags & 2 != 0)
        }
        Format::Png => apng(bytes).is_some_and(|frames| frames > 1),
        Format::Tiff => tiff(bytes).unwrap_or(false),
        Format::Jpeg | Format::Bmp => false,
    }
}

/// Counts frames up to 2.
fn gif(bytes: &[u8]) -> Option<u32> {
    const EXTENSION: u8 = 0x21;
    const IMAGE: u8 = 0x2c;
    // Bytes of a table of colors by the flags that announce it.
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let mut at = 13 + table(*bytes.get(10)?);
    let mut frames = 0;
    while frames < 2 {
        match *bytes.get(at)? {
            EXTENSION => at += 2,
            IMAGE => {
                frames += 1;
                at += 11 + table(*bytes.get(at + 9)?);
            }
            _ => break,
        }
        loop {
            let block = usize::from(*bytes.get(at)?);
            at += 1 + block;
            if block == 0 {
                break;
            }
        }
    }
    Some(frames)
}

/// Returns the number of frames that the chunk `acTL` states.
fn apng(bytes: &[u8]) -> Option<u32> {
    let mut at = 8;
    loop {
        let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let length = usize::try_from(number(at)?).ok()?;
        match bytes.get(at + 4..at + 8)? {
            b"acTL" => return number(at + 8),
            b"IDAT" => return None,
            _ => at = at.checked_add(length)?.checked_add(12)?,
        }
    }
}

/// Whether a second list of entries follows the first.
fn tiff(bytes: &[u8]) -> Option<bool> {
    let little = bytes.first() == Some(&b'I');
    let number = |at: usize, length: usize| {
        let bytes = bytes.get(at..at.checked_add(length)?)?;
        let fold = |number: usize, byte: &u8| number << 8 | usize::from(*byte);
        Some(if little { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) })
    };
    if number(2, 2)? != 42 {
        return None;
    }
    let list = number(4, 4)?;
    let next = list.checked_add(2)?.checked_add(number(list, 2)?.checked_mul(12)?)?;
    Some(number(next, 4)? != 0)
}
