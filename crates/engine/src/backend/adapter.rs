//! GPU adapter as the backends open it.

/// Opened GPU adapter.
pub(super) struct Adapter {
    pub(super) device: burn::tensor::Device,
    pub(super) name: String,
    /// GPU family and driver, which decide its bits.
    pub(super) hardware: String,
    /// Whether it is a software adapter, which emulates a GPU.
    pub(super) software: bool,
}
