//! Probe of the CPU's numeric results, as part of its fingerprint.
//!
//! CPUs with the same architecture and vector instructions can still give different bits. gemm
//! splits sums by the size of the first-level cache (`gemm_common::cache::kernel_params`, from 512
//! summands up), and `exp` and `tanh` come from the system's library. The fingerprint therefore
//! contains a hash of computed results.

use std::sync::OnceLock;

use burn::tensor::{Device, Tensor, TensorData};
use protocol::{RngDomain, SeededRng};

use super::self_test;
use crate::{EngineError, device_failed};

/// Summands of the tested products: an image's pixels, the last layers of the CNN preset, and a
/// number that no cache size divides.
const LENGTHS: [usize; 4] = [512, 784, 3136, 4099];
const SIDE: usize = 72;

/// Returns eight hexadecimal characters for flex on this machine, computed once per process.
pub(crate) fn flex() -> &'static str {
    static PROBE: OnceLock<String> = OnceLock::new();
    PROBE.get_or_init(|| {
        // A machine that cannot compute the probe cannot train either. This text makes its
        // fingerprint differ.
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
    let mut rng = SeededRng::new(RngDomain::SyntheticData, 2, 0, 0, 0);
    for length in LENGTHS {
        let mut matrix = |rows: usize, columns: usize| {
            #[expect(clippy::cast_possible_truncation, reason = "f32 is what is multiplied")]
            let values: Vec<f32> =
                (0..rows * columns).map(|_| rng.uniform() as f32 - 0.5).collect();
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
    fn the_probe_is_the_same_each_time_and_for_any_number_of_threads() {
        let once = hash(&Device::flex()).unwrap();
        assert_eq!(once.len(), 8);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| hash(&Device::flex()).unwrap()), once);
        }
        assert_eq!(flex(), once);
    }
}
