//! Zip and gzip files, uploaded as a dataset.
#![no_main]

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use fuzz::datasets;
use fuzz::seeds::write_seeds;
use libfuzzer_sys::fuzz_target;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fuzz_target!(init: { write_seeds(seeds()); datasets::expect_panics_of(&["parquet"]); }, |bytes: &[u8]| {
    datasets::read(bytes);
});

fn seeds() -> Vec<Vec<u8>> {
    let lines: Vec<String> = (0..12).map(|n| format!("text {n},{}\n", n % 2)).collect();
    let table = lines.concat();
    let table = table.as_bytes();
    let mut png = Cursor::new(Vec::new());
    drop(
        image::GrayImage::from_pixel(3, 3, image::Luma([9]))
            .write_to(&mut png, image::ImageFormat::Png),
    );
    let png = png.get_ref().as_slice();
    let gzipped = gzip(table);
    let files: [&[(&str, &[u8])]; 5] = [
        &[("a.csv", table)],
        &[("train.csv", table), ("test.csv", table)],
        &[("all/a/1.png", png), ("all/a/2.png", png), ("all/b/3.png", png), ("all/b/4.png", png)],
        &[("a.csv.gz", &gzipped), ("__MACOSX/._a", b"x")],
        &[("../out.csv", table), ("/absolute.csv", table)],
    ];
    let mut seeds = vec![gzip(table), gzip(&gzipped)];
    for files in files {
        seeds.push(zip(files, CompressionMethod::Stored));
        seeds.push(zip(files, CompressionMethod::Deflated));
    }
    seeds
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::default());
    drop(writer.write_all(bytes));
    writer.finish().unwrap_or_default()
}

fn zip(files: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        drop(writer.start_file(*name, SimpleFileOptions::default().compression_method(method)));
        drop(writer.write_all(bytes));
    }
    writer.finish().map(Cursor::into_inner).unwrap_or_default()
}
