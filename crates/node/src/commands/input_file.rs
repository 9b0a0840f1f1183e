//! Input file that a person names: a path, a pipe such as `<(…)`, a named pipe, or `-` for standard input.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, bail};

/// Path that stands for standard input.
const STDIN: &str = "-";

/// File whose length is known.
#[derive(Debug)]
pub(super) struct InputFile {
    pub(super) file: File,
    pub(super) length: u64,
    /// Name for messages and for the coordinator.
    pub(super) name: String,
}

/// Opens an input file. Input that is not a regular file is first read to its end, into a temporary file: its length
/// is unknown until then, and it can be read only once. Blocks meanwhile.
pub(super) fn open(path: &Path) -> anyhow::Result<InputFile> {
    if path == Path::new(STDIN) {
        return spool(io::stdin().lock(), "stdin").context("can't read standard input");
    }
    let cannot_read = || format!("can't read {}", path.display());
    let file = File::open(path).with_context(cannot_read)?;
    let metadata = file.metadata().with_context(cannot_read)?;
    if metadata.is_dir() {
        bail!("{} is a folder. Compress it and add the zip file", path.display());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if metadata.is_file() {
        return Ok(InputFile { file, length: metadata.len(), name });
    }
    // The name of `<(…)` is the number of a file descriptor.
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    spool(file, if is_number { "pipe" } else { &name }).with_context(cannot_read)
}

/// Reads the input to its end into a temporary file without a name.
fn spool(mut input: impl Read, name: &str) -> io::Result<InputFile> {
    let mut file = tempfile::tempfile()?;
    let length = io::copy(&mut input, &mut file)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(InputFile { file, length, name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut input: InputFile) -> (String, u64, Vec<u8>) {
        let mut bytes = Vec::new();
        input.file.read_to_end(&mut bytes).unwrap();
        (input.name, input.length, bytes)
    }

    #[test]
    fn a_regular_file_is_read_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        std::fs::write(&path, "text,label").unwrap();
        assert_eq!(read(open(&path).unwrap()), ("rows.csv".to_owned(), 10, b"text,label".to_vec()));
        let error = open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is a folder"), "{error}");
    }

    #[test]
    fn a_named_pipe_is_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let writer = std::thread::spawn({
            let path = path.clone();
            move || std::fs::write(path, vec![b'x'; 100_000]).unwrap()
        });
        let (name, length, bytes) = read(open(&path).unwrap());
        writer.join().unwrap();
        assert_eq!((name.as_str(), length, bytes.len()), ("rows.jsonl", 100_000, 100_000));
    }
}
