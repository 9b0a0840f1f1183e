//! Whether a lease's files fit on this device, decided before the first of them is fetched.

/// What the device may fill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota {
    /// Bytes that all of the worker's files may take together, those of a lease in work included.
    pub(crate) maximum: u64,
    /// Bytes of the disk that stay free whatever the maximum says.
    pub(crate) minimum_free: u64,
}

/// What is there and what a lease adds, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stock {
    /// The lease's own files, as far as they are there.
    pub(super) needed: u64,
    /// Files that may go.
    pub(super) others: u64,
    /// What is still to be written.
    pub(super) more: u64,
    /// Free on the disk.
    pub(super) free: u64,
}

/// Why a lease doesn't fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Shortage {
    #[error(
        "the work takes {} and Constellation may use {} of this disk; raise MaximumCacheGB",
        megabytes(*needs),
        megabytes(*maximum)
    )]
    Quota { needs: u64, maximum: u64 },
    #[error(
        "the work takes {} more and {} of the disk must stay free; {} short: free some space",
        megabytes(*more),
        megabytes(*minimum_free),
        megabytes(*short)
    )]
    Disk { more: u64, minimum_free: u64, short: u64 },
}

impl Quota {
    /// Bytes of other files that must go first.
    pub(super) fn excess(self, stock: &Stock) -> Result<u64, Shortage> {
        let Self { maximum, minimum_free } = self;
        let Stock { needed, others, more, free } = *stock;
        let needs = needed.saturating_add(more);
        if needs > maximum {
            return Err(Shortage::Quota { needs, maximum });
        }
        let for_quota = needs.saturating_add(others).saturating_sub(maximum);
        // Where nothing is to be written, nothing of the disk is taken.
        let wanted = if more == 0 { 0 } else { more.saturating_add(minimum_free) };
        let for_disk = wanted.saturating_sub(free);
        if for_disk > others {
            return Err(Shortage::Disk { more, minimum_free, short: for_disk - others });
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
    fn a_lease_fits_what_it_may_take_after_others_have_gone() {
        let quota = Quota { maximum: 100, minimum_free: 50 };
        // (of the lease here, others, more, free, what must go)
        for (needed, others, more, free, expected) in [
            (0, 0, 100, 150, Ok(0)),
            (0, 0, 101, 1000, Err(Shortage::Quota { needs: 101, maximum: 100 })),
            (60, 0, 41, 1000, Err(Shortage::Quota { needs: 101, maximum: 100 })),
            (10, 80, 30, 1000, Ok(20)),
            (10, 200, 0, 0, Ok(110)),
            (0, 40, 30, 60, Ok(20)),
            (0, 95, 30, 60, Ok(25)),
            (0, 10, 30, 60, Err(Shortage::Disk { more: 30, minimum_free: 50, short: 10 })),
            (30, 0, 0, 0, Ok(0)),
        ] {
            let stock = Stock { needed, others, more, free };
            assert_eq!(quota.excess(&stock), expected, "{stock:?}");
        }
    }

    #[test]
    fn a_shortage_says_what_to_change() {
        let quota = Shortage::Quota { needs: 12_500_000, maximum: 10_000_000 }.to_string();
        assert!(quota.starts_with("the work takes 12.5 MB"), "{quota}");
        assert!(quota.ends_with("raise MaximumCacheGB"), "{quota}");
    }
}
