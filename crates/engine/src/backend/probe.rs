//! What the CPU's bits really are, beside what it is called.
//!
//! The same architecture and vector instructions don't give the same bits everywhere: gemm cuts sums
//! by the size of the first-level cache (`gemm_common::cache::kernel_params`, from 512 summands up),
//! and `exp` and `tanh` come from the system's library. So a fingerprint carries a hash of what this
//! machine computes, not a guess at what that depends on.

use std::sync::OnceLock;

use burn::tensor::{Device, Tensor, TensorData};
use protocol::{RngDomain, SeededRng};

use super::self_test;
use crate::{EngineError, device_failed};

/// Summands of the products that are looked at: an image's pixels, the last layers of the CNN
/// preset, and a number that no cache size divides.
const LENGTHS: [usize; 4] = [512, 784, 3136, 4099];
const SIDE: usize = 72;

/// Eight hexadecimal characters for flex on this machine; computed once a process.
pub(crate) fn flex() -> &'static str {
    static PROBE: OnceLock<String> = OnceLock::new();
    PROBE.get_or_init(|| {
        // A machine that can't compute the probe can't train either; the word tells it apart.
        hash(&Device::flex()).unwrap_or_else(|_| "unprobed".to_owned())
    })
}

fn hash(device: &Device) -> Result<String, EngineError> {
    let mut hasher = blake3::Hasher::new();
    let mut add = |values: &[f32]| {
        for value in values {
            hasher.update(&value.to_le_bytes());
        }
    };
    for values in self_test::values(device)? {
        add(&values);
    }
    let mut chance = SeededRng::new(RngDomain::SyntheticData, 2, 0, 0, 0);
    for length in LENGTHS {
        let mut matrix = |rows: usize, columns: usize| {
            #[expect(clippy::cast_possible_truncation, reason = "f32 is what is multiplied")]
            let values: Vec<f32> =
                (0..rows * columns).map(|_| chance.uniform() as f32 - 0.5).collect();
            Tensor::<2>::from_data(TensorData::new(values, [rows, columns]), device)
        };
        let product = matrix(SIDE, length).matmul(matrix(length, SIDE));
        add(&product.try_into_vec_as::<f32>().map_err(device_failed)?);
    }
    Ok(hasher.finalize().to_hex().chars().take(8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_gives_the_same_probe_each_time_whatever_the_threads() {
        let once = hash(&Device::flex()).unwrap();
        assert_eq!(once.len(), 8);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| hash(&Device::flex()).unwrap()), once);
        }
        assert_eq!(flex(), once);
    }
}
