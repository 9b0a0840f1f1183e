//! Pointer of this session's display, moved by `xdotool`.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, ensure};

pub(crate) struct Pointer {
    xdotool: Child,
    commands: Option<ChildStdin>,
    /// Whether the pointer is at the second of its two positions.
    at_second: bool,
}

impl Pointer {
    pub(crate) fn start() -> anyhow::Result<Self> {
        ensure!(
            std::env::var_os("DISPLAY").is_some(),
            "no display: start the benchmark with `make bench-yield`"
        );
        let mut xdotool = Command::new("xdotool")
            .arg("-")
            .stdin(Stdio::piped())
            .spawn()
            .context("can't start xdotool; `scripts/setup.sh desk` installs it")?;
        let commands = xdotool.stdin.take();
        Ok(Self { xdotool, commands, at_second: false })
    }

    /// Moves the pointer, as a person does.
    pub(crate) fn move_once(&mut self) -> anyhow::Result<()> {
        self.at_second = !self.at_second;
        let position = if self.at_second { 200 } else { 100 };
        let commands = self.commands.as_mut().context("xdotool has no input")?;
        writeln!(commands, "mousemove {position} {position}")?;
        commands.flush().context("can't write to xdotool")
    }
}

impl Drop for Pointer {
    fn drop(&mut self) {
        drop(self.commands.take());
        drop(self.xdotool.kill());
        drop(self.xdotool.wait());
    }
}
