//! Making a round's global model from its updates, streamed from disk: the memory it takes depends
//! neither on the number of updates nor on the size of the model.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use federation::aggregate::Accumulator;
use federation::machine::WeightedUpdate;
use protocol::{BlobHash, codec};
use tokio_util::sync::CancellationToken;

use crate::blobs::Blobs;
use crate::driver::StepError;

/// Parameters taken through all updates at a time.
const STRETCH: usize = 1 << 18;
/// Updates read at a time: enough to add several in one pass.
const TOGETHER: usize = 16;

/// One round's aggregation.
#[derive(Debug, Clone)]
pub(crate) struct Aggregation {
    pub(crate) base: BlobHash,
    pub(crate) updates: Vec<WeightedUpdate>,
    /// Rows of all seats of the round.
    pub(crate) seat_rows: u64,
    /// Of the model.
    pub(crate) parameters: usize,
}

/// `base` + the row-weighted mean of the updates, as a blob.
pub(crate) fn aggregate(
    blobs: &Blobs,
    work: &Aggregation,
    cancel: &CancellationToken,
) -> Result<BlobHash, StepError> {
    if Accumulator::new(0, work.seat_rows).is_coarse() {
        tracing::warn!(rows = work.seat_rows, "so many rows leave the mean a coarse grid");
    }
    let mut writer = blobs.writer().map_err(StepError::io("could not store the new model"))?;
    let mut base = open(blobs, work.base)?;
    let mut start = 0;
    while start < work.parameters {
        if cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        let count = STRETCH.min(work.parameters - start);
        let mut sum = Accumulator::new(count, work.seat_rows);
        for updates in work.updates.chunks(TOGETHER) {
            add(blobs, updates, start, count, &mut sum)?;
        }
        let old = read(&mut base, work.base, start, count)?;
        let old = codec::decode(&old, count)
            .map_err(|error| StepError::Permanent(format!("the base model: {error}")))?;
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
    let mut stretches = Vec::with_capacity(updates.len());
    for update in updates {
        stretches.push(read(&mut open(blobs, update.blob)?, update.blob, start, count)?);
    }
    let rows = updates.iter().map(|update| update.rows);
    let weighted: Vec<(&[u8], u64)> = stretches.iter().map(Vec::as_slice).zip(rows).collect();
    // Each was checked when it came.
    sum.add(&weighted).map_err(|fault| {
        StepError::Permanent(format!("a stored update went bad, is the disk sound? {fault}"))
    })
}

fn open(blobs: &Blobs, hash: BlobHash) -> Result<File, StepError> {
    let file = blobs.file(hash).map_err(StepError::io("could not open a blob"))?;
    file.ok_or_else(|| StepError::Permanent(format!("blob {hash} is gone; was it deleted?")))
}

fn read(file: &mut File, hash: BlobHash, start: usize, count: usize) -> Result<Vec<u8>, StepError> {
    let mut bytes = vec![0; count * 4];
    let result =
        file.seek(SeekFrom::Start(start as u64 * 4)).and_then(|_| file.read_exact(&mut bytes));
    match result {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(StepError::Permanent(format!("blob {hash} was cut short; is the disk sound?")))
        }
        Err(error) => Err(StepError::io("could not read a blob")(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_give_what_the_whole_gives_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let parameters = STRETCH + 5;
        let values = |k: usize| -> Vec<f32> {
            (0..parameters).map(|i| ((i * 31 + k * 7) % 1000) as f32 / 997.0 - 0.5).collect()
        };
        let base = values(0);
        let updates: Vec<(Vec<u8>, u64)> =
            (1..TOGETHER + 3).map(|k| (codec::encode(&values(k)), k as u64)).collect();
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
        assert_eq!(model, BlobHash::of(&codec::encode(&whole.finish(&base))));
    }

    #[test]
    fn a_missing_update_is_said_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let gone = WeightedUpdate { partition: 0, blob: BlobHash::of(b"gone"), rows: 1 };
        let base = blobs.put(&[0; 4]).unwrap();
        let work = Aggregation { base, updates: vec![gone], seat_rows: 1, parameters: 1 };
        let fault = aggregate(&blobs, &work, &CancellationToken::new()).unwrap_err();
        assert!(matches!(fault, StepError::Permanent(_)), "{fault}");
    }
}
