//! The command line: one module per command.

use std::process::ExitCode;

use clap::Subcommand;

use crate::settings::Settings;
use crate::{CommandContext, logging, output};

pub(crate) mod access;
mod audit;
mod backup;
mod confirm;
pub(crate) mod coordinator;
mod dataset;
mod dataset_changes;
mod demo;
mod device;
mod doctor;
mod input_file;
mod job;
mod join_code;
pub(crate) mod leave;
pub(crate) mod lifetime;
mod local_cluster;
mod lookup;
mod model;
mod model_changes;
mod notice;
mod profile;
mod sense_idle;
mod settings;
mod sign_in;
mod start;
mod status_text;
mod token;
mod webhook;
pub(crate) mod worker;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a demo cluster on this machine
    ///
    /// Starts a coordinator and workers as separate processes, trains one job, prints the result and removes its
    /// files. Needs no setup and no second machine.
    #[command(after_long_help = "\
Examples:
  constellation demo                      Train on built-in data
  constellation demo --dataset ag_news    Download a dataset and train on it
  constellation demo --chaos              Kill processes while they train")]
    Demo(demo::DemoArguments),
    /// Run a cluster on this machine and open its dashboard
    ///
    /// Starts a coordinator and workers, opens the dashboard and signs you in. Runs until Ctrl-C. The
    /// next start continues with the same data. Press Enter to print a new sign-in link.
    #[command(after_long_help = "\
Examples:
  constellation start                Start two workers and open the dashboard
  constellation start --workers 4    Start four workers")]
    Start(start::StartArguments),
    /// Run a coordinator
    ///
    /// The coordinator stores jobs, datasets and models, assigns work to devices, and serves the dashboard and the
    /// HTTP API. It runs until Ctrl-C or SIGTERM.
    #[command(after_long_help = "\
Examples:
  constellation coordinator                          Listen on this machine only
  constellation coordinator --listen 0.0.0.0:8000    Accept devices from the network
  constellation coordinator sign-in                  Print a sign-in link for the dashboard")]
    Coordinator(coordinator::CoordinatorArguments),
    /// Run a worker
    ///
    /// The worker trains for a coordinator while this machine is idle. It needs a join code once, to enroll this
    /// machine; later runs use the stored enrollment. It runs until Ctrl-C or SIGTERM.
    #[command(after_long_help = "\
Examples:
  constellation worker --join CODE      Enroll this machine, then train while it is idle
  constellation worker                  Train while this machine is idle
  constellation worker --when always    Also train while it is in use (for dedicated machines)")]
    Worker(worker::WorkerArguments),
    /// Leave the cluster and delete local training data
    ///
    /// Destroys this device's encryption key, deletes its cached data and notifies the coordinator. The local data is
    /// deleted even if the coordinator can't be reached.
    Leave(leave::LeaveArguments),
    /// Submit and follow jobs
    #[command(after_long_help = "\
Examples:
  constellation job submit job.toml --watch    Start a job and follow it
  constellation job show JOB                   Show a job, its settings and its rounds")]
    Job(job::JobArguments),
    /// List, download and evaluate models
    #[command(after_long_help = "\
Examples:
  constellation model download ag-news
  constellation model eval ag-news --dataset ag_news")]
    Model(model::ModelArguments),
    /// Back up a coordinator to a file
    ///
    /// The file holds the whole coordinator: database, models, datasets, certificate and private key. The
    /// coordinator keeps running.
    #[command(after_long_help = "\
Examples:
  constellation backup cluster.tar
  constellation restore cluster.tar")]
    Backup(backup::BackupArguments),
    /// Restore a coordinator from a backup
    ///
    /// Works on the same machine or on another one. Stop the old coordinator first: two coordinators of one cluster
    /// must not run at the same time.
    Restore(backup::RestoreArguments),
    /// List and upload datasets
    #[command(after_long_help = "\
Examples:
  constellation dataset list
  constellation dataset add reviews.csv --name reviews
  zcat reviews.csv.gz | constellation dataset add - --name reviews")]
    Dataset(dataset::DatasetArguments),
    /// List and revoke devices
    Device(device::DeviceArguments),
    /// Manage join codes
    ///
    /// A join code enrolls devices in the cluster. Pass it to `constellation worker --join` or enter it in the app.
    #[command(after_long_help = "\
Examples:
  constellation join-code create                             A code for one device, valid for 7 days
  constellation join-code create --uses 500 --expires 52w    A code for a fleet")]
    JoinCode(join_code::JoinCodeArguments),
    /// Manage API tokens
    #[command(after_long_help = "\
Examples:
  constellation token create --role viewer --name grafana --expires 90d
  constellation token list")]
    Token(token::TokenArguments),
    /// Export and verify the audit log
    ///
    /// The audit log records who changed what. Each entry holds the hash of the entry before it, so changed or missing
    /// entries are detected.
    #[command(after_long_help = "\
Examples:
  constellation audit export audit.jsonl
  constellation audit verify audit.jsonl")]
    Audit(audit::AuditArguments),
    /// List and dismiss notices
    ///
    /// A notice reports something that needs attention, such as a failed job or a full disk.
    Notice(notice::NoticeArguments),
    /// Show and change this machine's settings
    ///
    /// Settings that your organization manages override environment variables, which override your settings file.
    /// Managed settings can't be changed here.
    #[command(after_long_help = "\
Examples:
  constellation settings list
  constellation settings set Schedule 'Mon-Fri 19:00-07:00'
  constellation settings unset Schedule")]
    Settings(settings::SettingsArguments),
    /// Create a configuration profile for an MDM
    ///
    /// The profile enrolls Macs in the cluster without a click. It contains the secret of the join link: upload it to
    /// your MDM and don't share it.
    #[command(after_long_help = "\
Example:
  constellation profile --join LINK --out constellation.mobileconfig --team-id TEAMID1234")]
    Profile(profile::ProfileArguments),
    /// Diagnose problems and suggest fixes
    ///
    /// Checks the settings, the network, the coordinator, the compute backend and the disk of this machine. Exits with
    /// status 1 if a check fails.
    #[command(after_long_help = "\
Examples:
  constellation doctor
  constellation doctor --bundle support.zip    Collect findings and logs for support")]
    Doctor(doctor::DoctorArguments),
    /// Manage webhooks
    ///
    /// A webhook sends notices to another program, such as a chat, as signed HTTP requests.
    #[command(after_long_help = "\
Examples:
  constellation webhook add https://chat.example.com/hook --event job_failed
  constellation webhook test WEBHOOK")]
    Webhook(webhook::WebhookArguments),
    /// Print the system's second idle counter for the process that started this one
    #[command(hide = true)]
    SenseIdle,
}

/// Runs one command. On failure, prints one line to standard error.
pub fn run(command: Command, context: &CommandContext) -> ExitCode {
    output::exit_code(&try_run(command, context))
}

fn try_run(command: Command, context: &CommandContext) -> anyhow::Result<()> {
    if let Command::SenseIdle = command {
        return sense_idle::run();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Blocking work runs on separate threads, so two are enough, also for a coordinator.
        .worker_threads(2)
        .enable_all()
        .build()?;
    let settings = Settings::load();
    if let Command::Doctor(arguments) = command {
        // Unreadable settings are one of the problems that the doctor reports.
        return runtime.block_on(doctor::run(arguments, settings, context));
    }
    let settings = settings?;
    logging::start(&settings.log_level.value)?;
    runtime.block_on(async {
        match command {
            Command::Demo(arguments) => demo::run(arguments, settings).await,
            Command::Start(arguments) => start::run(arguments, settings).await,
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
            Command::Doctor(_) | Command::SenseIdle => Ok(()),
            Command::Profile(arguments) => profile::run(arguments).await,
            Command::Webhook(arguments) => webhook::run(arguments, settings).await,
        }
    })
}
