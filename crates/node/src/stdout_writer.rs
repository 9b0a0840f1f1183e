//! Standard output written by a separate thread, so that a reader that stops reading does not block the
//! process.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use protocol::text::{escaped, escaped_json};
use serde::Serialize;

/// Maximum number of queued lines for a slow reader. More are dropped.
const MOST: usize = 1_024;
/// Timeout for writing the remaining lines at the end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Queue of lines to write.
#[derive(Debug)]
pub(crate) struct StdoutWriter(SyncSender<OutputMessage>);

#[derive(Debug)]
enum OutputMessage {
    Line(String),
    /// Notified once everything before it is written.
    End(SyncSender<()>),
}

impl StdoutWriter {
    /// Starts writing to standard output. Calls `unread` once the output can't be written or nobody reads it.
    pub(crate) fn start(unread: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        Self::over(io::stdout(), unread)
    }

    fn over(
        output: impl Write + Send + 'static,
        unread: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, messages) = sync_channel(MOST);
        thread::Builder::new().name("lines".to_owned()).spawn(move || {
            if write(output, &messages).is_err() {
                unread();
            }
        })?;
        Ok(Self(sender))
    }

    /// Queues a line, which is escaped. Never blocks.
    pub(crate) fn write_line(&self, line: &str) {
        self.send(escaped(line));
    }

    fn send(&self, line: String) {
        match self.0.try_send(OutputMessage::Line(line)) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                tracing::debug!("the output queue is full; dropped a line");
            }
        }
    }

    /// Queues a value as a line of JSON. Never blocks.
    pub(crate) fn write_json(&self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(line) => self.send(escaped_json(&line)),
            Err(error) => tracing::error!(%error, "what happens can't be told"),
        }
    }

    /// Waits until all lines are written, or the timeout is over.
    pub(crate) fn end(&self) {
        let (written, all) = sync_channel(1);
        if self.0.try_send(OutputMessage::End(written)).is_ok() {
            all.recv_timeout(LAST_WORDS).ok();
        }
    }
}

fn write(mut output: impl Write, messages: &Receiver<OutputMessage>) -> io::Result<()> {
    for messages in messages {
        match messages {
            OutputMessage::Line(line) => {
                writeln!(output, "{line}")?;
                output.flush()?;
            }
            // The caller may have timed out.
            OutputMessage::End(written) => drop(written.try_send(())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_reader_gets_every_line_in_order_up_to_the_end() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let lines = StdoutWriter::over(ours, || {}).unwrap();
        (0..100).for_each(|number| lines.write_line(&number.to_string()));
        lines.end();
        drop(lines);
        let read = BufReader::new(theirs).lines().map(|line| line.unwrap());
        assert_eq!(read.collect::<Vec<_>>(), (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn one_that_reads_nothing_holds_nobody_up() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let lines = StdoutWriter::over(ours, || {}).unwrap();
        // Far more than a socket and the queue can hold.
        (0..100_000).for_each(|_| lines.write_line(&"x".repeat(1_000)));
        lines.end();
        drop(theirs);
    }

    #[test]
    fn one_that_left_is_told_of() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let (told, heard) = sync_channel(1);
        let lines = StdoutWriter::over(ours, move || told.send(()).unwrap()).unwrap();
        lines.write_line("anybody there?");
        heard.recv().unwrap();
    }
}
