//! Numeric fingerprint of this machine. See docs/design/randomness-and-exact-sums.md.

use protocol::fingerprint::{Backend, Fingerprint};

/// Version of burn that the workspace pins.
const BURN: &str = "0.22.1";

/// Returns the fingerprint of a backend on this machine.
pub(crate) fn for_backend(backend: Backend, hardware: String) -> Fingerprint {
    let (app, burn) = (env!("CARGO_PKG_VERSION").to_owned(), BURN.to_owned());
    Fingerprint { app, burn, backend, hardware }
}

/// Returns the CPU's part of the fingerprint: architecture, the vector instructions that flex's and
/// gemm's kernels select by, and a hash of what they compute here. The number of threads is not
/// included, because it changes no bit (docs/decisions/0002-threads-and-bits.md).
pub(crate) fn cpu() -> String {
    format!("{}+{}+{}", std::env::consts::ARCH, simd(), crate::backend::flex_probe())
}

#[cfg(target_arch = "x86_64")]
fn simd() -> &'static str {
    use std::arch::is_x86_feature_detected as has;
    if has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("fma") {
        "avx512"
    } else if has!("avx2") && has!("fma") {
        "avx2"
    } else {
        "sse2"
    }
}

#[cfg(target_arch = "aarch64")]
fn simd() -> &'static str {
    if std::arch::is_aarch64_feature_detected!("neon") { "neon" } else { "scalar" }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn simd() -> &'static str {
    "scalar"
}
