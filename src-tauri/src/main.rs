//! The Mac app: a menu-bar icon and windows in front of [`node::app::App`]. What it does and says is
//! decided there; here it is drawn.

use std::process::ExitCode;

use clap::Parser;
use node::settings::Settings;

mod arguments;
mod commands;
mod dashboard;
mod gui;
mod headless;
mod macos;
mod pictures;
mod tray;
mod windows;

fn main() -> ExitCode {
    node::restrict_umask();
    let arguments = arguments::Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            node::output::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &arguments::Arguments) -> anyhow::Result<()> {
    let options = arguments.options()?;
    let settings = Settings::load_from(&options.places, |name| std::env::var(name).ok())?;
    node::logging::start_with_file(&settings.log_level.value, &arguments.log_folder()?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Blocking work has threads of its own.
        .worker_threads(2)
        .enable_all()
        .build()?;
    match node::app::display() {
        Ok(()) => gui::run(arguments, options, runtime),
        Err(reason) => {
            headless::run(options, arguments.link.as_deref(), &runtime, &reason.to_string())
        }
    }
}
