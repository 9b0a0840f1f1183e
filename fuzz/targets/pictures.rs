//! Images of every format: one arbitrary image in a folder of valid ones, and the decoder alone.
#![no_main]

use std::io::Cursor;
use std::{fs, slice};

use data::image_decode;
use fuzz::datasets::{folder, read_path};
use fuzz::seeds::write_seeds;
use image::{DynamicImage, ImageFormat};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: { write_seeds(seeds()); write_valid_images(); }, |bytes: &[u8]| {
    check_decoder(bytes);
    fs::write(folder().join("a/1.png"), bytes).expect("the image can be written");
    read_path(&folder());
});

/// The size in the header is that of the pixels, and an image that decodes does so to another size too.
fn check_decoder(bytes: &[u8]) {
    let size = image_decode::size(bytes);
    if let Ok(image) = image_decode::decode(bytes) {
        assert_eq!(size, Ok((image.height, image.width)));
        assert_eq!(
            image.pixels.len() as u64,
            u64::from(image.channels) * u64::from(image.height) * u64::from(image.width)
        );
        let small = image_decode::decode_as(bytes, 3, 2, 3).expect("it decodes");
        assert_eq!(small.pixels.len(), 18);
    }
}

/// Writes enough valid images that one bad image is less than a tenth of the dataset.
fn write_valid_images() {
    let valid = encoded(&DynamicImage::new_rgb8(3, 2), ImageFormat::Png);
    for class in ["a", "b"] {
        fs::create_dir_all(folder().join(class)).expect("a folder");
        for number in 2..8 {
            fs::write(folder().join(class).join(format!("{number}.png")), &valid)
                .expect("an image");
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let images = [
        DynamicImage::new_luma8(3, 2),
        DynamicImage::new_rgb8(3, 2),
        DynamicImage::new_rgba16(3, 2),
        DynamicImage::new_luma_a8(17, 9),
    ];
    let images = slice::from_ref(&images).iter().flatten();
    images
        .flat_map(|image| {
            let formats = [
                ImageFormat::Png,
                ImageFormat::Jpeg,
                ImageFormat::Gif,
                ImageFormat::WebP,
                ImageFormat::Bmp,
                ImageFormat::Tiff,
            ];
            formats.map(|format| encoded(image, format))
        })
        .collect()
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    // The other formats don't have 16 bits, and some no transparency.
    let has_all = matches!(format, ImageFormat::Png | ImageFormat::Tiff);
    let image = if has_all { image } else { &DynamicImage::from(image.to_rgb8()) };
    image.write_to(&mut bytes, format).expect("an image can be encoded");
    bytes.into_inner()
}
