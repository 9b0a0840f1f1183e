//! Lines of a child's output, bounded in length, read so that nothing is lost when the reading is
//! given up and taken up again.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

pub(crate) struct Lines<R> {
    source: R,
    waiting: BytesMut,
    /// Bytes of `waiting` that are known to hold no line's end.
    searched: usize,
    longest: usize,
}

/// One line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Whole(String),
    /// The first bytes of a line that is too long; the rest comes as further lines.
    Cut(String),
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// `longest`: bytes of a line that are taken at once.
    pub(crate) fn new(source: R, longest: usize) -> Self {
        Self { source, waiting: BytesMut::new(), searched: 0, longest }
    }

    /// The next line; none at the end. A last line without an end counts. Cancel-safe.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(length) = self.waiting[self.searched..].iter().position(|b| *b == b'\n') {
                let line = self.waiting.split_to(self.searched + length + 1);
                self.searched = 0;
                return Ok(Some(Line::Whole(text(&line[..line.len() - 1]))));
            }
            self.searched = self.waiting.len();
            if self.searched > self.longest {
                self.searched = 0;
                return Ok(Some(Line::Cut(text(&self.waiting.split_to(self.longest)))));
            }
            self.waiting.reserve(4096);
            if self.source.read_buf(&mut self.waiting).await? == 0 {
                self.searched = 0;
                let rest = self.waiting.split();
                return Ok((!rest.is_empty()).then(|| Line::Whole(text(&rest))));
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

    async fn all(source: &[u8], longest: usize) -> Vec<Line> {
        let mut lines = Lines::new(source, longest);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(line);
        }
        found
    }

    #[tokio::test]
    async fn lines_end_where_they_end() {
        let whole = |text: &str| Line::Whole(text.into());
        assert_eq!(
            all(b"a\r\n\nb\xff\nrest", 100).await,
            [whole("a"), whole(""), whole("b\u{fffd}"), whole("rest")]
        );
        assert_eq!(all(b"", 100).await, []);
    }

    #[tokio::test]
    async fn a_line_without_end_takes_bounded_memory() {
        let endless = vec![b'x'; 100_000];
        let found = all(&endless, 1000).await;
        assert!(matches!(&found[0], Line::Cut(text) if text.len() == 1000));
    }
}
