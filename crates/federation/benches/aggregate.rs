//! Throughput of aggregation: 100 updates of 10 M parameters from bytes in memory, validation
//! included, compared with this machine's copy bandwidth in the same run. Throughput is bytes of
//! updates per second.
//!
//! The model is processed in sections, as in the coordinator: memory use does not grow with the
//! model, and touched memory is reused.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use federation::aggregate::{Accumulator, check_update};
use protocol::{BlobHash, RngDomain, SeededRng, codec};

const UPDATES: usize = 100;
const PARAMETERS: usize = 10_000_000;
const BYTES: usize = 4 * PARAMETERS;
/// Parameters per section, and updates per call, as in the coordinator.
const SECTION: usize = 1 << 18;
const TOGETHER: usize = 16;
/// Rows per update.
const ROWS: u64 = 1_200;
/// Updates overlap in memory, each starting this many bytes after the last: 4 GB of updates in 436
/// MB. No byte is read twice before hundreds of megabytes have passed through the caches.
const SHIFT: usize = 4_000_000;

fn benchmark(criterion: &mut Criterion) {
    let memory = changes();
    let updates: Vec<(&[u8], u64)> =
        (0..UPDATES).map(|number| (&memory[number * SHIFT..][..BYTES], ROWS)).collect();
    let all = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);

    copy(criterion, &memory);
    let mut group = criterion.benchmark_group("aggregate_100x10M");
    group.sample_size(10).throughput(Throughput::BytesDecimal((UPDATES * BYTES) as u64));
    for threads in [1, all] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        for together in [1, TOGETHER, UPDATES] {
            let name = BenchmarkId::new(format!("{threads}_threads"), format!("{together}_a_call"));
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    pool.install(|| sections(&updates, together, |sum, _| _ = black_box(sum)));
                });
            });
        }
    }
    group.bench_function("hashed_blobs_to_hashed_model", |bencher| {
        bencher.iter(|| black_box(hashed(&updates)));
    });
    group.finish();
    check_and_finish(criterion, &memory);
}

/// Sums the updates section by section. `take` receives each sum and its start.
fn sections(updates: &[(&[u8], u64)], together: usize, mut take: impl FnMut(Accumulator, usize)) {
    for start in (0..PARAMETERS).step_by(SECTION) {
        let count = SECTION.min(PARAMETERS - start);
        let mut sum = Accumulator::new(count, ROWS * UPDATES as u64);
        for call in updates.chunks(together) {
            let part = call.iter().map(|(bytes, rows)| (&bytes[4 * start..][..4 * count], *rows));
            let call: Vec<(&[u8], u64)> = part.collect();
            sum.add(&call).expect("valid updates");
        }
        take(sum, start);
    }
}

/// The whole path: hash and check of each received update, the sum, the model and its hash.
fn hashed(updates: &[(&[u8], u64)]) -> (Vec<BlobHash>, BlobHash) {
    let receive = |(bytes, _): &(&[u8], u64)| {
        check_update(bytes, PARAMETERS).expect("a valid update");
        BlobHash::compute(bytes)
    };
    let received = updates.iter().map(receive).collect();
    let mut model = Vec::with_capacity(BYTES);
    let base = vec![0.5; SECTION];
    sections(updates, TOGETHER, |sum, start| {
        let base = &base[..SECTION.min(PARAMETERS - start)];
        model.extend(codec::encode(&sum.finish(base)));
    });
    (received, BlobHash::compute(&model))
}

/// The steps before and after: the check on receipt and the final model.
fn check_and_finish(criterion: &mut Criterion, memory: &[u8]) {
    let mut group = criterion.benchmark_group("one_update_of_10M");
    group.sample_size(10).throughput(Throughput::BytesDecimal(BYTES as u64));
    group.bench_function("check", |bencher| {
        bencher.iter(|| check_update(black_box(&memory[..BYTES]), PARAMETERS));
    });
    let mut sum = Accumulator::new(PARAMETERS, 1);
    sum.add(&[(&memory[..BYTES], 1)]).expect("a valid update");
    let base = vec![0.5; PARAMETERS];
    group.bench_function("finish", |bencher| bencher.iter(|| sum.finish(black_box(&base))));
    group.finish();
}

fn copy(criterion: &mut Criterion, memory: &[u8]) {
    let mut group = criterion.benchmark_group("copy");
    group.sample_size(10).throughput(Throughput::BytesDecimal(memory.len() as u64));
    let mut target = vec![0; memory.len()];
    group.bench_function("1_thread", |bencher| {
        bencher.iter(|| black_box(&mut target[..]).copy_from_slice(black_box(memory)));
    });
    group.finish();
}

/// Plausible changes: normal, in the size of a learning rate.
fn changes() -> Vec<u8> {
    let mut rng = SeededRng::new(RngDomain::Step, 1, 0, 0, 0);
    #[expect(clippy::cast_possible_truncation, reason = "the rounding to f32")]
    let period: Vec<u8> =
        (0..100_003).flat_map(|_| ((rng.normal() * 0.01) as f32).to_le_bytes()).collect();
    period.iter().copied().cycle().take(BYTES + (UPDATES - 1) * SHIFT).collect()
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
