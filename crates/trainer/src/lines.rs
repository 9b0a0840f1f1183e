//! Line reader for a child's output: bounded in length and cancel-safe.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

pub(crate) struct Lines<R> {
    source: R,
    buffer: BytesMut,
    /// Bytes of `buffer` that are known to contain no line feed.
    searched: usize,
    maximum: usize,
}

/// One line without its line ending.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Complete(String),
    /// First bytes of a line that is too long. The rest follows as further lines.
    Truncated(String),
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Makes a reader of lines of at most `maximum` bytes.
    pub(crate) fn new(source: R, maximum: usize) -> Self {
        Self { source, buffer: BytesMut::new(), searched: 0, maximum }
    }

    /// Reads the next line, or returns `None` at the end of the output. A last line without a line ending
    /// counts. Cancel-safe.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(length) = self.buffer[self.searched..].iter().position(|b| *b == b'\n') {
                let line = self.buffer.split_to(self.searched + length + 1);
                self.searched = 0;
                return Ok(Some(Line::Complete(text(&line[..line.len() - 1]))));
            }
            self.searched = self.buffer.len();
            if self.searched > self.maximum {
                self.searched = 0;
                return Ok(Some(Line::Truncated(text(&self.buffer.split_to(self.maximum)))));
            }
            self.buffer.reserve(4096);
            if self.source.read_buf(&mut self.buffer).await? == 0 {
                self.searched = 0;
                let rest = self.buffer.split();
                return Ok((!rest.is_empty()).then(|| Line::Complete(text(&rest))));
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(source: &[u8], maximum: usize) -> Vec<Line> {
        let mut lines = Lines::new(source, maximum);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(line);
        }
        found
    }

    #[tokio::test]
    async fn lines_end_at_line_feeds_and_at_the_end_of_the_output() {
        let line = |text: &str| Line::Complete(text.into());
        assert_eq!(
            all(b"a\r\n\nb\xff\nrest", 100).await,
            [line("a"), line(""), line("b\u{fffd}"), line("rest")]
        );
        assert_eq!(all(b"", 100).await, []);
    }

    #[tokio::test]
    async fn an_endless_line_is_truncated() {
        let endless = vec![b'x'; 100_000];
        let found = all(&endless, 1000).await;
        assert!(matches!(&found[0], Line::Truncated(text) if text.len() == 1000));
    }
}
