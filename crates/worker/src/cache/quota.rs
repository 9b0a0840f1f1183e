//! Disk quota: whether a lease's files fit on this device. Checked before the first of them is fetched.

/// Limits on the disk space of a worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota {
    /// Maximum size in bytes of all the worker's files, including the current lease's.
    pub(crate) maximum: u64,
    /// Bytes of the disk that stay free, even if the maximum is not reached.
    pub(crate) minimum_free: u64,
}

/// Disk usage, and what a lease adds to it, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    /// The lease's own files that exist already.
    pub(super) own: u64,
    /// Files that may be evicted.
    pub(super) evictable: u64,
    /// Files of the lease that are still to be written.
    pub(super) to_write: u64,
    /// Free space on the disk.
    pub(super) free: u64,
}

/// Why a lease doesn't fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Shortage {
    #[error(
        "the work needs {} and Constellation may use {} of this disk; raise MaximumCacheGB",
        megabytes(*needed),
        megabytes(*maximum)
    )]
    Quota { needed: u64, maximum: u64 },
    #[error(
        "the work needs {} more and {} of the disk must stay free; free at least {}",
        megabytes(*to_write),
        megabytes(*minimum_free),
        megabytes(*missing)
    )]
    Disk { to_write: u64, minimum_free: u64, missing: u64 },
}

impl Quota {
    /// Returns how many bytes of other files must be evicted first.
    pub(super) fn excess(self, usage: &Usage) -> Result<u64, Shortage> {
        let Self { maximum, minimum_free } = self;
        let Usage { own, evictable, to_write, free } = *usage;
        let needed = own.saturating_add(to_write);
        if needed > maximum {
            return Err(Shortage::Quota { needed, maximum });
        }
        let for_quota = needed.saturating_add(evictable).saturating_sub(maximum);
        // A lease that writes nothing needs no free space.
        let free_needed = if to_write == 0 { 0 } else { to_write.saturating_add(minimum_free) };
        let for_disk = free_needed.saturating_sub(free);
        if for_disk > evictable {
            let missing = for_disk - evictable;
            return Err(Shortage::Disk { to_write, minimum_free, missing });
        }
        Ok(for_quota.max(for_disk))
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_must_fit_after_evicting_other_files() {
        let quota = Quota { maximum: 100, minimum_free: 50 };
        for (own, evictable, to_write, free, expected) in [
            (0, 0, 100, 150, Ok(0)),
            (0, 0, 101, 1000, Err(Shortage::Quota { needed: 101, maximum: 100 })),
            (60, 0, 41, 1000, Err(Shortage::Quota { needed: 101, maximum: 100 })),
            (10, 80, 30, 1000, Ok(20)),
            (10, 200, 0, 0, Ok(110)),
            (0, 40, 30, 60, Ok(20)),
            (0, 95, 30, 60, Ok(25)),
            (0, 10, 30, 60, Err(Shortage::Disk { to_write: 30, minimum_free: 50, missing: 10 })),
            (30, 0, 0, 0, Ok(0)),
        ] {
            let usage = Usage { own, evictable, to_write, free };
            assert_eq!(quota.excess(&usage), expected, "{usage:?}");
        }
    }

    #[test]
    fn a_shortage_names_the_setting_to_change() {
        let quota = Shortage::Quota { needed: 12_500_000, maximum: 10_000_000 }.to_string();
        assert!(quota.starts_with("the work needs 12.5 MB"), "{quota}");
        assert!(quota.ends_with("raise MaximumCacheGB"), "{quota}");
    }
}
