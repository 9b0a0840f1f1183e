//! Images, archives and Parquet files.

use std::io::{Cursor, Write};
use std::sync::Arc;

use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Files by name.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// Gray image of one brightness.
pub(crate) fn gray(format: ImageFormat, width: u32, height: u32, shade: u8) -> Vec<u8> {
    let image = DynamicImage::from(GrayImage::from_pixel(width, height, Luma([shade])));
    let has_gray = matches!(format, ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Tiff);
    encoded(&if has_gray { image } else { image.to_rgb8().into() }, format)
}

pub(crate) fn png(width: u32, height: u32, shade: u8) -> Vec<u8> {
    gray(ImageFormat::Png, width, height, shade)
}

pub(crate) fn color(format: ImageFormat, width: u32, height: u32, rgb: [u8; 3]) -> Vec<u8> {
    encoded(&RgbImage::from_pixel(width, height, Rgb(rgb)).into(), format)
}

pub(crate) fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// JPEG image with an EXIF orientation.
pub(crate) fn turned(width: u32, height: u32, shade: u8, orientation: u8) -> Vec<u8> {
    let jpeg = gray(ImageFormat::Jpeg, width, height, shade);
    let mut exif =
        b"\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    [&jpeg[..2], &exif, &jpeg[2..]].concat()
}

/// PNG images of 4×3 pixels: `count` in the folder, with these shades.
pub(crate) fn folder(name: &str, shades: &[u8]) -> Files {
    let file = |shade: &u8| (format!("{name}/{shade}.png"), png(4, 3, *shade));
    shades.iter().map(file).collect()
}

/// Six shades from this one.
pub(crate) fn six(from: u8) -> Vec<u8> {
    (from..from + 6).collect()
}

pub(crate) fn file(name: &str, bytes: impl AsRef<[u8]>) -> Files {
    vec![(name.to_owned(), bytes.as_ref().to_vec())]
}

pub(crate) fn zip(files: &Files) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Zip archive with `\` between folders and entries for folders, as PowerShell 5 writes.
pub(crate) fn powershell_zip(files: &Files) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(name.replace('/', "\\"), SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Zip archive with the files that Finder adds.
pub(crate) fn finder_zip(files: &Files) -> Vec<u8> {
    let mut all = Files::new();
    for (name, bytes) in files {
        all.push((name.clone(), bytes.clone()));
        let (folder, own) = name.rsplit_once('/').unwrap_or(("", name));
        all.push((format!("__MACOSX/{folder}/._{own}"), b"\0\x05\x16\x07".to_vec()));
    }
    all.push(("pets/.DS_Store".to_owned(), b"\0\0\0\x01Bud1".to_vec()));
    zip(&all)
}

pub(crate) fn tar(files: &Files) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// Table with the columns text and label. The texts are `FROM 0`, `FROM 1`, …, the labels alternate.
pub(crate) fn csv(from: &str, rows: usize, labels: [&str; 2]) -> Vec<u8> {
    let rows = (0..rows).map(|row| format!("{from} {row},{}\n", labels[row % 2]));
    format!("text,label\n{}", rows.collect::<String>()).into_bytes()
}

/// Parquet file as the hub writes it: a struct of an image's bytes and path, and a label with the names of
/// its classes in the metadata.
pub(crate) fn hub_images(images: &[(Vec<u8>, i64)], classes: Option<[&str; 2]>) -> Vec<u8> {
    let schema = "message schema {
        optional group image { optional binary bytes; optional binary path (UTF8); }
        optional int64 label;
    }";
    let mut properties = WriterProperties::builder();
    if let Some([first, second]) = classes {
        let features = format!(
            "{{\"info\": {{\"features\": {{\"image\": {{\"_type\": \"Image\"}}, \"label\": {{\"names\": \
             [\"{first}\", \"{second}\"], \"_type\": \"ClassLabel\"}}}}}}}}"
        );
        let value = Some(features);
        let pair = KeyValue { key: "huggingface".to_owned(), value };
        properties = properties.set_key_value_metadata(Some(vec![pair]));
    }
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties.build())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let values: Vec<ByteArray> =
        images.iter().map(|(image, _)| ByteArray::from(image.clone())).collect();
    let paths: Vec<ByteArray> =
        (0..images.len()).map(|at| ByteArray::from(format!("{at}.png").as_str())).collect();
    let labels: Vec<i64> = images.iter().map(|(_, label)| *label).collect();
    for texts in [values, paths] {
        let mut column = group.next_column().unwrap().unwrap();
        let levels = vec![2; texts.len()];
        column.typed::<ByteArrayType>().write_batch(&texts, Some(&levels), None).unwrap();
        column.close().unwrap();
    }
    let mut column = group.next_column().unwrap().unwrap();
    let levels = vec![1; labels.len()];
    column.typed::<Int64Type>().write_batch(&labels, Some(&levels), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}
