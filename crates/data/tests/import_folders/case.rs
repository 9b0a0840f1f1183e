//! One input, and what it must become.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use data::{
    AddReport, DataError, Dataset, HubSettings, ImportFile, ReadLimits, Row, Sample, Sources,
    read_file,
};
use protocol::dataset::SampleShape;
use protocol::dataset::import::{FileRole, ImportOptions};
use tempfile::TempDir;

use crate::make::Files;

/// Input and what it must become.
pub(crate) struct Case {
    name: &'static str,
    files: Files,
    roles: Vec<(&'static str, FileRole)>,
    options: ImportOptions,
    refused: Option<&'static str>,
    classes: Vec<(&'static str, Vec<String>)>,
    splits: Option<[usize; 3]>,
    shape: Option<[u32; 3]>,
    left_out: Vec<(&'static str, u64)>,
    warnings: Vec<&'static str>,
}

impl Case {
    /// `files` are given to the import one by one. A file in a folder is given as the folder.
    pub(crate) fn new(name: &'static str, files: Files) -> Self {
        Self {
            name,
            files,
            roles: Vec::new(),
            options: ImportOptions::default(),
            refused: None,
            classes: Vec::new(),
            splits: None,
            shape: None,
            left_out: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Every row of the class: shades of images, or texts.
    pub(crate) fn class<T: ToString>(mut self, name: &'static str, rows: &[T]) -> Self {
        self.classes.push((name, rows.iter().map(ToString::to_string).collect()));
        self
    }

    /// Rows for training, validation and testing.
    pub(crate) fn splits(mut self, train: usize, validation: usize, test: usize) -> Self {
        self.splits = Some([train, validation, test]);
        self
    }

    pub(crate) fn shape(mut self, channels: u32, height: u32, width: u32) -> Self {
        self.shape = Some([channels, height, width]);
        self
    }

    /// Number of files or rows that are left out for a reason that contains these words.
    pub(crate) fn left_out(mut self, reason: &'static str, count: u64) -> Self {
        self.left_out.push((reason, count));
        self
    }

    pub(crate) fn warns(mut self, words: &'static str) -> Self {
        self.warnings.push(words);
        self
    }

    pub(crate) fn role(mut self, file: &'static str, role: FileRole) -> Self {
        self.roles.push((file, role));
        self
    }

    /// Without options, the import is refused and names this flag. With them, it works.
    pub(crate) fn refused(mut self, flag: &'static str, options: ImportOptions) -> Self {
        self.refused = Some(flag);
        self.options = options;
        self
    }

    pub(crate) fn options(mut self, options: ImportOptions) -> Self {
        self.options = options;
        self
    }

    pub(crate) fn check(&self) {
        let name = self.name;
        let folder = TempDir::new().unwrap();
        let files = self.write(&folder.path().join("input"));
        if let Some(flag) = self.refused {
            let error = added(folder.path(), &files, &ImportOptions::default()).unwrap_err();
            let DataError::Undecided { questions, .. } = &error else { panic!("{name}: {error}") };
            let flags: Vec<&str> =
                questions.iter().map(|question| question.flag.as_str()).collect();
            assert!(flags.contains(&flag), "{name}: {error}");
        }
        let (report, dataset) = match added(folder.path(), &files, &self.options) {
            Ok(added) => added,
            Err(error) => panic!("{name}: {error}"),
        };
        let plan = &report.plan;
        let found: Vec<&str> = report.info.classes.iter().map(String::as_str).collect();
        let expected: Vec<&str> = self.classes.iter().map(|(class, _)| *class).collect();
        assert_eq!(found, expected, "{name}");
        let mut rows: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for row in dataset.train.iter().chain(&dataset.validation).chain(&dataset.test) {
            rows.entry(row.label).or_default().push(value(row));
        }
        for ((class, expected), found) in self.classes.iter().zip(rows.values_mut()) {
            let mut expected = expected.clone();
            expected.sort();
            found.sort();
            assert_eq!(*found, expected, "{name}: {class}");
        }
        let sizes = [&dataset.train, &dataset.validation, &dataset.test].map(Vec::len);
        assert!(self.splits.is_none_or(|splits| splits == sizes), "{name}: {sizes:?}");
        if let Some([channels, height, width]) = self.shape {
            let shape = SampleShape::Image { channels, height, width };
            assert_eq!(report.info.sample, shape, "{name}");
        }
        for (reason, count) in &self.left_out {
            let matching = plan.left_out.iter().filter(|left_out| left_out.reason.contains(reason));
            let found: u64 = matching.map(|left_out| left_out.count).sum();
            assert_eq!(found, *count, "{name}: {reason}: {:?}", plan.left_out);
        }
        for words in &self.warnings {
            let has = plan.warnings.iter().any(|warning| warning.contains(words));
            assert!(has, "{name}: {words}: {:?}", plan.warnings);
        }
        assert!(plan.questions.is_empty(), "{name}");
        // The plan's own options decide everything the same way again.
        let again = added(folder.path(), &files, &plan.options);
        let again = again.map_err(|error| panic!("{name}: again: {error}")).unwrap();
        assert_eq!((again.1.train, again.1.test), (dataset.train, dataset.test), "{name}: again");
    }

    /// Writes the files, and returns what a person would name in the command.
    fn write(&self, folder: &Path) -> Vec<ImportFile> {
        let mut named: Vec<PathBuf> = Vec::new();
        for (name, bytes) in &self.files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            let top = folder.join(name.split('/').next().unwrap());
            if !named.contains(&top) {
                named.push(top);
            }
        }
        let role = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy();
            self.roles
                .iter()
                .find(|(file, _)| *file == name)
                .map_or(FileRole::Data, |(_, role)| *role)
        };
        named.iter().map(|path| ImportFile { role: role(path), path: path.clone() }).collect()
    }
}

/// Reads files as a dataset, and checks that an inspection gives the same plan.
pub(crate) fn added(
    folder: &Path,
    files: &[ImportFile],
    options: &ImportOptions,
) -> Result<(AddReport, Dataset), DataError> {
    let hub = HubSettings { offline: true, ..HubSettings::default() };
    let sources = Sources { data_dir: None, uploads: folder.join("uploads"), hub };
    let limits = ReadLimits::default();
    let (dataset, report) = read_file("mine", files, options, limits, &mut |_| {})?;
    let plan = sources.inspect(files, options, limits, &mut |_| {})?;
    assert_eq!(plan, report.plan, "an inspection gives the same plan");
    Ok((report, dataset))
}

/// Returns a row's text, or the brightness of its first pixel. JPEG is not exact, so shades are multiples
/// of 1 only where the format is.
fn value(row: &Row) -> String {
    match &row.sample {
        Sample::Text(text) => text.clone(),
        Sample::Image(pixels) => pixels[0].to_string(),
    }
}
