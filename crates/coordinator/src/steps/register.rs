//! Registration of a finished model: writes its file and its card.
//!
//! The file is a canonical safetensors header followed by the flat vector of parameters. It is stored as
//! a blob whose hash is the model's `blake3` (docs/design/randomness-and-exact-sums.md, "The model
//! file").

use std::io::{self, Read};

use federation::machine::Preparation;
use protocol::api::Model;
use protocol::job::ModelType;
use protocol::metrics::EvalMetrics;
use protocol::model::ModelSpec;
use protocol::{BlobHash, JobId, ModelId, Timestamp, model_file};
use serde_json::json;

use super::context::Task;
use super::error::StepError;
use crate::blobs::Blobs;
use crate::store::ModelRow;

/// A model whose file is stored and that is not registered yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewModel {
    pub(crate) name: String,
    pub(crate) model_type: ModelType,
    pub(crate) file: BlobHash,
    /// Size of the file.
    pub(crate) bytes: u64,
    pub(crate) job: Option<JobId>,
    pub(crate) dataset: String,
    /// Name of the dataset's version.
    pub(crate) dataset_version: Option<String>,
    pub(crate) classes: Vec<String>,
    pub(crate) spec: ModelSpec,
    pub(crate) parameters: u64,
    pub(crate) evaluation: Option<EvalMetrics>,
    /// Provenance for the card: the job's spec and number of rounds, if a job made the model.
    pub(crate) origin: serde_json::Value,
}

impl NewModel {
    pub(crate) fn row(self, id: ModelId, version: u32, created_at: Timestamp) -> ModelRow {
        let model = Model {
            id,
            checkpoint_path: download_path(&self.name, version),
            name: self.name,
            model_type: self.model_type,
            size_mb: self.bytes as f64 / 1e6,
            status: "ready".to_owned(),
            created_at,
            version,
            blake3: self.file,
            job_id: self.job,
            dataset: self.dataset,
            dataset_version: self.dataset_version,
            classes: self.classes,
            spec: self.spec,
            parameters: self.parameters,
            evaluation: self.evaluation,
            stage: None,
            archived: false,
        };
        let card = json!({
            "model": model,
            "origin": self.origin,
            "format": "safetensors, tensors in layout order under PyTorch's names",
            "constellation": env!("CARGO_PKG_VERSION"),
        });
        ModelRow { model, card }
    }
}

/// Returns the path of a version's file in the API.
pub(crate) fn download_path(name: &str, version: u32) -> String {
    format!("/models/{}/download?version={version}", percent_encoded(name))
}

/// Percent-encodes a name for use as one segment of a path.
fn percent_encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Stores the file of a job's last model.
pub(crate) fn write_result(
    blobs: &Blobs,
    task: &Task,
    preparation: &Preparation,
    model: BlobHash,
    evaluation: Option<EvalMetrics>,
) -> Result<NewModel, StepError> {
    let spec = &preparation.spec;
    let (file, bytes, parameters) = write_file(blobs, spec, model)?;
    Ok(NewModel {
        name: task.spec.name.clone(),
        model_type: task.spec.model_type,
        file,
        bytes,
        job: Some(task.job),
        // The driver adds the version of an uploaded dataset.
        dataset: task.spec.dataset.clone(),
        dataset_version: None,
        classes: preparation.classes.clone(),
        spec: spec.clone(),
        parameters,
        evaluation,
        origin: json!({ "job": task.job, "config": task.spec, "rounds": task.rounds }),
    })
}

/// Writes the model file for the flat vector in blob `model`. Returns the file's hash, its size in
/// bytes and the number of parameters.
pub(crate) fn write_file(
    blobs: &Blobs,
    spec: &ModelSpec,
    model: BlobHash,
) -> Result<(BlobHash, u64, u64), StepError> {
    let unbuildable = |error| StepError::Permanent(format!("the model can't be built: {error}"));
    let header = model_file::header(spec).map_err(unbuildable)?;
    let parameters = spec.layout().map_err(unbuildable)?.parameters as u64;
    let flat = blobs.file(model).map_err(StepError::io("could not open the model"))?;
    let missing = || StepError::Permanent(format!("blob {model} is missing; was it deleted?"));
    let flat = flat.ok_or_else(missing)?;
    let length = flat.metadata().map_err(StepError::io("could not open the model"))?.len();
    if length != parameters * 4 {
        let reason = format!(
            "blob {model} has {length} bytes, but {parameters} parameters need {}",
            parameters * 4
        );
        return Err(StepError::Permanent(reason));
    }
    let failed = StepError::io("could not store the model file");
    let mut writer = blobs.writer().map_err(&failed)?;
    let mut whole = header.as_slice().chain(flat);
    let bytes = io::copy(&mut whole, &mut writer).map_err(&failed)?;
    Ok((writer.finish().map_err(&failed)?, bytes, parameters))
}

#[cfg(test)]
mod tests {
    use protocol::dataset::SampleShape;
    use protocol::model::Preset;

    use super::*;

    #[test]
    fn a_model_file_is_the_header_and_the_vector() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let sample = SampleShape::Image { channels: 1, height: 4, width: 4 };
        let spec = Preset::Mlp.spec(sample, 3).unwrap();
        let count = spec.layout().unwrap().parameters;
        let flat: Vec<u8> = (0..251).cycle().take(count * 4).collect();
        let model = blobs.put(&flat).unwrap();
        let (file, bytes, parameters) = write_file(&blobs, &spec, model).unwrap();
        let mut expected = model_file::header(&spec).unwrap();
        expected.extend(&flat);
        assert_eq!(file, BlobHash::compute(&expected));
        assert_eq!((bytes, parameters), (expected.len() as u64, count as u64));

        let short = blobs.put(&flat[4..]).unwrap();
        assert!(matches!(write_file(&blobs, &spec, short), Err(StepError::Permanent(_))));
    }

    #[test]
    fn names_are_escaped_in_paths() {
        assert_eq!(percent_encoded("ag-news 2/ü"), "ag-news%202%2F%C3%BC");
    }
}
