//! `constellation job …`.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use protocol::JobId;
use protocol::api::Job;

use super::access::AccessArguments;
use crate::client::Client;
use crate::settings::Settings;
use crate::{job_file, output};

mod change;
mod explanation;
mod follow;
mod request;
mod watch;

use explanation::explanations;
pub(super) use follow::{Follower, JobUpdate};
pub(super) use request::change_job;
use request::{act, find, print_job};

#[derive(Debug, Args)]
pub struct JobArguments {
    #[command(flatten)]
    access: AccessArguments,
    #[command(subcommand)]
    command: JobCommand,
}

#[derive(Debug, Subcommand)]
enum JobCommand {
    /// Submit a job file and start it
    Submit {
        /// Job file (TOML); see assets/jobs for examples
        file: PathBuf,
        /// Don't start the job; start it later with `constellation job start`
        #[arg(long)]
        hold: bool,
        /// Follow the job until it ends
        #[arg(long)]
        watch: bool,
    },
    /// List jobs, newest first
    List {
        /// List the archived jobs instead
        #[arg(long)]
        archived: bool,
    },
    /// Show a job, its settings and its rounds
    Show {
        /// Name or id of the job, or a unique start of either
        job: String,
    },
    /// Follow a job until it ends; prints one line per round
    Watch {
        /// Name or id of the job, or a unique start of either
        job: String,
    },
    /// Start a pending job
    Start {
        /// Name or id of the job, or a unique start of either
        job: String,
    },
    /// Pause a job: revoke its leases and grant no new ones
    Pause {
        /// Name or id of the job, or a unique start of either
        job: String,
    },
    /// Resume a paused job
    Resume {
        /// Name or id of the job, or a unique start of either
        job: String,
    },
    /// Cancel a job; no model is registered
    Cancel {
        /// Name or id of the job, or a unique start of either
        job: String,
    },
    #[command(flatten)]
    Change(change::JobChange),
}

pub(super) async fn run(arguments: JobArguments, settings: Settings) -> anyhow::Result<()> {
    let json = arguments.access.json;
    // An invalid file is reported without connecting to a coordinator.
    let spec = match &arguments.command {
        JobCommand::Submit { file, .. } => Some(job_file::read(file)?),
        JobCommand::List { .. }
        | JobCommand::Show { .. }
        | JobCommand::Watch { .. }
        | JobCommand::Start { .. }
        | JobCommand::Pause { .. }
        | JobCommand::Resume { .. }
        | JobCommand::Cancel { .. }
        | JobCommand::Change(_) => None,
    };
    let client = arguments.access.client(settings)?;
    match arguments.command {
        JobCommand::Submit { file: _, hold, watch } => {
            let mut job: Job = client.post("/jobs", &spec).await?;
            if !hold {
                job = change_job(&client, job.id, "start").await?;
            }
            if watch {
                return watch::run(client, job.id, json).await;
            }
            print_job(&job, json)
        }
        JobCommand::List { archived } => list(&client, archived, json).await,
        JobCommand::Show { job } => show(&client, find(&client, &job).await?, json).await,
        JobCommand::Watch { job } => {
            let id = find(&client, &job).await?;
            watch::run(client, id, json).await
        }
        JobCommand::Start { job } => act(&client, &job, "start", json).await,
        JobCommand::Pause { job } => act(&client, &job, "pause", json).await,
        JobCommand::Resume { job } => act(&client, &job, "resume", json).await,
        JobCommand::Cancel { job } => act(&client, &job, "cancel", json).await,
        JobCommand::Change(change) => change::run(&client, change, json).await,
    }
}

async fn list(client: &Client, archived: bool, json: bool) -> anyhow::Result<()> {
    let mut jobs: Vec<Job> = client.get(&format!("/jobs?archived={archived}")).await?;
    jobs.sort_by_key(|job| std::cmp::Reverse(job.created_at));
    if json {
        return Ok(output::json(&jobs)?);
    }
    let rows: Vec<[String; 6]> = jobs
        .iter()
        .map(|job| {
            [
                job.id.to_string(),
                job.name.clone(),
                dataset_label(job),
                job.status.name().to_owned(),
                format!("{}/{}", job.current_epoch, job.total_epochs),
                job.test_accuracy.map_or(String::new(), |accuracy| format!("{accuracy:.4}")),
            ]
        })
        .collect();
    Ok(output::table(["ID", "NAME", "DATASET", "STATUS", "ROUNDS", "ACCURACY"], &rows)?)
}

/// Returns the dataset with its version, and whether that was deleted.
fn dataset_label(job: &Job) -> String {
    let name = job.dataset_version.as_ref().unwrap_or(&job.dataset);
    if job.dataset_deleted { format!("{name} (deleted)") } else { name.clone() }
}

async fn show(client: &Client, id: JobId, json: bool) -> anyhow::Result<()> {
    let job: Job = client.get(&format!("/jobs/{id}")).await?;
    if json {
        return Ok(output::json(&job)?);
    }
    print_job(&job, false)?;
    for sentence in explanations(&job) {
        output::line(sentence)?;
    }
    if job.dataset_version.is_some() {
        output::line(format_args!("dataset {}", dataset_label(&job)))?;
    }
    let spec = toml::to_string(&job.config).context("can't convert the job to TOML")?;
    output::lines(spec.trim_end())?;
    let rounds: Vec<protocol::api::Round> = client.get(&format!("/jobs/{id}/rounds")).await?;
    for line in rounds.iter().filter_map(crate::rounds::RoundLine::from_round) {
        output::line(line)?;
    }
    if let Some(hash) = job.model_blake3 {
        output::line(format_args!("model_blake3 {hash}"))?;
    }
    Ok(())
}
