//! `constellation backup` and `constellation restore`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use coordinator::backup;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use protocol::Timestamp;
use reqwest::Method;
use serde_json::json;

use super::access::{AccessArguments, COORDINATOR_FOLDER};
use crate::client::Client;
use crate::output;
use crate::settings::{Settings, data_dir};

#[derive(Debug, Args)]
pub struct BackupArguments {
    /// File to write, such as cluster.tar; `-` writes to standard output
    ///
    /// An existing file is replaced once the new one is complete. The file contains the cluster's private key.
    file: PathBuf,
    #[command(flatten)]
    access: AccessArguments,
}

#[derive(Debug, Args)]
pub struct RestoreArguments {
    /// Backup file, from `constellation backup` or a scheduled backup
    file: PathBuf,
    /// Data folder to restore to [default: the standard data folder]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Restore to a folder that is not empty; its previous contents are moved to a folder beside it
    #[arg(long)]
    force: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn back_up(arguments: BackupArguments, settings: Settings) -> anyhow::Result<()> {
    let json = arguments.access.json;
    let client = arguments.access.client(settings)?;
    let file = arguments.file;
    let (manifest, bytes) = download(&client, &file).await?;
    if json {
        let (cluster, created_at) = (&manifest.cluster_id, manifest.created_at);
        let result = json!({
            "file": file, "bytes": bytes, "entries": manifest.entries.len(),
            "cluster": cluster, "created_at": created_at,
        });
        return Ok(output::json(&result)?);
    }
    let (name, megabytes) = (file.display(), bytes as f64 / 1e6);
    output::line(format_args!(
        "{name}  {megabytes:.1} MB, {} files of cluster {}",
        manifest.entries.len(),
        manifest.cluster_id
    ))?;
    Ok(output::line("The file contains the cluster's private key. Store it in a safe place.")?)
}

/// Downloads a backup, verifies it, and delivers it to `file` once it is complete. Returns its length in bytes.
async fn download(client: &Client, file: &Path) -> anyhow::Result<(backup::Manifest, u64)> {
    let cannot_write = || format!("can't write {}", file.display());
    let mut part = output::open_file(file).with_context(cannot_write)?;
    let response = client.send(client.request(Method::GET, "/backup")).await?;
    let bar = progress_bar(response.content_length())?;
    let mut body = response.bytes_stream();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| client.interrupted(error))?;
        part.write_all(&piece).with_context(cannot_write)?;
        bar.inc(piece.len() as u64);
    }
    bar.finish_and_clear();
    let path = part.content().to_owned();
    let manifest = tokio::task::spawn_blocking(move || backup::verify(&path)).await??;
    let bytes = part.commit().with_context(cannot_write)?;
    Ok((manifest, bytes))
}

pub(super) async fn restore(arguments: RestoreArguments) -> anyhow::Result<()> {
    let RestoreArguments { file, data_dir: folder, force, json } = arguments;
    let folder = data_dir(folder.as_deref(), COORDINATOR_FOLDER)?;
    let length = std::fs::metadata(&file).with_context(|| format!("can't read {}", file.display()));
    let bar = progress_bar(Some(length?.len()))?;
    let (target, written) = (folder.clone(), bar.clone());
    let restored = tokio::task::spawn_blocking(move || {
        backup::restore(&file, &target, force, now(), |bytes| written.inc(bytes))
    });
    let restored = restored.await?;
    bar.finish_and_clear();
    let backup::Restored { manifest, before } = restored?;
    if json {
        let result = json!({
            "data_dir": folder, "cluster": manifest.cluster_id,
            "created_at": manifest.created_at, "before": before,
        });
        return Ok(output::json(&result)?);
    }
    let (cluster, created_at) = (&manifest.cluster_id, manifest.created_at);
    output::line(format_args!(
        "restored cluster {cluster} as of {created_at} to {}",
        folder.display()
    ))?;
    if let Some(before) = before {
        output::line(format_args!("the previous contents are in {}", before.display()))?;
    }
    Ok(output::line(
        "Start it with `constellation coordinator`. Make sure that the old coordinator no longer runs.",
    )?)
}

/// Current wall-clock time.
fn now() -> Timestamp {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = elapsed.map_or(0, |elapsed| elapsed.as_millis());
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

fn progress_bar(length: Option<u64>) -> anyhow::Result<ProgressBar> {
    let bar = match length {
        Some(length) if output::is_watched() => ProgressBar::new(length),
        Some(_) | None => ProgressBar::hidden(),
    };
    Ok(bar.with_style(ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes}  {eta}")?))
}
