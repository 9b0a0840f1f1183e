//! Inputs that are named and not read.

use std::fs;

use data::ImportFile;
use protocol::dataset::import::{FileRole, ImportOptions};
use tempfile::TempDir;

use crate::case::added;
use crate::make::{Files, csv, file, folder, gzip, png, six, zip};

#[test]
fn what_is_not_read_is_named_with_what_to_do() {
    let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";
    let photos: Files = ["cat", "dog"]
        .iter()
        .flat_map(|class| (0..3).map(move |at| (format!("{class}/{at}.heic"), heic.to_vec())))
        .collect();
    let mut one_class_of_heic = [folder("cat", &six(10)), folder("dog", &six(30))].concat();
    one_class_of_heic.extend((0..6).map(|at| (format!("owl/{at}.heic"), heic.to_vec())));
    let twice = gzip(&gzip(&gzip(&gzip(&csv("a", 12, ["x", "y"])))));
    let outside = zip(&file("a/../../b.csv", csv("a", 12, ["x", "y"])));
    let cases: [(&str, Vec<u8>, &[&str]); 11] = [
        ("a.csv.xz", b"\xfd7zXZ\0\0\x04".to_vec(), &["xz file", "unpack it"]),
        ("a.7z", b"7z\xbc\xaf\x27\x1c\0\x04".to_vec(), &["7z archive", "pack it as zip"]),
        ("a.rar", b"Rar!\x1a\x07\x01\0".to_vec(), &["RAR archive", "pack it as zip"]),
        ("a.pdf", b"%PDF-1.7".to_vec(), &["PDF document"]),
        ("a.png", png(4, 3, 1), &["is one image", "one folder of images per class"]),
        ("a.heic", heic.to_vec(), &["is one image"]),
        ("photos.zip", zip(&photos), &["HEIC image, which is not read", "export it as JPEG"]),
        ("a.zip", zip(&one_class_of_heic), &["6 of 18 rows", "owl/0.heic", "HEIC image"]),
        ("a.gz", twice, &["packed more than 3 times"]),
        ("a.zip", outside, &["a path outside of it"]),
        ("a.zip", zip(&file("notes/about.md", "# About")), &["contains no image"]),
    ];
    for (name, bytes, words) in cases {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let files = [ImportFile { path, role: FileRole::Data }];
        let error = added(folder.path(), &files, &ImportOptions::default()).unwrap_err();
        let error = error.to_string();
        assert!(error.starts_with(name) || error.contains(&format!("of {name}")), "{error}");
        for words in words {
            assert!(error.contains(words), "{name}: {words}: {error}");
        }
    }
}
