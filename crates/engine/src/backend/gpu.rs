//! GPU adapters through wgpu: Metal on a Mac, Vulkan elsewhere.

use std::path::Path;

use burn::cubecl::config::cache::CacheConfig;
use burn::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
use burn::tensor::wgpu::wgpu::DeviceType;
use burn::tensor::{Device, DeviceKind};

use super::adapter::Adapter;

/// Opens the best adapter: a discrete GPU before an integrated one. Virtual and software adapters
/// are tried only if `software` is true. Tuned kernels are stored in `cache`. Never panics.
pub(super) fn open(software: bool, cache: Option<&Path>) -> Result<Adapter, String> {
    if let Some(folder) = cache {
        store_kernels_in(folder);
    }
    let kinds = [
        DeviceKind::DiscreteGpu(0),
        DeviceKind::IntegratedGpu(0),
        DeviceKind::VirtualGpu(0),
        DeviceKind::Cpu,
    ];
    let count = if software { kinds.len() } else { 2 };
    let mut reasons = Vec::new();
    for kind in kinds.into_iter().take(count) {
        // A broken driver may panic instead of returning an error.
        match std::panic::catch_unwind(|| open_kind(kind)) {
            Ok(Ok(adapter)) if software || !adapter.software => return Ok(adapter),
            Ok(Ok(adapter)) => reasons.push(format!("{} is a software adapter", adapter.name)),
            Ok(Err(reason)) => reasons.push(reason),
            Err(panic) => reasons.push(crate::panic_message(panic.as_ref())),
        }
    }
    reasons.dedup();
    Err(format!("no GPU could be opened ({}).", reasons.join("; ")))
}

fn open_kind(kind: DeviceKind) -> Result<Adapter, String> {
    let options = Device::wgpu_options().device_kind(kind);
    let (device, setup) = options.init_with_setup().map_err(|error| error.to_string())?;
    let adapter = setup.adapter.get_info();
    let hardware = [
        format!("{:?}", adapter.backend).to_lowercase(),
        adapter.name.clone(),
        adapter.driver.clone(),
        adapter.driver_info.clone(),
    ];
    let hardware: Vec<String> = hardware.into_iter().filter(|part| !part.is_empty()).collect();
    let software = matches!(adapter.device_type, DeviceType::Cpu);
    Ok(Adapter { device, name: adapter.name, hardware: hardware.join(" "), software })
}

fn store_kernels_in(folder: &Path) {
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    config.environment.path = CacheConfig::Directory(folder.to_owned());
    // Fails if the GPU was already used in this process. Kernels then stay in the earlier folder.
    let _ = CubeClRuntimeConfig::try_set(config);
}
