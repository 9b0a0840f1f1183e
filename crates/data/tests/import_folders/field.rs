//! Files from reports of users, which were read wrong once, and other files beside the checkout.

use std::path::{Path, PathBuf};

use data::{AddReport, Dataset, ImportFile};
use protocol::dataset::SampleShape;
use protocol::dataset::import::{FileRole, ImportOptions};
use tempfile::TempDir;

use crate::case::added;

/// The same inputs are made in code in the other files of this test: splits (20), formats (22), neighbors
/// (24), Parquet images (25), orientation (28) and levels (30).
#[test]
fn field_files_of_images_are_read_right() {
    let Some(field) = beside("field") else { return };
    let add = |name: &str, options: &ImportOptions| {
        let folder = TempDir::new().unwrap();
        let files = [ImportFile { path: field.join(name), role: FileRole::Data }];
        added(folder.path(), &files, options).unwrap()
    };
    let usual = ImportOptions::default();
    let sizes = |(_, data): &(AddReport, Dataset)| {
        [data.train.len(), data.validation.len(), data.test.len()]
    };
    let classes = |(report, _): &(AddReport, Dataset)| report.info.classes.join(" ");
    let pets = add("20-train-val-test.zip", &usual);
    assert_eq!((classes(&pets).as_str(), sizes(&pets)), ("cat dog", [12, 6, 6]));
    let webp = add("22-one-class-is-webp.zip", &usual);
    assert_eq!((classes(&webp).as_str(), sizes(&webp)), ("cat dog owl", [15, 0, 3]));
    assert_eq!(webp.0.bad_rows, 0);
    let beside = add("24-picture-beside-the-folders.zip", &usual);
    assert_eq!((classes(&beside).as_str(), sizes(&beside)), ("cat dog", [10, 0, 2]));
    let left_out = &beside.0.plan.left_out[0];
    assert_eq!((left_out.count, left_out.first[0].file.as_str()), (1, "preview.png"));
    let hub = add("25-image-parquets-train-and-test.zip", &usual);
    assert_eq!(sizes(&hub), [16, 0, 6]);
    assert!(matches!(hub.0.info.sample, SampleShape::Image { height: 8, width: 8, .. }));
    let upright = add("28-exif-orientation.zip", &usual);
    assert_eq!((sizes(&upright), upright.0.bad_rows), ([10, 0, 2], 0));
    assert!(matches!(upright.0.info.sample, SampleShape::Image { height: 8, width: 12, .. }));
    let deep = add("30-classes-one-level-deeper.zip", &usual);
    assert_eq!(classes(&deep), "cat dog owl");
    let warning = "with --class-level 2 they are birds, mammals";
    assert!(deep.0.plan.warnings[0].contains(warning), "{:?}", deep.0.plan.warnings);
    let options = ImportOptions { class_level: Some(2), ..usual };
    let other = add("30-classes-one-level-deeper.zip", &options);
    assert_eq!(classes(&other), "birds mammals");
}

/// The second table has its columns in another order, and the labels of the first.
#[test]
fn field_file_26_matches_columns_by_name() {
    let Some(field) = beside("field") else { return };
    let folder = TempDir::new().unwrap();
    let path = field.join("26-test-columns-in-other-order.zip");
    let files = [ImportFile { path, role: FileRole::Data }];
    let options = ImportOptions { label: Some("stars".to_owned()), ..ImportOptions::default() };
    let (report, dataset) = added(folder.path(), &files, &options).unwrap();
    assert_eq!(report.info.classes, ["0", "1"]);
    // In the file, stars alternate and helpful is always 0.
    assert_eq!(
        dataset.test.iter().map(|row| row.label).sum::<u32>() * 2,
        u32::try_from(dataset.test.len()).unwrap()
    );
}

#[test]
fn a_repository_of_the_hub_is_read_as_it_is_published() {
    let Some(datasets) = beside("datasets") else { return };
    let names = ["ylecun/mnist", "zalando-datasets/fashion_mnist"];
    let Some(mnist) = names.iter().map(|name| datasets.join(name)).find(|path| path.is_dir())
    else {
        println!("skipped: no MNIST here");
        return;
    };
    let folder = TempDir::new().unwrap();
    let files = [ImportFile { path: mnist, role: FileRole::Data }];
    let (report, dataset) = added(folder.path(), &files, &ImportOptions::default()).unwrap();
    let shape = SampleShape::Image { channels: 1, height: 28, width: 28 };
    assert_eq!((report.info.sample, report.info.classes.len()), (shape, 10));
    assert_eq!((dataset.train.len(), dataset.test.len()), (60_000, 10_000));
}

/// Returns a folder beside the checkout.
fn beside(name: &str) -> Option<PathBuf> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(name);
    let by_variable = std::env::var_os("CONSTELLATION_DATA_DIR").map(PathBuf::from);
    let by_variable = by_variable.and_then(|data| Some(data.parent()?.join(name)));
    let found = [Some(shared), by_variable].into_iter().flatten().find(|path| path.is_dir());
    if found.is_none() {
        println!("skipped: there is no folder {name} beside the checkout");
    }
    found
}
