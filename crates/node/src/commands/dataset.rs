//! `constellation dataset …`.

mod archive;
mod flags;
mod plan_text;
mod staging;

use clap::{Args, Subcommand};
use protocol::dataset::import::ImportPlan;
use protocol::dataset::upload::{ImportRequest, InspectRequest};
use protocol::dataset::{
    AddedDataset, DatasetDetail, DatasetEntry, DatasetVersion, RowProblem, SampleShape,
};
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::flags::ImportFlags;
use self::staging::StagedFiles;
use super::access::AccessArguments;
use super::dataset_changes::DatasetChange;
use crate::client::{Client, escaped};
use crate::output;
use crate::settings::Settings;

/// Text in place of the classes of a dataset that was imported without labels.
const NO_LABELS: &str = "none (imported without labels, so no job can train on it yet)";

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
    /// Show how files would be imported
    ///
    /// Uploads the files, prints the plan and deletes them. Adds nothing. The plan lists every decision with its
    /// reason, the classes, the splits, and what is left out.
    #[command(after_long_help = "\
Examples:
  constellation dataset inspect reviews.csv
  constellation dataset inspect reviews.csv --label stars --separator semicolon
  constellation dataset inspect photos/ --resize 64x64 --json")]
    Inspect {
        #[command(flatten)]
        import: ImportFlags,
    },
    /// Upload a dataset
    ///
    /// Accepts tables (CSV, JSON Lines, Parquet and others) with a text and a label column, and folders, zip files
    /// and tar files that contain one folder of images per class. The format is detected. What the files don't
    /// decide is refused with the flag that decides it; `dataset inspect` shows the plan first.
    #[command(after_long_help = "\
Examples:
  constellation dataset add reviews.csv --name reviews
  constellation dataset add reviews.csv --name reviews --text title,body --label stars
  constellation dataset add train.csv --test test.csv --name news
  constellation dataset add photos/ --name photos --resize 64x64
  constellation dataset add fancyzhx/ag_news --name news
  constellation dataset add book.txt --name book --task language --split tail")]
    Add {
        #[command(flatten)]
        import: ImportFlags,
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
            let rows: Vec<[String; 7]> = datasets.iter().map(row).collect();
            let header = ["NAME", "ROWS", "CLASSES", "TRAIN", "VALIDATION", "TEST", "FROM"];
            Ok(output::table(header, &rows)?)
        }
        DatasetCommand::Show { name } => show(&client, &name, json).await,
        DatasetCommand::Change(change) => super::dataset_changes::run(&client, change, json).await,
        DatasetCommand::Inspect { import } => {
            let plan = inspect(&client, &import).await?;
            if json {
                return Ok(output::json(&plan)?);
            }
            Ok(plan_text::print(&plan)?)
        }
        DatasetCommand::Add { import, name, new_version } => {
            let added = add(&client, &import, name, new_version).await?;
            if json {
                return Ok(output::json(&added)?);
            }
            for problem in &added.problems {
                let RowProblem { file, line, reason, change } = problem;
                output::note(format_args!("{file}:{line}: {reason}: {change}"));
            }
            let AddedDataset { info, bad_rows, plan, .. } = added;
            let (train, test, classes) = (info.train_rows, info.test_rows, info.classes.len());
            let skipped = match bad_rows {
                0 => String::new(),
                count => format!(", {count} invalid rows skipped"),
            };
            let name = info.name;
            output::line(format_args!(
                "{name}: {train} training rows, {test} test rows, {classes} classes{skipped}"
            ))?;
            Ok(plan_text::print_short(&plan)?)
        }
    }
}

async fn show(client: &Client, name: &str, json: bool) -> anyhow::Result<()> {
    let dataset: DatasetDetail = client.get(&format!("/datasets/{}", escaped(name))).await?;
    if json {
        return Ok(output::json(&dataset)?);
    }
    let DatasetDetail { entry, versions, .. } = dataset;
    let [name, rows, _, train, validation, test, from] = row(&entry);
    let archived = if entry.archived { ", archived" } else { "" };
    output::line(format_args!("{name} ({from}{archived})"))?;
    let validation = match validation.as_str() {
        "" => String::new(),
        count => format!("{count} validation rows, "),
    };
    output::line(format_args!(
        "rows     {rows}, {train} training rows, {validation}{test} test rows"
    ))?;
    let classes = match entry.classes {
        Some(classes) if classes.is_empty() => NO_LABELS.to_owned(),
        classes => classes.unwrap_or_default().join(", "),
    };
    output::line(format_args!("classes  {classes}"))?;
    output::line(format_args!("license  {}", entry.licence))?;
    let versions: Vec<[String; 7]> = versions.iter().map(version_row).collect();
    if versions.is_empty() {
        return Ok(());
    }
    let header = ["VERSION", "TRAIN", "VALIDATION", "TEST", "MB", "CREATED", "FILES"];
    Ok(output::table(header, &versions)?)
}

fn version_row(version: &DatasetVersion) -> [String; 7] {
    [
        version.name.clone(),
        version.train_rows.to_string(),
        unless_zero(version.validation_rows),
        version.test_rows.to_string(),
        format!("{:.1}", version.bytes as f64 / 1e6),
        version.created_at.to_string(),
        version.files.join(", "),
    ]
}

async fn inspect(client: &Client, import: &ImportFlags) -> anyhow::Result<ImportPlan> {
    let plan = import.options()?;
    let path = "/datasets/inspect";
    if let Some(hub) = hub(import) {
        let request = InspectRequest { uploads: Vec::new(), hub: Some(hub), plan };
        return send(client, path, &request).await;
    }
    let staged = StagedFiles::upload(client, &import.files(), None).await?;
    let request = InspectRequest { uploads: staged.sources.clone(), hub: None, plan };
    let inspected = staged.watch(send(client, path, &request)).await;
    staged.delete().await;
    inspected?
}

async fn add(
    client: &Client,
    import: &ImportFlags,
    name: String,
    new_version: bool,
) -> anyhow::Result<AddedDataset> {
    let plan = import.options()?;
    let path = "/datasets";
    if let Some(hub) = hub(import) {
        let request =
            ImportRequest { name, new_version, uploads: Vec::new(), hub: Some(hub), plan };
        return send(client, path, &request).await;
    }
    // The name of a new version exists already.
    let new_name = Some(name.as_str()).filter(|_| !new_version);
    let staged = StagedFiles::upload(client, &import.files(), new_name).await?;
    let request =
        ImportRequest { name, new_version, uploads: staged.sources.clone(), hub: None, plan };
    let added = staged.watch(send(client, path, &request)).await;
    staged.delete().await;
    added?
}

/// Returns the repository of the hub that the coordinator fetches.
fn hub(import: &ImportFlags) -> Option<String> {
    let hub = import.hub()?;
    output::note(format_args!("there is no file {hub}; the coordinator reads {hub} from the hub"));
    Some(hub.to_owned())
}

/// Sends a request that may take minutes.
async fn send<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    body: &impl Serialize,
) -> anyhow::Result<T> {
    Ok(client.decode(client.send(client.request(Method::POST, path).json(body)).await?).await?)
}

fn row(dataset: &DatasetEntry) -> [String; 7] {
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
    let validation = dataset.validation_rows.map_or(String::new(), unless_zero);
    let (train, test) = (count(dataset.train_rows), count(dataset.test_rows));
    [dataset.name.clone(), rows, classes, train, validation, test, from]
}

fn unless_zero(rows: u64) -> String {
    if rows == 0 { String::new() } else { rows.to_string() }
}
