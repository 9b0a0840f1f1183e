//! Lines that tell what a process does, written by a thread of their own: whoever has our standard
//! output and reads nothing of it holds nobody up.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use protocol::text::{escaped, escaped_json};
use serde::Serialize;

/// Lines that wait for a slow reader; more are left out.
const MOST: usize = 1_024;
/// For the last lines, at the end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Where lines go.
#[derive(Debug)]
pub(crate) struct Lines(SyncSender<Said>);

#[derive(Debug)]
enum Said {
    Line(String),
    /// Told once everything before it is written.
    End(SyncSender<()>),
}

impl Lines {
    /// On standard output; `unread` is called once nobody is there to read, or nothing can be written.
    pub(crate) fn start(unread: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        Self::over(io::stdout(), unread)
    }

    fn over(
        output: impl Write + Send + 'static,
        unread: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, said) = sync_channel(MOST);
        thread::Builder::new().name("lines".to_owned()).spawn(move || {
            if write(output, &said).is_err() {
                unread();
            }
        })?;
        Ok(Self(sender))
    }

    /// Has a line written, escaped; never waits.
    pub(crate) fn say(&self, line: &str) {
        self.send(escaped(line));
    }

    fn send(&self, line: String) {
        match self.0.try_send(Said::Line(line)) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => tracing::debug!("nobody reads what is told: a line less"),
        }
    }

    /// Has a value written as a line of JSON; never waits.
    pub(crate) fn say_json(&self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(line) => self.send(escaped_json(&line)),
            Err(error) => tracing::error!(%error, "what happens can't be told"),
        }
    }

    /// Waits until all is written, or nobody takes it.
    pub(crate) fn end(&self) {
        let (written, all) = sync_channel(1);
        if self.0.try_send(Said::End(written)).is_ok() {
            all.recv_timeout(LAST_WORDS).ok();
        }
    }
}

fn write(mut output: impl Write, said: &Receiver<Said>) -> io::Result<()> {
    for said in said {
        match said {
            Said::Line(line) => {
                writeln!(output, "{line}")?;
                output.flush()?;
            }
            // Whoever asked may have given up.
            Said::End(written) => drop(written.try_send(())),
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
        let lines = Lines::over(ours, || {}).unwrap();
        (0..100).for_each(|number| lines.say(&number.to_string()));
        lines.end();
        drop(lines);
        let read = BufReader::new(theirs).lines().map(|line| line.unwrap());
        assert_eq!(read.collect::<Vec<_>>(), (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn one_that_reads_nothing_holds_nobody_up() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let lines = Lines::over(ours, || {}).unwrap();
        // Far more than a socket and the queue take.
        (0..100_000).for_each(|_| lines.say(&"x".repeat(1_000)));
        lines.end();
        drop(theirs);
    }

    #[test]
    fn one_that_left_is_told_of() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let (told, heard) = sync_channel(1);
        let lines = Lines::over(ours, move || told.send(()).unwrap()).unwrap();
        lines.say("anybody there?");
        heard.recv().unwrap();
    }
}
