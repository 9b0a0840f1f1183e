//! Support bundle: a zip file with the doctor's findings, the settings and the logs, without secrets or data.

use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use platform::OutputFile;
use zip::write::SimpleFileOptions;

use super::redact::Redactor;
use super::report::Report;
use crate::output;

/// Maximum number of bytes taken from the end of each log.
const MAXIMUM_LOG_BYTES: u64 = 2_000_000;
const MAXIMUM_LOGS: usize = 10;

const README: &str = "\
Support bundle, written by `constellation doctor --bundle`.

doctor.json    Checks and their results, versions, and facts about the system
settings.json  All settings and their sources; secrets are replaced by \"set\"
logs/          The end of each log file

Tokens, keys, join codes, text that looks like one, and the name of the home folder are removed. The bundle contains no
dataset rows and no models.
";

/// Opens the file for the archive.
pub(super) fn open(file: &Path) -> anyhow::Result<OutputFile> {
    output::open_file(file).with_context(|| format!("can't write {}", file.display()))
}

/// Writes the archive, readable by its owner only. Returns the names of its entries.
pub(super) fn write(
    (file, mut output): (&Path, OutputFile),
    report: &Report,
    logs: Option<&Path>,
    redactor: &Redactor,
) -> anyhow::Result<Vec<String>> {
    let doctor = serde_json::to_string_pretty(report)?;
    let settings = serde_json::to_string_pretty(&report.settings)?;
    let mut parts = vec![
        ("README.txt".to_owned(), README.to_owned()),
        ("doctor.json".to_owned(), redactor.redact(&doctor)),
        ("settings.json".to_owned(), redactor.redact(&settings)),
    ];
    for log in logs.into_iter().flat_map(logs_in).take(MAXIMUM_LOGS) {
        let Ok(text) = log_tail(&log) else { continue };
        let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
        parts.push((format!("logs/{name}"), redactor.redact_strict(&text)));
    }
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    for (name, text) in &parts {
        archive.start_file(name.as_str(), options)?;
        archive.write_all(text.as_bytes())?;
    }
    let bytes = archive.finish()?.into_inner();
    output
        .write_all(&bytes)
        .and_then(|()| output.commit())
        .with_context(|| format!("can't write {}", file.display()))?;
    Ok(parts.into_iter().map(|(name, _)| name).collect())
}

fn logs_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut logs: Vec<PathBuf> = entries
        // A symbolic link could point to any file.
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    logs.sort();
    logs
}

/// Returns the end of the log, starting at a complete line.
fn log_tail(log: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(log)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(MAXIMUM_LOG_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(MAXIMUM_LOG_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // A truncated line could start with part of a secret, which redaction would not recognize.
    let first_line = if start == 0 { 0 } else { text.find('\n').map_or(text.len(), |end| end + 1) };
    Ok(text[first_line..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_long_log_starts_at_a_complete_line() {
        let folder = tempfile::tempdir().unwrap();
        let (log, other) = (folder.path().join("a.log"), folder.path().join("rows.csv"));
        std::fs::write(&other, "text,label").unwrap();
        std::os::unix::fs::symlink(&other, folder.path().join("link.log")).unwrap();
        let line = format!("{}\n", "x".repeat(999));
        std::fs::write(&log, format!("first\n{}", line.repeat(2500))).unwrap();
        assert_eq!(logs_in(folder.path()), std::slice::from_ref(&log));
        let end = log_tail(&log).unwrap();
        assert!(end.starts_with("xxx") && !end.contains("first"));
        assert_eq!(end.len() % 1000, 0);
    }
}
