//! Choice of a trainer's compute backend.

mod adapter;
#[cfg(any(feature = "wgpu", target_vendor = "apple"))]
mod gpu;
#[cfg(not(any(feature = "wgpu", target_vendor = "apple")))]
#[path = "no_gpu.rs"]
mod gpu;
mod probe;
mod self_test;

pub(crate) use probe::flex as flex_probe;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use protocol::fingerprint::Backend;

use crate::optimizer::Placement;
use crate::{ComputeDevice, EngineError};

use adapter::Adapter;

/// Requested backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackendChoice {
    /// A discrete or integrated GPU that passes the self-test, or else the CPU.
    #[default]
    Auto,
    Cpu,
    /// Any adapter, including a software adapter. It must pass the self-test.
    Wgpu,
}

impl BackendChoice {
    pub const ALL: [Self; 3] = [Self::Auto, Self::Cpu, Self::Wgpu];

    /// Returns the name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Wgpu => "wgpu",
        }
    }
}

impl fmt::Display for BackendChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Text that is not a backend name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a backend; use auto, cpu or wgpu")]
pub struct UnknownBackend(String);

impl FromStr for BackendChoice {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<Self, UnknownBackend> {
        let known = Self::ALL.into_iter().find(|choice| choice.name() == text);
        known.ok_or_else(|| UnknownBackend(text.to_owned()))
    }
}

impl ComputeDevice {
    /// Opens and tests the backend of a choice. `cache` is a folder for passed self-tests, by
    /// fingerprint, and for a GPU's tuned kernels.
    pub fn choose(choice: BackendChoice, cache: Option<&Path>) -> Result<Self, EngineError> {
        match choice {
            BackendChoice::Cpu => Ok(Self::cpu("As configured: CPU.")),
            BackendChoice::Wgpu => gpu::open(true, cache)
                .and_then(|adapter| accept(adapter, "As configured", cache))
                .map_err(EngineError::Backend),
            BackendChoice::Auto => {
                let gpu = gpu::open(false, cache)
                    .and_then(|adapter| accept(adapter, "Found automatically", cache));
                Ok(gpu.unwrap_or_else(|reason| Self::cpu(&format!("Using the CPU: {reason}"))))
            }
        }
    }
}

/// Returns the adapter as a compute device if its results match the CPU's.
fn accept(adapter: Adapter, why: &str, cache: Option<&Path>) -> Result<ComputeDevice, String> {
    let Adapter { device, name, hardware, software } = adapter;
    let kind = if software { "software adapter" } else { "GPU" };
    let reason = format!("{why}: {name} ({kind}), which passed the self-test.");
    let compute = ComputeDevice::new(
        device,
        Placement::Device,
        Backend::Wgpu,
        hardware,
        Some(name.clone()),
        &reason,
    );
    let fingerprint = compute.fingerprint().to_string();
    if self_test::passed_before(cache, &fingerprint) {
        return Ok(compute);
    }
    let test = std::panic::catch_unwind(|| self_test::run(&compute.device));
    let outcome = match test {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(panic) => Err(crate::panic_message(panic.as_ref())),
    };
    compute.clean_up();
    match outcome {
        Ok(()) => {
            self_test::record_pass(cache, &fingerprint);
            Ok(compute)
        }
        Err(error) => Err(format!("{name} failed the self-test: {error}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_parsed_by_its_name() {
        for choice in BackendChoice::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        let unknown = "metal".parse::<BackendChoice>().unwrap_err();
        assert_eq!(unknown.to_string(), "'metal' is not a backend; use auto, cpu or wgpu");
    }

    #[test]
    fn the_cpu_is_always_available_with_a_reason() {
        let compute = ComputeDevice::choose(BackendChoice::Cpu, None).unwrap();
        assert_eq!(compute.fingerprint().backend, Backend::Cpu);
        assert_eq!(compute.ready().reason, "As configured: CPU.");
    }

    #[cfg(not(any(feature = "wgpu", target_vendor = "apple")))]
    #[test]
    fn without_a_gpu_backend_auto_uses_the_cpu_and_wgpu_is_refused() {
        let compute = ComputeDevice::choose(BackendChoice::Auto, None).unwrap();
        assert_eq!(compute.fingerprint().backend, Backend::Cpu);
        assert!(compute.ready().reason.contains("built without"), "{}", compute.ready().reason);
        let refused = ComputeDevice::choose(BackendChoice::Wgpu, None).unwrap_err();
        assert_eq!(refused.failure(), protocol::trainer::TrainerFailure::Backend);
    }
}
