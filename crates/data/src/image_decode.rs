//! Decoding of PNG and JPEG images to planes of bytes, and encoding as PNG.

use std::io::Cursor;

use image::imageops::FilterType;
use image::{DynamicImage, GrayImage, ImageFormat, ImageReader, Limits, RgbImage};

/// Longest side accepted. Without this limit a few bytes could claim gigabytes.
pub const MAX_SIDE: u32 = 2048;

/// `channels × height × width` bytes with their sizes. Gray images have 1 channel, others 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedImage {
    pub channels: u32,
    pub height: u32,
    pub width: u32,
    pub pixels: Vec<u8>,
}

/// Decodes a PNG or JPEG. Transparency is ignored.
pub fn decode(bytes: &[u8]) -> Result<DecodedImage, String> {
    let image = read(bytes)?;
    Ok(if image.color().has_color() { color(&image) } else { gray(image) })
}

fn read(bytes: &[u8]) -> Result<DynamicImage, String> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(128 << 20);
    reader.limits(limits);
    reader.decode().map_err(|error| format!("can't be decoded as PNG or JPEG ({error})"))
}

impl DecodedImage {
    /// Converts the image to 3 channels.
    pub fn into_color(self) -> Self {
        match self.channels {
            1 => Self { channels: 3, pixels: self.pixels.repeat(3), ..self },
            _ => self,
        }
    }
}

/// Decodes a PNG or JPEG into an image of this size, scaled and converted to gray or color as
/// needed. `channels` is 1 or 3.
pub fn decode_as(
    bytes: &[u8],
    channels: u32,
    height: u32,
    width: u32,
) -> Result<DecodedImage, String> {
    let mut image = read(bytes)?;
    if (image.height(), image.width()) != (height, width) {
        image = image.resize_exact(width, height, FilterType::Triangle);
    }
    match channels {
        1 => Ok(gray(image)),
        3 => Ok(color(&image)),
        other => Err(format!("can't be converted to {other} channels")),
    }
}

/// Encodes an image as PNG. Returns `None` if its size does not match its pixels, or it has other
/// than 1 or 3 channels.
pub fn png(channels: u32, height: u32, width: u32, pixels: &[u8]) -> Option<Vec<u8>> {
    let image = match channels {
        1 => DynamicImage::from(GrayImage::from_raw(width, height, pixels.to_vec())?),
        3 => {
            let plane = pixels.len() / 3;
            let (red, rest) = pixels.split_at(plane);
            let (green, blue) = rest.split_at(plane);
            let pixels = red.iter().zip(green).zip(blue);
            let interleaved =
                pixels.flat_map(|((red, green), blue)| [*red, *green, *blue]).collect();
            DynamicImage::from(RgbImage::from_raw(width, height, interleaved)?)
        }
        _ => return None,
    };
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).ok()?;
    Some(bytes.into_inner())
}

fn gray(image: DynamicImage) -> DecodedImage {
    let image = image.into_luma8();
    let (width, height) = image.dimensions();
    DecodedImage { channels: 1, height, width, pixels: image.into_raw() }
}

fn color(image: &DynamicImage) -> DecodedImage {
    let image = image.to_rgb8();
    let (width, height) = image.dimensions();
    let interleaved = image.into_raw();
    let mut pixels = Vec::with_capacity(interleaved.len());
    for channel in 0..3 {
        pixels.extend(interleaved.iter().skip(channel).step_by(3));
    }
    DecodedImage { channels: 3, height, width, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        GrayImage::new(8, 8).write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_png_decodes_to_the_planes_it_was_made_of() {
        for channels in [1, 3] {
            let pixels: Vec<u8> = (0..).take(channels as usize * 6).collect();
            let bytes = png(channels, 2, 3, &pixels).unwrap();
            let image = decode(&bytes).unwrap();
            assert_eq!(image, DecodedImage { channels, height: 2, width: 3, pixels });
        }
        assert_eq!(png(1, 2, 3, &[0; 5]), None);
        assert_eq!(png(2, 1, 1, &[0; 2]), None);
    }

    #[test]
    fn an_image_is_scaled_and_converted() {
        let bytes = png(1, 4, 4, &[200; 16]).unwrap();
        let scaled = decode_as(&bytes, 3, 2, 2).unwrap();
        assert_eq!(
            scaled,
            DecodedImage { channels: 3, height: 2, width: 2, pixels: vec![200; 12] }
        );
        assert!(decode_as(&bytes, 7, 2, 2).is_err());
        assert!(decode_as(b"no image", 1, 2, 2).unwrap_err().contains("PNG or JPEG"));
    }

    /// Writes sides of 60,000 into an image's header.
    fn claiming(mut bytes: Vec<u8>, at: usize, width_of_number: usize) -> Vec<u8> {
        for start in [at, at + width_of_number] {
            let number = 60_000_u32.to_be_bytes();
            let number = &number[4 - width_of_number..];
            bytes[start..start + width_of_number].copy_from_slice(number);
        }
        bytes
    }

    #[test]
    fn an_image_that_claims_to_be_huge_is_refused_by_its_header() {
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
