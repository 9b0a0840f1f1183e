//! A hand that touches the display of this session.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, ensure};

pub(crate) struct Desk {
    hand: Child,
    commands: Option<ChildStdin>,
    /// The pointer goes to and fro.
    there: bool,
}

impl Desk {
    pub(crate) fn start() -> anyhow::Result<Self> {
        ensure!(
            std::env::var_os("DISPLAY").is_some(),
            "there is no display to touch: `make bench-yield` starts one"
        );
        let mut hand = Command::new("xdotool")
            .arg("-")
            .stdin(Stdio::piped())
            .spawn()
            .context("xdotool doesn't start; `scripts/setup.sh desk` installs it")?;
        let commands = hand.stdin.take();
        Ok(Self { hand, commands, there: false })
    }

    /// Moves the pointer, as a person does.
    pub(crate) fn touch(&mut self) -> anyhow::Result<()> {
        self.there = !self.there;
        let place = if self.there { 200 } else { 100 };
        let commands = self.commands.as_mut().context("xdotool has no input")?;
        writeln!(commands, "mousemove {place} {place}")?;
        commands.flush().context("xdotool doesn't listen any more")
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        drop(self.commands.take());
        drop(self.hand.kill());
        drop(self.hand.wait());
    }
}
