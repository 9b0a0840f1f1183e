//! Archives (zip, tar) and packed files (gzip, bzip2, zstd), uploaded as a dataset.
#![no_main]

use std::io::{Cursor, Write};

use bzip2::write::BzEncoder;
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
    let files: [&[(&str, &[u8])]; 7] = [
        &[("a.csv", table)],
        &[("train.csv", table), ("test.csv", table)],
        &[("all/a/1.png", png), ("all/a/2.png", png), ("all/b/3.png", png), ("all/b/4.png", png)],
        &[("a.csv.gz", &gzipped), ("__MACOSX/._a", b"x")],
        &[("../out.csv", table), ("/absolute.csv", table)],
        &[("train/a/1.png", png), ("train\\b\\2.png", png), ("val/a/3.png", png), ("1.png", png)],
        &[("labels.csv", b"file,label\n1.png,a\n2.png,b\n"), ("1.png", png), ("2.png", png)],
    ];
    let mut seeds = vec![gzip(table), gzip(&gzipped), bzip2(table), zstd(table)];
    for files in files {
        let tar = tar(files);
        seeds.extend([gzip(&tar), bzip2(&tar), zstd(&tar), tar]);
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

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut writer = BzEncoder::new(Vec::new(), bzip2::Compression::default());
    drop(writer.write_all(bytes));
    writer.finish().unwrap_or_default()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap_or_default()
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        drop(builder.append_data(&mut header, name, *bytes));
    }
    builder.into_inner().unwrap_or_default()
}

fn zip(files: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        drop(writer.start_file(*name, SimpleFileOptions::default().compression_method(method)));
        drop(writer.write_all(bytes));
    }
    writer.finish().map(Cursor::into_inner).unwrap_or_default()
}
