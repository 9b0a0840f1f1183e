//! Command-line arguments of the app, for developers and tests. A Mac starts it without arguments.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use node::app::{Options, UpdateSource};
use node::settings::Places;

/// Train models on this machine while it is idle, or coordinate the machines that do
#[derive(Debug, Parser)]
#[command(name = "constellation-app", version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// Join link to open: a window asks for confirmation; without a display, the app joins directly
    pub link: Option<String>,
    /// Data folder, including the user's settings; the login item is not affected
    /// [default: the system's folders]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address and port of the coordinator; port 0 selects a free port
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:8000",
        value_parser = node::value_parsers::listen_address)]
    listen: SocketAddr,
    /// Worker number, if this machine runs several workers
    #[arg(long, default_value_t = node::app::account_number(),
        value_parser = node::value_parsers::whole_number(0..=u32::MAX, "the number of the worker", 2))]
    instance: u32,
    /// Open this window at start
    #[arg(long, value_enum)]
    pub show: Option<Page>,
    /// Start even if the app already runs in this folder
    #[arg(long)]
    pub another: bool,
}

/// Window of the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Page {
    Popover,
    Settings,
    Welcome,
    /// The invitation of an opened link
    Join,
    Dashboard,
}

impl Arguments {
    /// Returns the options of the app.
    ///
    /// # Errors
    /// There is no home folder, or the path of this program can't be determined.
    pub(crate) fn options(&self) -> anyhow::Result<Options> {
        let program = std::env::current_exe().context("this program can't be found")?;
        // The command is beside the app, both in the bundle and in a build.
        let program = program.with_file_name("constellation");
        let mut places = Places::system();
        if let Some(folder) = &self.data_dir {
            places.user = Some(folder.join("settings.toml"));
        }
        Ok(Options {
            places,
            // The same folders as for the command, so that it can manage the app.
            data_dir: node::settings::data_dir(self.data_dir.as_deref(), "")?,
            program,
            listen: self.listen,
            instance: self.instance,
            login_item: self.data_dir.is_none().then(node::app::LoginItem::current_user),
            updates: UpdateSource::built_in(),
            notes: Vec::new(),
        })
    }

    /// Returns the folder of the app's log.
    ///
    /// # Errors
    /// There is no home folder.
    pub(crate) fn log_folder(&self) -> anyhow::Result<PathBuf> {
        Ok(node::logging::folder(self.data_dir.as_deref())?)
    }
}
