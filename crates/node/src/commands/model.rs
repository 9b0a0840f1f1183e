//! `constellation model …`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use protocol::api::Model;
use protocol::model::ModelSpec;
use protocol::{BlobHash, codec};
use reqwest::Method;

use super::access::AccessArguments;
use super::model_changes::ModelChangeCommand;
use crate::client::{Client, escaped};
use crate::settings::Settings;
use crate::value_parsers::model_version;
use crate::{CommandContext, EvaluateModel, output};

#[derive(Debug, Args)]
pub struct ModelArguments {
    #[command(flatten)]
    access: AccessArguments,
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
    /// List models and their versions
    List {
        /// List the archived models instead
        #[arg(long)]
        archived: bool,
    },
    /// Show a model
    Show {
        /// Name of the model, or NAME@N for one version
        name: String,
        /// Version of the model [default: the newest]
        #[arg(long = "model-version", value_name = "N", value_parser = model_version)]
        version: Option<u32>,
    },
    /// Download a model as a safetensors file
    Download {
        /// Name of the model, or NAME@N for one version
        name: String,
        /// Version of the model [default: the newest]
        #[arg(long = "model-version", value_name = "N", value_parser = model_version)]
        version: Option<u32>,
        /// File to write; `-` writes to standard output [default: NAME.safetensors in this folder]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Evaluate a model on the test split of a dataset
    ///
    /// Downloads the model and evaluates it on this machine.
    Eval {
        /// Name of the model, or NAME@N for one version
        name: String,
        /// Version of the model [default: the newest]
        #[arg(long = "model-version", value_name = "N", value_parser = model_version)]
        version: Option<u32>,
        /// Dataset with the same kind of rows and the same classes as the model
        #[arg(long, value_name = "NAME")]
        dataset: String,
    },
    #[command(flatten)]
    Change(ModelChangeCommand),
}

pub(super) async fn run(
    arguments: ModelArguments,
    settings: Settings,
    context: &CommandContext,
) -> anyhow::Result<()> {
    let json = arguments.access.json;
    let data_dir = arguments.access.coordinator_folder()?;
    let client = arguments.access.client(settings)?;
    match arguments.command {
        ModelCommand::List { archived } => {
            let models: Vec<Model> = client.get(&format!("/models?archived={archived}")).await?;
            if json {
                return Ok(output::json(&models)?);
            }
            let rows: Vec<[String; 6]> = models.iter().map(row).collect();
            Ok(output::table(["NAME", "VERSION", "DATASET", "MB", "ACCURACY", "CREATED"], &rows)?)
        }
        ModelCommand::Show { name, version } => {
            let model = find(&client, &name, version).await?;
            if json {
                return Ok(output::json(&model)?);
            }
            show(&model)
        }
        ModelCommand::Download { name, version, output: file } => {
            let model = find(&client, &name, version).await?;
            let file = file.unwrap_or_else(|| default_file(&model.name));
            download(&client, &model, &file).await?;
            if json {
                let result = serde_json::json!({ "file": file, "model_blake3": model.blake3 });
                return Ok(output::json(&result)?);
            }
            let name = file.display();
            Ok(output::line(format_args!("{name}  {:.1} MB  {}", model.size_mb, model.blake3))?)
        }
        ModelCommand::Eval { name, version, dataset } => {
            let model = find(&client, &name, version).await?;
            let folder = tempfile::tempdir().context("can't create a temporary folder")?;
            let file = folder.path().join("model.safetensors");
            download(&client, &model, &file).await?;
            let parameters = parameters(&model.spec, &file)?;
            let Model { spec, classes, .. } = model;
            let task = EvaluateModel { spec, parameters, classes, dataset, data_dir };
            let evaluate = context.evaluate;
            let metrics = tokio::task::spawn_blocking(move || evaluate(&task)).await??;
            if json {
                return Ok(output::json(&metrics)?);
            }
            let (accuracy, loss, rows) = (metrics.accuracy, metrics.loss, metrics.examples);
            Ok(output::line(format_args!("accuracy {accuracy:.4}  loss {loss:.4}  {rows} rows"))?)
        }
        ModelCommand::Change(change) => super::model_changes::run(&client, change, json).await,
    }
}

async fn find(client: &Client, name: &str, version: Option<u32>) -> anyhow::Result<Model> {
    let query = version.map_or(String::new(), |version| format!("?version={version}"));
    Ok(client.get(&format!("/models/{}{query}", escaped(name))).await?)
}

/// Maximum length of a file name in letters: at four bytes each, it fits every file system.
const LONGEST_NAME: usize = 50;

fn default_file(name: &str) -> PathBuf {
    let plain = |letter: char| if letter.is_alphanumeric() { letter } else { '-' };
    // The name comes from the coordinator. Keep letters and digits only, so that it can't be a path or a hidden file.
    let name: String = name.chars().take(LONGEST_NAME).map(plain).collect();
    let name = if name.is_empty() { "model" } else { &name };
    PathBuf::from(format!("{name}.safetensors"))
}

/// Downloads the model, verifies its hash, and delivers it to `file` once it is complete.
async fn download(client: &Client, model: &Model, file: &Path) -> anyhow::Result<()> {
    let cannot_write = || format!("can't write {}", file.display());
    let mut part = output::open_file(file).with_context(cannot_write)?;
    let path = format!("/models/{}/download?version={}", escaped(&model.name), model.version);
    let response = client.send(client.request(Method::GET, &path)).await?;
    let bar = match response.content_length() {
        Some(length) if output::is_watched() => ProgressBar::new(length),
        Some(_) | None => ProgressBar::hidden(),
    };
    bar.set_style(ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes}  {eta}")?);
    let mut hasher = blake3::Hasher::new();
    let mut body = response.bytes_stream();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| client.interrupted(error))?;
        hasher.update(&piece);
        part.write_all(&piece).with_context(cannot_write)?;
        bar.inc(piece.len() as u64);
    }
    bar.finish_and_clear();
    if BlobHash::from(hasher.finalize()) != model.blake3 {
        bail!("the downloaded file does not match the hash {}. Try again", model.blake3);
    }
    part.commit().with_context(cannot_write)?;
    Ok(())
}

fn parameters(spec: &ModelSpec, file: &Path) -> anyhow::Result<Vec<f32>> {
    let bytes = std::fs::read(file).context("can't read the downloaded model")?;
    let header = protocol::model_file::header(spec)?;
    let Some(flat) = bytes.strip_prefix(header.as_slice()) else {
        bail!("the header of the model file does not match its specification");
    };
    Ok(codec::decode(flat, spec.layout()?.parameters)?)
}

fn show(model: &Model) -> anyhow::Result<()> {
    output::line(format_args!("{} version {} ({})", model.name, model.version, model.status))?;
    let dataset = model.dataset_version.as_ref().unwrap_or(&model.dataset);
    output::line(format_args!("dataset     {dataset}"))?;
    output::line(format_args!("classes     {}", model.classes.join(", ")))?;
    output::line(format_args!("parameters  {} ({:.1} MB)", model.parameters, model.size_mb))?;
    if let Some(evaluation) = &model.evaluation {
        let (accuracy, loss, rows) = (evaluation.accuracy, evaluation.loss, evaluation.examples);
        output::line(format_args!(
            "test        accuracy {accuracy:.4}, loss {loss:.4}, {rows} rows"
        ))?;
    }
    output::line(format_args!("blake3      {}", model.blake3))?;
    output::line(format_args!("created     {}", model.created_at))?;
    Ok(())
}

fn row(model: &Model) -> [String; 6] {
    let accuracy = model.evaluation.as_ref().map(|evaluation| evaluation.accuracy);
    [
        model.name.clone(),
        model.version.to_string(),
        model.dataset_version.as_ref().unwrap_or(&model.dataset).clone(),
        format!("{:.1}", model.size_mb),
        accuracy.map_or(String::new(), |accuracy| format!("{accuracy:.4}")),
        model.created_at.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_name_can_not_be_a_path() {
        for (name, file) in [
            ("ag news", "ag-news.safetensors"),
            ("../../.ssh/authorized_keys", "-------ssh-authorized-keys.safetensors"),
            ("C:\\x", "C--x.safetensors"),
            ("a\0b\n", "a-b-.safetensors"),
            ("", "model.safetensors"),
        ] {
            assert_eq!(default_file(name), Path::new(file), "{name:?}");
        }
        assert!(default_file(&"東".repeat(500)).as_os_str().len() < 255);
    }

    /// The header must be the one that the specification produces, byte for byte.
    #[test]
    fn a_model_file_with_a_wrong_header_is_rejected() {
        let spec: ModelSpec = serde_json::from_value(serde_json::json!({
            "input": { "kind": "text", "buckets": 4, "ngrams": 1, "max_words": 4 },
            "layers": [{ "kind": "embedding_bag", "dimension": 2 }, { "kind": "linear", "outputs": 2 }]
        }))
        .unwrap();
        let header = protocol::model_file::header(&spec).unwrap();
        let flat = codec::encode(&vec![0.5; spec.layout().unwrap().parameters]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            parameters(&spec, &path)
        };
        let whole = [header.as_slice(), &flat].concat();
        assert_eq!(read(&whole).unwrap().len() * 4, flat.len());
        for length in [u64::MAX, 1 << 40, 0, header.len() as u64] {
            let wrong = [&length.to_le_bytes()[..], &whole[8..]].concat();
            assert!(
                read(&wrong).unwrap_err().to_string().contains("does not match its specification")
            );
        }
        assert!(read(&whole[..whole.len() - 1]).is_err());
        assert!(read(&[whole.as_slice(), &[0; 4]].concat()).is_err());
        assert!(read(&[]).is_err());
    }
}
