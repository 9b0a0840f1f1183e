//! PNG and JPEG: one hostile image in a folder of good ones.
#![no_main]

use std::io::Cursor;
use std::{fs, slice};

use fuzz::datasets::{folder, read_path};
use fuzz::seeds::plant;
use image::{DynamicImage, ImageFormat};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: { plant(seeds()); others(); }, |bytes: &[u8]| {
    fs::write(folder().join("a/1.png"), bytes).expect("the image can be written");
    read_path(&folder());
});

/// As many as it takes for one bad image to be less than a tenth.
fn others() {
    let good = encoded(&DynamicImage::new_rgb8(3, 2), ImageFormat::Png);
    for class in ["a", "b"] {
        fs::create_dir_all(folder().join(class)).expect("a folder");
        for number in 2..8 {
            fs::write(folder().join(class).join(format!("{number}.png")), &good).expect("an image");
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
    // JPEG has 8 bits, and nothing transparent.
    let image =
        if format == ImageFormat::Jpeg { &DynamicImage::from(image.to_rgb8()) } else { image };
    image.write_to(&mut bytes, format).expect("an image can be encoded");
    bytes.into_inner()
}
