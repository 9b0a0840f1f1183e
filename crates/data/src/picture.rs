//! Encoded images as planes of bytes.

use std::io::Cursor;

use image::{DynamicImage, ImageReader, Limits};

/// The longest side read: beyond it a few bytes could claim gigabytes.
pub const MAX_SIDE: u32 = 2048;

/// `channels × height × width` bytes with their sizes; grey images have 1 channel, others 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub channels: u32,
    pub height: u32,
    pub width: u32,
    pub pixels: Vec<u8>,
}

/// Decodes a PNG or JPEG; what is transparent becomes what its colours say.
pub fn decode(bytes: &[u8]) -> Result<Picture, String> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(128 << 20);
    reader.limits(limits);
    let image = reader.decode().map_err(|error| format!("is not a PNG or JPEG: {error}"))?;
    Ok(if image.color().has_color() { colour(&image) } else { grey(image) })
}

impl Picture {
    /// The same picture in 3 channels.
    pub fn in_colour(self) -> Self {
        match self.channels {
            1 => Self { channels: 3, pixels: self.pixels.repeat(3), ..self },
            _ => self,
        }
    }
}

fn grey(image: DynamicImage) -> Picture {
    let image = image.into_luma8();
    let (width, height) = image.dimensions();
    Picture { channels: 1, height, width, pixels: image.into_raw() }
}

fn colour(image: &DynamicImage) -> Picture {
    let image = image.to_rgb8();
    let (width, height) = image.dimensions();
    let interleaved = image.into_raw();
    let mut pixels = Vec::with_capacity(interleaved.len());
    for channel in 0..3 {
        pixels.extend(interleaved.iter().skip(channel).step_by(3));
    }
    Picture { channels: 3, height, width, pixels }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, ImageFormat};

    use super::*;

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        GrayImage::new(8, 8).write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    /// Writes sides of 60,000 into a picture's header.
    fn claiming(mut bytes: Vec<u8>, at: usize, width_of_number: usize) -> Vec<u8> {
        for start in [at, at + width_of_number] {
            let number = 60_000_u32.to_be_bytes();
            let number = &number[4 - width_of_number..];
            bytes[start..start + width_of_number].copy_from_slice(number);
        }
        bytes
    }

    #[test]
    fn a_picture_that_claims_to_be_huge_is_refused_by_its_header() {
        let mut png = claiming(encoded(ImageFormat::Png), 16, 4);
        let mut sum = flate2::Crc::new();
        sum.update(&png[12..29]);
        png[29..33].copy_from_slice(&sum.sum().to_be_bytes());
        let jpeg = encoded(ImageFormat::Jpeg);
        let frame = jpeg.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
        let jpeg = claiming(jpeg, frame + 5, 2);
        for bytes in [png, jpeg] {
            let error = decode(&bytes).unwrap_err();
            assert!(error.contains("imension") || error.contains("imit"), "{error}");
        }
        assert!(decode(&encoded(ImageFormat::Png)).is_ok());
        assert!(decode(&encoded(ImageFormat::Jpeg)).is_ok());
    }
}
