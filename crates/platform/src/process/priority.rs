//! Background priority for trainers, for processor and disk.
//!
//! The functions run between fork and exec, where only system calls are allowed. Errors are ignored: a
//! trainer with normal priority still stops when the owner touches the machine.

/// Gives the calling process the lowest priority: nice 19, the scheduler's idle class (it runs only on
/// idle processors), and the idle class of the disk's queue.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "system calls that no safe crate offers")]
pub(super) fn lower() {
    // ioprio.h: the class is stored above 13 bits of level. 0 as id means the calling process.
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    const IOPRIO_CLASS_IDLE: libc::c_int = 3 << 13;
    rustix::process::setpriority_process(None, 19).ok();
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the calls only read their arguments, and `parameters` outlives the first.
    unsafe {
        libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters);
        libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_CLASS_IDLE);
    }
}

/// Puts the calling process into the background: lowest processor priority and throttled disk and network
/// I/O (`setpriority(2)`). Type-checked only; it has never run on a Mac.
#[cfg(target_os = "macos")]
#[expect(unsafe_code, reason = "a system call that no safe crate offers")]
pub(super) fn lower() {
    // SAFETY: the call only reads its arguments; 0 is the calling process.
    unsafe {
        libc::setpriority(libc::PRIO_DARWIN_PROCESS, 0, libc::PRIO_DARWIN_BG);
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::process::{Command, Stdio};

    use crate::process::{in_background, on_lasting_thread};

    /// Runs a child and returns its nice value, its scheduling policy (`proc(5)`, fields 19 and 41), and
    /// its class in the disk's queue.
    fn child(prepare: impl Fn(&mut Command) + Send + 'static) -> (String, String, String) {
        let output = on_lasting_thread(move || {
            let mut command = Command::new("sh");
            command.args(["-c", "cat /proc/self/stat; ionice"]).stderr(Stdio::inherit());
            prepare(&mut command);
            command.output()
        });
        let output = String::from_utf8(output.unwrap().unwrap().stdout).unwrap();
        let (stat, class) = output.split_once('\n').unwrap();
        // The second field is the name, in parentheses.
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        (fields[19 - 3].to_owned(), fields[41 - 3].to_owned(), class.trim().to_owned())
    }

    #[test]
    fn a_nice_child_has_the_lowest_priority_everywhere() {
        let priority = child(|command| in_background(command, true));
        assert_eq!(priority, ("19".into(), libc::SCHED_IDLE.to_string(), "idle".into()));
    }

    #[test]
    fn a_child_without_nice_keeps_its_parent_s_priority() {
        assert_eq!(child(|command| in_background(command, false)), child(|_| {}));
    }
}
