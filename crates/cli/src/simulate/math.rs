//! Vectors of a simulation: the updates of a round on disk, their sum, the model file.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use federation::aggregate::{Accumulator, check_update};
use federation::machine::WeightedUpdate;
use protocol::model::ModelSpec;
use protocol::{BlobHash, codec, model_file};
use tempfile::TempDir;

/// Updates of a round, stored on disk: the job decides how many there are, and memory is limited.
pub(super) struct Updates {
    folder: TempDir,
    files: HashMap<BlobHash, PathBuf>,
}

impl Updates {
    pub(super) fn new() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("constellation-simulate-").tempdir();
        let folder = folder.context("can't create a temporary folder for updates")?;
        Ok(Self { folder, files: HashMap::new() })
    }

    /// Checks an update as a coordinator does and stores it. Returns its hash, its size in bytes
    /// and its norm.
    pub(super) fn store(&mut self, delta: &[f32]) -> anyhow::Result<(BlobHash, u64, f64)> {
        let bytes = codec::encode(delta);
        let norm = check_update(&bytes, delta.len())?;
        let name = BlobHash::compute(&bytes);
        let file = self.folder.path().join(name.to_string());
        fs::write(&file, &bytes).context("can't write an update to the temporary folder")?;
        self.files.insert(name, file);
        Ok((name, bytes.len() as u64, norm))
    }

    /// Computes the new model of the round and deletes the updates.
    pub(super) fn aggregate(
        &mut self,
        base: &[f32],
        updates: &[WeightedUpdate],
        seat_rows: u64,
    ) -> anyhow::Result<Vec<f32>> {
        let mut sum = Accumulator::new(base.len(), seat_rows);
        for update in updates {
            let file = self.files.get(&update.blob).context("an update is missing")?;
            let bytes = fs::read(file).context("can't read an update from the temporary folder")?;
            sum.add(&[(bytes.as_slice(), update.rows)])?;
        }
        for (_, file) in self.files.drain() {
            fs::remove_file(file).context("can't delete an update from the temporary folder")?;
        }
        Ok(sum.finish(base))
    }
}

/// Model file, byte for byte as a coordinator registers it.
pub(super) fn encode_model(spec: &ModelSpec, model: &[f32]) -> anyhow::Result<Vec<u8>> {
    let mut file = model_file::header(spec)?;
    file.extend(codec::encode(model));
    Ok(file)
}
