//! People's files, read as datasets: small ones written here, and real ones beside the
//! checkout.

#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::print_stdout,
    reason = "the functions around the tests are tests too"
)]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use data::{
    AddReport, DataError, Dataset, ImportFile, ReadLimits, Row, Sample, check_name, is_reserved,
    read_file,
};
use protocol::dataset::SampleShape;
use protocol::dataset::import::{FileRole, ImportOptions};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

#[test]
fn a_csv_with_a_header() {
    let test = TestFolder::new();
    let rows: Vec<String> = (0..40)
        .map(|i| format!("{i},\"text {i}, with\n\"\"quotes\"\"\",{}\n", ["pos", "neg"][i % 2]))
        .collect();
    let csv = format!("id,Review Text,Sentiment\n{}", rows.concat());
    let (report, dataset) = test.add("reviews.csv", csv.as_bytes()).unwrap();
    assert_eq!(report.info.classes, ["neg", "pos"]);
    assert_eq!((dataset.train.len(), dataset.test.len()), (36, 4));
    assert_eq!(report.understood, "texts in `Review Text`, classes in `Sentiment`");
    assert!(
        dataset.train.contains(&text(1, "text 0, with\n\"quotes\""))
            || dataset.test.contains(&text(1, "text 0, with\n\"quotes\""))
    );
}

#[test]
fn json_lines_with_titles_and_numbers_for_classes() {
    let test = TestFolder::new();
    let lines: Vec<String> = (0..24)
        .map(|i| format!("{{\"title\":\"t{i}\",\"content\":\"c{i}\",\"stars\":{}}}", i % 12))
        .collect();
    let (report, dataset) = test.add("x.jsonl", lines.join("\n").as_bytes()).unwrap();
    assert_eq!(report.info.classes[..3], ["0", "1", "2"]);
    assert_eq!(report.info.classes[11], "11", "numbers sort by size");
    assert!(dataset.train.iter().chain(&dataset.test).any(|row| *row == text(3, "t15 c15")));
}

#[test]
fn bad_rows_are_skipped_and_reported_up_to_one_in_ten() {
    let test = TestFolder::new();
    let good = |rows: usize| {
        let rows: Vec<String> = (0..rows).map(|i| format!("text {i},{}\n", i % 2)).collect();
        rows.concat()
    };
    let csv = format!("text,label\n{}only one\n,1\nlast,\n", good(40));
    let (report, dataset) = test.add("a.csv", csv.as_bytes()).unwrap();
    assert_eq!(report.bad_rows, 3);
    assert_eq!(dataset.train.len() + dataset.test.len(), 40);
    let reasons: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        reasons,
        [
            "a.csv line 42: it has 1 column, but the other rows have 2; add the missing values, or remove the row",
            "a.csv line 43: its text is empty; write one, or remove the row",
            "a.csv line 44: it has no label; give it one, or remove the row",
        ]
    );
    let csv = format!("text,label\n{}only one\nonly two\n,1\nlast,\n", good(20));
    let error = TestFolder::new().add("b.csv", csv.as_bytes()).unwrap_err();
    assert!(matches!(error, DataError::TooManyBadRows { bad: 4, rows: 24, .. }), "{error}");
    assert!(error.to_string().contains("b.csv line 22"), "{error}");
}

#[test]
fn unusable_files_are_refused() {
    for (content, message) in [
        ("", "holds no row"),
        ("text,label\n", "holds no row"),
        ("text,label\na,x\nb,x\n", "at least 2"),
        ("text,label\na,x\nb,x\nc,y\n", "give it at least 2"),
        ("{\"a\": 1}\n{\"a\": 2}\n", "numbers only"),
        ("PAR1 and no more", "not a readable Parquet file"),
        ("\0\u{1}\u{2}", "it has a NUL byte"),
        ("text,label,more\na,x\nb,y\n", "its header has 3 columns, but the rows have 2"),
    ] {
        let test = TestFolder::new();
        let error = test.add("it", content.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(message), "{content:?}: {error}");
    }
}

#[test]
fn names_of_datasets_are_checked() {
    let long = "x".repeat(65);
    for name in ["", "..", "a/b", "Ümlaut", "UPPER", long.as_str()] {
        assert!(matches!(check_name(name), Err(DataError::BadName(_))), "{name}");
    }
    check_name("x-1_y").unwrap();
    assert!(is_reserved("ag_news") && is_reserved("synthetic") && !is_reserved("mine"));
}

/// Found by `make fuzz`: the library panics for a column offset before the start of the file.
#[test]
fn a_parquet_file_with_a_negative_offset_is_an_error() {
    let bytes = include_bytes!("damaged/negative_offset.parquet");
    let error = TestFolder::new().add("x.parquet", bytes).unwrap_err().to_string();
    assert!(error.starts_with("x.parquet: is not a readable Parquet file"), "{error}");
}

#[test]
fn a_zip_of_images_with_one_folder_per_class() {
    let test = TestFolder::new();
    let mut zip = ZipWriter::new(File::create(test.folder.path().join("i.zip")).unwrap());
    for index in 0..30_u8 {
        let class = ["cat", "dog"][usize::from(index % 2)];
        zip.start_file(format!("pets/{class}/{index}.png"), SimpleFileOptions::default()).unwrap();
        zip.write_all(&png(3, 4, index)).unwrap();
    }
    zip.start_file("pets/cat/odd.png", SimpleFileOptions::default()).unwrap();
    zip.write_all(&png(5, 5, 0)).unwrap();
    zip.start_file("__MACOSX/pets/._x.png", SimpleFileOptions::default()).unwrap();
    zip.finish().unwrap();
    let notes = test.folder.path().join("notes.zip");
    let mut other = ZipWriter::new(File::create(&notes).unwrap());
    other.start_file("a/notes.txt", SimpleFileOptions::default()).unwrap();
    other.finish().unwrap();
    let error = test.add_file("notes.zip").unwrap_err().to_string();
    assert!(error.starts_with("notes.zip: contains no image"), "{error}");
    let (report, dataset) = test.add_file("i.zip").unwrap();
    assert_eq!(report.info.classes, ["cat", "dog"]);
    assert_eq!(report.info.sample, SampleShape::Image { channels: 1, height: 4, width: 3 });
    assert_eq!((dataset.train.len(), dataset.test.len()), (27, 4));
    assert_eq!(report.bad_rows, 0);
    let images = report.plan.images.unwrap();
    assert!(
        images.scaling.starts_with("1 image of another size is scaled to 3×4 pixels, bilinear")
    );
    assert_eq!(images.found.iter().map(|found| found.images).collect::<Vec<_>>(), [30, 1]);
}

#[test]
fn a_folder_with_its_own_test_split() {
    let test = TestFolder::new();
    for (split, count) in [("train", 6_u8), ("test", 2)] {
        for index in 0..count {
            let folder =
                test.folder.path().join("in").join(split).join(["a", "b"][usize::from(index % 2)]);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(format!("{index}.png")), png(2, 2, index)).unwrap();
        }
    }
    let (_, dataset) = test.add_file("in").unwrap();
    assert_eq!((dataset.train.len(), dataset.test.len()), (6, 2));
    let tables = test.folder.path().join("tables");
    fs::create_dir(&tables).unwrap();
    fs::write(tables.join("train.csv"), "text,label\na,x\nb,y\nc,x\nd,y\n").unwrap();
    fs::write(tables.join("test.csv"), "text,label\ne,y\n").unwrap();
    let (_, dataset) = test.add_file("tables").unwrap();
    assert_eq!(dataset.test, [text(1, "e")]);
}

#[test]
fn real_files_are_interpreted() {
    let Some(raw) = raw() else { return };
    let cases: [(&str, &str, usize, usize, &str); 8] = [
        ("yelp/kaggle/yelp.csv.zip", "texts in `text`, classes in `stars`", 5, 10_000, "1"),
        (
            "imdb/IMDB_Dataset_5k.csv.gz",
            "texts in `review`, classes in `sentiment`",
            2,
            5_000,
            "negative",
        ),
        (
            "dbpedia/dbpedia_csv/sample_7600.csv.gz",
            "texts in column 2 and column 3, classes in column 1",
            14,
            7_600,
            "1",
        ),
        (
            "ag_news/ag_news_csv/test.csv.gz",
            "texts in column 2 and column 3, classes in column 1",
            4,
            7_600,
            "1",
        ),
        (
            "digits/optdigits.tra",
            "gray images of 8×8 pixels from numbers, classes in column 65",
            10,
            3_823,
            "0",
        ),
        (
            "digits/optdigits.tes",
            "gray images of 8×8 pixels from numbers, classes in column 65",
            10,
            1_797,
            "0",
        ),
        ("ag_news_raw/test-7600.parquet", "texts in `text`, classes in `label`", 4, 7_600, ""),
        (
            "../zalando-datasets/fashion_mnist/fashion_mnist/test-00000-of-00001.parquet",
            "images in `image.bytes`, classes in `label`; 28×28 pixels, 1 channel",
            10,
            10_000,
            "T - shirt / top",
        ),
    ];
    for (file, understood, classes, rows, first) in cases {
        let start = std::time::Instant::now();
        let (report, dataset) = read(&raw.join(file)).unwrap();
        println!("{file}: {:?} {:?}", start.elapsed(), report.info.classes);
        assert_eq!((report.understood.as_str(), report.bad_rows), (understood, 0), "{file}");
        assert_eq!(report.info.classes.len(), classes, "{file}");
        assert!(first.is_empty() || report.info.classes[0] == first, "{file}");
        assert_eq!(dataset.train.len() + dataset.test.len(), rows, "{file}");
        assert!(dataset.test.len() >= rows / 10 && dataset.test.len() <= rows / 10 + classes);
        assert_eq!(dataset.info, report.info);
    }
    let (_, digits) = read(&raw.join("digits/optdigits.tra")).unwrap();
    assert_eq!(digits.info.sample, SampleShape::Image { channels: 1, height: 8, width: 8 });
    let brightest = digits.train.iter().flat_map(|row| row.sample.bytes()).max();
    assert_eq!(brightest, Some(&255), "sixteen levels are scaled to the full range");
}

struct TestFolder {
    folder: TempDir,
}

impl TestFolder {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn add(&self, name: &str, content: &[u8]) -> Result<(AddReport, Dataset), DataError> {
        fs::write(self.folder.path().join(name), content).unwrap();
        self.add_file(name)
    }

    fn add_file(&self, name: &str) -> Result<(AddReport, Dataset), DataError> {
        read(&self.folder.path().join(name))
    }
}

/// Reads a file or folder without options.
fn read(file: &Path) -> Result<(AddReport, Dataset), DataError> {
    let files = [ImportFile { path: file.to_owned(), role: FileRole::Data }];
    let (options, limits) = (ImportOptions::default(), ReadLimits::default());
    let (dataset, report) = read_file("mine", &files, &options, limits, &mut |_| {})?;
    Ok((report, dataset))
}

fn text(label: u32, text: &str) -> Row {
    Row { label, sample: Sample::Text(text.to_owned()) }
}

fn png(width: u32, height: u32, shade: u8) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = image::GrayImage::from_pixel(width, height, image::Luma([shade]));
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn raw() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/datasets");
    let folder = std::env::var_os("CONSTELLATION_DATA_DIR").map_or(beside, PathBuf::from);
    let raw = folder.join("raw");
    if !raw.is_dir() {
        println!("skipped: no real files here; set CONSTELLATION_DATA_DIR to their folder");
        return None;
    }
    Some(raw)
}
