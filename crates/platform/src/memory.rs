//! How much memory the machine has, how much a process takes, a bound on a child's, and giving back.

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

/// Returns to the system what this process's heap keeps though it is free, and on Linux the pages of
/// its program: those that are needed again are read again.
pub fn give_back() {
    system::give_back();
}

#[cfg(target_os = "linux")]
mod system {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use rustix::mm::Advice;
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

    #[expect(unsafe_code, reason = "the calls name memory by its address")]
    pub(super) fn give_back() {
        #[cfg(target_env = "gnu")]
        // SAFETY: it takes a number, and may be called at any time (malloc_trim(3)).
        unsafe {
            libc::malloc_trim(0);
        }
        for (address, bytes) in own_program() {
            let start = std::ptr::with_exposed_provenance_mut(address);
            // SAFETY: this advice changes where pages are, never what is in them (madvise(2)).
            let given = unsafe { rustix::mm::madvise(start, bytes, Advice::LinuxPageOut) };
            if given.is_err() {
                // An older kernel.
                return;
            }
        }
    }

    /// Address and bytes of each mapping of this process's own program from which code is run.
    pub(super) fn own_program() -> Vec<(usize, usize)> {
        let program = std::fs::read_link("/proc/self/exe").unwrap_or_default();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let of = |line: &str| {
            let (range, rest) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let is_code =
                rest.starts_with("r-xp") && program.to_str().is_some_and(|it| rest.ends_with(it));
            let start = usize::from_str_radix(start, 16).ok()?;
            let end = usize::from_str_radix(end, 16).ok()?;
            is_code.then(|| (start, end - start))
        };
        maps.lines().filter_map(of).collect()
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

    #[expect(unsafe_code, reason = "no crate declares it")]
    unsafe extern "C" {
        /// malloc/malloc.h
        fn malloc_zone_pressure_relief(zone: *mut libc::c_void, goal: usize) -> usize;
    }

    #[expect(unsafe_code, reason = "the C library's allocator")]
    pub(super) fn give_back() {
        // SAFETY: no zone is every zone, and no goal is as much as there is.
        unsafe {
            malloc_zone_pressure_relief(std::ptr::null_mut(), 0);
        }
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

    #[test]
    fn what_is_given_back_is_what_nobody_uses() {
        let kept: Vec<Box<[u8]>> = (0..100_u8).map(|n| vec![n; 10_000].into()).collect();
        give_back();
        assert!((0..100_u8).zip(&kept).all(|(n, bytes)| bytes.iter().all(|byte| *byte == n)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_program_that_is_given_back_is_this_one() {
        let here = the_program_that_is_given_back_is_this_one as fn() as usize;
        let program = system::own_program();
        assert!(program.iter().any(|(start, bytes)| (*start..start + bytes).contains(&here)));
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
