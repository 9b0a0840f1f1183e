//! Mac app: menu-bar icon and windows for [`node::app::App`], which contains all behavior and texts. This
//! program only displays them.

use std::process::ExitCode;

use clap::Parser;
use node::app::single_instance::{self, SingleInstance, Start};
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
    let mut options = arguments.options()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Blocking work runs on separate threads.
        .worker_threads(2)
        .enable_all()
        .build()?;
    let instance = if arguments.another {
        None
    } else {
        let line = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        match runtime.block_on(single_instance::start(&options.data_dir, line))? {
            Start::First(instance) => Some(instance),
            Start::HandedOver => return Ok(()),
        }
    };
    options.notes.extend(instance.as_ref().and_then(SingleInstance::problem));
    let settings = Settings::load_from(&options.places, |name| std::env::var(name).ok())?;
    node::logging::start_with_file(&settings.log_level.value, &arguments.log_folder()?)?;
    match node::app::check_display() {
        Ok(()) => gui::run(arguments, instance, options, runtime),
        Err(reason) => {
            let link = arguments.link.as_deref();
            headless::run(options, instance, link, &runtime, &reason.to_string())
        }
    }
}
