//! Giving way: a trainer gets what nobody else wants of the processor and of the disk.
//!
//! Everything here runs between fork and exec, where only system calls may; and nothing that the
//! system refuses keeps the child from starting, because a trainer that is in the way is still
//! stopped at a touch.

/// Puts the calling process behind all others: nice 19, the idle class of the scheduler (it runs
/// where a processor has nothing else to do), and the idle class of the disk's queue.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "system calls that no safe crate offers")]
pub(super) fn give_way() {
    // ioprio.h: the class stands above 13 bits of level; 3 is idle, and 1 says that an id is a
    // process's, 0 being the caller's own.
    const OF_A_PROCESS: libc::c_int = 1;
    const IDLE: libc::c_int = 3 << 13;
    rustix::process::setpriority_process(None, 19).ok();
    let no_level = libc::sched_param { sched_priority: 0 };
    // SAFETY: the calls read their arguments alone, and `no_level` outlives the first.
    unsafe {
        libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const no_level);
        libc::syscall(libc::SYS_ioprio_set, OF_A_PROCESS, 0, IDLE);
    }
}

/// Puts the calling process into the background: the lowest priority of the processor, and of disk
/// and network what others leave (`setpriority(2)`). Type-checked; no Mac has run it.
#[cfg(target_os = "macos")]
#[expect(unsafe_code, reason = "a system call that no safe crate offers")]
pub(super) fn give_way() {
    // SAFETY: the call reads its arguments alone; 0 is the calling process.
    unsafe {
        libc::setpriority(libc::PRIO_DARWIN_PROCESS, 0, libc::PRIO_DARWIN_BG);
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::process::{Command, Stdio};

    use crate::process::{in_background, on_lasting_thread};

    /// What a child says of itself: its nice value and its scheduling policy (`proc(5)`, fields 19
    /// and 41), and its class in the disk's queue.
    fn child(prepare: impl Fn(&mut Command) + Send + 'static) -> (String, String, String) {
        let output = on_lasting_thread(move || {
            let mut command = Command::new("sh");
            command.args(["-c", "cat /proc/self/stat; ionice"]).stderr(Stdio::inherit());
            prepare(&mut command);
            command.output()
        });
        let output = String::from_utf8(output.unwrap().unwrap().stdout).unwrap();
        let (stat, class) = output.split_once('\n').unwrap();
        // The name in parentheses is the second field.
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        (fields[19 - 3].to_owned(), fields[41 - 3].to_owned(), class.trim().to_owned())
    }

    #[test]
    fn a_nice_child_has_the_lowest_priority_everywhere() {
        let said = child(|command| in_background(command, true));
        assert_eq!(said, ("19".into(), libc::SCHED_IDLE.to_string(), "idle".into()));
    }

    #[test]
    fn another_child_is_left_as_its_parent_is() {
        assert_eq!(child(|command| in_background(command, false)), child(|_| {}));
    }
}
