//! Folders of images and texts: classes, splits and labels beside them, in every kind of archive.

use protocol::dataset::import::{FileRole, ImportOptions, SplitName};

use crate::case::Case;
use crate::make::{
    Files, bzip2, file, finder_zip, folder, gzip, png, powershell_zip, six, tar, zip, zstd,
};

fn below(name: &str, files: &[Files]) -> Files {
    files.concat().into_iter().map(|(own, bytes)| (format!("{name}/{own}"), bytes)).collect()
}

fn pets() -> Files {
    below("pets", &[folder("cat", &six(10)), folder("dog", &six(30))])
}

/// Train, another split and test, two classes each.
fn three_splits(train: &str, validation: &str, test: &str) -> Files {
    [
        below(train, &[folder("cat", &six(10)), folder("dog", &six(30))]),
        below(validation, &[folder("cat", &[50, 51]), folder("dog", &[60, 61])]),
        below(test, &[folder("cat", &[70, 71]), folder("dog", &[80, 81])]),
    ]
    .concat()
}

/// Expects what [`three_splits`] makes.
fn expects_three_splits(case: Case) -> Case {
    case.class("cat", &[10, 11, 12, 13, 14, 15, 50, 51, 70, 71])
        .class("dog", &[30, 31, 32, 33, 34, 35, 60, 61, 80, 81])
        .splits(12, 4, 4)
}

#[test]
fn import_folder_cases_of_archives() {
    let sources: [(&str, Files); 10] = [
        ("folder", pets()),
        ("zip", file("pets.zip", zip(&pets()))),
        ("tar", file("pets.tar", tar(&pets()))),
        ("tar.gz", file("pets.tar.gz", gzip(&tar(&pets())))),
        ("tgz", file("pets.tgz", gzip(&tar(&pets())))),
        ("tar.bz2", file("pets.tar.bz2", bzip2(&tar(&pets())))),
        ("tar.zst", file("pets.tar.zst", zstd(&tar(&pets())))),
        ("an archive without an ending", file("pets", zip(&pets()))),
        ("zip of PowerShell", file("pets.zip", powershell_zip(&pets()))),
        ("tar in zip", file("all.zip", zip(&file("pets.tar", tar(&pets()))))),
    ];
    for (name, files) in sources {
        Case::new(name, files).class("cat", &six(10)).class("dog", &six(30)).shape(1, 3, 4).check();
    }
    Case::new("zip of Finder", file("pets.zip", finder_zip(&pets())))
        .class("cat", &six(10))
        .class("dog", &six(30))
        .left_out("file of the system", 13)
        .check();
    let mut classes_by_case = [folder("Cat", &six(10)), folder("dog", &six(30))].concat();
    classes_by_case.extend(folder("ÄÖ", &six(50)));
    Case::new("names beyond ASCII", file("pets.zip", zip(&classes_by_case)))
        .class("Cat", &six(10))
        .class("dog", &six(30))
        .class("ÄÖ", &six(50))
        .check();
}

#[test]
fn import_folder_cases_of_splits() {
    let names = [
        ("train, val, test", three_splits("train", "val", "test")),
        ("in a folder", below("pets", &[three_splits("train", "validation", "test")])),
        ("training, dev, testing", three_splits("training", "dev", "testing")),
        ("in upper case", three_splits("Train", "VALID", "Test")),
        ("with other words", three_splits("train_set", "eval-images", "test_set")),
        (
            "twice, as of Kaggle",
            three_splits("seg_train/seg_train", "seg_val/seg_val", "seg_test/seg_test"),
        ),
    ];
    for (name, files) in names {
        expects_three_splits(Case::new(name, file("a.zip", zip(&files)))).check();
    }
    let swapped: Files = three_splits("train", "val", "test")
        .into_iter()
        .map(|(name, bytes)| {
            let parts: Vec<&str> = name.split('/').collect();
            (format!("{}/{}/{}", parts[1], parts[0], parts[2]), bytes)
        })
        .collect();
    let splits = |names: &[(&str, SplitName)]| {
        let splits = names.iter().map(|(name, split)| ((*name).to_owned(), *split)).collect();
        ImportOptions { splits: Some(splits), ..ImportOptions::default() }
    };
    let folds = splits(&[
        ("fold1", SplitName::Train),
        ("fold2", SplitName::Validation),
        ("fold3", SplitName::Test),
    ]);
    let archives = [
        file(
            "train.zip",
            zip(&below("train", &[folder("cat", &six(10)), folder("dog", &six(30))])),
        ),
        file("val.zip", zip(&[folder("cat", &[50, 51]), folder("dog", &[60, 61])].concat())),
        file("test.zip", zip(&[folder("cat", &[70, 71]), folder("dog", &[80, 81])].concat())),
    ];
    let cases = [
        expects_three_splits(Case::new("the split below the class", file("a.zip", zip(&swapped)))),
        expects_three_splits(
            Case::new("other names", file("a.zip", zip(&three_splits("fold1", "fold2", "fold3"))))
                .options(folds),
        ),
        expects_three_splits(Case::new("archives inside", file("a.zip", zip(&archives.concat())))),
        expects_three_splits(Case::new("three archives", archives.concat())),
        expects_three_splits(
            Case::new(
                "three archives with roles",
                [
                    file(
                        "a.zip",
                        zip(&[folder("cat", &six(10)), folder("dog", &six(30))].concat()),
                    ),
                    file(
                        "b.zip",
                        zip(&[folder("cat", &[50, 51]), folder("dog", &[60, 61])].concat()),
                    ),
                    file(
                        "c.zip",
                        zip(&[folder("cat", &[70, 71]), folder("dog", &[80, 81])].concat()),
                    ),
                ]
                .concat(),
            )
            .role("a.zip", FileRole::Train)
            .role("b.zip", FileRole::Validation)
            .role("c.zip", FileRole::Test),
        ),
        Case::new(
            "a fourth folder",
            file(
                "a.zip",
                zip(&[
                    three_splits("train", "val", "test"),
                    below("extra", &[folder("cat", &[90])]),
                ]
                .concat()),
            ),
        )
        .class("cat", &[10, 11, 12, 13, 14, 15, 50, 51, 70, 71])
        .class("dog", &[30, 31, 32, 33, 34, 35, 60, 61, 80, 81])
        .splits(12, 4, 4)
        .left_out("its folder is not a split", 1),
        Case::new(
            "vehicles",
            file("a.zip", zip(&[folder("bus", &six(10)), folder("train", &six(30))].concat())),
        )
        .class("bus", &six(10))
        .class("train", &six(30)),
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn import_folder_cases_of_levels_and_neighbors() {
    let animals = [
        below("mammals", &[folder("cat", &six(10)), folder("dog", &six(30))]),
        below("birds", &[folder("owl", &six(50))]),
    ]
    .concat();
    let level = |level| ImportOptions { class_level: Some(level), ..ImportOptions::default() };
    let mut beside = pets();
    beside.extend(file("preview.png", png(4, 3, 99)));
    beside.extend(file("pets/cover.png", png(4, 3, 99)));
    beside.extend(file("pets/cat/notes.txt", "notes"));
    beside.extend(file("LICENSE", "free"));
    beside.extend(file("pets/model.bin", [0, 1, 2, 0, 0, 0, 3, 0]));
    let inner = [pets(), below("pets/cat", &[folder("old", &[99])])].concat();
    let images: Files = ["cat", "dog"]
        .iter()
        .zip([10, 30])
        .flat_map(|(class, from)| below(class, &[folder("images", &six(from))]))
        .collect();
    let cases = [
        Case::new("the deepest level", file("a.zip", zip(&animals)))
            .class("cat", &six(10))
            .class("dog", &six(30))
            .class("owl", &six(50))
            .warns("with --class-level 2 they are birds, mammals"),
        Case::new("another level", file("a.zip", zip(&animals)))
            .options(level(2))
            .class("birds", &six(50))
            .class("mammals", &[six(10), six(30)].concat())
            .warns("with --class-level 1 they are cat, dog, owl"),
        Case::new("a level that all share", file("a.zip", zip(&images)))
            .class("cat", &six(10))
            .class("dog", &six(30)),
        Case::new("files beside the classes", file("a.zip", zip(&beside)))
            .class("cat", &six(10))
            .class("dog", &six(30))
            .left_out("beside the class folders", 2)
            .left_out("it is not an image", 1)
            .left_out("document", 1)
            .left_out("neither an image nor a table", 1),
        Case::new("a folder inside a class", file("a.zip", zip(&inner)))
            .class("cat", &[10, 11, 12, 13, 14, 15, 99])
            .class("dog", &six(30)),
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn import_folder_cases_of_labels_in_a_table() {
    let flat: Files =
        (10..22).map(|shade| (format!("images/{shade}.png"), png(4, 3, shade))).collect();
    let table = |header: &str, row: &dyn Fn(u8) -> String| {
        let rows = (10..22).map(|shade| row(shade) + "\n");
        format!("{header}\n{}", rows.collect::<String>())
    };
    let label = |shade: u8| ["dark", "light"][usize::from(shade >= 16)];
    let with = |name: &str, text: String| [flat.clone(), file(name, text)].concat();
    let hub = with(
        "images/metadata.csv",
        table("file_name,label", &|shade| format!("{shade}.png,{}", label(shade))),
    );
    let lines = (10..22).map(|shade| {
        format!("{{\"file_name\": \"{shade}.png\", \"label\": \"{}\"}}\n", label(shade))
    });
    let lines = with("images/metadata.jsonl", lines.collect());
    let kaggle =
        with("labels.csv", table("id,breed", &|shade| format!("{shade},{}", label(shade))));
    let other = with(
        "data.csv",
        table("width,class,path", &|shade| format!("4,{},images/{shade}.png", label(shade))),
    );
    let two = with(
        "labels.csv",
        table("file,mood,size", &|shade| format!("{shade}.png,{},{}", label(shade), shade % 2)),
    );
    let split = with(
        "labels.csv",
        table("file;label;split", &|shade| {
            format!(
                "{shade}.png;{};{}",
                label(shade),
                if shade % 3 == 0 { "test" } else { "train" }
            )
        }),
    );
    let missing = [hub.clone(), file("images/99.png", png(4, 3, 99))].concat();
    let by_mood = ImportOptions { label: Some("mood".to_owned()), ..ImportOptions::default() };
    let expects = |case: Case| case.class("dark", &six(10)).class("light", &six(16));
    let cases = [
        expects(Case::new("metadata.csv of the hub", file("a.zip", zip(&hub)))),
        expects(Case::new("metadata.jsonl of the hub", file("a.zip", zip(&lines)))),
        expects(Case::new("names without endings", file("a.zip", zip(&kaggle)))),
        expects(Case::new("paths in another column", file("a.zip", zip(&other)))),
        expects(Case::new("a column of splits", file("a.zip", zip(&split)))).splits(8, 0, 4),
        expects(Case::new("an image without a row", file("a.zip", zip(&missing))))
            .left_out("has no row for it", 1),
        expects(
            Case::new("two columns that could be the label", file("a.zip", zip(&two)))
                .refused("--label", by_mood),
        ),
    ];
    cases.iter().for_each(Case::check);
}

#[test]
fn import_folder_cases_of_texts() {
    let mail = |group: &str, at: usize| {
        let text = format!("From: someone\nSubject: {group} {at}\n\nText about {group}.");
        (format!("{group}/{at}"), text.into_bytes())
    };
    let mails: Files =
        (0..6).flat_map(|at| [mail("sci.space", at), mail("rec.autos", at)]).collect();
    let texts = |group: &str| -> Vec<String> {
        (0..6).map(|at| String::from_utf8(mail(group, at).1).unwrap()).collect()
    };
    let with_endings =
        mails.iter().map(|(name, bytes)| (format!("train/{name}.txt"), bytes.clone()));
    let mut latin: Files = with_endings.collect();
    latin.push(("test/rec.autos/9.txt".to_owned(), b"Caf\xe9".to_vec()));
    latin.push(("test/sci.space/9.txt".to_owned(), b"Text".to_vec()));
    let with = |group: &str, more: &str| [texts(group), vec![more.to_owned()]].concat();
    let cases = [
        Case::new("20 newsgroups", file("a.tar.gz", gzip(&tar(&mails))))
            .class("rec.autos", &texts("rec.autos"))
            .class("sci.space", &texts("sci.space")),
        Case::new("texts in splits, one in Latin-1", file("a.zip", zip(&latin)))
            .class("rec.autos", &with("rec.autos", "Café"))
            .class("sci.space", &with("sci.space", "Text"))
            .splits(12, 0, 2)
            .warns("not in UTF-8"),
    ];
    cases.iter().for_each(Case::check);
}
