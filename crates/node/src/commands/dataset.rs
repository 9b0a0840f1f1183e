//! `constellation dataset …`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use protocol::dataset::{
    AddedDataset, DatasetDetail, DatasetEntry, DatasetVersion, RowProblem, SampleShape,
};
use reqwest::{Body, Method};
use tokio_util::io::ReaderStream;

use super::access::AccessArguments;
use super::dataset_changes::DatasetChange;
use super::input_file;
use crate::client::{Client, escaped};
use crate::output;
use crate::settings::Settings;

#[derive(Debug, Args)]
pub struct DatasetArguments {
    #[command(flatten)]
    access: AccessArguments,
    #[command(subcommand)]
    command: DatasetCommand,
}

#[derive(Debug, Subcommand)]
enum DatasetCommand {
    /// List datasets
    List {
        /// List the archived datasets instead
        #[arg(long)]
        archived: bool,
    },
    /// Show a dataset and its versions
    Show {
        /// Name of the dataset, or NAME@N for one version
        name: String,
    },
    /// Upload a dataset
    ///
    /// Accepts CSV, JSON Lines and Parquet files, and zip files that contain one folder of images per class.
    Add {
        /// File to upload, or a pipe; `-` reads standard input
        file: PathBuf,
        /// Name that job files use for the dataset
        #[arg(long)]
        name: String,
        /// Add the file as the next version of the dataset with this name
        #[arg(long)]
        new_version: bool,
    },
    #[command(flatten)]
    Change(DatasetChange),
}

pub(super) async fn run(arguments: DatasetArguments, settings: Settings) -> anyhow::Result<()> {
    let json = arguments.access.json;
    let client = arguments.access.client(settings)?;
    match arguments.command {
        DatasetCommand::List { archived } => {
            let path = format!("/datasets?archived={archived}");
            let datasets: Vec<DatasetEntry> = client.get(&path).await?;
            if json {
                return Ok(output::json(&datasets)?);
            }
            let rows: Vec<[String; 6]> = datasets.iter().map(row).collect();
            Ok(output::table(["NAME", "ROWS", "CLASSES", "TRAIN", "TEST", "FROM"], &rows)?)
        }
        DatasetCommand::Show { name } => show(&client, &name, json).await,
        DatasetCommand::Change(change) => super::dataset_changes::run(&client, change, json).await,
        DatasetCommand::Add { file, name, new_version } => {
            let added = add(&client, &file, &name, new_version).await?;
            if json {
                return Ok(output::json(&added)?);
            }
            for problem in &added.problems {
                let RowProblem { file, line, reason, change } = problem;
                output::note(format_args!("{file}:{line}: {reason}: {change}"));
            }
            let AddedDataset { info, understood, bad_rows, .. } = added;
            let (train, test, classes) = (info.train_rows, info.test_rows, info.classes.len());
            let skipped = match bad_rows {
                0 => String::new(),
                count => format!(", {count} invalid rows skipped"),
            };
            let name = info.name;
            output::line(format_args!(
                "{name}: {train} training rows, {test} test rows, {classes} classes{skipped}"
            ))?;
            Ok(output::line(understood)?)
        }
    }
}

async fn show(client: &Client, name: &str, json: bool) -> anyhow::Result<()> {
    let dataset: DatasetDetail = client.get(&format!("/datasets/{}", escaped(name))).await?;
    if json {
        return Ok(output::json(&dataset)?);
    }
    let DatasetDetail { entry, versions, .. } = dataset;
    let [name, rows, _, train, test, from] = row(&entry);
    let archived = if entry.archived { ", archived" } else { "" };
    output::line(format_args!("{name} ({from}{archived})"))?;
    output::line(format_args!("rows     {rows}, {train} training rows, {test} test rows"))?;
    output::line(format_args!("classes  {}", entry.classes.unwrap_or_default().join(", ")))?;
    output::line(format_args!("license  {}", entry.licence))?;
    let versions: Vec<[String; 6]> = versions.iter().map(version_row).collect();
    if versions.is_empty() {
        return Ok(());
    }
    Ok(output::table(["VERSION", "TRAIN", "TEST", "MB", "CREATED", "FILES"], &versions)?)
}

fn version_row(version: &DatasetVersion) -> [String; 6] {
    [
        version.name.clone(),
        version.train_rows.to_string(),
        version.test_rows.to_string(),
        format!("{:.1}", version.bytes as f64 / 1e6),
        version.created_at.to_string(),
        version.files.join(", "),
    ]
}

async fn add(
    client: &Client,
    file: &Path,
    name: &str,
    new_version: bool,
) -> anyhow::Result<AddedDataset> {
    let file = file.to_owned();
    let input = tokio::task::spawn_blocking(move || input_file::open(&file)).await??;
    let (name, filename) = (escaped(name), escaped(&input.name));
    let path = format!("/datasets?name={name}&filename={filename}&new_version={new_version}");
    let request = client
        .request(Method::POST, &path)
        .header("Content-Type", "application/octet-stream")
        .header("Content-Length", input.length)
        .body(Body::wrap_stream(ReaderStream::new(tokio::fs::File::from_std(input.file))));
    Ok(client.decode(client.send(request).await?).await?)
}

fn row(dataset: &DatasetEntry) -> [String; 6] {
    let rows = match dataset.sample {
        SampleShape::Text => "text".to_owned(),
        SampleShape::Image { channels, height, width } => format!("{width}×{height}×{channels}"),
    };
    let count = |rows: Option<u64>| rows.map_or(String::new(), |rows| rows.to_string());
    let classes = dataset.classes.as_ref().map_or(String::new(), |list| list.len().to_string());
    let from = match dataset.origin.as_str() {
        "embedded" | "uploaded" => dataset.origin.clone(),
        origin => format!("{} ({origin})", dataset.source),
    };
    [dataset.name.clone(), rows, classes, count(dataset.train_rows), count(dataset.test_rows), from]
}
