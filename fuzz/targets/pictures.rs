//! PNG and JPEG files: one arbitrary image in a folder of valid ones.
#![no_main]

use std::io::Cursor;
use std::{fs, slice};

use fuzz::datasets::{folder, read_path};
use fuzz::seeds::write_seeds;
use image::{DynamicImage, ImageFormat};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: { write_seeds(seeds()); write_valid_images(); }, |bytes: &[u8]| {
    fs::write(folder().join("a/1.png"), bytes).expect("the image can be written");
    read_path(&folder());
});

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
            [ImageFormat::Png, ImageFormat::Jpeg].map(|format| encoded(image, format))
        })
        .collect()
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    // JPEG has 8 bits and no transparency.
    let image =
        if format == ImageFormat::Jpeg { &DynamicImage::from(image.to_rgb8()) } else { image };
    image.write_to(&mut bytes, format).expect("an image can be encoded");
    bytes.into_inner()
}
