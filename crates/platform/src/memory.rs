//! How much memory the machine has, how much a process takes, and a bound on a child's.

use std::process::Command;

use sysinfo::{MemoryRefreshKind, System};

/// Bytes that this machine has, or that its control group lets this process have.
pub fn installed() -> u64 {
    let mut system = System::new();
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let group = system.cgroup_limits().map(|limits| limits.total_memory);
    let total = system.total_memory();
    group.filter(|group| *group > 0).map_or(total, |group| group.min(total))
}

/// Bytes of its own that a process takes now; none where there is no such process or it isn't ours.
/// On a Mac that counts what the GPU holds for it, as Activity Monitor's "Memory" does.
pub fn taken(pid: u32) -> Option<u64> {
    system::taken(pid)
}

/// Has the system refuse a child more memory of its own than this, where it can: on Linux. Elsewhere
/// whoever started it looks ([`taken`]).
pub fn bound(command: &mut Command, bytes: u64) {
    system::bound(command, bytes);
}

#[cfg(target_os = "linux")]
mod system {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use rustix::process::{Resource, Rlimit};

    pub(super) fn taken(pid: u32) -> Option<u64> {
        let pages = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        // size resident shared text lib data dirty; what is shared is files.
        let mut pages = pages.split_whitespace().skip(1).map(str::parse::<u64>);
        let (resident, shared) = (pages.next()?.ok()?, pages.next()?.ok()?);
        Some(resident.saturating_sub(shared) * rustix::param::page_size() as u64)
    }

    #[expect(
        unsafe_code,
        reason = "pre_exec runs between fork and exec, where only system calls may"
    )]
    pub(super) fn bound(command: &mut Command, bytes: u64) {
        // getrlimit(2): RLIMIT_DATA counts private writable memory, mappings included (Linux 4.7).
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        let limit = move || Ok(rustix::process::setrlimit(Resource::Data, limit)?);
        // SAFETY: `limit` makes one system call: it takes no lock and does not allocate.
        unsafe {
            command.pre_exec(limit);
        }
    }
}

#[cfg(target_os = "macos")]
mod system {
    use std::process::Command;

    #[expect(unsafe_code, reason = "the system call fills a structure of ours")]
    pub(super) fn taken(pid: u32) -> Option<u64> {
        let pid = i32::try_from(pid).ok()?;
        // SAFETY: a structure of numbers, for which zeros are values.
        let mut usage: libc::rusage_info_v4 = unsafe { std::mem::zeroed() };
        let buffer = std::ptr::from_mut(&mut usage).cast();
        // SAFETY: the buffer is of the asked flavor and outlives the call.
        let answer = unsafe { libc::proc_pid_rusage(pid, libc::RUSAGE_INFO_V4, buffer) };
        (answer == 0).then_some(usage.ri_phys_footprint)
    }

    /// macOS takes no such limit for anonymous memory.
    pub(super) fn bound(_command: &mut Command, _bytes: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_less_than_there_is() {
        let own = taken(std::process::id()).unwrap();
        assert!(own > 100_000 && own < installed(), "{own}");
        assert_eq!(taken(u32::MAX), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_bound_child_is_refused_more() {
        let hoard = |bytes| {
            // It takes a buffer of one block.
            let mut command = Command::new("dd");
            command.args(["if=/dev/zero", "of=/dev/null", "bs=200000000", "count=1"]);
            command.stderr(std::process::Stdio::null());
            bound(&mut command, bytes);
            command.status().unwrap().success()
        };
        assert!(hoard(600_000_000));
        assert!(!hoard(100_000_000));
    }
}
