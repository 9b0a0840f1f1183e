//! Decoding of images to planes of bytes, and encoding as PNG.

mod error;
mod format;
mod frames;
#[cfg(test)]
mod tests;

use std::io::Cursor;

use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{
    DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage,
};

pub use error::ImageError;
pub use format::{Detected, Format, MAX_SIDE, START, UnreadFormat, detect};
pub use frames::has_several;

/// Most bytes that a decoder may allocate for one image.
const MOST_BYTES: u64 = 128 << 20;

/// `channels × height × width` bytes with their sizes. Gray images have 1 channel, others 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedImage {
    pub channels: u32,
    pub height: u32,
    pub width: u32,
    pub pixels: Vec<u8>,
}

/// Height and width of an upright image, as its header states them.
pub fn size(bytes: &[u8]) -> Result<(u32, u32), ImageError> {
    let format = read_format(bytes)?;
    let mut decoder = decoder(bytes, format)?;
    let (width, height) = decoder.dimensions();
    Ok(if turns(orientation(&mut decoder)) { (width, height) } else { (height, width) })
}

/// Decodes an image upright, as its EXIF orientation tells, with 8 bits a channel. Transparent parts are
/// white. Animations give their first frame.
pub fn decode(bytes: &[u8]) -> Result<DecodedImage, ImageError> {
    let image = read(bytes)?;
    Ok(if image.color().has_color() { color(&image) } else { gray(image) })
}

/// Decodes an image and scales it to this size. See [`decode`].
pub fn decode_scaled(bytes: &[u8], height: u32, width: u32) -> Result<DecodedImage, ImageError> {
    let image = scaled(read(bytes)?, height, width);
    Ok(if image.color().has_color() { color(&image) } else { gray(image) })
}

/// Decodes an image into this size, scaled and converted to gray or color as needed. `channels` is 1 or
/// 3. See [`decode`].
pub fn decode_as(
    bytes: &[u8],
    channels: u32,
    height: u32,
    width: u32,
) -> Result<DecodedImage, ImageError> {
    let image = scaled(read(bytes)?, height, width);
    match channels {
        1 => Ok(gray(image)),
        3 => Ok(color(&image)),
        other => Err(ImageError::Channels(other)),
    }
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

/// Decodes an image upright and without transparency.
fn read(bytes: &[u8]) -> Result<DynamicImage, ImageError> {
    let format = read_format(bytes)?;
    let mut decoder = decoder(bytes, format)?;
    if decoder.total_bytes() > MOST_BYTES {
        return Err(ImageError::TooLarge);
    }
    let orientation = orientation(&mut decoder);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| refused(format, &error))?;
    image.apply_orientation(orientation);
    let image = opaque(image);
    Ok(if format.has_gray() { image } else { gray_if_colorless(image) })
}

fn read_format(bytes: &[u8]) -> Result<Format, ImageError> {
    match detect(&bytes[..bytes.len().min(START)]) {
        Some(Detected::Read(format)) => Ok(format),
        Some(Detected::Unread(format)) => Err(ImageError::Unread(format)),
        None if bytes.is_empty() => Err(ImageError::Empty),
        None => Err(ImageError::NotAnImage),
    }
}

/// Opens an image and checks its size before anything of this size is allocated.
fn decoder(bytes: &[u8], format: Format) -> Result<impl ImageDecoder, ImageError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format.library());
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| refused(format, &error))?;
    let (width, height) = decoder.dimensions();
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(ImageError::TooLarge);
    }
    if width == 0 || height == 0 {
        return Err(ImageError::Damaged { format, reason: "it has no pixels".to_owned() });
    }
    Ok(decoder)
}

fn refused(format: Format, error: &image::ImageError) -> ImageError {
    match error {
        image::ImageError::Limits(_) => ImageError::TooLarge,
        image::ImageError::Decoding(_)
        | image::ImageError::Encoding(_)
        | image::ImageError::Parameter(_)
        | image::ImageError::Unsupported(_)
        | image::ImageError::IoError(_) => {
            ImageError::Damaged { format, reason: error.to_string() }
        }
    }
}

/// Returns the EXIF orientation. Damaged metadata counts as none, because the pixels are intact.
fn orientation(decoder: &mut impl ImageDecoder) -> Orientation {
    decoder.orientation().unwrap_or(Orientation::NoTransforms)
}

/// Whether an orientation swaps height and width.
fn turns(orientation: Orientation) -> bool {
    match orientation {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => true,
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => false,
    }
}

/// Puts an image with transparency on a white background.
fn opaque(image: DynamicImage) -> DynamicImage {
    if !image.color().has_alpha() {
        return image;
    }
    let on_white = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        // The sum is at most 255 × 255.
        u8::try_from((value * alpha + 255 * (255 - alpha) + 127) / 255).unwrap_or(255)
    };
    if image.color().has_color() {
        let image = image.into_rgba8();
        let mut opaque = RgbImage::new(image.width(), image.height());
        for (to, from) in opaque.pixels_mut().zip(image.pixels()) {
            let [red, green, blue, alpha] = from.0;
            *to = Rgb([red, green, blue].map(|value| on_white(value, alpha)));
        }
        opaque.into()
    } else {
        let image = image.into_luma_alpha8();
        let mut opaque = GrayImage::new(image.width(), image.height());
        for (to, from) in opaque.pixels_mut().zip(image.pixels()) {
            to.0 = [on_white(from.0[0], from.0[1])];
        }
        opaque.into()
    }
}

/// Converts an image of a format without gray to gray if all its pixels are.
#[expect(clippy::wildcard_enum_match_arm, reason = "the library's enum is open")]
fn gray_if_colorless(image: DynamicImage) -> DynamicImage {
    match image {
        DynamicImage::ImageRgb8(image)
            if image.pixels().all(|pixel| pixel.0 == [pixel.0[0]; 3]) =>
        {
            let (width, height) = image.dimensions();
            let pixels = image.into_raw().into_iter().step_by(3).collect();
            GrayImage::from_raw(width, height, pixels).unwrap_or_default().into()
        }
        other => other,
    }
}

fn scaled(image: DynamicImage, height: u32, width: u32) -> DynamicImage {
    if (image.height(), image.width()) == (height, width) {
        return image;
    }
    image.resize_exact(width, height, FilterType::Triangle)
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
