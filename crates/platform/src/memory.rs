//! Memory: installed, used by a process, limits for a child, and releasing unused memory.

use std::process::Command;

use sysinfo::{MemoryRefreshKind, System};

/// Returns the bytes of memory that this machine has, or the limit of this process's control group.
pub fn installed() -> u64 {
    let mut system = System::new();
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let group = system.cgroup_limits().map(|limits| limits.total_memory);
    let total = system.total_memory();
    group.filter(|group| *group > 0).map_or(total, |group| group.min(total))
}

/// Returns the private memory in bytes that a process uses now, or `None` if the process does not exist
/// or can't be read. On macOS this includes GPU memory, like "Memory" in Activity Monitor.
pub fn used_by(pid: u32) -> Option<u64> {
    system::used_by(pid)
}

/// Limits the private memory of a child. Only Linux enforces it; elsewhere the parent has to check
/// [`used_by`].
pub fn limit_child(command: &mut Command, bytes: u64) {
    system::limit_child(command, bytes);
}

/// Returns free heap memory of this process to the system, and on Linux the pages of its program, which
/// are read again when needed.
pub fn release_unused() {
    system::release_unused();
}

#[cfg(target_os = "linux")]
mod system {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use rustix::mm::Advice;
    use rustix::process::{Resource, Rlimit};

    pub(super) fn used_by(pid: u32) -> Option<u64> {
        let pages = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        // Fields: size resident shared text lib data dirty. Shared pages are files.
        let mut pages = pages.split_whitespace().skip(1).map(str::parse::<u64>);
        let (resident, shared) = (pages.next()?.ok()?, pages.next()?.ok()?);
        Some(resident.saturating_sub(shared) * rustix::param::page_size() as u64)
    }

    #[expect(
        unsafe_code,
        reason = "pre_exec runs between fork and exec, where only system calls may"
    )]
    pub(super) fn limit_child(command: &mut Command, bytes: u64) {
        // getrlimit(2): RLIMIT_DATA counts private writable memory, mappings included (Linux 4.7).
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        let limit = move || Ok(rustix::process::setrlimit(Resource::Data, limit)?);
        // SAFETY: `limit` makes one system call: it takes no lock and does not allocate.
        unsafe {
            command.pre_exec(limit);
        }
    }

    #[expect(unsafe_code, reason = "the calls name memory by its address")]
    pub(super) fn release_unused() {
        #[cfg(target_env = "gnu")]
        // SAFETY: the argument is a number, and the call is allowed at any time (malloc_trim(3)).
        unsafe {
            libc::malloc_trim(0);
        }
        for (address, bytes) in own_program() {
            let start = std::ptr::with_exposed_provenance_mut(address);
            // SAFETY: this advice moves pages and never changes their contents (madvise(2)).
            let result = unsafe { rustix::mm::madvise(start, bytes, Advice::LinuxPageOut) };
            if result.is_err() {
                // The kernel is too old for it.
                return;
            }
        }
    }

    /// Returns address and length of each executable mapping of this process's own program.
    pub(super) fn own_program() -> Vec<(usize, usize)> {
        let program = std::fs::read_link("/proc/self/exe").unwrap_or_default();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let parse = |line: &str| {
            let (range, rest) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let is_code =
                rest.starts_with("r-xp") && program.to_str().is_some_and(|it| rest.ends_with(it));
            let start = usize::from_str_radix(start, 16).ok()?;
            let end = usize::from_str_radix(end, 16).ok()?;
            is_code.then(|| (start, end - start))
        };
        maps.lines().filter_map(parse).collect()
    }
}

#[cfg(target_os = "macos")]
mod system {
    use std::process::Command;

    #[expect(unsafe_code, reason = "the system call fills a structure of ours")]
    pub(super) fn used_by(pid: u32) -> Option<u64> {
        let pid = i32::try_from(pid).ok()?;
        // SAFETY: the structure has only numbers, for which zero is valid.
        let mut usage: libc::rusage_info_v4 = unsafe { std::mem::zeroed() };
        let buffer = std::ptr::from_mut(&mut usage).cast();
        // SAFETY: the buffer has the type of the requested flavor and outlives the call.
        let answer = unsafe { libc::proc_pid_rusage(pid, libc::RUSAGE_INFO_V4, buffer) };
        (answer == 0).then_some(usage.ri_phys_footprint)
    }

    #[expect(unsafe_code, reason = "no crate declares it")]
    unsafe extern "C" {
        /// malloc/malloc.h
        fn malloc_zone_pressure_relief(zone: *mut libc::c_void, goal: usize) -> usize;
    }

    #[expect(unsafe_code, reason = "the C library's allocator")]
    pub(super) fn release_unused() {
        // SAFETY: a null zone means every zone, and a goal of 0 means as much as possible.
        unsafe {
            malloc_zone_pressure_relief(std::ptr::null_mut(), 0);
        }
    }

    /// macOS has no limit for anonymous memory.
    pub(super) fn limit_child(_command: &mut Command, _bytes: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_less_than_the_installed_memory() {
        let own = used_by(std::process::id()).unwrap();
        assert!(own > 100_000 && own < installed(), "{own}");
        assert_eq!(used_by(u32::MAX), None);
    }

    #[test]
    fn releasing_unused_memory_changes_no_data() {
        let kept: Vec<Box<[u8]>> = (0..100_u8).map(|n| vec![n; 10_000].into()).collect();
        release_unused();
        assert!((0..100_u8).zip(&kept).all(|(n, bytes)| bytes.iter().all(|byte| *byte == n)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn own_program_contains_this_function() {
        let here = own_program_contains_this_function as fn() as usize;
        let program = system::own_program();
        assert!(program.iter().any(|(start, bytes)| (*start..start + bytes).contains(&here)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_limited_child_can_not_allocate_more() {
        let allocate = |bytes| {
            // dd allocates a buffer of one block.
            let mut command = Command::new("dd");
            command.args(["if=/dev/zero", "of=/dev/null", "bs=200000000", "count=1"]);
            command.stderr(std::process::Stdio::null());
            limit_child(&mut command, bytes);
            command.status().unwrap().success()
        };
        assert!(allocate(600_000_000));
        assert!(!allocate(100_000_000));
    }
}
