//! Facts about this device's hardware.

use sysinfo::{MemoryRefreshKind, System};

/// Hardware facts that a registration carries.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceFacts {
    /// The machine's name on its network, without a domain.
    pub name: String,
    /// `mac` or `linux`.
    pub device_type: &'static str,
    /// Number of threads that this process may run in parallel.
    pub cores: u32,
    /// Installed memory in GiB, to one decimal.
    pub ram_gb: f64,
}

impl DeviceFacts {
    pub fn read() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut system = System::new();
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let gibibytes = system.total_memory() as f64 / (1_u64 << 30) as f64;
        Self {
            name: short_name(System::host_name()),
            device_type: device_type(),
            cores: u32::try_from(cores).unwrap_or(u32::MAX),
            ram_gb: (gibibytes * 10.0).round() / 10.0,
        }
    }
}

/// `mac` or `linux`.
pub const fn device_type() -> &'static str {
    if cfg!(target_os = "macos") { "mac" } else { "linux" }
}

fn short_name(host: Option<String>) -> String {
    let host = host.unwrap_or_default();
    match host.split('.').next() {
        Some(name) if !name.is_empty() => name.to_owned(),
        Some(_) | None => "unnamed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_has_a_value() {
        let facts = DeviceFacts::read();
        assert!(!facts.name.is_empty());
        assert!(facts.cores >= 1);
        assert!(facts.ram_gb > 0.1);
    }

    #[test]
    fn the_device_name_is_the_first_label_of_the_host_name() {
        assert_eq!(short_name(Some("anna-mac.example.com".into())), "anna-mac");
        assert_eq!(short_name(Some(".local".into())), "unnamed");
        assert_eq!(short_name(None), "unnamed");
    }
}
