//! What this machine's bits depend on (DESIGN §11.3).

use protocol::fingerprint::{Backend, Fingerprint};

/// The version of burn that the workspace pins.
const BURN: &str = "0.22.1";

pub(crate) fn of(backend: Backend, hardware: String) -> Fingerprint {
    let (app, burn) = (env!("CARGO_PKG_VERSION").to_owned(), BURN.to_owned());
    Fingerprint { app, burn, backend, hardware }
}

/// Architecture, the vector instructions that flex's and gemm's kernels choose by, and a hash of
/// what they compute here. Threads are not part of it: they change no bit (decision 0002).
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
