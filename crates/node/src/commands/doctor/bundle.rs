//! The file for support: what the doctor found, settings, and the logs, without secrets and without data.

use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use zip::write::SimpleFileOptions;

use super::Report;
use super::redact::Redactor;

/// Of each log, its end.
const LONGEST_LOG: u64 = 2_000_000;
const MOST_LOGS: usize = 10;

const WHAT_IS_IN_IT: &str = "\
What Constellation's doctor wrote for support.

doctor.json    what was checked and found, versions, and facts of the system
settings.json  each setting and who decided it; of a secret only that it is set
logs/          the end of each log, where there are logs

Tokens, keys, join codes and whatever looks like one are removed, and the home folder's name. No rows of any dataset and
no models are in it.
";

/// Writes the archive, readable by its owner alone; gives the names of what is in it.
pub(super) fn write(
    file: &Path,
    report: &Report,
    logs: Option<&Path>,
    redactor: &Redactor,
) -> anyhow::Result<Vec<String>> {
    let doctor = serde_json::to_string_pretty(report)?;
    let settings = serde_json::to_string_pretty(&report.settings)?;
    let mut parts = vec![
        ("README.txt".to_owned(), WHAT_IS_IN_IT.to_owned()),
        ("doctor.json".to_owned(), redactor.told(&doctor)),
        ("settings.json".to_owned(), redactor.told(&settings)),
    ];
    for log in logs.into_iter().flat_map(logs_in).take(MOST_LOGS) {
        let Ok(text) = end_of(&log) else { continue };
        let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
        parts.push((format!("logs/{name}"), redactor.strict(&text)));
    }
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    for (name, text) in &parts {
        archive.start_file(name.as_str(), options)?;
        archive.write_all(text.as_bytes())?;
    }
    let bytes = archive.finish()?.into_inner();
    platform::files::write_private(file, &bytes)
        .with_context(|| format!("can't write {}", file.display()))?;
    Ok(parts.into_iter().map(|(name, _)| name).collect())
}

fn logs_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut logs: Vec<PathBuf> = entries
        // A link might lead anywhere.
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    logs.sort();
    logs
}

/// From the first whole line on.
fn end_of(log: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(log)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(LONGEST_LOG);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(LONGEST_LOG).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // What a cut line begins with could be the rest of a secret.
    let whole = if start == 0 { 0 } else { text.find('\n').map_or(text.len(), |end| end + 1) };
    Ok(text[whole..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_log_the_end_is_taken_from_a_whole_line_on() {
        let folder = tempfile::tempdir().unwrap();
        let (log, other) = (folder.path().join("a.log"), folder.path().join("rows.csv"));
        std::fs::write(&other, "text,label").unwrap();
        std::os::unix::fs::symlink(&other, folder.path().join("link.log")).unwrap();
        let line = format!("{}\n", "x".repeat(999));
        std::fs::write(&log, format!("first\n{}", line.repeat(2500))).unwrap();
        assert_eq!(logs_in(folder.path()), std::slice::from_ref(&log));
        let end = end_of(&log).unwrap();
        assert!(end.starts_with("xxx") && !end.contains("first"));
        assert_eq!(end.len() % 1000, 0);
    }
}
