//! Which backend a trainer computes on, and why.

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

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackendChoice {
    /// A discrete or integrated GPU that passes the self-test, else the CPU.
    #[default]
    Auto,
    Cpu,
    /// Any adapter, a software one too; it must pass the self-test.
    Wgpu,
}

impl BackendChoice {
    pub const ALL: [Self; 3] = [Self::Auto, Self::Cpu, Self::Wgpu];

    /// The name on the command line.
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

/// A word that names no backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a backend; take auto, cpu or wgpu")]
pub struct UnknownBackend(String);

impl FromStr for BackendChoice {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<Self, UnknownBackend> {
        let known = Self::ALL.into_iter().find(|choice| choice.name() == text);
        known.ok_or_else(|| UnknownBackend(text.to_owned()))
    }
}

/// An adapter that could be opened.
struct Adapter {
    device: burn::tensor::Device,
    name: String,
    /// Family and driver: what its bits depend on.
    hardware: String,
    /// A program that plays a GPU.
    software: bool,
}

impl ComputeDevice {
    /// The backend for a choice, tested. `cache` is a folder where a passed self-test is
    /// remembered, by fingerprint, and a GPU's tuned kernels are kept.
    pub fn choose(choice: BackendChoice, cache: Option<&Path>) -> Result<Self, EngineError> {
        match choice {
            BackendChoice::Cpu => Ok(Self::cpu("The CPU was asked for.")),
            BackendChoice::Wgpu => gpu::open(true, cache)
                .and_then(|adapter| accept(adapter, "It was asked for", cache))
                .map_err(EngineError::Backend),
            BackendChoice::Auto => {
                let taken = gpu::open(false, cache)
                    .and_then(|adapter| accept(adapter, "A GPU was found", cache));
                Ok(taken.unwrap_or_else(|reason| Self::cpu(&format!("On the CPU: {reason}"))))
            }
        }
    }
}

/// The adapter as a backend, if it computes what the CPU does.
fn accept(adapter: Adapter, why: &str, cache: Option<&Path>) -> Result<ComputeDevice, String> {
    let Adapter { device, name, hardware, software } = adapter;
    let kind = if software { "a software adapter" } else { "a GPU" };
    let reason = format!("{why} and it passed the self-test: {name}, {kind}.");
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
        Ok(Err(fault)) => Err(fault.to_string()),
        Err(panic) => Err(crate::panic_message(panic.as_ref())),
    };
    compute.clean_up();
    match outcome {
        Ok(()) => {
            self_test::remember(cache, &fingerprint);
            Ok(compute)
        }
        Err(fault) => Err(format!("{name} failed the self-test: {fault}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_read_by_its_name() {
        for choice in BackendChoice::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        let unknown = "metal".parse::<BackendChoice>().unwrap_err();
        assert_eq!(unknown.to_string(), "'metal' is not a backend; take auto, cpu or wgpu");
    }

    #[test]
    fn the_cpu_is_always_to_be_had_and_says_why() {
        let compute = ComputeDevice::choose(BackendChoice::Cpu, None).unwrap();
        assert_eq!(compute.fingerprint().backend, Backend::Cpu);
        assert_eq!(compute.ready().reason, "The CPU was asked for.");
    }

    #[cfg(not(any(feature = "wgpu", target_vendor = "apple")))]
    #[test]
    fn without_a_gpu_backend_auto_takes_the_cpu_and_wgpu_is_refused() {
        let compute = ComputeDevice::choose(BackendChoice::Auto, None).unwrap();
        assert_eq!(compute.fingerprint().backend, Backend::Cpu);
        assert!(compute.ready().reason.contains("built without"), "{}", compute.ready().reason);
        let refused = ComputeDevice::choose(BackendChoice::Wgpu, None).unwrap_err();
        assert_eq!(refused.failure(), protocol::trainer::TrainerFailure::Backend);
    }
}
