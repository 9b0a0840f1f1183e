//! A log file that never takes more than twice its limit: a full one becomes the previous one, whose predecessor goes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use platform::files::append_private;

/// What the log is called in its folder.
pub const LOG_FILE: &str = "app.log";
const PREVIOUS: &str = "app.previous.log";
/// In bytes. Of a quiet app that is months, of one at `debug` some hours.
const LIMIT: u64 = 5_000_000;

/// Readable by its owner alone. Two processes may write to one: whole lines, because each is one write at the end.
#[derive(Debug)]
pub(super) struct LogFile {
    folder: PathBuf,
    file: File,
    /// Bytes in it, as far as this process knows.
    written: u64,
    limit: u64,
}

impl LogFile {
    /// Goes on at the end of what is there.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        Self::with_limit(folder, LIMIT)
    }

    fn with_limit(folder: &Path, limit: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        platform::private::tighten(folder)?;
        let file = append_private(&folder.join(LOG_FILE))?;
        let written = file.metadata()?.len();
        Ok(Self { folder: folder.to_owned(), file, written, limit })
    }

    fn begin_anew(&mut self) -> io::Result<()> {
        fs::rename(self.folder.join(LOG_FILE), self.folder.join(PREVIOUS))?;
        self.file = append_private(&self.folder.join(LOG_FILE))?;
        self.written = 0;
        Ok(())
    }
}

impl Write for LogFile {
    /// A line, whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.written > 0 && self.written + line.len() as u64 > self.limit {
            self.begin_anew()?;
        }
        let count = self.file.write(line)?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_goes_on_where_it_ended_and_never_takes_more_than_twice_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("log");
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let mut log = LogFile::with_limit(&folder, 20).unwrap();
        log.write_all(b"first line\n").unwrap();
        drop(log);
        let mut log = LogFile::with_limit(&folder, 20).unwrap();
        log.write_all(b"2nd line\n").unwrap();
        assert_eq!(read(LOG_FILE), "first line\n2nd line\n");

        log.write_all(b"x\n").unwrap();
        assert_eq!(
            (read(LOG_FILE), read(PREVIOUS)),
            ("x\n".into(), "first line\n2nd line\n".into())
        );
        for _ in 0..100 {
            log.write_all(b"another\n").unwrap();
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        assert!(read(LOG_FILE).len() + read(PREVIOUS).len() <= 40);
        let mode = fs::metadata(folder.join(LOG_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_line_longer_than_the_limit_is_kept_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogFile::with_limit(folder.path(), 4).unwrap();
        log.write_all(b"much too long\n").unwrap();
        log.write_all(b"next\n").unwrap();
        assert_eq!(fs::read(folder.path().join(LOG_FILE)).unwrap(), b"next\n");
        assert_eq!(fs::read(folder.path().join(PREVIOUS)).unwrap(), b"much too long\n");
    }
}
