//! How the app is started by hand and by tests. A Mac starts it without any of this.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use node::app::{Options, UpdateSource};
use node::settings::Places;

/// Trains models on this machine while nobody uses it, or coordinates those that do.
#[derive(Debug, Parser)]
#[command(name = "constellation-app", version, max_term_width = 100)]
pub struct Arguments {
    /// A join link to open: a window asks before anything happens; without a display it joins
    pub link: Option<String>,
    /// Where everything is kept, the user's settings too; what starts at login stays as it is
    /// [default: the system's folders]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where it listens as a coordinator; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:8000")]
    listen: SocketAddr,
    /// Tells several workers on one machine apart
    #[arg(long, default_value_t = node::app::account_number())]
    instance: u32,
    /// Open this window at once
    #[arg(long, value_enum)]
    pub show: Option<Page>,
    /// Start beside another one that runs in the same folder
    #[arg(long)]
    pub another: bool,
}

/// A window of the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Page {
    Popover,
    Settings,
    Welcome,
    /// The invitation of a link that was opened
    Join,
    Dashboard,
}

impl Arguments {
    /// What the app is made of.
    ///
    /// # Errors
    /// Where there is no home for it, or this program can't be found.
    pub fn options(&self) -> anyhow::Result<Options> {
        let program = std::env::current_exe().context("this program can't be found")?;
        // The command lies beside the app, in the bundle and in a build.
        let program = program.with_file_name("constellation");
        let mut places = Places::of_system();
        if let Some(folder) = &self.data_dir {
            places.user = Some(folder.join("settings.toml"));
        }
        Ok(Options {
            places,
            // The same folders as the command has, so that it can look after the app.
            data_dir: node::settings::data_dir(self.data_dir.as_deref(), "")?,
            program,
            listen: self.listen,
            instance: self.instance,
            login_item: self.data_dir.is_none().then(node::app::LoginItem::of_user),
            updates: UpdateSource::built_in(),
            notes: Vec::new(),
        })
    }

    /// Where the app's log goes.
    ///
    /// # Errors
    /// Where there is no home for it.
    pub fn log_folder(&self) -> anyhow::Result<PathBuf> {
        Ok(node::logging::folder(self.data_dir.as_deref())?)
    }
}
