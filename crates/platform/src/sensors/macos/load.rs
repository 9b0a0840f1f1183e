//! macOS: load of other processes, and memory pressure.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::sensors::Pressure;

/// The counters of the last call.
#[derive(Debug, Default)]
pub(super) struct Load {
    system: System,
    last: Option<Counters>,
}

#[derive(Debug)]
struct Counters {
    at: Instant,
    /// Processor time of each of our processes in milliseconds.
    own: HashMap<Pid, u64>,
}

impl Load {
    /// Returns the share of all cores that other processes used since the last call. `own` and its
    /// descendants don't count.
    pub(super) fn since_last(&mut self, own: u32) -> Result<f32, String> {
        self.system.refresh_cpu_usage();
        let kind = ProcessRefreshKind::nothing().with_cpu().without_tasks();
        self.system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
        let now = Counters { at: Instant::now(), own: self.times_of(Pid::from_u32(own)) };
        let (usage, cores) = (self.system.global_cpu_usage(), self.system.cpus().len());
        let last = self.last.replace(now);
        let (Some(last), Some(now)) = (last, &self.last) else {
            return Err("it needs two readings".into());
        };
        let spent = now.own.iter().map(|(pid, milliseconds)| {
            milliseconds.saturating_sub(last.own.get(pid).copied().unwrap_or(0))
        });
        let whole = now.at.duration_since(last.at).mul_f64(cores as f64);
        others(usage, Duration::from_millis(spent.sum()), whole)
    }

    /// Returns the processor time of `own` and its descendants.
    fn times_of(&self, own: Pid) -> HashMap<Pid, u64> {
        let processes = self.system.processes();
        let is_ours = |mut pid: Pid| {
            // Bounded, because a process id may be reused while the list is read.
            for _ in 0..processes.len() {
                if pid == own {
                    return true;
                }
                let parent = processes.get(&pid).and_then(sysinfo::Process::parent);
                let Some(parent) = parent else { return false };
                pid = parent;
            }
            false
        };
        let ours = processes.iter().filter(|(pid, _)| is_ours(**pid));
        ours.map(|(pid, process)| (*pid, process.accumulated_cpu_time())).collect()
    }
}

/// Returns the share of other processes if all processes use `usage` percent, and our own used `own` of the
/// `whole` time of all cores.
fn others(usage: f32, own: Duration, whole: Duration) -> Result<f32, String> {
    if whole.is_zero() {
        return Err("it needs two readings".into());
    }
    Ok((usage / 100.0 - own.div_duration_f32(whole)).clamp(0.0, 1.0))
}

/// Reads `kern.memorystatus_vm_pressure_level`, with the values of `DISPATCH_MEMORYPRESSURE_*`: 1, 2 and 4.
#[expect(unsafe_code, reason = "no safe crate reads a number of sysctl")]
pub(super) fn memory_pressure() -> Result<Pressure, String> {
    let mut level: libc::c_int = 0;
    let mut length = size_of_val(&level);
    let name = c"kern.memorystatus_vm_pressure_level";
    // SAFETY: the name ends with a zero, and both the level and its length outlive the call.
    let answer = unsafe {
        libc::sysctlbyname(
            name.as_ptr(),
            (&raw mut level).cast(),
            &raw mut length,
            std::ptr::null_mut(),
            0,
        )
    };
    if answer != 0 {
        return Err(format!("sysctl: {}", std::io::Error::last_os_error()));
    }
    match level {
        1 => Ok(Pressure::Normal),
        2 => Ok(Pressure::Warning),
        4 => Ok(Pressure::Critical),
        other => Err(format!("unknown memory pressure level {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_processes_do_not_count() {
        let seconds = Duration::from_secs;
        assert_eq!(others(75.0, seconds(4), seconds(8)), Ok(0.25));
        assert_eq!(
            others(50.0, seconds(8), seconds(8)),
            Ok(0.0),
            "never negative, although two clocks are compared"
        );
        assert!(others(50.0, seconds(0), seconds(0)).is_err());
    }
}
