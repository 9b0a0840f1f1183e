//! Aggregation: adds the mean of a round's updates to the base model.
//!
//! Base and updates are streamed from disk in chunks, so memory use depends neither on the number of
//! updates nor on the size of the model.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use federation::aggregate::Accumulator;
use federation::machine::WeightedUpdate;
use protocol::{BlobHash, codec};
use tokio_util::sync::CancellationToken;

use super::error::StepError;
use crate::blobs::Blobs;

/// Parameters in one chunk.
const CHUNK_PARAMETERS: usize = 1 << 18;
/// Updates read at once, so that one pass over the sum adds several.
const UPDATES_PER_PASS: usize = 16;

/// Input of one round's aggregation.
#[derive(Debug, Clone)]
pub(crate) struct Aggregation {
    pub(crate) base: BlobHash,
    pub(crate) updates: Vec<WeightedUpdate>,
    /// Rows of all the round's seats together.
    pub(crate) seat_rows: u64,
    /// Parameters of the model.
    pub(crate) parameters: usize,
}

/// Stores `base` + the row-weighted mean of the updates as a blob and returns its hash.
pub(crate) fn aggregate(
    blobs: &Blobs,
    work: &Aggregation,
    cancel: &CancellationToken,
) -> Result<BlobHash, StepError> {
    if Accumulator::new(0, work.seat_rows).is_coarse() {
        tracing::warn!(
            rows = work.seat_rows,
            "the round has so many rows that its mean is rounded coarsely"
        );
    }
    let mut writer = blobs.writer().map_err(StepError::io("could not store the new model"))?;
    let mut base = open(blobs, work.base)?;
    let mut start = 0;
    while start < work.parameters {
        if cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        let count = CHUNK_PARAMETERS.min(work.parameters - start);
        let mut sum = Accumulator::new(count, work.seat_rows);
        for updates in work.updates.chunks(UPDATES_PER_PASS) {
            add(blobs, updates, start, count, &mut sum)?;
        }
        let old = read(&mut base, work.base, start, count)?;
        let old = codec::decode(&old, count)
            .map_err(|error| StepError::Permanent(format!("the base model is damaged: {error}")))?;
        let new = codec::encode(&sum.finish(&old));
        writer.write_all(&new).map_err(StepError::io("could not store the new model"))?;
        start += count;
    }
    writer.finish().map_err(StepError::io("could not store the new model"))
}

fn add(
    blobs: &Blobs,
    updates: &[WeightedUpdate],
    start: usize,
    count: usize,
    sum: &mut Accumulator,
) -> Result<(), StepError> {
    let mut chunks = Vec::with_capacity(updates.len());
    for update in updates {
        chunks.push(read(&mut open(blobs, update.blob)?, update.blob, start, count)?);
    }
    let rows = updates.iter().map(|update| update.rows);
    let weighted: Vec<(&[u8], u64)> = chunks.iter().map(Vec::as_slice).zip(rows).collect();
    // Updates were checked when they arrived, so an error means that a stored one changed.
    sum.add(&weighted).map_err(|error| {
        StepError::Permanent(format!("a stored update is damaged: {error}; check the disk"))
    })
}

fn open(blobs: &Blobs, hash: BlobHash) -> Result<File, StepError> {
    let file = blobs.file(hash).map_err(StepError::io("could not open a blob"))?;
    file.ok_or_else(|| StepError::Permanent(format!("blob {hash} is missing; was it deleted?")))
}

fn read(file: &mut File, hash: BlobHash, start: usize, count: usize) -> Result<Vec<u8>, StepError> {
    let mut bytes = vec![0; count * 4];
    let result =
        file.seek(SeekFrom::Start(start as u64 * 4)).and_then(|_| file.read_exact(&mut bytes));
    match result {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(StepError::Permanent(format!("blob {hash} is truncated; check the disk")))
        }
        Err(error) => Err(StepError::io("could not read a blob")(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_give_the_same_sum_as_one_pass() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let parameters = CHUNK_PARAMETERS + 5;
        let values = |k: usize| -> Vec<f32> {
            (0..parameters).map(|i| ((i * 31 + k * 7) % 1000) as f32 / 997.0 - 0.5).collect()
        };
        let base = values(0);
        let updates: Vec<(Vec<u8>, u64)> =
            (1..UPDATES_PER_PASS + 3).map(|k| (codec::encode(&values(k)), k as u64)).collect();
        let seat_rows = updates.iter().map(|(_, rows)| rows).sum();
        let mut whole = Accumulator::new(parameters, seat_rows);
        for (bytes, rows) in &updates {
            whole.add(&[(bytes.as_slice(), *rows)]).unwrap();
        }
        let work = Aggregation {
            base: blobs.put(&codec::encode(&base)).unwrap(),
            updates: (0_u32..)
                .zip(&updates)
                .map(|(partition, (bytes, rows))| WeightedUpdate {
                    partition,
                    blob: blobs.put(bytes).unwrap(),
                    rows: *rows,
                })
                .collect(),
            seat_rows,
            parameters,
        };
        let model = aggregate(&blobs, &work, &CancellationToken::new()).unwrap();
        assert_eq!(model, BlobHash::compute(&codec::encode(&whole.finish(&base))));
    }

    #[test]
    fn a_missing_update_is_a_permanent_error() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let missing = WeightedUpdate { partition: 0, blob: BlobHash::compute(b"missing"), rows: 1 };
        let base = blobs.put(&[0; 4]).unwrap();
        let work = Aggregation { base, updates: vec![missing], seat_rows: 1, parameters: 1 };
        let error = aggregate(&blobs, &work, &CancellationToken::new()).unwrap_err();
        assert!(matches!(error, StepError::Permanent(_)), "{error}");
    }
}
