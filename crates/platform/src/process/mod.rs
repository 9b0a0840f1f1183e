//! Processes: background children that don't outlive their parent, open-file limits and signals.

mod priority;

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

use rustix::process::{Pid, Resource, Rlimit, Signal};

/// Prepares a command for a background child. With `nice` it gets the lowest priority that the system
/// allows. On Linux the kernel kills it when the thread that spawned it ends, so spawn it with
/// [`on_lasting_thread`]. Elsewhere the child detects the end of its parent by the end of its standard
/// input.
#[expect(unsafe_code, reason = "pre_exec runs between fork and exec, where only system calls may")]
pub fn in_background(command: &mut Command, nice: bool) {
    let parent = rustix::process::getpid();
    let prepare = move || {
        if nice {
            priority::lower();
        }
        die_with(parent)
    };
    // SAFETY: `prepare` only makes system calls. It takes no lock and does not allocate.
    unsafe {
        command.pre_exec(prepare);
    }
}

#[cfg(target_os = "linux")]
fn die_with(parent: Pid) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died between fork and the line above.
    if rustix::process::getppid() == Some(parent) {
        Ok(())
    } else {
        Err(rustix::io::Errno::SRCH.into())
    }
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "Linux can refuse")]
fn die_with(_parent: Pid) -> io::Result<()> {
    Ok(())
}

/// macOS's `OPEN_MAX`: the number of open files that every version of it grants to a process.
const OPEN_MAX: u64 = 10_240;

type Task = Box<dyn FnOnce() + Send>;

/// Runs `task` on a thread that lives as long as this process, and returns its result. Linux sends a child
/// its parent-death signal when the thread that spawned it ends, and the threads of an async runtime come
/// and go.
///
/// # Errors
/// The thread can't be started, or `task` panicked.
pub fn on_lasting_thread<T: Send + 'static>(
    task: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    static TASKS: OnceLock<Option<Sender<Task>>> = OnceLock::new();
    let tasks = TASKS.get_or_init(|| {
        let (tasks, waiting) = channel::<Task>();
        let run = move || {
            for task in waiting {
                // The panic hook has printed the panic, and the caller gets an error below.
                drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(task)));
            }
        };
        std::thread::Builder::new().name("spawner".into()).spawn(run).ok().map(|_| tasks)
    });
    let (result, answer) = channel();
    let tasks = tasks.as_ref().ok_or(io::ErrorKind::WouldBlock)?;
    let send = move || drop(result.send(task()));
    tasks.send(Box::new(send)).map_err(|_| io::ErrorKind::BrokenPipe)?;
    answer.recv().map_err(|_| io::ErrorKind::BrokenPipe.into())
}

/// Raises the soft limit of open files as far as allowed and returns the new limit. Shells start programs
/// with a limit of a few hundred, and each connection uses one.
pub fn raise_open_files() -> u64 {
    let Rlimit { current, maximum } = rustix::process::getrlimit(Resource::Nofile);
    // macOS may report no limit and then accept at most `OPEN_MAX`.
    let wanted = [maximum.unwrap_or(u64::MAX), OPEN_MAX];
    let wanted = wanted.into_iter().filter(|wanted| current.is_some_and(|now| now < *wanted));
    for current in wanted {
        let raised = Rlimit { current: Some(current), maximum };
        if rustix::process::setrlimit(Resource::Nofile, raised).is_ok() {
            return current;
        }
    }
    current.unwrap_or(u64::MAX)
}

/// Kills a process (SIGKILL).
///
/// # Errors
/// The process does not exist, or belongs to another account.
pub fn kill(pid: u32) -> io::Result<()> {
    signal(pid, Signal::KILL)
}

/// Asks a process to end (SIGTERM).
///
/// # Errors
/// The process does not exist, or belongs to another account.
pub fn terminate(pid: u32) -> io::Result<()> {
    signal(pid, Signal::TERM)
}

/// Whether a process exists. A zombie counts.
pub fn is_alive(pid: u32) -> bool {
    match process_id(pid).map(rustix::process::test_kill_process) {
        Ok(Ok(()) | Err(rustix::io::Errno::PERM)) => true,
        Ok(Err(_)) | Err(_) => false,
    }
}

fn signal(pid: u32, signal: Signal) -> io::Result<()> {
    Ok(rustix::process::kill_process(process_id(pid)?, signal)?)
}

fn process_id(pid: u32) -> io::Result<Pid> {
    // 0 would mean the caller's own process group.
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("no process {pid}")))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::Stdio;

    use super::*;

    #[test]
    fn a_background_child_can_be_killed() {
        let mut child = on_lasting_thread(|| {
            let mut command = Command::new("sh");
            command.args(["-c", "echo here; read line"]);
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            in_background(&mut command, true);
            command.spawn()
        })
        .unwrap()
        .unwrap();
        let mut here = [0; 4];
        child.stdout.take().unwrap().read_exact(&mut here).unwrap();
        assert_eq!(&here, b"here");
        assert!(is_alive(child.id()));
        kill(child.id()).unwrap();
        assert!(!child.wait().unwrap().success());
        assert!(!is_alive(child.id()));
        assert!(kill(child.id()).is_err());
    }

    #[test]
    fn the_limit_of_open_files_is_raised_once() {
        let raised = raise_open_files();
        let now = rustix::process::getrlimit(Resource::Nofile);
        assert_eq!(now.current.unwrap_or(u64::MAX), raised);
        assert_eq!(raise_open_files(), raised);
        assert!(now.maximum.is_none_or(|most| raised == most || raised >= OPEN_MAX));
    }

    #[test]
    fn a_panicking_task_is_an_error_and_the_thread_continues() {
        assert!(on_lasting_thread(|| panic!("on purpose")).is_err());
        assert_eq!(on_lasting_thread(|| 7).unwrap(), 7);
    }

    #[test]
    fn process_ids_that_would_mean_a_group_are_refused() {
        assert!(kill(0).is_err());
        assert!(kill(u32::MAX).is_err());
    }

    /// The test starts itself as the parent, which starts a sleeping child.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_child_ends_with_a_killed_parent() {
        if std::env::var_os("PLATFORM_TEST_PARENT").is_some() {
            let mut command = Command::new("sh");
            command.args(["-c", "echo child; exec sleep 600"]);
            in_background(&mut command, false);
            drop(on_lasting_thread(move || command.spawn()?.wait()));
            return;
        }
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::tests::a_child_ends_with_a_killed_parent", "--nocapture"])
            .env("PLATFORM_TEST_PARENT", "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = parent.stdout.take().unwrap();
        let mut received = Vec::new();
        while !String::from_utf8_lossy(&received).contains("child") {
            let mut piece = [0; 256];
            let length = output.read(&mut piece).unwrap();
            assert_ne!(length, 0, "the parent ended early");
            received.extend_from_slice(&piece[..length]);
        }
        parent.kill().unwrap();
        parent.wait().unwrap();
        // The child keeps the pipe open, so the pipe ends when the child does.
        output.read_to_end(&mut received).unwrap();
    }
}
