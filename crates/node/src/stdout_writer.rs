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

/// The line before all others. Without it, the others follow once this is dropped.
#[derive(Debug)]
pub(crate) struct FirstLine(SyncSender<String>);

impl FirstLine {
    /// Writes the value as a line of JSON, before everything that was queued so far.
    pub(crate) fn write_json(self, value: &impl Serialize) {
        if let Some(line) = json(value) {
            // The receiver waits for this one line, so there is room.
            drop(self.0.try_send(line));
        }
    }
}

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
        Self::start_after_first(unread).map(|(lines, _)| lines)
    }

    /// Like [`StdoutWriter::start`], but lines that are queued before the first one wait for it.
    pub(crate) fn start_after_first(
        unread: impl FnOnce() + Send + 'static,
    ) -> io::Result<(Self, FirstLine)> {
        Self::over(io::stdout(), unread)
    }

    fn over(
        output: impl Write + Send + 'static,
        unread: impl FnOnce() + Send + 'static,
    ) -> io::Result<(Self, FirstLine)> {
        let (sender, messages) = sync_channel(MOST);
        let (first_sender, first) = sync_channel(1);
        thread::Builder::new().name("lines".to_owned()).spawn(move || {
            let first = first.recv().ok();
            if write(output, first, &messages).is_err() {
                unread();
            }
        })?;
        Ok((Self(sender), FirstLine(first_sender)))
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
        if let Some(line) = json(value) {
            self.send(line);
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

fn json(value: &impl Serialize) -> Option<String> {
    let line = serde_json::to_string(value)
        .inspect_err(|error| tracing::error!(%error, "can't write a value as JSON"));
    line.ok().map(|line| escaped_json(&line))
}

fn write(
    mut output: impl Write,
    first: Option<String>,
    messages: &Receiver<OutputMessage>,
) -> io::Result<()> {
    if let Some(first) = first {
        writeln!(output, "{first}")?;
        output.flush()?;
    }
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
        let (lines, first) = StdoutWriter::over(ours, || {}).unwrap();
        drop(first);
        (0..100).for_each(|number| lines.write_line(&number.to_string()));
        lines.end();
        drop(lines);
        let read = BufReader::new(theirs).lines().map(|line| line.unwrap());
        assert_eq!(read.collect::<Vec<_>>(), (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_line_comes_before_those_that_were_queued_earlier() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (lines, first) = StdoutWriter::over(ours, || {}).unwrap();
        lines.write_json(&"a job resumes");
        first.write_json(&"the address");
        lines.write_json(&"a job ends");
        lines.end();
        drop(lines);
        let read: Vec<String> = BufReader::new(theirs).lines().map(|line| line.unwrap()).collect();
        assert_eq!(read, ["\"the address\"", "\"a job resumes\"", "\"a job ends\""]);
    }

    #[test]
    fn one_that_reads_nothing_holds_nobody_up() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (lines, first) = StdoutWriter::over(ours, || {}).unwrap();
        drop(first);
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
        let (lines, _) = StdoutWriter::over(ours, move || told.send(()).unwrap()).unwrap();
        lines.write_line("anybody there?");
        heard.recv().unwrap();
    }
}
