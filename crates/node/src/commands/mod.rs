//! The commands of the command line, a file for each noun.

use std::process::ExitCode;

use clap::Subcommand;

use crate::settings::Settings;
use crate::{CommandContext, logging, output};

pub(crate) mod access;
mod audit;
mod backup;
mod coordinator;
mod dataset;
mod demo;
mod device;
mod doctor;
mod job;
mod join_code;
pub(crate) mod leave;
pub(crate) mod lifetime;
mod model;
mod notice;
mod profile;
mod settings;
mod sign_in;
mod status_text;
mod token;
mod webhook;
pub(crate) mod worker;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train on this machine: a coordinator and workers as processes of their own
    Demo(demo::DemoArguments),
    /// Run a coordinator: it keeps jobs, data and models, and gives out the work
    Coordinator(coordinator::CoordinatorArguments),
    /// Run a worker: it trains for a coordinator while this machine is free
    Worker(worker::WorkerArguments),
    /// Take this machine out of its cluster and remove what it keeps of the work
    Leave(leave::LeaveArguments),
    /// Submit jobs and follow them
    Job(job::JobArguments),
    /// Look at models, save them, measure them
    Model(model::ModelArguments),
    /// Save everything that a coordinator is in one file
    Backup(backup::BackupArguments),
    /// Put a backup in place, on this machine or another
    Restore(backup::RestoreArguments),
    /// List datasets and add one's own
    Dataset(dataset::DatasetArguments),
    /// See the devices of the cluster, and let them go
    Device(device::DeviceArguments),
    /// Let devices join the cluster
    JoinCode(join_code::JoinCodeArguments),
    /// Give access to people and programs
    Token(token::TokenArguments),
    /// See who changed what, and check that nobody changed that
    Audit(audit::AuditArguments),
    /// See what needs attention
    Notice(notice::NoticeArguments),
    /// See this machine's settings and change them
    Settings(settings::SettingsArguments),
    /// Write a configuration profile that makes Macs devices of the cluster, for an MDM
    Profile(profile::ProfileArguments),
    /// Say what keeps this machine from working, and the mend
    Doctor(doctor::DoctorArguments),
    /// Tell other programs, such as a chat, what needs attention
    Webhook(webhook::WebhookArguments),
}

/// Runs one command to its end; a failure is told in one line on standard error.
pub fn run(command: Command, context: &CommandContext) -> ExitCode {
    match try_run(command, context) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has enough of it.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn try_run(command: Command, context: &CommandContext) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Blocking work has threads of its own; what is left is little, also in a coordinator.
        .worker_threads(2)
        .enable_all()
        .build()?;
    let settings = Settings::load();
    if let Command::Doctor(arguments) = command {
        // Settings that can't be read are one of the things that it tells.
        return runtime.block_on(doctor::run(arguments, settings, context));
    }
    let settings = settings?;
    logging::start(&settings.log_level.value)?;
    runtime.block_on(async {
        match command {
            Command::Demo(arguments) => demo::run(arguments, settings).await,
            Command::Coordinator(arguments) => coordinator::run(arguments, settings, context).await,
            Command::Worker(arguments) => worker::run(arguments, settings, context).await,
            Command::Leave(arguments) => leave::run(arguments, settings).await,
            Command::Job(arguments) => job::run(arguments, settings).await,
            Command::Model(arguments) => model::run(arguments, settings, context).await,
            Command::Backup(arguments) => backup::back_up(arguments, settings).await,
            Command::Restore(arguments) => backup::restore(arguments).await,
            Command::Dataset(arguments) => dataset::run(arguments, settings).await,
            Command::Device(arguments) => device::run(arguments, settings).await,
            Command::JoinCode(arguments) => join_code::run(arguments, settings).await,
            Command::Token(arguments) => token::run(arguments, settings).await,
            Command::Audit(arguments) => audit::run(arguments, settings).await,
            Command::Notice(arguments) => notice::run(arguments, settings).await,
            Command::Settings(arguments) => settings::run(&arguments, &settings),
            Command::Doctor(_) => Ok(()),
            Command::Profile(arguments) => profile::run(arguments).await,
            Command::Webhook(arguments) => webhook::run(arguments, settings).await,
        }
    })
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}
