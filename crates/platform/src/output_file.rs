//! Output file that a person names: a path, a symbolic link, a pipe, a device, or `-` for standard output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::files::{Replacement, link_target};

/// Path that stands for standard output.
const STDOUT: &str = "-";
/// Paths that lead to open files of this process. Replacing such a file would not reach its reader.
const OPEN_FILES: [&str; 4] = ["/dev/fd", "/dev/stdout", "/dev/stderr", "/proc"];

/// Output file. Its content is collected in a temporary file; [`OutputFile::commit`] delivers it. Without a commit,
/// the destination stays as it was.
#[derive(Debug)]
pub struct OutputFile(Destination);

#[derive(Debug)]
enum Destination {
    /// A regular file, which is replaced atomically.
    Regular(Replacement),
    /// Standard output, a pipe or a device, to which the content is copied.
    Stream { content: NamedTempFile, stream: File, is_stdout: bool },
}

impl OutputFile {
    /// Opens the destination. Waits for a reader if it is a named pipe.
    ///
    /// # Errors
    /// Fails if the destination is a folder or can't be written.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new(STDOUT) {
            return Self::stdout();
        }
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(found) if is_stdout(&found)? => Self::stdout(),
            Ok(found) if !found.is_file() || is_open_file(path)? => {
                Self::stream(OpenOptions::new().append(true).open(path)?, false)
            }
            Ok(_) => Self::regular(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::regular(path),
            Err(error) => Err(error),
        }
    }

    /// Whether the content goes to standard output, so that nothing else may be printed there.
    pub fn is_stdout(&self) -> bool {
        matches!(self.0, Destination::Stream { is_stdout: true, .. })
    }

    /// Path of the content that was written so far, to check it before it is delivered.
    pub fn content(&self) -> &Path {
        match &self.0 {
            Destination::Regular(replacement) => replacement.temporary_path(),
            Destination::Stream { content, .. } => content.path(),
        }
    }

    /// Delivers the content: replaces the file, or copies it to the stream. Returns its length in bytes.
    ///
    /// # Errors
    /// Fails if the destination can't be written, or if the reader of a pipe has closed it.
    pub fn commit(self) -> io::Result<u64> {
        match self.0 {
            Destination::Regular(mut replacement) => {
                let length = replacement.as_file_mut().metadata()?.len();
                replacement.commit()?;
                Ok(length)
            }
            Destination::Stream { mut content, mut stream, is_stdout } => {
                let file = content.as_file_mut();
                file.seek(SeekFrom::Start(0))?;
                match copy(file, &mut stream) {
                    // Only on standard output is that a usual end, as with `head`.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe && !is_stdout => {
                        Err(io::Error::other("its reader closed the pipe"))
                    }
                    copied => copied,
                }
            }
        }
    }

    fn regular(path: &Path) -> io::Result<Self> {
        Ok(Self(Destination::Regular(Replacement::beside(&link_target(path)?)?)))
    }

    fn stdout() -> io::Result<Self> {
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        Self::stream(File::from(stdout), true)
    }

    fn stream(stream: File, is_stdout: bool) -> io::Result<Self> {
        let content = NamedTempFile::new()?;
        Ok(Self(Destination::Stream { content, stream, is_stdout }))
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Destination::Regular(replacement) => replacement.as_file_mut().write(bytes),
            Destination::Stream { content, .. } => content.as_file_mut().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until standard output has no reader any more: the other end of its pipe is closed, or its terminal is gone.
///
/// # Errors
/// Fails if the system can't wait for that.
pub fn wait_until_stdout_closes() -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    let stdout = io::stdout();
    loop {
        // Errors and hang-ups are always reported.
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        match poll(&mut watched, None) {
            Ok(_) if watched[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) => {
                return Ok(());
            }
            Ok(_) => return Err(io::ErrorKind::Unsupported.into()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether this is the file behind standard output, such as in `-o FILE > FILE`.
fn is_stdout(found: &fs::Metadata) -> io::Result<bool> {
    let stdout = match rustix::fs::fstat(io::stdout()) {
        Ok(stdout) => stdout,
        // Standard output is closed.
        Err(rustix::io::Errno::BADF) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let stdout = (i128::from(stdout.st_dev), i128::from(stdout.st_ino));
    Ok(stdout == (i128::from(found.dev()), i128::from(found.ino())))
}

/// Whether the path, or a link on its way, leads through an open file of this process.
fn is_open_file(path: &Path) -> io::Result<bool> {
    let mut path = std::path::absolute(path)?;
    loop {
        if OPEN_FILES.iter().any(|open| path.starts_with(open)) {
            return Ok(true);
        }
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
            Err(_) => return Ok(false),
        }
    }
}

/// Copies in pieces. `io::copy` would use `splice`, which fails for some devices.
fn copy(from: &mut File, to: &mut File) -> io::Result<u64> {
    let (mut buffer, mut length) = (vec![0; 1 << 16], 0);
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(length);
        }
        to.write_all(&buffer[..read])?;
        length += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, symlink};

    use super::*;

    fn deliver(path: &Path, bytes: &[u8]) -> io::Result<u64> {
        let mut file = OutputFile::open(path)?;
        file.write_all(bytes)?;
        file.commit()
    }

    #[test]
    fn a_file_is_written_where_its_links_point() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        fs::create_dir(place("store")).unwrap();
        fs::write(place("store/model"), "old").unwrap();
        symlink("store/model", place("one")).unwrap();
        symlink(place("one"), place("two")).unwrap();
        symlink("store/none", place("dangling")).unwrap();
        assert_eq!(deliver(&place("two"), b"new").unwrap(), 3);
        deliver(&place("dangling"), b"first").unwrap();
        assert_eq!(fs::read(place("store/model")).unwrap(), b"new");
        assert_eq!(fs::read(place("store/none")).unwrap(), b"first");
        for link in ["one", "two", "dangling"] {
            assert!(fs::symlink_metadata(place(link)).unwrap().is_symlink(), "{link}");
        }
        assert_eq!(fs::read_dir(place("store")).unwrap().count(), 2, "a temporary file stayed");
    }

    #[test]
    fn without_a_commit_the_old_content_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        fs::write(&path, "old").unwrap();
        let mut file = OutputFile::open(&path).unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(fs::read(file.content()).unwrap(), b"half");
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_named_pipe_gets_the_content_and_stays_a_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let reader = std::thread::spawn({
            let path = path.clone();
            move || fs::read(path).unwrap()
        });
        deliver(&path, &vec![7; 200_000]).unwrap();
        assert_eq!(reader.join().unwrap(), vec![7; 200_000]);
        assert!(fs::metadata(&path).unwrap().file_type().is_fifo());
    }

    #[test]
    fn a_device_is_written_and_stays_a_device() {
        let null = Path::new("/dev/null");
        assert_eq!(deliver(null, b"bytes").unwrap(), 5);
        assert!(fs::metadata(null).unwrap().file_type().is_char_device());
    }

    #[test]
    fn an_open_file_is_appended_to_and_not_replaced() {
        use std::os::fd::AsRawFd;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("redirected");
        let mut redirected = File::create(&path).unwrap();
        redirected.write_all(b"before ").unwrap();
        let number = redirected.as_fd().as_raw_fd();
        deliver(Path::new(&format!("/dev/fd/{number}")), b"after").unwrap();
        assert_eq!(redirected.metadata().unwrap().ino(), fs::metadata(&path).unwrap().ino());
        assert_eq!(fs::read(&path).unwrap(), b"before after");
    }

    #[test]
    fn a_folder_and_a_loop_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(OutputFile::open(folder.path()).is_err());
        let link = folder.path().join("loop");
        symlink("loop", &link).unwrap();
        assert!(OutputFile::open(&link).is_err());
    }
}
