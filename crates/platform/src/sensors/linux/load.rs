//! Linux: load of other processes, which is the machine's busy time minus that of our own processes.

use std::collections::HashMap;
use std::path::Path;

use super::files::{entries, text};

/// The counters of the last call.
#[derive(Debug, Default)]
pub(super) struct Load(Option<Counters>);

/// Processor time in clock ticks.
#[derive(Debug, Clone, Default)]
struct Counters {
    busy: u64,
    all: u64,
    /// Time of each of our processes, by process id.
    own: HashMap<u32, u64>,
}

impl Load {
    /// Returns the share of all cores that other processes used since the last call. `own` and its
    /// descendants don't count.
    pub(super) fn since_last(&mut self, root: &Path, own: u32) -> Result<f32, String> {
        let now = read(root, own)?;
        let Some(last) = self.0.replace(now.clone()) else {
            return Err("it needs two readings".into());
        };
        let all = now.all.saturating_sub(last.all);
        if all == 0 {
            return Err("it needs two readings".into());
        }
        let own: u64 = now
            .own
            .iter()
            .map(|(pid, ticks)| ticks.saturating_sub(last.own.get(pid).copied().unwrap_or(0)))
            .sum();
        let others = now.busy.saturating_sub(last.busy).saturating_sub(own);
        Ok((others as f32 / all as f32).clamp(0.0, 1.0))
    }
}

fn read(root: &Path, own: u32) -> Result<Counters, String> {
    let path = root.join("proc/stat");
    let stat = text(&path)?;
    let ticks: Vec<u64> = stat
        .lines()
        .find_map(|line| line.strip_prefix("cpu "))
        .ok_or_else(|| format!("{}: the line \"cpu\" is missing", path.display()))?
        .split_whitespace()
        // user nice system idle iowait irq softirq steal; the time of guests is included in user.
        .take(8)
        .filter_map(|word| word.parse().ok())
        .collect();
    let &[_, _, _, idle, waiting, ..] = ticks.as_slice() else {
        return Err(format!("{}: too few numbers", path.display()));
    };
    let all: u64 = ticks.iter().sum();
    Ok(Counters { busy: all - idle - waiting, all, own: ticks_of(root, own) })
}

/// Returns the ticks of `own` and its descendants.
fn ticks_of(root: &Path, own: u32) -> HashMap<u32, u64> {
    let processes: HashMap<u32, (u32, u64)> = entries(&root.join("proc"))
        .iter()
        .filter_map(|folder| {
            let pid = folder.file_name()?.to_str()?.parse().ok()?;
            Some((pid, process(&text(&folder.join("stat")).ok()?)?))
        })
        .collect();
    let is_ours = |mut pid: u32| {
        // Bounded, because a process id may be reused while the list is read.
        for _ in 0..processes.len() {
            if pid == own {
                return true;
            }
            let Some((parent, _)) = processes.get(&pid) else { return false };
            pid = *parent;
        }
        false
    };
    let ours = processes.iter().filter(|(pid, _)| is_ours(**pid));
    ours.map(|(pid, (_, ticks))| (*pid, *ticks)).collect()
}

/// Parent and ticks out of `/proc/[pid]/stat`; a program's name may hold anything but ends with the
/// last bracket.
fn process(stat: &str) -> Option<(u32, u64)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some((u32::try_from(number(1)?).ok()?, number(11)? + number(12)?))
}

#[cfg(test)]
mod tests {
    use super::super::machine::tests::write;
    use super::*;

    fn stat(parent: u32, ticks: u64) -> String {
        format!("7 (a (b) c) S {parent} 1 1 0 -1 0 0 0 0 0 {ticks} 5 0 0 39 19 4 0 1 0")
    }

    #[test]
    fn own_processes_do_not_count() {
        let root = tempfile::tempdir().unwrap();
        let write_at = |user: u64, idle: u64, trainer: u64, other: u64| {
            write(
                root.path(),
                &[
                    ("proc/stat", &format!("cpu  {user} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 2\n")),
                    ("proc/10/stat", &stat(1, 0)),
                    ("proc/11/stat", &stat(10, trainer)),
                    ("proc/12/stat", &stat(1, other)),
                    ("proc/self/stat", "no process of this name"),
                ],
            );
        };
        let mut load = Load::default();
        write_at(1000, 1000, 500, 500);
        assert!(load.since_last(root.path(), 10).is_err(), "the first reading");
        write_at(1100, 1100, 580, 520);
        assert_eq!(load.since_last(root.path(), 10), Ok(0.1));
        write_at(1100, 1200, 580, 520);
        assert_eq!(load.since_last(root.path(), 10), Ok(0.0));
    }
}
