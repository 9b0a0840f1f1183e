//! Compute device: a burn device with its placement, fingerprint and description.

use burn::tensor::Device;
use protocol::fingerprint::{Backend, Fingerprint};
use protocol::trainer::Ready;

use crate::EngineError;
use crate::optimizer::Placement;

/// Compute device that passed its checks.
#[derive(Debug, Clone)]
pub struct ComputeDevice {
    pub(crate) device: Device,
    pub(crate) placement: Placement,
    pub(crate) ready: Ready,
}

impl ComputeDevice {
    /// Creates the device of burn's flex backend, which works on every machine.
    pub fn cpu(reason: &str) -> Self {
        Self::new(
            Device::flex(),
            Placement::Host,
            Backend::Cpu,
            crate::fingerprint::cpu(),
            None,
            reason,
        )
    }

    pub(crate) fn new(
        device: Device,
        placement: Placement,
        backend: Backend,
        hardware: String,
        gpu_name: Option<String>,
        reason: &str,
    ) -> Self {
        let fingerprint = crate::fingerprint::for_backend(backend, hardware);
        Self {
            device,
            placement,
            ready: Ready { fingerprint, gpu_name, reason: reason.to_owned() },
        }
    }

    /// Returns the numeric fingerprint of results computed here.
    pub const fn fingerprint(&self) -> &Fingerprint {
        &self.ready.fingerprint
    }

    /// Returns the trainer's first reply: fingerprint, adapter and the reason for the choice.
    pub const fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Runs `work` on its own pool of this many threads. The work itself runs on one of them, which
    /// avoids a thread switch for every parallel loop.
    pub(crate) fn on_threads<T: Send>(
        threads: u32,
        work: impl FnOnce() -> Result<T, EngineError> + Send,
    ) -> Result<T, EngineError> {
        let pool =
            rayon::ThreadPoolBuilder::new().num_threads(threads.max(1) as usize).build().map_err(
                |error| EngineError::Internal(format!("can't start compute threads: {error}")),
            )?;
        pool.install(work)
    }

    /// Waits for the device and frees the memory of dropped tensors.
    pub(crate) fn clean_up(&self) {
        // If the device fails here, the work has already failed.
        let _ = self.device.sync();
        self.device.memory_cleanup();
    }
}
