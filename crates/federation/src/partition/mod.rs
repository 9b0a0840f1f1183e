//! Partitioning of rows by the job's seed, identical on every machine. All floating-point functions
//! come from `libm`, whose results have the same bits everywhere.

mod dirichlet;
#[cfg(test)]
mod tests;

use protocol::job::Partitioner;
use protocol::{RngDomain, SeededRng};

/// Reason for which rows cannot be partitioned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartitionError {
    #[error(
        "{partitions} partitions need at least as many rows, but there are {rows}; lower \
         data.partitions or raise data.train_limit"
    )]
    TooFewRows { rows: usize, partitions: u32 },
    #[error(
        "{shards} shards need at least as many rows, but there are {rows}; lower data.partitions \
         or data.partitioner.per_partition"
    )]
    TooManyShards { rows: usize, shards: u64 },
    #[error(
        "{rows} rows are more than the limit of 4294967295; set data.train_limit to that or less"
    )]
    TooManyRows { rows: usize },
}

/// Returns the row indices of each partition, ascending. Every row is in exactly one partition, and
/// no partition is empty. `labels` has each row's class, `classes` is the number of classes.
///
/// The sizes of Iid and Dirichlet partitions differ by at most one row.
///
/// # Errors
/// Too few or too many rows.
pub fn partition(
    seed: u64,
    partitioner: &Partitioner,
    labels: &[u32],
    classes: u32,
    partitions: u32,
) -> Result<Vec<Vec<u32>>, PartitionError> {
    let rows = rows(labels)?;
    let count = partitions as usize;
    if count == 0 || count > rows.len() {
        return Err(PartitionError::TooFewRows { rows: rows.len(), partitions });
    }
    let mut rng = SeededRng::new(RngDomain::Partitioning, seed, 0, 0, 0);
    let mut divided = match *partitioner {
        Partitioner::Iid => iid(&mut rng, rows, count),
        Partitioner::Dirichlet { alpha } => {
            dirichlet::by_class(&mut rng, alpha, by_class(labels, classes, rows), count)
        }
        Partitioner::Shards { per_partition } => {
            shards(&mut rng, rows, labels, count, per_partition)?
        }
        Partitioner::Quantity { alpha } => quantity(&mut rng, rows, alpha, count),
    };
    for partition in &mut divided {
        partition.sort_unstable();
    }
    Ok(divided)
}

/// Train split with some rows held out for validation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    pub train: Vec<u32>,
    pub validation: Vec<u32>,
}

/// Holds out a tenth of each class, rounded, for early stopping. Both parts are ascending.
///
/// # Errors
/// Fewer than two rows, or too many.
pub fn split_validation(seed: u64, labels: &[u32], classes: u32) -> Result<Split, PartitionError> {
    let rows = rows(labels)?;
    if rows.len() < 2 {
        return Err(PartitionError::TooFewRows { rows: rows.len(), partitions: 2 });
    }
    let mut rng = SeededRng::new(RngDomain::ValidationSplit, seed, 0, 0, 0);
    let mut split = Split { train: Vec::new(), validation: Vec::new() };
    for mut class in by_class(labels, classes, rows) {
        rng.shuffle(&mut class);
        let held_out = (class.len() + 5) / 10;
        split.train.extend(class.drain(held_out..));
        split.validation.append(&mut class);
    }
    if split.validation.is_empty() {
        // Every class has fewer than five rows.
        rng.shuffle(&mut split.train);
        split.validation.extend(split.train.pop());
    }
    split.train.sort_unstable();
    split.validation.sort_unstable();
    Ok(split)
}

fn rows(labels: &[u32]) -> Result<Vec<u32>, PartitionError> {
    match u32::try_from(labels.len()) {
        Ok(rows) => Ok((0..rows).collect()),
        Err(_) => Err(PartitionError::TooManyRows { rows: labels.len() }),
    }
}

/// Returns the rows of each class, ascending. Labels beyond `classes` extend the list.
fn by_class(labels: &[u32], classes: u32, rows: Vec<u32>) -> Vec<Vec<u32>> {
    let mut divided = vec![Vec::new(); classes as usize];
    for (row, label) in rows.into_iter().zip(labels) {
        let class = *label as usize;
        if class >= divided.len() {
            divided.resize(class + 1, Vec::new());
        }
        divided[class].push(row);
    }
    divided
}

fn iid(rng: &mut SeededRng, mut rows: Vec<u32>, partitions: usize) -> Vec<Vec<u32>> {
    rng.shuffle(&mut rows);
    runs(&rows, partitions)
}

/// McMahan et al. 2017, §3: rows sorted by class, cut into runs, and the runs dealt at random.
fn shards(
    rng: &mut SeededRng,
    mut rows: Vec<u32>,
    labels: &[u32],
    partitions: usize,
    per_partition: u32,
) -> Result<Vec<Vec<u32>>, PartitionError> {
    let shards = partitions as u64 * u64::from(per_partition.max(1));
    let count = usize::try_from(shards).unwrap_or(usize::MAX);
    if count > rows.len() {
        return Err(PartitionError::TooManyShards { rows: rows.len(), shards });
    }
    rng.shuffle(&mut rows);
    rows.sort_by_key(|row| labels[*row as usize]);
    let mut cut = runs(&rows, count);
    rng.shuffle(&mut cut);
    Ok(cut.chunks(count / partitions).map(<[Vec<u32>]>::concat).collect())
}

/// Li et al. 2022, §III-C: sizes from a Dirichlet distribution, rows at random. Each partition
/// starts with one row, so that none is empty.
fn quantity(
    rng: &mut SeededRng,
    mut rows: Vec<u32>,
    alpha: f64,
    partitions: usize,
) -> Vec<Vec<u32>> {
    let shares = dirichlet::shares(rng, alpha, partitions);
    let sizes = dirichlet::apportion(&shares, rows.len() - partitions);
    rng.shuffle(&mut rows);
    let mut rest = &rows[..];
    let take = |size: usize| {
        let (taken, left) = rest.split_at((size + 1).min(rest.len()));
        rest = left;
        taken.to_vec()
    };
    sizes.into_iter().map(take).collect()
}

/// Cuts rows into `count` runs whose lengths differ by at most 1, longer ones first.
fn runs(rows: &[u32], count: usize) -> Vec<Vec<u32>> {
    let (length, longer) = (rows.len() / count, rows.len() % count);
    let start = |run: usize| run * length + run.min(longer);
    (0..count).map(|run| rows[start(run)..start(run + 1)].to_vec()).collect()
}
