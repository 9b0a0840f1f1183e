//! Named datasets read from the real files beside the checkout.

#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::print_stdout,
    reason = "the functions around the tests are tests too"
)]

use std::path::PathBuf;
use std::time::Instant;

use data::{HubSettings, LoadProgress, Origin, Row, Sample, Sources, text};

#[test]
fn every_available_named_dataset_is_read_completely() {
    let Some(sources) = sources() else { return };
    let expected = [
        ("ag_news", 120_000, 7_600, "World"),
        ("imdb", 5_000, 2_000, "neg"),
        ("yelp", 3_216, 802, "1"),
        ("yelp_full", 4_000, 1_000, "1 star"),
        ("amazon", 3_969, 6_065, "negative"),
        ("fashion_mnist", 60_000, 10_000, "T - shirt / top"),
    ];
    for (name, train, test, first_class) in expected {
        let start = Instant::now();
        let mut reported = 0;
        let dataset = sources
            .load(name, &mut |progress| match progress {
                LoadProgress::Reading { rows } => reported = rows,
                LoadProgress::Downloading { file, .. } => panic!("downloads {file}"),
            })
            .unwrap();
        println!("{name}: {} + {} rows in {:?}", train, test, start.elapsed());
        assert_eq!((dataset.train.len(), dataset.test.len()), (train, test), "{name}");
        assert_eq!((dataset.info.train_rows, dataset.info.test_rows), (train as u64, test as u64));
        assert_eq!(reported, (train + test) as u64);
        assert_eq!(dataset.info.classes[0], first_class);
        for class in 0..u32::try_from(dataset.info.classes.len()).unwrap() {
            assert!(dataset.train.iter().any(|row| row.label == class), "{name} lacks {class}");
        }
        let entry = sources.list().into_iter().find(|entry| entry.name == name).unwrap();
        assert_eq!(entry.origin, Origin::Local);
        assert_eq!(entry.info.as_ref(), Some(&dataset.info));
        if name == "ag_news" {
            time_ids(&dataset.train);
        }
    }
}

fn time_ids(rows: &[Row]) {
    let (start, mut ids, mut count) = (Instant::now(), Vec::new(), 0);
    for row in rows {
        let Sample::Text(text) = &row.sample else { panic!("a text") };
        ids.clear();
        text::ids(text, 1 << 20, 2, 400, &mut ids);
        count += ids.len();
    }
    println!("{count} ids of {} texts in {:?}", rows.len(), start.elapsed());
    assert!(count > 5_000_000);
}

fn sources() -> Option<Sources> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/datasets");
    let folder = std::env::var_os("CONSTELLATION_DATA_DIR").map_or(beside, PathBuf::from);
    if !folder.join("fancyzhx/ag_news").is_dir() {
        println!("skipped: no real datasets here; set CONSTELLATION_DATA_DIR to their folder");
        return None;
    }
    let hub = HubSettings { offline: true, ..HubSettings::default() };
    Some(Sources { data_dir: Some(folder), uploads: PathBuf::from("no-uploads"), hub })
}
