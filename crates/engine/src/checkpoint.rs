//! Checkpoint file of a lease: parameters, optimizer state and totals. The position in the data and
//! the random state follow from the number of steps done.
//!
//! Little-endian: magic (8) · header length (4) · header (JSON: work, totals, lengths) · the f32
//! vectors · BLAKE3 of everything before it (32). A damaged file or a file of other work is
//! ignored.

use std::path::Path;

use protocol::encrypted_file::StorageKey;
use protocol::{BlobHash, codec};
use serde::{Deserialize, Serialize};

use crate::optimizer::FlatMoments;
use crate::{EngineError, files};

const MAGIC: &[u8; 8] = b"CNCKPT01";
const CHECKSUM: usize = 32;

/// State that determines the rest of a lease.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Checkpoint {
    pub(crate) totals: Totals,
    /// The body's parameters, in the module's order.
    pub(crate) body: Vec<f32>,
    pub(crate) dense: FlatMoments,
    /// The host embedding's weights without pending steps. Empty if there is no embedding.
    pub(crate) weights: Vec<f32>,
    pub(crate) embedding: FlatMoments,
}

/// Totals of a lease, from this process and those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Totals {
    pub(crate) steps: u64,
    pub(crate) loss: f64,
    pub(crate) examples: u64,
    pub(crate) seconds: f64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    work: BlobHash,
    totals: Totals,
    /// Number of values in each vector, in the file's order.
    lengths: [usize; 6],
}

impl Checkpoint {
    fn vectors(&self) -> [&[f32]; 6] {
        let Self { totals: _, body, dense, weights, embedding } = self;
        [body, &dense.first, &dense.second, weights, &embedding.first, &embedding.second]
    }
}

/// Replaces the previous checkpoint. After a crash, one of the two is intact.
pub(crate) fn write(
    path: &Path,
    work: BlobHash,
    checkpoint: &Checkpoint,
    key: Option<&StorageKey>,
) -> Result<(), EngineError> {
    let vectors = checkpoint.vectors();
    let header = Header { work, totals: checkpoint.totals, lengths: vectors.map(<[f32]>::len) };
    let header = serde_json::to_vec(&header)
        .map_err(|error| EngineError::Internal(format!("can't encode a checkpoint: {error}")))?;
    let values: usize = vectors.iter().map(|vector| vector.len()).sum();
    let mut bytes = Vec::with_capacity(values * 4 + header.len() + 64);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&u32::try_from(header.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&header);
    for vector in vectors {
        bytes.extend(vector.iter().flat_map(|value| value.to_le_bytes()));
    }
    let checksum = blake3::hash(&bytes);
    bytes.extend_from_slice(checksum.as_bytes());
    files::write_atomically(path, &bytes, key)
}

/// Reads the checkpoint of this work. Returns `None` if there is no intact one.
pub(crate) fn read(path: &Path, work: BlobHash, key: Option<&StorageKey>) -> Option<Checkpoint> {
    let bytes = files::read(path, key).ok()?;
    let (content, checksum) = bytes.split_last_chunk::<CHECKSUM>()?;
    if blake3::hash(content) != *checksum {
        return None;
    }
    let content = content.strip_prefix(MAGIC)?;
    let (length, content) = content.split_first_chunk::<4>()?;
    let (header, mut values) =
        content.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let header: Header = serde_json::from_slice(header).ok()?;
    if header.work != work {
        return None;
    }
    let mut take = |index: usize| -> Option<Vec<f32>> {
        let count = header.lengths[index];
        let (vector, rest) = values.split_at_checked(count.checked_mul(4)?)?;
        values = rest;
        codec::decode(vector, count).ok()
    };
    let (body, dense) = (take(0)?, FlatMoments { first: take(1)?, second: take(2)? });
    let (weights, embedding) = (take(3)?, FlatMoments { first: take(4)?, second: take(5)? });
    values.is_empty().then_some(Checkpoint {
        totals: header.totals,
        body,
        dense,
        weights,
        embedding,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_intact_checkpoint_of_the_same_work_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        let work = BlobHash::compute(b"work");
        let moments = FlatMoments { first: vec![0.25], second: Vec::new() };
        let checkpoint = Checkpoint {
            totals: Totals { steps: 3, loss: 0.1 + 0.2, examples: 96, seconds: 1.5 },
            body: vec![1.0, -0.0, f32::MIN_POSITIVE],
            dense: moments.clone(),
            weights: vec![2.0],
            embedding: moments,
        };
        write(&path, work, &checkpoint, None).unwrap();
        assert_eq!(read(&path, work, None).unwrap(), checkpoint);
        assert_eq!(read(&path, BlobHash::compute(b"other work"), None), None);

        let intact = std::fs::read(&path).unwrap();
        for at in 0..intact.len() {
            let mut broken = intact.clone();
            broken[at] ^= 1;
            std::fs::write(&path, &broken).unwrap();
            assert_eq!(read(&path, work, None), None, "a flipped bit in byte {at}");
        }
        for length in 0..intact.len() {
            std::fs::write(&path, &intact[..length]).unwrap();
            assert_eq!(read(&path, work, None), None, "cut to {length} bytes");
        }
        assert_eq!(read(&folder.path().join("none"), work, None), None);
    }
}
