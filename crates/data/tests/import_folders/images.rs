//! Image formats, sizes, orientation and Parquet columns of images.

use image::ImageFormat;
use protocol::dataset::import::{ImageSize, ImportOptions};

use crate::case::Case;
use crate::make::{
    Files, bzip2, color, csv, encoded, file, folder, gray, gzip, hub_images, png, six, turned, zip,
    zstd,
};

/// Six images of one format, with shades from `from`.
fn format_folder(name: &str, ending: &str, format: ImageFormat, from: u8) -> Files {
    let image = |shade: u8| (format!("{name}/{shade}.{ending}"), gray(format, 4, 3, shade));
    six(from).into_iter().map(image).collect()
}

fn resize(width: u32, height: u32) -> ImportOptions {
    ImportOptions { resize: Some(ImageSize { height, width }), ..ImportOptions::default() }
}

#[test]
fn import_folder_cases_of_image_formats() {
    let mut all_formats = Files::new();
    for (class, ending, format, from) in [
        ("bmp", "bmp", ImageFormat::Bmp, 10),
        ("gif", "gif", ImageFormat::Gif, 20),
        ("png", "PNG", ImageFormat::Png, 30),
        ("tiff", "tif", ImageFormat::Tiff, 40),
        ("webp", "webp", ImageFormat::WebP, 50),
    ] {
        all_formats.extend(format_folder(class, ending, format, from));
    }
    let mut without_endings = folder("cat", &six(10));
    without_endings.extend(folder("dog", &six(30)));
    for (name, _) in &mut without_endings {
        *name = name.trim_end_matches(".png").to_owned();
    }
    let mut wrong_endings = format_folder("cat", "jpg", ImageFormat::WebP, 10);
    wrong_endings.extend(format_folder("dog", "jpg", ImageFormat::Png, 30));
    let mut jpeg = Files::new();
    for (class, shade) in [("dark", 0), ("light", 255)] {
        let image = |at: u8| (format!("{class}/{at}.jpg"), gray(ImageFormat::Jpeg, 8, 8, shade));
        jpeg.extend((0..6).map(image));
    }
    let mut upright = Files::new();
    for (class, shade) in [("dark", 0), ("light", 255)] {
        upright.extend((1..9).map(|orientation| {
            // Orientations from 5 swap the sides.
            let (width, height) = if orientation > 4 { (8, 16) } else { (16, 8) };
            (format!("{class}/{orientation}.jpg"), turned(width, height, shade, orientation))
        }));
    }
    let mut some_color = folder("cat", &six(10));
    let red = |at: u8| (format!("dog/{at}.png"), color(ImageFormat::Png, 4, 3, [200, 0, 0]));
    some_color.extend((0..6).map(red));
    let mut one_text = [folder("cat", &six(10)), folder("dog", &six(30))].concat();
    one_text.extend(file("dog/notes.png", "this is a text"));
    let mut one_empty = [folder("cat", &six(10)), folder("dog", &six(30))].concat();
    one_empty.extend(file("dog/empty.png", ""));
    let mut one_heic = [folder("cat", &six(10)), folder("dog", &six(30))].concat();
    one_heic.extend(file("dog/photo.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"));
    let mut animated = [folder("cat", &six(10)), folder("dog", &six(30))].concat();
    animated.extend(file("dog/moving.gif", two_frames()));
    let cases = [
        Case::new("one class for each format", file("all.zip", zip(&all_formats)))
            .class("bmp", &six(10))
            .class("gif", &six(20))
            .class("png", &six(30))
            .class("tiff", &six(40))
            .class("webp", &six(50))
            .shape(1, 3, 4),
        Case::new("no endings", file("a.zip", zip(&without_endings)))
            .class("cat", &six(10))
            .class("dog", &six(30)),
        Case::new("WebP and PNG named JPEG", file("a.zip", zip(&wrong_endings)))
            .class("cat", &six(10))
            .class("dog", &six(30)),
        Case::new("JPEG", file("a.zip", zip(&jpeg)))
            .class("dark", &[0; 6])
            .class("light", &[255; 6])
            .shape(1, 8, 8),
        Case::new("EXIF orientation", file("a.zip", zip(&upright)))
            .class("dark", &[0; 8])
            .class("light", &[255; 8])
            .shape(1, 8, 16),
        Case::new("one class in color", file("a.zip", zip(&some_color)))
            .class("cat", &six(10))
            .class("dog", &[200; 6])
            .shape(3, 3, 4),
        Case::new("a text named PNG", file("a.zip", zip(&one_text)))
            .class("cat", &six(10))
            .class("dog", &six(30))
            .left_out("is not an image", 1),
        Case::new("an empty PNG", file("a.zip", zip(&one_empty)))
            .class("cat", &six(10))
            .class("dog", &six(30))
            .left_out("is empty", 1),
        Case::new("one HEIC photo", file("a.zip", zip(&one_heic)))
            .class("cat", &six(10))
            .class("dog", &six(30))
            .left_out("HEIC", 1)
            .warns("dog/photo.jpg"),
        Case::new("an animation", file("a.zip", zip(&animated)))
            .class("cat", &six(10))
            .class("dog", &[30, 31, 32, 33, 34, 35, 99])
            .warns("several frames or pages, of which the first is read: dog/moving.gif"),
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn import_folder_cases_of_sizes() {
    let base = [folder("cat", &six(10)), folder("dog", &six(30))].concat();
    let mut some_larger = base.clone();
    some_larger.push(("dog/large.png".to_owned(), png(40, 30, 99)));
    let mut all_differ = Files::new();
    for at in 0..6_u8 {
        all_differ.push((format!("cat/{at}.png"), png(4 + u32::from(at), 3, at)));
        all_differ.push((format!("dog/{at}.png"), png(20 + u32::from(at), 30, 100 + at)));
    }
    let mut two_sizes = Files::new();
    for at in 0..6_u8 {
        two_sizes.push((format!("cat/{at}.png"), png(12, 8, at)));
        two_sizes.push((format!("dog/{at}.png"), png(8, 12, 100 + at)));
    }
    let mut too_large = base.clone();
    too_large.push(("dog/large.png".to_owned(), png(2049, 1, 99)));
    let dog = [six(30), vec![99]].concat();
    let cases = [
        Case::new("one image of another size", file("a.zip", zip(&some_larger)))
            .class("cat", &six(10))
            .class("dog", &dog)
            .shape(1, 3, 4),
        Case::new("resize", file("a.zip", zip(&some_larger)))
            .options(resize(7, 5))
            .class("cat", &six(10))
            .class("dog", &dog)
            .shape(1, 5, 7),
        Case::new("all sizes differ", file("a.zip", zip(&all_differ)))
            .refused("--resize", resize(8, 8))
            .class("cat", &six(0))
            .class("dog", &six(100))
            .shape(1, 8, 8),
        Case::new("two sizes, as often each", file("a.zip", zip(&two_sizes)))
            .refused("--resize", resize(12, 8))
            .class("cat", &six(0))
            .class("dog", &six(100))
            .shape(1, 8, 12),
        Case::new("one image is too large", file("a.zip", zip(&too_large)))
            .class("cat", &six(10))
            .class("dog", &six(30))
            .left_out("more than 2048 pixels", 1),
        Case::new("limit", file("a.zip", zip(&base)))
            .options(ImportOptions { limit: Some(4), ..ImportOptions::default() })
            .class("cat", &[10, 11])
            .class("dog", &[30, 31])
            .left_out("over the limit", 8),
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn import_folder_cases_of_parquet_images() {
    let images = |from: u8, count: u8| -> Vec<(Vec<u8>, i64)> {
        (0..count).map(|at| (png(4, 3, from + at), i64::from(at % 2))).collect()
    };
    let names = Some(["cat", "dog"]);
    let train = hub_images(&images(0, 12), names);
    let (validation, test) =
        (hub_images(&images(50, 4), names), hub_images(&images(100, 6), names));
    let (first, second): (Vec<u8>, Vec<u8>) = {
        let all = [0, 50, 100].into_iter().zip([12, 4, 6]);
        let all = all.flat_map(|(from, count)| (0..count).map(move |at| (from + at, at % 2)));
        let (even, odd): (Vec<_>, Vec<_>) = all.partition(|(_, class)| *class == 0);
        let shades = |rows: Vec<(u8, u8)>| rows.into_iter().map(|(shade, _)| shade).collect();
        (shades(even), shades(odd))
    };
    let hub: Files = vec![
        ("data/train-00000-of-00001.parquet".to_owned(), train.clone()),
        ("data/validation-00000-of-00001.parquet".to_owned(), validation),
        ("data/test-00000-of-00001.parquet".to_owned(), test.clone()),
        ("README.md".to_owned(), b"# About".to_vec()),
    ];
    let mut parts = Files::new();
    for part in 0..3_u8 {
        let name = format!("data/train-0000{part}-of-00003.parquet");
        parts.push((name, hub_images(&images(part * 4, 4), names)));
    }
    let even = [0, 2, 4, 6, 8, 10];
    let odd = [1, 3, 5, 7, 9, 11];
    let mut hidden = images(0, 12);
    hidden.push((png(4, 3, 99), -1));
    let mut broken = images(0, 12);
    broken.push((b"no image".to_vec(), 1));
    let cases = [
        Case::new("a repository of the hub in a zip file", file("a.zip", zip(&hub)))
            .class("cat", &first)
            .class("dog", &second)
            .splits(12, 4, 6)
            .shape(1, 3, 4)
            .left_out("document", 1),
        Case::new(
            "a repository of the hub as a folder",
            hub.iter().map(|(name, bytes)| (format!("set/{name}"), bytes.clone())).collect(),
        )
        .class("cat", &first)
        .class("dog", &second)
        .splits(12, 4, 6),
        Case::new("one Parquet file", file("a.parquet", &train))
            .class("cat", &even)
            .class("dog", &odd),
        Case::new(
            "a Parquet file without names of classes",
            file("a.parquet", hub_images(&images(0, 12), None)),
        )
        .class("0", &even)
        .class("1", &odd),
        Case::new(
            "two Parquet files",
            [file("train.parquet", &train), file("test.parquet", &test)].concat(),
        )
        .class("cat", &[even.as_slice(), &[100, 102, 104]].concat())
        .class("dog", &[odd.as_slice(), &[101, 103, 105]].concat())
        .splits(12, 0, 6),
        Case::new("parts", file("a.zip", zip(&parts))).class("cat", &even).class("dog", &odd),
        Case::new("a row without a label", file("a.parquet", hub_images(&hidden, names)))
            .class("cat", &even)
            .class("dog", &odd)
            .left_out("no label", 1),
        Case::new("a row whose bytes are no image", file("a.parquet", hub_images(&broken, names)))
            .class("cat", &even)
            .class("dog", &odd)
            .left_out("is not an image", 1),
        Case::new("a packed Parquet file", file("a.parquet.zst", zstd(&train)))
            .class("cat", &even)
            .class("dog", &odd),
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn import_folder_cases_of_packed_tables() {
    let texts = |from: &str, rows: usize, class: usize| -> Vec<String> {
        (0..rows).filter(|row| row % 2 == class).map(|row| format!("{from} {row}")).collect()
    };
    let table = csv("row", 12, ["ham", "spam"]);
    let (ham, spam) = (texts("row", 12, 0), texts("row", 12, 1));
    let packed: [(&str, Files); 7] = [
        ("gzip", file("a.csv.gz", gzip(&table))),
        ("bzip2", file("a.csv.bz2", bzip2(&table))),
        ("zstd", file("a.csv.zst", zstd(&table))),
        ("gzip without an ending", file("a", gzip(&table))),
        ("gzip in zip", file("a.zip", zip(&file("a.csv.gz", gzip(&table))))),
        ("zip in zip", file("a.zip", zip(&file("inner.zip", zip(&file("a.csv", &table)))))),
        ("bzip2 in a folder", file("folder/a.csv.bz2", bzip2(&table))),
    ];
    for (name, files) in packed {
        Case::new(name, files).class("ham", &ham).class("spam", &spam).check();
    }
}

fn two_frames() -> Vec<u8> {
    use image::codecs::gif::GifEncoder;
    use image::{Frame, Rgba, RgbaImage};
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for shade in [99, 5] {
        let color = Rgba([shade, shade, shade, 255]);
        encoder.encode_frame(Frame::new(RgbaImage::from_pixel(4, 3, color))).unwrap();
    }
    drop(encoder);
    assert_ne!(bytes, encoded(&image::DynamicImage::new_rgb8(4, 3), ImageFormat::Gif));
    bytes
}
