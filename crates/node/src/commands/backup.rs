//! `constellation backup` and `constellation restore`.

use std::fs::File;
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
    /// Where to write it, such as cluster.tar; a file of that name is replaced once the new one is
    /// whole. It holds the cluster's private key
    file: PathBuf,
    #[command(flatten)]
    access: AccessArguments,
}

#[derive(Debug, Args)]
pub struct RestoreArguments {
    /// A file that `constellation backup` or a scheduled backup wrote
    file: PathBuf,
    /// Where the coordinator will keep everything [default: the system's folder for it]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Also where the folder is not empty: what is in it is kept beside it
    #[arg(long)]
    force: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub async fn back_up(arguments: BackupArguments, settings: Settings) -> anyhow::Result<()> {
    let json = arguments.access.json;
    let client = arguments.access.client(settings)?;
    let file = arguments.file;
    let manifest = download(&client, &file).await?;
    let bytes = std::fs::metadata(&file)?.len();
    if json {
        let (cluster, created_at) = (&manifest.cluster_id, manifest.created_at);
        let told = json!({
            "file": file, "bytes": bytes, "entries": manifest.entries.len(),
            "cluster": cluster, "created_at": created_at,
        });
        return Ok(output::json(&told)?);
    }
    let (name, megabytes) = (file.display(), bytes as f64 / 1e6);
    output::line(format_args!(
        "{name}  {megabytes:.1} MB, {} files of cluster {}",
        manifest.entries.len(),
        manifest.cluster_id
    ))?;
    Ok(output::line("it holds the cluster's private key: keep it as you keep that")?)
}

/// Saves a backup, whole and durable or not at all.
async fn download(client: &Client, file: &Path) -> anyhow::Result<backup::Manifest> {
    let response = client.send(client.request(Method::GET, "/backup")).await?;
    let bar = bar(response.content_length())?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let cannot_write = || format!("can't write {}", file.display());
    // Its owner's alone from the first byte.
    let mut part = tempfile::NamedTempFile::new_in(folder).with_context(cannot_write)?;
    let mut body = response.bytes_stream();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| client.broken(error))?;
        part.write_all(&piece).with_context(cannot_write)?;
        bar.inc(piece.len() as u64);
    }
    bar.finish_and_clear();
    let path = part.path().to_owned();
    let manifest = tokio::task::spawn_blocking(move || backup::verify(&path)).await??;
    part.as_file().sync_all().with_context(cannot_write)?;
    part.persist(file).with_context(cannot_write)?;
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(cannot_write)?;
    Ok(manifest)
}

pub async fn restore(arguments: RestoreArguments) -> anyhow::Result<()> {
    let RestoreArguments { file, data_dir: folder, force, json } = arguments;
    let folder = data_dir(folder.as_deref(), COORDINATOR_FOLDER)?;
    let length = std::fs::metadata(&file).with_context(|| format!("can't read {}", file.display()));
    let bar = bar(Some(length?.len()))?;
    let (target, written) = (folder.clone(), bar.clone());
    let restored = tokio::task::spawn_blocking(move || {
        backup::restore(&file, &target, force, now(), |bytes| written.inc(bytes))
    });
    let restored = restored.await?;
    bar.finish_and_clear();
    let backup::Restored { manifest, before } = restored?;
    if json {
        let told = json!({
            "data_dir": folder, "cluster": manifest.cluster_id,
            "created_at": manifest.created_at, "before": before,
        });
        return Ok(output::json(&told)?);
    }
    let (cluster, created_at) = (&manifest.cluster_id, manifest.created_at);
    output::line(format_args!("cluster {cluster} as of {created_at} is in {}", folder.display()))?;
    if let Some(before) = before {
        output::line(format_args!("what was there before is in {}", before.display()))?;
    }
    Ok(output::line("start it by `constellation coordinator`; the old one must not run any more")?)
}

fn now() -> Timestamp {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = elapsed.map_or(0, |elapsed| elapsed.as_millis());
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

fn bar(length: Option<u64>) -> anyhow::Result<ProgressBar> {
    let bar = match length {
        Some(length) if output::is_watched() => ProgressBar::new(length),
        Some(_) | None => ProgressBar::hidden(),
    };
    Ok(bar.with_style(ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes}  {eta}")?))
}
