//! `dataset inspect` and `dataset add`: files, folders and flags become a plan and a dataset.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use support::{Node, constellation, result};

/// Starts a coordinator in the folder `coordinator`.
fn coordinator(home: &Path) -> Node {
    let listen = ["coordinator", "--listen", "127.0.0.1:0", "--no-discovery"];
    let mut node = Node::start(home, &[&listen[..], &["--data-dir", "coordinator"]].concat());
    assert!(node.lines.next().unwrap().unwrap().contains("url"));
    node
}

/// Runs a command for people. Returns its standard output and error.
fn shown(home: &Path, arguments: &[&str]) -> (bool, String, String) {
    let arguments = [arguments, &["--data-dir", "coordinator"]].concat();
    let output = constellation(home, &arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn reviews(rows: std::ops::Range<usize>) -> String {
    let row = |row| format!("some words about thing {row},{}\n", ["good", "bad"][row % 2]);
    format!("text,label\n{}", rows.map(row).collect::<String>())
}

fn staged(home: &Path) -> usize {
    fs::read_dir(home.join("coordinator/staging")).map_or(0, Iterator::count)
}

/// Writes a 4×4 PNG of one gray value.
fn png(path: &Path, gray: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::GrayImage::from_pixel(4, 4, image::Luma([gray])).save(path).unwrap();
}

#[test]
fn a_file_is_inspected_and_added_with_its_plan_on_one_line() {
    let home = TempDir::new().unwrap();
    let home = home.path();
    let node = coordinator(home);
    fs::write(home.join("reviews.csv"), reviews(0..40)).unwrap();
    let plan = result(home, &["dataset", "inspect", "reviews.csv"]);
    let columns = plan["columns"].as_array().unwrap().iter();
    let roles: Vec<_> = columns.map(|it| (&it["name"], &it["role"])).collect();
    assert_eq!(roles, [(&json!("text"), &json!("text")), (&json!("label"), &json!("label"))]);
    assert_eq!(result(home, &["dataset", "list"]).as_array().unwrap().len(), 9, "nothing is added");

    let (good, text, _) = shown(home, &["dataset", "inspect", "reviews.csv"]);
    assert!(good);
    for expected in ["COLUMN", "some words about thing 0", "CLASS", "good", "█", "SPLIT", "train"]
    {
        assert!(text.contains(expected), "{expected} of {text}");
    }
    let added = result(home, &["dataset", "add", "reviews.csv", "--name", "reviews"]);
    let info = &added["info"];
    assert_eq!(
        (&info["name"], &info["validation_rows"], &info["version"]),
        (&json!("reviews"), &json!(0), &json!(1))
    );
    assert_eq!(added["plan"]["classes"], plan["classes"]);
    assert_eq!(staged(home), 0);
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_test_file_is_the_test_split_and_what_is_done_is_shown() {
    let home = TempDir::new().unwrap();
    let home = home.path();
    let node = coordinator(home);
    fs::write(home.join("a.csv"), reviews(0..40)).unwrap();
    fs::write(home.join("b.csv"), reviews(40..50)).unwrap();
    let add = ["dataset", "add", "a.csv", "--test", "b.csv", "--name", "both"];
    let (good, text, error) = shown(home, &add);
    assert!(good, "{error}");
    assert!(text.starts_with("both: 40 training rows, 10 test rows, 2 classes\n"), "{text}");
    assert!(text.contains("text = text"), "{text}");
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_folder_of_images_is_packed_while_it_is_sent() {
    let home = TempDir::new().unwrap();
    let home = home.path();
    let node = coordinator(home);
    for number in 0..20 {
        png(&home.join(format!("photos/cat/{number}.png")), number);
        png(&home.join(format!("photos/dog/{number}.png")), 200 + number);
    }
    let added = result(home, &["dataset", "add", "photos", "--name", "photos"]);
    assert_eq!(added["info"]["classes"], json!(["cat", "dog"]));
    let rows = ["train_rows", "test_rows"].map(|field| added["info"][field].as_u64().unwrap());
    assert_eq!(rows.iter().sum::<u64>(), 40);
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn an_open_decision_is_refused_with_its_flag_and_imported_with_it() {
    let home = TempDir::new().unwrap();
    let home = home.path();
    let node = coordinator(home);
    let row = |row: usize| {
        let (b, c) = (["red", "blue"][row % 2], ["round", "square", "flat"][row % 3]);
        format!("some words about the thing {row},{b},{c}\n")
    };
    let csv = format!("a,b,c\n{}", (0..60).map(row).collect::<String>());
    fs::write(home.join("open.csv"), csv).unwrap();
    let (good, text, _) = shown(home, &["dataset", "inspect", "open.csv"]);
    assert!(good && text.contains("open: ") && text.contains("--label"), "{text}");
    let add = ["dataset", "add", "open.csv", "--name", "open"];
    let (good, _, error) = shown(home, &add);
    assert!(!good && error.contains("--label") && error.contains("open.csv"), "{error}");
    assert_eq!(staged(home), 0);
    let added = result(home, &[&add[..], &["--label", "c"]].concat());
    assert_eq!(added["info"]["classes"], json!(["flat", "round", "square"]));
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn what_can_t_be_right_fails_before_anything_is_sent() {
    let home = TempDir::new().unwrap();
    let home = home.path();
    let node = coordinator(home);
    fs::write(home.join("reviews.csv"), reviews(0..40)).unwrap();
    fs::write(home.join("empty.csv"), "").unwrap();
    fs::create_dir(home.join("nothing")).unwrap();
    for (arguments, message) in [
        ("missing.csv --name a", "can't read missing.csv"),
        ("empty.csv --name a", "empty.csv is empty"),
        ("nothing --name a", "nothing contains no file"),
        ("reviews.csv --name synthetic", "is a built-in dataset"),
        ("reviews.csv --name Bad", "cannot be a dataset's name"),
        ("reviews.csv --name uploads", "choose another name"),
        ("reviews.csv --name a --separator tabs", "--separator must be one character"),
        ("reviews.csv --name a --split dev=val", "must be train, validation or test"),
    ] {
        let words: Vec<&str> = ["dataset", "add"].into_iter().chain(arguments.split(' ')).collect();
        let (good, _, error) = shown(home, &words);
        assert!(!good && error.contains(message), "{arguments}: {error}");
    }
    assert_eq!(staged(home), 0);
    let listed: Value = result(home, &["dataset", "list"]);
    assert!(listed.as_array().unwrap().iter().all(|it| it["origin"] != "uploaded"), "{listed}");
    assert_eq!(node.stop(), Some(0));
}
