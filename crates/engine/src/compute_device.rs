//! Where a model is computed: a device, the threads beside it, and what is said of both.

use burn::tensor::Device;
use protocol::fingerprint::{Backend, Fingerprint};
use protocol::trainer::Ready;

use crate::EngineError;
use crate::optimizer::Placement;

/// A backend that was found fit for work.
#[derive(Debug, Clone)]
pub struct ComputeDevice {
    pub(crate) device: Device,
    pub(crate) placement: Placement,
    pub(crate) ready: Ready,
}

impl ComputeDevice {
    /// burn's flex backend, which needs nothing of the machine.
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
        let fingerprint = crate::fingerprint::of(backend, hardware);
        Self {
            device,
            placement,
            ready: Ready { fingerprint, gpu_name, reason: reason.to_owned() },
        }
    }

    /// What decides the bits computed here.
    pub const fn fingerprint(&self) -> &Fingerprint {
        &self.ready.fingerprint
    }

    /// The trainer's first line: the fingerprint, the adapter and why it was taken.
    pub const fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Runs `work` on a pool of this many threads of its own. The work itself is on one of them:
    /// from outside every parallel loop would be a switch between threads.
    pub(crate) fn on_threads<T: Send>(
        threads: u32,
        work: impl FnOnce() -> Result<T, EngineError> + Send,
    ) -> Result<T, EngineError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.max(1) as usize)
            .build()
            .map_err(|error| EngineError::Internal(format!("no threads to compute on: {error}")))?;
        pool.install(work)
    }

    /// Waits for the device and gives back what it holds for tensors that are gone.
    pub(crate) fn clean_up(&self) {
        // A device that can't be waited for has failed the work already.
        let _ = self.device.sync();
        self.device.memory_cleanup();
    }
}
