//! Flat vectors of a simulation: a round's updates on disk, their sum, the model's file.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use federation::aggregate::{Accumulator, check_update};
use federation::machine::WeightedUpdate;
use protocol::model::ModelSpec;
use protocol::{BlobHash, codec, model_file};
use tempfile::TempDir;

/// A round's updates. They wait on disk: how many there are is the job's choice, how much memory
/// there is is not.
pub(super) struct Updates {
    folder: TempDir,
    files: HashMap<BlobHash, PathBuf>,
}

impl Updates {
    pub(super) fn new() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("constellation-simulate-").tempdir();
        let folder = folder.context("can't make a temporary folder for updates")?;
        Ok(Self { folder, files: HashMap::new() })
    }

    /// Keeps an update that a coordinator would take; its name, bytes and norm.
    pub(super) fn put(&mut self, delta: &[f32]) -> anyhow::Result<(BlobHash, u64, f64)> {
        let bytes = codec::encode(delta);
        let norm = check_update(&bytes, delta.len())?;
        let name = BlobHash::of(&bytes);
        let file = self.folder.path().join(name.to_string());
        fs::write(&file, &bytes).context("can't keep an update")?;
        self.files.insert(name, file);
        Ok((name, bytes.len() as u64, norm))
    }

    /// The round's new model; its updates are gone then.
    pub(super) fn aggregate(
        &mut self,
        base: &[f32],
        updates: &[WeightedUpdate],
        seat_rows: u64,
    ) -> anyhow::Result<Vec<f32>> {
        let mut sum = Accumulator::new(base.len(), seat_rows);
        for update in updates {
            let file = self.files.get(&update.blob).context("an update is missing")?;
            let bytes = fs::read(file).context("can't read an update again")?;
            sum.add(&[(bytes.as_slice(), update.rows)])?;
        }
        for (_, file) in self.files.drain() {
            fs::remove_file(file).context("can't remove an update")?;
        }
        Ok(sum.finish(base))
    }
}

/// The model's file, byte for byte as a coordinator registers it.
pub(super) fn file(spec: &ModelSpec, model: &[f32]) -> anyhow::Result<Vec<u8>> {
    let mut file = model_file::header(spec)?;
    file.extend(codec::encode(model));
    Ok(file)
}
